//! The loop that our replica, omnipaxos and raft-rs share.
//!
//! Each node has an inbox. A turn of a node takes all messages of its inbox, then makes the records of the turn durable
//! with one sync, and then releases messages and applied commands. Messages are not encoded, and none is lost.

use crate::{
    disk::LogFile,
    workload::{Contestant, Fault, Leadership, Ledger},
};

/// A node of an implementation that is a state machine.
pub(super) trait Node {
    type Message;

    /// Makes this node the leader, once the messages of this turn and their answers are delivered.
    fn campaign(&mut self) -> Result<(), Fault>;

    /// Proposes copies of these commands.
    fn propose(&mut self, commands: &[Vec<u8>]) -> Result<(), Fault>;

    /// Takes a message from another node.
    fn receive(&mut self, from: usize, message: Self::Message) -> Result<(), Fault>;

    /// Drops the first `entries` entries, which all nodes have applied.
    fn trim(&mut self, entries: u64) -> Result<(), Fault>;

    /// Makes the records of this turn durable. Then passes messages and their receivers to `send`, and applied commands
    /// to `apply`.
    fn end_turn(
        &mut self,
        send: impl FnMut(usize, Self::Message),
        apply: impl FnMut(&[u8]),
    ) -> Result<(), Fault>;

    /// Returns the leadership that this node follows.
    fn leadership(&self) -> Option<Leadership>;

    /// Returns the number of syncs of this node.
    fn syncs(&self) -> u64;
}

/// A cluster of such nodes.
pub(super) struct Turns<N: Node> {
    nodes: Vec<N>,
    inboxes: Vec<Vec<(usize, N::Message)>>,
    /// An empty inbox, kept for its allocation.
    spare: Vec<(usize, N::Message)>,
}

impl<N: Node> Turns<N> {
    /// Returns a cluster of these nodes, of which the first one leads.
    pub(super) fn led(nodes: Vec<N>) -> Result<Self, Fault> {
        let inboxes = nodes.iter().map(|_| Vec::new()).collect();
        let mut cluster = Self { nodes, inboxes, spare: Vec::new() };
        cluster.nodes[0].campaign()?;
        let mut commands = 0;
        cluster.end_turn(0, |_, _| commands += 1)?;
        cluster.settle(|_, _| commands += 1)?;
        if commands > 0 {
            return Err(Fault::Refused(format!("{commands} commands applied before the first")));
        }
        Ok(cluster)
    }

    /// Gives turns to nodes with messages until no message is left.
    fn settle(&mut self, mut apply: impl FnMut(usize, &[u8])) -> Result<(), Fault> {
        while self.inboxes.iter().any(|inbox| !inbox.is_empty()) {
            for index in 0..self.nodes.len() {
                if self.inboxes[index].is_empty() {
                    continue;
                }
                let mut inbox =
                    std::mem::replace(&mut self.inboxes[index], std::mem::take(&mut self.spare));
                for (from, message) in inbox.drain(..) {
                    self.nodes[index].receive(from, message)?;
                }
                self.spare = inbox;
                self.end_turn(index, &mut apply)?;
            }
        }
        Ok(())
    }

    fn end_turn(&mut self, index: usize, mut apply: impl FnMut(usize, &[u8])) -> Result<(), Fault> {
        let inboxes = &mut self.inboxes;
        self.nodes[index].end_turn(
            |to, message| inboxes[to].push((index, message)),
            |command| apply(index, command),
        )
    }
}

impl<N: Node> Contestant for Turns<N> {
    fn propose(&mut self, commands: &[Vec<u8>], ledger: &mut Ledger) -> Result<(), Fault> {
        self.nodes[0].propose(commands)?;
        self.end_turn(0, |node, command| ledger.apply(node, command))?;
        self.settle(|node, command| ledger.apply(node, command))
    }

    fn trim(&mut self, entries: u64) -> Result<(), Fault> {
        let mut commands = 0;
        for index in 0..self.nodes.len() {
            self.nodes[index].trim(entries)?;
            self.end_turn(index, |_, _| commands += 1)?;
        }
        self.settle(|_, _| commands += 1)?;
        if commands == 0 {
            Ok(())
        } else {
            Err(Fault::Refused(format!("{commands} commands applied by trimming")))
        }
    }

    fn leadership(&self) -> Result<Leadership, Fault> {
        let leadership = self.nodes[0].leadership().ok_or(Fault::NoLeader { node: 0 })?;
        match self.nodes.iter().position(|node| node.leadership() != Some(leadership)) {
            Some(node) => Err(Fault::NoLeader { node }),
            None => Ok(leadership),
        }
    }

    fn syncs(&self) -> u64 {
        self.nodes.iter().map(N::syncs).sum()
    }
}

/// Returns the number of syncs of a log, if there is one.
pub(super) fn syncs_of(file: Option<&LogFile>) -> u64 {
    file.map_or(0, LogFile::syncs)
}
