//! Attempts to reach the leader with a request.

use std::time::Duration;

use crate::timers::Now;
use paxos::types::NodeId;

/// The last attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    leader: NodeId,
    /// The time of the next attempt.
    again_at: Now,
    /// The pause after the next attempt. It doubles each time, because a cluster that is slow under load would only
    /// become slower if it were asked for everything twice.
    pause: Duration,
}

impl Attempt {
    /// An attempt now. `before` is the one before it, if there was one.
    pub(super) fn now(before: Option<Self>, leader: NodeId, now: Now, retry: Duration) -> Self {
        let same_leader = before.filter(|before| before.leader == leader);
        let pause = same_leader.map_or(retry, |before| before.pause);
        Self { leader, again_at: now + pause, pause: pause * 2 }
    }

    /// Returns true if it is time for the next attempt: there was none, it went to another node, or long ago.
    pub(super) fn is_due(before: Option<Self>, leader: NodeId, now: Now) -> bool {
        before.is_none_or(|before| before.leader != leader || before.again_at <= now)
    }
}
