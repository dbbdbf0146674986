//! Every space of the table holds.
//!
//! The spaces come in the order of their cost, and the test stops at the first counterexample. So a fault of the replica is
//! found within a second, unless only a large space shows it. `cargo mutants` depends on this.
//!
//! A debug build checks the small spaces, and small samples. A release build checks the whole table, which takes about a minute
//! of CPU time. The environment variable `PAXOS_STEPS_CASES` sets the most cases of a space in either build. Larger spaces are
//! left out, and samples are shortened.

use std::env;

use paxos_steps::{
    check::Production,
    spaces::{Cases, QUICK, Space},
};
use verdict::{Interrupt, Verdict, memory};

/// The most cases of a space that is checked first, and of each space in a debug build.
const FEW: u64 = 12_000;

/// Returns the space with no more cases than this. Returns none if it has more and is no sample.
fn bounded(space: &Space, most: u64) -> Option<Space> {
    if space.pinned.1 <= most {
        return Some(*space);
    }
    // A case of a sample takes more time than one of an enumeration.
    let few = most / 12;
    let cases = match space.cases {
        Cases::Sample(size, claim, seed, _) => Cases::Sample(size, claim, seed, few),
        Cases::Every(_) | Cases::Lemma(_) | Cases::NodeSets => return None,
    };
    Some(Space { cases, pinned: (few, few), ..*space })
}

/// Returns the most cases of a space.
fn most_cases() -> u64 {
    match env::var("PAXOS_STEPS_CASES") {
        Ok(most) => most.parse().expect("PAXOS_STEPS_CASES is a number"),
        Err(env::VarError::NotPresent) if cfg!(debug_assertions) => FEW,
        Err(env::VarError::NotPresent) => u64::MAX,
        Err(error) => panic!("PAXOS_STEPS_CASES: {error}"),
    }
}

#[test]
fn every_space_holds() {
    // A faulty replica may take more and more memory, and must not stop the machine.
    memory::limit(4 << 30);
    let most = most_cases();
    let mut spaces = Vec::new();
    for most in [FEW.min(most), most] {
        let mut more: Vec<_> = QUICK.iter().filter_map(|space| bounded(space, most)).collect();
        more.retain(|space| !spaces.contains(space));
        more.sort_by_key(Space::cost);
        spaces.extend(more);
    }
    for space in spaces {
        let row = space.check(&Production, &Interrupt::default());
        if let Some(counterexample) = row.counterexample {
            panic!("{}\n{counterexample}", space.shows);
        }
        assert_eq!(row.verdict, Verdict::Holds, "{}", space.shows);
        let found = (row.counts.states, row.counts.cases);
        assert_eq!(found, space.pinned, "{}: the number of states and of cases", space.shows);
    }
}
