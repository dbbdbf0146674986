//! What a state of the cluster is: the nodes, and every message that ever left one.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use smallvec::SmallVec;

use super::refinement::Fault;
pub use crate::synod::{Ballot, Value};

/// The most slots that a state has room for.
pub const SLOTS_MAX: usize = 3;
/// The most nodes.
pub const NODES_MAX: usize = 5;
/// The most ballots.
pub const BALLOTS_MAX: usize = 7;
/// The most values that clients ask for; the no-op is one more.
pub const VALUES_MAX: usize = 4;

/// One node, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

/// A place in the log, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// Something for each slot.
pub type Log<T> = [T; SLOTS_MAX];

/// A vote: a value accepted in a ballot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// maxVBal.
    pub ballot: Ballot,
    /// maxVal.
    pub value: Value,
}

/// A set of nodes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(pub u8);

impl NodeSet {
    /// The set of one.
    pub fn of(node: NodeId) -> Self {
        Self(1 << node.0)
    }
    /// With one more node.
    #[must_use]
    pub fn with(self, node: NodeId) -> Self {
        Self(self.0 | 1 << node.0)
    }
    /// Whether a node is in it.
    pub fn has(self, node: NodeId) -> bool {
        self.0 & 1 << node.0 != 0
    }
    /// How many there are.
    pub fn len(self) -> u8 {
        self.0.count_ones() as u8
    }
    /// Whether nobody is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What must survive a crash.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Acceptor {
    /// maxBal, for the whole log.
    pub promised: Option<Ballot>,
    /// The last vote in each slot.
    pub votes: Log<Option<Vote>>,
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
    },
    /// It has a quorum of promises and proposes.
    Leader {
        /// Who voted for its proposal in each slot; nobody once the value is known to be chosen.
        votes: Log<NodeSet>,
    },
}

/// A node as it runs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Live {
    /// Its acceptor, steps that are not yet durable included.
    pub acceptor: Acceptor,
    /// Lost in a crash.
    pub role: Role,
    /// What it knows to be chosen; lost in a crash.
    pub chosen: Log<Option<Value>>,
}

/// A step that is not yet durable, and so not yet known to anybody.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Unsynced {
    /// What the disk will hold after its sync.
    pub acceptor: Acceptor,
    /// What leaves then.
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

/// A message that stays in the network for ever once it is sent. A node's own promise and vote are
/// messages, too: nobody delivers them, but they say what the node has done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message {
    /// 1a, from the owner of the ballot to everyone.
    Prepare {
        /// The ballot that begins.
        ballot: Ballot,
    },
    /// 1b, to the owner of the ballot.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// By whom.
        from: NodeId,
        /// Its last vote in each slot.
        reports: Log<Option<Vote>>,
    },
    /// 2a, from the owner of the ballot to everyone. A batch is the set of its slots.
    Accept {
        /// The leader's ballot.
        ballot: Ballot,
        /// Where.
        slot: Slot,
        /// What.
        value: Value,
    },
    /// 2b, to the owner of the ballot.
    Accepted {
        /// The ballot of the vote.
        ballot: Ballot,
        /// Where.
        slot: Slot,
        /// For what; implied by the ballot as long as the protocol is right.
        value: Value,
        /// By whom.
        from: NodeId,
    },
}

impl Message {
    /// The ballot it belongs to.
    pub fn ballot(self) -> Ballot {
        let (Self::Prepare { ballot }
        | Self::Promise { ballot, .. }
        | Self::Accept { ballot, .. }
        | Self::Accepted { ballot, .. }) = self;
        ballot
    }
}

/// One word says a message: states are told apart by millions of them.
impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let word = |bytes: [u8; 5]| bytes.into_iter().fold(0, |word, b| word << 8 | u64::from(b));
        let vote = |vote: Option<Vote>| vote.map_or(0, |vote| 1 + vote.ballot.0 * 8 + vote.value.0);
        state.write_u64(match *self {
            Self::Prepare { ballot } => word([0, ballot.0, 0, 0, 0]),
            Self::Promise { ballot, from, reports: [a, b, c] } => {
                word([1 + ballot.0, 1 + from.0, vote(a), vote(b), vote(c)]) | 1 << 40
            }
            Self::Accept { ballot, slot, value } => word([2, ballot.0, slot.0, value.0, 0]),
            Self::Accepted { ballot, slot, value, from } => {
                word([3, ballot.0, slot.0, value.0, from.0])
            }
        });
    }
}

/// The set of all messages that ever left a node, sorted.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Network(SmallVec<[Message; 24]>);

impl Network {
    /// Adds a message; sending again adds nothing.
    pub fn insert(&mut self, message: Message) {
        if let Err(place) = self.0.binary_search(&message) {
            self.0.insert(place, message);
        }
    }
    /// Whether a message was ever sent.
    pub fn contains(&self, message: Message) -> bool {
        self.0.binary_search(&message).is_ok()
    }
    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Message> {
        self.0.iter().copied()
    }
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
    /// A step that is not one of the specification ends the run.
    pub fault: Option<Fault>,
}

impl State {
    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[usize::from(id.0)]
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

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}:v{}", self.ballot.0, self.value.0)
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((0..8).map(NodeId).filter(|&node| self.has(node))).finish()
    }
}

/// The entries of a log that are there, as `s0=… s1=…`.
fn entries<T: fmt::Debug>(log: &Log<Option<T>>) -> String {
    let entries = (0u8..).map(Slot).zip(log);
    let entries =
        entries.filter_map(|(slot, entry)| Some(format!("{slot:?}={:?}", entry.as_ref()?)));
    entries.collect::<Vec<_>>().join(" ")
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { ballot } => write!(f, "Prepare b{}", ballot.0),
            Self::Promise { ballot, from, reports } => {
                let reports = entries(reports);
                let reports = if reports.is_empty() { "nothing" } else { &reports };
                write!(f, "Promise b{} from {from:?} reporting {reports}", ballot.0)
            }
            Self::Accept { ballot, slot, value } => {
                write!(f, "Accept b{} {slot:?}=v{}", ballot.0, value.0)
            }
            Self::Accepted { ballot, slot, value, from } => {
                write!(f, "Accepted b{} {slot:?}=v{} from {from:?}", ballot.0, value.0)
            }
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.promised {
            None => f.write_str("promised -")?,
            Some(ballot) => write!(f, "promised b{}", ballot.0)?,
        }
        let votes = entries(&self.votes);
        if votes.is_empty() { Ok(()) } else { write!(f, ", voted {votes}") }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, ", self.acceptor)?;
        match &self.role {
            Role::Follower => f.write_str("follows")?,
            Role::Candidate { heard, reported } => {
                write!(f, "candidate heard {heard:?} {}", entries(reported))?;
            }
            Role::Leader { votes } => {
                let votes = votes.map(|votes| (!votes.is_empty()).then_some(votes));
                write!(f, "leads {}", entries(&votes))?;
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
        if let Some(fault) = &self.fault {
            write!(f, "FAULT: {fault}")?;
        }
        Ok(())
    }
}
