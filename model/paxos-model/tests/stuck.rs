//! No state of the correct protocol is stuck. The tests also show that the property can fail, and the bugs that only this
//! property notices.

use expect_test::expect;
use paxos_model::cluster::{Bounds, Bug, Cluster, Harm, NOT_STUCK};
use state_explorer::{Finding, Options, Report, explore};
use verdict::Verdict;

const FREE: &str = "undecided, and a quorum is free";

/// Returns the bounds without crashes, Nacks and Chosen messages.
fn still(bounds: Bounds) -> Bounds {
    Bounds { crashes: Some(0), nacks: false, chosen: false, ..bounds }
}

fn quorums(phase1_quorum: u8, phase2_quorum: u8, bounds: Bounds) -> Bounds {
    Bounds { phase1_quorum, phase2_quorum, ..bounds }
}

fn looked_through(bounds: Bounds, bug: Option<Bug>) -> Report {
    let cluster = Cluster::new(bounds).expect("the bounds are good").with_not_stuck();
    match bug {
        None => explore(&cluster.checked(), &Options::default()),
        Some(bug) => {
            let cluster = cluster.with_bug(bug).with_only(&[NOT_STUCK]);
            explore(&cluster.checked(), &Options::default())
        }
    }
}

fn finding(report: &Report, name: &str) -> Option<Finding> {
    let mut properties = report.properties.iter();
    properties.find(|property| property.name == name).map(|property| property.finding)
}

#[test]
fn the_protocol_is_never_stuck() {
    let spaces = [
        // Three nodes and three ballots, with Nacks, Chosen messages, and any number of crashes.
        Bounds::of(3, 1, 2),
        Bounds { chosen: false, ..Bounds::of(3, 1, 3) },
        still(Bounds { campaigners: 3, ..Bounds::of(3, 1, 3) }),
        // Crashes between a step and its sync.
        Bounds { unsynced: 1, chosen: false, ..Bounds::of(3, 1, 2) },
        Bounds { unsynced: 2, ..Bounds::of(2, 1, 3) },
        quorums(1, 3, Bounds::of(3, 1, 2)),
        quorums(3, 3, Bounds::of(3, 1, 2)),
        // A value in each of two slots, and in each of three.
        still(Bounds::of(3, 2, 2)),
        Bounds { unsynced: 1, ..Bounds::of(2, 2, 2) },
        Bounds::of(2, 3, 1),
        // A node that lacks a trimmed slot can get the snapshot.
        Bounds { snapshots: true, ..Bounds::of(3, 1, 2) },
        Bounds { snapshots: true, unsynced: 1, ..Bounds::of(2, 2, 2) },
        Bounds { snapshots: true, reads: 1, ..Bounds::of(2, 1, 3) },
    ];
    for bounds in spaces {
        let report = looked_through(bounds, None);
        assert_eq!(report.verdict, Verdict::Holds, "{bounds}\n{report}");
        assert_eq!(finding(&report, NOT_STUCK), Some(Finding::Holds), "{bounds}");
        let free = (bounds.ballots > 1).then_some(Finding::Seen);
        assert_eq!(finding(&report, FREE), free, "{bounds}");
    }
    // If one vote chooses a value, no state has undecided votes. The property that looks for one is not reported.
    let report = looked_through(quorums(3, 1, Bounds::of(3, 1, 3)), None);
    assert_eq!(report.verdict, Verdict::Holds);
    assert_eq!(finding(&report, NOT_STUCK), Some(Finding::Holds));
    assert_eq!(finding(&report, FREE), None);
}

#[test]
fn it_is_looked_for_only_where_that_is_asked_for() {
    let cluster = Cluster::new(still(Bounds::of(2, 1, 2))).expect("the bounds are good");
    let report = explore(&cluster.checked(), &Options::default());
    assert_eq!(finding(&report, NOT_STUCK), None);
}

/// Among the safe bugs, the check finds those that leave states stuck.
#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn bugs_that_are_safe_may_be_stuck() {
    let spaces = [
        still(Bounds::of(2, 1, 1)),
        still(Bounds::of(2, 1, 3)),
        still(Bounds::of(3, 1, 2)),
        Bounds { crashes: Some(1), ..still(Bounds::of(3, 1, 2)) },
    ];
    let mut table = Vec::new();
    for &bug in Bug::ALL.iter().filter(|bug| bug.harm() != Harm::Unsafe) {
        table.push(format!("{:2} {bug:?}, {}\n", bug.number(), bug.harm()));
        for bounds in spaces {
            let report = looked_through(bounds, Some(bug));
            let found = match &report.properties[0].counterexample {
                None => report.verdict.to_string(),
                Some(found) => format!("stuck after {} steps", found.steps.len() - 1),
            };
            table.push(format!("   {bounds}: {found}\n"));
        }
    }
    expect![[r#"
         4 PromisesBelowKeptPromise, none
           2 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: holds
           2 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: holds
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: holds
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 crashes: holds
        19 AcceptsOnlyPromised, none
           2 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: holds
           2 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: holds
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: holds
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 crashes: holds
        20 AcceptsOnlyAbovePromise, stuck
           2 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: stuck after 0 steps
           2 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: stuck after 0 steps
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: holds
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 crashes: stuck after 2 steps
        21 PromisesAgain, none
           2 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: holds
           2 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: holds
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: holds
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 crashes: holds
        29 VotesOnlyOnce, stuck
           2 nodes, 1 slots, 1 ballots, 2 campaigners, 0 crashes: holds
           2 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes: stuck after 7 steps
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes: holds
           3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 crashes: holds
    "#]]
    .assert_eq(&table.concat());
}
