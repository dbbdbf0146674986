//! The commands of `paxos-model` in the documents do what the documents say, and the pictures there are current.
//!
//! `UPDATE_EXPECT=1 cargo test -p paxos-model --test documents` draws the pictures again.

#[path = "support/documents.rs"]
mod support;

use std::{fs, path::Path};

use paxos_model::cluster::{BEYOND, Bug};
use support::{Binary, read, try_document};

const PAXOS_MODEL: Binary = Binary {
    path: env!("CARGO_BIN_EXE_paxos-model"),
    starts: &[("cargo run --release --bin paxos-model -- ", ""), ("paxos-model ", "")],
    only_parsed: &[
        ("explore", "it serves a page until it is stopped"),
        ("mutants\n", "it takes most of a minute; tests/mutants.rs has the table"),
        ("mutants --timeout", "the same"),
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

#[test]
fn the_readmes_do_what_they_say() {
    for (path, least) in [("README.md", 1), ("model/paxos-model/README.md", 3)] {
        let ran = PAXOS_MODEL.run_commands(path);
        assert!(ran >= least, "{path}: {ran} ran");
    }
}

/// The README says which line of `synod.epr` to remove. The proof breaks without it.
#[test]
fn the_readme_names_a_guard_that_the_proof_needs() {
    const GUARD: &str = "(require (not (left a b)))";
    assert!(read("README.md").contains(GUARD), "the README removes another line");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("counterexample");
    fs::create_dir_all(&folder).expect("there is room");
    let specification = read("model/specs/synod.epr").replace(GUARD, "");
    fs::write(folder.join("mine.epr"), specification).expect("there is room");
    let output = PAXOS_MODEL.run("prove mine.epr", &folder);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("text");
    for part in ["step    ", "broken  "] {
        assert!(printed.lines().any(|line| line.starts_with(part)), "{printed}");
    }
}

#[test]
fn the_numbers_of_known_bugs_are_those_of_the_catalogue() {
    let (switched, all) = (Bug::ALL.len(), Bug::ALL.len() + BEYOND.len());
    for (document, text) in [
        ("README.md", format!("catalogue has {all} known bugs")),
        ("docs/claims.md", format!("the {all} bugs of the catalogue")),
        ("docs/claims.md", format!("has {all} known bugs. {switched} can be switched on")),
        (
            "docs/checking.md",
            format!("has {all} known bugs of Paxos implementations. {switched} of them"),
        ),
        ("docs/checking.md", format!("each of the {switched} in larger")),
    ] {
        let one_line = read(document).replace('\n', " ");
        assert!(one_line.contains(&text), "{document} does not have: {text}");
    }
}

#[test]
fn every_command_in_every_document_parses() {
    let parsed = PAXOS_MODEL.parse_everywhere();
    assert!(parsed >= 40, "{parsed} were parsed");
}
