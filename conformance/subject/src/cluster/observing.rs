//! The replies of a subject, as states, messages and facts.

use std::{collections::BTreeSet, fmt, hash::Hash as _};

use itertools::Itertools as _;
use serde::Deserialize as _;
use serde_json::Value as Json;
use xxhash_rust::xxh3::Xxh3;

use super::{Cluster, FactId, Input, Local, LocalId, MessageId, Node, Sent, Transition};
use crate::{
    claims::NO_FAULT,
    facts::Fact,
    memory::Noticed,
    process::Broken,
    protocol::{Malformed, Message, Step, value},
    rules::Rules,
};

impl Cluster {
    /// Takes what a node said about an input: its new state, its messages, and what they contradict.
    pub(super) fn observe(
        &mut self,
        id: LocalId,
        input: Input,
        reply: Json,
        blob: Option<Json>,
    ) -> Result<Transition, Broken> {
        let rules = self.rules.clone();
        let step = self.step_of(id, &reply)?;
        let before = self.at_local(id).clone();
        let (name, mut local) = (self.names[before.node].clone(), before.clone());
        (local.before, local.blob) = (Some((id, input)), blob);
        let mut noticed = Noticed::default();
        let ignored = self.ignores(&before, &local, &step);
        self.take_input(&mut local, input, ignored, &mut noticed);
        let memory_before = local.memory.clone();
        let mut sent = Vec::new();
        if let Some(fault) = &step.fault {
            // Such a step has no other effect.
            local.down = true;
            let text = fault.text.replace('\n', " ");
            noticed.findings.push(NO_FAULT.fails(format!("{name}: {}: {text}", fault.kind)));
        } else {
            self.keep(&mut local, &step);
            sent =
                self.sends(&rules, &mut local, &step, &mut noticed).map_err(|what| match what {
                    Unread::Malformed(what) => Self::malformed(&what, &reply),
                    Unread::Broken(broken) => broken,
                })?;
            for decided in &step.decided {
                let value = value(&decided.value);
                local.memory.decides(&name, decided.slot, &value, &mut noticed);
            }
            if let Some(state) = step.state.get(&*name) {
                let reported = local.memory.reports(&rules, &name, state, &mut noticed);
                reported.map_err(|what| Self::malformed(&what, &reply))?;
            }
            if let Input::Deliver(id) = input {
                let message = &self.message(id).message;
                let refused = memory_before.refuses(&rules, &name, message, &local.memory);
                noticed.findings.extend(refused);
            }
        }
        let Noticed { findings, facts, reuse } = noticed;
        // A subject may send the same again in one step.
        let facts = facts.into_iter().map(|fact| self.fact_id(fact)).unique().collect();
        let sent = sent.into_iter().unique().collect();
        let fault = local.down;
        Ok(Transition { next: self.local(local), sent, facts, findings, reuse, fault, reply })
    }

    /// Reads a step of a node, which may name all nodes and changes only its own.
    fn step_of(&self, id: LocalId, reply: &Json) -> Result<Step, Broken> {
        let step = Self::read_step(reply)?;
        let name = &self.names[self.at_local(id).node];
        let changed = step.persist.keys().chain(step.own.iter().map(|it| &it.at));
        for of in changed.chain(step.decided.iter().map(|it| &it.at)) {
            if **of != **name {
                return Err(Self::malformed(&format_args!("a step of {name} changes {of}"), reply));
            }
        }
        for of in step.timers.keys().chain(step.state.keys()) {
            self.node(of)?;
        }
        Ok(step)
    }

    /// Returns true if a node is in the same state as before, as far as it tells, and says nothing. Nothing can follow from its
    /// input then.
    fn ignores(&self, before: &Local, after: &Local, step: &Step) -> bool {
        let name = &self.names[before.node];
        let same_timers = step.timers.get(&**name).is_none_or(|timers| {
            let armed: BTreeSet<_> = timers.iter().map(String::as_str).collect();
            armed == before.timers.iter().map(|timer| self.timer_names[*timer].as_str()).collect()
        });
        let reported = step.state.get(&**name);
        let same_state = match &after.blob {
            Some(_) => after.blob == before.blob,
            None => reported.is_none() || reported == before.reported.as_ref(),
        };
        step.is_silent() && same_timers && same_state
    }

    /// Takes an input into what is known of a node, before its reply.
    fn take_input(&self, local: &mut Local, input: Input, ignored: bool, noticed: &mut Noticed) {
        let caps = &self.rules.caps;
        match input {
            Input::Propose(place) => {
                let wish = value(&self.wishes[place].1);
                // A client whose request had no effect may ask again.
                if !ignored {
                    local.memory.asked.insert(wish.clone());
                    local.memory.asks += 1;
                }
                noticed.facts.push(Fact::Asked { value: wish });
            }
            Input::Deliver(id) => {
                let Sent { from, message, .. } = self.message(id);
                // A subject that does not save its state may still count the message.
                if !(ignored && local.blob.is_some()) {
                    local.memory.receives(&self.rules, &self.names[*from], message);
                }
                if !caps.save || !caps.dup_ok {
                    *local.taken.entry(id).or_default() += 1;
                }
                if let Some(call) = message.answers.and_then(|mid| self.mids.get(&mid)) {
                    local.waits.remove(call);
                }
            }
            Input::Timer(timer) => {
                local.timers.remove(&timer);
                local.fired += 1;
            }
            Input::Fail(id) => {
                local.waits.remove(&id);
            }
            Input::Restart => {
                local.memory.restarts += 1;
                local.memory.asks = 0;
                local.timers.clear();
                local.waits.clear();
            }
        }
    }

    /// Takes the messages of a step: first those to the node itself, then those to others.
    fn sends(
        &mut self,
        rules: &Rules,
        local: &mut Local,
        step: &Step,
        noticed: &mut Noticed,
    ) -> Result<Vec<MessageId>, Unread> {
        let node = local.node;
        let name = self.names[node].clone();
        let mut asked: Option<Message> = None;
        for own in &step.own {
            let message =
                Message::read(&own.msg, &rules.setup.proposers)?.answering(asked.as_ref());
            local.memory.sends(rules, &name, std::slice::from_ref(&name), &message, noticed);
            local.memory.receives(rules, &name, &message);
            if message.is_request() {
                asked = Some(message);
            }
        }
        let mut sent = Vec::new();
        for send in &step.send {
            let message = Message::read(&send.msg, &rules.setup.proposers)?;
            let answered = message.answers.map(|mid| self.with_mid(mid).ok_or(mid)).transpose();
            let answered = answered.map_err(|mid| {
                Self::malformed(
                    &format_args!("\"re\" names a message, and there is no {mid}"),
                    &send.msg,
                )
            })?;
            let message = message.answering(answered.map(|it| &it.message));
            let to: Vec<_> = send.to.iter().map(|to| self.node(to)).collect::<Result<_, _>>()?;
            let targets: Vec<_> = to.iter().map(|to| self.names[*to].clone()).collect();
            local.memory.sends(rules, &name, &targets, &message, noticed);
            // A call of an earlier start is another call.
            let start = if rules.caps.rpc { local.memory.restarts } else { 0 };
            for to in to {
                let (from, mid, json) = (node, self.next_mid, send.msg.clone());
                let message = message.clone();
                let is_call = rules.caps.rpc && message.is_request();
                let id = self.message_id(Sent { from, to, mid, start, json, message });
                if is_call {
                    local.waits.insert(id);
                }
                sent.push(id);
            }
        }
        Ok(sent)
    }

    /// Takes the timers, the disk and the reported state of a node from a step.
    pub(super) fn keep(&mut self, local: &mut Local, step: &Step) {
        let name = self.names[local.node].clone();
        if let Some(store) = step.persist.get(&*name) {
            local.store = Some(store.clone());
        }
        if let Some(timers) = step.timers.get(&*name) {
            local.timers = timers.iter().map(|timer| self.timer(timer)).collect();
        }
        if let Some(state) = step.state.get(&*name) {
            local.reported = Some(state.clone());
        }
    }

    pub(super) fn read_step(reply: &Json) -> Result<Step, Broken> {
        Step::deserialize(reply).map_err(|what| Self::malformed(&what, reply))
    }

    pub(super) fn malformed(what: &impl fmt::Display, reply: &Json) -> Broken {
        let line = reply.to_string().chars().take(200).collect();
        Broken::Garbage { what: what.to_string(), line }
    }

    fn node(&self, name: &str) -> Result<Node, Broken> {
        self.names.iter().position(|it| **it == *name).ok_or_else(|| Broken::Garbage {
            what: format!("the nodes are {}", self.names.join(", ")),
            line: name.to_owned(),
        })
    }

    fn timer(&mut self, name: &str) -> usize {
        let known = self.timer_names.iter().position(|it| it == name);
        known.unwrap_or_else(|| {
            self.timer_names.push(name.to_owned());
            self.timer_names.len() - 1
        })
    }

    fn fact_id(&mut self, fact: Fact) -> FactId {
        let next = FactId(u32::try_from(self.facts.len()).expect("fewer facts"));
        let id = *self.fact_ids.entry(fact.clone()).or_insert(next);
        if id == next {
            self.facts.push(fact);
        }
        id
    }

    /// Returns the id of a state of a node.
    pub(super) fn local(&mut self, local: Local) -> LocalId {
        let mut hash = Xxh3::new();
        local.hash(&mut hash);
        // The state of an acceptor may be reported as a whole, and that of no other node. A node that neither saves nor reports it
        // is in a new state after each input.
        let reports = self.rules.caps.reports_state() && local.reported.is_some();
        if local.blob.is_none() && !(reports && self.only_votes(local.node)) {
            local.before.hash(&mut hash);
        }
        let next = LocalId(u32::try_from(self.locals.len()).expect("fewer states"));
        let id = *self.local_ids.entry(hash.digest128()).or_insert(next);
        if id == next {
            self.locals.push(local);
        }
        id
    }

    /// Returns the id of a message. A message that was sent before keeps its number.
    fn message_id(&mut self, sent: Sent) -> MessageId {
        let next = MessageId(u32::try_from(self.messages.len()).expect("fewer messages"));
        let key = (sent.from, sent.to, sent.start, sent.json.to_string());
        let id = *self.message_ids.entry(key).or_insert(next);
        if id == next {
            self.next_mid = self.next_mid.max(sent.mid + 1);
            self.mids.insert(sent.mid, id);
            self.messages.push(sent);
        }
        id
    }

    /// Numbers a message as a file does, before the subject sends it.
    pub(crate) fn expect_message(
        &mut self,
        from: &str,
        to: &str,
        mid: u64,
        start: u32,
        json: Json,
    ) -> Result<MessageId, Broken> {
        let (from, to) = (self.node(from)?, self.node(to)?);
        let message = Message::read(&json, &self.rules.setup.proposers);
        let message = message.map_err(|what| Self::malformed(&what, &json))?;
        let answered = message.answers.and_then(|mid| self.with_mid(mid));
        let message = message.answering(answered.map(|it| &it.message));
        Ok(self.message_id(Sent { from, to, mid, start, json, message }))
    }

    /// Returns the place of the timer with a name.
    pub(crate) fn timer_named(&mut self, name: &str) -> Input {
        Input::Timer(self.timer(name))
    }
}

/// A message that cannot be read.
enum Unread {
    Malformed(Malformed),
    Broken(Broken),
}

impl From<Malformed> for Unread {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Broken> for Unread {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}
