//! What a state of the cluster is: nodes and their disks, and every message that ever left one.

use std::fmt;

use smallvec::SmallVec;

use super::{fault::Fault, types::entries};
pub use super::{
    message::{Message, Network},
    types::{
        BALLOTS_MAX, Ballot, Log, NODES_MAX, NodeId, NodeSet, READS_MAX, Reads, Round, SLOTS_MAX,
        Slot, UNSYNCED_MAX, VALUES_MAX, Value, Vote, Witness,
    },
};

/// What must survive a crash.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Acceptor {
    /// maxBal, for the whole log.
    pub promised: Option<Ballot>,
    /// The last vote in each slot that is not trimmed.
    pub votes: Log<Option<Vote>>,
    /// Every slot below is chosen, and its effect is in a snapshot that is durable; its vote is gone.
    pub trimmed: Slot,
}

/// What a node does about proposing. Its ballot is the one that it has promised.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// It waits for others.
    #[default]
    Follower,
    /// It collects promises.
    Candidate {
        /// Who promised, itself included.
        heard: NodeSet,
        /// The highest vote that they reported in each slot.
        reported: Log<Option<Vote>>,
        /// The most that any of them has trimmed. What is chosen below has to be known here before it leads.
        trimmed: Slot,
    },
    /// It has a quorum of promises and proposes.
    Leader {
        /// Who voted for its proposal in each slot; nobody once the value is known to be chosen.
        votes: Log<NodeSet>,
        /// Its rounds of reads.
        reads: Reads,
    },
}

/// A node as it runs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Live {
    /// Its acceptor, steps that are not yet durable included.
    pub acceptor: Acceptor,
    /// Lost in a crash.
    pub role: Role,
    /// What it knows to be chosen in the slots that it has not trimmed; lost in a crash.
    pub chosen: Log<Option<Value>>,
}

impl Live {
    /// The first slot that it does not know to be chosen.
    pub fn known_below(&self) -> Slot {
        let trimmed = self.acceptor.trimmed.0;
        let known = self.chosen.iter().skip(usize::from(trimmed));
        Slot(trimmed + known.take_while(|value| value.is_some()).count() as u8)
    }
}

/// A step that is not yet durable. Nobody knows anything of it but what it proposes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Unsynced {
    /// What the disk will hold after its sync.
    pub acceptor: Acceptor,
    /// What leaves only then.
    pub messages: Vec<Message>,
}

/// A node and its disk.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Node {
    /// What a crash leaves.
    pub durable: Acceptor,
    /// Steps that wait for their sync, oldest first.
    pub unsynced: Vec<Unsynced>,
    /// The node as it runs.
    pub live: Live,
}

/// A state of the whole cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The nodes, by id.
    pub nodes: SmallVec<[Node; NODES_MAX]>,
    /// What was sent.
    pub network: Network,
    /// How many crashes there were; stays 0 where they are not bounded.
    pub crashes: u8,
    /// What reads are judged by.
    pub witness: Witness,
    /// A step that is not one of the specification ends the run.
    pub fault: Option<Fault>,
}

impl State {
    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[usize::from(id.0)]
    }

    /// Whether a promise of a ballot ever left a node, other than [late](Self::is_late).
    pub fn has_promised(&self, node: NodeId, ballot: Ballot) -> bool {
        self.network.iter().any(|message| match message {
            Message::Promise { ballot: b, from, .. } => {
                (b, from) == (ballot, node) && !self.is_late(message)
            }
            _ => false,
        })
    }

    /// Whether a message is a promise that was sent after a vote in its ballot: that slot was trimmed, so that
    /// the node does not see any more that it voted. Nobody listens, for who asked for the vote leads already.
    pub fn is_late(&self, message: Message) -> bool {
        let Message::Promise { ballot, from: node, trimmed, .. } = message else { return false };
        // Whatever is trimmed takes no more votes, so that the vote was first.
        trimmed > Slot(0)
            && self.network.iter().any(|message| match message {
                Message::Accepted { ballot: b, slot, from, .. } => {
                    (b, from) == (ballot, node) && slot < trimmed
                }
                _ => false,
            })
    }

    /// The last vote that ever left a node in a slot, of those below a ballot if one is given. It is no less
    /// cast for having been trimmed.
    pub fn last_vote(&self, node: NodeId, slot: Slot, below: Option<Ballot>) -> Option<Vote> {
        let votes = self.network.iter().filter_map(|message| match message {
            Message::Accepted { ballot, slot: at, value, from } if (at, from) == (slot, node) => {
                Some(Vote { ballot, value })
            }
            _ => None,
        });
        votes.filter(|vote| below.is_none_or(|below| vote.ballot < below)).max()
    }

    /// The distinct pairs of ballot and value for which somebody voted in a slot, with the voters.
    pub fn ballots_voted(&self, slot: Slot) -> SmallVec<[(Vote, NodeSet); 8]> {
        let mut votes: SmallVec<[(Vote, NodeSet); 8]> = SmallVec::new();
        for message in self.network.iter() {
            if let Message::Accepted { ballot, slot: at, value, from } = message
                && at == slot
            {
                let vote = Vote { ballot, value };
                match votes.iter_mut().find(|(other, _)| *other == vote) {
                    Some((_, voters)) => *voters = voters.with(from),
                    None => votes.push((vote, NodeSet::of(from))),
                }
            }
        }
        votes
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.promised {
            None => f.write_str("promised -")?,
            Some(ballot) => write!(f, "promised b{}", ballot.0)?,
        }
        let votes = entries(&self.votes);
        if !votes.is_empty() {
            write!(f, ", voted {votes}")?;
        }
        let Self { trimmed, .. } = self;
        if *trimmed == Slot(0) { Ok(()) } else { write!(f, ", trimmed below {trimmed:?}") }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, ", self.acceptor)?;
        match &self.role {
            Role::Follower => f.write_str("follows")?,
            Role::Candidate { heard, reported, trimmed } => {
                write!(f, "candidate heard {heard:?} {}", entries(reported))?;
                if *trimmed > Slot(0) {
                    write!(f, ", told that all below {trimmed:?} is chosen")?;
                }
            }
            Role::Leader { votes, reads } => {
                let votes = votes.map(|votes| (!votes.is_empty()).then_some(votes));
                write!(f, "leads {}", entries(&votes))?;
                if let Some(Round { heard, index }) = reads.under_way {
                    write!(f, ", reads below {index:?} once confirmed, by {heard:?} so far")?;
                }
            }
        }
        let chosen = entries(&self.chosen.map(|value| Some(format!("v{}", value?.0))));
        if chosen.is_empty() { Ok(()) } else { write!(f, ", knows {}", chosen.replace('"', "")) }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in (0..).map(NodeId).zip(&self.nodes) {
            write!(f, "{id:?}: {:?}", node.live)?;
            if !node.unsynced.is_empty() {
                write!(f, " [on disk: {:?}; {} unsynced]", node.durable, node.unsynced.len())?;
            }
            writeln!(f)?;
        }
        for message in self.network.iter() {
            writeln!(f, "sent: {message:?}")?;
        }
        if self.witness.stale {
            writeln!(f, "STALE: a read was answered without something that was known")?;
        }
        if let Some(fault) = &self.fault {
            write!(f, "FAULT: {fault}")?;
        }
        Ok(())
    }
}
