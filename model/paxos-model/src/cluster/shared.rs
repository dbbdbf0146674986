//! Nodes that states share.
//!
//! A search meets few different nodes: some hundred in a space with millions of states. So the process keeps one copy of each
//! node until it ends, and a state refers to its nodes. States are copied, compared and hashed without a look at the
//! fields of their nodes.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::{LazyLock, Mutex},
};

use ahash::RandomState;

use super::{kept::Digest, parts::Node};

/// A node that states share. Two of them are equal if and only if they refer to the same copy.
#[derive(Clone, Copy)]
pub struct SharedNode(&'static Hashed);

/// A node with its hash, which is computed once.
#[derive(PartialEq, Eq)]
struct Hashed {
    hash: u64,
    node: Node,
}

/// All nodes that this process has met.
static NODES: LazyLock<Mutex<HashSet<&Hashed, RandomState>>> = LazyLock::new(Mutex::default);

impl From<Node> for SharedNode {
    fn from(node: Node) -> Self {
        // The seeds are fixed, so that a node has the same hash in each run.
        let hash = RandomState::with_seeds(1, 2, 3, 4).hash_one(&node);
        let hashed = Hashed { hash, node };
        let mut nodes = NODES.lock().expect("no thread panics while it holds this lock");
        if let Some(known) = nodes.get(&hashed) {
            return Self(known);
        }
        let kept: &'static Hashed = Box::leak(Box::new(hashed));
        nodes.insert(kept);
        Self(kept)
    }
}

impl Digest for SharedNode {
    #[inline]
    fn digest(&self) -> u64 {
        self.0.hash
    }
}

impl Deref for SharedNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0.node
    }
}

impl PartialEq for SharedNode {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for SharedNode {}

impl Hash for SharedNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::state::{Acceptor, Ballot};

    #[test]
    fn equal_nodes_are_the_same_copy() {
        let promised = |ballot| {
            let durable = Acceptor { promised: Some(Ballot(ballot)), ..Acceptor::default() };
            SharedNode::from(Node { durable, ..Node::default() })
        };
        assert!(promised(0) == promised(0));
        assert!(promised(0) != promised(1));
        assert_eq!(promised(1).durable.promised, Some(Ballot(1)));
    }
}
