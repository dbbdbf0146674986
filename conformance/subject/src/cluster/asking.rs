//! Questions to the process of a subject.

use std::{mem, rc::Rc};

use serde_json::Value as Json;

use super::{Cluster, Input, Local, LocalId, Node, Sent, Transition};
use crate::{
    process::{Broken, Process},
    protocol::{Request, Slots},
};

/// The reason for which a step is not known.
#[derive(Debug)]
pub(crate) enum Stop {
    Broken(Broken),
    /// The subject does not repeat itself, or its nodes depend on each other.
    Differs {
        expected: Json,
        got: Json,
    },
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Cluster {
    /// Returns what happens when a node in a state takes an input.
    pub(crate) fn step(&mut self, local: LocalId, input: Input) -> Result<Rc<Transition>, Broken> {
        if let Some(known) = self.transitions.get(&(local, input))
            && !(self.follows && self.is_at(local))
        {
            return Ok(known.clone());
        }
        let mut requests = self.bring_to(local)?;
        let loads = requests.len();
        requests.extend(self.requests_of(local, input));
        let node = self.at_local(local).node;
        let (mut replies, blob) = if self.rules.caps.save {
            requests.push(Request::Save.json());
            let mut replies = self.ask(&requests)?.split_off(loads);
            let saved = replies.pop().expect("each request has a reply");
            (replies, Some(Self::blob(saved)?))
        } else {
            (self.ask_each(&requests)?, None)
        };
        let mut at = mem::take(&mut self.at);
        if let [crash, _] = &replies[..]
            && !Self::read_step(crash)?.is_silent()
        {
            return Err(Self::malformed(&"a node that crashes does nothing", crash));
        }
        let reply = replies.pop().expect("each input has a reply");
        let transition = Rc::new(self.observe(local, input, reply, blob)?);
        let next = transition.next;
        self.transitions.insert((local, input), transition.clone());
        // If the state was reached before by other inputs, the process is in the same state.
        at[node] = next;
        self.at = at;
        Ok(transition)
    }

    /// Runs a schedule on the subject, with all nodes together. Compares each reply with the one that the node gave before.
    pub(crate) fn run(&mut self, schedule: &[(Node, Input)]) -> Result<(), Stop> {
        let mut transitions = Vec::new();
        let mut locals = self.initial.clone();
        for (node, input) in schedule {
            let transition = self.step(locals[*node], *input)?;
            transitions.push((locals[*node], *input, transition.clone()));
            locals[*node] = transition.next;
        }
        let first = self.init()?;
        if first != self.first_reply {
            return Err(Stop::Differs { expected: self.first_reply.clone(), got: first });
        }
        for (local, input, transition) in transitions {
            let mut replies = self.ask_each(&self.requests_of(local, input))?;
            self.at.clear();
            let got = replies.pop().expect("each input has a reply");
            if transition.reply != got {
                return Err(Stop::Differs { expected: transition.reply.clone(), got });
            }
        }
        Ok(())
    }

    /// Starts the process anew.
    pub(crate) fn start_again(&mut self) -> Result<(), Broken> {
        (self.process, self.at) = (None, Vec::new());
        self.init().map(drop)
    }

    /// Begins a schedule whose steps the process takes one after the other. A subject that can load any state needs no such help.
    pub(crate) fn follow(&mut self, follows: bool) -> Result<(), Broken> {
        self.follows = follows && !self.rules.caps.save;
        if self.follows { self.init().map(drop) } else { Ok(()) }
    }

    /// Returns the requests of an input.
    pub(crate) fn requests_of(&self, id: LocalId, input: Input) -> Vec<Json> {
        let local = self.at_local(id);
        let at: &str = &self.names[local.node];
        let slot = (self.rules.caps.slots == Slots::Client).then_some(0);
        let requests = match input {
            Input::Propose(place) => {
                vec![Request::Propose { at, slot, value: self.wishes[place].1.clone() }]
            }
            Input::Deliver(id) => {
                let Sent { from, mid, json, .. } = self.message(id);
                vec![Request::Deliver { at, from: &self.names[*from], mid: *mid, msg: json }]
            }
            Input::Timer(timer) => vec![Request::Timer { at, timer: &self.timer_names[timer] }],
            Input::Fail(id) => {
                let Sent { to, mid, json, .. } = self.message(id);
                vec![Request::Fail { at, mid: *mid, to: &self.names[*to], msg: json }]
            }
            Input::Restart => {
                vec![Request::Crash { at }, Request::Restart { at, store: local.store.as_ref() }]
            }
        };
        requests.iter().map(Request::json).collect()
    }

    fn ask(&mut self, requests: &[Json]) -> Result<Vec<Json>, Broken> {
        self.requests += requests.len() as u64;
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(&self.command, self.limits)?.0,
        };
        // A process that broke is not used again.
        let at = mem::take(&mut self.at);
        let replies = process.ask(requests)?;
        (self.process, self.at) = (Some(process), at);
        Ok(replies)
    }

    /// Sends each request after the reply to the one before.
    fn ask_each(&mut self, requests: &[Json]) -> Result<Vec<Json>, Broken> {
        let mut replies = Vec::new();
        for request in requests {
            replies.append(&mut self.ask(std::slice::from_ref(request))?);
        }
        Ok(replies)
    }

    /// Brings all nodes into their first states.
    pub(super) fn init(&mut self) -> Result<Json, Broken> {
        let request = Request::Init(self.rules.setup.clone()).json();
        let mut replies = self.ask(&[request])?;
        self.at = self.initial.clone();
        Ok(replies.swap_remove(0))
    }

    pub(super) fn save(&mut self) -> Result<Option<Json>, Broken> {
        if !self.rules.caps.save {
            return Ok(None);
        }
        let reply = self.ask(&[Request::Save.json()])?.swap_remove(0);
        Self::blob(reply).map(Some)
    }

    /// Returns the state in a reply to `save`.
    fn blob(mut reply: Json) -> Result<Json, Broken> {
        match reply["blob"].take() {
            Json::Null => {
                Err(Self::malformed(&"the reply to save has the state in \"blob\"", &reply))
            }
            blob => Ok(blob),
        }
    }

    /// Brings a node into a state, and all others into their first states. Returns a request that is still to be sent for that.
    fn bring_to(&mut self, id: LocalId) -> Result<Vec<Json>, Broken> {
        if self.is_at(id) {
            return Ok(Vec::new());
        }
        if self.at.is_empty() || self.at_local(id).blob.is_none() {
            self.init()?;
        }
        let Local { node, blob, .. } = self.at_local(id);
        let mut at = self.initial.clone();
        at[*node] = id;
        if let Some(blob) = blob {
            let request = Request::Load { blob }.json();
            self.at = at;
            return Ok(vec![request]);
        }
        let mut steps = Vec::new();
        let mut place = id;
        while let Some((before, input)) = self.at_local(place).before {
            steps.push((before, input));
            place = before;
        }
        for (local, input) in steps.into_iter().rev() {
            self.ask_each(&self.requests_of(local, input))?;
        }
        self.at = at;
        Ok(Vec::new())
    }

    /// Returns true if a node of the process is in a state. The text of `save` is that of all nodes, so that all others have to be in
    /// their first states.
    fn is_at(&self, id: LocalId) -> bool {
        let Local { node, blob, .. } = self.at_local(id);
        let others = (0..self.at.len()).filter(|it| it != node);
        self.at.get(*node) == Some(&id)
            && (blob.is_none() || others.into_iter().all(|it| self.at[it] == self.initial[it]))
    }
}
