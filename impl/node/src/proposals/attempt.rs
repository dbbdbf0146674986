//! Attempts to reach the leader with a request.

use std::time::Duration;

use crate::timers::Now;
use paxos::types::NodeId;

/// The last attempt to send a request to a leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    leader: NodeId,
    /// The time of the next attempt.
    again_at: Now,
    /// The pause after the next attempt, if that goes to the same leader. The pause doubles with each attempt, so that
    /// retries do not slow down a cluster that is already slow under load.
    pause: Duration,
}

impl Attempt {
    /// Returns an attempt that is made now. `before` is the previous one, if there was one.
    pub(super) fn now(before: Option<Self>, leader: NodeId, now: Now, retry: Duration) -> Self {
        let same_leader = before.filter(|before| before.leader == leader);
        let pause = same_leader.map_or(retry, |before| before.pause);
        Self { leader, again_at: now + pause, pause: pause * 2 }
    }

    /// Returns true if the next attempt is due: there was none before, the last one went to another node, or its pause
    /// is over.
    pub(super) fn is_due(before: Option<Self>, leader: NodeId, now: Now) -> bool {
        before.is_none_or(|before| before.leader != leader || before.again_at <= now)
    }
}
