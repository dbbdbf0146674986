//! The tables of invariants in `docs/claims.md` are those of the code.

use std::fs;

use paxos_model::cluster::node::{invariant::conjuncts, unbounded::Unbounded};
use paxos_validation::invariant::{FITS, MESSAGES};

/// Returns a table of claims and their sources.
fn table<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let rows = rows.into_iter().map(|(claim, from)| format!("| {claim} | {from} |\n"));
    "| claim | from |\n|---|---|\n".to_owned() + &rows.collect::<String>()
}

#[test]
fn the_documents_list_each_conjunct_with_its_source() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/claims.md");
    let text = fs::read_to_string(path).expect("the page is there");
    let tables = [
        ("invariant of a node", table(conjuncts::<Unbounded>().map(|it| (it.claim, it.from)))),
        ("invariant of messages", table(MESSAGES.iter().map(|it| (it.claim, it.from)))),
        ("a message and its receiver", table(FITS.iter().copied())),
    ];
    for (name, table) in tables {
        let expected = format!("<!-- {name} -->\n\n{table}");
        assert!(text.contains(&expected), "docs/claims.md does not contain:\n{expected}");
    }
}

/// Each source is an invariant or a safety property of the proved text, or a reason that begins with `local`.
#[test]
fn each_source_is_an_invariant_of_the_text_or_local() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/specs/multipaxos.epr");
    let text = fs::read_to_string(path).expect("the text is there");
    let of_nodes = conjuncts::<Unbounded>().map(|it| it.from);
    let of_messages = MESSAGES.iter().map(|it| it.from).chain(FITS.iter().map(|it| it.1));
    for from in of_nodes.into_iter().chain(of_messages) {
        if from.starts_with("local: ") {
            continue;
        }
        for name in from.split(", ") {
            let invariant = text.contains(&format!("(invariant {name} "));
            let safety = text.contains(&format!("(safety {name} "));
            assert!(invariant || safety, "multipaxos.epr has no invariant {name}");
        }
    }
}
