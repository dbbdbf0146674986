//! The inputs of a node: packets of peers, requests of clients, handshakes.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Node;
use crate::{
    error::NodeError,
    hand_over::TransferReply,
    machine::StateMachine,
    packet::Packet,
    peers::{Admission, Handshake},
    promises::{PromiseId, Taken},
    proposals::{ProposeError, Reply, SessionReply},
    reads::{Asker, BatchId, ReadError, Reading},
    session::Request,
    status::Status,
    timers::Now,
    transfer::Part,
};
use paxos::{
    event::{Event, Timer},
    message::Message,
    types::NodeId,
};
use paxos_store::Storage;

/// An input of a node.
pub(crate) enum Input<M: StateMachine> {
    /// A packet of a peer. `room` is the permit for its memory. The node releases it once it has taken the packet.
    Packet { from: NodeId, packet: Packet, room: Option<OwnedSemaphorePermit> },
    /// A client's command, for the session of the node.
    Propose { command: Bytes, reply: Reply<M::Answer> },
    /// A client asks for a session of its own.
    Open(SessionReply),
    /// A command in a client's own session.
    Request { request: Request, reply: Reply<M::Answer> },
    /// A client's read.
    Read(Reading<M>),
    /// The handshake of a peer that has connected.
    Handshake { peer: NodeId, handshake: Handshake, reply: oneshot::Sender<Admission> },
    /// The answer of a peer to this node's handshake.
    Admitted { by: NodeId, admission: Admission },
    /// A request for the status of the node.
    Status(oneshot::Sender<Status>),
    /// The node is to let another node lead: `to`, or a node that it chooses.
    Transfer { to: Option<NodeId>, reply: TransferReply },
    /// The node is to hand over if it leads, to finish the requests of clients, and to stop.
    Leave,
    /// The node is to stop at the end of the turn that takes this input.
    Stop,
}

impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Takes an input. Returns false if the node is to stop.
    pub(super) fn take(&mut self, input: Input<M>, now: Now) -> Result<bool, NodeError> {
        match input {
            Input::Packet { from, packet, room } => {
                self.take_packet(from, packet, now)?;
                drop(room);
            }
            Input::Propose { .. } | Input::Open(_) | Input::Request { .. } | Input::Read(_)
                if let Some(refusal) = self.refusal() =>
            {
                refuse(input, refusal);
            }
            Input::Propose { command, reply } => {
                self.proposals.pending.propose(command, reply, now);
            }
            Input::Open(reply) => self.proposals.pending.open(reply, now),
            Input::Request { request, reply } => {
                self.proposals.pending.request(&request, reply, now);
            }
            Input::Read(reading) => self.reads.read(reading, now),
            Input::Handshake { peer, handshake, reply } => {
                let answer = self.peers.admit(peer, &handshake, &mut self.storage)?;
                let _ = reply.send(answer); // The connection may be gone; the peer connects again.
            }
            Input::Admitted { by, admission } => {
                self.peers.admitted(by, admission, &mut self.storage)?;
            }
            Input::Status(reply) => {
                let _ = reply.send(self.status(now)); // The client may have gone away.
            }
            Input::Transfer { to, reply } => self.transfer(to, Some(reply), now),
            Input::Leave => {
                self.hand_over.leave(now);
                self.transfer(None, None, now);
            }
            Input::Stop => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the errors with which this node refuses requests of clients at once, if it does.
    fn refusal(&self) -> Option<(ProposeError, ReadError)> {
        if let Some(slot) = self.replicated.halted() {
            let error = ProposeError::Halted { slot, may_be_applied: false };
            return Some((error, ReadError::Halted(slot)));
        }
        if self.hand_over.leaves() && !self.hand_over.holds() {
            return Some((ProposeError::StoppedBefore, ReadError::Stopped));
        }
        let missing = self.peers.missing();
        let forming =
            || (ProposeError::Forming(missing.to_vec()), ReadError::Forming(missing.to_vec()));
        (!self.peers.takes_part()).then(forming)
    }

    /// Takes a packet. A packet that is not accepted counts as lost.
    fn take_packet(&mut self, from: NodeId, packet: Packet, now: Now) -> Result<(), NodeError> {
        let Some(index) = self.peers.index(from) else { return Ok(()) };
        let (parts, sessions) = (self.replica.parts(), self.replicated.sessions());
        if !self.peers.accepts(from, &packet, parts, sessions, now) {
            self.counts.implausible += 1;
            return Ok(());
        }
        self.counts.received[packet.kind()] += 1;
        self.elections.hear(from, now);
        match packet {
            Packet::Message(message) => {
                if let Message::Heartbeat { ballot, chosen_below } = message
                    && ballot.node == from
                    && Some(ballot) >= self.replica.parts().acceptor.promised
                {
                    self.elections.hear_leader(ballot, chosen_below, now);
                    self.promises.leads_in(ballot);
                    self.peers.queue(from, Packet::Following);
                }
                if let Message::Learn { from: first } = message {
                    self.snapshots.note_learn(first, now);
                }
                if let Message::Accepted { first, count, .. } = message {
                    self.hand_over.voted(from, first.plus(count));
                }
                self.step(Event::Message { from, message });
            }
            Packet::Forward(commands) if self.leads() => self.proposals.gather(commands, now),
            Packet::ReadIndex { id } => {
                let token = self.token(Asker::Peer(from, BatchId(id)));
                self.step(Event::Read(vec![token]));
            }
            Packet::ReadAt { id, at } => {
                self.recording.answered(from, BatchId(id), at);
                self.reads.confirm(BatchId(id), at);
            }
            Packet::PreVote => {
                if self.elections.grants_pre_vote(self.leads(), now) {
                    self.peers.queue(from, Packet::PreVoteGranted);
                }
            }
            Packet::PreVoteGranted => {
                self.elections.pre_vote_granted(index);
                self.campaign_if_granted();
            }
            Packet::HandOver { ballot } => self.take_over(from, ballot),
            Packet::PromisePart { ballot, trimmed, offset, reports, more } => {
                let (id, part) = (PromiseId { ballot, trimmed }, (reports, more));
                let awaits = self.candidate().filter(|(_, it)| !it.heard.contains(index));
                let awaits = awaits.map(|(ballot, candidate)| (ballot, candidate.first));
                match self.promises.take(from, id, offset, part, awaits) {
                    Taken::Whole(message) => self.step(Event::Message { from, message }),
                    Taken::Part(question) => {
                        // A ballot that gets promises is not given up for another one.
                        self.elections.arm(Timer::Campaign, now);
                        self.peers.queue(from, question);
                    }
                    Taken::Nothing => {}
                }
            }
            Packet::PromiseFrom { ballot, first, trimmed, offset } => {
                let id = PromiseId { ballot, trimmed };
                if let Some(part) = self.promises.part(id, offset) {
                    // The candidate goes on, so this node does not begin another ballot either.
                    self.elections.arm(Timer::Campaign, now);
                    self.peers.queue(from, part);
                } else {
                    let message = Message::Prepare { ballot, first };
                    self.step(Event::Message { from, message });
                }
            }
            // This node does not lead, so it drops forwarded commands. The sender sends them again.
            Packet::Forward(_) | Packet::Following => {}
            Packet::Fetch { below, offset } => {
                if let Some(part) = self.snapshots.part(from, below, offset, now)? {
                    self.peers.queue(from, part);
                }
            }
            Packet::Chunk { below, length, offset, part } => {
                let part = Part { below, length, offset, bytes: &part };
                let chosen = self.replica.parts().learner.below;
                let (replicated, storage) = (&mut self.replicated, &mut self.storage);
                let questions =
                    self.snapshots.take_part(from, part, chosen, now, replicated, storage)?;
                for question in questions {
                    self.peers.queue(from, question);
                }
            }
        }
        Ok(())
    }
}

/// Refuses a client's request.
fn refuse<M: StateMachine>(input: Input<M>, (error, unread): (ProposeError, ReadError)) {
    // The client may have gone away.
    match input {
        Input::Propose { reply, .. } | Input::Request { reply, .. } => {
            let _ = reply.send(Err(error));
        }
        Input::Open(reply) => {
            let _ = reply.send(Err(error));
        }
        Input::Read(reading) => reading(Err(unread)),
        _ => {}
    }
}
