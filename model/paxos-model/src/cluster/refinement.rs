//! Each step of the cluster is, in each slot, a step of Lamport's specification.
//!
//! What left a node is read as the message set of `synod`, slot by slot. What becomes durable, or leaves before
//! it is (nothing else has happened yet), must be, in every slot,
//! - a stutter, or
//! - a short sequence of steps of `synod`: a node plays all roles, so that it may propose and vote
//!   for its own proposal at once, or
//! - a silent rise of maxBal: a vote in another slot, or a refusal heard, raised the promise of the
//!   whole log. That is a 1b that nobody receives: it forbids the acceptor what a sent one forbids,
//!   and it is not counted when a proposal needs a quorum of promises.
//!
//! Besides, what a promise reports and what the disk holds must be what the messages imply. Of a slot that is
//! trimmed they say nothing, which has to be so of both: the votes that were cast there are still among the
//! messages, and the promise is the one that would have reported them. One that is said again for having
//! trimmed more is none, and so is one that is [late](State::is_late).

use super::{
    bounds::Bounds,
    fault::{Fault, Reason},
    state::{Acceptor, Ballot, Message, NodeId, Slot, State},
};
use crate::synod::{self, Action, Synod};

/// Lamport's specification for one slot of a cluster.
///
/// # Panics
/// If the bounds were not validated: everything that passes fits.
pub fn specification(bounds: &Bounds) -> Synod {
    Synod::new(synod::Bounds {
        acceptors: bounds.nodes,
        values: bounds.values + 1,
        ballots: bounds.ballots,
        phase1_quorum: Some(bounds.phase1_quorum),
        phase2_quorum: Some(bounds.phase2_quorum),
    })
    .expect("every valid cluster fits")
}

/// Holds what becomes durable at one node, and leaves it with that or before, against the specification.
///
/// `before` is the cluster before it does; `disk` what the node's disk holds afterwards.
pub fn check(
    spec: &Synod,
    bounds: &Bounds,
    before: &State,
    node: NodeId,
    disk: &Acceptor,
    sent: &[Message],
) -> Option<Fault> {
    let mut slots = (0..bounds.slots).map(Slot);
    let fault = |slot, reason| Fault { slot, node, reason };
    let reason = |slot| wrong(spec, before, node, disk, sent, slot);
    slots.find_map(|slot| Some(fault(slot, reason(slot)?)))
}

fn wrong(
    spec: &Synod,
    before: &State,
    node: NodeId,
    disk: &Acceptor,
    sent: &[Message],
    slot: Slot,
) -> Option<Reason> {
    let me = synod::Acceptor(node.0);
    let mut heard = messages(spec, before, slot);
    // What nobody hears, but binds this acceptor.
    let mut silent = synod::State::default();
    if let Some(promised) = before.node(node).durable.promised
        && spec.max_bal(heard, me) < Some(promised)
    {
        silent = spec.with_promise(silent, me, promised);
    }
    for &message in sent.iter().filter(|&&message| !before.network.contains(message)) {
        let action = match message {
            Message::Prepare { ballot } => Action::Prepare(ballot),
            Message::Promise { ballot, .. } => Action::Promise(me, ballot),
            Message::Accept { ballot, slot: at, value } if at == slot => {
                Action::Propose(ballot, value)
            }
            Message::Accepted { ballot, slot: at, .. } if at == slot => Action::Vote(me, ballot),
            // Nothing is promised or proposed by these.
            Message::Accept { .. }
            | Message::Accepted { .. }
            | Message::Confirm { .. }
            | Message::Confirmed { .. } => continue,
        };
        let all = heard.union(silent);
        match (action, message) {
            // A proposal needs promises that were sent.
            (Action::Propose(..), _) => {
                let next = spec.step(heard, action);
                heard = match next {
                    Some(next) => next,
                    None => return Some(Reason::NotEnabled(action)),
                };
            }
            (Action::Promise(_, ballot), Message::Promise { trimmed, reports, .. }) => {
                let (late, again) = (before.is_late(message), spec.promised(heard, me, ballot));
                let left_out = slot < trimmed;
                // Said again, or late, it is for nobody; but it says no more than it knows.
                let voted = !left_out && spec.voted(heard, me, ballot);
                if again && !trims_more(before, node, ballot, trimmed) || late && voted {
                    return Some(Reason::Contradicts(ballot));
                }
                // The promise was given in silence, and is now said.
                let silently = spec.promised(silent, me, ballot);
                if !late && !again && !silently && !spec.enabled(all, action) {
                    return Some(Reason::NotEnabled(action));
                }
                let report = reports[usize::from(slot.0)].map(|vote| (vote.ballot, vote.value));
                let true_report = if left_out { None } else { spec.report(all, me, ballot) };
                if report != true_report || trimmed != disk.trimmed {
                    return Some(Reason::WrongReport(ballot));
                }
                if late {
                    continue;
                }
                heard = spec.with_promise(heard, me, ballot);
            }
            (Action::Vote(_, ballot), Message::Accepted { value, .. }) => {
                if !spec.enabled(all, action) {
                    return Some(Reason::NotEnabled(action));
                }
                if spec.proposal(heard, ballot) != Some(value) {
                    return Some(Reason::Contradicts(ballot));
                }
                heard = spec.with_vote(heard, me, ballot);
            }
            _ => {
                heard = match spec.step(heard, action) {
                    Some(next) => next,
                    None => return Some(Reason::NotEnabled(action)),
                };
            }
        }
    }
    let last_vote = disk.votes[usize::from(slot.0)].map(|vote| (vote.ballot, vote.value));
    let true_vote = if slot < disk.trimmed { None } else { spec.last_vote(heard, me) };
    if last_vote != true_vote {
        return Some(Reason::WrongVoteOnDisk);
    }
    (disk.promised < spec.max_bal(heard.union(silent), me)).then_some(Reason::PromiseFell)
}

/// Whether more is trimmed than in any promise of a ballot that a node has sent.
fn trims_more(state: &State, node: NodeId, ballot: Ballot, trimmed: Slot) -> bool {
    let mut sent = state.network.iter().filter_map(|message| match message {
        Message::Promise { ballot: b, from, trimmed, .. } if (b, from) == (ballot, node) => {
            Some(trimmed)
        }
        _ => None,
    });
    sent.all(|earlier| earlier < trimmed)
}

/// The messages of one slot as a state of the specification.
fn messages(spec: &Synod, state: &State, slot: Slot) -> synod::State {
    let acceptor = |node: NodeId| synod::Acceptor(node.0);
    state.network.iter().fold(synod::State::default(), |set, message| match message {
        Message::Prepare { ballot } => spec.with_prepare(set, ballot),
        Message::Promise { .. } if state.is_late(message) => set,
        Message::Promise { ballot, from, .. } => spec.with_promise(set, acceptor(from), ballot),
        Message::Accept { ballot, slot: at, value } if at == slot => {
            spec.with_proposal(set, ballot, value)
        }
        Message::Accepted { ballot, slot: at, from, .. } if at == slot => {
            spec.with_vote(set, acceptor(from), ballot)
        }
        Message::Accept { .. }
        | Message::Accepted { .. }
        | Message::Confirm { .. }
        | Message::Confirmed { .. } => set,
    })
}
