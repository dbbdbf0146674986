//! The first frame on a connection: a handshake with its addressee.
//!
//! The node that connects names itself and the node that it wants, and adds its [`Handshake`]. The node that listens
//! checks these, and answers with an [`Admission`](crate::Admission).

use serde::{Deserialize, Serialize};

use crate::Handshake;
use paxos::types::NodeId;

/// The version of the protocol between nodes. Since version 4, frames are acknowledged.
/// Since version 5, a leader hands over.
pub const PROTOCOL: u32 = 6;

/// Distinguishes this protocol from others that might connect.
const MAGIC: [u8; 8] = *b"paxos-rs";

/// The first frame of the node that connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    magic: [u8; 8],
    protocol: u32,
    cluster: String,
    /// The node that connects.
    pub from: NodeId,
    to: NodeId,
    /// The [`Handshake`] of the node that connects. It is in bytes of its own, so that the other fields can be read
    /// even if the handshake has another format.
    handshake: Vec<u8>,
}

impl Hello {
    /// Returns the first frame from one node to another.
    pub fn new(cluster: &str, from: NodeId, to: NodeId, handshake: &Handshake) -> Self {
        let handshake = postcard::to_stdvec(handshake);
        let handshake = handshake.expect("a handshake can be written to memory");
        let cluster = cluster.to_owned();
        Self { magic: MAGIC, protocol: PROTOCOL, cluster, from, to, handshake }
    }

    /// Returns the handshake of the sender, if the frame is meant for node `me` of a cluster.
    ///
    /// # Errors
    /// The frame is meant for another node, or unreadable. The error is a sentence for operators.
    pub fn check(&self, cluster: &str, me: NodeId) -> Result<Handshake, String> {
        if self.magic != MAGIC {
            return Err("this is no node's handshake".to_owned());
        }
        if self.protocol != PROTOCOL {
            let found = self.protocol;
            return Err(format!("it speaks version {found} of the protocol, not {PROTOCOL}"));
        }
        if self.cluster != cluster {
            return Err(format!("it belongs to cluster `{}`, not `{cluster}`", self.cluster));
        }
        if self.to != me {
            return Err(format!("it wants node {}, and has found node {me}", self.to));
        }
        if self.from == me {
            return Err(format!("it says that it is node {me}, and has found node {me}"));
        }
        let handshake = postcard::from_bytes(&self.handshake);
        handshake.map_err(|error| format!("its handshake is unreadable: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        peers::{Members, incarnations::Incarnations},
        wire,
    };
    use paxos::config::{Config, NODES_MAX};
    use paxos_store::StoreId;

    fn hello(cluster: &str, from: u32, to: u32, node: u32, nodes: &[u32]) -> Hello {
        let members = Members::of(&Config::new(NodeId(node), nodes.iter().copied().map(NodeId)));
        let mut incarnations = Incarnations::default();
        (0..1000).for_each(|_| incarnations.begin(u64::MAX));
        let store = StoreId(u128::MAX);
        Hello::new(cluster, NodeId(from), NodeId(to), &Handshake { store, incarnations, members })
    }

    #[test]
    fn addressees_are_checked() {
        let check = |cluster, from, to| {
            hello(cluster, from, to, 2, &[1, 2]).check("paxos", NodeId(1)).map(drop)
        };
        let wrong = |reason: &str| Err(reason.to_owned());
        assert_eq!(check("paxos", 2, 1), Ok(()));
        assert_eq!(check("other", 2, 1), wrong("it belongs to cluster `other`, not `paxos`"));
        assert_eq!(check("paxos", 2, 3), wrong("it wants node 3, and has found node 1"));
        assert_eq!(check("paxos", 1, 1), wrong("it says that it is node 1, and has found node 1"));
    }

    /// The longest handshake fits into the few bytes that are read from a node that is not known yet.
    #[test]
    fn the_longest_handshake_is_not_too_long() {
        let most = u32::MAX - NODES_MAX as u32;
        let nodes: Vec<_> = (most..most + NODES_MAX as u32).collect();
        let hello = hello(&"c".repeat(255), most, most + 1, most, &nodes);
        let mut frame = Vec::new();
        wire::encode(&hello, &mut frame).unwrap();
        assert!(frame.len() <= wire::HEADER + wire::HANDSHAKE_MAX, "{} bytes", frame.len());
    }
}
