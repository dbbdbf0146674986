//! Production replicas replay the traces, and no altered trace passes.
//!
//! `UPDATE_TRACES=1 cargo test -p paxos-conformance --test traces` writes the traces of the scenarios again.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Once,
};

use expect_test::expect;
use paxos_conformance::trace::{
    EXTENSION, Trace,
    cover::{self, CoverError},
    in_folder,
    on_disk::Fault,
    replay::{ReplayFailure, replay, replay_on_mutants, replay_on_nodes},
    scenarios::SCENARIOS,
    shorten::shorten,
};
use paxos_model::{
    cluster::{Bounds, Bug, Cluster},
    trace::Traced as _,
};
use state_explorer::{Options, explore};
use stateright::Model as _;

/// Returns the folder of the kept traces. Writes the traces again first if `UPDATE_TRACES` is set.
fn folder() -> PathBuf {
    static UPDATE: Once = Once::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
    UPDATE.call_once(|| {
        if std::env::var_os("UPDATE_TRACES").is_some() {
            for scenario in SCENARIOS {
                let text = scenario.trace().unwrap_or_else(|error| panic!("{error}")).to_itf();
                let file = folder.join(format!("{}{EXTENSION}", scenario.name));
                fs::write(file, text).expect("it can be written");
            }
        }
    });
    folder
}

/// Returns the trace of the scenario with this name.
fn scenario(name: &str) -> String {
    let scenario =
        SCENARIOS.iter().find(|scenario| scenario.name == name).expect("there is such a scenario");
    scenario.trace().expect("it can happen").to_itf()
}

/// Replays a text. Returns the number of steps, or the failure.
fn replayed(text: &str) -> Result<usize, String> {
    let trace = Trace::parse("a.itf.json", text).map_err(|error| error.to_string())?;
    let replayed = replay(&trace).map_err(|failure| {
        assert_eq!(failure.exit_code(), 2, "{failure}");
        failure.to_string()
    })?;
    Ok(replayed.steps)
}

/// Returns a text with one part replaced.
fn altered(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "nothing says {from}");
    text.replacen(from, to, 1)
}

#[test]
fn the_scenarios_are_what_is_kept() {
    for scenario in SCENARIOS {
        let text = scenario.trace().unwrap_or_else(|error| panic!("{error}")).to_itf();
        let file = folder().join(format!("{}{EXTENSION}", scenario.name));
        let kept = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        assert!(kept == text, "{file:?} is not what the scenario writes; set UPDATE_TRACES=1");
    }
    let names: HashSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), SCENARIOS.len(), "a name is there twice");
}

#[test]
fn every_kept_trace_is_replayed() {
    let files = in_folder(&folder()).expect("there are traces");
    assert!(files.len() >= 12, "only {} traces are left", files.len());
    assert_eq!(files.len(), SCENARIOS.len(), "a trace belongs to no scenario");
    for file in files {
        let trace = Trace::read(&file).unwrap_or_else(|error| panic!("{error}"));
        let replayed = replay(&trace).unwrap_or_else(|failure| panic!("{file:?}: {failure}"));
        assert_eq!(replayed.steps, trace.steps());
        assert!(replayed.ignored > 0);
        assert_eq!(Trace::parse("again", &trace.to_itf()), Ok(trace));
    }
}

/// Returns true if a scenario shows the bug. No scenario has snapshots or reads.
fn has_scenario(bug: Bug) -> bool {
    !matches!(
        bug,
        Bug::HidesTrimmed
            | Bug::TrimsUnchosen
            | Bug::LeadsBehind
            | Bug::ReadsUnconfirmed
            | Bug::ReadsBelowBarrier
            | Bug::CountsOldConfirmation
            | Bug::ReadsBelowGap
    )
}

#[test]
fn no_mutant_gets_through_the_scenarios() {
    let mut missed = Vec::new();
    for &bug in Bug::ALL.iter().filter(|&&bug| has_scenario(bug)) {
        let noticed = SCENARIOS.iter().any(|scenario| {
            let trace = scenario.trace().expect("it can happen");
            match replay_on_mutants(&trace, bug) {
                Ok(_) => false,
                Err(failure @ ReplayFailure::Diverged { .. }) => failure.exit_code() == 1,
                Err(failure) => panic!("{failure}"),
            }
        });
        if !noticed {
            missed.push(bug);
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

/// Counts the transitions that traces take, one by one, and compares the number with the count of a search.
fn covers(bounds: Bounds, transitions: usize) {
    let cluster = Cluster::new(bounds).expect("bounds in range").checked();
    let report = explore(&cluster, &Options::default());
    assert_eq!(report.transitions, transitions);
    let mut all = HashSet::new();
    let (mut states, mut traces, mut steps) = (HashSet::new(), 0, 0);
    let covered = cover::cover(bounds, |walk| {
        let mut state = cluster.init_states().remove(0);
        states.insert(state.clone());
        for &action in walk {
            let next = cluster.after(&state, &action).expect("it is possible");
            all.insert((state, action));
            state = next;
            states.insert(state.clone());
        }
        traces += 1;
        steps += walk.len();
        Ok(())
    });
    let covered = covered.expect("a small space");
    println!("{covered:?}");
    assert_eq!(all.len(), transitions);
    assert_eq!((covered.transitions, covered.states), (transitions, report.states));
    assert_eq!((covered.traces, covered.steps), (traces, steps));
    assert_eq!(states.len(), report.states);
}

#[test]
fn one_ballot_is_covered() {
    covers(Bounds::of(3, 1, 1), 688);
}

#[test]
fn two_ballots_are_covered() {
    covers(Bounds::of(3, 1, 2), 37_367);
}

#[test]
fn the_cover_of_one_ballot_is_written_and_replayed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cover");
    let _ = fs::remove_dir_all(&folder);
    let covered = cover::write_all(Bounds::of(3, 1, 1), &folder).expect("it can be written");
    let files = in_folder(&folder).expect("there are traces");
    assert_eq!(files.len(), covered.traces);
    let replayed = files.iter().map(|file| {
        let trace = Trace::read(file).unwrap_or_else(|error| panic!("{error}"));
        replay(&trace).unwrap_or_else(|failure| panic!("{file:?}: {failure}")).steps
    });
    assert_eq!(replayed.sum::<usize>(), covered.steps);
    let on_nodes = files.iter().map(|file| {
        let replayed = replay_on_nodes(&Trace::read(file).unwrap(), None);
        replayed.unwrap_or_else(|failure| panic!("{file:?}: {failure}")).steps
    });
    assert_eq!(on_nodes.sum::<usize>(), covered.steps);
    let again = cover::write_all(Bounds::of(3, 1, 1), &folder);
    assert!(matches!(again, Err(CoverError::Occupied { .. })));
    let large = cover::traces(Bounds::of(5, 3, 7));
    assert!(matches!(large, Err(CoverError::TooLarge { .. })));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_trace_that_was_tampered_with_is_refused_or_found() {
    let text = &scenario("happy-path");
    assert_eq!(replayed(text), Ok(8));
    let find = |what: &str| text.find(what).expect("it is there");
    let cut = |from: usize, to: usize| format!("{}{}", &text[..from], &text[to..]);
    let last = text.rfind(",\n    {").expect("the last state");
    let end = text.rfind("\n  ]").expect("the end of the states");
    let first = find("    {\n");
    let promise = find("        {\"tag\":\"Promise\"");
    let prepare = find("        {\"tag\":\"Prepare\"");
    let after_promise = promise + text[promise..].find('\n').expect("a line") + 1;
    let swapped = text
        .replace("{\"does\":\"n1 campaigns\",\"index\":1}", "FIRST")
        .replace("{\"does\":\"n2 gets Prepare b0\",\"index\":2}", "SECOND")
        .replace("FIRST", "{\"does\":\"n2 gets Prepare b0\",\"index\":1}")
        .replace("SECOND", "{\"does\":\"n1 campaigns\",\"index\":2}");
    let states: Vec<&str> = text[first..end].split(",\n    {").collect();
    let index = |state: &str, old: usize, new: usize| {
        state.replace(&format!("\"index\":{old}"), &format!("\"index\":{new}"))
    };
    let mut exchanged: Vec<String> = states.iter().map(ToString::to_string).collect();
    exchanged[4] = index(states[5], 5, 4);
    exchanged[5] = index(states[4], 4, 5);
    let exchanged = format!("{}{}{}", &text[..first], exchanged.join(",\n    {"), &text[end..]);
    let mut unnumbered = states.clone();
    unnumbered.swap(4, 5);
    let unnumbered = format!("{}{}{}", &text[..first], unnumbered.join(",\n    {"), &text[end..]);
    let deliver = "\"message\":{\"tag\":\"Accept\",\"value\":{\"ballot\":{\"#bigint\":\"0\"}";
    let wrong_value = "\"slot\":{\"#bigint\":\"0\"},\"value\":\"v1\"";
    let tampered = [
        ("nothing in it", String::new()),
        ("half of it", text[..text.len() / 2].to_owned()),
        ("more after it", format!("{text}{{}}")),
        ("another file", "{\"a\": 1}".to_owned()),
        ("a list", "[]".to_owned()),
        ("null", altered(text, "\"params\": []", "\"params\": null")),
        ("no states", cut(first, end)),
        ("without its last state", cut(last, end)),
        ("without its first state", cut(first, first + find_from(text, first, "    },\n") + 7)),
        ("another format", altered(text, "\"ITF\"", "\"XTF\"")),
        ("another variable", altered(text, "\"network\",", "\"wires\",")),
        ("a field twice", altered(text, "\"params\": []", "\"params\": [], \"params\": []")),
        ("an unknown field", altered(text, "\"params\"", "\"parms\"")),
        ("bounds without a field", altered(text, "\"nacks\":true,", "")),
        ("bounds with another field", altered(text, "\"nodes\":3", "\"nodes\":3,\"disks\":3")),
        ("nine nodes", altered(text, "\"nodes\":3", "\"nodes\":9")),
        ("300 nodes", altered(text, "\"nodes\":3", "\"nodes\":300")),
        ("other bounds", altered(text, "\"phase2_quorum\":2", "\"phase2_quorum\":3")),
        (
            "a fourth node",
            altered(
                text,
                "\"Campaign\",\"value\":{\"node\":\"n1\"",
                "\"Campaign\",\"value\":{\"node\":\"n4\"",
            ),
        ),
        (
            "a node that may not",
            altered(
                text,
                "\"Campaign\",\"value\":{\"node\":\"n1\"",
                "\"Campaign\",\"value\":{\"node\":\"n3\"",
            ),
        ),
        ("an unknown action", altered(text, "\"Campaign\"", "\"Abdicate\"")),
        (
            "a second beginning",
            altered(
                text,
                "{\"tag\":\"Campaign\",\"value\":{\"node\":\"n1\"}}",
                "{\"tag\":\"Init\",\"value\":{\"#tup\":[]}}",
            ),
        ),
        ("a ballot out of bounds", altered(text, deliver, &deliver.replace("\"0\"", "\"1\""))),
        ("a ballot that is no number", altered(text, deliver, &deliver.replace("\"0\"", "\"b0\""))),
        (
            "a promise in a state",
            altered(text, "\"promised\":{\"#bigint\":\"0\"}", "\"promised\":{\"#bigint\":\"1\"}"),
        ),
        (
            "another value",
            altered(text, "\"slot\":{\"#bigint\":\"0\"},\"value\":\"v0\"", wrong_value),
        ),
        ("a message removed", cut(promise, after_promise)),
        ("a message removed with its comma", cut(prepare, promise)),
        ("a node removed", altered(text, "[\"n1\",", "[\"n7\",")),
        ("two descriptions swapped", swapped),
        ("two states swapped", unnumbered),
        ("two states swapped and numbered", exchanged),
    ];
    let mut failures = String::new();
    for (what, text) in &tampered {
        let failure = replayed(text).expect_err(what);
        failures.extend([what, "\n  ", &failure.replace('\n', "\n  "), "\n"]);
    }
    expect![[r#"
        nothing in it
          a.itf.json: it is empty; a trace is an ITF object with #meta, vars and states
        half of it
          a.itf.json: it is no ITF: EOF while parsing a string at line 84 column 77 (was it cut?)
        more after it
          a.itf.json: it is no ITF: trailing characters at line 152 column 1
        another file
          a.itf.json: the trace.#meta is nothing; accepted is a record of #meta, vars, states
        a list
          a.itf.json: the trace is <>; accepted is a record of #meta, vars, states
        null
          a.itf.json: params is null; accepted is a list of names
        no states
          a.itf.json: it has no states; accepted is at least the initial one
        without its last state
          a.itf.json: it has 8 states, but #meta.steps is 8; 7 steps make them (was it cut?)
        without its first state
          a.itf.json: it has 8 states, but #meta.steps is 8; 7 steps make them (was it cut?)
        another format
          a.itf.json: #meta.format is XTF; accepted is ITF
        another variable
          a.itf.json: vars is <action, crashes, wires, nodes>; accepted is <action, crashes, network, nodes>
        a field twice
          a.itf.json: it is no ITF: the field "params" is there twice at line 3 column 28
        an unknown field
          a.itf.json: the trace.parms is <>; accepted is a record of #meta, vars, states
        bounds without a field
          a.itf.json: #meta.bounds.nacks is nothing; accepted is a record of nodes, phase1_quorum, phase2_quorum, ballots, campaigners, slots, values, crashes, unsynced, nacks, chosen
        bounds with another field
          a.itf.json: #meta.bounds.disks is 3; accepted is a record of nodes, phase1_quorum, phase2_quorum, ballots, campaigners, slots, values, crashes, unsynced, nacks, chosen
        nine nodes
          a.itf.json: #meta.bounds: nodes is 9; it must be 1 to 5
        300 nodes
          a.itf.json: #meta.bounds.nodes is 300; accepted is an integer, 0 to 255
        other bounds
          state 6 is not what the model does after "n1 gets Accepted b0 s0=v0 from n2": nodes[n1].chosen[0] differs
            recorded  v0
            model     nothing
        a fourth node
          a.itf.json: states[1].action.value.node is n4; accepted is a node, n1 to n3
        a node that may not
          state 1 is no successor of the one before: "n3 campaigns" changes nothing there
        an unknown action
          a.itf.json: states[1].action.tag is Abdicate; accepted is Init, Campaign, Propose, Deliver, Nack, Chosen, Sync, Crash, Snapshot or Read
        a second beginning
          a.itf.json: states[1].action is "n1 campaigns"; accepted is anything but Init
        a ballot out of bounds
          a.itf.json: states[5].action.value.message.value.ballot is 1; accepted is an integer, 0 only
        a ballot that is no number
          a.itf.json: it is no ITF: "b0" is no integer in decimal digits at line 80 column 102
        a promise in a state
          state 1 is not what the model does after "n1 campaigns": nodes[n1].disk.promised differs
            recorded  1
            model     0
        another value
          state 4 is not what the model does after "n1 proposes in 1 slots": network differs
            recorded  Accept [ballot: 0, slot: 0, value: v1]
            model     Accept [ballot: 0, slot: 0, value: v0]
        a message removed
          a.itf.json: it is no ITF: trailing comma at line 23 column 7
        a message removed with its comma
          state 1 is not what the model does after "n1 campaigns": network differs
            recorded  nothing
            model     Prepare [ballot: 0, first: 0]
        a node removed
          state 0 is not what the model does after "initially": nodes[n1] differs
            recorded  nothing
            model     [chosen: (), disk: [promised: -1, votes: ()], promised: -1, role: Follower, unsynced: <>, votes: ()]
        two descriptions swapped
          state 1 is not what the model does after "n1 campaigns": #meta.does differs
            recorded  n2 gets Prepare b0
            model     n1 campaigns
        two states swapped
          a.itf.json: states[4].#meta.index is 5; accepted is 4
        two states swapped and numbered
          state 4 is no successor of the one before: "n2 gets Accept b0 s0=v0" may not happen there
    "#]].assert_eq(&failures);
}

#[test]
fn traces_that_are_not_for_replicas_are_refused() {
    let text = scenario("happy-path");
    let broken = altered(&text, "\"bounds\":{", "\"bug\":8,\"bounds\":{");
    let why = replayed(&broken).expect_err("the replicas have no bug");
    assert_eq!(
        why,
        "it is a trace of a cluster with IgnoresReports; the replicas have no such bug"
    );
    let lines = text.lines().filter(|line| !line.starts_with("      \"action\":"));
    let bare: String = lines.map(|line| line.to_owned() + "\n").collect();
    let why = replayed(&altered(&bare, "[\"action\",", "[")).expect_err("there is no action");
    assert!(why.starts_with("state 1 does not say what led to it; `paxos-model trace`"), "{why}");
}

/// Returns a trace in which a node hears of a value and forgets it in a crash. The loop begins at state `to`.
fn lasso(to: usize) -> String {
    let actions = [
        r#"{"tag":"Campaign","value":{"node":"n1"}}"#,
        r#"{"tag":"Deliver","value":{"to":"n2","message":{"tag":"Prepare","value":{"ballot":0,"first":0}}}}"#,
        r##"{"tag":"Deliver","value":{"to":"n1","message":{"tag":"Promise","value":{"ballot":0,"sender":"n2","reports":{"#map":[]}}}}}"##,
        r#"{"tag":"Propose","value":{"node":"n1","count":1}}"#,
        r#"{"tag":"Deliver","value":{"to":"n2","message":{"tag":"Accept","value":{"ballot":0,"slot":0,"value":"v0"}}}}"#,
        r#"{"tag":"Chosen","value":{"to":"n2","slot":0,"ballot":0,"value":"v0"}}"#,
        r#"{"tag":"Crash","value":{"node":"n2"}}"#,
    ];
    let cluster = Cluster::new(Bounds::of(3, 1, 1)).expect("bounds in range").checked();
    let action = |text: &&str| {
        let value = serde_json::from_str(text).expect("a value");
        cluster.read_action(&value).expect("an action").expect("not the beginning")
    };
    let actions: Vec<_> = actions.iter().map(action).collect();
    let text = Trace::record(&cluster, "a lasso", &actions).expect("it can happen").to_itf();
    altered(&text, "\"params\": []", &format!("\"params\": [], \"loop\": {to}"))
}

#[test]
fn the_loop_of_a_lasso_is_closed_on_the_replicas() {
    // The trace has seven steps, and one more step closes the loop.
    assert_eq!(replayed(&lasso(6)), Ok(8));
    // The last state equals state 5, before the node hears of the value.
    assert_eq!(replayed(&lasso(5)), Ok(7));
    assert_eq!(replayed(&lasso(7)), Ok(7));
    let why = replayed(&lasso(3)).expect_err("the message stays in the network");
    assert!(why.starts_with("no action leads from the last state back to state 3"), "{why}");
    let why = replayed(&lasso(8)).expect_err("there is no such state");
    assert_eq!(why, "a.itf.json: loop is 8; accepted is the number of a state, 0 to 7, or nothing");
}

fn find_from(text: &str, from: usize, what: &str) -> usize {
    text[from..].find(what).expect("it is there")
}

#[test]
fn no_altered_text_passes_for_another_behaviour_and_nothing_panics() {
    let text = scenario("leader-crashes-after-one-vote-and-its-value-is-adopted");
    let original = Trace::parse("a.itf.json", &text).expect("it is a trace");
    // Omits each line, repeats each line, and changes each digit. At every seventh byte, omits the byte, spoils it, and cuts
    // off the rest.
    let lines: Vec<&str> = text.lines().collect();
    let mut texts = Vec::new();
    for i in 0..lines.len() {
        let (before, after) = (lines[..i].join("\n"), lines[i + 1..].join("\n"));
        texts.push(format!("{before}\n{after}"));
        texts.push(format!("{before}\n{line}\n{line}\n{after}", line = lines[i]));
    }
    for (i, _) in text.char_indices().step_by(7) {
        texts.push(format!("{}{}", &text[..i], &text[i + 1..]));
        texts.push(text[..i].to_owned());
        texts.push(format!("{}\0{}", &text[..i], &text[i + 1..]));
    }
    for (i, c) in text.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
        let other = if c == '0' { '1' } else { '0' };
        texts.push(format!("{}{other}{}", &text[..i], &text[i + 1..]));
    }
    for text in texts {
        let Ok(trace) = Trace::parse("a.itf.json", &text) else { continue };
        // A text that is still a trace is the same trace in another notation or with another description, ...
        let same = trace.actions().eq(original.actions());
        match replay(&trace) {
            // ... or the same behaviour in other bounds that allow it.
            Ok(replayed) => assert!(same && replayed.steps == original.steps(), "{text}"),
            Err(failure) => assert_eq!(failure.exit_code(), 2, "{failure}"),
        }
    }
}

#[test]
fn folders_without_traces_are_refused() {
    let none = Path::new(env!("CARGO_TARGET_TMPDIR")).join("none");
    let _ = fs::remove_dir_all(&none);
    assert!(in_folder(&none).expect_err("it is not there").what.starts_with("cannot be read: "));
    fs::create_dir_all(&none).expect("it can be made");
    assert_eq!(
        in_folder(&none).expect_err("it is empty").what,
        "has no traces; their names end in .itf.json"
    );
    assert!(Trace::read(&none.join("a")).expect_err("no file").what.starts_with("cannot be read"));
}

#[test]
fn every_kept_trace_is_replayed_on_nodes_with_stores() {
    for file in in_folder(&folder()).unwrap() {
        let trace = Trace::read(&file).unwrap();
        let replayed = replay_on_nodes(&trace, None);
        let replayed = replayed.unwrap_or_else(|failure| panic!("{}: {failure}", file.display()));
        assert_eq!(Ok(replayed), replay(&trace), "{}", file.display());
    }
}

#[test]
fn each_fault_of_a_store_is_found() {
    for fault in [Fault::DropsTheLastRecord, Fault::KeepsUnsynced, Fault::BelievesEarly] {
        let files = in_folder(&folder()).unwrap();
        let found = files.iter().any(|file| {
            let replayed = replay_on_nodes(&Trace::read(file).unwrap(), Some(fault));
            matches!(replayed, Err(ReplayFailure::Diverged { .. }))
        });
        assert!(found, "no kept trace finds {fault:?}");
    }
}

#[test]
fn a_shortened_trace_shows_a_difference_and_needs_each_step() {
    let mut shorter = 0;
    for &bug in Bug::ALL.iter().filter(|&&bug| has_scenario(bug)) {
        for scenario in SCENARIOS {
            let trace = scenario.trace().expect("it can happen");
            let differs = |trace: &Trace| {
                matches!(replay_on_mutants(trace, bug), Err(ReplayFailure::Diverged { .. }))
            };
            let short = shorten(&trace, |trace| replay_on_mutants(trace, bug));
            let Some(short) = short.expect("there is no store to fail") else {
                assert!(!differs(&trace), "{bug:?} in {}", scenario.name);
                continue;
            };
            let read = Trace::parse("a.itf.json", &short.trace.to_itf()).unwrap();
            assert!(differs(&read), "{bug:?} in {}", scenario.name);
            shorter += trace.steps() - short.trace.steps();
            let actions: Vec<_> = short.trace.actions().copied().collect();
            for i in 0..actions.len() {
                let mut fewer = actions.clone();
                fewer.remove(i);
                let fewer = Trace::record(trace.model(), "", &fewer);
                assert!(!fewer.is_ok_and(|fewer| differs(&fewer)), "{bug:?}: step {i} is needed");
            }
        }
    }
    assert!(shorter > 0, "no trace became shorter");
}
