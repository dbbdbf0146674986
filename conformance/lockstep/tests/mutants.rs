//! The lockstep finds every mutant of the production replica, in the smallest spaces that have room for its bug. The table
//! pins the length of the path and the part that differs.

use expect_test::expect;
use paxos_lockstep::{
    memo::Memo,
    mutants::TestedReplica,
    pairs::{LOCKSTEP, Lockstep},
};
use paxos_model::cluster::{AGREEMENT, Bounds, Bug, Cluster};
use state_explorer::{Options, Report, explore};
use verdict::Verdict;

/// Returns bounds with these numbers of nodes, slots, ballots and campaigners, without crashes, Nacks and Chosen messages.
fn space([nodes, slots, ballots, campaigners]: [u8; 4]) -> Bounds {
    let crashes = Some(0);
    let base = Bounds::of(nodes, slots, ballots);
    Bounds { campaigners, crashes, nacks: false, chosen: false, ..base }
}

fn quorums(phase1_quorum: u8, phase2_quorum: u8, bounds: Bounds) -> Bounds {
    Bounds { phase1_quorum, phase2_quorum, ..bounds }
}

fn crash(bounds: Bounds) -> Bounds {
    Bounds { crashes: Some(1), ..bounds }
}

fn unsynced(unsynced: u8, bounds: Bounds) -> Bounds {
    Bounds { unsynced, ..bounds }
}

fn snapshots(bounds: Bounds) -> Bounds {
    Bounds { snapshots: true, ..bounds }
}

fn reads(reads: u8, bounds: Bounds) -> Bounds {
    Bounds { reads, ..bounds }
}

fn three(ballots: u8) -> Bounds {
    space([3, 1, ballots, 2])
}

/// Each bug with the spaces in which its mutant must be found.
fn rows() -> Vec<(Bug, Vec<Bounds>)> {
    let two_slots = space([3, 2, 2, 2]);
    let two = |ballots, campaigners| space([2, 1, ballots, campaigners]);
    vec![
        (Bug::RepliesBeforePersisting, vec![two(1, 1), three(1), unsynced(1, three(1))]),
        (Bug::UnreadableIsEmpty, vec![crash(two(1, 1)), crash(three(1))]),
        (Bug::AcceptsBelowPromise, vec![two(2, 2), three(2)]),
        (Bug::PromisesBelowPromise, vec![two(2, 2), three(2)]),
        (Bug::PromisesBelowKeptPromise, vec![two(2, 2), three(2)]),
        (Bug::AcceptDoesNotPromise, vec![three(2)]),
        (Bug::PromiseClearsVotes, vec![two(2, 2), three(2)]),
        (Bug::OneBallotVariable, vec![two(2, 2), three(2)]),
        (Bug::IgnoresReports, vec![two(2, 2), three(2)]),
        (Bug::AdoptsLowest, vec![three(3)]),
        (Bug::CountsOldPromise, vec![two(2, 1), space([3, 1, 2, 1])]),
        (Bug::CountsPromiseTwice, vec![quorums(3, 1, space([3, 1, 1, 1])), space([5, 1, 1, 1])]),
        (Bug::CountsVoteTwice, vec![quorums(1, 3, space([3, 1, 1, 1])), space([5, 1, 1, 1])]),
        (Bug::AddsUpBallots, vec![crash(two(2, 1)), three(3)]),
        (Bug::MatchesByValue, vec![crash(two(2, 1)), three(3)]),
        (Bug::ReusesBallot, vec![crash(two(1, 1)), crash(three(1))]),
        (Bug::ChangesValue, vec![space([2, 2, 1, 1]), two_slots]),
        (Bug::HalfIsQuorum, vec![two(1, 1), three(1), space([4, 1, 1, 1])]),
        (Bug::ReportsNothing, vec![two(2, 2), three(2)]),
        (Bug::HidesOvertakenVotes, vec![two(2, 2), three(2)]),
        (Bug::HidesTrimmed, vec![snapshots(two(2, 2)), snapshots(three(2))]),
        (Bug::AsksBehindGap, vec![Bounds { chosen: true, ..quorums(2, 1, space([2, 2, 2, 2])) }]),
        (Bug::AcceptsOnlyPromised, vec![two(1, 1), three(1)]),
        (Bug::AcceptsOnlyAbovePromise, vec![two(1, 1), three(1)]),
        (Bug::PromisesAgain, vec![two(1, 1), three(1)]),
        (Bug::ClaimsVote, vec![two(2, 2), three(2)]),
        (Bug::FillsGapUnasked, vec![two_slots]),
        (Bug::AdoptsWholeLog, vec![two_slots]),
        (Bug::TrimsUnchosen, vec![snapshots(two(1, 1)), snapshots(three(1))]),
        (Bug::LeadsBehind, vec![snapshots(quorums(2, 1, two(2, 2)))]),
        (Bug::ReadsUnconfirmed, vec![reads(1, two(1, 1)), reads(1, three(1))]),
        (Bug::ReadsBelowBarrier, vec![reads(1, quorums(1, 2, two(2, 2)))]),
        (Bug::CountsOldConfirmation, vec![reads(2, two(1, 1))]),
        (Bug::ReadsBelowGap, vec![reads(1, quorums(1, 2, space([2, 2, 2, 2])))]),
        (Bug::ProposesUnprepared, vec![two(1, 1), three(1)]),
        (Bug::VotesOnlyOnce, vec![two(1, 1), three(1)]),
        (
            Bug::ProposesTooEarly,
            vec![
                unsynced(2, quorums(1, 2, two(1, 1))),
                crash(unsynced(1, quorums(1, 2, two(2, 1)))),
                unsynced(2, quorums(1, 3, three(1))),
            ],
        ),
        (
            Bug::CountsOwnVoteEarly,
            vec![
                unsynced(1, quorums(2, 1, two(1, 1))),
                unsynced(1, two(1, 1)),
                unsynced(1, three(1)),
            ],
        ),
    ]
}

/// Spaces in which a mutant behaves like the replica.
fn misses() -> Vec<(Bug, Bounds)> {
    vec![
        // A single ballot has no ballot below it or after it.
        (Bug::AcceptsBelowPromise, three(1)),
        (Bug::PromisesBelowPromise, three(1)),
        (Bug::AcceptDoesNotPromise, three(1)),
        (Bug::PromiseClearsVotes, three(1)),
        (Bug::PromisesBelowKeptPromise, three(1)),
        (Bug::OneBallotVariable, three(1)),
        (Bug::IgnoresReports, three(1)),
        (Bug::ReportsNothing, three(1)),
        (Bug::HidesOvertakenVotes, three(1)),
        (Bug::ClaimsVote, three(1)),
        // The record of a vote is also a promise, so this bug shows only for a lower ballot. With two nodes, both promise a
        // ballot before they vote in it.
        (Bug::AcceptDoesNotPromise, space([2, 1, 2, 2])),
        // Two different reports need two ballots before the ballot that reads them.
        (Bug::AdoptsLowest, three(2)),
        // A second ballot of the same node needs a third ballot.
        (Bug::CountsOldPromise, three(2)),
        (Bug::AddsUpBallots, three(2)),
        (Bug::MatchesByValue, three(2)),
        // A second request needs a second slot.
        (Bug::ChangesValue, three(2)),
        // A majority of three needs only one message.
        (Bug::CountsPromiseTwice, three(2)),
        (Bug::CountsVoteTwice, three(2)),
        // Without a crash, no node recovers.
        (Bug::ReusesBallot, three(2)),
        (Bug::UnreadableIsEmpty, three(2)),
        // A candidate that is a quorum of promises by itself hears of no trimmed slots.
        (Bug::LeadsBehind, snapshots(quorums(1, 2, space([2, 1, 2, 2])))),
        // The first leader gets no reports, and a single round has no older round.
        (Bug::ReadsBelowBarrier, reads(1, three(1))),
        (Bug::CountsOldConfirmation, reads(1, three(1))),
        // A log of one slot has no gap, and is a whole log.
        (Bug::ReadsBelowGap, reads(1, space([2, 1, 2, 2]))),
        (Bug::AsksBehindGap, Bounds { chosen: true, ..three(2) }),
        (Bug::FillsGapUnasked, three(2)),
        (Bug::AdoptsWholeLog, three(2)),
        (Bug::FillsGapUnasked, space([3, 2, 1, 1])),
        (Bug::AdoptsWholeLog, space([3, 2, 1, 1])),
        // A candidate that needs the promise of another node has already made its own promise durable.
        (Bug::ProposesTooEarly, unsynced(2, three(2))),
        // If each step is synced at once, no message is early.
        (Bug::ProposesTooEarly, crash(quorums(1, 2, space([2, 1, 2, 1])))),
        (Bug::CountsOwnVoteEarly, three(2)),
    ]
}

fn lockstep(bounds: Bounds) -> Lockstep {
    Lockstep::new(bounds).expect("the bounds are good")
}

/// The part that differs first, and the number of steps to it.
fn first_difference(report: &Report) -> String {
    let [property] = &report.properties[..] else { panic!("one property") };
    assert_eq!(property.name, LOCKSTEP);
    let Some(found) = &property.counterexample else { return format!("{}", report.verdict) };
    assert!(found.shortest);
    let last = found.steps.last().expect("a path has a state");
    let (_, difference) = last.state.split_once("DIVERGED: ").expect("it ends where they differ");
    let (first_line, _) = difference.split_once('\n').expect("what both have follows");
    let (_, field) = first_line.split_once(" differs in ").expect("it says in what");
    format!("{field}, {}", found.steps.len() - 1)
}

#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn every_mutant_is_found() {
    let mut table = Vec::new();
    let mut seen = Vec::new();
    for (bug, spaces) in rows() {
        seen.push(bug);
        table.push(format!("{:2} {bug:?}", bug.number()));
        for bounds in spaces {
            let pairs = lockstep(bounds).with_mutant(bug);
            let difference = first_difference(&explore(&pairs, &Options::default()));
            let unremembered = explore(&pairs.with_memo(Memo::new(0)), &Options::default());
            assert_eq!(difference, first_difference(&unremembered), "{bug:?} without a memo");
            table.push(format!("   {bounds}: {difference}"));
        }
    }
    assert_eq!(seen, Bug::ALL);
    expect![[r#"
         1 RepliesBeforePersisting
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: records, 1
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: records, 1
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 1 unsynced, 0 crashes: records, 1
         2 UnreadableIsEmpty
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 1 crashes: promised, 2
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 1 crashes: promised, 2
         3 AcceptsBelowPromise
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: state after an ignored input, 6
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: state after an ignored input, 6
         4 PromisesBelowPromise
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: state after an ignored input, 3
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: state after an ignored input, 3
         4 PromisesBelowKeptPromise
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 3
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 3
         5 AcceptDoesNotPromise
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: state after an ignored input, 7
         6 PromiseClearsVotes
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: votes, 6
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: votes, 6
         7 OneBallotVariable
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: votes, 6
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: votes, 6
         8 IgnoresReports
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: votes, 7
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: votes, 7
         9 AdoptsLowest
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: votes, 12
        10 CountsOldPromise
           2 nodes, 1 slots, 2 ballots, 1 campaigners, 0 crashes: state after an ignored input, 4
           3 nodes, 1 slots, 2 ballots, 1 campaigners, 0 crashes: state after an ignored input, 4
        11 CountsPromiseTwice
           3 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 3/1, 0 crashes: state after an ignored input, 4
           5 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: state after an ignored input, 4
        12 CountsVoteTwice
           3 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 1/3, 0 crashes: state after an ignored input, 5
           5 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: state after an ignored input, 9
        13 AddsUpBallots
           2 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes: state after an ignored input, 10
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: state after an ignored input, 11
        14 MatchesByValue
           2 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes: state after an ignored input, 10
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: state after an ignored input, 11
        15 ReusesBallot
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 1 crashes: promised, 2
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 1 crashes: promised, 2
        16 ChangesValue
           2 nodes, 2 slots, 1 ballots, 1 campaigners, 0 crashes: messages, 5
           3 nodes, 2 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 5
        17 HalfIsQuorum
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: role, 1
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: role, 1
           4 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: role, 3
        18 ReportsNothing
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 6
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 6
        18 HidesOvertakenVotes
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 7
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 7
        18 HidesTrimmed
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes, snapshots: messages, 7
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes, snapshots: messages, 7
        18 AsksBehindGap
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: messages, 6
        19 AcceptsOnlyPromised
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: input that must have an effect, 1
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: input that must have an effect, 1
        20 AcceptsOnlyAbovePromise
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: votes, 5
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: votes, 5
        21 PromisesAgain
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: messages, 6
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: messages, 6
        22 ClaimsVote
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 6
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: messages, 6
        23 FillsGapUnasked
           3 nodes, 2 slots, 2 ballots, 2 campaigners, 0 crashes: votes, 7
        24 AdoptsWholeLog
           3 nodes, 2 slots, 2 ballots, 2 campaigners, 0 crashes: votes, 8
        25 TrimsUnchosen
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes, snapshots: trimmed, 5
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes, snapshots: trimmed, 5
        25 LeadsBehind
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes, snapshots: role, 8
        26 ReadsUnconfirmed
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes, 1 reads: effect of two reads, 3
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes, 1 reads: effect of two reads, 3
        26 ReadsBelowBarrier
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes, 1 reads: answered reads, 7
        26 CountsOldConfirmation
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes, 2 reads: state after an ignored input, 8
        26 ReadsBelowGap
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes, 1 reads: answered reads, 7
        28 ProposesUnprepared
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: messages, 4
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: messages, 4
        29 VotesOnlyOnce
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: messages, 6
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: messages, 6
        30 ProposesTooEarly
           2 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 1/2, 2 unsynced, 0 crashes: messages that leave before the sync, 2
           2 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/2, 1 unsynced, 1 crashes: messages that leave before the sync, 6
           3 nodes, 1 slots, 1 ballots, 2 campaigners, quorums 1/3, 2 unsynced, 0 crashes: messages that leave before the sync, 2
        31 CountsOwnVoteEarly
           2 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 2/1, 1 unsynced, 0 crashes: messages that leave before the sync, 6
           2 nodes, 1 slots, 1 ballots, 1 campaigners, 1 unsynced, 0 crashes: messages that leave before the sync, 9
           3 nodes, 1 slots, 1 ballots, 2 campaigners, 1 unsynced, 0 crashes: messages that leave before the sync, 9
    "#]].assert_eq(&(table.join("\n") + "\n"));
}

#[test]
fn bounds_that_are_too_small_miss_it() {
    for (bug, bounds) in misses() {
        let report = explore(&lockstep(bounds).with_mutant(bug), &Options::default());
        assert_eq!(report.verdict, Verdict::Holds, "{bug:?} in {bounds}\n{report}");
    }
}

/// The production replica agrees with the model in each of these spaces, and there is one pair for each state of the model.
#[test]
fn the_replica_itself_holds_in_all_these_bounds() {
    let mut spaces: Vec<_> = rows().into_iter().flat_map(|(_, spaces)| spaces).collect();
    spaces.extend(misses().into_iter().map(|(_, bounds)| bounds));
    // These spaces have every kind of fault.
    spaces.push(Bounds { unsynced: 1, ..Bounds::of(3, 1, 1) });
    spaces.push(Bounds::of(3, 1, 2));
    spaces.sort_by_key(|bounds| format!("{bounds:?}"));
    spaces.dedup();
    for bounds in spaces {
        let pairs = explore(&lockstep(bounds), &Options::default());
        assert_eq!(pairs.verdict, Verdict::Holds, "{bounds}\n{pairs}");
        let cluster = Cluster::new(bounds).expect("the bounds are good");
        let cluster = cluster.with_only(&[AGREEMENT]).checked();
        let states = explore(&cluster, &Options::default());
        assert_eq!(
            (pairs.states, pairs.transitions, pairs.depth, pairs.actions),
            (states.states, states.transitions, states.depth, states.actions),
            "{bounds}"
        );
    }
}

/// Without a bug, a [`TestedReplica`] behaves exactly like the production replica.
#[test]
fn without_a_bug_it_is_the_production_replica() {
    use paxos::{Config, Event, NodeId, Output, Replica, Timer};
    let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
    let mut tested = TestedReplica::new(config.clone(), None).expect("the configuration is good");
    let mut replica = Replica::new(config).expect("the configuration is good");
    let (mut of_tested, mut of_replica) = (Output::default(), Output::default());
    for _ in 0..2 {
        tested.step(Event::Timer(Timer::Campaign), &mut of_tested);
        replica.step(Event::Timer(Timer::Campaign), &mut of_replica);
    }
    assert_eq!(tested.production(), &replica);
    assert_eq!(of_tested, of_replica);
}
