//! The invariant of messages: what holds for every message that a correct node sends, and for every message and its receiver.
//!
//! A message is looked at as it was recorded, so that recordings, the lockstep and the check of all steps ask the same questions.
//! The invariant of the state of a node is that of the model
//! ([`paxos_model::cluster::node::invariant`]).

use std::ops::Range;

use itertools::Itertools as _;
use paxos_model::cluster::node::{
    state::{Role, Vote},
    unbounded::Unbounded,
    universe::SlotMap as _,
};
use paxos_recording::frame::{self, BatchRef, Message, Report, Step};

use crate::{
    replica::Replica,
    said::{self, Ballot, NodeId, Slot, Value, Values},
};

/// A message on its way.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// All nodes of the cluster.
    pub members: &'a [NodeId],
    /// The sender.
    pub from: NodeId,
    /// The receiver; none stands for all other nodes.
    pub to: Option<NodeId>,
    /// The message.
    pub message: &'a Message<BatchRef>,
    /// The step that has the batches of the message.
    pub step: &'a Step,
}

/// One part of the invariant of messages.
#[derive(Clone, Copy, Debug)]
pub struct Conjunct {
    /// The claim, in words.
    pub claim: &'static str,
    /// The invariant of `multipaxos.epr` that gives the claim, or why the claim is about one node alone.
    pub from: &'static str,
    /// Returns true if the claim holds.
    pub holds: fn(Letter<'_>) -> bool,
}

/// The parts that look at a message alone.
pub const MESSAGES: &[Conjunct] = &[
    Conjunct {
        claim: "the ballot of a message belongs to a member",
        from: "local: a node begins ballots of its own, and takes over only those of members",
        holds: |it| it.ballot().is_none_or(|ballot| it.members.contains(&ballot.owner)),
    },
    Conjunct {
        claim: "the owner of the ballot sends Prepare, Accept, Chosen, Confirm and Heartbeat messages",
        from: "local: only a candidate or leader sends them, and its ballot is its own",
        holds: |it| !it.is_of_owner() || it.ballot().is_some_and(|it_| it_.owner == it.from),
    },
    Conjunct {
        claim: "Promise, Accepted, Nack and Confirmed messages go to the owner of the ballot, who does not send them",
        from: "local: they answer a message of the owner, and a node counts its own promise and votes without a message",
        holds: |it| {
            let owner = it.ballot().map(|ballot| ballot.owner);
            !it.is_answer() || owner == it.to && owner != Some(it.from)
        },
    },
    Conjunct {
        claim: "a promise reports votes in lower ballots",
        from: "reports-are-true",
        holds: |it| match it.message {
            Message::Promise { ballot, reports, .. } => {
                reports.iter().all(|report| report.ballot < *ballot)
            }
            _ => true,
        },
    },
    Conjunct {
        claim: "a promise reports a slot once, by rising slot, and none that is trimmed",
        from: "local: an acceptor has one vote in a slot, and none in a trimmed one",
        holds: |it| match it.message {
            Message::Promise { trimmed, reports, .. } => {
                let rising = reports.iter().tuple_windows().all(|(one, next)| one.slot < next.slot);
                rising && reports.iter().all(|report| report.slot >= *trimmed)
            }
            _ => true,
        },
    },
    Conjunct {
        claim: "a refusal names a higher ballot, of a member",
        from: "local: it names the promise of its sender, which is above the refused ballot",
        holds: |it| match it.message {
            Message::Nack { ballot, promised } => {
                promised > ballot && it.members.contains(&said::node(promised.node))
            }
            _ => true,
        },
    },
    Conjunct {
        claim: "a message about slots names at least one",
        from: "local: a replica sends none about an empty run",
        holds: |it| match it.message {
            Message::Accept { values, .. } | Message::Learned { values, .. } => {
                !it.step.batch(*values).is_empty()
            }
            Message::Accepted { count, .. } | Message::Chosen { count, .. } => *count > 0,
            _ => true,
        },
    },
    Conjunct {
        claim: "rounds of reads begin at 1",
        from: "local: a leader counts the round before it asks",
        holds: |it| match it.message {
            Message::Confirm { round, .. } | Message::Confirmed { round, .. } => *round > 0,
            _ => true,
        },
    },
];

/// Returns the first claim about a message alone that the message breaks.
pub fn broken(letter: Letter<'_>) -> Option<Conjunct> {
    MESSAGES.iter().find(|conjunct| !(conjunct.holds)(letter)).copied()
}

impl Letter<'_> {
    fn ballot(&self) -> Option<Ballot> {
        match self.message {
            Message::Prepare { ballot, .. }
            | Message::Promise { ballot, .. }
            | Message::Accept { ballot, .. }
            | Message::Accepted { ballot, .. }
            | Message::Nack { ballot, .. }
            | Message::Chosen { ballot, .. }
            | Message::Confirm { ballot, .. }
            | Message::Confirmed { ballot, .. }
            | Message::Heartbeat { ballot, .. } => Some(said::ballot(*ballot)),
            Message::Learn { .. } | Message::Learned { .. } | Message::Trimmed { .. } => None,
        }
    }

    fn is_of_owner(&self) -> bool {
        matches!(
            self.message,
            Message::Prepare { .. }
                | Message::Accept { .. }
                | Message::Chosen { .. }
                | Message::Confirm { .. }
                | Message::Heartbeat { .. }
        )
    }

    fn is_answer(&self) -> bool {
        matches!(
            self.message,
            Message::Promise { .. }
                | Message::Accepted { .. }
                | Message::Nack { .. }
                | Message::Confirmed { .. }
        )
    }
}

/// The relation of a message to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// No run is known to exclude the message.
    Fits,
    /// The receiver has done nothing that this message could answer. The reason is in words.
    AnswersNothing(&'static str),
    /// The message contradicts a value that the receiver has. The reason is an invariant of `multipaxos.epr`.
    Contradicts(&'static str),
}

/// The claims of [`fit`], each with the invariant of `multipaxos.epr` that gives it, or why it is about one node alone.
pub const FITS: &[(&str, &str)] = &[
    (
        "a message has the value that the receiver's vote or report has in its slot and ballot",
        "one-value-per-ballot",
    ),
    ("a chosen value is the one that the receiver knows", "agreement"),
    (
        "votes for this node's ballot are in slots in which it has proposed",
        "votes-follow-proposals",
    ),
    (
        "an answer in this node's ballot is in a ballot that it has promised, and in a round that it has begun",
        "local: the promise is durable before the question leaves, and a leader numbers its rounds from 1",
    ),
];

/// Returns the relation of a message to its receiver, before it takes the message.
pub fn fit(
    replica: &Replica,
    me: NodeId,
    message: &Message<BatchRef>,
    step: &Step,
    values: &impl Values,
) -> Fit {
    if let Some(invariant) = contradicted(replica, message, step, values) {
        Fit::Contradicts(invariant)
    } else if let Some(why) = unasked(replica, me, message) {
        Fit::AnswersNothing(why)
    } else {
        Fit::Fits
    }
}

/// Returns the invariant that a message breaks together with a value that the receiver has.
fn contradicted(
    replica: &Replica,
    message: &Message<BatchRef>,
    step: &Step,
    values: &impl Values,
) -> Option<&'static str> {
    let other = |known: Option<Value>, at: Slot, recorded: &frame::Value| {
        known.is_some_and(|known| known != values.value(at, recorded))
    };
    let slots = |first: paxos::Slot, batch: BatchRef| {
        // No replica takes a batch that ends at the last slot of all.
        let batch = Some(step.batch(batch)).filter(|it| end(first, it.len() as u64) < u64::MAX);
        let batch = batch.into_iter().flat_map(|batch| batch.iter());
        batch.zip((first.0..).map(Slot)).map(|(value, at)| (at, value))
    };
    let (invariant, broken) = match message {
        Message::Accept { ballot, first, values: batch } => {
            let of_vote = |at| replica.live().value_of(at, said::ballot(*ballot));
            let broken = slots(*first, *batch).any(|(at, value)| other(of_vote(at), at, value));
            ("one-value-per-ballot", broken)
        }
        Message::Promise { reports, .. } => {
            let clashes = |report: &Report| {
                let at = said::slot(report.slot);
                other(replica.live().value_of(at, said::ballot(report.ballot)), at, &report.value)
            };
            ("one-value-per-ballot", reports.iter().any(clashes))
        }
        Message::Learned { first, values: batch, .. } => {
            let mut learned = slots(*first, *batch);
            ("agreement", learned.any(|(at, value)| other(replica.chosen(at), at, value)))
        }
        Message::Chosen { ballot, first, count } => {
            let mut votes = votes_in(replica, said::ballot(*ballot), first.0..end(*first, *count));
            let differs = |(at, vote): (Slot, Vote<Unbounded>)| {
                replica.chosen(at).is_some_and(|known| known != vote.value)
            };
            ("agreement", votes.any(differs))
        }
        _ => return None,
    };
    broken.then_some(invariant)
}

/// Returns the reason why an answer has nothing that it could answer.
fn unasked(replica: &Replica, me: NodeId, message: &Message<BatchRef>) -> Option<&'static str> {
    let live = replica.live();
    let (Message::Promise { ballot, .. }
    | Message::Accepted { ballot, .. }
    | Message::Nack { ballot, .. }
    | Message::Confirmed { ballot, .. }) = message
    else {
        return None;
    };
    let ballot = Some(said::ballot(*ballot)).filter(|ballot| ballot.owner == me)?;
    if Some(ballot) > live.acceptor.promised {
        return Some("it has not begun that ballot");
    }
    if Some(ballot) < live.acceptor.promised {
        return None;
    }
    let of_leader = matches!(message, Message::Accepted { .. } | Message::Confirmed { .. });
    let (why, is_so) = match (&live.role, message) {
        (Role::Candidate { .. }, _) => ("it does not lead yet", of_leader),
        (Role::Leader { .. }, Message::Accepted { first, count, .. }) => {
            let slots = first.0.max(live.acceptor.trimmed.0)..end(*first, *count);
            let voted = votes_in(replica, ballot, slots.clone()).count() as u64;
            let claimed = slots.end.saturating_sub(slots.start);
            ("it has proposed nothing in that slot", voted < claimed)
        }
        (Role::Leader { reads, .. }, Message::Confirmed { round, .. }) => {
            ("it has not begun that round", *round > reads.rounds.0)
        }
        // A follower led before it started again.
        (Role::Follower | Role::Leader { .. }, _) => return None,
    };
    is_so.then_some(why)
}

fn end(first: paxos::Slot, count: u64) -> u64 {
    first.0.saturating_add(count)
}

/// Returns the votes in this ballot in these slots. The slots after the end of the log have none, and are not looked at.
fn votes_in(
    replica: &Replica,
    ballot: Ballot,
    slots: Range<u64>,
) -> impl Iterator<Item = (Slot, Vote<Unbounded>)> {
    let acceptor = replica.acceptor();
    let slots = slots.start.max(acceptor.trimmed.0)..slots.end.min(replica.log_end().0);
    let votes = slots.map(Slot).filter_map(|slot| Some((slot, acceptor.votes.at(slot)?)));
    votes.filter(move |(_, vote)| vote.ballot == ballot)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use paxos_model::cluster::node::{
        rules::Rules,
        state::{Acceptor, Live, Reads},
        unbounded::{Log, Membership, NodeSet},
        universe::Set as _,
    };

    use super::*;
    use crate::replica::Limits;

    /// A sender, a receiver, and the message.
    type Sent = (u64, Option<NodeId>, Message<BatchRef>);

    const MEMBERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
    const ME: NodeId = NodeId(1);
    const EMPTY: BatchRef = BatchRef(0);
    const COMMAND: BatchRef = BatchRef(1);
    const NOOP: BatchRef = BatchRef(2);
    const FIRST: paxos::Slot = paxos::Slot(0);

    fn ballot(round: u64, node: u32) -> paxos::Ballot {
        paxos::Ballot::new(round, paxos::NodeId(node)).expect("rounds begin at 1")
    }

    fn report(slot: u64, value: frame::Value) -> Report {
        Report { slot: paxos::Slot(slot), ballot: ballot(1, 2), value }
    }

    fn command() -> frame::Value {
        frame::Value::Command("v".into())
    }

    struct Plain;

    impl Values for Plain {
        fn value(&self, _: Slot, value: &frame::Value) -> Value {
            match value {
                frame::Value::Command(bytes) => Value::Command((&**bytes).into()),
                _ => Value::Noop,
            }
        }
    }

    /// Returns the step in which a node receives a message.
    fn step(from: NodeId, message: &Message<BatchRef>) -> Step {
        let event =
            frame::Event::Message { from: paxos::NodeId(from.0 as u32), message: message.clone() };
        let batches = [vec![], vec![command()], vec![frame::Value::Noop]].map(Into::into).into();
        Step {
            event,
            batches,
            records: Vec::new(),
            messages: Vec::new(),
            chosen: Vec::new(),
            taken: Vec::new(),
            refused: Vec::new(),
            reads: Vec::new(),
            fetch: Vec::new(),
        }
    }

    /// The messages, each with its sender and receiver, in the order of the conjuncts. Each breaks one conjunct, and no other.
    #[test]
    fn each_conjunct_can_fail_alone() {
        let (own, low) = (ballot(2, 1), ballot(1, 1));
        let promise = |trimmed, reports| Message::Promise {
            ballot: ballot(2, 2),
            trimmed: paxos::Slot(trimmed),
            reports,
        };
        let to_owner = Some(NodeId(2));
        let reports = |slots: &[u64]| slots.iter().map(|slot| report(*slot, command())).collect();
        let letters: [&[Sent]; 8] = [
            &[(4, None, Message::Prepare { ballot: ballot(1, 4), first: FIRST })],
            &[
                (2, None, Message::Prepare { ballot: own, first: FIRST }),
                (2, None, Message::Heartbeat { ballot: own, chosen_below: FIRST }),
            ],
            &[
                (1, None, promise(0, vec![])),
                (1, Some(NodeId(3)), promise(0, vec![])),
                (2, to_owner, promise(0, vec![])),
            ],
            &[(
                1,
                to_owner,
                Message::Promise { ballot: ballot(1, 2), trimmed: FIRST, reports: reports(&[0]) },
            )],
            &[
                (1, to_owner, promise(0, reports(&[1, 0]))),
                (1, to_owner, promise(0, reports(&[1, 1]))),
                (1, to_owner, promise(1, reports(&[0, 1]))),
            ],
            &[
                (2, Some(ME), Message::Nack { ballot: own, promised: low }),
                (2, Some(ME), Message::Nack { ballot: own, promised: own }),
                (2, Some(ME), Message::Nack { ballot: own, promised: ballot(3, 4) }),
            ],
            &[
                (1, None, Message::Accept { ballot: own, first: FIRST, values: EMPTY }),
                (1, None, Message::Learned { first: FIRST, values: EMPTY, more: false }),
                (2, Some(ME), Message::Accepted { ballot: own, first: FIRST, count: 0 }),
                (1, None, Message::Chosen { ballot: own, first: FIRST, count: 0 }),
            ],
            &[
                (1, None, Message::Confirm { ballot: own, round: 0 }),
                (2, Some(ME), Message::Confirmed { ballot: own, round: 0 }),
            ],
        ];
        for (conjunct, letters) in MESSAGES.iter().zip(letters) {
            for (from, to, message) in letters {
                let (from, to) = (NodeId(*from), *to);
                let step = step(from, message);
                let letter = Letter { members: &MEMBERS, from, to, message, step: &step };
                let all = MESSAGES.iter().filter(|conjunct| !(conjunct.holds)(letter));
                let all: Vec<_> = all.map(|conjunct| conjunct.claim).collect();
                assert_eq!(all, [conjunct.claim], "{message:?}");
                assert_eq!(broken(letter).map(|it| it.claim), Some(conjunct.claim));
            }
        }
    }

    /// Returns a node that has promised its ballot of round 2. It has voted for a command there in slot 0, and knows that the
    /// command is chosen.
    fn replica(role: Role<Unbounded>) -> Replica {
        let limits = Membership::new(MEMBERS, 2, 2).expect("quorums intersect");
        let rules = Rules { limits, bug: None };
        let (in_flight_max, slots_ahead_max, batch_slots_max) = (9, 9, 9);
        let nodes = MEMBERS.to_vec();
        let limits = Limits { nodes, in_flight_max, slots_ahead_max, batch_slots_max };
        let value = Plain.value(Slot(0), &command());
        let (mut votes, mut chosen) = (Log::default(), Log::default());
        votes.put(Slot(0), Some(Vote { ballot: said::ballot(ballot(2, 1)), value: value.clone() }));
        chosen.put(Slot(0), Some(value));
        let promised = Some(said::ballot(ballot(2, 1)));
        let acceptor = Acceptor { promised, votes, trimmed: Slot(0) };
        let live = Live { acceptor, role, chosen };
        Replica::at(ME, rules, Arc::new(limits), live, (Vec::new(), Vec::new()))
    }

    #[test]
    fn a_message_can_fail_to_fit_its_receiver() {
        let leads = || Role::Leader { votes: Log::default(), reads: Reads::default() };
        let campaigns = || {
            let mut reported = Log::default();
            let vote = Vote { ballot: said::ballot(ballot(1, 2)), value: Value::Noop };
            reported.put(Slot(1), Some(vote));
            Role::Candidate { first: Slot(0), heard: NodeSet::of(ME), reported, trimmed: Slot(0) }
        };
        let own = ballot(2, 1);
        let accept = |values| Message::Accept { ballot: own, first: FIRST, values };
        let learned = |values| Message::Learned { first: FIRST, values, more: false };
        let accepted = |count| Message::Accepted { ballot: own, first: FIRST, count };
        let promise = |ballot, value| Message::Promise {
            ballot,
            trimmed: FIRST,
            reports: vec![report(1, value)],
        };
        let confirmed = |round| Message::Confirmed { ballot: own, round };
        let [values, chosen] = ["one-value-per-ballot", "agreement"].map(Fit::Contradicts);
        let cases = [
            (leads(), accept(COMMAND), Fit::Fits),
            (leads(), accept(NOOP), values),
            (campaigns(), promise(own, frame::Value::Noop), Fit::Fits),
            (campaigns(), promise(own, command()), values),
            (Role::Follower, learned(COMMAND), Fit::Fits),
            (Role::Follower, learned(NOOP), chosen),
            (leads(), accepted(1), Fit::Fits),
            (leads(), accepted(2), Fit::AnswersNothing("it has proposed nothing in that slot")),
            (
                leads(),
                accepted(u64::MAX),
                Fit::AnswersNothing("it has proposed nothing in that slot"),
            ),
            (
                leads(),
                Message::Learned { first: paxos::Slot(u64::MAX), values: NOOP, more: false },
                Fit::Fits,
            ),
            (leads(), confirmed(1), Fit::AnswersNothing("it has not begun that round")),
            (campaigns(), accepted(1), Fit::AnswersNothing("it does not lead yet")),
            (
                Role::Follower,
                promise(ballot(3, 1), command()),
                Fit::AnswersNothing("it has not begun that ballot"),
            ),
        ];
        for (role, message, expected) in cases {
            let step = step(NodeId(2), &message);
            let found = fit(&replica(role), ME, &message, &step, &Plain);
            assert_eq!(found, expected, "{message:?}");
        }
    }
}
