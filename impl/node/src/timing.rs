//! Time: when what is due, who leads, and who is heard of.
//!
//! Nothing here has to do with safety. A campaign is asked for only when a quorum has not heard of a
//! leader either (`PreVote`, `PreVoteGranted`), so that a node that comes back does not depose one that
//! works. A leader of which nobody hears, or that hears of nobody, falls silent, so that others can
//! elect another; a link that is cut in one direction would otherwise keep up a leader that can do nothing.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::options::Options;
use paxos::{
    config::Config,
    event::Timer,
    protocol::NodeSet,
    types::{Ballot, NodeId},
};

/// Time since the node started.
pub(super) type Now = Duration;

/// When timers fire, and what was heard when.
#[derive(Debug)]
pub(super) struct Timing {
    random: ChaCha8Rng,
    election_timeout: Duration,
    heartbeat: Duration,
    resend: Duration,
    campaign_at: Option<Now>,
    heartbeat_at: Option<Now>,
    resend_at: Option<Now>,
    /// When each peer was last heard of.
    heard: BTreeMap<NodeId, Now>,
    /// Whose heartbeat was heard last, in which ballot, and when.
    leader: Option<(Ballot, Now)>,
    /// Set while this node asks the others whether they have heard of a leader.
    pre_vote: Option<PreVote>,
}

/// The question whether others have heard of a leader, and the answers so far.
#[derive(Debug)]
struct PreVote {
    /// The nodes that have heard of none, this node included.
    granted: NodeSet,
    /// When the question is to be sent again. It may have been lost, and the next one with a random timeout would come
    /// only after one to two election timeouts: too late where a network has just come back.
    again_at: Now,
}

impl Timing {
    pub(super) fn new(config: &Config, options: &Options) -> Self {
        // Nodes that are given the same seed must not all campaign at once.
        let seed = options.seed ^ u64::from(config.id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut timing = Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            election_timeout: options.election_timeout,
            heartbeat: options.heartbeat,
            resend: options.resend,
            campaign_at: None,
            heartbeat_at: None,
            resend_at: None,
            heard: BTreeMap::new(),
            leader: None,
            pre_vote: None,
        };
        // Nobody leads yet: the first campaign need not wait as long as a later one.
        let most = timing.election_timeout.as_micros() as u64 / 2;
        timing.campaign_at = Some(Duration::from_micros(timing.random.random_range(0..=most)));
        timing
    }

    /// Arms a timer that the replica asked for.
    pub(super) fn arm(&mut self, timer: Timer, now: Now) {
        match timer {
            Timer::Campaign => {
                let least = self.election_timeout.as_micros() as u64;
                let wait = self.random.random_range(least..least * 2);
                self.campaign_at = Some(now + Duration::from_micros(wait));
                self.pre_vote = None;
            }
            Timer::Heartbeat => self.heartbeat_at = Some(now + self.heartbeat),
            Timer::Resend => self.resend_at = Some(now + self.resend),
        }
    }

    /// The timers that have run out; they are not armed any more.
    pub(super) fn due(&mut self, now: Now) -> impl Iterator<Item = Timer> + use<> {
        let fired = |at: &mut Option<Now>, timer| at.take_if(|at| *at <= now).map(|_| timer);
        let campaign = fired(&mut self.campaign_at, Timer::Campaign);
        let heartbeat = fired(&mut self.heartbeat_at, Timer::Heartbeat);
        let resend = fired(&mut self.resend_at, Timer::Resend);
        campaign.into_iter().chain(heartbeat).chain(resend)
    }

    /// When the next timer runs out.
    pub(super) fn next(&self) -> Option<Now> {
        let again_at = self.pre_vote.as_ref().map(|pre_vote| pre_vote.again_at);
        [self.campaign_at, self.heartbeat_at, self.resend_at, again_at].into_iter().flatten().min()
    }

    /// A packet of a peer arrived.
    pub(super) fn hear(&mut self, peer: NodeId, now: Now) {
        self.heard.insert(peer, now);
    }

    /// A heartbeat arrived that is not of an older ballot than what was promised.
    pub(super) fn hear_leader(&mut self, ballot: Ballot, now: Now) {
        self.leader = Some((ballot, now));
        self.pre_vote = None;
    }

    /// Who leads, as far as the last heartbeat tells and if it is not too long ago.
    pub(super) fn leader(&self, now: Now) -> Option<NodeId> {
        let (ballot, heard) = self.leader?;
        (now.saturating_sub(heard) < self.election_timeout * 2).then_some(ballot.node)
    }

    /// Whether a leader is known to work: then nobody should campaign.
    pub(super) fn has_leader(&self, now: Now) -> bool {
        let recent = |(_, heard)| now.saturating_sub(heard) < self.election_timeout;
        self.leader.is_some_and(recent)
    }

    /// How many peers were heard of lately.
    pub(super) fn heard_lately(&self, now: Now) -> usize {
        let recent = |heard: &&Now| now.saturating_sub(**heard) < self.election_timeout;
        self.heard.values().filter(recent).count()
    }

    /// How long ago each peer was heard of.
    pub(super) fn silences(&self, now: Now) -> impl Iterator<Item = (NodeId, Duration)> {
        self.heard.iter().map(move |(&peer, &heard)| (peer, now.saturating_sub(heard)))
    }

    /// Begins to ask whether others have heard of a leader. `me` has not.
    pub(super) fn pre_vote(&mut self, me: NodeSet, now: Now) {
        self.arm(Timer::Campaign, now);
        self.pre_vote = Some(PreVote { granted: me, again_at: now + self.resend });
    }

    /// Returns true if the question is to be sent again now.
    pub(super) fn pre_votes_again(&mut self, now: Now) -> bool {
        let due = self.pre_vote.as_mut().filter(|pre_vote| pre_vote.again_at <= now);
        due.map(|pre_vote| pre_vote.again_at = now + self.resend).is_some()
    }

    /// A peer has not heard of a leader either. Gives how many have not, if it is being asked.
    pub(super) fn hear_pre_vote_granted(&mut self, index: usize) -> Option<usize> {
        let pre_vote = self.pre_vote.as_mut()?;
        pre_vote.granted.insert(index);
        Some(pre_vote.granted.len())
    }

    /// The campaign has begun: whoever answers now answers too late.
    pub(super) fn stop_pre_vote(&mut self) {
        self.pre_vote = None;
    }
}
