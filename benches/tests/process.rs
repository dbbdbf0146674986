//! Children are measured without the measuring process, and are killed at the time limit.
#![cfg(unix)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use paxos_benches::process::{ProcessError, run};

#[test]
fn a_child_that_does_not_end_is_killed() {
    let started = Instant::now();
    let outcome = run(Command::new("sleep").arg("60"), Duration::from_millis(50));
    assert!(matches!(outcome, Err(ProcessError::TooLong { .. })), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn work_is_measured_and_waiting_is_not() {
    let cpu = |script| {
        let measured = run(Command::new("sh").args(["-c", script]), Duration::from_mins(1));
        measured.expect("there is a shell").cpu
    };
    let waiting = cpu("sleep 0.3");
    let work = cpu("i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done");
    let of_a_child = cpu("sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done'; true");
    assert!(waiting < Duration::from_millis(100), "{waiting:?}");
    assert!(work > 2 * waiting, "{work:?} and {waiting:?}");
    assert!(of_a_child > 2 * waiting, "{of_a_child:?} and {waiting:?}");
}

#[test]
fn a_failed_program_is_distinguished_from_a_missing_one() {
    let limit = Duration::from_mins(1);
    let failed = run(Command::new("sh").args(["-c", "echo why; exit 3"]), limit).expect("it ran");
    assert_eq!((failed.status.code(), failed.stdout.as_str()), (Some(3), "why\n"));
    let missing = run(&mut Command::new("no-such-program-as-this"), limit);
    assert!(missing.is_err_and(|error| error.is_missing()));
}
