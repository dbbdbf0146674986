//! How large a cluster is explored, and what is left out.

use serde::Serialize;
use thiserror::Error;

use super::state::{
    BALLOTS_MAX, Ballot, NODES_MAX, NodeId, READS_MAX, SLOTS_MAX, UNSYNCED_MAX, VALUES_MAX, Value,
};

/// The bounds of one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// How many nodes.
    pub nodes: u8,
    /// How many promises let a candidate lead.
    pub phase1_quorum: u8,
    /// How many votes choose a value.
    pub phase2_quorum: u8,
    /// How many ballots in all, owned round robin by the campaigners.
    pub ballots: u8,
    /// How many of the nodes campaign.
    pub campaigners: u8,
    /// How many slots the log has.
    pub slots: u8,
    /// How many distinct values clients ask for: the client behind ballot `b` asks for `b mod values`.
    pub values: u8,
    /// How often nodes crash, all together; any number of times without it.
    pub crashes: Option<u8>,
    /// How many steps of a node may wait for their sync; 0 makes each step durable at once.
    pub unsynced: u8,
    /// Whether refusals arrive.
    pub nacks: bool,
    /// Whether others than the leader hear what is chosen.
    pub chosen: bool,
    /// Whether nodes take snapshots, and trim the log.
    pub snapshots: bool,
    /// How many rounds of reads a leader begins in a ballot.
    pub reads: u8,
}

/// Bounds that no state has room for, or that mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BoundsError {
    /// A number out of range.
    #[error("{name} is {found}; it must be {least} to {most}")]
    Range {
        /// Which.
        name: &'static str,
        /// What was asked for.
        found: u8,
        /// The least that makes sense.
        least: u8,
        /// The most that fits.
        most: u8,
    },
    /// Quorums that may miss each other.
    #[error(
        "quorums of {phase1} (phase 1) and {phase2} (phase 2) of {nodes} nodes need not share a \
         node; their sum must be at least {}", nodes + 1
    )]
    QuorumsDoNotIntersect {
        /// Phase 1.
        phase1: u8,
        /// Phase 2.
        phase2: u8,
        /// Nodes.
        nodes: u8,
    },
}

impl Default for Bounds {
    /// Three nodes, two of which campaign, one slot, three ballots, any crashes, nothing left out but
    /// unsynced steps.
    fn default() -> Self {
        Self::of(3, 1, 3)
    }
}

impl Bounds {
    /// Majority quorums, two campaigners and values, any number of crashes, atomic syncs, all messages; no
    /// snapshots, and no reads.
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

    /// Says whether the space can be explored.
    ///
    /// # Errors
    /// The first bound that is out of range.
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

    /// Who owns a ballot.
    pub fn owner(&self, ballot: Ballot) -> NodeId {
        NodeId(ballot.0 % self.campaigners)
    }

    /// The value that fills gaps, beside those of the clients.
    pub fn noop(&self) -> Value {
        Value(self.values)
    }

    /// What the client behind a ballot asks for. That it asks for one thing only loses nothing: the
    /// protocol never looks into a value, so only whether two are equal matters, and with two values
    /// that alternate by ballot, neighbouring ballots always compete.
    pub fn client_value(&self, ballot: Ballot) -> Value {
        Value(ballot.0 % self.values)
    }

    /// The least ballot of a node above what it has seen, within the bounds.
    pub fn next_ballot(&self, node: NodeId, seen: Option<Ballot>) -> Option<Ballot> {
        let above = seen.map_or(0, |seen| seen.0 + 1);
        (above..self.ballots).map(Ballot).find(|&ballot| self.owner(ballot) == node)
    }

    /// What is explored, and what is not, in a line.
    pub fn title(&self, of: &str) -> String {
        let out = self.leaves_out();
        let without = if out.is_empty() { "nothing".to_owned() } else { out.join(", ") };
        format!("{of}: {self}; leaves out {without}")
    }

    /// What the space leaves out, for the line that reports it.
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
