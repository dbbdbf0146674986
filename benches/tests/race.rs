//! `race` measures all columns of all contestants, and writes tables, JSON, a page and plots.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;

#[path = "../../model/paxos-model/tests/support/documents.rs"]
mod support;

const RACE: support::Binary = support::Binary {
    path: env!("CARGO_BIN_EXE_race"),
    starts: &[
        ("cargo run --release -p paxos-benches --features peers --bin race -- ", ""),
        ("cargo run --profile dist -p paxos-benches --features peers --bin race -- ", ""),
        ("race ", ""),
    ],
    only_parsed: &[],
};

fn race(arguments: &[&str]) -> Output {
    Command::new(RACE.path).args(arguments).output().expect("race starts")
}

#[test]
fn every_command_in_the_documents_parses() {
    assert!(RACE.parse_everywhere() >= 1, "the documents do not show race");
    assert!(RACE.parse("--runs 3").is_ok() && RACE.parse("--runs 0").is_err());
    assert!(RACE.parse("--only omnipaxos,raft-rs").is_ok() && RACE.parse("--only etcd").is_err());
}

#[test]
fn tables_json_and_page_have_every_column() {
    let directory = tempfile::tempdir().expect("a directory");
    let json = directory.path().join("race.json");
    let page = directory.path().join("race.md");
    let (json_name, page_name) = (json.to_str().unwrap(), page.to_str().unwrap());
    let output = race(&[
        "--runs",
        "1",
        "--entries",
        "64",
        "--no-counts",
        "--json",
        json_name,
        "--page",
        page_name,
    ]);
    assert!(output.status.success(), "{output:?}");
    let tables = String::from_utf8(output.stdout).unwrap();
    let page = fs::read_to_string(page).unwrap();
    for text in [&tables, &page] {
        let folded = text.to_lowercase();
        for title in ["cpu second, memory", "per second, file", "cpu second, file", "syncs of all"]
        {
            assert!(folded.contains(title), "{title:?} is missing: {text}");
        }
        assert!(text.contains("were not counted: --no-counts"), "{text}");
    }
    assert!(tables.lines().all(|line| line.len() <= 100), "it fits a terminal: {tables}");

    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert!(report["machine"]["cores"].is_u64() && report["machine"]["cpu"].is_string());
    let columns = report["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 24);
    for column in columns {
        let contestants = column["contestants"].as_array().unwrap();
        let names: Vec<_> = contestants.iter().map(|own| own["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["ours", "omnipaxos", "raft-rs", "openraft"], "{column}");
        for own in contestants {
            for number in
                ["entries_per_cpu_second", "entries_per_second", "ratio_cpu", "ratio_wall"]
            {
                assert!(own[number].as_f64().is_some_and(|number| number > 0.0), "{number}: {own}");
            }
            let syncs = own["syncs_per_entry"].as_f64().unwrap();
            assert_eq!(syncs > 0.0, column["storage"] == "file", "{own}");
            for number in
                ["instructions_per_entry", "allocations_per_entry", "live_bytes_per_entry"]
            {
                assert_eq!(own.get(number), Some(&Value::Null), "{own}");
            }
        }
    }

    for plot in ["outstanding", "length", "size", "nodes"] {
        let name = format!("race-{plot}.svg");
        assert!(page.contains(&format!("({name})")), "the page does not show {name}");
        let svg = fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(svg.contains(">ours</text>"), "{svg}");
        assert_eq!(svg.contains(">raft-rs</text>"), plot != "nodes", "{svg}");
    }
}

#[test]
fn valgrind_counts() {
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        println!("nothing is counted: valgrind cannot be started: {error}");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let json = directory.path().join("race.json");
    let column = ["--column", "memory/16B/64/trimmed", "--json", json.to_str().unwrap()];
    let output = race(
        &[&["--runs", "1", "--entries", "64", "--only", "ours,raft-rs"], &column[..]].concat(),
    );
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(report["not_counted"], Value::Null);
    for own in report["columns"][0]["contestants"].as_array().unwrap() {
        assert!(own["instructions_per_entry"].as_f64().unwrap() > 100.0, "{own}");
        assert!(own["allocations_per_entry"].as_f64().unwrap() > 0.0, "{own}");
        // A trimmed log keeps no entry for ever.
        assert!(own["live_bytes_per_entry"].as_f64().unwrap() < 200.0, "{own}");
    }
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    let output = race(&["--column", "disk"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no column has all parts of \"disk\""), "{error}");
    let output = race(&["--count", "ours", "--column", "memory", "--count-entries", "1"]);
    assert_eq!(output.status.code(), Some(2), "a column must be named as a whole");
}
