//! A schedule with a process for each node, in which a crash is a kill.
//!
//! A search has all nodes in one process, since that is fast. A finding may then come from the adapter: its nodes share a variable, or
//! a crash leaves something behind in memory. In a process of its own, a node has only its disk.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Cluster, Input, LocalId, Node};
use crate::{
    process::{Broken, Process},
    protocol::{Request, Setup},
};

/// The result of a schedule with a process for each node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Apart {
    /// Each step has the reply that it has with all nodes in one process.
    Same {
        /// The number of crashes, which are kills.
        kills: usize,
    },
    /// A step has another reply.
    Differs {
        /// The step, from 1.
        step: usize,
        /// True if the node was killed before. Then it knew something with all nodes in one process that is not on its disk.
        after_kill: bool,
        /// The reply with all nodes in one process.
        together: Json,
        /// The reply of the node in its own process.
        apart: Json,
    },
    /// An adapter could not go on, or it does not host one node alone.
    NotRun {
        /// The reason.
        why: String,
    },
}

impl Cluster {
    /// Runs a schedule, whose steps are known, with a process for each node.
    pub(crate) fn run_apart(&mut self, schedule: &[(Node, Input)]) -> Apart {
        self.compare_apart(schedule)
            .unwrap_or_else(|broken| Apart::NotRun { why: broken.to_string() })
    }

    fn compare_apart(&mut self, schedule: &[(Node, Input)]) -> Result<Apart, Broken> {
        let mut processes: HashMap<Node, Process> = HashMap::new();
        let (mut kills, mut killed) = (0, HashSet::new());
        let mut locals = self.initial.clone();
        for (step, (node, input)) in (1..).zip(schedule) {
            let local = locals[*node];
            let known = self.step(local, *input)?;
            if *input == Input::Restart {
                // This kills the process, with all that the node had in memory.
                processes.remove(node);
                killed.insert(*node);
                kills += 1;
            }
            let process = match processes.remove(node) {
                Some(process) => process,
                None => self.start_alone(local)?,
            };
            let process = processes.entry(*node).or_insert(process);
            let requests = self.requests_of(local, *input);
            self.requests += requests.len() as u64;
            let mut replies = Vec::new();
            for request in &requests {
                replies.append(&mut process.ask(std::slice::from_ref(request))?);
            }
            let apart = replies.pop().expect("each input has a reply");
            if apart != known.reply {
                let (after_kill, together) = (killed.contains(node), known.reply.clone());
                return Ok(Apart::Differs { step, after_kill, together, apart });
            }
            locals[*node] = known.next;
        }
        Ok(Apart::Same { kills })
    }

    /// Starts a process for the node of a state, with the disk that it has in that state.
    fn start_alone(&mut self, local: LocalId) -> Result<Process, Broken> {
        let local = self.at_local(local);
        let name = self.names[local.node].to_string();
        let store = local.store.iter().map(|blob| (name.clone(), blob.clone()));
        let store: Map<String, Json> = store.collect();
        let setup = Setup { host: vec![name], store, ..self.rules.setup.clone() };
        let (mut process, _) = Process::start(&self.command, self.limits)?;
        process.ask(&[Request::Init(setup).json()])?;
        Ok(process)
    }
}
