//! The commands of `paxos-conformance` in the documents do what the documents say.

#[path = "../../model/paxos-model/tests/support/documents.rs"]
mod support;

use support::{Binary, try_document};

const PAXOS_CONFORMANCE: Binary = Binary {
    path: env!("CARGO_BIN_EXE_paxos-conformance"),
    starts: &[
        ("cargo run --release --bin paxos-conformance -- ", ""),
        ("paxos-conformance ", ""),
        ("cargo verify", "verify"),
    ],
    only_parsed: &[
        ("verify", "it takes minutes; tests/verify.rs runs a small table"),
        (
            "step",
            "it takes a minute; tests/verify.rs and the tests of paxos-steps run small spaces",
        ),
        (
            "mutants",
            "it takes minutes, and needs a run of cargo-mutants; tests/any_state.rs runs small ones",
        ),
    ],
};

#[test]
fn checking_does_what_it_says() {
    let (ran, parsed) = try_document("checking.md", &PAXOS_CONFORMANCE);
    assert!(ran >= 3 && parsed >= 2, "{ran} ran, {parsed} were parsed");
}

/// The judge is tried on the adapters in Python.
#[test]
fn subjects_does_what_it_says() {
    let (ran, _) = try_document("subjects.md", &PAXOS_CONFORMANCE);
    assert!(ran >= 4, "{ran} ran");
}

/// `cargo verify` is an alias for the command that the test parses.
#[test]
fn the_alias_is_the_command() {
    let alias = include_str!("../../.cargo/config.toml");
    assert!(
        alias.contains("verify = \"run --release --bin paxos-conformance -- verify\""),
        "{alias}"
    );
    assert!(PAXOS_CONFORMANCE.parse("verify --deepest").is_err());
}

#[test]
fn every_command_in_every_document_parses() {
    let parsed = PAXOS_CONFORMANCE.parse_everywhere();
    assert!(parsed >= 20, "{parsed} were parsed");
}
