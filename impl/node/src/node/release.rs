//! The output of a node: messages, applied values, answers, snapshots.

use std::panic::resume_unwind;

use super::{Node, Transport};
use crate::{
    error::NodeError,
    faults::{self, Fault},
    machine::StateMachine,
    packet::Packet,
    proposals::ProposeError,
    reads::ReadError,
    replicated::Outcome,
    saving::{Ended, Saved},
    status::Counts,
    timers::Now,
};
use paxos::{
    event::Event,
    message::{Envelope, To},
    types::Slot,
};
use paxos_store::{Storage, StorageError};

impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Sends the Accept messages that need not wait for the records of this turn, so that the peers sync while this
    /// node syncs.
    pub(super) fn release_early(&mut self, transport: &mut impl Transport) {
        let early = self.output.take_early().collect();
        self.send_messages(early, transport);
    }

    /// Sends messages of the replica.
    pub(super) fn send_messages(
        &mut self,
        messages: Vec<Envelope>,
        transport: &mut impl Transport,
    ) {
        self.recording.messages_leave(&messages);
        for Envelope { to, message } in messages {
            if let Some(packet) = self.promises.packet(to, message) {
                send(&mut self.counts, transport, to, packet);
            }
        }
    }

    /// Sends the packets that depend on no record of this turn.
    pub(super) fn send_packets(&mut self, transport: &mut impl Transport) {
        self.recording.packets_leave(self.peers.packets());
        for (to, packet) in self.peers.take_packets() {
            send(&mut self.counts, transport, to, packet);
        }
    }

    /// Releases the effects whose records are durable.
    pub(super) fn release(&mut self, now: Now, transport: &mut impl Transport) {
        let mut effects = std::mem::take(self.output.released());
        self.catching_up.hold_back(&mut effects, self.replicated.is_restoring(), now);
        // Messages leave before answers, because a peer has more work to do than a client.
        self.send_messages(effects.messages, transport);
        self.replicated.chosen(effects.chosen);
        for ready in effects.reads {
            if let Some((peer, answer)) = self.reads.ready(ready) {
                self.peers.queue(peer, answer);
            }
        }
        for refused in effects.refused {
            self.reads.refused(refused.token);
        }
        self.catch_up();
        for from in effects.fetch {
            if let Some(first) = self.snapshots.fetch(from, now) {
                self.peers.queue(from, first);
            }
        }
        for timer in effects.timers {
            self.elections.arm(timer, now);
        }
        self.send_packets(transport);
    }

    /// Applies chosen values and serves reads until the time of [`Options::turn_max`](crate::Options::turn_max) is up,
    /// but at least one value and one read. The rest waits for the next turn, so that other inputs are not held up.
    fn catch_up(&mut self) {
        let goes_on = self.replicated.turn_budget();
        while let Some((slot, value, outcome)) = self.replicated.apply_next() {
            match outcome {
                Outcome::Applied(applied, bytes) => {
                    self.recording.applied(slot, &value, &applied);
                    self.snapshots.applied(slot, bytes);
                    let mixes = self.fault == Some(Fault::MixesAnswers);
                    let applied = if mixes { faults::mixed_up(applied) } else { applied };
                    self.proposals.pending.applied(applied);
                    self.counts.applied += 1;
                }
                Outcome::Panicked(panic) => {
                    if self.fault == Some(Fault::StopsAtPanic) {
                        resume_unwind(panic);
                    }
                    self.event_log.log_panic(slot, &*panic);
                    let error = ProposeError::Halted { slot, may_be_applied: true };
                    self.proposals.pending.end(&error);
                    self.reads.end(&ReadError::Halted(slot));
                }
                Outcome::Nothing => {}
            }
            if !goes_on() {
                break;
            }
        }
        if self.replicated.halted().is_none() {
            let applied = self.replicated.applied();
            if let Some(sessions) = self.replicated.sessions() {
                let (machine, recording) = (sessions.machine(), &mut self.recording);
                let may_see = match self.fault {
                    Some(Fault::ReadsTooEarly) => Slot(u64::MAX),
                    _ => applied,
                };
                self.reads.serve(may_see, machine, goes_on, |at| recording.served(at, applied));
            }
            // Proposals stay in flight until they are applied, so a leader that applies slowly proposes slowly.
            self.proposals.done_below(applied);
        } else {
            self.proposals.done_below(self.replica.parts().learner.below);
        }
    }

    /// Adopts a snapshot that was written or restored in place of the previous one. The next turns trim the log.
    ///
    /// # Errors
    /// The snapshot could not be written, or the store fails.
    pub(crate) fn saved(&mut self, saved: Saved<M, S::SnapshotFile>) -> Result<(), NodeError> {
        let Saved { below, ended, file } = saved;
        let file = file.map_err(StorageError::io("write the snapshot"))?;
        let is_peers = match ended {
            // The recording names the snapshot first: a node that is killed here starts with either snapshot.
            Ended::Written(state) => {
                self.recording.saved(below, Ok(state), false);
                self.snapshots.adopt_own(below, file, &mut self.storage)?;
                for (peer, first_part) in self.snapshots.take_awaited()? {
                    self.peers.queue(peer, first_part);
                }
                self.counts.snapshots += 1;
                false
            }
            Ended::Restored(sessions, state) => {
                self.recording.saved(below, state, true);
                self.snapshots.adopt_peers(below, file, &mut self.storage)?;
                self.counts.installed += 1;
                self.proposals.pending.restored(&sessions);
                self.replicated.restored(sessions);
                self.output.drop_chosen(below);
                self.step(Event::Snapshot { below });
                true
            }
            Ended::NotRestored(sessions, error) => {
                tracing::error!(%error, "a peer's snapshot cannot be used");
                // The node stays behind, unless it learns the values from another node.
                self.replicated.give_back(sessions);
                self.snapshots.give_up();
                return Ok(());
            }
        };
        self.event_log.log_snapshot(below, self.snapshots.bytes(), is_peers);
        Ok(())
    }

    /// Trims slots that a snapshot of this node replaces.
    pub(super) fn trim(&mut self) {
        if let Some(below) = self.trims_now() {
            self.step(Event::Snapshot { below });
        }
    }

    /// Returns the end of the slots that are to be trimmed now, if there are any. The node trims one part of the log in a
    /// write, so that no write takes long.
    pub(super) fn trims_now(&self) -> Option<Slot> {
        let trimmed = self.replica.parts().acceptor.trimmed;
        self.snapshots.trims_now(trimmed).filter(|_| !self.output.is_writing())
    }
}

fn send(counts: &mut Counts, transport: &mut impl Transport, to: To, packet: Packet) {
    counts.sent[packet.kind()] += 1;
    transport.send(to, packet);
}
