//! The checks detect every bug of the catalogue that makes a wrong step. The tests pin the smallest space that shows each such
//! bug, the property that fails first, and the number of steps to its violation. They also pin that some bug violates each
//! property of states. A property that no bug violates would check nothing.
//!
//! A small space has few states of the correct protocol. Two nodes with quorums of different sizes show most bugs.

use expect_test::expect;
use itertools::iproduct;
use paxos_model::cluster::{
    AGREEMENT, BELIEFS, Bounds, Bug, Cluster, HELD, ONE_VALUE, PROMISES_KEPT, READS, REFINES,
    TRIMMED, VALIDITY,
};
use state_explorer::{Explorable as _, Finding, Options, Report, explore};
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

/// A bug, and a space in which the check fails, unless every step of the bug is allowed. Then a property of states that the
/// bug violates even if the specification is not checked, and a space in which it violates the property.
type Row = (Bug, Bounds, Option<(&'static str, Bounds)>);

fn rows() -> Vec<Row> {
    let n1 = |ballots| space([1, 1, ballots, 1]);
    // With two nodes, either all must promise and one vote chooses, or the reverse.
    let all_promise = |ballots, campaigners| quorums(2, 1, space([2, 1, ballots, campaigners]));
    let all_vote = |ballots, campaigners| quorums(1, 2, space([2, 1, ballots, campaigners]));
    let two_slots = quorums(2, 1, space([2, 2, 2, 2]));
    let gap = quorums(1, 2, space([2, 2, 2, 2]));
    let three = |ballots| space([3, 1, ballots, 2]);
    vec![
        (
            Bug::RepliesBeforePersisting,
            unsynced(1, n1(1)),
            Some((AGREEMENT, crash(unsynced(1, n1(2))))),
        ),
        // The client of a ballot asks for the same value again, so a violation of agreement needs a second ballot.
        (Bug::UnreadableIsEmpty, crash(n1(1)), Some((AGREEMENT, crash(all_promise(2, 1))))),
        (Bug::AcceptsBelowPromise, all_promise(2, 2), Some((AGREEMENT, all_vote(2, 2)))),
        (Bug::PromisesBelowPromise, all_promise(2, 1), Some((AGREEMENT, all_vote(2, 2)))),
        // Safe: the step is wrong, but the node keeps its promises.
        (Bug::PromisesBelowKeptPromise, all_promise(2, 1), None),
        // Up to three nodes, agreement is never violated (see below), but a quorum forgets a value that it holds.
        (Bug::AcceptDoesNotPromise, all_vote(1, 1), Some((HELD, crash(all_vote(2, 1))))),
        (Bug::PromiseClearsVotes, crash(n1(2)), Some((AGREEMENT, crash(n1(2))))),
        // The report is wrong at once. Only with three ballots can it have the same ballot as another report.
        (Bug::OneBallotVariable, crash(n1(2)), Some((AGREEMENT, three(3)))),
        (Bug::IgnoresReports, all_promise(2, 2), Some((AGREEMENT, all_promise(2, 2)))),
        (Bug::AdoptsLowest, three(3), Some((AGREEMENT, three(3)))),
        (Bug::CountsOldPromise, all_promise(2, 1), Some((AGREEMENT, all_promise(3, 2)))),
        (
            Bug::CountsPromiseTwice,
            quorums(3, 1, space([3, 1, 1, 1])),
            Some((AGREEMENT, quorums(3, 1, three(2)))),
        ),
        // These bugs give a leader a wrong belief, and its votes stay right. A vote goes only to the owner of its ballot,
        // which proposes the value that it voted for itself. A wrong sum of votes therefore needs a quorum of more than two.
        (
            Bug::CountsVoteTwice,
            quorums(3, 3, space([3, 1, 1, 1])),
            Some((BELIEFS, quorums(3, 3, space([3, 1, 1, 1])))),
        ),
        (
            Bug::AddsUpBallots,
            crash(quorums(1, 3, space([3, 1, 2, 1]))),
            Some((BELIEFS, crash(quorums(1, 3, space([3, 1, 2, 1]))))),
        ),
        (
            Bug::MatchesByValue,
            crash(quorums(1, 3, space([3, 1, 2, 1]))),
            Some((BELIEFS, crash(quorums(1, 3, space([3, 1, 2, 1]))))),
        ),
        // The candidate's own vote is reported, which hides the bug from majorities. The lost promise matters
        // if the candidate needs the promises of all nodes.
        (Bug::ReusesBallot, crash(n1(1)), Some((AGREEMENT, crash(all_promise(3, 2))))),
        (Bug::ChangesValue, space([2, 1, 2, 2]), Some((AGREEMENT, space([2, 1, 2, 2])))),
        (Bug::HalfIsQuorum, all_promise(1, 1), Some((AGREEMENT, all_promise(2, 2)))),
        (Bug::ReportsNothing, crash(n1(2)), Some((AGREEMENT, all_promise(2, 2)))),
        (Bug::HidesOvertakenVotes, all_promise(2, 2), Some((AGREEMENT, all_promise(2, 2)))),
        // A candidate knows the slots that it has trimmed itself, so only another node can be misled.
        (
            Bug::HidesTrimmed,
            snapshots(crash(n1(2))),
            Some((AGREEMENT, snapshots(all_promise(2, 2)))),
        ),
        // A node knows a later slot only from another node.
        (
            Bug::AsksBehindGap,
            Bounds { chosen: true, ..two_slots },
            Some((AGREEMENT, Bounds { chosen: true, ..two_slots })),
        ),
        // Safe, and no step is wrong: the acceptor votes too seldom. Only a test that expects an answer, such as the lockstep,
        // notices the bug. The second bug leaves states stuck, as `stuck.rs` shows.
        (Bug::AcceptsOnlyPromised, three(3), None),
        (Bug::AcceptsOnlyAbovePromise, three(3), None),
        // Safe: the bug sends one message too many, to a leader that ignores it.
        (Bug::PromisesAgain, all_promise(1, 1), None),
        (Bug::ClaimsVote, all_promise(2, 2), Some((AGREEMENT, all_vote(2, 2)))),
        (Bug::FillsGapUnasked, two_slots, Some((AGREEMENT, two_slots))),
        (Bug::AdoptsWholeLog, two_slots, Some((AGREEMENT, two_slots))),
        // The votes of other nodes never contradict the snapshot, because a node that gets it believes it.
        (Bug::TrimsUnchosen, snapshots(all_vote(1, 1)), Some((TRIMMED, snapshots(all_vote(1, 1))))),
        (
            Bug::LeadsBehind,
            snapshots(all_promise(2, 2)),
            Some((AGREEMENT, snapshots(all_promise(2, 2)))),
        ),
        // No specification has reads. A leader is overtaken only if a quorum without it exists.
        (Bug::ReadsUnconfirmed, reads(1, three(2)), Some((READS, reads(1, three(2))))),
        (Bug::ReadsBelowBarrier, reads(1, all_vote(2, 2)), Some((READS, reads(1, all_vote(2, 2))))),
        (Bug::CountsOldConfirmation, reads(2, three(2)), Some((READS, reads(2, three(2))))),
        (Bug::ReadsBelowGap, reads(1, gap), Some((READS, reads(1, gap)))),
        (Bug::ProposesUnprepared, n1(2), Some((AGREEMENT, three(4)))),
        // Safe, like the other two bugs with too few votes.
        (Bug::VotesOnlyOnce, three(3), None),
        // All nodes have to vote, including the owner of the ballot, so the owner cannot get both its values chosen.
        // But the owner takes votes for one value as votes for the other.
        (
            Bug::ProposesTooEarly,
            unsynced(2, n1(1)),
            Some((BELIEFS, crash(unsynced(2, all_vote(2, 2))))),
        ),
        (Bug::CountsOwnVoteEarly, unsynced(1, n1(1)), Some((AGREEMENT, crash(unsynced(1, n1(2)))))),
    ]
}

fn cluster(bounds: Bounds) -> Cluster {
    Cluster::new(bounds).expect("the bounds are good")
}

/// The property that fails first, and the number of steps to its violation.
fn first_failure(report: &Report) -> String {
    let failures = report.properties.iter().filter_map(|property| {
        let found = property.counterexample.as_ref()?;
        assert!(found.shortest);
        Some((found.steps.len() - 1, property.name))
    });
    failures.min_by_key(|(steps, _)| *steps).map_or("nothing".to_owned(), |(steps, name)| {
        assert_eq!(report.verdict, Verdict::Violated);
        format!("{name}, {steps}")
    })
}

#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_bug_is_caught() {
    let mut table = Vec::new();
    let mut seen = Vec::new();
    for (bug, bounds, safety) in rows() {
        seen.push(bug);
        let broken = cluster(bounds).with_bug(bug).checked();
        let found = first_failure(&explore(&broken, &Options::default()));
        table.push(format!("{:2} {bug:?}", bug.number()));
        table.push(format!("   {bounds}: {found}"));
        if let Some((property, bounds)) = safety {
            let broken = cluster(bounds).with_bug(bug).with_only(&[property]).checked();
            let found = first_failure(&explore(&broken, &Options::default()));
            table.push(format!("   {bounds}: {found}"));
        }
    }
    assert_eq!(seen, Bug::ALL);
    expect![[r#"
         1 RepliesBeforePersisting
           1 nodes, 1 slots, 1 ballots, 1 campaigners, 1 unsynced, 0 crashes: promises are kept, 1
           1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 unsynced, 1 crashes: agreement, 7
         2 UnreadableIsEmpty
           1 nodes, 1 slots, 1 ballots, 1 campaigners, 1 crashes: promises are kept, 2
           2 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 2/1, 1 crashes: agreement, 10
         3 AcceptsBelowPromise
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: each step is one of the specification, 6
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes: agreement, 6
         4 PromisesBelowPromise
           2 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 2/1, 0 crashes: promises are kept, 4
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes: agreement, 7
         4 PromisesBelowKeptPromise
           2 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 2/1, 0 crashes: each step is one of the specification, 4
         5 AcceptDoesNotPromise
           2 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 1/2, 0 crashes: promises are kept, 3
           2 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/2, 1 crashes: a quorum holds what is chosen, 6
         6 PromiseClearsVotes
           1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes: a quorum holds what is chosen, 4
           1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes: agreement, 5
         7 OneBallotVariable
           1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes: each step is one of the specification, 4
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: agreement, 14
         8 IgnoresReports
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 8
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 8
         9 AdoptsLowest
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: each step is one of the specification, 12
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: agreement, 14
        10 CountsOldPromise
           2 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 2/1, 0 crashes: each step is one of the specification, 5
           2 nodes, 1 slots, 3 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 9
        11 CountsPromiseTwice
           3 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 3/1, 0 crashes: each step is one of the specification, 5
           3 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 3/1, 0 crashes: agreement, 10
        12 CountsVoteTwice
           3 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 3/3, 0 crashes: what is believed chosen is chosen, 9
           3 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 3/3, 0 crashes: what is believed chosen is chosen, 9
        13 AddsUpBallots
           3 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/3, 1 crashes: what is believed chosen is chosen, 8
           3 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/3, 1 crashes: what is believed chosen is chosen, 8
        14 MatchesByValue
           3 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/3, 1 crashes: what is believed chosen is chosen, 8
           3 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/3, 1 crashes: what is believed chosen is chosen, 8
        15 ReusesBallot
           1 nodes, 1 slots, 1 ballots, 1 campaigners, 1 crashes: promises are kept, 2
           2 nodes, 1 slots, 3 ballots, 2 campaigners, quorums 2/1, 1 crashes: agreement, 11
        16 ChangesValue
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: one value per ballot, 8
           2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
        17 HalfIsQuorum
           2 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 2/1, 0 crashes: each step is one of the specification, 2
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 4
        18 ReportsNothing
           1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes: each step is one of the specification, 4
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 8
        18 HidesOvertakenVotes
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: each step is one of the specification, 7
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 9
        18 HidesTrimmed
           1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes, snapshots: each step is one of the specification, 5
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes, snapshots: agreement, 9
        18 AsksBehindGap
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 8
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 8
        19 AcceptsOnlyPromised
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: nothing
        20 AcceptsOnlyAbovePromise
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: nothing
        21 PromisesAgain
           2 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 2/1, 0 crashes: each step is one of the specification, 6
        22 ClaimsVote
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: each step is one of the specification, 6
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes: agreement, 6
        23 FillsGapUnasked
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 7
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 7
        24 AdoptsWholeLog
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 8
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes: agreement, 8
        25 TrimsUnchosen
           2 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 1/2, 0 crashes, snapshots: what is trimmed is chosen, 3
           2 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 1/2, 0 crashes, snapshots: what is trimmed is chosen, 3
        25 LeadsBehind
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes, snapshots: agreement, 9
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes, snapshots: agreement, 9
        26 ReadsUnconfirmed
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes, 1 reads: a read sees what was known before it, 10
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes, 1 reads: a read sees what was known before it, 10
        26 ReadsBelowBarrier
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes, 1 reads: a read sees what was known before it, 8
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes, 1 reads: a read sees what was known before it, 8
        26 CountsOldConfirmation
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes, 2 reads: a read sees what was known before it, 14
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes, 2 reads: a read sees what was known before it, 14
        26 ReadsBelowGap
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes, 1 reads: a read sees what was known before it, 11
           2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes, 1 reads: a read sees what was known before it, 11
        28 ProposesUnprepared
           1 nodes, 1 slots, 2 ballots, 1 campaigners, 0 crashes: validity, 2
           3 nodes, 1 slots, 4 ballots, 2 campaigners, 0 crashes: agreement, 10
        29 VotesOnlyOnce
           3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: nothing
        30 ProposesTooEarly
           1 nodes, 1 slots, 1 ballots, 1 campaigners, 2 unsynced, 0 crashes: each step is one of the specification, 2
           2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 2 unsynced, 1 crashes: what is believed chosen is chosen, 14
        31 CountsOwnVoteEarly
           1 nodes, 1 slots, 1 ballots, 1 campaigners, 1 unsynced, 0 crashes: a quorum holds what is chosen, 3
           1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 unsynced, 1 crashes: agreement, 7
    "#]].assert_eq(&(table.join("\n") + "\n"));
}

/// No space with fewer than 100 states shows a bug, if it is smaller than the space in the row of that bug.
#[test]
fn nothing_smaller_shows_them() {
    let few = 100;
    let at_most_few = Options { max_states: Some(few), ..Options::default() };
    let mut spaces = Vec::new();
    for (nodes, slots, ballots, campaigners) in iproduct!(1..=3, 1..=2, 1..=3, 1..=2) {
        for (phase1, phase2) in iproduct!(1..=nodes, 1..=nodes) {
            let plain = quorums(phase1, phase2, space([nodes, slots, ballots, campaigners]));
            let waiting = [unsynced(1, plain), unsynced(2, plain)];
            let all = [plain, waiting[0], waiting[1]].into_iter().flat_map(|it| [it, crash(it)]);
            for bounds in all {
                let Ok(cluster) = Cluster::new(bounds) else { continue };
                let report = explore(&cluster.clone().checked(), &at_most_few);
                if report.complete && report.states < few {
                    spaces.push((report.states, cluster));
                }
            }
        }
    }
    let mut compared = 0;
    for (bug, bounds, _) in rows() {
        let Some((row, _)) = spaces.iter().find(|(_, cluster)| *cluster.bounds() == bounds) else {
            continue;
        };
        for (_, cluster) in spaces.iter().filter(|(states, _)| states < row) {
            let report = explore(&cluster.clone().with_bug(bug).checked(), &Options::default());
            assert_eq!(report.verdict, Verdict::Holds, "{bug:?}: {bounds} is larger than {report}");
            compared += 1;
        }
    }
    assert_eq!(spaces.len(), 175, "the number of spaces that were searched");
    assert_eq!(compared, 1172, "the number of comparisons, which grows with each row");
}

/// The first failures with majorities of three nodes, or of five nodes if three do not show the bug.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn majorities_show_most_of_it() {
    let three = |ballots| space([3, 1, ballots, 2]);
    let two_slots = space([3, 2, 2, 2]);
    let rows = [
        (Bug::RepliesBeforePersisting, AGREEMENT, crash(unsynced(1, three(2)))),
        (Bug::UnreadableIsEmpty, AGREEMENT, crash(three(2))),
        (Bug::AcceptsBelowPromise, AGREEMENT, three(2)),
        (Bug::PromisesBelowPromise, AGREEMENT, three(2)),
        (Bug::PromisesBelowKeptPromise, REFINES, three(2)),
        (Bug::AcceptDoesNotPromise, HELD, three(2)),
        (Bug::PromiseClearsVotes, AGREEMENT, three(2)),
        (Bug::OneBallotVariable, AGREEMENT, three(3)),
        (Bug::IgnoresReports, AGREEMENT, three(2)),
        (Bug::AdoptsLowest, AGREEMENT, three(3)),
        (Bug::CountsOldPromise, AGREEMENT, three(3)),
        (Bug::CountsPromiseTwice, REFINES, space([5, 1, 1, 1])),
        (Bug::CountsVoteTwice, BELIEFS, space([5, 1, 1, 1])),
        (Bug::AddsUpBallots, BELIEFS, crash(space([5, 1, 2, 1]))),
        (Bug::MatchesByValue, BELIEFS, crash(space([5, 1, 2, 1]))),
        (Bug::ReusesBallot, PROMISES_KEPT, crash(three(1))),
        (Bug::ChangesValue, AGREEMENT, three(2)),
        (Bug::HalfIsQuorum, AGREEMENT, three(2)),
        (Bug::ReportsNothing, AGREEMENT, three(2)),
        (Bug::HidesOvertakenVotes, AGREEMENT, three(2)),
        (Bug::AsksBehindGap, AGREEMENT, Bounds { chosen: true, ..two_slots }),
        (Bug::PromisesAgain, REFINES, three(1)),
        (Bug::ClaimsVote, AGREEMENT, three(2)),
        (Bug::FillsGapUnasked, AGREEMENT, two_slots),
        (Bug::AdoptsWholeLog, AGREEMENT, two_slots),
        (Bug::ProposesUnprepared, AGREEMENT, three(4)),
        (Bug::CountsOwnVoteEarly, AGREEMENT, crash(unsynced(1, three(2)))),
    ];
    let table = rows.map(|(bug, property, bounds)| {
        let broken = cluster(bounds).with_bug(bug).with_only(&[property]).checked();
        let found = first_failure(&explore(&broken, &Options::default()));
        format!("{:2} {bug:?}: {bounds}: {found}\n", bug.number())
    });
    expect![[r#"
         1 RepliesBeforePersisting: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 1 crashes: agreement, 15
         2 UnreadableIsEmpty: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 crashes: agreement, 11
         3 AcceptsBelowPromise: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
         4 PromisesBelowPromise: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
         4 PromisesBelowKeptPromise: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: each step is one of the specification, 3
         5 AcceptDoesNotPromise: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: a quorum holds what is chosen, 9
         6 PromiseClearsVotes: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
         7 OneBallotVariable: 3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: agreement, 14
         8 IgnoresReports: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
         9 AdoptsLowest: 3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: agreement, 14
        10 CountsOldPromise: 3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: agreement, 11
        11 CountsPromiseTwice: 5 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: each step is one of the specification, 5
        12 CountsVoteTwice: 5 nodes, 1 slots, 1 ballots, 1 campaigners, 0 crashes: what is believed chosen is chosen, 9
        13 AddsUpBallots: 5 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes: what is believed chosen is chosen, 16
        14 MatchesByValue: 5 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes: what is believed chosen is chosen, 16
        15 ReusesBallot: 3 nodes, 1 slots, 1 ballots, 2 campaigners, 1 crashes: promises are kept, 2
        16 ChangesValue: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
        17 HalfIsQuorum: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 6
        18 ReportsNothing: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
        18 HidesOvertakenVotes: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 11
        18 AsksBehindGap: 3 nodes, 2 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 11
        21 PromisesAgain: 3 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: each step is one of the specification, 6
        22 ClaimsVote: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
        23 FillsGapUnasked: 3 nodes, 2 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 9
        24 AdoptsWholeLog: 3 nodes, 2 slots, 2 ballots, 2 campaigners, 0 crashes: agreement, 10
        28 ProposesUnprepared: 3 nodes, 1 slots, 4 ballots, 2 campaigners, 0 crashes: agreement, 10
        31 CountsOwnVoteEarly: 3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 unsynced, 1 crashes: agreement, 17
    "#]].assert_eq(&table.concat());
}

/// Bounds in which a bug never violates a property, because they are too small.
#[test]
fn bounds_that_are_too_small_miss_it() {
    let three = |ballots| space([3, 1, ballots, 2]);
    let two_slots_one_ballot = space([3, 2, 1, 1]);
    let flexible = quorums(2, 1, space([2, 1, 3, 2]));
    let one_leads = quorums(1, 2, space([2, 1, 1, 1]));
    let all = "";
    let rows: &[(Bug, Bounds, &[&'static str])] = &[
        // These bugs need a third ballot.
        (Bug::AdoptsLowest, three(2), &[all]),
        (Bug::OneBallotVariable, three(2), &[AGREEMENT, BELIEFS, PROMISES_KEPT, HELD]),
        (Bug::CountsOldPromise, three(2), &[all]),
        (Bug::CountsOldPromise, space([3, 1, 2, 1]), &[AGREEMENT, BELIEFS, PROMISES_KEPT, HELD]),
        (Bug::AddsUpBallots, three(2), &[all]),
        (Bug::MatchesByValue, three(2), &[all]),
        // One ballot has one client, which asks for one value.
        (Bug::ChangesValue, three(1), &[all]),
        (Bug::UnreadableIsEmpty, crash(three(1)), &[AGREEMENT, VALIDITY, ONE_VALUE]),
        // A single ballot has no earlier votes, and no higher promise.
        (Bug::ReportsNothing, three(1), &[all]),
        (Bug::HidesOvertakenVotes, three(1), &[all]),
        (Bug::ClaimsVote, three(1), &[all]),
        // An unprepared proposal violates the specification at once, and agreement only after a later ballot.
        (Bug::ProposesUnprepared, three(3), &[AGREEMENT, BELIEFS, PROMISES_KEPT, HELD, ONE_VALUE]),
        // With three nodes, a majority needs only one message beside the node's own vote.
        (Bug::CountsPromiseTwice, three(3), &[all]),
        (Bug::CountsVoteTwice, three(3), &[all]),
        (Bug::AddsUpBallots, three(3), &[all]),
        (Bug::MatchesByValue, three(3), &[all]),
        (Bug::CountsPromiseTwice, quorums(1, 3, three(2)), &[all]),
        (Bug::CountsVoteTwice, quorums(3, 1, three(2)), &[all]),
        // The lowered promise fails at once, and the forgotten value later. But with three nodes, every quorum of
        // promises contains a node that voted and reports its vote.
        (Bug::AcceptDoesNotPromise, three(2), &[AGREEMENT, BELIEFS]),
        (Bug::AcceptDoesNotPromise, three(3), &[AGREEMENT, BELIEFS]),
        (Bug::ReusesBallot, crash(three(2)), &[AGREEMENT, BELIEFS, HELD, ONE_VALUE]),
        // Without a crash, no state is lost.
        (Bug::ReusesBallot, three(3), &[all]),
        (Bug::RepliesBeforePersisting, three(3), &[all]),
        (Bug::UnreadableIsEmpty, three(3), &[all]),
        // One slot has no gap, and one ballot has no value to adopt.
        (Bug::FillsGapUnasked, three(3), &[all]),
        (Bug::AsksBehindGap, Bounds { chosen: true, ..three(2) }, &[all]),
        (Bug::AdoptsWholeLog, flexible, &[all]),
        (Bug::FillsGapUnasked, two_slots_one_ballot, &[all]),
        (Bug::AdoptsWholeLog, two_slots_one_ballot, &[all]),
        // A node that needs the promise of another node has already made its own durable.
        (Bug::ProposesTooEarly, crash(unsynced(2, three(2))), &[all]),
        (Bug::ProposesTooEarly, crash(unsynced(2, space([2, 1, 2, 2]))), &[all]),
        // A ballot that is begun again proposes the same value again. One unsynced step is not enough if no vote
        // is reported.
        (
            Bug::ProposesTooEarly,
            crash(unsynced(2, one_leads)),
            &[AGREEMENT, BELIEFS, ONE_VALUE, HELD],
        ),
        (Bug::ProposesTooEarly, crash(unsynced(1, one_leads)), &[all]),
        // If steps are synced at once, no message is early.
        (Bug::ProposesTooEarly, crash(quorums(1, 2, space([2, 1, 2, 2]))), &[all]),
        (Bug::CountsOwnVoteEarly, crash(three(2)), &[all]),
    ];
    for &(bug, bounds, properties) in rows {
        for &property in properties {
            let broken = cluster(bounds).with_bug(bug).checked();
            let broken = if property == all { broken } else { broken.only(property) };
            let report = explore(&broken, &Options::default());
            assert_eq!(report.verdict, Verdict::Holds, "{bug:?} in {bounds}: {property}");
        }
    }
}

/// An acceptor that votes only once violates no property of this search: safety holds, and each `sometimes` property is still seen.
/// The space only has fewer states.
#[test]
fn voting_only_once_is_safe_and_hardly_shows() {
    let bounds = space([3, 1, 3, 2]);
    let right = explore(&cluster(bounds).checked(), &Options::default());
    let wrong =
        explore(&cluster(bounds).with_bug(Bug::VotesOnlyOnce).checked(), &Options::default());
    assert_eq!((right.states, wrong.states), (11_936, 3_348));
    for report in [right, wrong] {
        assert_eq!(report.verdict, Verdict::Holds);
        let never = report.properties.iter().filter(|property| property.finding == Finding::Never);
        assert_eq!(never.count(), 0);
    }
}

/// Some bug violates each property of states in these small spaces.
#[test]
fn every_property_can_fail() {
    let all_promise = quorums(2, 1, space([2, 1, 2, 2]));
    let all_vote = quorums(1, 2, space([2, 1, 2, 2]));
    let rows = [
        (AGREEMENT, Bug::IgnoresReports, all_promise, 8),
        (VALIDITY, Bug::AcceptDoesNotPromise, all_vote, 4),
        (ONE_VALUE, Bug::PromisesBelowPromise, all_vote, 7),
        (PROMISES_KEPT, Bug::ReusesBallot, crash(space([1, 1, 1, 1])), 2),
        (BELIEFS, Bug::HalfIsQuorum, space([2, 1, 1, 1]), 2),
        (HELD, Bug::AcceptsBelowPromise, all_promise, 8),
        (REFINES, Bug::CountsOldPromise, quorums(2, 1, space([2, 1, 2, 1])), 5),
    ];
    for (property, bug, bounds, steps) in rows {
        let broken = cluster(bounds).with_bug(bug).with_only(&[property]).checked();
        let report = explore(&broken, &Options::default());
        assert_eq!(first_failure(&report), format!("{property}, {steps}"), "{bug:?}");
    }
}

/// Without a bug, no property fails in these bounds.
#[test]
fn the_protocol_itself_holds_in_all_these_bounds() {
    let mut spaces = vec![quorums(1, 3, space([3, 1, 2, 2])), crash(space([3, 1, 2, 2]))];
    for (_, bounds, safety) in rows() {
        spaces.extend([Some(bounds), safety.map(|(_, bounds)| bounds)].into_iter().flatten());
    }
    spaces.sort_by_key(|bounds| format!("{bounds:?}"));
    spaces.dedup();
    for bounds in spaces {
        let report = explore(&cluster(bounds).checked(), &Options::default());
        assert_eq!(report.verdict, Verdict::Holds, "{bounds}");
    }
}
