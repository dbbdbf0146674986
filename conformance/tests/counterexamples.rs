//! The counterexamples of the known bugs, as schedules for foreign implementations.

use std::{path::Path, process::Command, time::Duration};

use expect_test::{expect, expect_file};
use paxos_conformance::trace::counterexamples::{Counterexample, kept, search};
use paxos_subject::{Options, claims::Class, guide::Guidance, judge::replay, process::Limits};
use verdict::Interrupt;

/// Writes one line for each counterexample.
fn text(all: &[Counterexample]) -> String {
    let lines = all.iter().map(|it| serde_json::to_string(it).expect("it is JSON"));
    format!("[\n{}\n]\n", lines.collect::<Vec<_>>().join(",\n"))
}

/// The file has what a search finds. `UPDATE_EXPECT=1` writes it anew.
#[test]
fn the_file_has_what_a_search_finds() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/trace/counterexamples.json");
    expect_file![file].assert_eq(&text(&search()));
}

fn adapter(arguments: &[&str]) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/python").join(arguments[0]);
    let path = path.to_str().expect("the path is text");
    ["python3", "-S", path].iter().chain(&arguments[1..]).map(|it| (*it).to_owned()).collect()
}

/// Takes schedules on a subject, and returns the class of the headline.
fn taken(command: Vec<String>, schedules: Vec<Guidance>) -> Option<Class> {
    let limits = Limits { reply: Duration::from_mins(1), ..Limits::default() };
    let (time, stop_at) = (Duration::from_mins(4), Class::Safety);
    let options = Options { command, limits, time, seed: 1, stop_at, passes: None, schedules };
    let report = replay(&options, &Interrupt::default());
    assert_eq!(report.unusable, None, "{report}");
    report.class()
}

/// The counterexamples alone find bugs of the gallery, and none in the template.
#[test]
fn they_find_bugs_of_the_gallery() {
    let Ok(list) = Command::new("python3").args(&adapter(&["gallery.py", "--list"])[1..]).output()
    else {
        return println!("python3 is missing, so nothing was tried");
    };
    let list = String::from_utf8(list.stdout).expect("text");
    let all = || kept().into_iter().map(|it| it.guidance).collect();
    let (mut found, mut not_found) = (Vec::new(), Vec::new());
    for line in list.lines() {
        let [name, number, headline, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        if number == "-" || headline != "safety" {
            continue;
        }
        let class = taken(adapter(&["gallery.py", name]), all());
        match class {
            Some(Class::Safety) => found.push(format!("{number} {name}")),
            None => not_found.push(format!("{number} {name}")),
            Some(other) => panic!("{name}: {other}"),
        }
    }
    expect![[r"
        1 answers-before-persisting
        1 promise-not-persisted
        2 takes-store-for-empty
        3 votes-below-promise
        4 promise-drops
        5 vote-raises-no-promise
        6 promise-clears-vote
        6 promise-clears-reported-vote
        7 one-ballot-variable
        18 reports-no-vote
        22 accepted-without-vote
        8 ignores-reported-votes
        9 adopts-lowest-vote
        9 adopts-first-vote
        10 counts-old-promise
        16 new-value-in-round
        24 ignores-minority
        28 accept-in-fresh-ballot
        13 adds-ballots
        13 adds-ballots-takes-highest
        14 adds-equal-values
        17 half-rounded-down"]]
    .assert_eq(&found.join("\n"));
    expect![[r"
        1 vote-not-persisted
        18 hides-lower-vote
        9 adopts-last-vote
        11 counts-promise-twice
        15 reuses-ballot
        16 new-value-after-restart
        12 counts-vote-twice
        17 half-rounded-up
        25 drops-decided-vote"]]
    .assert_eq(&not_found.join("\n"));
    assert_eq!(taken(adapter(&["template.py"]), all()), None);
}
