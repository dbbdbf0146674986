//! Everything that follows from the steps of a node: durable records, messages that leave, applied values, reads, snapshots.

use paxos::{NodeId, Slot};
use paxos_recording::{
    frame::{Application, Departure, Message},
    identity::StateId,
};

use super::{Held, Pending, Running, Shared};
use crate::{
    claims::{
        AFTER_RECORDS, APPLIES_CHOSEN, Checked, FORM, PRODUCED, READS, SNAPSHOTS, contradicts,
    },
    coverage::Kind,
    said,
};

impl Running {
    /// Notes that the oldest write under way is durable.
    pub(super) fn durable(&mut self, place: usize, shared: &mut Shared) -> Checked {
        let Some(last) = self.writes.pop_front() else {
            return contradicts(FORM, "no write is under way");
        };
        while self.waits(last)
            && let Some(Pending { votes, .. }) = self.pending.pop_front()
        {
            for (slot, ballot) in votes {
                shared.history.voted(slot, ballot, place);
            }
        }
        Ok(())
    }

    /// Returns true if the records of a step or of an earlier one are not durable.
    fn waits(&self, step: u64) -> bool {
        self.pending.front().is_some_and(|pending| pending.step <= step)
    }

    /// Releases the effects whose records are durable.
    pub(super) fn release(&mut self, id: NodeId, shared: &mut Shared) -> Checked {
        let waits = self.pending.front().map_or(u64::MAX, |pending| pending.step);
        while self.held.front().is_some_and(|held| held.step < waits)
            && let Some(Held { chosen, known_below, confirmed, step: _ }) = self.held.pop_front()
        {
            for (slot, value) in chosen {
                shared.history.chosen(slot, &value)?;
            }
            self.released = self.released.max(known_below);
            for (asker, batch, at) in confirmed {
                if asker == id {
                    self.reads.insert(at);
                } else {
                    *self.answers.entry((asker, batch, at)).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// Lets a message leave.
    pub(super) fn leaves(
        &mut self,
        id: NodeId,
        departure: &Departure,
        shared: &mut Shared,
    ) -> Checked {
        match departure {
            Departure::Answer { to, batch, at } => {
                let answer = (*to, *batch, *at);
                let left = self.answers.get(&answer).copied().unwrap_or_default();
                if left > 1 {
                    self.answers.insert(answer, left - 1);
                } else if self.answers.remove(&answer).is_none() {
                    let facts = format!(
                        "node {to} is told that its batch {batch} must see the slots below {at:?}; no such batch is confirmed"
                    );
                    return contradicts(READS, facts);
                }
                shared.network.send_answer(id, *to, *batch, *at);
            }
            Departure::Message { to, id: message } => {
                let mut produced = self.produced.iter();
                let place = produced.position(|it| it.to == *to && it.id == *message);
                let Some(produced) = place.and_then(|place| self.produced.remove(place)) else {
                    return contradicts(
                        PRODUCED,
                        format!("a message to {to:?} leaves that no step has produced"),
                    );
                };
                if self.waits(produced.step) {
                    let early = match produced.message {
                        Message::Accept { ballot, .. } => {
                            !self.pending.iter().any(|pending| pending.promised == Some(ballot))
                        }
                        _ => false,
                    };
                    if !early {
                        return contradicts(
                            AFTER_RECORDS,
                            format!("{:?} leaves", produced.message),
                        );
                    }
                    shared.coverage.add(Kind::LeftEarly);
                }
                shared.network.send(id, produced.to, &produced.message, produced.id);
            }
        }
        Ok(())
    }

    /// Applies values to the state machine.
    pub(super) fn applies(
        &mut self,
        id: NodeId,
        first: Slot,
        applications: &[Application],
        shared: &mut Shared,
    ) -> Checked {
        for (slot, applied) in (first.0..).map(Slot).zip(applications) {
            if slot != self.applied || slot.0 >= self.released {
                let facts = format!(
                    "{slot:?} is applied; {:?} is next, and the values below s{} may be applied",
                    self.applied, self.released
                );
                return contradicts(APPLIES_CHOSEN, facts);
            }
            shared.history.applied(id, said::slot(slot), applied)?;
            self.applied = slot.plus(1);
            shared.coverage.add(Kind::Applied);
        }
        Ok(())
    }

    /// Lets a read run.
    pub(super) fn serves(&mut self, at: Slot, applied: Slot, shared: &mut Shared) -> Checked {
        if applied != self.applied || at > applied || !self.reads.contains(&at) {
            let confirmed = if self.reads.contains(&at) { "is" } else { "is not" };
            let facts = format!(
                "a read runs on the state below {applied:?}; it must see the slots below {at:?}, which {confirmed} confirmed; \
                 the node has applied those below {:?}",
                self.applied
            );
            return contradicts(READS, facts);
        }
        shared.coverage.add(Kind::Served);
        Ok(())
    }

    /// Takes a snapshot, or installs the snapshot of another node.
    pub(super) fn saves(
        &mut self,
        id: NodeId,
        (below, state): (Slot, StateId),
        is_peers: bool,
        shared: &mut Shared,
    ) -> Checked {
        if is_peers {
            shared.coverage.add(Kind::Installed);
            self.applied = below;
        } else {
            if below > self.applied {
                let facts = format!(
                    "the snapshot names the slots below {below:?}; those below {:?} are applied",
                    self.applied
                );
                return contradicts(SNAPSHOTS, facts);
            }
            shared.coverage.add(Kind::Saved);
        }
        shared.history.snapshot(id, below, state)?;
        self.snapshots.push(Some((below, state)));
        Ok(())
    }
}
