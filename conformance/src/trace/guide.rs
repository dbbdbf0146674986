//! A trace of the model as a schedule for a foreign implementation.

use paxos_model::cluster::{
    Action, Bounds,
    state::{Ballot, Message},
};
use paxos_subject::{
    guide::{Guidance, Guide},
    protocol::Kind,
};
use stateright::Model as _;

use super::Trace;

/// Returns the steps of a trace that a foreign implementation may have, too: ballots that begin, messages of both phases, and
/// crashes. Syncs, reads, snapshots and refusals are left out. Returns `None` if a quorum of the trace is no majority, or
/// if a message has a ballot that no node has begun.
///
/// # Errors
/// The trace is no behaviour of the model.
pub fn guide(trace: &Trace) -> Result<Option<Guidance>, NoGuide> {
    let model = trace.model();
    let Bounds { nodes, phase1_quorum, phase2_quorum, .. } = *model.bounds();
    let majority = nodes / 2 + 1;
    if (phase1_quorum, phase2_quorum) != (majority, majority) {
        return Ok(None);
    }
    let mut state = model.init_states().swap_remove(0);
    let (mut ballots, mut schedule): (Vec<Ballot>, _) = (Vec::new(), Vec::new());
    for (place, action) in trace.actions().enumerate() {
        let next = model.next_state(&state, *action).ok_or(NoGuide { step: place + 1 })?;
        match *action {
            Action::Campaign(node) => {
                let promised = next.state.node(node).live.acceptor.promised;
                ballots.push(promised.ok_or(NoGuide { step: place + 1 })?);
                schedule.push(Guide::Begin { node: usize::from(node.0) });
            }
            Action::Crash(node) => schedule.push(Guide::Restart { node: usize::from(node.0) }),
            Action::Deliver { to, message } => {
                let owner = model.bounds().owner(message.ballot());
                let (kind, from) = match message {
                    Message::Prepare { .. } => (Kind::Prepare, owner),
                    Message::Promise { from, .. } => (Kind::Promise, from),
                    Message::Accept { .. } => (Kind::Accept, owner),
                    Message::Accepted { from, .. } => (Kind::Accepted, from),
                    Message::Confirm { .. } | Message::Confirmed { .. } => {
                        state = next;
                        continue;
                    }
                };
                let ballot = ballots.iter().position(|it| *it == message.ballot());
                let Some(ballot) = ballot else { return Ok(None) };
                let (from, to) = (usize::from(from.0), usize::from(to.0));
                schedule.push(Guide::Deliver { kind, ballot, from, to });
            }
            _ => {}
        }
        state = next;
    }
    Ok(Some(Guidance { nodes: usize::from(nodes), steps: schedule }))
}

/// A trace that is no behaviour of the model.
#[derive(Debug, thiserror::Error)]
#[error("step {step} is not possible in the model")]
pub struct NoGuide {
    step: usize,
}
