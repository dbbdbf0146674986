//! The check that each step of the cluster refines Lamport's specification in each slot.
//!
//! The check reads the messages in the network as the message set of `synod`, slot by slot. A step of the cluster counts when
//! it becomes durable, and an Accept message counts when it leaves. In each slot, a step of the cluster must be one of these:
//! - No step of `synod`.
//! - One step of `synod`, or a few. A node plays all roles, so in one step it may propose and vote for its own proposal.
//! - A silent rise of maxBal: a vote in another slot, or a refusal, raised the promise for the whole log. This is a 1b that no
//!   node receives. It binds the acceptor like a 1b that was sent, but it does not count for the quorum of a proposal.
//!
//! The report of a promise, and the acceptor on the disk, must be those that the messages imply. Both leave out the trimmed
//! slots, although the votes there are still among the messages. A promise also leaves out the slots before the first that its
//! Prepare message names. The check treats a promise that leaves such a vote out like the promise that reports it. So a
//! candidate that leaves out too much proposes something that the reports forbid. A promise that is sent again because the
//! node has trimmed more is no step, and neither is a [late](State::is_late) one.

use super::{
    bounds::Bounds,
    fault::{Fault, Reason},
    state::{Acceptor, Ballot, Message, NodeId, Slot, State, prepared_from},
};
use crate::synod::{self, Action, Synod};

/// Returns Lamport's specification for one slot of a cluster.
///
/// # Panics
/// Panics if `synod` refuses the bounds. It accepts all bounds that are [valid](Bounds::validate).
pub fn specification(bounds: &Bounds) -> Synod {
    Synod::new(synod::Bounds {
        acceptors: bounds.nodes,
        values: bounds.values + 1,
        ballots: bounds.ballots,
        phase1_quorum: Some(bounds.phase1_quorum),
        phase2_quorum: Some(bounds.phase2_quorum),
    })
    .expect("synod accepts the bounds of every valid cluster")
}

/// Checks the messages that leave a node, and its acceptor on the disk, against the specification. Returns the first fault.
///
/// `before` is the cluster before the messages leave, and `disk` is the acceptor on the disk afterwards.
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
    // The promise that no node receives, but that binds this acceptor.
    let mut silent = synod::State::default();
    if let Some(promised) = before.node(node).durable.promised
        && spec.max_bal(heard, me) < Some(promised)
    {
        silent = spec.with_promise(silent, me, promised);
    }
    for &message in sent.iter().filter(|&&message| !before.network.contains(message)) {
        let action = match message {
            Message::Prepare { ballot, .. } => Action::Prepare(ballot),
            Message::Promise { ballot, .. } => Action::Promise(me, ballot),
            Message::Accept { ballot, slot: at, value } if at == slot => {
                Action::Propose(ballot, value)
            }
            Message::Accepted { ballot, slot: at, .. } if at == slot => Action::Vote(me, ballot),
            // These messages are no step of the specification in this slot.
            Message::Accept { .. }
            | Message::Accepted { .. }
            | Message::Confirm { .. }
            | Message::Confirmed { .. } => continue,
        };
        let all = heard.union(silent);
        match (action, message) {
            // A silent promise does not count for a proposal.
            (Action::Propose(..), _) => {
                let next = spec.step(heard, action);
                heard = match next {
                    Some(next) => next,
                    None => return Some(Reason::NotEnabled(action)),
                };
            }
            (Action::Promise(_, ballot), Message::Promise { trimmed, reports, .. }) => {
                let (late, again) = (before.is_late(message), spec.promised(heard, me, ballot));
                let known = before.network.iter().chain(sent.iter().copied());
                let first = prepared_from(known, ballot);
                let left_out = slot < trimmed || first.is_some_and(|first| slot < first);
                // No node counts a promise that is late or sent again, but the promise must be true.
                let voted = !left_out && spec.voted(heard, me, ballot);
                if again && !trims_more(before, node, ballot, trimmed) || late && voted {
                    return Some(Reason::Contradicts(ballot));
                }
                // The acceptor may have made this promise silently before, and sends it only now.
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

/// Returns true if `trimmed` is above the end of the trimmed log in every promise of the ballot that the node has sent.
fn trims_more(state: &State, node: NodeId, ballot: Ballot, trimmed: Slot) -> bool {
    let mut sent = state.network.iter().filter_map(|message| match message {
        Message::Promise { ballot: b, from, trimmed, .. } if (b, from) == (ballot, node) => {
            Some(trimmed)
        }
        _ => None,
    });
    sent.all(|earlier| earlier < trimmed)
}

/// Returns the messages in the network as a state of the specification for one slot.
fn messages(spec: &Synod, state: &State, slot: Slot) -> synod::State {
    let acceptor = |node: NodeId| synod::Acceptor(node.0);
    state.network.iter().fold(synod::State::default(), |set, message| match message {
        Message::Prepare { ballot, .. } => spec.with_prepare(set, ballot),
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
