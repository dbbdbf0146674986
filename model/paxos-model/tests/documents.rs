//! The commands of `paxos-model` in the documents do what the documents say, and the pictures there are current.
//!
//! `UPDATE_EXPECT=1 cargo test -p paxos-model --test documents` draws the pictures again.

#[path = "support/documents.rs"]
mod support;

use support::{Binary, cargo_lines, has_test, try_document};

const PAXOS_MODEL: Binary = Binary {
    path: env!("CARGO_BIN_EXE_paxos-model"),
    starts: &[("cargo run --release --bin paxos-model -- ", "")],
    only_parsed: &[
        ("explore", "it serves a page until it is stopped"),
        ("mutants --timeout", "it takes most of a minute; tests/mutants.rs has the table"),
        ("prove --prover", "z3 and cvc5 may be missing; tests/solvers.rs asks them"),
    ],
};

#[test]
fn checking_does_what_it_says() {
    let (ran, parsed) = try_document("checking.md", &PAXOS_MODEL);
    assert!(ran >= 10 && parsed >= 3, "{ran} ran, {parsed} were parsed");
}

#[test]
fn learning_does_what_it_says() {
    let (ran, parsed) = try_document("learning.md", &PAXOS_MODEL);
    assert!(ran >= 12, "{ran} ran, {parsed} were parsed");
}

#[test]
fn claims_does_what_it_says() {
    let (ran, _) = try_document("claims.md", &PAXOS_MODEL);
    assert!(ran >= 1, "{ran} ran");
}

/// A command that is only parsed is refused if it has an unknown option, command or number.
#[test]
fn a_command_that_does_not_parse_is_noticed() {
    assert_eq!(PAXOS_MODEL.parse("check synod --ballots 4"), Ok(()));
    for arguments in ["check synod --ballot-count 4", "chek synod", "check synod --ballots 400"] {
        assert!(PAXOS_MODEL.parse(arguments).is_err(), "{arguments}");
    }
}

/// Every other command in these documents is one of `paxos-conformance`, which has a test of its own, or a test that exists.
#[test]
fn other_commands_exist() {
    for name in ["checking.md", "learning.md", "claims.md"] {
        for line in cargo_lines(name) {
            let words: Vec<_> = line.split_whitespace().collect();
            let known = match words[..] {
                ["cargo", "test", "-p", package, "--test", test, ..] => has_test(package, test),
                ["cargo", "test", "-p", package] => {
                    ["paxos-simulator", "paxos-store"].contains(&package)
                }
                ["cargo", "run", "--release", "--bin", binary, "--", ..] => {
                    ["paxos-model", "paxos-conformance"].contains(&binary)
                }
                _ => line.starts_with("cargo verify"),
            };
            assert!(known, "{name}: {line}");
        }
    }
    assert!(!has_test("paxos-model", "missing") && !has_test("missing", "proof"));
}
