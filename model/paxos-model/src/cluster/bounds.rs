//! The bounds of an explored cluster, and the parts of the protocol that they leave out.

use serde::Serialize;
use thiserror::Error;

use super::types::{
    BALLOTS_MAX, Ballot, NODES_MAX, NodeId, READS_MAX, SLOTS_MAX, UNSYNCED_MAX, VALUES_MAX, Value,
};

/// The bounds of one state space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// The number of nodes.
    pub nodes: u8,
    /// The number of promises that let a candidate lead.
    pub phase1_quorum: u8,
    /// The number of votes that choose a value.
    pub phase2_quorum: u8,
    /// The number of ballots. The campaigners own them in turn.
    pub ballots: u8,
    /// The number of nodes that campaign.
    pub campaigners: u8,
    /// The number of slots of the log.
    pub slots: u8,
    /// The number of distinct values that clients ask for. The client behind ballot `b` asks for `b mod values`.
    pub values: u8,
    /// The highest number of crashes in a behaviour, counted over all nodes. None means no limit.
    pub crashes: Option<u8>,
    /// The highest number of steps of a node that wait for their sync at once. With 0 each step is durable at once.
    pub unsynced: u8,
    /// True if refusals arrive.
    pub nacks: bool,
    /// True if nodes hear from other nodes that a value is chosen.
    pub chosen: bool,
    /// True if nodes take snapshots and trim the log.
    pub snapshots: bool,
    /// The highest number of rounds of reads that a leader begins in a ballot.
    pub reads: u8,
}

/// Bounds that are out of range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BoundsError {
    /// A number out of range.
    #[error("{name} is {found}; it must be {least} to {most}")]
    Range {
        /// The name of the bound.
        name: &'static str,
        /// The number.
        found: u8,
        /// The lowest number that is accepted.
        least: u8,
        /// The highest number that is accepted.
        most: u8,
    },
    /// Quorums that need not share a node.
    #[error(
        "quorums of {phase1} (phase 1) and {phase2} (phase 2) of {nodes} nodes need not share a \
         node; their sum must be at least {}", nodes + 1
    )]
    QuorumsDoNotIntersect {
        /// The size of a quorum of phase 1.
        phase1: u8,
        /// The size of a quorum of phase 2.
        phase2: u8,
        /// The number of nodes.
        nodes: u8,
    },
}

impl Default for Bounds {
    /// Three nodes, of which two campaign, one slot, three ballots and any number of crashes. Unsynced steps, snapshots and
    /// reads are left out.
    fn default() -> Self {
        Self::of(3, 1, 3)
    }
}

impl Bounds {
    /// Returns bounds with majority quorums, two campaigners, two values, any number of crashes, steps that are durable at
    /// once, and all messages. There are no snapshots and no reads.
    pub const fn of(nodes: u8, slots: u8, ballots: u8) -> Self {
        Self {
            nodes,
            phase1_quorum: nodes / 2 + 1,
            phase2_quorum: nodes / 2 + 1,
            ballots,
            campaigners: if nodes < 2 { nodes } else { 2 },
            slots,
            values: 2,
            crashes: None,
            unsynced: 0,
            nacks: true,
            chosen: true,
            snapshots: false,
            reads: 0,
        }
    }

    /// Checks that a search can explore the state space.
    ///
    /// # Errors
    /// Fails if a bound is out of range, or if a quorum of phase 1 and one of phase 2 need not share a node.
    pub fn validate(&self) -> Result<(), BoundsError> {
        let range = |name, found, least, most| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(BoundsError::Range { name, found, least, most })
        };
        range("nodes", self.nodes, 1, NODES_MAX as u8)?;
        range("phase1-quorum", self.phase1_quorum, 1, self.nodes)?;
        range("phase2-quorum", self.phase2_quorum, 1, self.nodes)?;
        range("ballots", self.ballots, 1, BALLOTS_MAX as u8)?;
        range("campaigners", self.campaigners, 1, self.nodes)?;
        range("slots", self.slots, 1, SLOTS_MAX as u8)?;
        range("values", self.values, 1, VALUES_MAX as u8)?;
        range("unsynced", self.unsynced, 0, UNSYNCED_MAX)?;
        range("reads", self.reads, 0, READS_MAX)?;
        if self.phase1_quorum + self.phase2_quorum <= self.nodes {
            return Err(BoundsError::QuorumsDoNotIntersect {
                phase1: self.phase1_quorum,
                phase2: self.phase2_quorum,
                nodes: self.nodes,
            });
        }
        Ok(())
    }

    /// Returns the owner of a ballot.
    pub fn owner(&self, ballot: Ballot) -> NodeId {
        NodeId(ballot.0 % self.campaigners)
    }

    /// Returns the value that fills gaps. It is none of the clients' values.
    pub fn noop(&self) -> Value {
        Value(self.values)
    }

    /// Returns the value that the client behind a ballot asks for. One value for each ballot is enough. The protocol only
    /// compares values for equality, and with two values or more the clients of neighbouring ballots ask for different ones.
    pub fn client_value(&self, ballot: Ballot) -> Value {
        Value(ballot.0 % self.values)
    }

    /// Returns the lowest ballot of a node above `seen`, or none if the bounds have no such ballot.
    pub fn next_ballot(&self, node: NodeId, seen: Option<Ballot>) -> Option<Ballot> {
        let above = seen.map_or(0, |seen| seen.0 + 1);
        (above..self.ballots).map(Ballot).find(|&ballot| self.owner(ballot) == node)
    }

    /// Returns one line: `of`, the bounds, and the parts that they leave out.
    pub fn title(&self, of: &str) -> String {
        let out = self.leaves_out();
        let without = if out.is_empty() { "nothing".to_owned() } else { out.join(", ") };
        format!("{of}: {self}; leaves out {without}")
    }

    /// Returns the parts of the protocol that the bounds leave out.
    pub fn leaves_out(&self) -> Vec<&'static str> {
        let mut out = Vec::new();
        if self.unsynced == 0 {
            out.push("unsynced steps");
        }
        if !self.nacks {
            out.push("Nack");
        }
        if !self.chosen {
            out.push("Chosen");
        }
        match self.crashes {
            None => {}
            Some(0) => out.push("crashes"),
            Some(1) => out.push("a second crash"),
            Some(_) => out.push("further crashes"),
        }
        if !self.snapshots {
            out.push("snapshots");
        }
        if self.reads == 0 {
            out.push("reads");
        }
        out
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { nodes, slots, ballots, campaigners, .. } = self;
        write!(f, "{nodes} nodes, {slots} slots, {ballots} ballots, {campaigners} campaigners")?;
        let majority = nodes / 2 + 1;
        if (self.phase1_quorum, self.phase2_quorum) != (majority, majority) {
            write!(f, ", quorums {}/{}", self.phase1_quorum, self.phase2_quorum)?;
        }
        if self.unsynced > 0 {
            write!(f, ", {} unsynced", self.unsynced)?;
        }
        if let Some(crashes) = self.crashes {
            write!(f, ", {crashes} crashes")?;
        }
        if self.snapshots {
            write!(f, ", snapshots")?;
        }
        if self.reads > 0 {
            write!(f, ", {} reads", self.reads)?;
        }
        Ok(())
    }
}
