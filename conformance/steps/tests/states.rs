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
    choices::Every,
    enumeration::{Case, Generator as _},
    inputs::Input,
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

/// The states of one slot and three nodes within the invariant, built from all combinations of parts.
fn built(size: &Size) -> HashSet<State> {
    let config = size.config();
    let (rules, _) = table::rules(&config);
    let (me, peer, other) = (NodeId(2), NodeId(1), NodeId(3));
    // Ballots of votes and reports belong to the first peer. The promise is above them, or one of them.
    let ranks = 0..4_u64;
    let values = [Value::Noop, command(0), command(1)];
    let votes = || {
        let some = iproduct!(1..4_u64, values.clone()).map(Some);
        std::iter::once(None).chain(some).collect_vec()
    };
    let known = || std::iter::once(None).chain(values.clone().map(Some)).collect_vec();
    let sets = || {
        let peers = [peer, other].into_iter().powerset();
        peers.map(|peers| peers.into_iter().fold(NodeSet::of(me), |set, it| set.with(it)))
    };
    let mut states = HashSet::new();
    let mut keep = |live: Live<Unbounded>, (asked, waiting): (Vec<u64>, Vec<u64>)| {
        let node = Node { me, limits: &rules.limits, live: &live };
        if invariant::broken(&node).is_none() {
            states.insert(State { live, asked, waiting });
        }
    };
    for (rank, owner, vote, chosen, trimmed) in
        iproduct!(ranks, [peer, me, other], votes(), known(), 0..2_u64)
    {
        let promised = (rank > 0).then_some((rank, owner));
        let ballot = |rank: u64| {
            let owner =
                if promised.is_some_and(|(promised, _)| promised == rank) { owner } else { peer };
            (rank, owner)
        };
        let reported = if owner == me && rank > 0 { votes() } else { vec![None] };
        for report in reported {
            // No rank is left out, commands appear in order, and rounds are as low as they can be.
            let used = [
                promised.map(|(rank, _)| rank),
                vote.as_ref().map(|it| it.0),
                report.as_ref().map(|it| it.0),
            ];
            let used: HashSet<u64> = used.into_iter().flatten().collect();
            if !(1..=used.len() as u64).all(|rank| used.contains(&rank)) {
                continue;
            }
            // In the order in which the generator names them.
            let named =
                [vote.as_ref().map(|it| &it.1), chosen.as_ref(), report.as_ref().map(|it| &it.1)];
            if !in_order(&named) {
                continue;
            }
            let mut rounds: Vec<Ballot> = Vec::new();
            for rank in 1..=used.len() as u64 {
                let (_, owner) = ballot(rank);
                let round = match rounds.last() {
                    None => 1,
                    Some(last) if owner > last.owner => last.round,
                    Some(last) => last.round + 1,
                };
                rounds.push(Ballot { round, owner });
            }
            let named = |rank: u64| rounds[rank as usize - 1];
            let log = |vote: &Option<(u64, Value)>| {
                let mut log = Log::default();
                let vote = vote.clone().map(|(rank, value)| Vote { ballot: named(rank), value });
                log.put(Slot(0), vote);
                log
            };
            let mut known = Log::default();
            known.put(Slot(0), chosen.clone());
            let acceptor = Acceptor {
                promised: promised.map(|(rank, _)| named(rank)),
                votes: log(&vote),
                trimmed: Slot(trimmed),
            };
            let live = |role| Live { acceptor: acceptor.clone(), role, chosen: known.clone() };
            let none = || (Vec::new(), Vec::new());
            if report.is_none() {
                keep(live(Role::Follower), none());
            }
            if promised.is_none() || owner != me {
                continue;
            }
            for (heard, told) in iproduct!(sets(), 0..3_u64) {
                let reported = log(&report);
                keep(live(Role::Candidate { heard, reported, trimmed: Slot(told) }), none());
            }
            if report.is_some() {
                continue;
            }
            let counted = sets().map(Some).chain([None]).collect_vec();
            let rounds =
                [None].into_iter().chain(iproduct!(sets(), 0..3_u64).map(Some)).collect_vec();
            for (count, barrier, begun, round) in iproduct!(&counted, 0..3_u64, 0..3_u64, &rounds) {
                let mut votes = Log::default();
                votes.put(Slot(0), count.clone().unwrap_or_default());
                let under_way =
                    round.clone().map(|(heard, index)| Round { heard, index: Slot(index) });
                let waiting = if under_way.is_some() { 0..3 } else { 0..1 };
                let asked = if under_way.is_some() { 1..3 } else { 0..1 };
                for (asked, waiting) in iproduct!(asked, waiting) {
                    let reads = Reads {
                        barrier: Slot(barrier),
                        rounds: ReadRound(begun),
                        under_way: under_way.clone(),
                        waits: waiting > 0,
                    };
                    let tokens = ([1, 2][..asked].to_vec(), [3, 4][..waiting].to_vec());
                    keep(live(Role::Leader { votes: votes.clone(), reads }), tokens);
                }
            }
        }
    }
    states
}

/// Returns true if the first command is `v0`, and the next one that is another is `v1`.
fn in_order(named: &[Option<&Value>]) -> bool {
    let mut used = 0;
    named.iter().flatten().all(|value| {
        let number = (0..2).find(|&number| **value == command(number));
        number.is_none_or(|number| {
            let fits = number <= used;
            used = used.max(number + 1);
            fits
        })
    })
}
