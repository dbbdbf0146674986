//! The requests that a node sends to its peers: for pre-votes, to take over, and to the leader for the commands and
//! reads of clients.

use super::Node;
use crate::{
    elections::Fired,
    hand_over::{TransferError, TransferReply},
    machine::StateMachine,
    packet::Packet,
    proposals::proposals,
    reads::{Asker, BatchId},
    timers::Now,
};
use paxos::{
    event::{Event, Timer, Token},
    types::{Ballot, NodeId},
};
use paxos_store::Storage;

/// Elections.
impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Fires the timers that have run out, and repeats a pre-vote that is due. Does nothing before this node takes
    /// part.
    pub(super) fn fire_timers(&mut self, now: Now) {
        if !self.peers.takes_part() {
            return;
        }
        if self.elections.repeats_pre_vote(now) {
            self.peers.queue_for_all(Packet::PreVote);
        }
        for timer in self.elections.due(now) {
            match self.elections.fire(timer, self.leads(), now) {
                Fired::Nothing => {}
                Fired::PreVote => {
                    self.peers.queue_for_all(Packet::PreVote);
                    self.campaign_if_granted();
                }
                Fired::Step(timer) => self.step(Event::Timer(timer)),
            }
        }
    }

    /// Begins a campaign if the pre-vote is won. A node that restores a snapshot lets others lead, because it lacks slots, and
    /// could apply nothing.
    pub(super) fn campaign_if_granted(&mut self) {
        if !self.replicated.is_restoring() && self.elections.wins_pre_vote() {
            self.counts.campaigns += 1;
            self.step(Event::Timer(Timer::Campaign));
        }
    }
}

/// Handing over.
impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Begins to let another node lead: `to`, or a follower that this node chooses. If this node does not lead, or is
    /// itself `to`, answers `reply` at once.
    pub(super) fn transfer(&mut self, to: Option<NodeId>, reply: Option<TransferReply>, now: Now) {
        let result = match self.leads_in() {
            Some(_) if to == Some(self.me()) => Ok(self.me()),
            Some(ballot) => return self.hand_over.begin(ballot, to, reply, now),
            None => Err(TransferError::NotLeader(self.leader(now))),
        };
        if let Some(reply) = reply {
            let _ = reply.send(result); // The client may have gone away.
        }
    }

    /// Takes the next step of handing over, if one is due. Returns false if the node is to stop now.
    pub(super) fn hand_over(&mut self, now: Now) -> bool {
        self.hand_over.end(self.elections.heard_ballot(), now);
        if self.leads()
            && self.is_idle()
            && let Some((peer, ballot)) = self.hand_over.ask(self.elections.silences(now), now)
        {
            tracing::info!(node = self.me().0, to = peer.0, "hands over");
            self.peers.queue(peer, Packet::HandOver { ballot });
        }
        !self.hand_over.has_left(self.waiting(), now)
    }

    /// Campaigns at once, because the leader asks for it. Does nothing if this node leaves or restores a snapshot, or if
    /// it has not promised the ballot of the leader. With a lower promise it would campaign in vain. With a higher one it
    /// has another leader.
    pub(super) fn take_over(&mut self, from: NodeId, ballot: Ballot) {
        let promised = self.replica.parts().acceptor.promised;
        let may_lead = !self.hand_over.leaves() && !self.replicated.is_restoring();
        if promised == Some(ballot) && ballot.node == from && may_lead {
            self.counts.campaigns += 1;
            self.step(Event::Timer(Timer::Campaign));
        }
    }
}

/// Requests of clients.
impl<M: StateMachine, S: Storage> Node<M, S> {
    /// Sends the requests of clients to the leader, or proposes them if this node leads. Gives up requests whose time
    /// is up.
    pub(super) fn ask_leader(&mut self, now: Now) {
        let check = self.elections.check(now);
        if check {
            self.proposals.pending.give_up(now);
            self.reads.give_up(now);
            self.fetch_again(now);
        }
        if self.hand_over.holds() {
            return; // The requests wait for the next leader.
        }
        let Some(leader) = self.leader(now) else { return self.proposals.forget() };
        let moves = self.elections.moves_to(leader);
        if moves {
            self.proposals.forget();
        }
        self.proposals.gather_pending(leader, now, check || moves);
        let reads = self.reads.due(leader, now, check || moves);
        if leader == self.me() {
            self.propose(reads, now);
        } else {
            self.forward(leader, reads, now);
        }
    }

    fn propose(&mut self, reads: Vec<BatchId>, now: Now) {
        if let Some(batch) = self.proposals.take_proposed(self.is_idle(), now) {
            self.counts.proposals += batch.len() as u64;
            self.counts.batches += 1;
            self.step(Event::Propose(proposals(&batch)));
            self.proposals.proposed(self.replica.parts().acceptor.votes.end(), &batch);
        }
        if !reads.is_empty() {
            let tokens = reads.into_iter().map(|batch| self.token(Asker::Own(batch))).collect();
            self.step(Event::Read(tokens));
        }
    }

    /// Returns the token by which the replica confirms a batch of reads.
    pub(super) fn token(&mut self, asker: Asker) -> Token {
        let token = self.reads.token(asker);
        self.recording.asked(self.me(), asker, token.0);
        token
    }

    fn forward(&mut self, leader: NodeId, reads: Vec<BatchId>, now: Now) {
        if let Some(batch) = self.proposals.take_forwarded(self.is_idle(), now) {
            self.peers.queue(leader, Packet::Forward(batch));
        }
        for BatchId(id) in reads {
            self.peers.queue(leader, Packet::ReadIndex { id });
        }
    }

    fn fetch_again(&mut self, now: Now) {
        let is_silent = |peer| self.elections.is_silent(peer, now);
        if let Some((from, packet)) = self.snapshots.fetch_again(now, is_silent) {
            self.peers.queue(from, packet);
        }
    }
}
