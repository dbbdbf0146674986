//! One node, without sockets and threads.
//!
//! In a [turn](Node::turn) the node steps the replica for every input that is ready. It releases the effects whose records
//! are durable: it sends messages, applies chosen values and answers clients. Then it proposes the commands of waiting
//! clients, and sends the Accept messages that may leave before their records are durable.
//!
//! The records of several turns share one write and one sync. [`Node::take_commit`] returns them when no other write is under
//! way. The caller makes them durable, on this thread or on another one, and tells the node ([`Node::committed`]). In the
//! meantime it may run further turns.
//!
//! Invariant: a message, chosen value or answer leaves the node only after the records it depends on are durable. The
//! [`Output`] keeps it, because it releases nothing before. Refusals, timeouts, status, the admission of peers, and answers
//! that a peer's snapshot contains depend on no record; they are released where they arise.
//!
//! The node only connects its parts, in the order of a turn. Each part has one duty, takes what it needs as arguments,
//! and returns its results: [`peers`](super::peers), [`elections`](super::elections),
//! [`hand_over`](super::hand_over), [`promises`](super::promises), [`proposals`](super::proposals), [`reads`](super::reads),
//! [`replicated`](super::replicated) and [`snapshots`](super::snapshots). The steps of a turn are here. The module
//! `inputs` takes inputs, `requests` fires timers and sends requests to peers, and `release` releases output.

mod inputs;
mod release;
mod requests;

use metrics::Histogram;
use tokio::sync::watch;

pub(super) use self::inputs::Input;
use super::{
    catching_up::CatchingUp,
    elections::Elections,
    error::NodeError,
    event_log::{EventLog, PeersSnapshot},
    faults::Fault,
    hand_over::HandOver,
    leadership::{Leadership, Publisher},
    machine::StateMachine,
    noted_votes::{Commit, Committed, NotedVotes},
    options::Options,
    packet::Packet,
    peers::{Bootstrap, Handshake, Peers, begin_incarnation},
    promises::Promises,
    proposals::{Proposals, ProposeError},
    reads::{ReadError, Reads},
    recording::Recording,
    replicated::Replicated,
    saving::{self, Job},
    session::Sessions,
    snapshots::Snapshots,
    status::{Counts, Role, Status},
    timers::Now,
};
use paxos::{
    config::Config,
    event::Event,
    message::To,
    output::Output,
    protocol::{RecoverError, Replica, proposer},
    types::{Ballot, NodeId, Slot},
};
use paxos_store::{SnapshotFile as _, Storage, StorageError};

/// Carries packets to peers. A transport may lose packets; it must not block.
pub trait Transport: Send + 'static {
    /// Sends a packet to one or all peers.
    fn send(&mut self, to: To, packet: Packet);
}

/// The most inputs of a turn while the snapshot of a peer arrives. Each may be a part, which the turn writes and may have
/// to sync. The turn is short, so that other inputs do not wait for long, and so that the peer can read the next parts
/// while this node writes.
const FETCH_INPUTS_MAX: usize = 4;

/// A node.
pub(super) struct Node<M: StateMachine, S: Storage> {
    replica: Replica,
    /// The output of the replica that has not been released.
    output: Output,
    /// The number of inputs since the last commit was taken.
    inputs_waiting: usize,
    inputs_per_turn_max: usize,
    recording: Recording,
    storage: S,
    noted_votes: NotedVotes,
    peers: Peers,
    promises: Promises,
    elections: Elections,
    hand_over: HandOver,
    catching_up: CatchingUp,
    proposals: Proposals<M::Answer>,
    reads: Reads<M>,
    replicated: Replicated<M>,
    snapshots: Snapshots<M, S::SnapshotFile>,
    event_log: EventLog,
    leadership: Publisher,
    counts: Counts,
    sync_seconds: Histogram,
    fault: Option<Fault>,
}

/// A turn.
impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Steps the replica for all inputs, and releases the effects whose records are durable. Returns false if the node was
    /// told to stop. The caller must then [end](Self::end) it.
    ///
    /// # Errors
    /// The store fails, a peer refuses this node for good, or too many bytes were chosen since the machine has halted. After
    /// an error the node must not be used any more.
    pub(super) fn turn(
        &mut self,
        inputs: impl IntoIterator<Item = Input<M>>,
        now: Now,
        transport: &mut impl Transport,
    ) -> Result<bool, NodeError> {
        let mut goes_on = true;
        for input in inputs {
            self.inputs_waiting += 1;
            goes_on &= self.take(input, now)?;
        }
        self.fire_timers(now);
        let candidate = self.candidate().map(|(ballot, _)| ballot);
        self.promises.drop_old(self.replica.parts().acceptor.promised, candidate);
        self.release(now, transport);
        goes_on &= self.hand_over(now);
        self.ask_leader(now);
        self.release_early(transport);
        self.send_packets(transport);
        // Comes last, because what leaves before the sync must not depend on a record.
        self.trim();
        self.release(now, transport);
        self.begin_snapshot(now)?;
        if self.is_idle() {
            self.proposals.batch_done();
        }
        self.recording.flush();
        if let Some(slot) = self.replicated.outgrown() {
            return Err(NodeError::Halted { slot });
        }
        self.report_changes(now);
        Ok(goes_on)
    }

    /// Returns the number of inputs that the node takes in the next turn. While a write is under way, the inputs of several
    /// turns share this limit, so that a slow disk does not let the node gather without bound. While a snapshot arrives, a
    /// turn takes few.
    pub(super) fn inputs_max(&self) -> usize {
        let waiting = if self.output.is_writing() { self.inputs_waiting } else { 0 };
        let inputs_max = self.inputs_per_turn_max.saturating_sub(waiting);
        if self.snapshots.arrives() { inputs_max.min(FETCH_INPUTS_MAX) } else { inputs_max }
    }

    /// Returns the records that are to be made durable now. Returns `None` if there are none, or while others are under way.
    pub(super) fn take_commit(&mut self, transport: &mut impl Transport) -> Option<Commit> {
        if self.output.is_writing() {
            return None;
        }
        if self.fault == Some(Fault::SendsBeforeSync) {
            let messages = self.output.held().messages.clone();
            self.send_messages(messages, transport);
        }
        let write = self.output.write()?;
        self.inputs_waiting = 0;
        self.recording.write();
        Some(self.noted_votes.commit(write, &self.replica, self.fault))
    }

    /// Makes a commit durable on this thread.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn persist(&mut self, commit: Commit) -> Result<Committed, StorageError> {
        commit.persist(&mut self.storage)
    }

    /// Releases the effects that waited for these records.
    ///
    /// # Errors
    /// The store has failed. The effects are not released, and the node must not be used any more.
    pub(super) fn committed(
        &mut self,
        committed: Result<Committed, StorageError>,
        now: Now,
        transport: &mut impl Transport,
    ) -> Result<(), NodeError> {
        let Committed { durable, took } = committed?;
        self.counts.syncs += 1;
        self.sync_seconds.record(took);
        self.output.durable(durable);
        self.recording.durable();
        self.release(now, transport);
        Ok(())
    }

    /// Ends the node after its last turn: notes the last values as chosen, and answers every pending request.
    ///
    /// # Errors
    /// The store has failed.
    ///
    /// # Panics
    /// Some records are not durable.
    pub(super) fn end(&mut self) -> Result<(), NodeError> {
        assert!(self.is_durable(), "the records are durable before the node ends");
        self.noted_votes.note(&self.replica, &mut self.storage, self.fault)?;
        self.stop();
        self.recording.end();
        Ok(())
    }

    fn begin_snapshot(&mut self, now: Now) -> Result<(), NodeError> {
        let applied = self.replicated.applied();
        // The store is not free during a write.
        let free = !self.output.is_writing();
        if free
            && self.replicated.halted().is_none()
            && self.snapshots.is_due(applied, now)
            && let Some(sessions) = self.replicated.sessions()
        {
            let below = match self.fault {
                Some(Fault::NamesTooMuch) => applied.plus(1),
                _ => applied,
            };
            let state = sessions.snapshot_with(self.fault);
            self.snapshots.begin(below, state, now, &mut self.storage)?;
        }
        Ok(())
    }

    /// Logs and publishes a change of the role or of the leader. Logs that the snapshot of a peer arrives or is restored.
    fn report_changes(&mut self, now: Now) {
        let (role, leader) = (self.role(), self.leader(now));
        self.leadership.publish(Leadership { role, leader });
        let promised = self.replica.parts().acceptor.promised;
        self.event_log.log_changes(role, self.peers.missing(), promised, leader);
        let peers_snapshot = match self.snapshots.arriving() {
            _ if self.replicated.is_restoring() => PeersSnapshot::IsRestored,
            Some((from, below, bytes)) => PeersSnapshot::Arrives { from, below, bytes },
            None => PeersSnapshot::None,
        };
        self.event_log.log_peers_snapshot(peers_snapshot);
    }

    /// Answers every pending request with the error that the node has stopped.
    pub(super) fn stop(&mut self) {
        self.proposals.pending.end(&ProposeError::Stopped);
        self.reads.end(&ReadError::Stopped);
        self.hand_over.stop();
    }
}

/// Start.
impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Restores a node from its store. Without `handshakes` the node takes part at once.
    ///
    /// # Errors
    /// The configuration cannot work, or the store fails, belongs to another node or may not take part again.
    pub(super) fn recover(
        config: Config,
        options: Options,
        machine: M,
        mut storage: S,
        handshakes: bool,
    ) -> Result<Self, NodeError> {
        let (records, snapshot) = (storage.recover()?, storage.snapshot());
        let mut sessions = Sessions::new(machine);
        let mut restored = None;
        if let Some((below, file)) = &snapshot {
            let state = saving::restore(&mut sessions, *below, file.reader())?;
            restored = Some((*below, state));
        }
        config.validate().map_err(RecoverError::from)?;
        // The replica also refuses the records of a cluster with other members, but its error does not name the
        // members.
        let bootstrap = Bootstrap::recover(&mut storage, &config, handshakes)?;
        let replica = Replica::recover(config, records)?;
        let config = replica.parts().config;
        let incarnations = begin_incarnation(&mut storage)?;
        let number = incarnations.number();
        let noted_votes = NotedVotes::recover(number, &mut storage)?;
        let unique = u128::from(config.id.0) << 64 | u128::from(incarnations.unique());
        let below = snapshot.as_ref().map_or(Slot(0), |(below, _)| *below);
        let start = (number, incarnations.unique());
        let inputs_per_turn_max = options.inputs_per_turn_max;
        let recording = Recording::begin(options.recording.clone(), start, restored, &replica)?;
        let mut node = Self {
            peers: Peers::new(config, storage.id(), incarnations, bootstrap),
            promises: Promises::new(options.promise_part_bytes, options.fault),
            elections: Elections::new(config, &options),
            hand_over: HandOver::new(&options),
            catching_up: CatchingUp::new(options.election_timeout),
            proposals: Proposals::new(&options, unique),
            reads: Reads::new(&options, number),
            replicated: Replicated::new(sessions, options.turn_max),
            fault: options.fault,
            snapshots: Snapshots::new(snapshot, options),
            event_log: EventLog::new(config.id),
            leadership: Publisher::new(),
            replica,
            output: Output::default(),
            inputs_waiting: 0,
            inputs_per_turn_max,
            recording,
            storage,
            noted_votes,
            counts: Counts::default(),
            sync_seconds: metrics::histogram!("paxos_sync_seconds"),
        };
        // The slots of the snapshot need not be learned again, and neither do the noted votes.
        node.step(Event::Snapshot { below });
        node.step(Event::VotesChosen { below: node.noted_votes.below() });
        // Reports the first state now, because a node that waits for handshakes may have no turn for a long time.
        node.report_changes(Now::ZERO);
        Ok(node)
    }

    /// Lets the replica take a step.
    fn step(&mut self, event: Event) {
        self.recording.step(&mut self.replica, event, &mut self.output);
    }

    /// The handshake of this node.
    pub(super) fn handshake(&self) -> Handshake {
        self.peers.handshake()
    }

    /// A watch of the leader.
    pub(super) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.watch()
    }
}

/// Between turns.
impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Returns the time at which the node needs a turn even if no input arrives. A time that has passed means at once,
    /// and `None` means that the node needs no turn before an input arrives.
    pub(super) fn wake_at(&self) -> Option<Now> {
        if self.is_behind() || self.trims_now().is_some() {
            return Some(Now::ZERO);
        }
        let waiting = self.waiting();
        let waits = waiting > 0 || self.snapshots.arrives();
        let check = waits.then_some(self.elections.next_check());
        // No timer fires before the node takes part.
        let timer = self.elections.next().filter(|_| self.peers.takes_part());
        let batch = self.proposals.due_at().filter(|_| !self.hand_over.holds());
        let hand_over = self.hand_over.next(waiting);
        timer.into_iter().chain(check).chain(batch).chain(hand_over).min()
    }

    /// The number of pending requests of this node's clients.
    fn waiting(&self) -> usize {
        self.proposals.pending.waiting() + self.reads.waiting()
    }

    /// Returns true if the last turn has left entries to apply or reads to serve.
    pub(super) fn is_behind(&self) -> bool {
        let replicated = &self.replicated;
        let reads = replicated.halted().is_none() && !replicated.is_restoring();
        reads && self.reads.are_due(replicated.applied()) || replicated.is_behind()
    }

    /// Returns the job of a snapshot that is to be done now, if there is one. The caller must do it, and pass the
    /// result to [`saved`](Self::saved) between two turns.
    pub(super) fn take_job(&mut self) -> Option<Job<M, S::SnapshotFile>> {
        self.snapshots.take_job()
    }
}

/// The state of the node.
impl<M: StateMachine, S: Storage> Node<M, S> {
    fn me(&self) -> NodeId {
        self.replica.parts().config.id
    }

    fn leads(&self) -> bool {
        self.leads_in().is_some()
    }

    /// The ballot in which this node leads.
    fn leads_in(&self) -> Option<Ballot> {
        let parts = self.replica.parts();
        let leads = matches!(parts.role, proposer::Role::Leader(_));
        parts.acceptor.promised.filter(|_| leads)
    }

    /// The ballot in which this node is a candidate, and the promises that it has.
    fn candidate(&self) -> Option<(Ballot, &proposer::Candidate)> {
        let parts = self.replica.parts();
        let proposer::Role::Candidate(candidate) = parts.role else { return None };
        parts.acceptor.promised.map(|ballot| (ballot, candidate))
    }

    /// The node to send requests to: this node if it leads with a quorum, otherwise the sender of the last heartbeat,
    /// unless that heartbeat is too old.
    fn leader(&self, now: Now) -> Option<NodeId> {
        self.elections.leader(self.leads_in(), now)
    }

    /// Returns true if nothing is in flight. At a leader: every slot in which this node has voted is chosen, and all its
    /// records are durable. At another node: no forwarded command of its clients is unanswered.
    fn is_idle(&self) -> bool {
        if self.leads() {
            let parts = self.replica.parts();
            return parts.acceptor.votes.end() <= parts.learner.below && self.is_durable();
        }
        self.proposals.none_forwarded()
    }

    /// Returns true if all records are durable.
    fn is_durable(&self) -> bool {
        self.output.records().is_empty() && !self.output.is_writing()
    }

    fn role(&self) -> Role {
        match self.replica.parts().role {
            _ if !self.peers.takes_part() => Role::Forming,
            proposer::Role::Follower => Role::Follower,
            proposer::Role::Candidate(_) => Role::Candidate,
            proposer::Role::Leader(_) => Role::Leader,
        }
    }

    fn status(&self, now: Now) -> Status {
        let (parts, sizes) = (self.replica.parts(), self.replicated.sizes());
        Status {
            node: parts.config.id,
            role: self.role(),
            promised: parts.acceptor.promised,
            leader: self.leader(now),
            missing: self.peers.missing().to_vec(),
            chosen_below: parts.learner.below,
            chosen_elsewhere_below: self.elections.chosen_elsewhere().max(parts.learner.below),
            applied_below: self.replicated.applied(),
            trimmed_below: parts.acceptor.trimmed,
            log_end: parts.acceptor.votes.end(),
            snapshot_below: self.snapshots.below(),
            snapshot_under_way: self.snapshots.is_under_way(),
            disk_bytes: self.storage.disk_bytes(),
            state_bytes: sizes.state_bytes,
            halted: self.replicated.halted(),
            sessions: sizes.sessions,
            waiting_proposals: self.proposals.pending.waiting(),
            waiting_reads: self.reads.waiting(),
            silences: self.elections.silences(now).collect(),
            counts: self.counts.clone(),
        }
    }
}

#[cfg(test)]
impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Runs a turn, and makes its records durable.
    pub(super) fn durable_turn(
        &mut self,
        inputs: impl IntoIterator<Item = Input<M>>,
        now: Now,
        transport: &mut impl Transport,
    ) -> Result<bool, NodeError> {
        let goes_on = self.turn(inputs, now, transport)?;
        while let Some(commit) = self.take_commit(transport) {
            let committed = self.persist(commit);
            self.committed(committed, now, transport)?;
        }
        Ok(goes_on)
    }

    /// The state machine.
    pub(super) fn machine(&self) -> &M {
        self.replicated.sessions().expect("no job restores it").machine()
    }
}
