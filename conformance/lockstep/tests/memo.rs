//! A lockstep that remembers its comparisons has the same counts and the same verdict as a lockstep that compares every step.
//!
//! `mutants.rs` shows the same for a lockstep that ends in a difference.

use paxos_lockstep::{memo::Memo, pairs::Lockstep};
use paxos_model::cluster::Bounds;
use state_explorer::{Options, Report, explore};
use verdict::Verdict;

/// Spaces that together have every kind of step.
fn spaces() -> Vec<Bounds> {
    let two = Bounds::of(2, 1, 2);
    vec![
        Bounds::of(3, 1, 2),
        Bounds { unsynced: 2, ..Bounds::of(3, 1, 1) },
        Bounds { unsynced: 2, phase1_quorum: 1, ..two },
        Bounds { unsynced: 1, ..Bounds::of(2, 2, 1) },
        Bounds { crashes: Some(1), ..Bounds::of(2, 3, 1) },
        Bounds { snapshots: true, unsynced: 1, crashes: Some(1), ..two },
        Bounds { reads: 1, phase1_quorum: 1, ..Bounds::of(2, 2, 1) },
        Bounds { reads: 2, snapshots: true, ..Bounds::of(2, 1, 1) },
    ]
}

/// Explores a space with a memo of some size. Returns the report and the number of steps that were compared.
fn run(bounds: Bounds, remembered_max: usize) -> (Report, usize) {
    let pairs = Lockstep::new(bounds).expect("the bounds are good");
    let pairs = pairs.with_memo(Memo::new(remembered_max));
    let report = explore(&pairs, &Options::default());
    (report, pairs.memo().steps())
}

#[test]
fn a_memo_of_any_size_changes_no_count_and_no_verdict() {
    let mut kinds = std::collections::BTreeSet::new();
    for bounds in spaces() {
        let (all, steps) = run(bounds, 0);
        assert_eq!(all.verdict, Verdict::Holds, "{bounds}\n{all}");
        assert_eq!(steps, all.transitions, "{bounds}: without a memo each transition is compared");
        kinds.extend(all.actions.iter().filter(|(_, taken)| **taken > 0).map(|(kind, _)| *kind));
        for remembered_max in [50, usize::MAX] {
            let (some, compared) = run(bounds, remembered_max);
            assert!(compared < steps, "{bounds}: {compared} of {steps}");
            assert_eq!(some.verdict, all.verdict, "{bounds}\n{some}");
            assert_eq!(
                (some.states, some.transitions, some.depth, &some.actions),
                (all.states, all.transitions, all.depth, &all.actions),
                "{bounds}"
            );
        }
    }
    assert_eq!(kinds.len(), 14, "only these kinds of steps were taken: {kinds:?}");
}
