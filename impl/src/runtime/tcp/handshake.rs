//! What two nodes say before anything else on a connection.
//!
//! Whoever connects says who it is, whom it wants, and which store it has; whoever listens lets it in,
//! or says why not. Each checks the other.

use serde::{Deserialize, Serialize};

use crate::{storage::StoreId, types::NodeId};

/// The version of what nodes say to each other.
pub const PROTOCOL: u32 = 1;

/// Distinguishes this protocol from whatever else might connect.
const MAGIC: [u8; 8] = *b"paxos-rs";

/// The first frame of whoever connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    magic: [u8; 8],
    protocol: u32,
    cluster: String,
    /// Who connects.
    pub from: NodeId,
    to: NodeId,
    /// Its store.
    pub store: StoreId,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Go on.
    Welcome,
    /// Another store is known under that id: never come back.
    Banned(String),
    /// Something else is wrong; it may be put right.
    Refused(String),
}

impl Hello {
    /// What `from` says to `to`.
    pub fn new(cluster: &str, from: NodeId, to: NodeId, store: StoreId) -> Self {
        let cluster = cluster.to_owned();
        Self { magic: MAGIC, protocol: PROTOCOL, cluster, from, to, store }
    }

    /// Whether it is meant for node `me` of a cluster, from one of its peers.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self, cluster: &str, me: NodeId, peers: &[NodeId]) -> Result<(), String> {
        if self.magic != MAGIC {
            return Err("this is no node's greeting".to_owned());
        }
        if self.protocol != PROTOCOL {
            let found = self.protocol;
            return Err(format!("it speaks version {found} of the protocol, not {PROTOCOL}"));
        }
        if self.cluster != cluster {
            return Err(format!("it belongs to cluster `{}`, not `{cluster}`", self.cluster));
        }
        if self.to != me {
            return Err(format!("it wants node {}; this is node {me}", self.to));
        }
        if !peers.contains(&self.from) {
            return Err(format!("node {} is not one of this node's peers", self.from));
        }
        Ok(())
    }
}
