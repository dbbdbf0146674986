//! `paxos vote` as a process: its output, its diagrams and its exit codes.

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

const WISHES: [&str; 3] = ["A=1", "B=2", "C=3"];

fn paxos(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxos"));
    command.arg("vote").args(args).output().expect("the command can be started")
}

fn vote(options: &[&str]) -> Output {
    paxos(&[&WISHES, options].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn last_line(output: &Output) -> String {
    stdout(output).lines().last().unwrap_or_default().to_owned()
}

/// A file of one test. The end of the test removes the file.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("paxos-vote-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("written")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn three_clients_get_one_value() {
    let output = vote(&[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let last = last_line(&output);
    let chosen = last.strip_prefix("chosen: ").expect("a verdict");
    let (value, rest) = chosen.split_once(' ').expect("and who asked for it");
    let client = WISHES.iter().find_map(|wish| wish.strip_suffix(&format!("={value}")));
    let client = client.expect("one of the three");
    assert_eq!(rest, format!("(asked for by {client}); learned by 1,2,3"));
    for client in ["A", "B", "C"] {
        let told = format!("-> {client}  tells: chosen is \"{value}\"");
        assert!(stdout(&output).contains(&told), "{client} is told");
    }
}

#[test]
fn columns_are_aligned() {
    let output = stdout(&vote(&["--loss", "0.2", "--nodes", "12"]));
    let mut rows = 0;
    for row in output.lines().filter(|row| row.contains(" ms  ")) {
        let arrow: String = row.chars().skip(14).take(2).collect();
        assert!(["->", "-x", "  "].contains(&arrow.as_str()), "{row}");
        rows += 1;
    }
    assert!(rows > 20, "{output}");
}

const ROUGH: [&str; 8] =
    ["--loss", "0.3", "--duplicate", "0.3", "--corrupt", "0.2", "--crash", "2@30..400"];

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let runs = ["one", "two"].map(|name| {
        let file = Scratch::new(&format!("{name}.svg"));
        let output = vote(&[&ROUGH[..], &["--seed", "5", "--diagram", file.path()]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        (output.stdout, file.text())
    });
    assert!(runs[0] == runs[1]);
    let other = vote(&[&ROUGH[..], &["--seed", "6"]].concat());
    assert_ne!(runs[0].0, other.stdout, "another seed is another run");
}

#[test]
fn all_nodes_learn_one_value_over_any_network() {
    let mut outputs = Vec::new();
    for seed in 0..30 {
        let seed = seed.to_string();
        let output = vote(&[&ROUGH[..], &["--seed", &seed]].concat());
        assert_eq!(output.status.code(), Some(0), "seed {seed}: {output:?}");
        let last = last_line(&output);
        assert!(last.starts_with("chosen: "), "seed {seed}: {last}");
        assert!(last.ends_with("learned by 1,2,3"), "seed {seed}: {last}");
        outputs.push(stdout(&output));
    }
    for word in
        ["lost", ", again", "damaged, dropped", "crashes", "restarts: promised", "2 is down"]
    {
        assert!(outputs.iter().any(|output| output.contains(word)), "no run shows `{word}`");
    }
}

#[test]
fn a_partition_that_ends_delays_and_a_cut_off_minority_learns_later() {
    for seed in 0..10 {
        let seed = seed.to_string();
        let output = vote(&["--partition", "1/2/3@0..500", "--seed", &seed]);
        assert_eq!(output.status.code(), Some(0), "seed {seed}: {output:?}");
        let text = stdout(&output);
        let (before, after) = text.split_once("partition ends: 1 / 2 / 3").expect("it ends");
        assert!(!before.contains("CHOSEN") && after.contains("CHOSEN"), "{text}");
        let output = vote(&["--partition", "1@0..600", "--seed", &seed]);
        assert!(last_line(&output).ends_with("learned by 1,2,3"), "{output:?}");
    }
}

#[test]
fn clients_go_elsewhere_when_their_node_does_not_answer() {
    let output = paxos(&["A=1", "--nodes", "5", "--crash", "1", "--crash", "2"]);
    assert_eq!(
        last_line(&output),
        "chosen: 1 (asked for by A); learned by 3,4,5; not by 1,2: down or cut off for ever"
    );
    // The client's node and another node are cut off for ever.
    let output = paxos(&["A=1", "--nodes", "5", "--partition", "1,2/3,4,5"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(last_line(&output).starts_with("chosen: 1"), "{output:?}");
}

#[test]
fn an_impossible_scenario_ends_at_once_with_the_reason() {
    let cases: [(&[&str], &str); 8] = [
        (
            &["--crash", "1", "--crash", "3"],
            "of 3 nodes 1,3 are down for ever, and a majority of 2",
        ),
        (
            &["--crash", "1@0..", "--crash", "2@5.."],
            "no majority of 2 of 3 nodes is ever up and connected",
        ),
        (&["--partition", "1/2/3"], "no majority of 2 of 3 nodes is ever up and connected"),
        (&["--crash", "1@20", "--partition", "1,2/3@10"], "no majority of 2 of 3 nodes"),
        (&["--nodes", "4", "--partition", "1,2/3,4"], "no majority of 3 of 4 nodes"),
        (&["--loss", "1"], "every message is lost"),
        (&["--corrupt", "1"], "every message is damaged"),
        (&["--loss", "0.99", "--limit-ms", "500"], "the time was up after 500 ms (see --limit-ms)"),
    ];
    for (options, words) in cases {
        let output = vote(options);
        assert_eq!(output.status.code(), Some(3), "{options:?}: {output:?}");
        let last = last_line(&output);
        assert!(last.starts_with("nothing was chosen: "), "{options:?}: {last}");
        assert!(last.contains(words), "{options:?}: {last}");
    }
}

/// The majority crashes for ever: first before anything can be chosen, then at a time when a value may be chosen.
#[test]
fn a_majority_that_crashes_for_ever_ends_the_run() {
    let output = vote(&["--crash", "1@5", "--crash", "2@5"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let last = last_line(&output);
    assert!(
        last.ends_with("from 5 ms on no majority of 2 of 3 nodes is ever up and connected"),
        "{last}"
    );
    for seed in 0..30 {
        let seed = seed.to_string();
        let output = vote(&["--crash", "1@70", "--crash", "2@70", "--seed", &seed]);
        let (last, rows) = (last_line(&output), stdout(&output));
        match output.status.code() {
            Some(0) => assert!(last.starts_with("chosen: "), "seed {seed}: {last}"),
            Some(3) if rows.contains("CHOSEN") => {
                assert!(
                    last.starts_with("no node learned the chosen value"),
                    "seed {seed}: {last}"
                );
            }
            Some(3) => assert!(last.starts_with("nothing was chosen"), "seed {seed}: {last}"),
            other => panic!("seed {seed}: {other:?}: {output:?}"),
        }
    }
}

#[test]
fn errors_name_bad_input_and_the_accepted_form() {
    let cases: [(&[&str], &[&str]); 27] = [
        (&[], &["CLIENT=VALUE"]),
        (&["A"], &["'A'", "A=1"]),
        (&["=1"], &["'=1'", "letters"]),
        (&["7=1"], &["`7`", "not only digits"]),
        (&["A="], &["'A='", "1 to 40 characters"]),
        (&["A=1\n"], &["control character"]),
        (&["A=1", "A=2"], &["client `A`", "name of its own"]),
        (&["A=1", "--nodes", "0"], &["0", "--nodes", "1..=64"]),
        (&["A=1", "--nodes", "65"], &["65", "1..=64"]),
        (&["A=1", "--loss", "1.5"], &["`1.5`", "from 0 to 1", "--loss"]),
        (&["A=1", "--loss", "NaN"], &["`NaN`", "from 0 to 1"]),
        (&["A=1", "--duplicate", "-0.1"], &["`-0.1`", "from 0 to 1", "--duplicate"]),
        (&["A=1", "--corrupt", "much"], &["`much`", "--corrupt"]),
        (&["A=1", "--delay", "9..3"], &["9 ms", "3 ms", "LEAST..MOST"]),
        (&["A=1", "--delay", "1..2000"], &["2000 ms", "at most 1000 ms"]),
        (&["A=1", "--delay", "x"], &["`x`", "whole ms"]),
        (&["A=1", "--crash", "4@1..2"], &["`--crash`", "node 4", "1 to 3"]),
        (&["A=1", "--crash", "1@9..9"], &["9 ms", "later"]),
        (&["A=1", "--crash", "1@"], &["``", "whole ms"]),
        (&["A=1", "--crash", "A"], &["`A`", "numbered from 1"]),
        (&["A=1", "--partition", "1,9/2"], &["`--partition`", "node 9", "1 to 3"]),
        (&["A=1", "--partition", "1,2/2"], &["node 2", "one group"]),
        (&["A=1", "--partition", "1,2,3"], &["separates no nodes", "1,2/3"]),
        (&["A=1", "--partition", "1,/2"], &["``", "numbered from 1"]),
        (&["A=1", "--seed", "-1"], &["-1"]),
        (&["A=1", "--limit-ms", "0"], &["0", "--limit-ms"]),
        (
            &["A=1", "--diagram", "/no/such/folder/run.svg"],
            &["/no/such/folder/run.svg", "folder that exists"],
        ),
    ];
    for (args, fragments) in cases {
        let output = paxos(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}: nothing is printed");
        for fragment in fragments {
            assert!(error.contains(fragment), "{args:?} should mention {fragment:?}: {error}");
        }
    }
}

#[test]
fn bad_input_leaves_an_earlier_diagram_alone() {
    let file = Scratch::new("kept.svg");
    fs::write(&file.0, "earlier").expect("writable");
    let output = paxos(&["A=1", "A=2", "--diagram", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(file.text(), "earlier");
}

/// Both diagrams are checked before either is written.
#[test]
fn a_run_that_is_refused_leaves_no_file() {
    let file = Scratch::new("new.svg");
    let output = paxos(&["A=1", "--diagram", file.path(), "--mermaid", "/no/such/folder/run.mmd"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder/run.mmd"));
    assert!(output.stdout.is_empty() && !file.0.exists());
}

#[test]
fn the_diagram_shows_the_run() {
    let file = Scratch::new("run.svg");
    fs::write(&file.0, "x".repeat(1 << 20)).expect("writable");
    let output = vote(&[
        "--loss",
        "0.2",
        "--corrupt",
        "0.1",
        "--duplicate",
        "0.2",
        "--crash",
        "1@60..200",
        "--seed",
        "1",
        "--diagram",
        file.path(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (svg, rows) = (file.text(), stdout(&output));
    let count = |what: &str| svg.matches(what).count();
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "nothing of the old file is left"
    );
    assert_eq!(count("class=\"lane\""), 3);
    assert_eq!(count("<g class=\"arrives"), rows.matches("sent at").count());
    assert_eq!(
        count("<g class=\"lost") + count("<g class=\"refused"),
        rows.matches(" -x ").count()
    );
    assert_eq!(count("class=\"down\""), rows.matches("crashes").count());
    assert_eq!(count("class=\"great\""), 1, "the moment the value was chosen");
    assert_eq!(count("<g "), count("</g>"));
    assert_eq!(count("<text "), count("</text>"));
}

#[test]
fn text_from_users_is_escaped_in_the_diagram() {
    let file = Scratch::new("escaped.svg");
    let output = paxos(&["A=<b>&\"", "--diagram", file.path()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let svg = file.text();
    assert!(svg.contains("&lt;b&gt;&amp;&quot;") && !svg.contains("<b>"));
}

#[test]
fn the_same_run_is_written_as_mermaid() {
    let (svg, mermaid) = (Scratch::new("both.svg"), Scratch::new("both.mmd"));
    let faults = ["--loss", "0.2", "--crash", "1@60..200", "--seed", "1"];
    let files = ["--svg", svg.path(), "--mermaid", mermaid.path()];
    let output = vote(&[&faults[..], &files].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (svg, mermaid, rows) = (svg.text(), mermaid.text(), stdout(&output));
    assert!(svg.starts_with("<svg ") && mermaid.starts_with("sequenceDiagram\n"));
    let count = |what: &str| mermaid.matches(what).count();
    assert_eq!(count("participant "), 3);
    assert_eq!(count(">>L"), rows.matches("sent at").count());
    assert_eq!(count("-xL"), rows.matches(" -x ").count());
    assert_eq!(count("down until 200 ms"), 1);
    assert_eq!(count("rect "), 1, "the moment the value was chosen");
}

#[test]
fn json_is_one_object() {
    let output = vote(&["--json", "--seed", "3"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["verdict"], "chosen");
    assert_eq!(object["seed"], 3);
    assert_eq!(object["learned_by"], serde_json::json!([1, 2, 3]));
    let rows = stdout(&vote(&["--seed", "3"]));
    assert_eq!(object["messages"]["arrived"], rows.matches("sent at").count());
    assert_eq!(object["statement"].as_str(), rows.lines().last());

    let output = vote(&["--json", "--crash", "1", "--crash", "2"]);
    assert_eq!(output.status.code(), Some(3));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["verdict"], "nothing");
    assert!(object["value"].is_null());
}

#[test]
fn clusters_have_1_to_64_nodes() {
    for nodes in ["1", "2", "64"] {
        let output = vote(&["--nodes", nodes, "--loss", "0.1"]);
        assert_eq!(output.status.code(), Some(0), "{nodes}: {}", last_line(&output));
    }
}

/// A reader that closes the pipe early causes no error, and does not change the outcome.
#[test]
fn a_closed_pipe_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxos"));
    command.args(["vote", "A=1", "B=2", "--nodes", "40"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    drop(child.stdout.take());
    let mut error = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut error).expect("text");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    assert_eq!(error, "");
}
