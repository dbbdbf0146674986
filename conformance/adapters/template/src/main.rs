//! A template for adapters of paxos-conf/1. Copy this folder, and put your implementation in place of `paxos.rs`.
//!
//! Then change [`capabilities`] to what your implementation does, [`Node`] to its roles, and [`Adapter::handle`], which turns a
//! message of the protocol into a call and its result into messages. The rest can stay. Outside of this workspace, `Cargo.toml`
//! needs an edition of its own, the versions of serde (with `derive`) and `serde_json`, and no lints.
//!
//! Three rules keep the verdicts true. Finish each request before its reply: no threads, no clock, no randomness. Send in a
//! fixed order, and never in that of a hash map. Keep nothing across a crash but the blob that a step persisted last.

#![allow(unreachable_pub, reason = "`pub` items are for the other modules of the binary")]

mod paxos;
mod protocol;

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use paxos::{Acceptor, Ballot, Learner, Proposer};
use protocol::{Decided, Fault, Init, Kind, Message, Names, Reply, Request, Send, State, Step};

fn main() -> io::Result<()> {
    let mut adapter = Adapter::default();
    protocol::serve(|request| adapter.answer(request))
}

fn capabilities() -> Value {
    json!({
        "topology": "split", "self_delivery": "network", "ballot": "pair", "nack": true, "save": true,
        "accepted_to": ["proposer", "learner"], "retry": ["on_timeout"],
        "durable": ["promised", "accepted", "round"], "observe": ["promised", "accepted", "decided"],
    })
}

/// The nodes of this process. A node that is down is not among them.
#[derive(Default, Serialize, Deserialize)]
struct Adapter {
    names: Names,
    nodes: BTreeMap<String, Node>,
}

#[derive(Serialize, Deserialize)]
enum Node {
    Acceptor(Acceptor),
    Proposer(Proposer),
    Learner(Learner),
}

enum Event {
    Propose(String),
    Retry,
    Deliver { from: String, mid: u64, kind: Kind },
}

impl Adapter {
    fn answer(&mut self, request: Request) -> Result<Reply, String> {
        let step = match request {
            Request::Hello { proto } if proto == "paxos-conf/1" => {
                return Ok(Reply::Hello { r#impl: "template", caps: capabilities() });
            }
            Request::Hello { proto } => return Err(format!("{proto} is not paxos-conf/1")),
            Request::Init(Init { names, host, mut store }) => {
                *self = Self { names, nodes: BTreeMap::new() };
                for id in &host {
                    self.start(id, store.remove(id).flatten())?;
                }
                self.look(&host)
            }
            Request::Propose { at, value } => self.step(at, Event::Propose(value))?,
            Request::Deliver { at, from, mid, msg } => {
                self.step(at, Event::Deliver { from, mid, kind: msg.kind })?
            }
            Request::Timer { at, timer } if self.node(&at)?.timers().contains(&&*timer) => {
                self.step(at, Event::Retry)?
            }
            Request::Timer { at, timer } => return Err(format!("{at} has no timer {timer} armed")),
            Request::Crash { at } => {
                self.nodes.remove(&at);
                Step::default()
            }
            Request::Restart { at, store } => {
                self.start(&at, store)?;
                self.look(&[at])
            }
            Request::Query { at } => return Ok(Reply::State(self.state(self.node(&at)?))),
            Request::Save => return Ok(Reply::Saved { blob: to_json(self) }),
            Request::Load { blob } => {
                *self = from_json(&blob)?;
                self.look(&self.nodes.keys().cloned().collect::<Vec<_>>())
            }
            Request::Bye => return Ok(Reply::Bye {}),
        };
        Ok(Reply::Step(Box::new(step)))
    }

    /// Starts a node with what it persisted last.
    fn start(&mut self, id: &str, blob: Option<String>) -> Result<(), String> {
        let quorum = self.names.acceptors.len() / 2 + 1;
        let node = if number(&self.names.acceptors, id).is_ok() {
            Node::Acceptor(blob.map_or_else(|| Ok(Acceptor::default()), |blob| from_json(&blob))?)
        } else if let Ok(owner) = number(&self.names.proposers, id) {
            let ballot = blob.map_or(Ok((0, owner)), |blob| from_json(&blob))?;
            Node::Proposer(Proposer::new(quorum, ballot))
        } else {
            number(&self.names.learners, id)?;
            Node::Learner(Learner::new(quorum))
        };
        self.nodes.insert(id.to_owned(), node);
        Ok(())
    }

    /// Lets a node handle an event. A node that panics is down.
    fn step(&mut self, at: String, event: Event) -> Result<Step, String> {
        let mut node = self.nodes.remove(&at).ok_or_else(|| format!("{at} is down"))?;
        let (old_blob, old_value) = (node.durable(), node.decided());
        let sent = match catch_unwind(AssertUnwindSafe(|| self.handle(&mut node, event))) {
            Ok(sent) => sent,
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                let fault = Fault { kind: "panic", text: text.unwrap_or_default() };
                return Ok(Step { fault: Some(fault), ..Step::default() });
            }
        };
        let blob = node.durable().filter(|blob| old_blob.as_ref() != Some(blob));
        let value = node.decided().filter(|_| old_value.is_none());
        self.nodes.insert(at.clone(), node);
        Ok(Step {
            send: sent?.into_iter().collect(),
            persist: blob.into_iter().map(|blob| (at.clone(), blob)).collect(),
            decided: value
                .into_iter()
                .map(|value| Decided { at: at.clone(), slot: 0, value })
                .collect(),
            ..self.look(&[at])
        })
    }

    /// Calls the implementation, and returns the message that the node sends.
    fn handle(&self, node: &mut Node, event: Event) -> Result<Option<Send>, String> {
        use Event::{Deliver, Propose, Retry};
        use Kind::{Accept, Accepted, Nack, Prepare, Promise};
        use Node::{Acceptor, Learner, Proposer};
        let Names { acceptors, learners, .. } = &self.names;
        let broadcast = |kind| Send { to: acceptors.clone(), msg: Message { kind, re: None } };
        let (name, ballot) = (|ballot| self.name(ballot), |name: &_| self.ballot(name));
        Ok(match (node, event) {
            (Proposer(node), Propose(value)) => {
                node.propose(value).map(|b| broadcast(Prepare { b: name(b) }))
            }
            (Proposer(node), Retry) => Some(broadcast(Prepare { b: name(node.retry()) })),
            (Acceptor(node), Deliver { from, mid, kind: Prepare { b } }) => {
                let kind = match node.prepare(ballot(&b)?) {
                    Ok(Some((vb, v))) => Promise { b, vb: Some(name(vb)), v: Some(v) },
                    Ok(None) => Promise { b, vb: None, v: None },
                    Err(promised) => Nack { b, pb: name(promised), ph: 1 },
                };
                Some(Send { to: vec![from], msg: Message { kind, re: Some(mid) } })
            }
            (Proposer(node), Deliver { from, kind: Promise { b, vb, v }, .. }) => {
                let vb = vb.as_ref().map(ballot).transpose()?;
                let value = node.promise(number(acceptors, &from)?, ballot(&b)?, vb.zip(v));
                value.map(|v| broadcast(Accept { b, v }))
            }
            (Acceptor(node), Deliver { from, mid, kind: Accept { b, v } }) => {
                let (to, kind) = match node.accept(ballot(&b)?, v.clone()) {
                    Ok(()) => ([vec![from], learners.clone()].concat(), Accepted { b, v }),
                    Err(promised) => (vec![from], Nack { b, pb: name(promised), ph: 2 }),
                };
                Some(Send { to, msg: Message { kind, re: Some(mid) } })
            }
            (Proposer(node), Deliver { from, kind: Accepted { b, .. }, .. }) => {
                node.accepted(number(acceptors, &from)?, ballot(&b)?);
                None
            }
            (Learner(node), Deliver { from, kind: Accepted { b, v }, .. }) => {
                node.accepted(number(acceptors, &from)?, ballot(&b)?, v);
                None
            }
            (Proposer(node), Deliver { kind: Nack { pb, .. }, .. }) => {
                node.nack(ballot(&pb)?);
                None
            }
            _ => return Err("a node of this role does not handle that".to_owned()),
        })
    }

    /// Returns the timers and the state of some nodes.
    fn look(&self, ids: &[String]) -> Step {
        let nodes = || ids.iter().filter_map(|id| Some((id.clone(), self.nodes.get(id)?)));
        let timers = nodes().map(|(id, node)| (id, node.timers())).collect();
        let state = nodes().map(|(id, node)| (id, self.state(node))).collect();
        Step { timers, state, ..Step::default() }
    }

    fn state(&self, node: &Node) -> State {
        let mut state = State { decided: node.decided(), ..State::default() };
        if let Node::Acceptor(Acceptor { promised, accepted }) = node {
            state.promised = promised.map(|ballot| self.name(ballot));
            let vote = accepted.clone();
            state.accepted = vote.map(|(ballot, v)| protocol::Vote { b: self.name(ballot), v });
        }
        state
    }

    fn name(&self, (round, owner): Ballot) -> protocol::Ballot {
        (round, self.names.proposers[owner].clone())
    }

    fn ballot(&self, (round, owner): &protocol::Ballot) -> Result<Ballot, String> {
        Ok((*round, number(&self.names.proposers, owner)?))
    }

    fn node(&self, id: &str) -> Result<&Node, String> {
        self.nodes.get(id).ok_or_else(|| format!("{id} is down"))
    }
}

impl Node {
    /// Returns all that the node has to remember across a crash.
    fn durable(&self) -> Option<String> {
        match self {
            Self::Acceptor(acceptor) => Some(to_json(acceptor)),
            Self::Proposer(proposer) => Some(to_json(&proposer.ballot)),
            Self::Learner(_) => None,
        }
    }

    fn timers(&self) -> Vec<&'static str> {
        match self {
            Self::Proposer(proposer) if proposer.is_busy() => vec!["retry"],
            _ => Vec::new(),
        }
    }

    fn decided(&self) -> Option<String> {
        match self {
            Self::Learner(learner) => learner.decided.clone(),
            _ => None,
        }
    }
}

/// Returns the number of a node among those of a role.
fn number(ids: &[String], id: &str) -> Result<usize, String> {
    ids.iter().position(|other| other == id).ok_or_else(|| format!("{id} does not have that role"))
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the keys of all maps are texts or numbers")
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("the blob is unreadable: {error}"))
}
