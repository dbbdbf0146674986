//! Bug 44 of the catalogue, "trims what is not applied": only a state machine shows its harm.
//!
//! The machine of a broken node takes a command for applied before it is, so that the snapshot behind which the node
//! trims its log lacks the command. The log of a broken node begins where that of a right node begins, and each entry
//! that is trimmed is chosen. So the protocol and everything that is compared with it see nothing wrong. The state
//! that the node has after a restart lacks the command. The simulation compares the states of all nodes with each
//! other, and each read with what was acknowledged before it.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::{Simulation, Unapplied};

/// Has enough applied for several snapshots, and starts a node again.
fn restarted(unapplied: Unapplied) -> Simulation {
    let mut simulation = Simulation::with_machines(1, 3, unapplied);
    simulation.run(Duration::from_secs(1));
    let leader = simulation.leaders()[0];
    for _ in 0..100 {
        simulation.propose(leader);
        simulation.run(Duration::from_millis(10));
    }
    simulation.run(Duration::from_secs(1));
    assert_eq!(simulation.acknowledged.len(), 100);
    let ledgers = simulation.ledgers();
    assert!(ledgers.values().all(|ledger| ledger.len() == 100), "all is well before a restart");
    let follower = *simulation.up().iter().find(|id| **id != leader).expect("there are two");
    simulation.crash(follower);
    simulation.start(follower);
    simulation
}

fn said(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().map(ToString::to_string);
    said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[test]
fn a_node_that_trims_what_it_has_not_applied_is_seen_after_a_restart() {
    restarted(Unapplied(0)).calm_down();
    let mut broken = restarted(Unapplied(1));
    let seen = catch_unwind(AssertUnwindSafe(|| broken.calm_down())).expect_err("it is broken");
    let said = said(&*seen);
    let sees = ["all states end equal", "a read has missed what was acknowledged before it"];
    assert!(sees.contains(&said.as_str()), "{said}");
}
