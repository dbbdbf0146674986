//! The example: a lock service, and what its proof needs.

use std::time::Duration;

use epr_prover::{prove, prover::Prover, read};
use verdict::Verdict;

const LOCK: &str = include_str!("../examples/lock.epr");

fn verdict(text: &str) -> Verdict {
    let specification = read("lock.epr", text).unwrap_or_else(|error| panic!("{error}"));
    prove(&[specification], &Prover::Builtin, Duration::from_mins(10), |_| ()).verdict
}

#[test]
fn the_lock_service_is_proved() {
    assert_eq!(verdict(LOCK), Verdict::Holds);
}

/// Without any one of its guards the proof fails.
#[test]
fn each_guard_is_needed() {
    let guards: Vec<_> = LOCK.lines().filter(|line| line.trim().starts_with("(require")).collect();
    assert_eq!(guards.len(), 6);
    for guard in guards {
        assert_eq!(verdict(&LOCK.replace(guard, "")), Verdict::Violated, "without {guard}");
    }
}
