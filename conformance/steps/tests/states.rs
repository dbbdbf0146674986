//! The generator of states gives every state within the invariant, and none twice. Here the states are counted in another way:
//! all states of a small size are built without a thought for the invariant, and those that break it are dropped.

use std::collections::HashSet;

use itertools::{Itertools as _, iproduct};
use paxos_model::cluster::node::{
    invariant::{self, Node},
    state::{Acceptor, Live, Reads, Role, Round, Vote},
    unbounded::{Ballot, Log, NodeId, NodeSet, ReadRound, Slot, Unbounded, Value},
    universe::{Set as _, SlotMap as _},
};
use paxos_steps::{
    case::{Case, Generator as _, Input},
    choices::Every,
    renaming::Renaming,
    spaces::{Cases, QUICK},
    states::Size,
    table::{self, State},
    values::command,
};

/// Returns the size of the space of one slot and three nodes, and its pinned number of states.
fn one_slot() -> (Size, u64) {
    let space = QUICK.iter().find(|space| space.shows == "one slot of three nodes");
    let space = space.expect("the table has it");
    match space.cases {
        Cases::Every(size) => (size, space.pinned.0),
        _ => unreachable!("it is an enumeration"),
    }
}

/// The generated states, with the lowest ballots in the same order.
fn generated(size: &Size) -> Vec<State> {
    let config = size.config();
    let mut every = Every::default();
    let mut states = Vec::new();
    loop {
        if let Some(start) = size.start(&mut every, &config) {
            let case = Case { start, input: Input::Crash };
            states.push(Renaming::lowest(&case).state(&case.start.state));
        }
        if !every.advance() {
            return states;
        }
    }
}

#[test]
fn every_state_is_generated_once() {
    let (size, pinned) = one_slot();
    let states = generated(&size);
    let distinct: HashSet<_> = states.iter().collect();
    assert_eq!((states.len(), distinct.len() as u64), (pinned as usize, pinned));
    let built = built(&size);
    let missing: Vec<_> = built.iter().filter(|state| !distinct.contains(state)).collect();
    assert!(missing.is_empty(), "{} are not generated: {:#?}", missing.len(), missing.first());
    assert_eq!(built.len(), distinct.len());
}

const ME: NodeId = NodeId(2);
const PEER: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(3);

/// A vote or a report: the rank of its ballot, and its value.
type Ranked = Option<(u64, Value)>;

/// The parts of a state of one slot that have ballots or values.
struct Parts {
    promised: Option<(u64, NodeId)>,
    vote: Ranked,
    report: Ranked,
    chosen: Option<Value>,
    trimmed: u64,
}

/// The states of one slot and three nodes within the invariant, built from all combinations of parts.
fn built(size: &Size) -> HashSet<State> {
    let (rules, _) = table::rules(&size.config());
    let values = [Value::Noop, command(0), command(1)];
    let votes = iproduct!(1..4_u64, values.clone()).map(Some);
    let votes: Vec<Ranked> = [None].into_iter().chain(votes).collect();
    let known = [None].into_iter().chain(values.map(Some)).collect_vec();
    let promises = iproduct!(1..4_u64, [PEER, ME, OTHER]).map(Some);
    let promises = [None].into_iter().chain(promises).collect_vec();
    let mut states = HashSet::new();
    for (promised, vote, report, chosen, trimmed) in
        iproduct!(&promises, &votes, &votes, &known, 0..2_u64)
    {
        let (vote, report, chosen) = (vote.clone(), report.clone(), chosen.clone());
        let parts = Parts { promised: *promised, vote, report, chosen, trimmed };
        let Some(ballots) = parts.ballots() else { continue };
        states.extend(parts.states(&ballots));
    }
    states.retain(|state| {
        let node = Node { me: ME, limits: &rules.limits, live: &state.live };
        invariant::broken(&node).is_none()
    });
    states
}

fn sets() -> impl Iterator<Item = NodeSet> + Clone {
    let peers = [PEER, OTHER].into_iter().powerset();
    peers.map(|peers| peers.into_iter().fold(NodeSet::of(ME), |set, peer| set.with(peer)))
}

impl Parts {
    /// Returns the ballots by rank, in the lowest rounds. Returns none if a rank is left out, or if the commands are not named in
    /// the order in which the generator names them: there is another state that differs only in names.
    fn ballots(&self) -> Option<Vec<Ballot>> {
        let Self { promised, vote, report, chosen, .. } = self;
        let rank = |vote: &Ranked| vote.as_ref().map(|(rank, _)| *rank);
        let used = [promised.map(|(rank, _)| rank), rank(vote), rank(report)];
        let used: HashSet<u64> = used.into_iter().flatten().collect();
        let value = |vote: &Ranked| vote.as_ref().map(|(_, value)| value.clone());
        let lowest = (1..=used.len() as u64).all(|rank| used.contains(&rank))
            && in_order(&[value(vote), chosen.clone(), value(report)]);
        let mut ballots: Vec<Ballot> = Vec::new();
        for rank in 1..=used.len() as u64 {
            // Ballots of votes and reports belong to the first peer, unless they are the promised one.
            let owner = promised.filter(|(promised, _)| *promised == rank);
            let owner = owner.map_or(PEER, |(_, owner)| owner);
            let round = match ballots.last() {
                None => 1,
                Some(last) if owner > last.owner => last.round,
                Some(last) => last.round + 1,
            };
            ballots.push(Ballot { round, owner });
        }
        lowest.then_some(ballots)
    }

    /// Returns the states in all roles that have a place for these parts.
    fn states(&self, ballots: &[Ballot]) -> Vec<State> {
        let ballot = |rank: u64| ballots[rank as usize - 1];
        let log = |vote: &Ranked| {
            let vote = vote.clone().map(|(rank, value)| Vote { ballot: ballot(rank), value });
            let mut log = Log::default();
            log.put(Slot(0), vote);
            log
        };
        let mut chosen = Log::default();
        chosen.put(Slot(0), self.chosen.clone());
        let promised = self.promised.map(|(rank, _)| ballot(rank));
        let acceptor = Acceptor { promised, votes: log(&self.vote), trimmed: Slot(self.trimmed) };
        let live = |role| Live { acceptor: acceptor.clone(), role, chosen: chosen.clone() };
        let mut states = Vec::new();
        if self.report.is_none() {
            states.push(State::of(live(Role::Follower)));
            states.extend(leaders().map(|(role, asked, waiting)| {
                let (asked, waiting) = ([1, 2][..asked].to_vec(), [3, 4][..waiting].to_vec());
                State { live: live(role), asked, waiting }
            }));
        }
        states.extend(iproduct!(0..3_u64, sets(), 0..3_u64).map(|(first, heard, told)| {
            let (first, reported, trimmed) = (Slot(first), log(&self.report), Slot(told));
            State::of(live(Role::Candidate { first, heard, reported, trimmed }))
        }));
        states
    }
}

/// Returns all leaders, with the numbers of their reads: of the round that is under way, and of the next one.
fn leaders() -> impl Iterator<Item = (Role<Unbounded>, usize, usize)> {
    let counted = sets().map(Some).chain([None]).collect_vec();
    let rounds = iproduct!(sets(), 0..3_u64).map(Some);
    let rounds = [None].into_iter().chain(rounds).collect_vec();
    iproduct!(counted, 0..3_u64, 0..3_u64, rounds, 0..3_usize, 0..3_usize)
        .filter(|(.., round, asked, waiting)| match round {
            None => (*asked, *waiting) == (0, 0),
            Some(_) => *asked > 0,
        })
        .map(|(count, barrier, begun, round, asked, waiting)| {
            let mut votes = Log::default();
            votes.put(Slot(0), count.unwrap_or_default());
            let under_way = round.map(|(heard, index)| Round { heard, index: Slot(index) });
            let (barrier, rounds) = (Slot(barrier), ReadRound(begun));
            let reads = Reads { barrier, rounds, under_way, waits: waiting > 0 };
            (Role::Leader { votes, reads }, asked, waiting)
        })
}

/// Returns true if the first command is `v0`, and the next one that is another is `v1`.
fn in_order(named: &[Option<Value>]) -> bool {
    let mut used = 0;
    named.iter().flatten().all(|value| {
        let number = (0..2).find(|&number| *value == command(number));
        number.is_none_or(|number| {
            let fits = number <= used;
            used = used.max(number + 1);
            fits
        })
    })
}
