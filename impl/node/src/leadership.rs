//! The leader as one node knows it, for programs that act on a change.

use tokio::sync::watch;

use super::status::Role;
use paxos::types::NodeId;

/// The leader as one node knows it. [`ClientHandle::leadership`](super::ClientHandle::leadership) watches it.
///
/// It is a hint. A leader that was cut off keeps its role until it hears of a higher ballot, so two nodes may say at
/// the same time that they lead. Work that only one node may do must be a command of the log, or carry a fencing number
/// that a command has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The role of this node.
    pub role: Role,
    /// The leader: this node if it leads and hears a quorum, otherwise the node whose heartbeats it hears.
    pub leader: Option<NodeId>,
}

impl Leadership {
    /// The state of a node that has stopped, or that has not begun.
    const NONE: Self = Self { role: Role::Follower, leader: None };
}

/// The sender of the watch. The node publishes each change through it.
pub(super) struct Publisher(watch::Sender<Leadership>);

impl Publisher {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Leadership::NONE))
    }

    pub(super) fn watch(&self) -> watch::Receiver<Leadership> {
        self.0.subscribe()
    }

    pub(super) fn publish(&self, now: Leadership) {
        self.0.send_if_modified(|before| std::mem::replace(before, now) != now);
    }
}

/// Publishes that a node that has stopped knows no leader.
impl Drop for Publisher {
    fn drop(&mut self) {
        self.publish(Leadership::NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_published_and_a_stopped_node_has_no_leader() {
        let publisher = Publisher::new();
        let mut watch = publisher.watch();
        assert_eq!(*watch.borrow_and_update(), Leadership::NONE);
        publisher.publish(Leadership::NONE);
        assert!(!watch.has_changed().expect("the node runs"));
        let leads = Leadership { role: Role::Leader, leader: Some(NodeId(1)) };
        publisher.publish(leads);
        assert_eq!(*watch.borrow_and_update(), leads);
        drop(publisher);
        assert_eq!(*watch.borrow(), Leadership::NONE);
        assert!(watch.has_changed().is_err(), "the node has stopped");
    }
}
