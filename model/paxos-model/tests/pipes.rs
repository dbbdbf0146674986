//! Output whose reader is gone, as in `paxos-model … | head -1`: no command panics.
//!
//! A verdict that could not be printed is exit code 3, so that a script does not take it for success.

use std::{
    io::pipe,
    process::{Command, Stdio},
};

/// Returns a pipe whose reader is gone.
fn closed() -> Stdio {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_command_ends_without_a_panic_if_its_reader_is_gone() {
    let cases: &[(&[&str], i32)] = &[
        (&["--help"], 0),
        (&["--colour"], 2),
        (&["prove"], 3),
        (&["prove", "/nowhere/at/all"], 2),
        (&["check", "synod", "--acceptors", "2", "--values", "1", "--ballots", "1"], 3),
        (&["check", "synod", "--acceptors", "2", "--ballots", "1", "--json"], 3),
        (&["mutants", "--show", "1"], 3),
        (&["trace", "/nowhere/at/all"], 2),
    ];
    for (words, code) in cases {
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_paxos-model"));
            command.args(*words).stdin(Stdio::null()).stdout(closed());
            command
        };
        let silent = command().stderr(closed()).status().expect("it runs");
        assert_eq!(silent.code(), Some(*code), "{words:?} with both outputs closed");
        let output = command().stderr(Stdio::piped()).output().expect("it runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{words:?}: {complaint}");
        assert!(!complaint.contains("panicked"), "{words:?}: {complaint}");
    }
}
