//! The table of corresponding fields of the implementation and the model.
//!
//! | implementation | model |
//! |---|---|
//! | `NodeId(n + 1)` | `NodeId(n)` |
//! | `Ballot { round: b / campaigners + 1, node: b mod campaigners + 1 }` | `Ballot(b)` |
//! | `Slot(s)` | `Slot(s)` |
//! | `Value::Command("v0")`, `"v1"`, …; `Value::Noop` | `Value(0)`, `Value(1)`, …; the last one |
//! | `acceptor.promised`, `acceptor.votes`, `acceptor.trimmed` | the same |
//! | `role` with `first`, `heard`, `reported`, `trimmed`, `votes` | `role` with the same |
//! | `reader` with `barrier`, `round`, `heard` and `index` | `reads` with `barrier`, `rounds`, `under_way` |
//! | `reader.asked`, `reader.waiting`: one read or none | a round is `under_way` or not, a read `waits` or not |
//! | `learner.chosen` | `chosen` |
//! | `learner.below`, `leader.first` | none: they follow from `chosen` and `trimmed`, and are checked against these |
//! | `config` | none: it never changes; its node id is checked |
//!
//! Every structure of a replica but its configuration is destructured without `..`. So this module does not compile if the
//! replica has a field that has no place in the table.

use crate::limits;
use bytes::Bytes;
use paxos::{
    self as real, Event, Message as RealMessage,
    protocol::{
        NodeSet as RealNodeSet, Parts,
        acceptor::Acceptor as RealAcceptor,
        learner::Learner,
        log::RunLog,
        proposer::{Candidate, Leader, Role as RealRole},
        reader::Reader,
    },
};
use paxos_model::cluster::{
    Bounds,
    state::{
        Acceptor, Ballot, Input, Live, Log, Message, Nack, NodeId, NodeSet, Reads, Request, Role,
        Round, SLOTS_MAX, Slot, Value, Vote,
    },
};

/// The token of every read. The model has at most one read in each round.
pub const READ: real::Token = real::Token(0);

/// A part of the implementation that has no counterpart in the model, as text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unmapped(pub String);

type Mapped<T> = Result<T, Unmapped>;

fn unmapped<T>(what: impl std::fmt::Debug) -> Mapped<T> {
    Err(Unmapped(format!("{what:?} has no counterpart in the model")))
}

/// The table for a cluster within some bounds.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    bounds: Bounds,
}

/// The messages that a replica sends in a step, in the model's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages that the network keeps, sorted.
    pub messages: Vec<Message>,
    /// Refusals.
    pub nacks: Vec<Nack>,
    /// Slots announced as chosen.
    pub announced: Vec<Slot>,
}

/// From the model to the implementation.
impl Projection {
    /// Returns the table for these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds }
    }

    /// The bounds.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Returns true if the space has reads.
    pub fn reads(&self) -> bool {
        self.bounds.reads > 0
    }

    /// The owner of a ballot.
    pub fn owner(&self, ballot: Ballot) -> NodeId {
        self.bounds.owner(ballot)
    }

    /// Returns the configuration of the replica of a node.
    pub fn config(&self, node: NodeId) -> real::Config {
        let nodes = (0..self.bounds.nodes).map(|node| real_node(NodeId(node)));
        let quorums = (self.bounds.phase1_quorum.into(), self.bounds.phase2_quorum.into());
        real::Config {
            in_flight_max: limits::IN_FLIGHT_MAX,
            slots_ahead_max: limits::SLOTS_AHEAD_MAX,
            batch_slots_max: limits::BATCH_SLOTS_MAX,
            ..real::Config::new(real_node(node), nodes).with_quorums(quorums.0, quorums.1)
        }
    }

    /// Returns the implementation's ballot.
    pub fn real_ballot(&self, ballot: Ballot) -> real::Ballot {
        let round = u64::from(ballot.0 / self.bounds.campaigners) + 1;
        real::Ballot::new(round, real_node(self.bounds.owner(ballot))).expect("rounds begin at 1")
    }

    /// Returns the implementation's value.
    pub fn real_value(&self, value: Value) -> real::Value {
        const NAMES: [&[u8]; 5] = [b"v0", b"v1", b"v2", b"v3", b"v4"];
        if value == self.bounds.noop() {
            return real::Value::Noop;
        }
        real::Value::Command(Bytes::from_static(NAMES[usize::from(value.0)]))
    }

    /// Returns the implementation's message, with its sender.
    pub fn real_message(&self, message: Message) -> (NodeId, RealMessage) {
        let owner = self.bounds.owner(message.ballot());
        let ballot = self.real_ballot(message.ballot());
        match message {
            Message::Prepare { first, .. } => {
                (owner, RealMessage::Prepare { ballot, first: real_slot(first) })
            }
            Message::Promise { from, trimmed, reports, .. } => {
                let reports = (0..).map(real::Slot).zip(reports);
                let reports = reports.filter_map(|(slot, vote)| {
                    let Vote { ballot, value } = vote?;
                    let (ballot, value) = (self.real_ballot(ballot), self.real_value(value));
                    Some(real::Report { slot, ballot, value })
                });
                let (trimmed, reports) = (real_slot(trimmed), reports.collect());
                (from, RealMessage::Promise { ballot, trimmed, reports })
            }
            Message::Accept { slot, value, .. } => {
                let values = [self.real_value(value)].into();
                (owner, RealMessage::Accept { ballot, first: real_slot(slot), values })
            }
            Message::Accepted { slot, from, .. } => {
                (from, RealMessage::Accepted { ballot, first: real_slot(slot), count: 1 })
            }
            Message::Confirm { round, .. } => {
                (owner, RealMessage::Confirm { ballot, round: round.into() })
            }
            Message::Confirmed { round, from, .. } => {
                (from, RealMessage::Confirmed { ballot, round: round.into() })
            }
        }
    }

    /// Returns the event of an input. A message that has no sender in the model gets a possible sender.
    pub fn event(&self, me: NodeId, input: Input) -> Event {
        let other = NodeId(u8::from(me.0 == 0));
        let (from, message) = match input {
            Input::Campaign => return Event::Timer(real::Timer::Campaign),
            Input::Propose { request: Request { value, count } } => {
                let real::Value::Command(command) = self.real_value(value) else {
                    unreachable!("clients ask for commands")
                };
                let tokens = (0..u64::from(count)).map(real::Token);
                let command = |token| real::Proposal { token, command: command.clone() };
                return Event::Propose(tokens.map(command).collect());
            }
            Input::Message(message) => self.real_message(message),
            Input::Nack { ballot, promised } => {
                let (ballot, promised) = (self.real_ballot(ballot), self.real_ballot(promised));
                (other, RealMessage::Nack { ballot, promised })
            }
            Input::Chosen { slot, value } => {
                let values = [self.real_value(value)].into();
                (other, RealMessage::Learned { first: real_slot(slot), values, more: false })
            }
            Input::Snapshot { below } => {
                return Event::Snapshot { below: real_slot(below) };
            }
            Input::Read => return Event::Read(vec![READ]),
        };
        Event::Message { from: real_node(from), message }
    }
}

/// From the implementation to the model.
impl Projection {
    /// Returns the model's state of a whole replica.
    ///
    /// # Errors
    /// Fails at the first part that has no counterpart, or that does not follow from the parts that determine it.
    pub fn live(&self, node: NodeId, parts: Parts<'_>) -> Mapped<Live> {
        let Parts { config, acceptor, role, learner } = parts;
        if config.id != real_node(node) {
            return unmapped(config.id);
        }
        let Learner { chosen, below } = learner;
        let chosen = self.log(chosen, |(), value| self.value(value))?;
        let acceptor = self.acceptor(acceptor)?;
        let trimmed = usize::from(acceptor.trimmed.0);
        let known = chosen.iter().skip(trimmed).take_while(|value| value.is_some()).count();
        if below.0 != (trimmed + known) as u64 {
            return unmapped(format!("learner.below = {below} with {chosen:?} chosen"));
        }
        let role = match role {
            RealRole::Follower => Role::Follower,
            RealRole::Candidate(Candidate { first, heard, trimmed, reported }) => Role::Candidate {
                first: self.end(*first)?,
                heard: self.node_set(*heard)?,
                reported: self.log(reported, |ballot, value| self.vote(ballot, value))?,
                trimmed: self.end(*trimmed)?,
            },
            RealRole::Leader(Leader { tally, reader }) => {
                if tally.first() != *below {
                    return unmapped(format!("{tally:?}, learner.below = {below}"));
                }
                let mut log = Log::default();
                for (slot, votes) in tally.slots() {
                    log[self.slot(slot)?] = self.node_set(votes)?;
                }
                Role::Leader { votes: log, reads: self.reader(reader)? }
            }
        };
        Ok(Live { acceptor, role, chosen })
    }

    /// Returns the model's acceptor: the durable state.
    ///
    /// # Errors
    /// Fails at the first part that has no counterpart.
    pub fn acceptor(&self, acceptor: &RealAcceptor) -> Mapped<Acceptor> {
        let RealAcceptor { promised, trimmed, votes } = acceptor;
        let promised = promised.map(|ballot| self.ballot(ballot)).transpose()?;
        let votes = self.log(votes, |ballot, value| self.vote(ballot, value))?;
        Ok(Acceptor { promised, votes, trimmed: self.end(*trimmed)? })
    }

    /// Returns the messages that `me` sends in a step. `after` is its acceptor after the step. The votes in it supply the
    /// values, which `Accepted` messages do not name.
    ///
    /// # Errors
    /// Fails at a message that has no counterpart, or that goes to the wrong receiver.
    pub fn sent(&self, me: NodeId, after: &Acceptor, envelopes: &[real::Envelope]) -> Mapped<Sent> {
        let mut sent = Sent::default();
        for real::Envelope { to, message } in envelopes {
            let to_owner = |ballot: Ballot| {
                let owner = real::To::Node(real_node(self.bounds.owner(ballot)));
                if *to == owner { Ok(ballot) } else { unmapped((to, message)) }
            };
            let to_peers = |ballot: Ballot| {
                let mine = self.bounds.owner(ballot) == me;
                if *to == real::To::Peers && mine { Ok(ballot) } else { unmapped((to, message)) }
            };
            match message {
                RealMessage::Prepare { ballot, first } => {
                    let ballot = to_peers(self.ballot(*ballot)?)?;
                    let first = self.end(*first)?;
                    sent.messages.push(Message::Prepare { ballot, first });
                }
                RealMessage::Promise { ballot, trimmed, reports } => {
                    let ballot = to_owner(self.ballot(*ballot)?)?;
                    let mut log = Log::default();
                    for real::Report { slot, ballot, value } in reports {
                        let (ballot, value) = (self.ballot(*ballot)?, self.value(value)?);
                        log[self.slot(*slot)?] = Some(Vote { ballot, value });
                    }
                    let (trimmed, reports) = (self.end(*trimmed)?, log);
                    sent.messages.push(Message::Promise { ballot, from: me, trimmed, reports });
                }
                RealMessage::Accept { ballot, first, values } => {
                    let ballot = to_peers(self.ballot(*ballot)?)?;
                    for (slot, value) in values.with_slots(*first) {
                        let slot = Slot(self.slot(slot)? as u8);
                        let value = self.value(value)?;
                        sent.messages.push(Message::Accept { ballot, slot, value });
                    }
                }
                RealMessage::Accepted { ballot, first, count } => {
                    let ballot = to_owner(self.ballot(*ballot)?)?;
                    for slot in (first.0..first.0.saturating_add(*count)).map(real::Slot) {
                        let at = self.slot(slot)?;
                        let Some(vote) = after.votes[at] else { return unmapped(message) };
                        let (slot, value) = (Slot(at as u8), vote.value);
                        sent.messages.push(Message::Accepted { ballot, slot, value, from: me });
                    }
                }
                RealMessage::Nack { ballot, promised } => {
                    let ballot = to_owner(self.ballot(*ballot)?)?;
                    sent.nacks.push(Nack { ballot, promised: self.ballot(*promised)? });
                }
                RealMessage::Chosen { ballot, first, count } => {
                    to_peers(self.ballot(*ballot)?)?;
                    for slot in (first.0..first.0.saturating_add(*count)).map(real::Slot) {
                        sent.announced.push(Slot(self.slot(slot)? as u8));
                    }
                }
                RealMessage::Confirm { ballot, round } => {
                    let (ballot, round) = (to_peers(self.ballot(*ballot)?)?, self.round(*round)?);
                    sent.messages.push(Message::Confirm { ballot, round });
                }
                RealMessage::Confirmed { ballot, round } => {
                    let (ballot, round) = (to_owner(self.ballot(*ballot)?)?, self.round(*round)?);
                    sent.messages.push(Message::Confirmed { ballot, round, from: me });
                }
                RealMessage::Trimmed { .. }
                | RealMessage::Heartbeat { .. }
                | RealMessage::Learn { .. }
                | RealMessage::Learned { .. } => return unmapped(message),
            }
        }
        sent.messages.sort_unstable();
        Ok(sent)
    }

    fn slot(&self, slot: real::Slot) -> Mapped<usize> {
        if slot.0 < u64::from(self.bounds.slots) { Ok(slot.0 as usize) } else { unmapped(slot) }
    }

    /// Maps the end of a log, or of a part of it. This slot may be one beyond the last slot of the space.
    fn end(&self, slot: real::Slot) -> Mapped<Slot> {
        if slot.0 <= u64::from(self.bounds.slots) { Ok(Slot(slot.0 as u8)) } else { unmapped(slot) }
    }

    fn round(&self, round: u64) -> Mapped<u8> {
        if round <= u64::from(self.bounds.reads) { Ok(round as u8) } else { unmapped(round) }
    }

    /// Maps the read rounds of a leader. Leaves out the barrier in a space without reads, because nothing depends on it
    /// there.
    fn reader(&self, reader: &Reader) -> Mapped<Reads> {
        let Reader { barrier, round, heard, index, asked, waiting } = reader;
        let (all, none) = ([READ].as_slice(), [].as_slice());
        let under_way = match (heard.is_empty(), asked.as_slice()) {
            (true, asked) if asked == none && index.0 == 0 => None,
            (false, asked) if asked == all => {
                Some(Round { heard: self.node_set(*heard)?, index: self.end(*index)? })
            }
            _ => return unmapped(reader),
        };
        let waits = match waiting.as_slice() {
            waiting if waiting == none => false,
            waiting if waiting == all => true,
            _ => return unmapped(reader),
        };
        let barrier = match self.bounds.reads {
            0 => Slot(0),
            _ => self.end(*barrier)?,
        };
        Ok(Reads { barrier, rounds: self.round(*round)?, under_way, waits })
    }

    fn ballot(&self, ballot: real::Ballot) -> Mapped<Ballot> {
        let all = (0..self.bounds.ballots).map(Ballot);
        let mut same = all.filter(|&mine| self.real_ballot(mine) == ballot);
        same.next().map_or_else(|| unmapped(ballot), Ok)
    }

    fn value(&self, value: &real::Value) -> Mapped<Value> {
        match value {
            real::Value::Noop => Ok(self.bounds.noop()),
            real::Value::Command(bytes) => match bytes[..] {
                [b'v', digit @ b'0'..=b'9'] if digit - b'0' < self.bounds.values => {
                    Ok(Value(digit - b'0'))
                }
                _ => unmapped(value),
            },
        }
    }

    fn vote(&self, ballot: real::Ballot, value: &real::Value) -> Mapped<Vote> {
        Ok(Vote { ballot: self.ballot(ballot)?, value: self.value(value)? })
    }

    fn node_set(&self, set: RealNodeSet) -> Mapped<NodeSet> {
        if set.0 < 1 << self.bounds.nodes { Ok(NodeSet(set.0 as u8)) } else { unmapped(set) }
    }

    fn log<T: Copy, U: Copy>(
        &self,
        log: &RunLog<T, real::Value>,
        map: impl Fn(T, &real::Value) -> Mapped<U>,
    ) -> Mapped<Log<Option<U>>> {
        let mut mapped = [None; SLOTS_MAX];
        for (slot, tag, value) in log.iter() {
            mapped[self.slot(slot)?] = Some(map(tag, value)?);
        }
        Ok(mapped)
    }
}

/// Returns the implementation's id of a node.
pub fn real_node(node: NodeId) -> real::NodeId {
    real::NodeId(u32::from(node.0) + 1)
}

/// Returns the implementation's slot.
pub fn real_slot(slot: Slot) -> real::Slot {
    real::Slot(slot.0.into())
}
