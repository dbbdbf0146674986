//! The small spaces of the lockstep hold.
//!
//! The spaces come in the order of their size, and the test stops at the first divergence. So a fault of the replica is found
//! soon, unless only a large space shows it. `cargo mutants` can ask this test (docs/checking.md, "Mutants of the replica").
//!
//! The environment variable `PAXOS_LOCKSTEP_TRANSITIONS` sets the most transitions of a space. `cargo verify` checks all.

use std::env;

use paxos_lockstep::{pairs::Lockstep, spaces::DEFAULT};
use state_explorer::{Options, explore};
use verdict::{Verdict, memory};

/// The most transitions of a space, if the environment does not say otherwise.
const FEW: usize = 400_000;

#[test]
fn the_small_spaces_hold() {
    // A faulty replica may take more and more memory, and must not stop the machine.
    memory::limit(6 << 30);
    let most = match env::var("PAXOS_LOCKSTEP_TRANSITIONS") {
        Ok(most) => most.parse().expect("PAXOS_LOCKSTEP_TRANSITIONS is a number"),
        Err(env::VarError::NotPresent) => FEW,
        Err(error) => panic!("PAXOS_LOCKSTEP_TRANSITIONS: {error}"),
    };
    let mut spaces = DEFAULT.to_vec();
    spaces.retain(|space| space.transitions <= most);
    spaces.sort_by_key(|space| space.transitions);
    assert!(!spaces.is_empty(), "no space has at most {most} transitions");
    for space in spaces {
        let lockstep = Lockstep::new(space.bounds).expect("the bounds are in range");
        let report = explore(&lockstep, &Options::default());
        assert_eq!(report.verdict, Verdict::Holds, "{}:\n{report}", space.bounds.title("lockstep"));
        let counted = (report.states, report.transitions);
        assert_eq!(
            counted,
            (space.states, space.transitions),
            "{}",
            space.bounds.title("lockstep")
        );
    }
}
