//! Handing over: a leader lets another node lead, without the pause of an election timeout. A node that leaves hands
//! over if it leads, finishes the requests of its clients, and stops.
//!
//! The leader takes three steps:
//!
//! 1. It proposes nothing new, and waits until its proposals in flight are chosen. Requests of clients wait.
//! 2. It asks the follower that has voted for most of the log to campaign at once (`HandOver`). If it hears of no new
//!    leader within [`Options::resend`](crate::Options::resend), it asks the next follower.
//! 3. It hears the heartbeat of a new leader, and sends the requests that wait to that leader.
//!
//! The leader gives up after an election timeout, and leads on if no other node has begun a ballot.
//!
//! Nothing here matters for safety. The follower campaigns as if it had won a pre-vote, and the leader promises the new
//! ballot as any node does.

use std::{collections::BTreeMap, time::Duration};

use thiserror::Error;
use tokio::sync::oneshot;

use super::{options::Options, timers::Now};
use paxos::types::{Ballot, NodeId, Slot};

/// The reason for which a leader has not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransferError {
    /// The node does not lead. It knows this leader, if any.
    #[error("this node does not lead{}", .0.map_or(String::new(), |leader| format!("; ask node {leader}")))]
    NotLeader(Option<NodeId>),
    /// Another transfer has begun, and has not ended.
    #[error("another transfer has begun; wait for its end")]
    Busy,
    /// The leader hears no node that could lead, or does not hear the node that was named.
    #[error("the leader does not hear of {}", .0.map_or("any follower".to_owned(), |node| format!("node {node}")))]
    Silent(Option<NodeId>),
    /// No new leader was heard in time. The node leads on, or an election follows.
    #[error("no new leader was heard within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// The channel for the result of a transfer: the node that leads after it.
pub(super) type TransferReply = oneshot::Sender<Result<NodeId, TransferError>>;

/// The present transfer, and the data by which the next leader is chosen.
#[derive(Debug)]
pub(super) struct HandOver {
    /// The longest time of a transfer, and of leaving. A peer that has been silent for that long is not asked.
    patience: Duration,
    retry: Duration,
    /// The end of the votes that each peer has reported to this node.
    voted_below: BTreeMap<NodeId, Slot>,
    transfer: Option<Transfer>,
    /// The time at which the node stops, even if requests wait.
    leaves_at: Option<Now>,
}

#[derive(Debug)]
struct Transfer {
    /// The ballot in which this node leads.
    ballot: Ballot,
    /// The next leader, if a client has named it.
    to: Option<NodeId>,
    /// `None` if the node leaves.
    reply: Option<TransferReply>,
    deadline: Now,
    /// The nodes that were asked to campaign.
    asked: Vec<NodeId>,
    /// The time at which the next node is asked. `None` if a node may be asked at once.
    again_at: Option<Now>,
}

impl HandOver {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            patience: options.election_timeout,
            retry: options.resend,
            voted_below: BTreeMap::new(),
            transfer: None,
            leaves_at: None,
        }
    }

    /// Notes that a peer has reported a vote for the slot before `end`.
    pub(super) fn voted(&mut self, peer: NodeId, end: Slot) {
        let known = self.voted_below.entry(peer).or_default();
        *known = end.max(*known);
    }

    /// Begins a transfer. This node leads in `ballot`.
    pub(super) fn begin(
        &mut self,
        ballot: Ballot,
        to: Option<NodeId>,
        reply: Option<TransferReply>,
        now: Now,
    ) {
        if self.transfer.is_some() {
            return answer(reply, Err(TransferError::Busy));
        }
        let (deadline, asked) = (now + self.patience, Vec::new());
        self.transfer = Some(Transfer { ballot, to, reply, deadline, asked, again_at: None });
    }

    /// Notes that the node is to stop once no request waits, and after an election timeout at the latest.
    pub(super) fn leave(&mut self, now: Now) {
        self.leaves_at.get_or_insert(now + self.patience);
    }

    /// Returns true while requests of clients are held back for the next leader.
    pub(super) fn holds(&self) -> bool {
        self.transfer.is_some()
    }

    /// Returns true if the node is to stop.
    pub(super) fn leaves(&self) -> bool {
        self.leaves_at.is_some()
    }

    /// Returns true if the node is to stop now. `waiting` is the number of requests that wait.
    pub(super) fn has_left(&self, waiting: usize, now: Now) -> bool {
        let is_done = waiting == 0 && self.transfer.is_none();
        self.leaves_at.is_some_and(|at| is_done || at <= now)
    }

    /// Returns the time at which the node needs a turn for handing over. `waiting` is the number of requests that wait.
    pub(super) fn next(&self, waiting: usize) -> Option<Now> {
        if self.has_left(waiting, Now::ZERO) {
            return Some(Now::ZERO);
        }
        let transfer = self.transfer.as_ref();
        let times = transfer.map(|transfer| [Some(transfer.deadline), transfer.again_at]);
        times.into_iter().flatten().chain([self.leaves_at]).flatten().min()
    }

    /// Ends the transfer if a new leader is heard, or if the time of the transfer is up. `heard` is the ballot of the
    /// last heartbeat.
    pub(super) fn end(&mut self, heard: Option<Ballot>, now: Now) {
        let Some(transfer) = &mut self.transfer else { return };
        transfer.again_at.take_if(|at| *at <= now);
        let result = match heard {
            Some(ballot) if ballot > transfer.ballot => Ok(ballot.node),
            _ if transfer.deadline <= now => Err(TransferError::Timeout(self.patience)),
            _ => return,
        };
        self.finish(result);
    }

    /// Returns the follower that is to be asked now, if it is time to ask, and the ballot of this leader. `silences`
    /// are the times for which the peers have been silent. Ends the transfer if no follower can be asked.
    pub(super) fn ask(
        &mut self,
        silences: impl Iterator<Item = (NodeId, Duration)>,
        now: Now,
    ) -> Option<(NodeId, Ballot)> {
        let transfer = self.transfer.as_mut().filter(|transfer| transfer.again_at.is_none())?;
        let heard = silences.filter(|(peer, silence)| {
            *silence < self.patience && transfer.to.is_none_or(|to| to == *peer)
        });
        let voted_below = |peer: &NodeId| self.voted_below.get(peer).copied().unwrap_or_default();
        let best = heard.map(|(peer, _)| peer).max_by_key(|peer| {
            // A follower that was asked before is asked after all others.
            let times = transfer.asked.iter().filter(|asked| *asked == peer).count();
            (std::cmp::Reverse(times), voted_below(peer))
        });
        let Some(peer) = best else {
            let to = transfer.to;
            self.finish(Err(TransferError::Silent(to)));
            return None;
        };
        transfer.asked.push(peer);
        transfer.again_at = Some(now + self.retry);
        Some((peer, transfer.ballot))
    }

    /// Ends the transfer because the node stops.
    pub(super) fn stop(&mut self) {
        self.finish(Err(TransferError::Stopped));
    }

    fn finish(&mut self, result: Result<NodeId, TransferError>) {
        if let Some(transfer) = self.transfer.take() {
            answer(transfer.reply, result);
        }
    }
}

fn answer(reply: Option<TransferReply>, result: Result<NodeId, TransferError>) {
    if let Some(reply) = reply {
        let _ = reply.send(result); // The client may have gone away.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Duration::from_secs(9);

    fn ballot(round: u64, node: u32) -> Ballot {
        Ballot::new(round, NodeId(node)).expect("not zero")
    }

    /// Node 1 leads. Node 2 has voted below slot 7, and node 3 below slot 9.
    fn begun(to: Option<u32>) -> (HandOver, oneshot::Receiver<Result<NodeId, TransferError>>) {
        let mut hand_over = HandOver::new(&Options::default());
        hand_over.voted(NodeId(2), Slot(7));
        hand_over.voted(NodeId(3), Slot(9));
        hand_over.voted(NodeId(3), Slot(5));
        let (reply, ended) = oneshot::channel();
        hand_over.begin(ballot(1, 1), to.map(NodeId), Some(reply), NOW);
        (hand_over, ended)
    }

    fn ask(hand_over: &mut HandOver, heard: &[u32], now: Now) -> Option<u32> {
        let silences = heard.iter().map(|&peer| (NodeId(peer), Duration::ZERO));
        hand_over.ask(silences, now).map(|(peer, _)| peer.0)
    }

    #[test]
    fn the_follower_that_has_voted_for_most_is_asked_first() {
        let (mut hand_over, mut ended) = begun(None);
        assert_eq!(ask(&mut hand_over, &[2, 3], NOW), Some(3));
        assert_eq!(ask(&mut hand_over, &[2, 3], NOW), None, "it has time to campaign");
        for (count, peer) in (1..).zip([2, 3, 2]) {
            let now = NOW + hand_over.retry * count;
            assert_eq!(hand_over.next(0), Some(now.min(NOW + hand_over.patience)));
            hand_over.end(Some(ballot(1, 1)), now);
            assert_eq!(ask(&mut hand_over, &[2, 3], now), Some(peer));
        }
        hand_over.end(Some(ballot(2, 2)), NOW);
        assert_eq!(ended.try_recv().expect("it has ended"), Ok(NodeId(2)));
        assert!(!hand_over.holds());
    }

    #[test]
    fn only_the_node_that_was_named_is_asked() {
        let (mut hand_over, mut ended) = begun(Some(2));
        assert_eq!(ask(&mut hand_over, &[2, 3], NOW), Some(2));
        hand_over.end(None, NOW + hand_over.patience);
        let timeout = TransferError::Timeout(hand_over.patience);
        assert_eq!(ended.try_recv().expect("it has ended"), Err(timeout));
        let (mut hand_over, mut ended) = begun(Some(4));
        assert_eq!(ask(&mut hand_over, &[2, 3], NOW), None);
        let silent = TransferError::Silent(Some(NodeId(4)));
        assert_eq!(ended.try_recv().expect("it has ended"), Err(silent));
    }

    #[test]
    fn a_node_leaves_when_no_request_waits_or_its_time_is_up() {
        let (mut hand_over, _ended) = begun(None);
        assert!(!hand_over.has_left(0, NOW), "it is not to leave");
        hand_over.leave(NOW);
        assert!(!hand_over.has_left(0, NOW), "it hands over");
        hand_over.end(Some(ballot(2, 3)), NOW);
        assert!(hand_over.has_left(0, NOW) && !hand_over.has_left(1, NOW));
        assert_eq!((hand_over.next(0), hand_over.next(1)), (Some(Now::ZERO), hand_over.leaves_at));
        assert!(hand_over.has_left(1, NOW + hand_over.patience));
    }
}
