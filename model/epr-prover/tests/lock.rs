//! The lock service of the examples: its proof succeeds, and fails without any of the guards.

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

#[test]
fn the_proof_fails_without_any_one_of_the_guards() {
    let guards: Vec<_> = LOCK.lines().filter(|line| line.trim().starts_with("(require")).collect();
    assert_eq!(guards.len(), 6);
    for guard in guards {
        assert_eq!(verdict(&LOCK.replace(guard, "")), Verdict::Violated, "without {guard}");
    }
}
