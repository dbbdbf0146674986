//! The protocol paxos-conf/1: requests, replies, capabilities and messages. `docs/subject-protocol.md` describes it.
//!
//! This module knows the form of what is said, and not what it means.

use std::{collections::BTreeMap, fmt, rc::Rc};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value as Json};

/// The name of the protocol.
pub const PROTOCOL: &str = "paxos-conf/1";

/// A request to an adapter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each field")]
pub enum Request<'a> {
    Hello {
        proto: &'a str,
    },
    Init(Setup),
    Propose {
        at: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        slot: Option<u64>,
        value: Json,
    },
    Deliver {
        at: &'a str,
        from: &'a str,
        mid: u64,
        msg: &'a Json,
    },
    Timer {
        at: &'a str,
        timer: &'a str,
    },
    Fail {
        at: &'a str,
        mid: u64,
        to: &'a str,
        msg: &'a Json,
    },
    Crash {
        at: &'a str,
    },
    Restart {
        at: &'a str,
        store: Option<&'a Json>,
    },
    Save,
    Load {
        blob: &'a Json,
    },
    Bye,
}

impl Request<'_> {
    /// Returns the request without its id.
    pub(crate) fn json(&self) -> Json {
        serde_json::to_value(self).expect("a request is JSON")
    }
}

/// The cluster that `init` asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The nodes that vote.
    pub acceptors: Vec<String>,
    /// The nodes that may propose.
    pub proposers: Vec<String>,
    /// The nodes that learn.
    pub learners: Vec<String>,
    /// The nodes in this process: all of them.
    pub host: Vec<String>,
    /// The seed of all randomness.
    pub seed: u64,
    /// The contents of the disks of nodes.
    pub store: Map<String, Json>,
}

/// The first reply of an adapter, about itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Hello {
    /// The name of the implementation.
    #[serde(rename = "impl")]
    pub name: String,
    /// Its capabilities.
    #[serde(default)]
    pub caps: Capabilities,
}

/// Each node has one role, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum Topology {
    Split,
    #[default]
    Combined,
}

/// The form of ballots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum BallotForm {
    #[default]
    Pair,
    Int,
    IntShared,
}

/// The type of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum ValueForm {
    #[default]
    String,
    Char,
    Int,
}

/// Further proposals at the same proposer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum Repropose {
    #[default]
    None,
    AfterDecided,
    Any,
}

/// The node that assigns slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum Slots {
    #[default]
    Client,
    Subject,
}

/// The size of a quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum QuorumSize {
    #[default]
    Majority,
    N,
}

/// The part of a node that a ballot belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum BallotScope {
    #[default]
    Node,
    Slot,
}

/// The acceptors to which a Prepare message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum PrepareTo {
    #[default]
    All,
    Quorum,
}

/// A part of the state of a node that survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
pub enum Durable {
    Promised,
    Accepted,
    Round,
}

/// The capabilities of an implementation. An absent field has its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "docs/subject-protocol.md describes each capability")]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the protocol")]
pub struct Capabilities {
    pub topology: Topology,
    pub sizes: Option<Vec<usize>>,
    pub ballot: BallotForm,
    pub values: ValueForm,
    pub noop: Vec<Json>,
    pub repropose: Repropose,
    pub save: bool,
    pub rpc: bool,
    pub durable: Vec<Durable>,
    pub observe: Vec<String>,
    pub dup_ok: bool,
    pub multi: bool,
    pub slots: Slots,
    pub quorum: QuorumSize,
    pub ballot_scope: BallotScope,
    pub prepare_to: PrepareTo,
    // The judge does not need these: it sees what the messages carry, and where they go.
    promise: IgnoredAny,
    accepted: IgnoredAny,
    accepted_to: IgnoredAny,
    nack: IgnoredAny,
    decided_msg: IgnoredAny,
    retry: IgnoredAny,
    accept_to: IgnoredAny,
    self_delivery: IgnoredAny,
    raw: IgnoredAny,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            topology: Topology::default(),
            sizes: None,
            ballot: BallotForm::default(),
            values: ValueForm::default(),
            noop: Vec::new(),
            repropose: Repropose::default(),
            save: false,
            rpc: false,
            durable: vec![Durable::Promised, Durable::Accepted],
            observe: Vec::new(),
            dup_ok: true,
            multi: false,
            slots: Slots::default(),
            quorum: QuorumSize::default(),
            ballot_scope: BallotScope::default(),
            prepare_to: PrepareTo::default(),
            promise: IgnoredAny,
            accepted: IgnoredAny,
            accepted_to: IgnoredAny,
            nack: IgnoredAny,
            decided_msg: IgnoredAny,
            retry: IgnoredAny,
            accept_to: IgnoredAny,
            self_delivery: IgnoredAny,
            raw: IgnoredAny,
        }
    }
}

impl Capabilities {
    /// Returns true if proposers keep their rounds over a restart.
    pub fn keeps_rounds(&self) -> bool {
        self.durable.contains(&Durable::Round)
    }

    /// Returns true if acceptors may start again after a crash.
    pub fn acceptors_restart(&self) -> bool {
        self.durable.contains(&Durable::Promised) && self.durable.contains(&Durable::Accepted)
    }

    /// Returns true if the subject reports the whole state of its acceptors and learners.
    pub fn reports_state(&self) -> bool {
        ["promised", "accepted", "decided"]
            .iter()
            .all(|part| self.observe.iter().any(|it| it == part))
    }
}

/// The reply to each request that changes something.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Messages to other nodes.
    pub send: Vec<Send>,
    /// Messages that a node has delivered to itself, in order.
    #[serde(rename = "self")]
    pub own: Vec<Own>,
    /// The durable states that have changed.
    pub persist: Map<String, Json>,
    /// The armed timers of each node whose timers have changed.
    pub timers: BTreeMap<String, Vec<String>>,
    /// The values that nodes take as chosen.
    pub decided: Vec<Decided>,
    /// The states of nodes, after the step.
    pub state: Map<String, Json>,
    /// The reason for which the node has ended.
    pub fault: Option<Fault>,
}

impl Step {
    /// Returns true if nothing left the node.
    pub(crate) fn is_silent(&self) -> bool {
        let Self { send, own, persist, timers: _, decided, state: _, fault } = self;
        send.is_empty()
            && own.is_empty()
            && persist.is_empty()
            && decided.is_empty()
            && fault.is_none()
    }
}

/// A message to some nodes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Send {
    /// The targets, in order.
    pub to: Vec<String>,
    /// The message.
    pub msg: Json,
}

/// A message of a node to itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Own {
    /// The node.
    pub at: String,
    /// The message.
    pub msg: Json,
}

/// A value that a node takes as chosen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Decided {
    /// The node.
    pub at: String,
    /// The slot.
    #[serde(default)]
    pub slot: u64,
    /// The value.
    pub value: Json,
}

/// A node that has ended in a step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fault {
    /// `panic`, `assert` or `reject`.
    pub kind: String,
    /// The text of the error.
    #[serde(default)]
    pub text: String,
}

/// A part of a ballot. Numbers come before nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    Number(i128),
    /// The place of a node in `proposers`.
    Node(usize),
}

/// A ballot of the subject. Ballots are ordered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot(Rc<[Part]>);

/// A value, as the text of its JSON.
pub type Value = Rc<str>;

/// A slot of the log.
pub type Slot = u64;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the kinds of Paxos")]
pub enum Kind {
    Prepare,
    Promise,
    Accept,
    Accepted,
    Nack,
    Decided,
    /// A message that is delivered and never judged.
    Other,
}

/// A field of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field<T> {
    /// The implementation does not carry the field.
    NotCarried,
    /// The field says that there is nothing.
    Nothing,
    /// The content of the field.
    Just(T),
}

impl<T> Field<T> {
    fn get(self) -> Option<T> {
        match self {
            Self::Just(it) => Some(it),
            _ => None,
        }
    }
}

/// The entry of a message for one slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The slot.
    pub slot: Slot,
    /// The ballot of a reported vote.
    pub vote: Field<Ballot>,
    /// The value.
    pub value: Option<Value>,
}

/// A message in terms of Paxos.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The kind.
    pub kind: Kind,
    /// The ballot. An answer may leave it out.
    pub ballot: Option<Ballot>,
    /// The number of the message that this one answers.
    pub answers: Option<u64>,
    /// An entry for each slot. A message without `slots` is about slot 0.
    pub entries: Vec<Entry>,
    /// True if the message has `slots`.
    pub batched: bool,
    /// The first slot that a Prepare asks for.
    pub first: Slot,
    /// Slots below are decided at the sender of a Promise.
    pub decided_below: Slot,
    /// True if further parts of a Promise follow.
    pub more: bool,
    /// The ballot that an Accept promises next.
    pub next: Option<Ballot>,
}

/// Something in a reply that is not the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {found}")]
pub struct Malformed {
    what: &'static str,
    found: String,
}

fn malformed<T>(what: &'static str, found: &impl fmt::Display) -> Result<T, Malformed> {
    Err(Malformed { what, found: found.to_string() })
}

impl Ballot {
    /// Reads a ballot: an integer, or an array of integers and proposers.
    pub(crate) fn read(json: &Json, proposers: &[String]) -> Result<Self, Malformed> {
        let part = |json: &Json| match json {
            Json::Number(number) => {
                let small = number.as_i64().map(i128::from);
                small.or(number.as_u64().map(i128::from)).map(Part::Number)
            }
            Json::String(id) => proposers.iter().position(|it| it == id).map(Part::Node),
            _ => None,
        };
        let parts: Option<Rc<[Part]>> = match json {
            Json::Number(_) => part(json).map(|part| Rc::from([part])),
            Json::Array(parts) if !parts.is_empty() => parts.iter().map(part).collect(),
            _ => None,
        };
        match parts {
            Some(parts) => Ok(Self(parts)),
            None => {
                malformed("a ballot is an integer, or an array of integers and proposers", json)
            }
        }
    }

    /// The proposer that a ballot names, by its place in `proposers`.
    pub(crate) fn owner(&self) -> Option<usize> {
        self.0.iter().find_map(|part| match part {
            Part::Node(place) => Some(*place),
            Part::Number(_) => None,
        })
    }

    /// Returns the ballot as text.
    pub(crate) fn text(&self, proposers: &[String]) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Number(number) => number.to_string(),
            Part::Node(place) => proposers[*place].clone(),
        });
        parts.collect::<Vec<_>>().join(".")
    }
}

/// Returns a value for the text of its JSON.
pub(crate) fn value(json: &Json) -> Value {
    json.to_string().into()
}

impl Message {
    /// Reads a message.
    pub(crate) fn read(json: &Json, proposers: &[String]) -> Result<Self, Malformed> {
        let Some(fields) = json.as_object() else {
            return malformed("a message is an object", json);
        };
        let kind = match fields.get("k").and_then(Json::as_str) {
            Some("prepare") => Kind::Prepare,
            Some("promise") => Kind::Promise,
            Some("accept") => Kind::Accept,
            Some("accepted") => Kind::Accepted,
            Some("nack") => Kind::Nack,
            Some("decided") => Kind::Decided,
            Some("x") => Kind::Other,
            Some(_) => {
                return malformed(
                    "the kind of a message is none of the protocol; others are \"x\"",
                    json,
                );
            }
            None => return malformed("a message has its kind in \"k\"", json),
        };
        let ballot = |fields: &Map<String, Json>, name: &str| match fields.get(name) {
            None => Ok(Field::NotCarried),
            Some(Json::Null) => Ok(Field::Nothing),
            Some(json) => Ballot::read(json, proposers).map(Field::Just),
        };
        let entry = |fields: &Map<String, Json>, slot| {
            let value = fields.get("v").filter(|it| !it.is_null()).map(value);
            Ok(Entry { slot, vote: ballot(fields, "vb")?, value })
        };
        let number = |name: &str| match fields.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(json) => match json.as_u64() {
                Some(number) => Ok(Some(number)),
                None => malformed("a slot or a mid is a number from 0", json),
            },
        };
        if kind == Kind::Other {
            return Ok(Self::other(number("re")?));
        }
        let entries = match fields.get("slots") {
            None => vec![entry(fields, 0)?],
            Some(slots) => {
                let read = |json: &Json| match (json.as_object(), json["s"].as_u64()) {
                    (Some(fields), Some(slot)) => entry(fields, slot),
                    _ => {
                        malformed("an entry of \"slots\" is an object with its slot in \"s\"", json)
                    }
                };
                let Some(slots) = slots.as_array() else {
                    return malformed("\"slots\" is an array", slots);
                };
                slots.iter().map(read).collect::<Result<_, _>>()?
            }
        };
        let message = Self {
            kind,
            ballot: ballot(fields, "b")?.get(),
            answers: number("re")?,
            batched: fields.contains_key("slots"),
            entries,
            first: number("first")?.unwrap_or(0),
            decided_below: number("through")?.map_or(0, |slot| slot.saturating_add(1)),
            more: fields.get("more").and_then(Json::as_bool).unwrap_or(false),
            next: ballot(fields, "np")?.get(),
        };
        match kind {
            Kind::Prepare | Kind::Accept if message.ballot.is_none() => {
                malformed("a prepare and an accept have a ballot in \"b\"", json)
            }
            _ => Ok(message),
        }
    }

    /// Returns true if the message is a Promise with a vote.
    pub(crate) fn reports_vote(&self) -> bool {
        let has_vote = |entry: &Entry| matches!(entry.vote, Field::Just(_));
        self.kind == Kind::Promise && self.entries.iter().any(has_vote)
    }

    /// Returns true if the message is a Promise that does not say whether there is a vote.
    pub(crate) fn carries_no_vote(&self) -> bool {
        let says_nothing = |entry: &Entry| entry.vote == Field::NotCarried;
        self.kind == Kind::Promise && self.entries.iter().any(says_nothing)
    }

    /// Returns a message that is delivered and never judged.
    fn other(answers: Option<u64>) -> Self {
        Self {
            kind: Kind::Other,
            ballot: None,
            answers,
            entries: Vec::new(),
            batched: false,
            first: 0,
            decided_below: 0,
            more: false,
            next: None,
        }
    }

    /// Returns true if acceptors answer the message.
    pub(crate) fn is_request(&self) -> bool {
        matches!(self.kind, Kind::Prepare | Kind::Accept)
    }

    /// Fills in what an answer leaves out, from the message that it answers.
    pub(crate) fn answering(mut self, answered: Option<&Self>) -> Self {
        if let Some(answered) = answered {
            if self.ballot.is_none() && self.kind != Kind::Nack {
                self.ballot.clone_from(&answered.ballot);
            }
            if self.kind == Kind::Promise {
                self.first = answered.first;
            }
            if self.kind == Kind::Accepted {
                // The vote promises what the Accept message promises in advance.
                self.next.clone_from(&answered.next);
                if answered.batched && !self.batched {
                    self.entries.clone_from(&answered.entries);
                }
                for entry in self.entries.iter_mut().filter(|entry| entry.value.is_none()) {
                    let same = answered.entries.iter().find(|it| it.slot == entry.slot);
                    entry.value = same.and_then(|it| it.value.clone());
                }
            }
        }
        self
    }
}
