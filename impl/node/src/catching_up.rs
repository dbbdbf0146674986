//! Catching up: the node has one question for chosen values under way at a time.
//!
//! A replica that lacks chosen values asks for them after each heartbeat, and after each answer of a peer that has more. An
//! answer may take longer than the pause between two heartbeats. Then each heartbeat would begin another chain of questions
//! and answers, and each chain would transfer all values. So the node drops a question while the answer to an earlier one
//! may still arrive. A dropped message is as good as a lost one, and the replica asks again after a later heartbeat.
//!
//! A node that restores the snapshot of a peer drops all questions. The snapshot has most of the values, and the node
//! could apply none of them. So its backlog has only values that it has voted for or asked for before.

use std::time::Duration;

use super::timers::Now;
use paxos::{
    event::Effects,
    message::{Envelope, Message},
    types::Slot,
};

/// The question that is under way.
#[derive(Debug)]
pub(super) struct CatchingUp {
    /// The first slot of the last question, and its time.
    asked: Option<(Slot, Now)>,
    /// The time after which a question without an answer counts as lost.
    patience: Duration,
}

impl CatchingUp {
    pub(super) fn new(patience: Duration) -> Self {
        Self { asked: None, patience }
    }

    /// Drops the questions that must wait from the effects of the replica. `is_restoring` is true while the node
    /// restores the snapshot of a peer.
    pub(super) fn hold_back(&mut self, effects: &mut Effects, is_restoring: bool, now: Now) {
        effects.messages.retain(|Envelope { message, .. }| match message {
            Message::Learn { from } => !is_restoring && self.may_ask(*from, now),
            _ => true,
        });
    }

    /// Returns true if the answer to the last question has arrived, or may be lost. The answer has arrived if the replica
    /// asks from a later slot on.
    fn may_ask(&mut self, from: Slot, now: Now) -> bool {
        let waits = self.asked.is_some_and(|(first, at)| from <= first && now < at + self.patience);
        if !waits {
            self.asked = Some((from, now));
        }
        !waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paxos::{message::To, types::NodeId};

    #[test]
    fn one_question_is_under_way_at_a_time() {
        let mut catching_up = CatchingUp::new(Duration::from_secs(1));
        let mut asks_while = |is_restoring, from, at_ms| {
            let message = Message::Learn { from: Slot(from) };
            let mut effects = Effects::default();
            effects.messages.push(Envelope { to: To::Node(NodeId(2)), message });
            catching_up.hold_back(&mut effects, is_restoring, Duration::from_millis(at_ms));
            !effects.messages.is_empty()
        };
        assert!(!asks_while(true, 5, 0), "a snapshot is restored");
        let mut asks = |from, at_ms| asks_while(false, from, at_ms);
        assert!(asks(5, 0));
        assert!(!asks(5, 100), "the answer may still arrive");
        assert!(asks(9, 200), "an answer has arrived");
        assert!(!asks(9, 1_100));
        assert!(!asks(5, 1_100), "an old heartbeat");
        assert!(asks(9, 1_200), "the question or its answer is lost");
        assert!(!asks(9, 1_300));
    }
}
