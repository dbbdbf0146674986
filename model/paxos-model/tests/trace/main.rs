//! Traces are written, read again and replayed. A trace that is not a behaviour is refused.

#[path = "../support/behaviours.rs"]
mod behaviours;
mod itf_py;
mod other_tools;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use behaviours::{SNAPSHOTS_AND_READS, counterexample, told};
use expect_test::{Expect, expect};
use paxos_model::{
    cluster::{AGREEMENT, Bounds, Bug, CheckedCluster, Cluster},
    synod::{self, Synod},
    trace::{AnyTrace, Trace, Traced, write},
};
use state_explorer::Behaviour;

fn synod() -> Synod {
    let bounds = synod::Bounds {
        acceptors: 3,
        values: 2,
        ballots: 2,
        phase1_quorum: None,
        phase2_quorum: None,
    };
    Synod::new(bounds).expect("bounds in range")
}

fn cluster() -> CheckedCluster {
    Cluster::new(Bounds::of(3, 1, 2)).expect("bounds in range").checked()
}

/// A behaviour in which a later ballot adopts the value of an earlier one.
fn adopted() -> Behaviour<Synod> {
    told(
        &synod(),
        &[
            "prepare ballot 0",
            "acceptor 0 promises ballot 0",
            "acceptor 1 promises ballot 0",
            "propose value 1 in ballot 0",
            "acceptor 0 votes in ballot 0",
            "prepare ballot 1",
            "acceptor 0 promises ballot 1",
            "acceptor 2 promises ballot 1",
            "propose value 1 in ballot 1",
            "acceptor 2 votes in ballot 1",
        ],
    )
}

fn synod_text() -> String {
    write(&synod(), &adopted(), "a value is adopted")
}

/// Returns the trace of a cluster in which a second campaign begins before an acceptor votes for the proposal of the first.
fn cluster_text() -> String {
    let scenario = [
        "n1 campaigns",
        "n2 gets Prepare b0",
        "n1 gets Promise b0 from n2 reporting nothing",
        "n1 proposes in 1 slots",
        "n2 campaigns",
        "n3 gets Accept b0 s0=v0",
    ];
    write(&cluster(), &told(&cluster(), &scenario), "two ballots")
}

/// A text with one part replaced by another.
fn altered(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "nothing says {from}");
    text.replacen(from, to, 1)
}

/// A text without actions, and without the fields that only this program knows.
fn states_only(text: &str) -> String {
    let root: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let mut root = root.as_object().expect("an object").clone();
    root.remove("#meta");
    let vars = root["vars"].as_array_mut().expect("a list");
    vars.retain(|name| name != "action");
    for (i, state) in root["states"].as_array_mut().expect("a list").iter_mut().enumerate() {
        let state = state.as_object_mut().expect("an object");
        state.remove("action");
        state.insert("#meta".to_owned(), serde_json::json!({ "index": i }));
    }
    serde_json::Value::Object(root).to_string()
}

/// States without their numbers, so that some can be left out.
fn unnumbered(states: &mut [serde_json::Value]) {
    for state in states {
        state.as_object_mut().expect("an object").remove("#meta");
    }
}

/// Writes a file for the command.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("it can be written");
    path
}

fn command(name: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paxos-model"))
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .args(["trace", name])
        .args(more)
        .output()
        .expect("the binary was built for this test")
}

/// The output and the exit code of the command for a file.
fn says(text: &str, name: &str, more: &[&str]) -> String {
    file(name, text);
    let output = command(name, more);
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}exit {}\n", output.status.code().expect("it ends by itself"))
}

fn check(said: &str, expected: &Expect) {
    expected.assert_eq(said);
}

#[test]
fn what_is_written_is_read_again_and_is_the_same_behaviour() {
    let text = synod_text();
    let trace = Trace::<Synod>::parse("a", &text).expect("a trace");
    assert_eq!(trace.to_itf(), text);
    let replay = trace.replay();
    assert_eq!(replay.stopped, None);
    assert_eq!((replay.behaviour.steps(), replay.unchanged), (adopted().steps(), 0));
    let text = cluster_text();
    let AnyTrace::Cluster(trace) = AnyTrace::parse("a", &text).expect("a trace") else {
        panic!("a cluster")
    };
    assert_eq!(trace.to_itf(), text);
    assert_eq!(trace.replay().stopped, None);
    assert_eq!(trace.replay().behaviour.steps().len(), 6);
}

/// With snapshots or reads, a state has fields that it does not have with other bounds.
#[test]
fn snapshots_and_reads_are_written_and_read_again() {
    let bounds = Bounds { snapshots: true, reads: 1, ..Bounds::of(3, 1, 2) };
    let cluster = Cluster::new(bounds).expect("bounds in range").checked();
    let text =
        write(&cluster, &told(&cluster, SNAPSHOTS_AND_READS), "a new leader waits for a snapshot");
    let AnyTrace::Cluster(trace) = AnyTrace::parse("a", &text).expect("a trace") else {
        panic!("a cluster")
    };
    assert_eq!(trace.to_itf(), text);
    assert_eq!(trace.replay().stopped, None);
    assert_eq!(trace.replay().behaviour.steps().len(), SNAPSHOTS_AND_READS.len());
    let elsewhere = altered(&text, r#""snapshots":true"#, r#""snapshots":false"#);
    assert!(AnyTrace::parse("a", &elsewhere).is_err(), "promises say what is trimmed");
}

#[test]
fn synod_is_written_in_the_variables_of_paxos_tla() {
    let behaviour = told(
        &synod(),
        &[
            "prepare ballot 0",
            "acceptor 0 promises ballot 0",
            "acceptor 2 promises ballot 0",
            "propose value 1 in ballot 0",
            "acceptor 0 votes in ballot 0",
            "prepare ballot 1",
            "acceptor 0 promises ballot 1",
        ],
    );
    let text = write(&synod(), &behaviour, "a report");
    let last = text.rfind("    {\n").expect("a last state");
    let first = text.find("    {\n").expect("a first state");
    check(
        &format!("{}…\n{}", &text[..first], &text[last..]),
        &expect![[r##"
            {
              "#meta": {"bounds":{"acceptors":3,"ballots":2,"phase1_quorum":2,"phase2_quorum":2,"values":2},"description":"a report","format":"ITF","format-description":"https://apalache-mc.org/docs/adr/015adr-trace.html","steps":7},
              "params": [],
              "vars": ["action","maxBal","maxVBal","maxVal","msgs"],
              "states": [
            …
                {
                  "#meta": {"does":"acceptor 0 promises ballot 1","index":7},
                  "action": {"tag":"Promise","value":{"acc":"a0","bal":{"#bigint":"1"}}},
                  "maxBal": {"#map":[
                    ["a0",{"#bigint":"1"}],
                    ["a1",{"#bigint":"-1"}],
                    ["a2",{"#bigint":"0"}]
                  ]},
                  "maxVBal": {"#map":[
                    ["a0",{"#bigint":"0"}],
                    ["a1",{"#bigint":"-1"}],
                    ["a2",{"#bigint":"-1"}]
                  ]},
                  "maxVal": {"#map":[
                    ["a0","v1"],
                    ["a1","none"],
                    ["a2","none"]
                  ]},
                  "msgs": {"#set":[
                    {"acc":"a0","bal":{"#bigint":"0"},"mbal":{"#bigint":"-1"},"mval":"none","type":"1b"},
                    {"acc":"a0","bal":{"#bigint":"0"},"type":"2b","val":"v1"},
                    {"acc":"a0","bal":{"#bigint":"1"},"mbal":{"#bigint":"0"},"mval":"v1","type":"1b"},
                    {"acc":"a2","bal":{"#bigint":"0"},"mbal":{"#bigint":"-1"},"mval":"none","type":"1b"},
                    {"bal":{"#bigint":"0"},"type":"1a"},
                    {"bal":{"#bigint":"0"},"type":"2a","val":"v1"},
                    {"bal":{"#bigint":"1"},"type":"1a"}
                  ]}
                }
              ]
            }
        "##]],
    );
}

#[test]
fn states_alone_are_explained() {
    let text = states_only(&synod_text());
    check(
        &says(&text, "states.itf.json", &[]),
        &expect![[r"
            trace    states.itf.json
            model    synod: 3 acceptors, 2 values, 2 ballots, quorums of 2 and 2
            actions  not in the file; found from the states
            assumed  each majority of the 3 acceptors is a quorum
                 1   prepare ballot 0
                 2   acceptor 0 promises ballot 0
                 3   acceptor 1 promises ballot 0
                 4   propose value 1 in ballot 0
                 5   acceptor 0 votes in ballot 0
                 6   prepare ballot 1
                 7   acceptor 0 promises ballot 1
                 8   acceptor 2 promises ballot 1
                 9   propose value 1 in ballot 1
                10   acceptor 2 votes in ballot 1
            verdict  holds: a behaviour to its end, 10 steps
            exit 0
        "]],
    );
    let AnyTrace::Synod(trace) = AnyTrace::parse("a", &text).expect("a trace") else {
        panic!("of synod")
    };
    assert_eq!(trace.replay().behaviour.steps(), adopted().steps());
    // Other tools repeat a state if nothing changes.
    let root: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut stutters = root;
    let states = stutters["states"].as_array_mut().expect("a list");
    let twice = states[3].clone();
    states.insert(4, twice);
    unnumbered(states);
    let said = says(&stutters.to_string(), "stutters.itf.json", &[]);
    assert!(said.ends_with(
        "verdict  holds: a behaviour to its end, 10 steps, and 1 that change nothing\nexit 0\n"
    ));
    // One state is missing: no action explains two steps at once.
    let mut jumps: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let states = jumps["states"].as_array_mut().expect("a list");
    states.remove(5);
    unnumbered(states);
    check(
        &says(&jumps.to_string(), "jumps.itf.json", &[]),
        &expect![[r"
            trace    jumps.itf.json
            model    synod: 3 acceptors, 2 values, 2 ballots, quorums of 2 and 2
            actions  not in the file; found from the states
            assumed  each majority of the 3 acceptors is a quorum
                 1   prepare ballot 0
                 2   acceptor 0 promises ballot 0
                 3   acceptor 1 promises ballot 0
                 4   propose value 1 in ballot 0
            verdict  violated: not a behaviour of the model
            step 5: no action leads to the recorded state
            possible there:
              prepare ballot 1; but the recorded state differs at maxVBal[a0]: recorded 0, the model has -1
              acceptor 0 votes in ballot 0; but the recorded state differs at msgs: recorded 1a [bal: 1], the
                model has nothing
              acceptor 1 votes in ballot 0; but the recorded state differs at maxVBal[a0]: recorded 0, the model
                has -1
              acceptor 2 promises ballot 0; but the recorded state differs at maxBal[a2]: recorded -1, the model
                has 0
              acceptor 2 votes in ballot 0; but the recorded state differs at maxBal[a2]: recorded -1, the model
                has 0
            exit 1
        "]],
    );
}

#[test]
fn a_cluster_is_explained_within_its_bounds() {
    let text = cluster_text();
    let bare = states_only(&text);
    let said = says(&bare, "bare.itf.json", &[]);
    assert!(said.contains("#meta.bounds is nothing"), "{said}");
    let bounds = text.lines().nth(1).expect("#meta");
    let bare = altered(&bare, "{", &format!("{{{bounds}"));
    let said = says(&bare, "bare.itf.json", &[]);
    assert!(
        said.contains("actions  not in the file; found from the states\n     1   n1 campaigns\n")
    );
    assert!(said.ends_with("verdict  holds: a behaviour to its end, 6 steps\nexit 0\n"), "{said}");
}

#[test]
fn where_it_stops_being_a_behaviour_is_said() {
    let text = cluster_text();
    let last = "\"does\":\"n3 gets Accept b0 s0=v0\",\"index\":6";
    let (before, after) = text.split_once(last).expect("the last step");
    let another = after.replacen(r#""to":"n3""#, r#""to":"n2""#, 1);
    let another = format!("{before}{}{another}", last.replace("n3 gets", "n2 gets"));
    check(
        &says(&another, "elsewhere.itf.json", &[]),
        &expect![[r"
            trace    elsewhere.itf.json
            shows    two ballots
            model    cluster: 3 nodes, 1 slots, 2 ballots, 2 campaigners; leaves out unsynced steps, snapshots,
                     reads
                 1   n1 campaigns
                 2   n2 gets Prepare b0
                 3   n1 gets Promise b0 from n2 reporting nothing
                 4   n1 proposes in 1 slots
                 5   n2 campaigns
            verdict  violated: not a behaviour of the model
            step 6: n2 gets Accept b0 s0=v0: not possible here, since n2 has promised b1
            possible there:
              n1 crashes and starts again
              n2 crashes and starts again
              n3 gets Prepare b0
              n1 gets Prepare b1
              n3 gets Prepare b1
              n1 is refused: b1 was promised
              n3 gets Accept b0 s0=v0
            exit 1
        "]],
    );
    let vote = after.replacen(
        r##"{"tag":"Accept","value":{"ballot":{"#bigint":"0"}"##,
        r##"{"tag":"Accept","value":{"ballot":{"#bigint":"1"}"##,
        1,
    );
    let unsent = format!("{before}{}{vote}", last.replace("b0 s0", "b1 s0"));
    let said = says(&unsent, "unsent.itf.json", &[]);
    assert!(
        said.contains(
            "step 6: n3 gets Accept b1 s0=v0: not possible here, since no node has sent that\n"
        ),
        "{said}"
    );
    let (before, after) = text.split_once("\"does\":\"n2 campaigns\",\"index\":5").expect("step 5");
    let promised = after.replacen(
        r##"["n2",{"chosen":{"#map":[]},"disk":{"promised":{"#bigint":"1"}"##,
        r##"["n2",{"chosen":{"#map":[]},"disk":{"promised":{"#bigint":"0"}"##,
        1,
    );
    assert_ne!(promised, after);
    let forgot = format!("{before}\"does\":\"n2 campaigns\",\"index\":5{promised}");
    let said = says(&forgot, "forgot.itf.json", &["--mermaid", "forgot.mmd"]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mermaid = fs::read_to_string(folder.join("forgot.mmd")).expect("it was drawn");
    assert!(mermaid.contains("5 · step 5 is none of the model: the recorded state differs"));
    let words: Vec<_> = said.split_whitespace().collect();
    assert!(
        words.join(" ").contains(
            "step 5: n2 campaigns: the recorded state differs at nodes[n2].disk.promised: \
             recorded 0, the model has 1 possible there:"
        ),
        "{said}"
    );
    assert!(said.ends_with("exit 1\n"));
    let other =
        altered(&text, r##"{"promised":{"#bigint":"-1"}"##, r##"{"promised":{"#bigint":"0"}"##);
    let said = says(&other, "other.itf.json", &[]);
    assert!(said.contains("the beginning: the recorded state differs at nodes[n1]"), "{said}");
    let text = synod_text();
    let reports = altered(&text, r##""mbal":{"#bigint":"0"}"##, r##""mbal":{"#bigint":"-1"}"##);
    let said = says(&reports, "reports.itf.json", &[]);
    assert!(
        said.contains("step 7: acceptor 0 promises ballot 1: the recorded state differs at msgs")
    );
    let votes = altered(
        &text,
        r#"{"tag":"Vote","value":{"acc":"a0""#,
        r#"{"tag":"Vote","value":{"acc":"a2""#,
    );
    let votes = altered(&votes, "acceptor 0 votes in ballot 0", "acceptor 2 votes in ballot 0");
    let said = says(&votes, "votes.itf.json", &[]);
    assert!(said.contains("step 5: acceptor 2 votes in ballot 0: the recorded state differs at"));
}

/// The actions that cannot be taken in a state, each with the reason.
fn refusals<M: Traced>(model: &M, state: &M::State, actions: &[M::Action]) -> String {
    let mut said = String::new();
    let offered = model.offered(state);
    let possible = |it: &M::Action| offered.contains(it) && model.taken(state, it).is_some();
    for action in actions.iter().filter(|action| !possible(action)) {
        let why = model.why_not(state, action);
        writeln!(said, "{}: {why}", model.describe(action)).expect("a string");
    }
    said
}

#[test]
fn what_is_in_the_way_is_named() {
    use synod::{Acceptor, Action, Ballot, Value};
    let actions = [
        Action::Prepare(Ballot(0)),
        Action::Promise(Acceptor(0), Ballot(0)),
        Action::Propose(Ballot(0), Value(0)),
        Action::Vote(Acceptor(0), Ballot(0)),
        Action::Vote(Acceptor(2), Ballot(0)),
    ];
    let synod = synod();
    let begin = synod::State::default();
    let quorum =
        ["prepare ballot 0", "acceptor 0 promises ballot 0", "acceptor 1 promises ballot 0"];
    let vote = ["propose value 1 in ballot 0", "acceptor 0 votes in ballot 0"];
    let reported = [&quorum[..], &vote, &["prepare ballot 1", "acceptor 0 promises ballot 1"]];
    let reported =
        told(&synod, &[&reported.concat()[..], &["acceptor 2 promises ballot 1"]].concat());
    let said = [
        refusals(&synod, &begin, &actions),
        refusals(&synod, adopted().last(), &actions),
        refusals(&synod, reported.last(), &[Action::Propose(Ballot(1), Value(0))]),
    ];
    check(
        &said.join("\n"),
        &expect![[r"
        acceptor 0 promises ballot 0: ballot 0 is not prepared
        propose value 0 in ballot 0: no quorum has promised ballot 0
        acceptor 0 votes in ballot 0: nothing is proposed in ballot 0
        acceptor 2 votes in ballot 0: nothing is proposed in ballot 0

        prepare ballot 0: ballot 0 is prepared already
        acceptor 0 promises ballot 0: acceptor 0 has answered ballot 1 before
        propose value 0 in ballot 0: something is proposed in ballot 0 already
        acceptor 0 votes in ballot 0: acceptor 0 has voted in ballot 0 before
        acceptor 2 votes in ballot 0: acceptor 2 has answered ballot 1

        propose value 0 in ballot 1: the promises of ballot 1 allow only v1
    "]],
    );
}

#[test]
fn what_is_in_the_way_of_a_node_is_named() {
    let bounds = Bounds { nacks: false, crashes: Some(0), ..Bounds::of(3, 1, 2) };
    let cluster = Cluster::new(bounds).expect("bounds in range").checked();
    let scenario = [
        "n1 campaigns",
        "n2 gets Prepare b0",
        "n1 gets Promise b0 from n2 reporting nothing",
        "n1 proposes in 1 slots",
        "n3 gets Accept b0 s0=v0",
        "n1 gets Accepted b0 s0=v0 from n3",
        "n2 campaigns",
    ];
    let behaviour = told(&cluster, &scenario);
    let mut actions: Vec<_> = behaviour.steps().iter().map(|(action, _)| *action).collect();
    let more = [
        r#"{"tag":"Campaign","value":{"node":"n3"}}"#,
        r#"{"tag":"Propose","value":{"node":"n2","count":1}}"#,
        r#"{"tag":"Deliver","value":{"to":"n1","message":{"tag":"Accept","value":{"ballot":0,"slot":0,"value":"v0"}}}}"#,
        r#"{"tag":"Deliver","value":{"to":"n2","message":{"tag":"Accept","value":{"ballot":0,"slot":0,"value":"v0"}}}}"#,
        r#"{"tag":"Deliver","value":{"to":"n2","message":{"tag":"Accept","value":{"ballot":1,"slot":0,"value":"v0"}}}}"#,
        r#"{"tag":"Nack","value":{"to":"n1","promised":1}}"#,
        r#"{"tag":"Chosen","value":{"to":"n2","slot":0,"ballot":1,"value":"v1"}}"#,
        r#"{"tag":"Sync","value":{"node":"n1"}}"#,
        r#"{"tag":"Crash","value":{"node":"n1"}}"#,
    ];
    actions.extend(more.iter().map(|text| {
        let value = serde_json::from_str(text).expect("a value");
        cluster.read_action(&value).expect("an action").expect("not the beginning")
    }));
    check(
        &refusals(&cluster, behaviour.last(), &actions),
        &expect![[r"
            n1 campaigns: n1 leads already
            n2 gets Prepare b0: n2 has promised b1
            n1 gets Promise b0 from n2 reporting nothing: n1 is no candidate in b0
            n1 proposes in 1 slots: the log has no room for so many
            n3 gets Accept b0 s0=v0: it changes nothing
            n1 gets Accepted b0 s0=v0 from n3: n1 has counted that before, or knows what is chosen
            n2 campaigns: n2 has no ballot left
            n3 campaigns: n3 does not campaign within these bounds
            n2 proposes in 1 slots: n2 does not lead
            n1 gets Accept b0 s0=v0: it does not go to n1
            n2 gets Accept b0 s0=v0: n2 has promised b1
            n2 gets Accept b1 s0=v0: no node has sent that
            n1 is refused: b1 was promised: these bounds leave out refusals
            n2 hears that b1 got v1 chosen in s0: no quorum has voted for that
            n1 syncs: nothing waits for it
            n1 crashes and starts again: all the crashes of these bounds have happened
        "]],
    );
}

#[test]
fn a_counterexample_of_a_broken_model_is_one_of_that_model_only() {
    let bounds = Bounds { phase2_quorum: 1, crashes: Some(0), ..Bounds::of(2, 1, 2) };
    let broken =
        Cluster::new(bounds).expect("bounds in range").with_bug(Bug::IgnoresReports).checked();
    let found = counterexample(&broken, AGREEMENT);
    // The specification is violated before agreement is lost. A search for a violation of agreement continues.
    let text = write(&broken, &found, "agreement is violated");
    let said = says(&text, "broken.itf.json", &["--svg", "broken.svg", "--mermaid", "broken.mmd"]);
    check(
        &said,
        &expect![[r"
            trace    broken.itf.json
            shows    agreement is violated
            model    cluster: 2 nodes, 1 slots, 2 ballots, 2 campaigners, quorums 2/1, 0 crashes; leaves out
                     unsynced steps, crashes, snapshots, reads; broken by bug 8: ignores what is reported
            broken   by bug 8, as the file says: A new leader ignores what the promises report.
                 1   n1 campaigns
                 2   n2 gets Prepare b0
                 3   n2 campaigns
                 4   n1 gets Promise b0 from n2 reporting nothing
                 5   n1 proposes in 1 slots
                 6   n1 gets Prepare b1
                 7   n2 gets Promise b1 from n1 reporting s0=b0:v0
                 8   n2 proposes in 1 slots
            verdict  holds: a behaviour to its end, 8 steps
            exit 0
        "]],
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let svg = fs::read_to_string(folder.join("broken.svg")).expect("it was drawn");
    let mermaid = fs::read_to_string(folder.join("broken.mmd")).expect("it was drawn");
    assert!(
        svg.contains("A SECOND VALUE IS CHOSEN") && mermaid.contains("A SECOND VALUE IS CHOSEN")
    );
    // A correct cluster does not have this behaviour, ...
    let unmarked = altered(&text, r#""bug":"8","#, "");
    let said = says(&unmarked, "unmarked.itf.json", &[]);
    assert!(said.contains("verdict  violated: not a behaviour of the model"), "{said}");
    // ... unless --bug gives it the bug. A cluster with another bug does not have this behaviour either.
    let said = says(&unmarked, "unmarked.itf.json", &["--bug", "8"]);
    assert!(said.contains("broken   by bug 8, as the command line says"), "{said}");
    assert!(said.ends_with("exit 0\n"), "{said}");
    let said = says(&text, "broken.itf.json", &["--bug", "1"]);
    assert!(said.contains("verdict  violated: not a behaviour of the model"), "{said}");
    let said = says(&altered(&text, r#""bug":"8""#, r#""bug":"99""#), "unknown.itf.json", &[]);
    assert!(
        said.contains(r#"#meta.bug: there is no bug "99"; give one of 1, 2, 3, 4, 4b, "#),
        "{said}"
    );
}

/// A search for one property continues after a step that violates the specification. The replay continues as well.
#[test]
fn a_trace_goes_on_beyond_a_step_that_is_none_of_the_specification() {
    let bounds = Bounds { phase2_quorum: 1, crashes: Some(0), ..Bounds::of(2, 1, 2) };
    for bug in [Bug::HalfIsQuorum, Bug::IgnoresReports] {
        let broken = Cluster::new(bounds).expect("bounds in range").with_bug(bug).checked();
        let found = counterexample(&broken, AGREEMENT);
        let replay = Trace::of(&broken, &found, bug.name()).replay();
        assert_eq!(replay.stopped, None);
        let steps = replay.behaviour.steps();
        let left = steps.iter().position(|(_, state)| state.history.fault.is_some());
        let left = left.expect("a second value is none that the specification allows");
        assert_eq!(left + 1 < steps.len(), bug == Bug::HalfIsQuorum, "step {left}");
    }
}

#[test]
fn one_object_for_programs() {
    file("object.itf.json", &cluster_text());
    let output = command("object.itf.json", &["--json"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["verdict"], "holds");
    assert_eq!(object["steps"][0], "n1 campaigns");
    assert_eq!(object["recorded"], 6);
    file("object.itf.json", &altered(&cluster_text(), r#""node":"n1""#, r#""node":"n3""#));
    let output = command("object.itf.json", &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["stopped"]["step"], 1);
    let since = "n3 does not campaign within these bounds";
    assert_eq!(object["stopped"]["why"]["not_possible"]["since"], since);
    assert_eq!(object["stopped"]["possible"], serde_json::json!(["n1 campaigns", "n2 campaigns"]));
}

#[test]
fn what_is_no_trace_is_refused_with_its_place() {
    let (synod, cluster) = (synod_text(), cluster_text());
    let bare = states_only(&synod);
    let mut said = String::new();
    for (what, text) in [
        ("nothing", String::new()),
        ("cut", synod[..synod.len() / 2].to_owned()),
        ("other variables", altered(&synod, "\"maxBal\",", "\"ballot\",")),
        ("a variable less", altered(&synod, ",\"msgs\"", "")),
        (
            "no such ballot",
            altered(
                &synod,
                r##""Prepare","value":{"bal":{"#bigint":"0"##,
                r##""Prepare","value":{"bal":{"#bigint":"5"##,
            ),
        ),
        (
            "no such acceptor",
            altered(&synod, r#""Promise","value":{"acc":"a0""#, r#""Promise","value":{"acc":"a9""#),
        ),
        (
            "no such value",
            altered(
                &synod,
                r##""Propose","value":{"bal":{"#bigint":"0"},"val":"v1""##,
                r##""Propose","value":{"bal":{"#bigint":"0"},"val":"v7""##,
            ),
        ),
        ("no such action", altered(&synod, r#""tag":"Prepare""#, r#""tag":"Phase1a""#)),
        ("quorums that miss", altered(&synod, r#""phase1_quorum":2"#, r#""phase1_quorum":1"#)),
        ("a bug in synod", altered(&synod, r#""bounds":{"#, r#""bug":8,"bounds":{"#)),
        ("no steps", altered(&cluster, ",\"steps\":6", "")),
        ("an unknown field", altered(&bare, "{", "{\"lasso\":3,")),
        ("a loop to nowhere", altered(&bare, "{", "{\"loop\":11,")),
        ("a state without a variable", altered(&bare, "\"msgs\":{", "\"mesgs\":{")),
        ("numbered wrongly", altered(&bare, "{\"index\":2}", "{\"index\":7}")),
    ] {
        let error = AnyTrace::parse("it", &text).expect_err(what);
        writeln!(said, "{what}\n  {error}").expect("a string");
    }
    check(
        &said,
        &expect![[r"
            nothing
              it: it is empty; a trace is an ITF object with #meta, vars and states
            cut
              it: it is no ITF: EOF while parsing a list at line 161 column 20 (was it cut?)
            other variables
              it: vars is <action, ballot, maxVBal, maxVal, msgs>; accepted are maxBal, maxVBal, maxVal, msgs for synod or crashes, network, nodes for cluster, and others beside these
            a variable less
              it: vars is <action, maxBal, maxVBal, maxVal>; accepted are maxBal, maxVBal, maxVal, msgs for synod or crashes, network, nodes for cluster, and others beside these
            no such ballot
              it: states[1].action.value.bal is 5; accepted is an integer, 0 to 1
            no such acceptor
              it: states[2].action.value.acc is a9; accepted is an acceptor, a0 to a2
            no such value
              it: states[4].action.value.val is v7; accepted is a value, v0 to v1
            no such action
              it: states[1].action.tag is Phase1a; accepted is Init, Prepare, Promise, Propose or Vote
            quorums that miss
              it: #meta.bounds: a phase-1 quorum of 1 and a phase-2 quorum of 2 need not meet among 3 acceptors; the two sizes must add up to more than 3, so with a phase-1 quorum of 1 give a phase-2 quorum of at least 3
            a bug in synod
              it: #meta.bug is 8; accepted is nothing, for synod has no bugs
            no steps
              it: #meta.steps is nothing; accepted is a record of format, format-description, description, steps, bounds
            an unknown field
              it: the trace.lasso is 3; accepted is a record of vars, states
            a loop to nowhere
              it: loop is 11; accepted is the number of a state, 0 to 10, or nothing
            a state without a variable
              it: states[0].msgs is nothing; accepted is a record of maxBal, maxVBal, maxVal, msgs
            numbered wrongly
              it: states[2].#meta.index is 7; accepted is 2
        "]],
    );
    let output = command("not-there.itf.json", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not-there.itf.json: cannot be read"));
    file("synod.itf.json", &synod);
    for (more, complaint) in [
        (["--bug", "8"], "is a trace of synod, which has no bugs; leave out --bug"),
        (["--bug", "99"], "there is no bug \"99\"; give one of 1, 2, "),
        (["--svg", "no/such/folder.svg"], "--svg no/such/folder.svg cannot be written: "),
    ] {
        let output = command("synod.itf.json", &more);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(complaint), "{said}");
        assert!(output.stdout.is_empty());
    }
}

/// Asserts that an altered file is refused, is not a behaviour, or is the same behaviour.
fn holds_its_own<M: Traced>(text: &str) {
    let original = Trace::<M>::parse("a", text).expect("a trace").replay().behaviour;
    let digits = text.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(i, _)| {
        let other = if &text[i..=i] == "0" { "1" } else { "0" };
        format!("{}{other}{}", &text[..i], &text[i + 1..])
    });
    let bytes = text.char_indices().step_by(11).filter(|(_, c)| c.is_ascii());
    let bytes = bytes.map(|(i, _)| format!("{}{}", &text[..i], &text[i + 1..]));
    let (mut refused, mut stopped) = (0, 0);
    for mutant in digits.chain(bytes) {
        match Trace::<M>::parse("a", &mutant).map(|trace| trace.replay()) {
            Err(_) => refused += 1,
            Ok(replay) if replay.stopped.is_some() => stopped += 1,
            Ok(replay) => {
                let actions = |behaviour: &Behaviour<M>| {
                    behaviour.steps().iter().map(|(action, _)| action.clone()).collect::<Vec<_>>()
                };
                assert!(actions(&replay.behaviour) == actions(&original), "{mutant}");
            }
        }
    }
    assert!(refused > 10 && stopped > 10, "{refused} refused, {stopped} stopped");
}

#[test]
fn no_mutant_passes_for_another_behaviour_and_nothing_panics() {
    holds_its_own::<Synod>(&synod_text());
    holds_its_own::<Synod>(&states_only(&synod_text()));
    holds_its_own::<Synod>(&other_tools::typed(&states_only(&synod_text())));
    holds_its_own::<CheckedCluster>(&cluster_text());
}
