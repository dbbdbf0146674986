//! Linearizable reads without an entry in the log.
//!
//! A leader may have been deposed without knowing it. So it first asks whether anybody has promised
//! more: a quorum that has not shows that no other leader could have got anything chosen before the
//! question, since each of them would have needed a promise of one of these nodes. What this leader
//! itself knows to be chosen by then, and what was reported to it when it began, is all that any
//! client can have been told. It is more than what this leader could apply: where it waits for a slot
//! that an earlier leader began, others may know that one, and have applied what comes after.

use super::{Replica, node_set::NodeSet, proposer::Role};
use crate::{
    event::{Output, ReadReady, Token},
    message::Message,
    types::{Ballot, NodeId},
};

impl Replica {
    pub(super) fn on_read(&mut self, tokens: Vec<Token>, output: &mut Output) {
        let Role::Leader(leader) = &mut self.role else {
            return self.refuse(tokens, output);
        };
        leader.reader.waiting.extend(tokens);
        self.confirm_if_asked(output);
    }

    /// Begins the next round, unless one is under way or nobody waits.
    fn confirm_if_asked(&mut self, output: &mut Output) {
        let me = NodeSet::of(self.me());
        let (Role::Leader(leader), Some(ballot)) = (&mut self.role, self.acceptor.promised) else {
            return;
        };
        let reader = &mut leader.reader;
        if !reader.heard.is_empty() || reader.waiting.is_empty() {
            return;
        }
        reader.begin(self.learner.chosen.end(), me);
        output.broadcast(Message::Confirm { ballot, round: reader.round });
        self.finish_if_confirmed(output);
    }

    fn finish_if_confirmed(&mut self, output: &mut Output) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.reader.heard.len() < self.config.phase2_quorum {
            return;
        }
        let (tokens, at) = leader.reader.finish();
        output.reads.extend(tokens.into_iter().map(|token| ReadReady { token, at }));
    }

    /// Nothing is promised by the answer: whoever has promised more refuses, and that is enough.
    pub(super) fn on_confirm(&self, from: NodeId, ballot: Ballot, round: u64, output: &mut Output) {
        if ballot.node != from {
            return; // Only its owner leads in a ballot.
        }
        match self.acceptor.promised {
            Some(promised) if promised > ballot => {
                output.send(from, Message::Nack { ballot, promised });
            }
            _ => output.send(from, Message::Confirmed { ballot, round }),
        }
    }

    pub(super) fn on_confirmed(
        &mut self,
        index: usize,
        ballot: Ballot,
        round: u64,
        output: &mut Output,
    ) {
        if self.acceptor.promised != Some(ballot) {
            return; // About a ballot that is over.
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let reader = &mut leader.reader;
        if round != reader.round || !reader.awaits(index) {
            return; // An earlier round says nothing about who reads now.
        }
        reader.heard.insert(index);
        self.finish_if_confirmed(output);
        self.confirm_if_asked(output);
    }
}
