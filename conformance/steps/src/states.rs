//! Every state of one node within the invariant, up to the names of ballots, nodes and values.
//!
//! The generator chooses part by part, and each part only among what the invariant allows. `check` asks the invariant itself
//! about each state, so a generator that leaves it is noticed. A test counts the states of small sizes in another way, so a
//! generator that misses some is noticed as well.

use std::sync::Arc;

use paxos::Config;
use paxos_model::cluster::node::{
    state::{Acceptor, Live, Reads, Role, Round, Vote},
    unbounded::{Log, NodeId, NodeSet, ReadRound, Slot, Unbounded},
    universe::{Set as _, SlotMap as _},
};

use crate::{ballots::Chain, case::Start, choices::Choices, table::State};

/// The size of the cases: the cluster, and how much a state and an input hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The number of nodes.
    pub nodes: usize,
    /// The sizes of the quorums of phase 1 and of phase 2.
    pub quorums: (usize, usize),
    /// The number of slots that can have an entry.
    pub slots: u64,
    /// The number of distinct commands.
    pub commands: usize,
    /// The most slots of a message.
    pub batch: u64,
    /// The limits of the replica: slots in flight, slots beyond the log, and slots of a batch that it sends again.
    pub limits: (u64, u64, u64),
    /// True if each set of nodes is tried. Otherwise one set of each size is, because a step sees no difference between nodes
    /// but membership.
    pub every_set: bool,
    /// The inputs and the orders of ballots that are tried.
    pub breadth: Breadth,
    /// True for a sample. It tries what an enumeration leaves out because no handler looks at it. These are votes and reports in
    /// the ballots of any owner, contents of messages that are ignored or refused, and the last rounds that there are.
    pub sampled: bool,
}

/// The inputs and the orders of ballots that are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// All.
    Whole,
    /// All inputs. A reported ballot is ordered only relative to the report that the candidate has in the same slot, because
    /// the handler compares it with no other.
    PerSlot,
    /// The inputs whose handlers look at what the log holds, in states without reads, which they do not look at
    /// ([`unseen`](crate::unseen)). Ballots are ordered only relative to those that the handler compares them with. Nothing is
    /// tried that one slot shows as well: strangers, contradictions, and the ends of the numbers.
    Log,
}

impl Size {
    /// Returns the configuration of the node whose steps are taken. Its number lies between those of its peers.
    pub fn config(&self) -> Arc<Config> {
        let nodes = (1..=self.nodes as u32).map(paxos::NodeId);
        let me = paxos::NodeId(self.nodes as u32 / 2 + 1);
        let (in_flight_max, slots_ahead_max, batch_slots_max) = self.limits;
        let config = Config::new(me, nodes).with_quorums(self.quorums.0, self.quorums.1);
        Arc::new(Config { in_flight_max, slots_ahead_max, batch_slots_max, ..config })
    }
}

/// The tokens of reads that a state can hold.
const ASKED: [u64; 2] = [1, 2];
const WAITING: [u64; 2] = [3, 4];

/// Returns a state. Returns none if the answers lead to no state.
pub fn start(choices: &mut impl Choices, size: &Size, config: &Config) -> Option<Start> {
    let state = State::of(Live::default());
    let mut start = Start::of(config, state, chain(choices, size), size.commands);
    let kind = choices.below(3);
    let trimmed = Slot(choices.below(size.slots as usize + 1) as u64);
    start.state_mut().live.acceptor.trimmed = trimmed;
    promise(choices, size, &mut start, kind)?;
    for slot in (trimmed.0..size.slots).map(Slot) {
        own_vote(choices, size, &mut start, slot, kind == 1)?;
        let chosen = choices.flip().then(|| start.names.any(choices));
        start.state_mut().live.chosen.put(slot, chosen);
    }
    let role = match kind {
        0 => Role::Follower,
        1 => candidate(choices, size, &mut start)?,
        _ => leader(choices, size, &mut start)?,
    };
    start.state_mut().live.role = role;
    Some(start)
}

/// Returns a chain without ballots. In one of eight samples it has the last rounds that there are.
fn chain(choices: &mut impl Choices, size: &Size) -> Chain {
    if size.sampled && choices.below(8) == 7 { Chain::at_the_end() } else { Chain::default() }
}

/// Chooses the promise of a follower, or the own ballot of a candidate or leader.
fn promise(choices: &mut impl Choices, size: &Size, start: &mut Start, kind: usize) -> Option<()> {
    let me = start.me;
    if kind > 0 {
        start.state_mut().live.acceptor.promised = Some(start.chain.any(choices, |_| me)?);
        return Some(());
    }
    if !choices.flip() {
        return Some(());
    }
    let peers = if size.every_set { start.peers.len() } else { start.peers.len().min(1) };
    let owners: Vec<_> = start.peers[..peers].iter().copied().chain([me]).collect();
    let ballot = start.chain.any(choices, |choices| choices.of(&owners))?;
    start.state_mut().live.acceptor.promised = Some(ballot);
    Some(())
}

/// Returns the owner of the ballot of a vote or a report. No rule asks for it, so an enumeration tries one.
pub fn some_owner(choices: &mut impl Choices, size: &Size, me: NodeId, peers: &[NodeId]) -> NodeId {
    let own = usize::from(size.sampled || peers.is_empty());
    let most = if size.sampled { peers.len() } else { peers.len().min(1) };
    match choices.below(most + own) {
        number if number < most => peers[number],
        _ => me,
    }
}

/// Chooses a vote of the node: none, or one in a ballot up to the promise. The votes of a candidate are below its ballot.
fn own_vote(
    choices: &mut impl Choices,
    size: &Size,
    start: &mut Start,
    slot: Slot,
    below: bool,
) -> Option<()> {
    let Some(promised) = start.promised() else { return Some(()) };
    let owner = |choices: &mut _| some_owner(choices, size, start.me, &start.peers);
    let ballot = match choices.below(if below { 2 } else { 3 }) {
        0 => return Some(()),
        1 => start.chain.any_below(promised, choices, owner)?,
        _ => promised,
    };
    let vote = Vote { ballot, value: start.names.any(choices) };
    start.state_mut().live.acceptor.votes.put(slot, Some(vote));
    Some(())
}

fn candidate(
    choices: &mut impl Choices,
    size: &Size,
    start: &mut Start,
) -> Option<Role<Unbounded>> {
    let promised = start.promised()?;
    let (me, peers) = (start.me, start.peers.clone());
    let acceptor = start.state.live.acceptor.clone();
    let known_below = start.state.live.known_below().0;
    let first = choices.below(known_below as usize + 1) as u64;
    let mut reported = Log::default();
    for slot in (acceptor.trimmed.0.max(first)..size.slots).map(Slot) {
        let report = match acceptor.votes.at(slot) {
            Some(own) if choices.flip() => Some(own),
            None if choices.flip() => None,
            own => {
                let owner = |choices: &mut _| some_owner(choices, size, me, &peers);
                let ballot = start.chain.any_below(promised, choices, owner)?;
                if own.is_some_and(|own| ballot <= own.ballot) {
                    return None;
                }
                Some(Vote { ballot, value: start.names.any(choices) })
            }
        };
        reported.put(slot, report);
    }
    let heard = set(choices, size, start, size.nodes);
    // A candidate with a quorum waits for slots that are trimmed elsewhere.
    let least = if heard.count() < size.quorums.0 { 0 } else { known_below + 1 };
    let most = size.slots + 1;
    let trimmed = least + choices.below((most.checked_sub(least)? + 1) as usize) as u64;
    Some(Role::Candidate { first: Slot(first), heard, reported, trimmed: Slot(trimmed) })
}

fn leader(choices: &mut impl Choices, size: &Size, start: &mut Start) -> Option<Role<Unbounded>> {
    let Acceptor { promised, votes: own, trimmed } = start.state.live.acceptor.clone();
    let chosen = start.state.live.chosen.clone();
    let proposed = |slot| own.at(slot).map(|vote: Vote<_>| vote.ballot) == promised;
    let mut votes = Log::default();
    for slot in (trimmed.0..size.slots).map(Slot) {
        if proposed(slot) && chosen.at(slot).is_none() {
            // With a quorum of one, the leader's own vote has completed it.
            let most = (size.quorums.1).checked_sub(1).filter(|most| *most > 0)?;
            votes.put(slot, set(choices, size, start, most));
        }
    }
    let log_end = start.state.live.log_end().0;
    let mut gaps = (trimmed.0..log_end).map(Slot);
    let gap = gaps.find(|&slot| !proposed(slot) && chosen.at(slot).is_none());
    let barrier_max = gap.map_or(log_end, |slot| slot.0);
    if size.breadth == Breadth::Log {
        let reads = Reads { barrier: Slot(barrier_max), ..Reads::default() };
        return Some(Role::Leader { votes, reads });
    }
    let barrier = choices.below(barrier_max as usize + 1) as u64;
    let rounds = choices.below(3) as u64;
    let open = size.quorums.1 > 1 && rounds > 0 && choices.flip();
    let (mut under_way, mut waits) = (None, false);
    if open {
        let heard = set(choices, size, start, size.quorums.1 - 1);
        let index = barrier + choices.below((log_end - barrier) as usize + 1) as u64;
        under_way = Some(Round { heard, index: Slot(index) });
        let state = start.state_mut();
        state.asked = ASKED[..=choices.below(2)].to_vec();
        state.waiting = WAITING[..choices.below(3)].to_vec();
        waits = !state.waiting.is_empty();
    }
    let reads = Reads { barrier: Slot(barrier), rounds: ReadRound(rounds), under_way, waits };
    Some(Role::Leader { votes, reads })
}

/// Chooses a set of nodes that has this node and at most `most` members.
fn set(choices: &mut impl Choices, size: &Size, start: &Start, most: usize) -> NodeSet {
    let mut set = NodeSet::of(start.me);
    if !size.every_set {
        let count = choices.below(most.min(size.nodes));
        return start.peers[..count].iter().fold(set, |set, &peer| set.with(peer));
    }
    for &peer in &*start.peers {
        if set.count() < most && choices.flip() {
            set = set.with(peer);
        }
    }
    set
}
