//! The catalogue in its schedule of spaces: the first failure of each bug, its harm, and that the search can fail.

#[path = "support/labels.rs"]
mod labels;

use std::process::{Command, Output};

use expect_test::expect;
use labels::assert_readable;
use paxos_model::{
    catalogue::{Catalogue, SCHEDULE, Schedule, search},
    cluster::{BEYOND, Bounds, Bug, Cluster},
    diagrams::Drawn as _,
};
use serde_json::Value;
use state_explorer::Explorable as _;
use verdict::{
    Interrupt, Verdict,
    layout::{WIDTH, laid_out},
};

fn searched(bugs: &[Bug], schedule: &Schedule) -> Catalogue {
    search(bugs, schedule, None, &Interrupt::default(), |_| ())
}

fn mutants(arguments: &str) -> Output {
    let arguments = ["mutants"].into_iter().chain(arguments.split_whitespace());
    let command = Command::new(env!("CARGO_BIN_EXE_paxos-model")).args(arguments).output();
    command.expect("the binary was built for this test")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("it is text")
}

/// A schedule of one small space, in which few bugs fail, and no larger space.
const SHORT: Schedule = {
    let one = Bounds { crashes: Some(0), nacks: false, chosen: false, ..Bounds::of(2, 1, 2) };
    Schedule { spaces: &[one], larger: &[one] }
};

#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn the_whole_catalogue_is_caught() {
    let catalogue = searched(Bug::ALL, &SCHEDULE);
    let text = format!("{catalogue:#300}");
    let (table, beyond) = text.split_once("\nnot looked for").expect("it comes last");
    for bug in BEYOND {
        assert!(beyond.contains(bug.name) && beyond.contains(bug.test), "{beyond}");
    }
    expect![[r#"
           #  bug                              seen first by                          steps  space  harm                                  steps  space  it is
           1  replies before persisting        promises are kept                          1      3  agreement                                 7      3  unsafe
           2  unreadable disk taken for empty  promises are kept                          2      2  agreement                                 7     13  unsafe
           3  votes below its promise          each step is one of the specification      6      5  agreement                                 6      7  unsafe
           4  promises below its promise       promises are kept                          3      5  agreement                                 7      7  unsafe
          4b  promises below what it keeps     each step is one of the specification      3      5  -                                                   safe
           5  a vote does not promise          promises are kept                          3      4  a quorum holds what is chosen             4      7  unsafe
           6  a promise clears the votes       a quorum holds what is chosen              4      2  agreement                                 5      2  unsafe
           7  one variable for two ballots     each step is one of the specification      4      2  agreement                                14     26  unsafe
           8  ignores what is reported         agreement                                  8      5  agreement                                 8      5  unsafe
           9  adopts the lowest ballot         each step is one of the specification     12     26  agreement                                14     26  unsafe
          10  counts an old promise            each step is one of the specification      5     10  agreement                                 9     10  unsafe
          11  counts a promise twice           each step is one of the specification      5     11  agreement                                10     11  unsafe
          12  counts a vote twice              what is believed chosen is chosen          9     16  what is believed chosen is chosen         9     16  unsafe
          13  adds up ballots                  what is believed chosen is chosen          8     21  what is believed chosen is chosen         8     21  unsafe
          14  adds up equal values             what is believed chosen is chosen          8     21  what is believed chosen is chosen         8     21  unsafe
          15  reuses a ballot after a crash    promises are kept                          2      2  agreement                                11     19  unsafe
          16  changes the value in a ballot    one value per ballot                       8      6  agreement                                10      6  unsafe
          17  half is a quorum                 what is believed chosen is chosen          2      4  what is believed chosen is chosen         2      4  unsafe
          18  reports nothing                  each step is one of the specification      4      2  agreement                                 8      5  unsafe
         18b  hides votes below a promise      each step is one of the specification      7      5  agreement                                 9      5  unsafe
         18c  hides what is trimmed            each step is one of the specification      5      4  agreement                                 9     12  unsafe
         18d  asks for no votes in a gap       agreement                                  8     17  agreement                                 8     17  unsafe
          19  votes only where it promised     -                                                    -                                                   safe: only lockstep sees it
          20  votes only above its promise     -                                                    no state is stuck                         0      6  safe, stuck
          21  promises again after voting      each step is one of the specification      4      4  -                                                   safe
          22  claims a vote it did not cast    each step is one of the specification      6      5  agreement                                 6      7  unsafe
          23  fills a gap unasked              agreement                                  7      8  agreement                                 7      8  unsafe
          24  adopts a whole log               agreement                                  8      8  agreement                                 8      8  unsafe
          25  trims what is not chosen         what is trimmed is chosen                  3      4  what is trimmed is chosen                 3      4  unsafe
         25b  leads without what is trimmed    agreement                                  9     12  agreement                                 9     12  unsafe
          26  answers reads unconfirmed        a read sees what was known before it      10     27  a read sees what was known before it     10     27  unsafe
         26b  reads below what was reported    a read sees what was known before it       8     23  a read sees what was known before it      8     23  unsafe
         26c  counts an old confirmation       a read sees what was known before it      14     29  a read sees what was known before it     14     29  unsafe
         26d  reads below a gap                a read sees what was known before it      11     25  a read sees what was known before it     11     25  unsafe
          28  proposes unprepared              validity                                   2      1  agreement                                10     28  unsafe
          29  votes only once                  -                                                    no state is stuck                         7     14  safe, stuck
          30  proposes too early               each step is one of the specification      6      3  what is believed chosen is chosen        14     22  unsafe
          31  counts its own vote too early    a quorum holds what is chosen              3      3  agreement                                 7      3  unsafe

         space  states
             1       3  1 nodes, 1 slots, 2 ballots, 1 campaigners, 0 crashes
             2       8  1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 crashes
             3      23  1 nodes, 1 slots, 2 ballots, 1 campaigners, 1 unsynced, 1 crashes
             4      23  2 nodes, 1 slots, 1 ballots, 1 campaigners, quorums 1/2, 0 crashes, snapshots
             5      30  2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes
             6      41  2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes
             7      73  2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes
             8      78  2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes
             9      92  2 nodes, 1 slots, 2 ballots, 2 campaigners, 1 crashes
            10     110  2 nodes, 1 slots, 3 ballots, 2 campaigners, quorums 2/1, 0 crashes
            11     142  3 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 3/1, 0 crashes
            12     162  2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes, snapshots
            13     169  2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 1 crashes
            14     183  2 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes
            15     203  2 nodes, 2 slots, 2 ballots, 2 campaigners, 0 crashes
            16     221  3 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 3/3, 0 crashes
            17     254  2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes
            18     345  2 nodes, 1 slots, 3 ballots, 2 campaigners, quorums 1/2, 0 crashes
            19     359  2 nodes, 1 slots, 3 ballots, 2 campaigners, quorums 2/1, 1 crashes
            20     739  3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes
            21     797  3 nodes, 1 slots, 2 ballots, 1 campaigners, quorums 1/3, 1 crashes
            22     920  2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 2 unsynced, 1 crashes
            23     961  2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes, 1 reads
            24    1634  3 nodes, 1 slots, 2 ballots, 2 campaigners, 1 crashes
            25   10197  2 nodes, 2 slots, 2 ballots, 2 campaigners, quorums 1/2, 0 crashes, 1 reads
            26   11936  3 nodes, 1 slots, 3 ballots, 2 campaigners, 0 crashes
            27   32143  3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes, 1 reads
            28  172472  3 nodes, 1 slots, 4 ballots, 2 campaigners, 0 crashes
            29  482395  3 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes, 2 reads

        states are those of the protocol without a bug
        the protocol without a bug holds in each of 29 spaces
        38 of 38 bugs are what the catalogue says
        verdict: holds
    "#]].assert_eq(table);
    for verbose in [false, true] {
        let text = laid_out(&catalogue, verbose, WIDTH);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
    assert_eq!(catalogue.verdict, Verdict::Holds);
    let mut labels = 0;
    for entry in &catalogue.bugs {
        for sighting in [&entry.seen, &entry.wrong, &entry.stuck].into_iter().flatten() {
            let bounds = catalogue.spaces[sighting.space - 1].bounds;
            let cluster = Cluster::new(bounds).expect("it was searched").with_bug(entry.bug);
            let cluster = cluster.checked();
            let name = format!("{}, {}: {}", entry.name, sighting.property, cluster.title());
            let svg = cluster.diagram(&sighting.behaviour, &name).svg();
            labels += assert_readable(&svg, &name);
        }
    }
    assert!(labels > 1000, "{labels}");
}

#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn a_bug_is_explained_with_its_counterexamples() {
    let output = mutants("--show 16 --quiet");
    expect![[r#"
        16  changes the value in a ballot

        A leader whose value is not chosen yet puts another one in its place, in the same ballot.
        Votes of one ballot are for two values, and both can be chosen.

        unsafe

        one value per ballot fails after 8 steps (2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes):
           0  initially
                n1: promised -, follows
                n2: promised -, follows
           1  n1 campaigns
                n1: promised b0, candidate heard {n1} 
                sent: Prepare b0
                sent: Promise b0 from n1 reporting nothing
           2  n2 gets Prepare b0
                n2: promised b0, follows
                sent: Promise b0 from n2 reporting nothing
           3  n2 campaigns
                n2: promised b1, candidate heard {n2} 
                sent: Prepare b1
                sent: Promise b1 from n2 reporting nothing
           4  n1 gets Promise b0 from n2 reporting nothing
                n1: promised b0, leads 
           5  n1 proposes in 1 slots
                n1: promised b0, voted s0=b0:v0, leads s0={n1}
                sent: Accept b0 s0=v0
                sent: Accepted b0 s0=v0 from n1
           6  n1 gets Prepare b1
                n1: promised b1, voted s0=b0:v0, follows
                sent: Promise b1 from n1 reporting s0=b0:v0
           7  n2 gets Promise b1 from n1 reporting s0=b0:v0
                n2: promised b1, voted s0=b1:v0, leads s0={n2}
                sent: Accept b1 s0=v0
                sent: Accepted b1 s0=v0 from n2
           8  n2 proposes in 1 slots
                n2: promised b1, voted s0=b1:v1, leads s0={n2}
                sent: Accept b1 s0=v1
                sent: Accepted b1 s0=v1 from n2
                FAULT: in s0, n2: may not propose v1 in b1

        agreement fails after 10 steps (2 nodes, 1 slots, 2 ballots, 2 campaigners, 0 crashes):
           0  initially
                n1: promised -, follows
                n2: promised -, follows
           1  n1 campaigns
                n1: promised b0, candidate heard {n1} 
                sent: Prepare b0
                sent: Promise b0 from n1 reporting nothing
           2  n2 gets Prepare b0
                n2: promised b0, follows
                sent: Promise b0 from n2 reporting nothing
           3  n2 campaigns
                n2: promised b1, candidate heard {n2} 
                sent: Prepare b1
                sent: Promise b1 from n2 reporting nothing
           4  n1 gets Promise b0 from n2 reporting nothing
                n1: promised b0, leads 
           5  n1 proposes in 1 slots
                n1: promised b0, voted s0=b0:v0, leads s0={n1}
                sent: Accept b0 s0=v0
                sent: Accepted b0 s0=v0 from n1
           6  n1 gets Prepare b1
                n1: promised b1, voted s0=b0:v0, follows
                sent: Promise b1 from n1 reporting s0=b0:v0
           7  n2 gets Promise b1 from n1 reporting s0=b0:v0
                n2: promised b1, voted s0=b1:v0, leads s0={n2}
                sent: Accept b1 s0=v0
                sent: Accepted b1 s0=v0 from n2
           8  n2 proposes in 1 slots
                n2: promised b1, voted s0=b1:v1, leads s0={n2}
                sent: Accept b1 s0=v1
                sent: Accepted b1 s0=v1 from n2
           9  n1 gets Accept b1 s0=v0
                n1: promised b1, voted s0=b1:v0, follows
                sent: Accepted b1 s0=v0 from n1
          10  n1 gets Accept b1 s0=v1
                n1: promised b1, voted s0=b1:v1, follows
                sent: Accepted b1 s0=v1 from n1

        verdict: holds
    "#]].assert_eq(text(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[test]
fn programs_get_an_object() {
    let output = mutants("--show 18b --json --quiet");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one object of JSON");
    assert_eq!(report["verdict"], "holds");
    assert_eq!(report["spaces"].as_array().map(Vec::len), Some(SCHEDULE.spaces.len()));
    let bugs = report["bugs"].as_array().expect("a list");
    let names: Vec<_> = bugs.iter().map(|bug| &bug["bug"]).collect();
    assert_eq!(names, ["HidesOvertakenVotes"]);
    for bug in bugs {
        assert_eq!((&bug["label"], &bug["harm"]), (&"18b".into(), &"unsafe".into()));
        assert_eq!(bug["wrong"]["property"], "agreement");
        let steps = bug["wrong"]["counterexample"]["steps"].as_array().expect("a list").len();
        assert_eq!(bug["wrong"]["steps"], steps - 1);
    }
}

#[test]
fn a_number_that_there_is_not_is_unusable() {
    assert!(Bug::labelled("27").is_err());
    let output = mutants("--show 27");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let complaint = "there is no bug \"27\"; give one of 1, 2, 3, 4, 4b, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, \
                     15, 16, 17, 18, 18b, 18c, 18d, 19, 20, 21, 22, 23, 24, 25, 25b, 26, 26b, 26c, 26d, 28, 29, 30, 31\n";
    assert!(text(&output.stderr).contains(complaint), "{}", text(&output.stderr));
}

/// The report names each bug in a part that the model does not have, with the reason and the test that detects the bug.
#[test]
fn a_bug_beyond_the_model_is_refused_with_the_reason() {
    let output = mutants("--show 44");
    assert_eq!(output.status.code(), Some(2));
    for part in [
        "the model cannot have bug 44 (trims what is not applied): ",
        "have no state machine",
        "; give one of 1, 2, 3, ",
    ] {
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
    for beyond in BEYOND {
        assert!(Bug::ALL.iter().all(|bug| bug.number() != beyond.number));
        for sentence in beyond.explanation {
            assert!(sentence.ends_with('.') && sentence.matches(". ").count() == 0, "{sentence}");
        }
        let test = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(beyond.test);
        assert!(test.is_file(), "{}", test.display());
    }
    let report: Value = serde_json::from_slice(&mutants("--show 19 --json --quiet").stdout)
        .expect("one object of JSON");
    assert_eq!(report["beyond"][0]["number"], 40);
}

/// If the spaces are too small for a bug or for its harm, the search does not find it, and the report says so.
#[test]
fn it_can_fail() {
    let catalogue = searched(&[Bug::AdoptsLowest, Bug::IgnoresReports], &SHORT);
    assert_eq!(catalogue.verdict, Verdict::Violated);
    let verdicts: Vec<_> = catalogue.bugs.iter().map(|entry| &entry.verdict).collect();
    assert_eq!(verdicts, [&Verdict::Violated, &Verdict::Violated]);
    assert!(catalogue.to_string().contains("NOT CAUGHT"), "{catalogue}");
    assert!(catalogue.to_string().contains("0 of 2 bugs are what the catalogue says"));
    let catalogue = searched(&[Bug::VotesOnlyOnce], &SHORT);
    assert_eq!(catalogue.verdict, Verdict::Violated);
    assert!(catalogue.to_string().contains("NOT safe, stuck"), "{catalogue}");
}

#[test]
fn what_is_stopped_is_inconclusive() {
    let interrupt = Interrupt::default();
    interrupt.request();
    let catalogue = search(&[Bug::IgnoresReports], &SCHEDULE, None, &interrupt, |_| ());
    assert_eq!(catalogue.verdict.exit_code(), 3, "{catalogue}");
    let output = mutants("--timeout 0 --quiet");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("undecided"), "{}", text(&output.stdout));
}

/// The fault and its consequence take a sentence or two each. No two bugs have the same name.
#[test]
fn each_bug_is_explained_in_few_sentences() {
    for &bug in Bug::ALL {
        assert_eq!(Bug::labelled(&bug.label()), Ok(bug));
        for sentence in bug.explanation() {
            assert!(sentence.ends_with('.') && sentence.matches(". ").count() <= 1, "{sentence}");
        }
        let called = Bug::ALL.iter().filter(|other| other.name() == bug.name());
        assert_eq!(called.count(), 1, "{}", bug.name());
    }
}
