//! The timers of a node. They matter for progress only, never for safety.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::options::Options;
use paxos::{event::Timer, types::NodeId};

/// The time since the node started.
pub(super) type Now = Duration;

/// The pause between two checks of pending requests, for timeouts and for requests that must be sent again.
const CHECK_PAUSE: Duration = Duration::from_millis(50);

/// The times at which the timers of a node fire.
#[derive(Debug)]
pub(super) struct Timers {
    random: ChaCha8Rng,
    election_timeout: Duration,
    heartbeat: Duration,
    resend: Duration,
    campaign_at: Option<Now>,
    heartbeat_at: Option<Now>,
    resend_at: Option<Now>,
    check_at: Now,
}

impl Timers {
    pub(super) fn new(me: NodeId, options: &Options) -> Self {
        // Nodes that are given the same seed must not all campaign at once.
        let seed = options.seed ^ u64::from(me.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // The first timer is short, because a new cluster has no leader. If there is one, the pre-vote fails.
        let most = options.election_timeout.as_micros() as u64 / 2;
        let campaign_at = Some(Duration::from_micros(random.random_range(0..=most)));
        Self {
            random,
            election_timeout: options.election_timeout,
            heartbeat: options.heartbeat,
            resend: options.resend,
            campaign_at,
            heartbeat_at: None,
            resend_at: None,
            check_at: Now::ZERO,
        }
    }

    /// Arms a timer. A campaign begins after one to two election timeouts, at random.
    pub(super) fn arm(&mut self, timer: Timer, now: Now) {
        match timer {
            Timer::Campaign => {
                let least = self.election_timeout.as_micros() as u64;
                let wait = self.random.random_range(least..least * 2);
                self.campaign_at = Some(now + Duration::from_micros(wait));
            }
            Timer::Heartbeat => self.heartbeat_at = Some(now + self.heartbeat),
            Timer::Resend => self.resend_at = Some(now + self.resend),
        }
    }

    /// Returns the timers that have run out, and disarms them.
    pub(super) fn due(&mut self, now: Now) -> impl Iterator<Item = Timer> + use<> {
        let fired = |at: &mut Option<Now>, timer| at.take_if(|at| *at <= now).map(|_| timer);
        let campaign = fired(&mut self.campaign_at, Timer::Campaign);
        let heartbeat = fired(&mut self.heartbeat_at, Timer::Heartbeat);
        let resend = fired(&mut self.resend_at, Timer::Resend);
        campaign.into_iter().chain(heartbeat).chain(resend)
    }

    /// The time at which the next timer runs out.
    pub(super) fn next(&self) -> Option<Now> {
        [self.campaign_at, self.heartbeat_at, self.resend_at].into_iter().flatten().min()
    }

    /// Returns true if pending requests are to be checked now, and sets the time of the next check.
    pub(super) fn check(&mut self, now: Now) -> bool {
        let due = now >= self.check_at;
        if due {
            self.check_at = now + CHECK_PAUSE;
        }
        due
    }

    /// The time of the next check of pending requests.
    pub(super) fn next_check(&self) -> Now {
        self.check_at
    }
}
