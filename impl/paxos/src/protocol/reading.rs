//! Linearizable reads without an entry in the log.
//!
//! A leader may have been deposed without knowing it. So it asks its peers to confirm that they have promised no
//! higher ballot, and answers the read once a phase 2 quorum has confirmed. [Reads](super::safety#reads) has the
//! safety argument. None of the papers has this protocol. In "Paxos Made Moderately Complex" a read goes through the
//! log or relies on leases, which need clocks.

use super::{Replica, node_set::NodeSet, proposer::Role};
use crate::{
    event::{ReadReady, Token},
    message::Message,
    opaque::{OpaqueBallot, OpaqueValue},
    output::Output,
    types::NodeId,
};

impl<B: OpaqueBallot, V: OpaqueValue> Replica<B, V> {
    /// Adds reads to the next round, and begins that round if none is under way. Refuses the reads if this node does
    /// not lead.
    pub(super) fn on_read(&mut self, tokens: Vec<Token>, output: &mut Output<B, V>) {
        let Role::Leader(leader) = &mut self.role else {
            return self.refuse(tokens.into_iter().map(|token| (token, None)), output);
        };
        leader.reader.waiting.extend(tokens);
        self.confirm_if_asked(output);
    }

    /// Begins the next round, unless one is under way or no read waits.
    ///
    /// Invariant: this function fixes the slots that the reads have to see, before any peer answers in this round.
    fn confirm_if_asked(&mut self, output: &mut Output<B, V>) {
        let own = NodeSet::of(self.own_index());
        let (Role::Leader(leader), Some(ballot)) = (&mut self.role, self.acceptor.promised) else {
            return;
        };
        let reader = &mut leader.reader;
        if !reader.heard.is_empty() || reader.waiting.is_empty() {
            return;
        }
        reader.begin(self.learner.chosen.end(), own);
        output.effects.broadcast(Message::Confirm { ballot, round: reader.round });
        self.finish_if_confirmed(output);
    }

    /// Releases the reads of the round once a phase 2 quorum has confirmed, this node included.
    fn finish_if_confirmed(&mut self, output: &mut Output<B, V>) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.reader.heard.len() < self.config.phase2_quorum {
            return;
        }
        let (tokens, at) = leader.reader.finish();
        output.effects.reads.extend(tokens.into_iter().map(|token| ReadReady { token, at }));
    }

    /// Confirms that this node has promised nothing above `ballot`, or refuses. The confirmation is no promise:
    /// this node may promise a higher ballot right after it.
    pub(super) fn on_confirm(
        &self,
        from: NodeId,
        ballot: B,
        round: u64,
        output: &mut Output<B, V>,
    ) {
        if ballot.owner() != from {
            return; // Only the owner of a ballot leads in it.
        }
        match self.acceptor.promised {
            Some(promised) if promised > ballot => {
                output.effects.send(from, Message::Nack { ballot, promised });
            }
            _ => output.effects.send(from, Message::Confirmed { ballot, round }),
        }
    }

    /// Counts a confirmation of the present round. With a quorum, releases the reads of the round and begins the next
    /// round if reads wait.
    ///
    /// Invariant: each node counts once, and only with an answer to this very round. An answer to an earlier round may
    /// be older than the reads.
    pub(super) fn on_confirmed(
        &mut self,
        index: usize,
        ballot: B,
        round: u64,
        output: &mut Output<B, V>,
    ) {
        if self.acceptor.promised != Some(ballot) {
            return; // The ballot is not the present one.
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let reader = &mut leader.reader;
        if round != reader.round || !reader.awaits(index) {
            return; // The answer belongs to an earlier round, or came twice.
        }
        reader.heard.insert(index);
        self.finish_if_confirmed(output);
        self.confirm_if_asked(output);
    }
}
