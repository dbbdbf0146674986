//! The production replica behind paxos-conf/1, so that a judge of foreign implementations can try it like any other.
//!
//! - [`protocol`]: requests, replies and messages.
//! - [`names`]: the replica's nodes, ballots and messages as the judge reads them.
//! - [`node`]: one node, which is the replica and its driver.
//!
//! # What the judge sees
//!
//! - A message carries itself as JSON in `raw`, and the adapter reads nothing else of a message that is delivered. Heartbeats,
//!   reads and questions for chosen values are of the kind `x`.
//! - The replica counts its own promise and votes at once. `self` has a prepare and a promise for a campaign, and an accept
//!   and an accepted for each proposal.
//! - The records of a step are durable with the step. The blob of a node is the list of its records, each a line of JSON.
//! - A ballot is promised by its own node before its prepare leaves. So the round is durable through the promise.
//! - Commands wait until their node leads, as clients of a real node do. A crash loses the commands that wait.
//! - There is no `save`: the replica can be rebuilt from its records, but promises and votes that it has counted are not
//!   among them.

mod names;
mod node;
mod protocol;

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde_json::{Value, json};

use names::{NOOP, Names};
use node::{Input, Node};
use protocol::{Failure, Fault, Init, Reply, Request, Step};

fn main() -> io::Result<()> {
    let mut adapter = Adapter::default();
    protocol::serve(|request| adapter.answer(request))
}

fn capabilities() -> Value {
    json!({
        "topology": "combined",
        "multi": true,
        "slots": "subject",
        "ballot": "pair",
        "ballot_scope": "node",
        "self_delivery": "internal",
        "raw": true,
        "save": false,
        "nack": true,
        "decided_msg": true,
        "accepted": ["b"],
        "accepted_to": ["proposer"],
        "noop": [NOOP],
        "retry": ["on_timeout"],
        "repropose": "any",
        "durable": ["promised", "accepted", "round"],
        "observe": ["promised", "accepted", "decided"],
    })
}

/// The nodes of this process. A node that is down is not among them.
#[derive(Default)]
struct Adapter {
    names: Names,
    nodes: BTreeMap<String, Node>,
}

impl Adapter {
    fn answer(&mut self, request: Request) -> Result<Reply, Failure> {
        let step = match request {
            Request::Hello { proto } if proto == "paxos-conf/1" => {
                return Ok(Reply::Hello { r#impl: "paxos", caps: capabilities() });
            }
            Request::Hello { proto } => return Err(format!("{proto} is not paxos-conf/1").into()),
            Request::Init(init) => self.init(init)?,
            Request::Propose { value, .. } if value == NOOP => {
                return Err(format!("{NOOP} stands for the no-op").into());
            }
            Request::Propose { at, value } => self.step(at, Input::Propose(value))?,
            Request::Deliver { at, from, mid, msg } => {
                self.step(at, Input::Message { from, mid, raw: msg.raw })?
            }
            Request::Timer { at, timer } => self.step(at, Input::Timer(timer))?,
            Request::Crash { at } => {
                self.names.id(&at)?;
                self.nodes.remove(&at);
                Step::default()
            }
            Request::Restart { at, .. } if self.nodes.contains_key(&at) => {
                return Err(format!("{at} is not down").into());
            }
            Request::Restart { at, store } => self.start(&[at], |_| store.clone())?,
            Request::Query { at, slot } => {
                let node = self.nodes.get(&at).ok_or_else(|| is_down(&at))?;
                return Ok(Reply::Slot(node.slot(&self.names, slot)));
            }
            Request::Bye => return Ok(Reply::Bye {}),
        };
        Ok(Reply::Step(Box::new(step)))
    }

    fn init(&mut self, init: Init) -> Result<Step, Failure> {
        let Init { acceptors, proposers, learners, host, store } = init;
        if acceptors != proposers || acceptors != learners {
            return Err("each node has all roles: the three lists must be equal".to_owned().into());
        }
        *self = Self { names: Names(acceptors), nodes: BTreeMap::new() };
        self.start(&host, |name| store.get(name).cloned().flatten())
    }

    /// Starts nodes on what they persisted last.
    fn start(
        &mut self,
        names: &[String],
        store: impl Fn(&str) -> Option<String>,
    ) -> Result<Step, Failure> {
        let mut step = Step::default();
        for name in names {
            let node = Node::start(&self.names, name, store(name).unwrap_or_default())?;
            node.look(&self.names, &mut step);
            self.nodes.insert(name.clone(), node);
        }
        Ok(step)
    }

    /// Lets a node handle an event. A node that panics is down.
    fn step(&mut self, at: String, input: Input) -> Result<Step, Failure> {
        let mut node = self.nodes.remove(&at).ok_or_else(|| is_down(&at))?;
        let handled = catch_unwind(AssertUnwindSafe(|| node.handle(&self.names, input)));
        let step = handled.map_err(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Failure::Fault(Fault { kind: "panic", text: text.unwrap_or_default() })
        })?;
        self.nodes.insert(at, node);
        Ok(step?)
    }
}

fn is_down(node: &str) -> String {
    format!("{node} is down, or lives in another process")
}
