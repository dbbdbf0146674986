//! Logs of eight slots: the handlers that couple slots, one lemma for each.
//!
//! Most of a step looks at one slot at a time. The handlers of this module look at several slots. Some walk slots in order and
//! form runs. Some look for a slot with a property, and some compare a slot with the end of the log. Two slots cannot show all
//! of it: a run that goes across a slot in between needs three. So each lemma enumerates the logs of eight slots in which each
//! slot is in one of the few conditions that its handler tells apart.

use std::sync::Arc;

use paxos::{Config, Event, Message, NodeId as RealNode, Proposal, Report, Timer, Token};
use paxos_model::cluster::node::{
    state::{Acceptor, Live, Reads, Role, Vote},
    unbounded::{Ballot, Log, NodeId, NodeSet, Slot, Value},
    universe::{Set as _, SlotMap as _},
};
use paxos_validation::said;

use crate::{
    ballots::Chain,
    case::{Generator, Input, Start},
    choices::Choices,
    table::{State, real_ballot, real_node},
    values,
};

/// The number of slots.
const SLOTS: u64 = 8;

/// A handler that couples slots, and the claim about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lemma {
    /// A leader learns each slot that gets its last vote, and announces them in runs.
    Announces,
    /// An acceptor votes anew in the slots in which it has no vote of the ballot, and records the votes in runs.
    Votes,
    /// An acceptor reports its vote in each slot, with the ballot of the vote. There may be as many ballots as slots.
    Reports,
    /// An acceptor with any vote in the promised ballot does not promise it again.
    Silence,
    /// A new leader proposes in each slot below the end of the log that it does not know, the reported value or a no-op, in
    /// runs.
    Adopts,
    /// A learner releases values up to the first gap.
    Releases,
    /// A learner that hears of chosen slots learns those in which its vote is in the ballot.
    Hears,
    /// A snapshot drops the slots below it, and releases the known values after it.
    Trims,
    /// A node that is asked for chosen values sends one batch, up to the first that it does not know.
    Answers,
    /// A leader sends the open slots that a node has not answered again, in runs.
    Resends,
    /// A leader proposes in free slots, as long as the window has room.
    Window,
}

/// All lemmas.
pub const LEMMAS: [Lemma; 11] = [
    Lemma::Announces,
    Lemma::Votes,
    Lemma::Silence,
    Lemma::Adopts,
    Lemma::Releases,
    Lemma::Hears,
    Lemma::Trims,
    Lemma::Answers,
    Lemma::Resends,
    Lemma::Window,
    Lemma::Reports,
];

/// The condition of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// Nothing is voted for or known.
    Empty,
    /// The chosen value is known, without a vote.
    Known,
    /// A vote in a lower ballot.
    Older,
    /// A vote in a lower ballot that no other slot has.
    OfItsOwn,
    /// A vote in the promised ballot. A leader counts votes there.
    Voted,
    /// The same, and only one vote is missing.
    Close,
    /// A vote in the promised ballot, and the value is known.
    VotedAndKnown,
    /// A report in a lower ballot, and no vote.
    Reported,
}

use Condition::{Close, Empty, Known, OfItsOwn, Older, Reported, Voted, VotedAndKnown};

impl Lemma {
    /// Returns the claim, in words.
    pub const fn claim(self) -> &'static str {
        match self {
            Self::Announces => "votes that complete quorums are announced in runs",
            Self::Votes => "new votes are recorded in runs, and repeated ones are not",
            Self::Reports => "a promise reports the vote of each slot, each in a ballot of its own",
            Self::Silence => "a vote in any slot silences the answer to its Prepare message",
            Self::Adopts => "a new leader proposes in each unknown slot, in runs",
            Self::Releases => "known values are released up to the first gap",
            Self::Hears => "chosen slots are learned where the vote is in the ballot",
            Self::Trims => "a snapshot drops what is below, and releases what follows",
            Self::Answers => "a question is answered by one batch, up to the first gap",
            Self::Resends => "unanswered proposals are sent again in runs",
            Self::Window => "proposals fill the window, and no more",
        }
    }

    /// Returns the conditions of a slot that the handler tells apart.
    fn conditions(self) -> &'static [Condition] {
        match self {
            Self::Announces | Self::Resends => &[Known, Voted, Close],
            Self::Votes | Self::Silence => &[Empty, Older, Voted],
            Self::Reports => &[Empty, OfItsOwn],
            Self::Adopts => &[Empty, Known, Reported],
            Self::Releases | Self::Trims | Self::Answers => &[Empty, Known],
            Self::Hears => &[Older, Voted, VotedAndKnown],
            Self::Window => &[Known, Voted],
        }
    }

    fn leads(self) -> bool {
        matches!(self, Self::Announces | Self::Resends | Self::Window)
    }
}

/// The first peer, whose ballot a follower has promised.
fn peer(start: &Start) -> NodeId {
    start.peers[0]
}

impl Generator for Lemma {
    fn config(&self) -> Arc<Config> {
        let nodes = (1..=5).map(RealNode);
        let config = Config::new(RealNode(3), nodes);
        Arc::new(Config { in_flight_max: 5, slots_ahead_max: 6, batch_slots_max: 3, ..config })
    }

    fn start(&self, choices: &mut impl Choices, config: &Config) -> Option<Start> {
        let me = said::node(config.id);
        let mut start = Start::of(config, State::of(Live::default()), Chain::default(), 2);
        let follows = !self.leads() && *self != Self::Adopts;
        let (low, high) = (
            Ballot { round: 1, owner: peer(&start) },
            Ballot { round: 1 + SLOTS, owner: if follows { peer(&start) } else { me } },
        );
        let own = |slot: Slot| Ballot { round: low.round + slot.0, ..low };
        start.chain = match self {
            Self::Reports => {
                let of_slots: Vec<_> = (0..SLOTS).map(|slot| own(Slot(slot))).collect();
                Chain::of(&[&*of_slots, &[high, above(high)]].concat())
            }
            _ => Chain::of(&[low, high]),
        };
        let trimmed = Slot(choices.of(&[0, 2, 5]));
        let (mut votes, mut chosen) = (Log::default(), Log::default());
        let (mut reported, mut counts) = (Log::default(), Log::default());
        let one = NodeSet::of(me);
        // Neighbouring slots have the votes of different nodes.
        let (two, other_two) = (one.with(start.peers[0]), one.with(start.peers[2]));
        for slot in (trimmed.0..SLOTS).map(Slot) {
            let vote = |ballot| Some(Vote { ballot, value: value_of(slot) });
            let condition = choices.of(self.conditions());
            match condition {
                Empty => {}
                Known => chosen.put(slot, Some(value_of(slot))),
                Older => votes.put(slot, vote(low)),
                OfItsOwn => votes.put(slot, vote(own(slot))),
                Voted | Close => {
                    votes.put(slot, vote(high));
                    let close = if slot.0 % 2 == 0 { &two } else { &other_two };
                    counts.put(slot, if condition == Close { close } else { &one }.clone());
                }
                VotedAndKnown => {
                    votes.put(slot, vote(high));
                    chosen.put(slot, Some(value_of(slot)));
                }
                Reported => reported.put(slot, vote(low)),
            }
        }
        let role = match self {
            // One promise is missing.
            Self::Adopts => {
                Role::Candidate { first: Slot(0), heard: two, reported, trimmed: Slot(0) }
            }
            _ if self.leads() => Role::Leader { votes: counts, reads: Reads::default() },
            _ => Role::Follower,
        };
        let acceptor = Acceptor { promised: Some(high), votes, trimmed };
        start.state_mut().live = Live { acceptor, role, chosen };
        Some(start)
    }

    fn input(&self, choices: &mut impl Choices, start: &mut Start) -> Option<Input> {
        let ballot = real_ballot(start.promised()?);
        let from = real_node(peer(start));
        // Not the peer that has answered already.
        let other = real_node(start.peers[1]);
        let event = match self {
            Self::Announces => {
                let (first, count) = range(choices);
                message(other, Message::Accepted { ballot, first, count })
            }
            Self::Votes => {
                let (first, count) = range(choices);
                let values =
                    (first.0..first.0 + count).map(|slot| values::real(&value_of(Slot(slot))));
                message(from, Message::Accept { ballot, first, values: values.collect() })
            }
            Self::Reports => {
                let ballot = real_ballot(above(start.promised()?));
                message(from, Message::Prepare { ballot, first: paxos::Slot(0) })
            }
            Self::Silence => message(from, Message::Prepare { ballot, first: paxos::Slot(0) }),
            Self::Adopts => {
                let low = start.chain.ballots().next()?;
                let report = |slot| Report {
                    slot: paxos::Slot(slot),
                    ballot: real_ballot(low),
                    value: values::real(&value_of(Slot(slot))),
                };
                let reports = match choices.below(SLOTS as usize + 1) as u64 {
                    SLOTS => Vec::new(),
                    slot => vec![report(slot)],
                };
                message(other, Message::Promise { ballot, trimmed: paxos::Slot(0), reports })
            }
            Self::Releases => {
                let (first, count) = range(choices);
                let values =
                    (first.0..first.0 + count).map(|slot| values::real(&value_of(Slot(slot))));
                message(from, Message::Learned { first, values: values.collect(), more: true })
            }
            Self::Hears => {
                let (first, count) = range(choices);
                message(from, Message::Chosen { ballot, first, count })
            }
            Self::Trims => {
                let below = paxos::Slot(choices.below(SLOTS as usize + 2) as u64);
                Event::Snapshot { below }
            }
            Self::Answers => {
                let first = paxos::Slot(choices.below(SLOTS as usize + 2) as u64);
                message(from, Message::Learn { from: first })
            }
            Self::Resends => Event::Timer(Timer::Resend),
            Self::Window => {
                let proposal =
                    |number| Proposal { token: Token(number), command: values::real_command(0) };
                Event::Propose((0..choices.below(8) as u64).map(proposal).collect())
            }
        };
        Some(Input::Event(event))
    }
}

fn message(from: RealNode, message: Message) -> Event {
    Event::Message { from, message }
}

/// Returns the next ballot of the same owner.
fn above(ballot: Ballot) -> Ballot {
    Ballot { round: ballot.round + 1, ..ballot }
}

/// The value that every ballot has in a slot here. Neighbours differ.
fn value_of(slot: Slot) -> Value {
    values::command((slot.0 % 3) as usize)
}

/// Chooses some slots in a row.
fn range(choices: &mut impl Choices) -> (paxos::Slot, u64) {
    let first = choices.below(SLOTS as usize) as u64;
    (paxos::Slot(first), 1 + choices.below((SLOTS - first) as usize) as u64)
}
