//! The bugs of snapshots and reads that change the output of a replica. Those that change an event are in `steps`.

use paxos::{Event, Message, Output, Replica, Slot, protocol::proposer::Role};
use paxos_model::cluster::Bug;

/// Takes a step with one of these bugs.
pub(super) fn mutated_step(bug: Bug, replica: &mut Replica, event: Event, out: &mut Output) {
    let votes = matches!(&event, Event::Message { message: Message::Accept { .. }, .. });
    replica.step(event, out);
    match bug {
        Bug::HidesTrimmed => hide_trimmed(out),
        Bug::ReadsUnconfirmed => confirm_by_itself(replica, out),
        // 25: the replica trims its own vote, chosen or not.
        Bug::TrimsUnchosen if votes => {
            let below = replica.parts().acceptor.votes.end();
            replica.step(Event::Snapshot { below }, out);
        }
        Bug::ReadsBelowBarrier | Bug::ReadsBelowGap => read_less(bug, replica, out),
        _ => {}
    }
}

/// 18: a promise does not say which slots are trimmed, and reports no votes in them.
fn hide_trimmed(out: &mut Output) {
    for envelope in &mut out.held_mut().messages {
        if let Message::Promise { trimmed, .. } = &mut envelope.message {
            *trimmed = Slot(0);
        }
    }
}

/// 26: a leader confirms its reads without its peers.
fn confirm_by_itself(replica: &mut Replica, out: &mut Output) {
    let parts = replica.parts();
    let (Role::Leader(leader), Some(ballot)) = (parts.role, parts.acceptor.promised) else {
        return;
    };
    if leader.reader.heard.is_empty() {
        return;
    }
    let (me, round) = (parts.config.id, leader.reader.round);
    let peers: Vec<_> = parts.config.nodes.iter().copied().filter(|&node| node != me).collect();
    for from in peers {
        let message = Message::Confirmed { ballot, round };
        replica.step(Event::Message { from, message }, out);
    }
}

/// 26: a read does not wait for the reported slots, or for the slots after a gap.
fn read_less(bug: Bug, replica: &Replica, out: &mut Output) {
    let parts = replica.parts();
    let Role::Leader(leader) = parts.role else { return };
    let at = match bug {
        Bug::ReadsBelowBarrier => parts.learner.chosen.end(),
        _ => parts.learner.below.max(leader.reader.barrier),
    };
    for ready in &mut out.held_mut().reads {
        ready.at = ready.at.min(at);
    }
}
