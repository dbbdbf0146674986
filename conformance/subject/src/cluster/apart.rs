//! A schedule with a process for each node, in which a crash is a kill.
//!
//! A search has all nodes in one process, since that is fast. A finding may then come from the adapter: its nodes share a variable, or
//! a crash leaves something behind in memory. In a process of its own, a node has only its disk.
//!
//! A difference after a kill may still have another cause, such as an adapter that hosts one node in another way than all. So the
//! schedule runs once more, without kills. If the replies are the same there, the kill is the cause.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value as Json};
use verdict::Interrupt;

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
        /// The number of crashes, which were kills.
        kills: usize,
    },
    /// A step is different.
    Differs {
        /// The step, from 1.
        step: usize,
        /// True if the cause is a kill: without kills, the schedule is the same as with all nodes in one process.
        by_kill: bool,
        /// The replies, or what the adapter did in place of a reply.
        facts: String,
    },
    /// The adapter does not host one node alone, or a signal came.
    NotRun {
        /// The reason.
        why: String,
    },
}

/// The meaning of a crash, if each node has a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crash {
    /// The end of the process. The next one gets the disk of the node.
    Kill,
    /// A request, as with all nodes in one process.
    Request,
}

/// A node that does something else in a process of its own.
struct Difference {
    step: usize,
    after_kill: bool,
    facts: String,
}

/// The reason for which there is no result.
type NotRun = String;

impl Cluster {
    /// Runs a schedule, whose steps are known, with a process for each node.
    pub(crate) fn run_apart(&mut self, schedule: &[(Node, Input)], interrupt: &Interrupt) -> Apart {
        let is_restart = |(_, input): &&(Node, Input)| *input == Input::Restart;
        match self.difference(schedule, Crash::Kill, interrupt) {
            Ok(None) => Apart::Same { kills: schedule.iter().filter(is_restart).count() },
            Ok(Some(Difference { step, after_kill, facts })) => {
                let by_kill = after_kill
                    && matches!(
                        self.difference(&schedule[..step], Crash::Request, interrupt),
                        Ok(None)
                    );
                Apart::Differs { step, by_kill, facts }
            }
            Err(why) => Apart::NotRun { why },
        }
    }

    fn difference(
        &mut self,
        schedule: &[(Node, Input)],
        crash: Crash,
        interrupt: &Interrupt,
    ) -> Result<Option<Difference>, NotRun> {
        let mut processes: HashMap<Node, Process> = HashMap::new();
        let mut killed = HashSet::new();
        let mut locals = self.initial.clone();
        for (step, (node, input)) in (1..).zip(schedule) {
            if interrupt.requested() {
                return Err("a signal came".to_owned());
            }
            let local = locals[*node];
            let known = self.step(local, *input).map_err(|broken| broken.to_string())?;
            if *input == Input::Restart && crash == Crash::Kill {
                // This kills the process, with all that the node had in memory.
                processes.remove(node);
                killed.insert(*node);
            }
            let after_kill = killed.contains(node);
            let process = match processes.remove(node) {
                Some(process) => process,
                None => self.start_alone(local, after_kill).map_err(|broken| broken.to_string())?,
            };
            let process = processes.entry(*node).or_insert(process);
            let requests = self.requests_of(local, *input);
            self.requests += requests.len() as u64;
            let replies = requests.iter().map(|it| process.ask(std::slice::from_ref(it)));
            let facts = match replies.collect::<Result<Vec<_>, Broken>>() {
                Ok(replies) => {
                    let reply = replies.into_iter().flatten().last();
                    let apart = self.effects_of(local, reply.expect("each input has a reply"));
                    let together = self.effects_of(local, known.reply.clone());
                    (apart != together).then(|| format!("the reply is {apart}, and not {together}"))
                }
                // An adapter may refuse what it has not been written for.
                Err(broken @ Broken::Refused { .. }) => return Err(broken.to_string()),
                Err(broken) => Some(broken.to_string()),
            };
            if let Some(facts) = facts {
                return Ok(Some(Difference { step, after_kill, facts }));
            }
            locals[*node] = known.next;
        }
        Ok(None)
    }

    /// Returns a reply without the blob that is on the disk of the node already. An adapter may leave it out, since it knows what it has
    /// persisted last, and a process that has just started does not know.
    fn effects_of(&self, local: LocalId, mut reply: Json) -> Json {
        let local = self.at_local(local);
        if let Some(Json::Object(persist)) = reply.get_mut("persist") {
            persist.retain(|_, blob| local.store.as_ref() != Some(&*blob));
            if persist.is_empty() {
                reply.as_object_mut().expect("it has a field").remove("persist");
            }
        }
        reply
    }

    /// Starts a process for the node of a state. A node that was killed has its disk.
    fn start_alone(&mut self, local: LocalId, was_killed: bool) -> Result<Process, Broken> {
        let local = self.at_local(local);
        let name = self.names[local.node].to_string();
        let store = local.store.iter().filter(|_| was_killed);
        let store: Map<String, Json> = store.map(|blob| (name.clone(), blob.clone())).collect();
        let setup = Setup { host: vec![name], store, ..self.rules.setup.clone() };
        let (mut process, _) = Process::start(&self.command, self.limits)?;
        process.ask(&[Request::Init(setup).json()])?;
        Ok(process)
    }
}
