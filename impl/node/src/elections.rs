//! Elections: when this node campaigns, which leader it follows, and which peers it hears.
//!
//! Nothing here matters for safety. Two rules keep a cluster from losing a leader that works:
//!
//! - A node campaigns only after a pre-vote (`PreVote`, `PreVoteGranted`), in which the nodes of a quorum of phase 1
//!   say that they hear no leader. So a node that returns after a cut does not depose a leader. A node that the leader
//!   asks to take over needs no pre-vote ([`hand_over`](super::hand_over)).
//! - A leader that hears fewer peers than it needs for a quorum of phase 2 stops its heartbeats, so that the other
//!   nodes can elect another leader. Otherwise, if a link is cut in one direction only, a leader that can get nothing
//!   chosen would stay in place.

use std::{collections::BTreeMap, time::Duration};

use super::{
    options::Options,
    timers::{Now, Timers},
};
use paxos::{
    config::Config,
    event::Timer,
    protocol::NodeSet,
    types::{Ballot, NodeId, Slot},
};

/// The state of elections at one node.
#[derive(Debug)]
pub(super) struct Elections {
    me: NodeId,
    /// The set of this node alone.
    alone: NodeSet,
    phase1_quorum: usize,
    phase2_quorum: usize,
    election_timeout: Duration,
    resend: Duration,
    timers: Timers,
    /// The time at which the last packet of each peer has arrived.
    heard: BTreeMap<NodeId, Now>,
    /// The ballot of the last heartbeat, and the time at which it arrived.
    heartbeat: Option<(Ballot, Now)>,
    pre_vote: Option<PreVote>,
    /// The node to which requests were last sent.
    asked: Option<NodeId>,
    /// The highest end of the chosen slots that a leader has reported.
    chosen_elsewhere: Slot,
}

/// A pre-vote that this node has begun.
#[derive(Debug)]
struct PreVote {
    /// The nodes that have granted the pre-vote, this node included.
    granted: NodeSet,
    /// The time at which the question is sent again. The first question may be lost, and the next pre-vote comes only
    /// after one to two election timeouts: too late for a network that has just come back.
    again_at: Now,
}

/// The action that follows when a timer runs out.
#[derive(Debug)]
pub(super) enum Fired {
    /// There is nothing to do.
    Nothing,
    /// A pre-vote has begun. The node must ask all peers.
    PreVote,
    /// The replica must take a step for this timer.
    Step(Timer),
}

impl Elections {
    /// Returns the state of a node that has just started. The configuration must be valid.
    pub(super) fn new(config: &Config, options: &Options) -> Self {
        let me = config.nodes.iter().position(|&node| node == config.id);
        Self {
            me: config.id,
            alone: NodeSet(1 << me.expect("a valid configuration lists its own node")),
            phase1_quorum: config.phase1_quorum,
            phase2_quorum: config.phase2_quorum,
            election_timeout: options.election_timeout,
            resend: options.resend,
            timers: Timers::new(config.id, options),
            heard: BTreeMap::new(),
            heartbeat: None,
            pre_vote: None,
            asked: None,
            chosen_elsewhere: Slot(0),
        }
    }
}

/// Timers.
impl Elections {
    /// Arms a timer that the replica asks for. The campaign timer ends a pre-vote.
    pub(super) fn arm(&mut self, timer: Timer, now: Now) {
        self.timers.arm(timer, now);
        if timer == Timer::Campaign {
            self.pre_vote = None;
        }
    }

    /// Returns the timers that have run out. The caller must pass each of them to [`fire`](Self::fire).
    pub(super) fn due(&mut self, now: Now) -> impl Iterator<Item = Timer> + use<> {
        self.timers.due(now)
    }

    /// Returns the action that follows from a timer that has run out.
    pub(super) fn fire(&mut self, timer: Timer, leads: bool, now: Now) -> Fired {
        match timer {
            Timer::Campaign if leads => Fired::Nothing,
            Timer::Campaign => {
                self.timers.arm(Timer::Campaign, now);
                self.pre_vote = Some(PreVote { granted: self.alone, again_at: now + self.resend });
                Fired::PreVote
            }
            // A leader without a quorum falls silent, so that the other nodes can elect another leader.
            Timer::Heartbeat | Timer::Resend if leads && !self.is_followed(now) => {
                self.timers.arm(timer, now);
                Fired::Nothing
            }
            timer => Fired::Step(timer),
        }
    }

    /// The time at which the next timer runs out, or a pre-vote is repeated.
    pub(super) fn next(&self) -> Option<Now> {
        let again_at = self.pre_vote.as_ref().map(|pre_vote| pre_vote.again_at);
        self.timers.next().into_iter().chain(again_at).min()
    }

    /// Returns true if pending requests are to be checked now, and sets the time of the next check.
    pub(super) fn check(&mut self, now: Now) -> bool {
        self.timers.check(now)
    }

    /// The time of the next check of pending requests.
    pub(super) fn next_check(&self) -> Now {
        self.timers.next_check()
    }
}

/// Pre-votes.
impl Elections {
    /// Returns true if the question of the pre-vote is to be sent again now, and sets the time of the next repetition.
    pub(super) fn repeats_pre_vote(&mut self, now: Now) -> bool {
        let due = self.pre_vote.as_mut().filter(|pre_vote| pre_vote.again_at <= now);
        due.map(|pre_vote| pre_vote.again_at = now + self.resend).is_some()
    }

    /// Returns true if this node grants a pre-vote: it hears no leader, and does not lead with a quorum.
    pub(super) fn grants_pre_vote(&self, leads: bool, now: Now) -> bool {
        let recent = |(_, heard)| now.saturating_sub(heard) < self.election_timeout;
        let hears_leader = self.heartbeat.is_some_and(recent);
        let leader_works = hears_leader || leads && self.is_followed(now);
        !leader_works
    }

    /// Notes that the node with this index in the configuration grants the pre-vote.
    pub(super) fn pre_vote_granted(&mut self, index: usize) {
        if let Some(pre_vote) = &mut self.pre_vote {
            pre_vote.granted.insert(index);
        }
    }

    /// Returns true if the pre-vote is won, and ends it. The caller must then begin the campaign.
    pub(super) fn wins_pre_vote(&mut self) -> bool {
        let won = |pre_vote: &mut PreVote| pre_vote.granted.len() >= self.phase1_quorum;
        self.pre_vote.take_if(won).is_some()
    }
}

/// Leaders and peers.
impl Elections {
    /// Notes that a packet of a peer has arrived.
    pub(super) fn hear(&mut self, peer: NodeId, now: Now) {
        self.heard.insert(peer, now);
    }

    /// Notes a leader's heartbeat, and ends a pre-vote. The ballot must not be below the one that this node has
    /// promised.
    pub(super) fn hear_leader(&mut self, ballot: Ballot, chosen_below: Slot, now: Now) {
        self.chosen_elsewhere = self.chosen_elsewhere.max(chosen_below);
        self.heartbeat = Some((ballot, now));
        self.pre_vote = None;
    }

    /// Returns the node to send requests to: this node if it leads with a quorum, otherwise the sender of the last
    /// heartbeat, unless that is older than two election timeouts. `leads_in` is the ballot in which this node leads. A
    /// leader without a quorum may have been replaced. The heartbeat of its successor has a higher ballot.
    pub(super) fn leader(&self, leads_in: Option<Ballot>, now: Now) -> Option<NodeId> {
        if leads_in.is_some() && self.is_followed(now) {
            return Some(self.me);
        }
        let (ballot, heard) = self.heartbeat.filter(|(ballot, _)| Some(*ballot) > leads_in)?;
        let recent = now.saturating_sub(heard) < self.election_timeout * 2;
        (recent && ballot.node != self.me).then_some(ballot.node)
    }

    /// The ballot of the last heartbeat of another node.
    pub(super) fn heard_ballot(&self) -> Option<Ballot> {
        self.heartbeat.map(|(ballot, _)| ballot)
    }

    /// Notes that requests go to this leader. Returns true if the last ones went to another node, or if these are the
    /// first.
    pub(super) fn moves_to(&mut self, leader: NodeId) -> bool {
        self.asked.replace(leader) != Some(leader)
    }

    /// Returns true if enough peers were heard within an election timeout for a quorum of phase 2.
    fn is_followed(&self, now: Now) -> bool {
        let recent = |heard: &&Now| now.saturating_sub(**heard) < self.election_timeout;
        self.heard.values().filter(recent).count() + 1 >= self.phase2_quorum
    }

    /// The time for which each peer has been silent. A peer from which nothing has arrived yet is missing.
    pub(super) fn silences(&self, now: Now) -> impl Iterator<Item = (NodeId, Duration)> {
        self.heard.iter().map(move |(&peer, &heard)| (peer, now.saturating_sub(heard)))
    }

    /// Returns true if packets of a peer have arrived, but none within the last election timeout.
    pub(super) fn is_silent(&self, peer: NodeId, now: Now) -> bool {
        let heard = self.heard.get(&peer);
        heard.is_some_and(|&heard| now.saturating_sub(heard) > self.election_timeout)
    }

    /// The highest end of the chosen slots that a leader has reported.
    pub(super) fn chosen_elsewhere(&self) -> Slot {
        self.chosen_elsewhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);

    /// Node 1 of five, with majorities as quorums.
    fn elections() -> Elections {
        let config = Config::new(ME, (1..=5).map(NodeId));
        Elections::new(&config, &Options::default())
    }

    fn seconds(count: u64) -> Now {
        Duration::from_secs(count)
    }

    fn ballot(node: u32) -> Ballot {
        Ballot::new(1, NodeId(node)).expect("not zero")
    }

    #[test]
    fn a_pre_vote_is_won_with_a_quorum_and_only_once() {
        let mut elections = elections();
        elections.pre_vote_granted(1);
        assert!(!elections.wins_pre_vote(), "no pre-vote has begun");
        assert!(matches!(elections.fire(Timer::Campaign, false, seconds(1)), Fired::PreVote));
        for (index, won) in [(1, false), (1, false), (2, true), (3, false)] {
            elections.pre_vote_granted(index);
            assert_eq!(elections.wins_pre_vote(), won, "with the grant of index {index}");
        }
    }

    #[test]
    fn a_pre_vote_is_repeated_until_a_leader_is_heard() {
        let mut elections = elections();
        elections.fire(Timer::Campaign, false, seconds(1));
        assert!(!elections.repeats_pre_vote(seconds(1)));
        assert!(elections.repeats_pre_vote(seconds(2)));
        assert!(!elections.repeats_pre_vote(seconds(2)), "once for each pause");
        elections.hear_leader(ballot(2), Slot(7), seconds(3));
        assert!(!elections.repeats_pre_vote(seconds(9)));
        assert_eq!(elections.chosen_elsewhere(), Slot(7));
    }

    #[test]
    fn a_node_that_hears_a_leader_grants_no_pre_vote() {
        let mut elections = elections();
        assert!(elections.grants_pre_vote(false, seconds(1)));
        elections.hear_leader(ballot(2), Slot(0), seconds(1));
        assert!(!elections.grants_pre_vote(false, seconds(1)));
        assert!(elections.grants_pre_vote(false, seconds(2)), "an election timeout later");
    }

    /// The silent leader sends no heartbeats, grants pre-votes, and takes no requests.
    #[test]
    fn a_leader_without_a_quorum_falls_silent() {
        let mut elections = elections();
        for (peer, followed) in [(2, false), (3, true)] {
            elections.hear(NodeId(peer), seconds(1));
            let fired = elections.fire(Timer::Heartbeat, true, seconds(1));
            assert_eq!(matches!(fired, Fired::Step(Timer::Heartbeat)), followed);
            assert_eq!(elections.grants_pre_vote(true, seconds(1)), !followed);
            assert_eq!(elections.leader(Some(ballot(4)), seconds(1)), followed.then_some(ME));
        }
        assert_eq!(
            elections.leader(Some(ballot(4)), seconds(2)),
            None,
            "an election timeout later"
        );
        elections.hear_leader(ballot(2), Slot(0), seconds(2));
        assert_eq!(elections.leader(Some(ballot(4)), seconds(2)), None, "a predecessor was heard");
        elections.hear_leader(ballot(5), Slot(0), seconds(2));
        assert_eq!(elections.leader(Some(ballot(4)), seconds(2)), Some(NodeId(5)), "a successor");
        assert!(
            elections.is_silent(NodeId(2), seconds(3))
                && !elections.is_silent(NodeId(4), seconds(3))
        );
    }

    #[test]
    fn requests_go_to_the_last_leader_for_two_election_timeouts() {
        let mut elections = elections();
        elections.hear_leader(ballot(2), Slot(0), seconds(1));
        assert_eq!(elections.leader(None, seconds(2)), Some(NodeId(2)));
        assert_eq!(elections.leader(None, seconds(3)), None);
        assert!(elections.moves_to(NodeId(2)) && !elections.moves_to(NodeId(2)));
        assert!(elections.moves_to(ME));
    }
}
