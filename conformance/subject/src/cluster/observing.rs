//! The replies of a subject, as states, messages and facts.

use std::{fmt, hash::Hash as _};

use serde::Deserialize as _;
use serde_json::Value as Json;
use xxhash_rust::xxh3::Xxh3;

use super::{Cluster, FactId, Input, Local, LocalId, MessageId, Node, Sent, Transition};
use crate::{
    claims::NO_FAULT,
    facts::Fact,
    memory::{Noticed, Rules},
    process::Broken,
    protocol::{Malformed, Message, Step, value},
};

impl Cluster {
    /// Takes what a node said about an input: its new state, its messages, and what they contradict.
    pub(super) fn observe(
        &mut self,
        id: LocalId,
        input: Input,
        replies: Vec<Json>,
        blob: Option<Json>,
    ) -> Result<Transition, Broken> {
        let rules = self.rules.clone();
        let last = replies.last().expect("each input has a reply");
        let step = Self::read_step(last)?;
        let mut local = self.at_local(id).clone();
        let name = self.names[local.node].clone();
        local.before = Some((id, input));
        let mut noticed = Noticed::default();
        // A node that is in the same state as before, and says nothing, has ignored its input. Nothing can follow from it.
        let ignores = blob.is_some() && blob == local.blob && step.is_silent();
        match input {
            Input::Propose(place) => {
                let wish = value(&self.wishes[place].1);
                // A client whose request had no effect may ask again.
                if step != Step::default() {
                    local.memory.asked.insert(wish.clone());
                    local.memory.asks += 1;
                }
                noticed.facts.push(Fact::Asked { value: wish });
            }
            Input::Deliver(id) => {
                let Sent { from, message, .. } = self.message(id).clone();
                if !ignores {
                    local.memory.receives(&rules, &self.names[from], &message);
                }
                if !rules.caps.save || !rules.caps.dup_ok {
                    *local.taken.entry(id).or_default() += 1;
                }
                if let Some(answered) = message.answers {
                    local.waits.retain(|it| self.messages[it.0 as usize].mid != answered);
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
        let memory_before = local.memory.clone();
        if let Some(fault) = &step.fault {
            noticed.findings.push(NO_FAULT.fails(format!(
                "{name}: {}: {}",
                fault.kind,
                fault.text.replace('\n', " ")
            )));
        }
        for of in
            step.persist.keys().map(String::as_str).chain(step.own.iter().map(|it| it.at.as_str()))
        {
            if *of != *name {
                return Err(Self::malformed(&format_args!("a step of {name} changes {of}"), last));
            }
        }
        self.keep(&mut local, &step);
        let sent =
            self.sends(&rules, &mut local, &step, &mut noticed).map_err(|what| match what {
                Unread::Malformed(what) => Self::malformed(&what, last),
                Unread::Broken(broken) => broken,
            })?;
        for decided in &step.decided {
            if decided.at != *name {
                return Err(Self::malformed(
                    &format_args!("a step of {name} decides at {}", decided.at),
                    last,
                ));
            }
            local.memory.decides(&name, decided.slot, &value(&decided.value), &mut noticed);
        }
        if let Some(state) = step.state.get(&*name) {
            local
                .memory
                .reports(&rules, &name, state, &mut noticed)
                .map_err(|what| Self::malformed(&what, last))?;
        }
        if let Input::Deliver(id) = input
            && step.fault.is_none()
        {
            let message = &self.message(id).message;
            noticed.findings.extend(memory_before.refuses(&rules, &name, message, &local.memory));
        }
        let fault = step.fault.is_some();
        local.down = fault;
        local.blob = blob;
        let facts = noticed.facts.into_iter().map(|fact| self.fact_id(fact)).collect();
        Ok(Transition {
            next: self.local(local),
            sent,
            facts,
            findings: noticed.findings,
            reuse: noticed.reuse,
            fault,
            replies,
        })
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
            local.memory.sends(rules, &name, &name, &message, noticed);
            local.memory.receives(rules, &name, &message);
            if message.is_request() {
                asked = Some(message);
            }
        }
        let mut sent = Vec::new();
        for send in &step.send {
            let message = Message::read(&send.msg, &rules.setup.proposers)?;
            let answered =
                message.answers.and_then(|mid| self.messages.iter().find(|it| it.mid == mid));
            let message = message.answering(answered.map(|it| &it.message));
            for to in &send.to {
                let to = self.node(to)?;
                let target = self.names[to].clone();
                local.memory.sends(rules, &name, &target, &message, noticed);
                // A call of an earlier start is another call.
                let start = if rules.caps.rpc { local.memory.restarts } else { 0 };
                let (mid, json) = (self.next_mid, send.msg.clone());
                let id = self.message_id(Sent {
                    from: node,
                    to,
                    mid,
                    start,
                    json,
                    message: message.clone(),
                });
                if rules.caps.rpc && message.answers.is_none() {
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

    fn malformed(what: &impl fmt::Display, reply: &Json) -> Broken {
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
        // A subject that neither saves nor reports its state is in a new state after each input.
        let reports = self.rules.caps.reports_state() && local.reported.is_some();
        if local.blob.is_none() && !reports {
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
        let answered =
            message.answers.and_then(|mid| self.messages.iter().find(|it| it.mid == mid));
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
