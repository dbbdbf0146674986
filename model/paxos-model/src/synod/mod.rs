//! Lamport's Paxos for one value, as a set of messages that only grows.
//!
//! This is the specification, with the semantics of Lamport's `Paxos.tla`: acceptors promise and vote, and any proposer may
//! start a ballot or propose in it. It describes no processes. There are no leaders, no lost, delayed or repeated messages,
//! and no crashes. Any proposer or acceptor may read any message of the set at any time, or never, and this covers loss,
//! delay, repetition and crashes. The specification says what replicas must achieve. Other models show how they achieve it.
//!
//! The messages, and when they may be sent:
//!
//! | message   | sent by               | when                                                        |
//! |-----------|-----------------------|-------------------------------------------------------------|
//! | 1a(b)     | [`Action::Prepare`]   | always                                                      |
//! | 1b(a, b)  | [`Action::Promise`]   | 1a(b) was sent, and b is above everything `a` has answered  |
//! | 2a(b, v)  | [`Action::Propose`]   | no 2a in b yet, and a quorum of 1b in b allows v            |
//! | 2b(a, b)  | [`Action::Vote`]      | a 2a in b was sent, and b is not below what `a` has answered |
//!
//! A quorum of promises allows the value of the highest vote that they report. It allows any value if they report no vote.
//!
//! # Why the messages are enough
//!
//! A [`State`] is the set of messages and nothing else, with one bit for each in one `u128`. The other variables of
//! `Paxos.tla` follow from the messages:
//!
//! - *maxBal* of an acceptor is the highest ballot in which it has promised or voted.
//! - *maxVBal* is the ballot of its highest vote. That is its latest vote, because an acceptor never votes below its maxBal.
//! - *maxVal* is the value of that vote. The value of a vote is the one proposed in its ballot, because no ballot has two
//!   proposals. So a 2b needs no value.
//! - The report of a 1b is the acceptor's highest vote below the promised ballot. At the time of the promise, all votes of
//!   the acceptor are below that ballot. Afterwards the acceptor never votes below that ballot, so its highest vote below it
//!   stays the same. So a 1b needs no report.
//!
//! Every action adds exactly one message. So all paths to a state have the same length. The depth of a state is its number
//! of messages plus 1, because the initial state is at depth 1.

mod symmetry;

use std::fmt;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use serde::Serialize;
use stateright::{Model, Property};

use state_explorer::packing::{Packer, Unpacker};
use state_explorer::{Explorable, Packing, Symmetry, flag};

/// An acceptor, numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize)]
pub struct Acceptor(pub u8);

/// A ballot, numbered from 0. A higher number is a higher ballot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Ballot(pub u8);

/// A value, numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Value(pub u8);

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// The set of messages sent so far. Only [`Synod`] knows the message of each bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Default)]
pub struct State(u128);

/// Hashes only one word for most states, because a search hashes many millions of states.
impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
        if let high @ 1.. = (self.0 >> u64::BITS) as u64 {
            state.write_u64(high);
        }
    }
}

impl State {
    /// Returns the number of messages that were sent.
    pub const fn messages(self) -> u32 {
        self.0.count_ones()
    }

    /// Returns the messages of both states.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

/// The sending of one message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Action {
    /// 1a: a proposer starts a ballot.
    Prepare(Ballot),
    /// 1b: an acceptor leaves every lower ballot, and reports its highest vote.
    Promise(Acceptor, Ballot),
    /// 2a: a proposer proposes a value that a quorum of promises allows.
    Propose(Ballot, Value),
    /// 2b: an acceptor votes for the proposal of a ballot.
    Vote(Acceptor, Ballot),
}

/// The size of a model. Quorums are majorities unless given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The number of acceptors.
    pub acceptors: u8,
    /// The number of values that may be proposed.
    pub values: u8,
    /// The number of ballots that may be started.
    pub ballots: u8,
    /// The number of promises that allow a proposal.
    pub phase1_quorum: Option<u8>,
    /// The number of votes that choose a value.
    pub phase2_quorum: Option<u8>,
}

/// The reason why [`Bounds`] are refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BoundsError {
    /// A count that must be positive is zero.
    #[error("there must be at least one {0}")]
    None(&'static str),
    /// The messages do not fit in a state.
    #[error(
        "{acceptors} acceptors, {values} values and {ballots} ballots make {bits} possible \
         messages, and a state holds {STATE_BITS}; {}",
        room(*acceptors, *values)
    )]
    TooLarge {
        /// The number of acceptors.
        acceptors: u8,
        /// The number of values.
        values: u8,
        /// The number of ballots.
        ballots: u8,
        /// The number of messages, with one bit each.
        bits: u32,
    },
    /// A quorum without acceptors, or with more acceptors than there are.
    #[error(
        "a phase-{phase} quorum of {size} is not a quorum of {acceptors} acceptors; \
         give a size from 1 to {acceptors}"
    )]
    QuorumSize {
        /// 1 or 2.
        phase: u8,
        /// The size asked for.
        size: u8,
        /// The number of acceptors.
        acceptors: u8,
    },
    /// A quorum of promises and a quorum of votes need not share an acceptor.
    #[error(
        "a phase-1 quorum of {phase1} and a phase-2 quorum of {phase2} need not meet among \
         {acceptors} acceptors; the two sizes must add up to more than {acceptors}, so with a \
         phase-1 quorum of {phase1} give a phase-2 quorum of at least {}",
        acceptors - phase1 + 1
    )]
    QuorumsMiss {
        /// Size of a quorum of promises.
        phase1: u8,
        /// Size of a quorum of votes.
        phase2: u8,
        /// The number of acceptors.
        acceptors: u8,
    },
}

const STATE_BITS: u32 = u128::BITS;

/// The highest number of acceptors, with one value and one ballot.
pub const ACCEPTORS_MAX: usize = (STATE_BITS as usize - 2) / 2;
/// The highest number of values, with one acceptor and one ballot.
pub const VALUES_MAX: usize = STATE_BITS as usize - 3;
/// The highest number of ballots, with one acceptor and one value.
pub const BALLOTS_MAX: usize = STATE_BITS as usize / 4;

/// Returns the number of bits for a ballot: the 1a, a 1b and a 2b of each acceptor, and a 2a of each value.
fn ballot_bits(acceptors: u8, values: u8) -> u32 {
    1 + 2 * u32::from(acceptors) + u32::from(values)
}

fn room(acceptors: u8, values: u8) -> String {
    match STATE_BITS / ballot_bits(acceptors, values) {
        0 => format!(
            "give fewer acceptors or values: twice the number of acceptors and that of values together may be \
             {} at most",
            STATE_BITS - 1
        ),
        most => format!("with so many acceptors and values, give at most {most} ballots"),
    }
}

/// The specification within some [`Bounds`].
///
/// The methods that read a state allocate no memory, unless they return text or names. A larger model that maps its states
/// to these states calls the methods at every step.
///
/// The bits are ordered by kind of message, and the bits of promises and votes then by acceptor. So the ballots of one
/// acceptor are adjacent, and one instruction finds its highest vote. The acceptors of one ballot are evenly spread, and one
/// mask selects them.
#[derive(Clone, Debug)]
pub struct Synod {
    acceptors: u8,
    values: u8,
    ballots: u8,
    phase1_quorum: u8,
    phase2_quorum: u8,
    promises_at: u32,
    votes_at: u32,
    proposals_at: u32,
    /// One bit per ballot.
    row: u32,
    /// One bit per acceptor, `ballots` apart.
    column: u64,
    /// One bit per value.
    any_value: u128,
    /// True if all bits are in the lower word. Shifting two words takes several times as long.
    narrow: bool,
    /// True if the symmetry does not rename values.
    distinct_values: bool,
    only: Option<&'static str>,
}

impl Synod {
    /// Returns the specification within `bounds`.
    ///
    /// # Errors
    /// Fails if a count is zero, if the messages do not fit in a [`State`], or if two quorums, one of each phase, need not
    /// share an acceptor.
    pub fn new(bounds: Bounds) -> Result<Self, BoundsError> {
        let Bounds { acceptors, values, ballots, phase1_quorum, phase2_quorum } = bounds;
        for (count, what) in [(acceptors, "acceptor"), (values, "value"), (ballots, "ballot")] {
            if count == 0 {
                return Err(BoundsError::None(what));
            }
        }
        let bits = u32::from(ballots) * ballot_bits(acceptors, values);
        if bits > STATE_BITS {
            return Err(BoundsError::TooLarge { acceptors, values, ballots, bits });
        }
        let majority = acceptors / 2 + 1;
        let phase1 = phase1_quorum.unwrap_or(majority);
        let phase2 = phase2_quorum.unwrap_or(majority);
        for (phase, size) in [(1, phase1), (2, phase2)] {
            if size == 0 || size > acceptors {
                return Err(BoundsError::QuorumSize { phase, size, acceptors });
            }
        }
        // No overflow: neither size is above the number of acceptors, and a state has room for fewer than 64.
        if phase1 + phase2 <= acceptors {
            return Err(BoundsError::QuorumsMiss { phase1, phase2, acceptors });
        }
        let width = u32::from(ballots);
        let block = u32::from(acceptors) * width;
        Ok(Self {
            acceptors,
            values,
            ballots,
            phase1_quorum: phase1,
            phase2_quorum: phase2,
            promises_at: width,
            votes_at: width + block,
            proposals_at: width + 2 * block,
            // A ballot takes four bits or more, so there are at most 32 of them.
            row: u32::MAX >> (u32::BITS - width),
            column: (0..u32::from(acceptors)).fold(0, |column, a| column | 1 << (a * width)),
            any_value: u128::MAX >> (STATE_BITS - u32::from(values)),
            narrow: bits <= u64::BITS,
            distinct_values: false,
            only: None,
        })
    }

    /// Returns the same specification with a symmetry that renames acceptors only.
    #[must_use]
    pub fn with_distinct_values(self) -> Self {
        Self { distinct_values: true, ..self }
    }

    /// Returns the bounds, with the sizes of quorums filled in.
    pub const fn bounds(&self) -> Bounds {
        Bounds {
            acceptors: self.acceptors,
            values: self.values,
            ballots: self.ballots,
            phase1_quorum: Some(self.phase1_quorum),
            phase2_quorum: Some(self.phase2_quorum),
        }
    }

    /// Returns all acceptors.
    pub fn acceptors(&self) -> impl Iterator<Item = Acceptor> + use<> {
        (0..self.acceptors).map(Acceptor)
    }

    /// Returns all ballots, lowest first.
    pub fn ballots(&self) -> impl DoubleEndedIterator<Item = Ballot> + use<> {
        (0..self.ballots).map(Ballot)
    }

    /// Returns the state after an action, or none if the action is not [enabled](Self::enabled).
    pub fn step(&self, state: State, action: Action) -> Option<State> {
        self.enabled(state, action).then(|| self.send(state, action))
    }

    /// Returns true if an action may be taken and changes the state.
    pub fn enabled(&self, state: State, action: Action) -> bool {
        match action {
            Action::Prepare(b) => b.0 < self.ballots && !self.prepared(state, b),
            Action::Promise(a, b) => {
                self.knows(a, b)
                    && self.prepared(state, b)
                    && self.max_bal(state, a).is_none_or(|max_bal| b > max_bal)
            }
            Action::Propose(b, v) => {
                b.0 < self.ballots && v.0 < self.values && self.allowed(state, b) >> v.0 & 1 == 1
            }
            Action::Vote(a, b) => {
                self.knows(a, b)
                    && self.proposals_mask(state, b) != 0
                    && self.max_bal(state, a).is_none_or(|max_bal| b >= max_bal)
                    && !self.voted(state, a, b)
            }
        }
    }

    /// Returns true if 1a(b) was sent.
    pub fn prepared(&self, state: State, b: Ballot) -> bool {
        state.has(self.prepare_bit(b))
    }

    /// Returns true if 1b(a, b) was sent.
    pub fn promised(&self, state: State, a: Acceptor, b: Ballot) -> bool {
        state.has(self.promise_bit(a, b))
    }

    /// Returns the value proposed in a ballot, or none.
    ///
    /// No reachable state has two such values. In a state built by hand, this is the lowest one, and [`Synod::proposals`]
    /// returns all.
    pub fn proposal(&self, state: State, b: Ballot) -> Option<Value> {
        least(self.proposals_mask(state, b))
    }

    /// Returns the values v for which 2a(b, v) was sent, lowest first.
    pub fn proposals(&self, state: State, b: Ballot) -> impl Iterator<Item = Value> + use<> {
        values(self.proposals_mask(state, b))
    }

    /// Returns true if 2b(a, b) was sent.
    pub fn voted(&self, state: State, a: Acceptor, b: Ballot) -> bool {
        state.has(self.vote_bit(a, b))
    }

    /// Returns maxBal of an acceptor: the highest ballot in which it has promised or voted.
    pub fn max_bal(&self, state: State, a: Acceptor) -> Option<Ballot> {
        highest(self.ballots_of(state, a, self.promises_at) | self.votes_of(state, a))
    }

    /// Returns the report of a promise of `a` in `b`: the highest vote of `a` below `b`.
    pub fn report(&self, state: State, a: Acceptor, b: Ballot) -> Option<(Ballot, Value)> {
        let ballot = self.reported_ballot(state, a, b)?;
        Some((ballot, self.proposal(state, ballot)?))
    }

    /// Returns maxVBal and maxVal of an acceptor: its highest vote, which is its latest.
    pub fn last_vote(&self, state: State, a: Acceptor) -> Option<(Ballot, Value)> {
        // This does not call `report` for the next ballot, because with 32 ballots there is no bit for the next one.
        let ballot = highest(self.votes_of(state, a))?;
        Some((ballot, self.proposal(state, ballot)?))
    }

    /// Returns true if a quorum has voted in a ballot.
    pub fn chosen_in(&self, state: State, b: Ballot) -> bool {
        let votes = self.sent(state, self.votes_at) >> b.0 & self.column;
        votes.count_ones() >= u32::from(self.phase2_quorum)
    }

    /// Returns the chosen values, lowest first. There are several only if Paxos is broken.
    pub fn chosen(&self, state: State) -> impl Iterator<Item = Value> + use<> {
        values(self.chosen_mask(state))
    }

    /// Returns the values that the promises in a ballot allow to be proposed there, lowest first. There are none after a
    /// proposal.
    pub fn proposable(&self, state: State, b: Ballot) -> impl Iterator<Item = Value> + use<> {
        values(self.allowed(state, b))
    }

    /// Returns the state with 1a(b) sent, allowed or not.
    #[must_use]
    pub fn with_prepare(&self, state: State, b: Ballot) -> State {
        assert!(b.0 < self.ballots, "{b:?} is out of bounds");
        State(state.0 | 1 << self.prepare_bit(b))
    }

    /// Returns the state with 1b(a, b) sent, allowed or not.
    #[must_use]
    pub fn with_promise(&self, state: State, a: Acceptor, b: Ballot) -> State {
        assert!(self.knows(a, b), "{a:?} or {b:?} is out of bounds");
        State(state.0 | 1 << self.promise_bit(a, b))
    }

    /// Returns the state with 2a(b, v) sent, allowed or not. A ballot may get two values.
    #[must_use]
    pub fn with_proposal(&self, state: State, b: Ballot, v: Value) -> State {
        assert!(b.0 < self.ballots && v.0 < self.values, "{b:?} or {v:?} is out of bounds");
        State(state.0 | 1 << (self.proposals_bit(b) + u32::from(v.0)))
    }

    /// Returns the state with 2b(a, b) sent, allowed or not. The vote may be for no proposal.
    #[must_use]
    pub fn with_vote(&self, state: State, a: Acceptor, b: Ballot) -> State {
        assert!(self.knows(a, b), "{a:?} or {b:?} is out of bounds");
        State(state.0 | 1 << self.vote_bit(a, b))
    }

    /// Returns true if at most one value is chosen.
    pub fn agreement(&self, state: State) -> bool {
        at_most_one(self.chosen_mask(state))
    }

    /// Returns true if each ballot with a vote has a proposal. So each chosen value was proposed.
    pub fn validity(&self, state: State) -> bool {
        let voted = self.acceptors().fold(0, |voted, a| voted | self.votes_of(state, a));
        self.ballots().all(|b| voted >> b.0 & 1 == 0 || self.proposals_mask(state, b) != 0)
    }

    /// Returns true if no ballot has two proposals.
    pub fn one_value_per_ballot(&self, state: State) -> bool {
        self.ballots().all(|b| at_most_one(self.proposals_mask(state, b)))
    }

    /// Returns true if a ballot has a proposal that only a reported vote can have allowed. In such a ballot, the promises
    /// without a report are fewer than a quorum, so no quorum allowed any value.
    pub fn adopted(&self, state: State) -> bool {
        self.ballots().any(|b| {
            let unbound = |a: &Acceptor| {
                self.promised(state, *a, b) && self.reported_ballot(state, *a, b).is_none()
            };
            self.proposals_mask(state, b) != 0
                && self.acceptors().filter(unbound).count() < usize::from(self.phase1_quorum)
        })
    }

    /// Returns the number of different messages, which is the number of bits of a state.
    fn bits(&self) -> u32 {
        u32::from(self.ballots) * ballot_bits(self.acceptors, self.values)
    }

    fn knows(&self, a: Acceptor, b: Ballot) -> bool {
        a.0 < self.acceptors && b.0 < self.ballots
    }

    fn send(&self, state: State, action: Action) -> State {
        match action {
            Action::Prepare(b) => self.with_prepare(state, b),
            Action::Promise(a, b) => self.with_promise(state, a, b),
            Action::Propose(b, v) => self.with_proposal(state, b, v),
            Action::Vote(a, b) => self.with_vote(state, a, b),
        }
    }

    /// Returns the values that may be proposed in `b`, as a mask.
    ///
    /// The function does not enumerate quorums. A quorum whose highest report is that of acceptor `a` exists exactly if
    /// enough promises report no higher vote than `a` does. A larger quorum allows no further value, because it contains a
    /// smaller one with the same highest report.
    fn allowed(&self, state: State, b: Ballot) -> u128 {
        let promises = self.sent(state, self.promises_at) >> b.0 & self.column;
        if promises.count_ones() < u32::from(self.phase1_quorum)
            || self.proposals_mask(state, b) != 0
        {
            return 0;
        }
        let reports = || {
            let bound = self.acceptors().filter(|a| self.promised(state, *a, b));
            bound.map(|a| self.reported_ballot(state, a, b))
        };
        reports().fold(0, |allowed, highest| {
            let quorum = reports().filter(|report| *report <= highest).count();
            if quorum < usize::from(self.phase1_quorum) {
                return allowed;
            }
            allowed | highest.map_or(self.any_value, |ballot| self.proposals_mask(state, ballot))
        })
    }

    fn chosen_mask(&self, state: State) -> u128 {
        self.ballots()
            .filter(|b| self.chosen_in(state, *b))
            .fold(0, |chosen, b| chosen | self.proposals_mask(state, b))
    }

    fn proposals_mask(&self, state: State, b: Ballot) -> u128 {
        if self.narrow {
            return u128::from((state.0 as u64) >> self.proposals_bit(b)) & self.any_value;
        }
        state.0 >> self.proposals_bit(b) & self.any_value
    }

    fn reported_ballot(&self, state: State, a: Acceptor, b: Ballot) -> Option<Ballot> {
        highest(self.votes_of(state, a) & ((1 << b.0) - 1))
    }

    fn votes_of(&self, state: State, a: Acceptor) -> u32 {
        self.ballots_of(state, a, self.votes_at)
    }

    /// Returns the bits from `at` on. The caller must pass the first bit of the promises or of the votes. Each of these kinds
    /// takes less than half of the bits of a state, so one word holds all its messages.
    const fn sent(&self, state: State, at: u32) -> u64 {
        if self.narrow { (state.0 as u64) >> at } else { (state.0 >> at) as u64 }
    }

    /// Returns the ballots in which `a` has promised or voted, as a mask. `at` is the first bit of the promises or votes.
    fn ballots_of(&self, state: State, a: Acceptor, at: u32) -> u32 {
        (self.sent(state, at) >> (u32::from(a.0) * u32::from(self.ballots))) as u32 & self.row
    }

    fn prepare_bit(&self, b: Ballot) -> u32 {
        debug_assert!(b.0 < self.ballots);
        u32::from(b.0)
    }

    fn promise_bit(&self, a: Acceptor, b: Ballot) -> u32 {
        debug_assert!(self.knows(a, b));
        self.promises_at + u32::from(a.0) * u32::from(self.ballots) + u32::from(b.0)
    }

    fn vote_bit(&self, a: Acceptor, b: Ballot) -> u32 {
        debug_assert!(self.knows(a, b));
        self.votes_at + u32::from(a.0) * u32::from(self.ballots) + u32::from(b.0)
    }

    /// Returns the first of the bits that hold the proposals of `b`.
    fn proposals_bit(&self, b: Ballot) -> u32 {
        debug_assert!(b.0 < self.ballots);
        self.proposals_at + u32::from(b.0) * u32::from(self.values)
    }
}

fn highest(ballots: u32) -> Option<Ballot> {
    ballots.checked_ilog2().map(|b| Ballot(b as u8))
}

const fn at_most_one(values: u128) -> bool {
    values & values.wrapping_sub(1) == 0
}

fn least(values: u128) -> Option<Value> {
    (values != 0).then(|| Value(values.trailing_zeros() as u8))
}

fn ballots_in(mut mask: u32) -> impl Iterator<Item = Ballot> {
    std::iter::from_fn(move || {
        let ballot = (mask != 0).then(|| Ballot(mask.trailing_zeros() as u8))?;
        mask &= mask - 1;
        Some(ballot)
    })
}

fn values(mut mask: u128) -> impl Iterator<Item = Value> {
    std::iter::from_fn(move || {
        let value = least(mask)?;
        mask &= mask - 1;
        Some(value)
    })
}

impl Model for Synod {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    /// Lists all [enabled](Synod::enabled) actions. Masks of ballots replace the test of each single action.
    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let prepared = state.0 as u32 & self.row;
        let proposed = self.ballots().filter(|b| self.proposals_mask(*state, *b) != 0);
        let proposed = proposed.fold(0, |proposed, b| proposed | 1 << b.0);
        actions.extend(ballots_in(self.row & !prepared).map(Action::Prepare));
        for a in self.acceptors() {
            let voted = self.votes_of(*state, a);
            let answered = self.ballots_of(*state, a, self.promises_at) | voted;
            // The ballots from maxBal on, and those above it. Without a maxBal these are all ballots.
            let from = u32::MAX << highest(answered).map_or(0, |max_bal| max_bal.0);
            let above = from & !(answered & from);
            actions.extend(ballots_in(prepared & above).map(|b| Action::Promise(a, b)));
            actions.extend(ballots_in(proposed & from & !voted).map(|b| Action::Vote(a, b)));
        }
        for b in ballots_in(self.row & !proposed) {
            actions.extend(self.proposable(*state, b).map(|v| Action::Propose(b, v)));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        // `actions` lists only enabled actions, so this need not check the action again.
        debug_assert!(self.enabled(*state, action), "{action:?} is not enabled");
        Some(self.send(*state, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("agreement", |synod: &Self, state| synod.agreement(*state)),
            Property::always("validity", |synod: &Self, state| synod.validity(*state)),
            Property::always("one value per ballot", |synod: &Self, state| {
                synod.one_value_per_ballot(*state)
            }),
            Property::sometimes("a value is chosen", |synod: &Self, state| {
                synod.chosen_mask(*state) != 0
            }),
        ];
        if self.ballots > 1 {
            properties.push(Property::sometimes(
                "a value of an earlier ballot is adopted",
                |synod: &Self, state| synod.adopted(*state),
            ));
        }
        properties.retain(|property| self.only.is_none_or(|only| property.name == only));
        properties
    }
}

impl Explorable for Synod {
    const KINDS: &'static [&'static str] = &["prepare", "promise", "propose", "vote"];
    const GRADED: bool = true;

    fn title(&self) -> String {
        format!(
            "synod: {} acceptors, {} values, {} ballots, quorums of {} and {}",
            self.acceptors, self.values, self.ballots, self.phase1_quorum, self.phase2_quorum
        )
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("model", "check synod".to_owned()),
            ("acceptors", format!("--acceptors {}", self.acceptors)),
            ("values", format!("--values {}", self.values)),
            ("ballots", format!("--ballots {}", self.ballots)),
            ("phase1-quorum", format!("--phase1-quorum {}", self.phase1_quorum)),
            ("phase2-quorum", format!("--phase2-quorum {}", self.phase2_quorum)),
            ("distinct-values", flag("--distinct-values", self.distinct_values)),
        ]
    }

    fn packing(&self) -> Option<&dyn Packing<State>> {
        Some(self)
    }

    fn symmetry(&self) -> Option<&dyn Symmetry<State>> {
        Some(self)
    }

    /// Returns true if the target has all messages of the state, because no action removes a message.
    fn may_lead_to(&self, state: &State, target: &State) -> bool {
        state.0 & !target.0 == 0
    }

    fn smaller(&self) -> Option<Self> {
        let bounds = self.bounds();
        let smaller = Self::new(Bounds { ballots: bounds.ballots - 1, ..bounds }).ok()?;
        Some(Self { distinct_values: self.distinct_values, ..smaller })
    }

    fn kind(action: &Action) -> usize {
        match action {
            Action::Prepare(_) => 0,
            Action::Promise(..) => 1,
            Action::Propose(..) => 2,
            Action::Vote(..) => 3,
        }
    }

    fn only(&self, property: &'static str) -> Self {
        Self { only: Some(property), ..self.clone() }
    }

    fn describe(&self, action: &Action) -> String {
        match action {
            Action::Prepare(b) => format!("prepare ballot {}", b.0),
            Action::Promise(a, b) => format!("acceptor {} promises ballot {}", a.0, b.0),
            Action::Propose(b, v) => format!("propose value {} in ballot {}", v.0, b.0),
            Action::Vote(a, b) => format!("acceptor {} votes in ballot {}", a.0, b.0),
        }
    }

    /// Writes a state ballot by ballot: `0: 1a 1b(0) 1b(1) 2a(1) 2b(0)`. A promise that reports a vote in ballot c is
    /// `1b(0 c)`.
    fn render(&self, state: &State) -> String {
        let mut text = String::new();
        for b in self.ballots() {
            let mut line = String::new();
            if self.prepared(*state, b) {
                line.push_str(" 1a");
            }
            for a in self.acceptors().filter(|a| self.promised(*state, *a, b)) {
                let reported = self.reported_ballot(*state, a, b);
                let reported = reported.map_or(String::new(), |c| format!(" {}", c.0));
                let _ = write!(line, " 1b({}{reported})", a.0);
            }
            for v in self.proposals(*state, b) {
                let _ = write!(line, " 2a({})", v.0);
            }
            for a in self.acceptors().filter(|a| self.voted(*state, *a, b)) {
                let _ = write!(line, " 2b({})", a.0);
            }
            if !line.is_empty() {
                let separator = if text.is_empty() { "" } else { " | " };
                let _ = write!(text, "{separator}{}:{line}", b.0);
            }
        }
        if text.is_empty() { "no messages".to_owned() } else { text }
    }
}

/// Packs a state as its bits, in one word or two.
impl Packing<State> for Synod {
    fn pack(&self, state: &State, packer: &mut Packer) {
        packer.push_word(state.0 as u64);
        if self.bits() > u64::BITS {
            packer.push_word((state.0 >> u64::BITS) as u64);
        }
    }

    fn unpack(&self, unpacker: &mut Unpacker<'_>) -> State {
        let low = u128::from(unpacker.take_word());
        let high = if self.bits() > u64::BITS { u128::from(unpacker.take_word()) } else { 0 };
        State(high << u64::BITS | low)
    }
}
