//! A node without sockets and threads: what happens in one turn, as two plain functions.
//!
//! A turn takes in whatever is ready and steps the replica for all of it. It lets out what came of that before
//! there was a record, proposes what clients ask for, and lets out what may leave early. Then it makes the
//! records durable with one write and one sync, and only then lets out the rest: messages, what is applied,
//! answers to clients. That order is stated once, in [`Node::begin_turn`] and [`Node::end_turn`], and nothing
//! that depends on a record of the turn leaves a node anywhere else. (What does not may: that a time is up, how
//! the node is, whether a peer may come in, and answers that a peer's snapshot brought.) Before the disk is
//! waited for, whoever carries packets and answers may have the thread.

use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::Histogram;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    batching::Batching,
    error::NodeError,
    event_log::EventLog,
    flight::Flight,
    formation::Formation,
    introduction::{Admission, Introduction, Lives},
    notes,
    options::Options,
    packet::Packet,
    pending_proposals::{Opened, PendingProposals, ProposeError, Reply},
    pending_reads::{For, PendingReads, ReadError, Reading},
    plausible::Guard,
    replicated::{Outcome, Replicated},
    saving::{Job, Saved},
    snapshots::{self, Snapshots},
    status::{Counts, Role as Doing, Status},
    timing::{Now, Timing},
};
use crate::{machine::StateMachine, session::Request};
use paxos::{
    config::Config,
    event::{Event, Output, Proposal, Timer, Token},
    message::{Envelope, Message, To},
    protocol::{NodeSet, RecoverError, Replica, proposer::Role},
    types::{NodeId, Slot},
};
use paxos_store::{Storage, StorageError};

/// What can reach a node.
pub(super) enum Input<M: StateMachine> {
    /// A packet of a peer, and the room that it takes until the node has taken it in.
    Packet { from: NodeId, packet: Packet, room: Option<OwnedSemaphorePermit> },
    /// A client asks for a command.
    Propose { command: Bytes, reply: Reply<M::Answer> },
    /// A client asks for a session of its own.
    Open(Opened),
    /// A client asks for a command in it.
    Request { request: Request, reply: Reply<M::Answer> },
    /// A client asks to read.
    Read(Reading<M>),
    /// A peer has connected and introduces itself.
    Introduced { peer: NodeId, introduction: Introduction, reply: oneshot::Sender<Admission> },
    /// What a peer says to this node's introduction.
    Answered { by: NodeId, answer: Admission },
    /// Somebody asks how it is.
    Status(oneshot::Sender<Status>),
    /// Everything before this was taken in; the node should stop.
    Stop,
}

/// Carries packets to peers. It may lose them; it must not block.
pub trait Transport: Send + 'static {
    /// Sends a packet to one or all peers.
    fn send(&mut self, to: To, packet: Packet);
}

/// Half a turn.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    /// Whether nobody has told the node to stop.
    goes_on: bool,
    /// Whether there is something to sync.
    pub(super) syncs: bool,
}

/// A node.
pub(super) struct Node<M: StateMachine, S: Storage> {
    options: Options,
    peers: Vec<NodeId>,
    replica: Replica,
    storage: S,
    lives: Lives,
    replicated: Replicated<M>,
    formation: Formation,
    timing: Timing,
    proposals: PendingProposals<M::Answer>,
    reads: PendingReads<M>,
    snapshots: Snapshots<S::SnapshotFile>,
    batching: Batching,
    flight: Flight,
    output: Output,
    /// What is to be sent and depends on no record of this turn: nothing that says what this node has promised or
    /// voted for, and answers to reads only as they are released.
    packets: Vec<(To, Packet)>,
    asked_leader: Option<NodeId>,
    look_after_at: Now,
    /// The highest end of what is chosen, as leaders have said.
    chosen_elsewhere: Slot,
    event_log: EventLog,
    guard: Guard,
    counts: Counts,
    sync_seconds: Histogram,
}

/// How often it is looked after whoever waits.
const LOOK_AFTER: Duration = Duration::from_millis(50);

impl<M: StateMachine, S: Storage> Node<M, S> {
    /// A node as its store has it.
    pub(super) fn recover(
        config: Config,
        options: Options,
        machine: M,
        mut storage: S,
        introduced: bool,
    ) -> Result<Self, NodeError> {
        let (records, snapshot) = (storage.recover()?, storage.snapshot());
        let peers: Vec<_> =
            config.nodes.iter().copied().filter(|&node| node != config.id).collect();
        let mut replicated = Replicated::new(machine);
        if let Some((below, file)) = &snapshot {
            replicated.restore(*below, &mut snapshots::reader(file))?;
        }
        let timing = Timing::new(&config, &options);
        config.validate().map_err(RecoverError::from)?;
        // Records of other members would be refused as well, but not so that anybody knew why.
        let formation = Formation::recover(&mut storage, &config, introduced)?;
        let replica = Replica::recover(config, records)?;
        let config = replica.parts().config;
        let event_log = EventLog::new(config.id);
        let lives = begin_life(&mut storage)?;
        let unique = u128::from(config.id.0) << 64 | u128::from(lives.unique());
        let below = snapshot.as_ref().map_or(Slot(0), |(below, _)| *below);
        let mut node = Self {
            proposals: PendingProposals::new(options.request_timeout, options.resend, unique),
            reads: PendingReads::new(options.request_timeout, options.resend, lives.number()),
            batching: Batching::new(options.batch_wait),
            flight: Flight::default(),
            options,
            peers,
            replica,
            storage,
            lives,
            replicated,
            formation,
            timing,
            snapshots: Snapshots::new(snapshot),
            output: Output::default(),
            packets: Vec::new(),
            asked_leader: None,
            look_after_at: Now::ZERO,
            chosen_elsewhere: Slot(0),
            event_log,
            guard: Guard::default(),
            counts: Counts::default(),
            sync_seconds: metrics::histogram!("paxos_sync_seconds"),
        };
        // What the snapshot holds need not be learned again.
        node.replica.step(Event::Snapshot { below }, &mut node.output);
        // A node that waits for the others may have no turn for a long time.
        node.tell_changes(Now::ZERO);
        Ok(node)
    }

    /// When it has to be woken even if nothing reaches it, if ever.
    pub(super) fn wake_at(&self) -> Option<Now> {
        if self.is_behind() {
            return Some(Now::ZERO);
        }
        let waits = self.proposals.waiting() + self.reads.waiting() > 0 || self.snapshots.arrives();
        let look_after = waits.then_some(self.look_after_at);
        // Timers wait until it takes part, however long ago they ran out.
        let timer = self.timing.next().filter(|_| self.formation.complete());
        // Where too much is on its way, only an answer to that helps.
        let gathered = self.batching.due_at().filter(|_| self.flight.room() > 0);
        timer.into_iter().chain(look_after).chain(gathered).min()
    }

    /// Whether there is more to apply or to read than fitted into its last turn.
    pub(super) fn is_behind(&self) -> bool {
        let reads =
            self.replicated.halted().is_none() && self.reads.are_due(self.replicated.applied());
        reads || self.replicated.is_behind()
    }

    /// A snapshot that has to be written, once. What comes of it goes to [`saved`](Self::saved), before the next turn.
    pub(super) fn take_job(&mut self) -> Option<Job<S::SnapshotFile>> {
        self.snapshots.take_job()
    }

    /// Its machine.
    #[cfg(test)]
    pub(super) fn machine(&self) -> &M {
        self.replicated.sessions().machine()
    }

    /// What it says of itself.
    pub(super) fn introduction(&self) -> Introduction {
        let (lives, members) = (self.lives.clone(), self.formation.members().clone());
        Introduction { store: self.storage.id(), lives, members }
    }

    /// One turn: takes in what is ready, and lets out what follows. Gives whether it goes on.
    #[cfg(test)]
    pub(super) fn turn(
        &mut self,
        inputs: impl IntoIterator<Item = Input<M>>,
        now: Now,
        transport: &mut impl Transport,
    ) -> Result<bool, NodeError> {
        let begun = self.begin_turn(inputs, now, transport)?;
        self.end_turn(begun, now, transport)
    }

    /// The first half of a turn: **take in what is ready, step the protocol for all of it, and let out what
    /// waits for no record.** The second has to follow.
    pub(super) fn begin_turn(
        &mut self,
        inputs: impl IntoIterator<Item = Input<M>>,
        now: Now,
        transport: &mut impl Transport,
    ) -> Result<Begun, NodeError> {
        let (mut goes_on, mut settled) = (true, Output::default());
        // What came before there was a record depends on none.
        let mut settle = |output: &mut Output| {
            if output.records.is_empty() {
                settled.append(output);
            }
        };
        for input in inputs {
            settle(&mut self.output);
            goes_on &= self.take_in(input, now)?;
        }
        self.fire_timers(now);
        settle(&mut self.output);
        self.release(settled, now, transport);
        self.ask(now);
        self.release_early(transport);
        self.send_packets(transport);
        Ok(Begun { goes_on, syncs: !self.output.records.is_empty() })
    }

    /// The second half: **persist and sync, then send, apply and answer.** If the store fails, nothing is
    /// let out, and the node must not be used any more.
    ///
    /// Gives whether it goes on.
    pub(super) fn end_turn(
        &mut self,
        begun: Begun,
        now: Now,
        transport: &mut impl Transport,
    ) -> Result<bool, NodeError> {
        let output = self.persist()?;
        self.release(output, now, transport);
        let applied = self.replicated.applied();
        if self.replicated.halted().is_none() && self.snapshots.is_due(applied, &self.options) {
            self.snapshots.begin(applied, self.replicated.snapshot(), &mut self.storage)?;
        }
        if self.is_idle() {
            self.batching.done();
        }
        if !begun.goes_on {
            self.stop();
        }
        if let Some(slot) = self.replicated.outgrown() {
            return Err(NodeError::Halted { slot });
        }
        self.tell_changes(now);
        Ok(begun.goes_on)
    }

    /// Logs a change of the role or the leader.
    fn tell_changes(&mut self, now: Now) {
        let (role, leader) = (self.role(), self.leader(now));
        let promised = self.replica.parts().acceptor.promised;
        self.event_log.tell(role, self.formation.missing(), promised, leader);
    }

    /// Gives what may leave then.
    fn persist(&mut self) -> Result<Output, NodeError> {
        if !self.output.records.is_empty() {
            self.counts.syncs += 1;
            let begun = Instant::now();
            self.storage.persist(&self.output.records)?;
            self.sync_seconds.record(begun.elapsed());
            self.output.records.clear();
        }
        Ok(std::mem::take(&mut self.output))
    }

    /// Every request that waits is answered: the node has stopped.
    pub(super) fn stop(&mut self) {
        self.proposals.end(&ProposeError::Stopped);
        self.reads.end(&ReadError::Stopped);
    }
}

/// Taking in.
impl<M: StateMachine, S: Storage> Node<M, S> {
    fn take_in(&mut self, input: Input<M>, now: Now) -> Result<bool, NodeError> {
        match input {
            Input::Packet { from, packet, room } => {
                self.on_packet(from, packet, now)?;
                drop(room);
            }
            Input::Propose { .. } | Input::Open(_) | Input::Request { .. } | Input::Read(_)
                if self.replicated.halted().is_some() =>
            {
                self.refuse(input);
            }
            Input::Propose { command, reply } => self.proposals.propose(command, reply, now),
            Input::Open(reply) => self.proposals.open(reply, now),
            Input::Request { request, reply } => self.proposals.request(&request, reply, now),
            Input::Read(reading) => self.reads.read(reading, now),
            Input::Introduced { peer, introduction, reply } => {
                let answer = self.formation.introduce(peer, &introduction, &mut self.storage)?;
                let _ = reply.send(answer); // The connection may be gone: it comes again.
            }
            Input::Answered { by, answer } => match answer {
                Admission::Welcome => self.formation.welcomed(by, &mut self.storage)?,
                Admission::Replaced(reason) => return Err(NodeError::Refused { by, reason }),
                Admission::Banned(reason) => {
                    Formation::banned(by, &reason, &mut self.storage)?;
                    return Err(NodeError::Refused { by, reason });
                }
                Admission::Refused(_) => {} // It may be put right on the other side.
            },
            Input::Status(reply) => {
                let _ = reply.send(self.status(now)); // Nobody may want to know any more.
            }
            Input::Stop => return Ok(false),
        }
        Ok(true)
    }

    /// A client asks for something, and the machine has halted.
    fn refuse(&self, input: Input<M>) {
        let Some(slot) = self.replicated.halted() else { return };
        let error = ProposeError::Halted { slot, may_be_applied: false };
        // A client that has gone away does not need to know.
        match input {
            Input::Propose { reply, .. } | Input::Request { reply, .. } => {
                let _ = reply.send(Err(error));
            }
            Input::Open(opened) => {
                let _ = opened.send(Err(error));
            }
            Input::Read(reading) => reading(Err(ReadError::Halted(slot))),
            _ => {}
        }
    }

    fn on_packet(&mut self, from: NodeId, packet: Packet, now: Now) -> Result<(), NodeError> {
        let index = self.replica.parts().config.nodes.iter().position(|&node| node == from);
        let Some(index) = index.filter(|_| self.formation.complete() && self.peers.contains(&from))
        else {
            return Ok(()); // As if it were lost.
        };
        if !self.guard.admits(
            from,
            &packet,
            (self.replica.parts(), self.replicated.sessions()),
            now,
        ) {
            self.counts.implausible += 1;
            return Ok(()); // As if it were lost, too.
        }
        self.counts.received[packet.kind()] += 1;
        self.timing.hear(from, now);
        match packet {
            Packet::Message(message) => {
                if let Message::Heartbeat { ballot, chosen_below } = message
                    && ballot.node == from
                    && Some(ballot) >= self.replica.parts().acceptor.promised
                {
                    self.chosen_elsewhere = self.chosen_elsewhere.max(chosen_below);
                    self.timing.hear_leader(ballot, now);
                    self.queue(from, Packet::Following);
                }
                self.replica.step(Event::Message { from, message }, &mut self.output);
            }
            Packet::Forward(commands) if self.leads() => self.gather(commands, now),
            Packet::ReadIndex { id } => {
                let token = self.reads.token(For::Other(from, id));
                self.replica.step(Event::Read(vec![token]), &mut self.output);
            }
            Packet::ReadAt { id, at } => self.reads.confirm(id, at),
            Packet::PreVote => {
                let leads = self.leads() && self.is_followed(now);
                if !leads && !self.timing.has_leader(now) {
                    self.queue(from, Packet::PreVoteGranted);
                }
            }
            Packet::PreVoteGranted => {
                let count = self.timing.hear_pre_vote_granted(index);
                self.campaign_if_granted(count);
            }
            // Whoever forwards to one that does not lead asks again.
            Packet::Forward(_) | Packet::Following => {}
            Packet::Fetch { below, offset } => {
                if let Some(part) = self.snapshots.part(below, offset)? {
                    self.queue(from, part);
                }
            }
            Packet::Chunk { below, length, offset, part } => {
                let (part, chosen) =
                    ((below, length, offset, &part[..]), self.replica.parts().learner.below);
                let next =
                    self.snapshots.take_part(from, part, (chosen, now), &mut self.storage)?;
                if let Some(next) = next {
                    self.queue(from, next);
                }
            }
        }
        Ok(())
    }

    fn fire_timers(&mut self, now: Now) {
        if !self.formation.complete() {
            return;
        }
        if self.timing.pre_votes_again(now) {
            self.packets.push((To::Peers, Packet::PreVote));
        }
        for timer in self.timing.due(now) {
            match timer {
                Timer::Campaign if self.leads() => {}
                Timer::Campaign => {
                    let me = self.replica.parts().config.nodes.iter();
                    let me = me.clone().position(|&node| node == self.replica.parts().config.id);
                    let me = NodeSet(1 << me.expect("a valid configuration lists its own node"));
                    self.timing.pre_vote(me, now);
                    self.packets.push((To::Peers, Packet::PreVote));
                    self.campaign_if_granted(Some(1));
                }
                // A leader that hears of nobody is of no use; it does not keep others from electing one.
                Timer::Heartbeat | Timer::Resend if self.leads() && !self.is_followed(now) => {
                    self.timing.arm(timer, now);
                }
                timer => self.replica.step(Event::Timer(timer), &mut self.output),
            }
        }
    }

    fn campaign_if_granted(&mut self, count: Option<usize>) {
        if count.is_some_and(|count| count >= self.replica.parts().config.phase1_quorum) {
            self.timing.stop_pre_vote();
            self.counts.campaigns += 1;
            self.replica.step(Event::Timer(Timer::Campaign), &mut self.output);
        }
    }

    /// Asks the leader, or proposes as the leader, what clients wait for.
    fn ask(&mut self, now: Now) {
        let looks_after = now >= self.look_after_at;
        if looks_after {
            self.look_after_at = now + LOOK_AFTER;
            self.proposals.give_up(now);
            self.reads.give_up(now);
            self.fetch_again(now);
        }
        let Some(leader) = self.leader(now) else {
            self.flight.clear();
            return self.batching.clear();
        };
        let moved = self.asked_leader.replace(leader) != Some(leader);
        if moved {
            self.batching.clear();
            self.flight.clear();
        }
        let entries = self.proposals.due(leader, now, looks_after || moved);
        let reads = self.reads.due(leader, now, looks_after || moved);
        self.gather(entries, now);
        if leader == self.replica.parts().config.id {
            self.propose(reads, now);
        } else {
            self.forward(leader, reads, now);
        }
    }

    /// Commands that are to be proposed, or forwarded, but for those that are on their way already.
    fn gather(&mut self, mut commands: Vec<Bytes>, now: Now) {
        commands.retain(|command| !self.flight.holds(command));
        self.batching.extend(commands, now);
    }

    fn propose(&mut self, reads: Vec<u64>, now: Now) {
        let (idle, room) = (self.is_idle(), self.flight.room());
        if let Some(commands) = self.batching.take_due(idle, room, now) {
            let asked = commands.clone();
            let proposal = |command| Proposal { token: Token(0), command };
            let proposals: Vec<_> = commands.into_iter().map(proposal).collect();
            self.counts.proposals += proposals.len() as u64;
            self.counts.batches += 1;
            self.replica.step(Event::Propose(proposals), &mut self.output);
            self.flight.add(self.replica.parts().acceptor.votes.end(), &asked);
        }
        if !reads.is_empty() {
            let tokens = reads.into_iter().map(|id| self.reads.token(For::Own(id))).collect();
            self.replica.step(Event::Read(tokens), &mut self.output);
        }
    }

    fn forward(&mut self, leader: NodeId, reads: Vec<u64>, now: Now) {
        if let Some(commands) = self.batching.take_due(self.is_idle(), usize::MAX, now) {
            self.queue(leader, Packet::Forward(commands));
        }
        for id in reads {
            self.queue(leader, Packet::ReadIndex { id });
        }
    }

    /// Whether nothing of what it has proposed, or asked the leader for, is on its way.
    fn is_idle(&self) -> bool {
        if self.leads() {
            let parts = self.replica.parts();
            return parts.acceptor.votes.end() <= parts.learner.below;
        }
        self.proposals.commands() <= self.batching.len()
    }

    fn fetch_again(&mut self, now: Now) {
        let (timing, timeout) = (&self.timing, self.options.election_timeout);
        let is_silent =
            |from| timing.silences(now).any(|(peer, silence)| peer == from && silence > timeout);
        let again = self.snapshots.fetch_again(now, self.options.resend, is_silent);
        if let Some((from, packet)) = again {
            self.queue(from, packet);
        }
    }
}

/// Letting out.
impl<M: StateMachine, S: Storage> Node<M, S> {
    /// The peers sync what they vote for while this node syncs.
    fn release_early(&mut self, transport: &mut impl Transport) {
        for Envelope { to, message } in self.output.take_early() {
            send(&mut self.counts, transport, to, Packet::Message(message));
        }
    }

    /// What depends on no record, whenever it is said.
    fn send_packets(&mut self, transport: &mut impl Transport) {
        for (to, packet) in self.packets.drain(..) {
            send(&mut self.counts, transport, to, packet);
        }
    }

    fn release(&mut self, output: Output, now: Now, transport: &mut impl Transport) {
        assert!(output.records.is_empty(), "nothing else leaves before its records are durable");
        // Messages come before answers: peers have more to do.
        for Envelope { to, message } in output.messages {
            send(&mut self.counts, transport, to, Packet::Message(message));
        }
        self.replicated.chosen(output.chosen);
        for ready in output.reads {
            match self.reads.whose(ready.token) {
                Some(For::Own(id)) => self.reads.confirm(id, ready.at),
                Some(For::Other(node, id)) => {
                    self.packets.push((To::Node(node), Packet::ReadAt { id, at: ready.at }));
                }
                None => {}
            }
        }
        for refused in output.refused {
            // Whoever waits for it asks again.
            let _ = self.reads.whose(refused.token);
        }
        self.catch_up();
        for from in output.fetch {
            if let Some(first) = self.snapshots.fetch(from, now) {
                self.queue(from, first);
            }
        }
        for timer in output.timers {
            self.timing.arm(timer, now);
        }
        self.send_packets(transport);
    }

    /// Applies what was chosen, and reads, for as long as a turn may take: at least one entry, and one read. What is
    /// left waits for the next turn, so that packets and other clients do not wait for all of it.
    fn catch_up(&mut self) {
        let until = Instant::now().checked_add(self.options.turn_max);
        let goes_on = || until.is_none_or(|until| Instant::now() < until);
        while let Some(outcome) = self.replicated.apply_next() {
            match outcome {
                Outcome::Applied(applied, bytes) => {
                    self.snapshots.applied(bytes);
                    self.proposals.applied(applied);
                    self.counts.applied += 1;
                }
                Outcome::Panicked(slot, panic) => {
                    self.event_log.tell_of_panic(slot, &*panic);
                    self.proposals.end(&ProposeError::Halted { slot, may_be_applied: true });
                    self.reads.end(&ReadError::Halted(slot));
                }
                Outcome::Nothing => {}
            }
            if !goes_on() {
                break;
            }
        }
        if self.replicated.halted().is_none() {
            let (applied, machine) =
                (self.replicated.applied(), self.replicated.sessions().machine());
            self.reads.serve(applied, machine, goes_on);
            // No more is on its way than this node itself has applied in time.
            self.flight.land(applied);
        } else {
            self.flight.land(self.replica.parts().learner.below);
        }
    }

    /// Takes the snapshot that was written in place of the one before. The turn that follows trims the log.
    pub(super) fn saved(&mut self, saved: Saved<S::SnapshotFile>) -> Result<(), NodeError> {
        let Saved { below, is_peers, file } = saved;
        let file = file.map_err(StorageError::io("write the snapshot"))?;
        // What lies between two snapshots is kept for peers that are a little behind.
        let mut trimmed = self.snapshots.below().unwrap_or_default();
        if is_peers {
            // This node may know more by now. If it does not understand the snapshot it lags on.
            if below <= self.replica.parts().learner.below || !self.restore(below, &file) {
                return Ok(self.snapshots.adopt(None, &mut self.storage)?);
            }
            trimmed = below;
        }
        self.snapshots.adopt(Some((below, file)), &mut self.storage)?;
        self.event_log.tell_of_snapshot(below, self.snapshots.bytes(), is_peers);
        if is_peers {
            self.counts.installed += 1;
            self.proposals.restored(self.replicated.sessions());
        } else {
            self.counts.snapshots += 1;
        }
        self.replica.step(Event::Snapshot { below: trimmed }, &mut self.output);
        Ok(())
    }

    /// Replaces all of the machine by a peer's snapshot. Returns false if the machine does not understand it.
    fn restore(&mut self, below: Slot, file: &S::SnapshotFile) -> bool {
        if let Err(error) = self.replicated.restore(below, &mut snapshots::reader(file)) {
            tracing::error!(%error, "a peer's snapshot cannot be used");
            return false;
        }
        self.snapshots.restored();
        true
    }

    fn queue(&mut self, to: NodeId, packet: Packet) {
        self.packets.push((To::Node(to), packet));
    }
}

fn send(counts: &mut Counts, transport: &mut impl Transport, to: To, packet: Packet) {
    counts.sent[packet.kind()] += 1;
    transport.send(to, packet);
}

/// Begins a new life of a node: what an earlier one has asked is not to be taken for what this one asks.
fn begin_life(storage: &mut impl Storage) -> Result<Lives, StorageError> {
    let nonce = getrandom::u64();
    let nonce = nonce.map_err(|error| StorageError::io("find a random number")(error.into()))?;
    let mut lives = notes::LIVES.read(storage)?.unwrap_or_default();
    lives.begin(nonce);
    notes::LIVES.write(&lives, storage)?;
    Ok(lives)
}

/// What it knows of itself.
impl<M: StateMachine, S: Storage> Node<M, S> {
    fn leads(&self) -> bool {
        matches!(self.replica.parts().role, Role::Leader(_))
    }

    /// Whether enough peers were heard of lately to get anything chosen.
    fn is_followed(&self, now: Now) -> bool {
        let config = self.replica.parts().config;
        self.timing.heard_lately(now) + 1 >= config.phase2_quorum
    }

    /// The node to send requests to: this node if it leads with a quorum, otherwise the sender of the last heartbeat. A
    /// leader without a quorum may have been replaced, and hears so from its successor alone.
    fn leader(&self, now: Now) -> Option<NodeId> {
        let me = self.replica.parts().config.id;
        if self.leads() && self.is_followed(now) {
            return Some(me);
        }
        self.timing.leader(now).filter(|&leader| leader != me)
    }

    fn role(&self) -> Doing {
        match self.replica.parts().role {
            _ if !self.formation.complete() => Doing::Forming,
            Role::Follower => Doing::Follower,
            Role::Candidate(_) => Doing::Candidate,
            Role::Leader(_) => Doing::Leader,
        }
    }

    fn status(&self, now: Now) -> Status {
        let parts = self.replica.parts();
        Status {
            node: parts.config.id,
            role: self.role(),
            promised: parts.acceptor.promised,
            leader: self.leader(now),
            missing: self.formation.missing().to_vec(),
            chosen_below: parts.learner.below,
            chosen_elsewhere_below: self.chosen_elsewhere.max(parts.learner.below),
            applied_below: self.replicated.applied(),
            trimmed_below: parts.acceptor.trimmed,
            log_end: parts.acceptor.votes.end(),
            snapshot_below: self.snapshots.below(),
            disk_bytes: self.storage.disk_bytes(),
            state_bytes: self.replicated.sessions().machine().state_bytes(),
            halted: self.replicated.halted(),
            sessions: self.replicated.sessions().open(),
            waiting_proposals: self.proposals.waiting(),
            waiting_reads: self.reads.waiting(),
            silences: self.timing.silences(now).collect(),
            counts: self.counts.clone(),
        }
    }
}
