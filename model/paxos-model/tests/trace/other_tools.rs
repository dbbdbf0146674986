//! Traces of Lamport's Paxos as other tools write them. Names and notation make no difference to the verdict. The reader
//! refuses a notation that it does not know, and never reports it as a violation.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use expect_test::expect;
use paxos_model::{
    cluster::{Bounds, CheckedCluster, Cluster},
    trace::{AnyTrace, Trace, Why, write},
};
use serde_json::{Value as Json, json};

use crate::{altered, behaviours::told, check, command, file, says, states_only, synod_text};

/// Replaces each string in the states by the result of `f`.
fn renamed(text: &str, f: &dyn Fn(&str) -> Option<Json>) -> String {
    fn walk(value: &mut Json, f: &dyn Fn(&str) -> Option<Json>) {
        match value {
            Json::String(it) => *value = f(it).unwrap_or_else(|| value.clone()),
            Json::Array(items) => items.iter_mut().for_each(|it| walk(it, f)),
            Json::Object(fields) => {
                // The digits of an integer are not a name.
                let named = fields.iter_mut().filter(|(name, _)| *name != "#bigint");
                named.for_each(|(_, it)| walk(it, f));
            }
            _ => {}
        }
    }
    let mut root: Json = serde_json::from_str(text).expect("JSON");
    walk(&mut root["states"], f);
    root.to_string()
}

/// Replaces each ballot by the result of `f`.
fn balloted(text: &str, f: &dyn Fn(i64) -> Json) -> String {
    fn walk(value: &mut Json, f: &dyn Fn(i64) -> Json) {
        if let Some(digits) = value.get("#bigint") {
            *value = f(digits.as_str().expect("digits").parse().expect("an integer"));
            return;
        }
        match value {
            Json::Array(items) => items.iter_mut().for_each(|it| walk(it, f)),
            Json::Object(fields) => fields.values_mut().for_each(|it| walk(it, f)),
            _ => {}
        }
    }
    let mut root: Json = serde_json::from_str(text).expect("JSON");
    for state in root["states"].as_array_mut().expect("a list") {
        let variables = state.as_object_mut().expect("an object").iter_mut();
        variables.filter(|(name, _)| *name != "#meta").for_each(|(_, it)| walk(it, f));
    }
    root.to_string()
}

/// Replaces each message by the result of `f`.
fn messages(text: &str, f: &dyn Fn(&str, serde_json::Map<String, Json>) -> Json) -> String {
    let mut root: Json = serde_json::from_str(text).expect("JSON");
    for state in root["states"].as_array_mut().expect("a list") {
        for message in state["msgs"]["#set"].as_array_mut().expect("a set") {
            let mut fields = message.as_object().expect("a record").clone();
            let kind = fields.remove("type").expect("a type");
            *message = f(kind.as_str().expect("a string"), fields);
        }
    }
    root.to_string()
}

/// Adds fields to the object of the file, and to its first state.
fn with(text: &str, more: &Json, first: &Json) -> String {
    let mut root: Json = serde_json::from_str(text).expect("JSON");
    let add = |to: &mut Json, more: &Json| {
        let to = to.as_object_mut().expect("an object");
        to.extend(more.as_object().expect("an object").clone());
    };
    add(&mut root, more);
    add(&mut root["states"][0], first);
    root.to_string()
}

/// Replaces the value at a JSON pointer.
fn replaced(text: &str, pointer: &str, by: Json) -> String {
    let mut root: Json = serde_json::from_str(text).expect("JSON");
    *root.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = by;
    root.to_string()
}

/// The text as Apalache writes it for a typed `Paxos.tla`: with uninterpreted names and variants.
pub(crate) fn typed(text: &str) -> String {
    let name = |it: &str| match it.split_at_checked(1) {
        Some(("a", number)) => Some(json!(format!("a{number}_OF_ACCEPTOR"))),
        Some(("v", number)) => Some(json!(format!("{number}_OF_VALUE"))),
        _ => (it == "none").then(|| json!("None_OF_VALUE")),
    };
    let text = messages(text, &|kind, fields| json!({"tag": format!("M{kind}"), "value": fields}));
    renamed(&text, &name)
}

/// The same text with constants. Apalache writes their values into the first state.
fn apalache(text: &str) -> String {
    let text = typed(text);
    let acceptors = ["a0_OF_ACCEPTOR", "a1_OF_ACCEPTOR", "a2_OF_ACCEPTOR"];
    let [a, b, c] = acceptors;
    let constants = json!({
        "Acceptor": {"#set": acceptors},
        "Value": {"#set": ["0_OF_VALUE", "1_OF_VALUE"]},
        "Quorum": {"#set": [{"#set": [a, b]}, {"#set": [a, c]}, {"#set": [b, c]}]},
    });
    with(&text, &json!({"params": ["Acceptor", "Quorum", "Value"]}), &constants)
}

/// The text as Quint writes it: with integers, options, other tags and fields, and modules before names. It also has
/// the variables of model-based testing, which Quint lists twice.
fn quint(text: &str) -> String {
    let name = |it: &str| match it.split_at_checked(1) {
        Some(("v", number)) => Some(json!({"tag": "Some", "value": {"#bigint": number}})),
        _ => (it == "none").then(|| json!({"tag": "None", "value": {"#tup": []}})),
    };
    let text = messages(&renamed(text, &name), &|kind, mut fields| {
        if let Some(mut value) = fields.remove("val") {
            // A proposal is a value. A vote is an option, because it may be missing.
            fields.insert("value".to_owned(), value["value"].take());
        }
        if kind == "1b" {
            let acceptor = fields.remove("acc").expect("an acceptor");
            fields.insert("acceptor".to_owned(), acceptor);
        }
        json!({"tag": format!("Msg{kind}"), "value": fields})
    });
    let mut root: Json = serde_json::from_str(&text).expect("JSON");
    let module = |name: &str| format!("three::Paxos::{name}");
    let vars = ["maxBal", "maxVBal", "maxVal", "msgs"].map(module);
    let more = ["mbt::actionTaken", "mbt::nondetPicks", "mbt::actionTaken", "mbt::nondetPicks"];
    root["vars"] = vars.iter().map(String::as_str).chain(more).collect();
    for state in root["states"].as_array_mut().expect("a list") {
        let state = state.as_object_mut().expect("an object");
        for (name, long) in ["maxBal", "maxVBal", "maxVal", "msgs"].iter().zip(&vars) {
            let value = state.remove(*name).expect("a variable");
            state.insert(long.clone(), value);
        }
        state.insert("mbt::actionTaken".to_owned(), json!("step"));
        let picks = json!({"b": {"tag": "Some", "value": 1}, "n": {"#unserializable": "Nat"}});
        state.insert("mbt::nondetPicks".to_owned(), picks);
    }
    root["#meta"] = json!({"format": "ITF", "status": "ok", "timestamp": 1_701_944_461_444_u64});
    root.to_string()
}

/// The steps that explain the states of a text, if the states are a behaviour.
fn steps(text: &str) -> Result<usize, String> {
    let trace = AnyTrace::parse("it", text).map_err(|error| error.to_string())?;
    let AnyTrace::Synod(trace) = trace else { panic!("of synod") };
    let replay = trace.replay();
    match replay.stopped {
        None => Ok(replay.behaviour.steps().len()),
        Some(stopped) => Err(format!("{}: {}", stopped.place(), stopped.why)),
    }
}

/// The bounds as written in a file of this program.
fn bounds(values: u8, ballots: u8) -> Json {
    let bounds = json!({
        "acceptors": 3, "values": values, "ballots": ballots, "phase1_quorum": 2, "phase2_quorum": 2,
    });
    json!({"#meta": {"bounds": bounds}})
}

fn bare() -> String {
    states_only(&synod_text())
}

const STEPS: usize = 10;

#[test]
fn traces_of_apalache_are_understood() {
    let text = apalache(&bare());
    check(
        &says(&text, "apalache.itf.json", &[]),
        &expect![[r"
            trace    apalache.itf.json
            model    synod: 3 acceptors, 1 values, 2 ballots, quorums of 2 and 2
            actions  not in the file; found from the states
            names    in the file: a0 is a0_OF_ACCEPTOR, a1 is a1_OF_ACCEPTOR, a2 is a2_OF_ACCEPTOR, v0 is
                     1_OF_VALUE, none is None_OF_VALUE
                 1   prepare ballot 0
                 2   acceptor 0 promises ballot 0
                 3   acceptor 1 promises ballot 0
                 4   propose value 0 in ballot 0
                 5   acceptor 0 votes in ballot 0
                 6   prepare ballot 1
                 7   acceptor 0 promises ballot 1
                 8   acceptor 2 promises ballot 1
                 9   propose value 0 in ballot 1
                10   acceptor 2 votes in ballot 1
            verdict  holds: a behaviour to its end, 10 steps
            exit 0
        "]],
    );
    // The first state need not have the parameters.
    let named = with(&bare(), &json!({"params": ["Value", "Acceptor", "Quorum"]}), &json!({}));
    assert_eq!(steps(&named), Ok(STEPS));
}

#[test]
fn traces_of_quint_are_understood() {
    let text = quint(&bare());
    check(
        &says(&text, "quint.itf.json", &[]),
        &expect![[r"
            trace    quint.itf.json
            model    synod: 3 acceptors, 1 values, 2 ballots, quorums of 2 and 2
            actions  not in the file; found from the states
            assumed  each majority of the 3 acceptors is a quorum
            names    in the file: v0 is 1, none is None
            ignored  mbt::actionTaken, mbt::nondetPicks: no variables of the model
                 1   prepare ballot 0
                 2   acceptor 0 promises ballot 0
                 3   acceptor 1 promises ballot 0
                 4   propose value 0 in ballot 0
                 5   acceptor 0 votes in ballot 0
                 6   prepare ballot 1
                 7   acceptor 0 promises ballot 1
                 8   acceptor 2 promises ballot 1
                 9   propose value 0 in ballot 1
                10   acceptor 2 votes in ballot 1
            verdict  holds: a behaviour to its end, 10 steps
            exit 0
        "]],
    );
    // Two variables with the same name are refused.
    let both = altered(&text, r#""vars":["#, r#""vars":["other::msgs","#);
    let error = AnyTrace::parse("it", &both).expect_err("two candidates").to_string();
    assert_eq!(
        error,
        "it: vars has both other::msgs and three::Paxos::msgs; accepted is one variable named msgs"
    );
}

#[test]
fn names_and_notation_make_no_difference() {
    let bare = bare();
    assert_eq!(steps(&bare), Ok(STEPS));
    let letters = |from: &'static str, to: &'static [&'static str]| {
        move |it: &str| {
            let number = it.strip_prefix(from)?.parse::<usize>().ok()?;
            Some(json!(to[number]))
        }
    };
    let integers = |it: &str| it.strip_prefix('a').map(|n| json!({"#bigint": n}));
    let records =
        |it: &str| it.strip_prefix('v').map(|n| json!({"data": [n], "set": {"#set": []}}));
    let none = |it: &str| (it == "none").then(|| json!({"#tup": []}));
    let crossed = |it: &str| match it {
        "none" => Some(json!("v0")),
        "v1" => Some(json!("none")),
        "a0" => Some(json!("a1")),
        "a1" => Some(json!("a0")),
        _ => None,
    };
    for (what, text) in [
        ("acceptors in another order", renamed(&bare, &letters("a", &["z", "y", "x"]))),
        ("acceptors of other lengths", renamed(&bare, &letters("a", &["a10", "a9", ""]))),
        ("acceptors with a gap", renamed(&bare, &letters("a", &["a0", "a1", "a3"]))),
        ("acceptors as integers", renamed(&bare, &integers)),
        ("values as records", renamed(&bare, &records)),
        ("an empty tuple as no value", renamed(&bare, &none)),
        ("names of each other", renamed(&bare, &crossed)),
        ("a value that is far away", renamed(&bare, &letters("v", &["v0", "v200"]))),
        ("ballots from one on", balloted(&bare, &|b| json!(if b < 0 { b } else { b + 1 }))),
        ("ballots with a decimal point", balloted(&bare, &|b| json!(f64::from(b as i32)))),
        ("ballots far apart", balloted(&bare, &|b| json!(if b < 0 { b } else { 1000 * b + 7 }))),
        (
            "ballots beyond 64 bits",
            balloted(&bare, &|b| match b {
                0 => json!(u64::MAX),
                1 => json!({"#bigint": "1000000000000000000000000000000"}),
                _ => json!(b),
            }),
        ),
        ("tags", messages(&bare, &|kind, it| json!({"tag": kind, "value": it}))),
        ("a byte order mark", format!("\u{feff}{bare}")),
        (
            "values that are never proposed",
            with(
                &bare,
                &json!({"params": ["Value"]}),
                &json!({"Value": {"#set": (0..1000).map(|v| format!("v{v}")).collect::<Vec<_>>()}}),
            ),
        ),
        (
            "bounds",
            with(&renamed(&bare, &letters("a", &["x", "y", "z"])), &bounds(2, 2), &json!({})),
        ),
        ("no loop", with(&bare, &json!({"loop": null}), &json!({}))),
        ("another variable", {
            let text = altered(&bare, r#""vars":["#, r#""vars":["action","#);
            altered(&text, r#""maxBal":{"#, r#""action":null,"maxBal":{"#)
        }),
    ] {
        assert_eq!(steps(&text), Ok(STEPS), "{what}");
    }
    // Functions of strings are records in TLA+, and functions of 1, 2, 3 are sequences.
    let mut root: Json = serde_json::from_str(&renamed(&bare, &|it| {
        it.strip_prefix('a').map(|n| json!(n.parse::<u8>().expect("a digit") + 1))
    }))
    .expect("JSON");
    for state in root["states"].as_array_mut().expect("a list") {
        for name in ["maxBal", "maxVBal", "maxVal"] {
            let pairs = state[name]["#map"].as_array().expect("a map");
            state[name] = pairs.iter().map(|pair| pair[1].clone()).collect();
        }
    }
    assert_eq!(steps(&root.to_string()), Ok(STEPS), "sequences");
}

#[test]
fn inconsistent_names_are_violations() {
    let bare = bare();
    let apalache = apalache(&bare);
    // The vote of the last step.
    let vote = "/states/10/maxVal/#map/2/1";
    for (what, text, said) in [
        (
            "two acceptors become one name, where no key is twice",
            replaced(&bare, "/states/2/msgs/#set/0/acc", json!("a1")),
            "step 2: no action leads to the recorded state",
        ),
        (
            "an acceptor that none of the maps has",
            replaced(&bare, "/states/2/msgs/#set/0/acc", json!("a7")),
            "step 2: no action leads to the recorded state",
        ),
        (
            "a value that was not proposed",
            replaced(&bare, vote, json!("v5")),
            "step 10: no action leads to the recorded state",
        ),
        (
            "no value, as a vote",
            replaced(&bare, vote, json!("none")),
            "step 10: no action leads to the recorded state",
        ),
        (
            "a value that is not in Value",
            altered(&apalache, r#""0_OF_VALUE","1_OF_VALUE""#, r#""0_OF_VALUE","2_OF_VALUE""#),
            "step 4: no action leads to the recorded state",
        ),
        (
            "a value of ours that is not in Value",
            with(&bare, &json!({"params": ["Value"]}), &json!({"Value": {"#set": ["v0"]}})),
            "step 4: no action leads to the recorded state",
        ),
        (
            "a value where there is none at all",
            with(&bare, &json!({"params": ["Value"]}), &json!({"Value": {"#set": []}})),
            "step 4: no action leads to the recorded state",
        ),
        (
            "a value beyond the bounds of the file",
            with(&apalache, &bounds(1, 2), &json!({"Value": {"#set": []}})),
            "step 4: no action leads to the recorded state",
        ),
        (
            "a ballot beyond the bounds of the file",
            with(&bare, &bounds(2, 1), &json!({})),
            "step 6: no action leads to the recorded state",
        ),
        (
            "one acceptor more in Acceptor",
            altered(&apalache, r##""Acceptor":{"#set":["##, r##""Acceptor":{"#set":["more","##),
            "the beginning: the recorded state differs at maxBal[a0]: recorded nothing, the model has -1",
        ),
        (
            "ballots in the other order",
            balloted(&bare, &|b| json!(if b < 0 { b } else { 1000 - 900 * b })),
            "step 7: no action leads to the recorded state",
        ),
        (
            "a negative ballot",
            balloted(&bare, &|b| json!(if b == 0 { -7 } else { b })),
            "step 1: no action leads to the recorded state",
        ),
        (
            "a very negative ballot",
            balloted(&bare, &|b| match b {
                0 => json!({"#bigint": "-1000000000000000000000000000000"}),
                _ => json!(b),
            }),
            "step 1: no action leads to the recorded state",
        ),
    ] {
        assert_eq!(steps(&text), Err(said.to_owned()), "{what}");
    }
}

#[test]
fn quorums_are_those_of_the_file() {
    let bare = bare();
    let quorum =
        |quorum: Json| with(&bare, &json!({"params": ["Quorum"]}), &json!({"Quorum": quorum}));
    let set = |names: &[&str]| json!({"#set": names});
    let assumed = |text: &str| {
        let AnyTrace::Synod(trace) = AnyTrace::parse("it", text).expect("a trace") else {
            panic!("of synod")
        };
        trace.reading().assumed.join("; ")
    };
    let majorities = [set(&["a0", "a1"]), set(&["a0", "a2"]), set(&["a1", "a2"])];
    assert_eq!(assumed(&quorum(json!({"#set": majorities}))), "");
    let all = [&majorities[..], &[set(&["a0", "a1", "a2"])]].concat();
    assert_eq!(assumed(&quorum(json!({"#set": all}))), "");
    let majority = "each majority of the 3 acceptors is a quorum";
    assert_eq!(assumed(&bare), majority);
    assert_eq!(assumed(&quorum(json!({"#unserializable": "SUBSET Acceptor"}))), majority);
    let two = "each 2 of the 3 acceptors are a quorum; the file has fewer quorums";
    assert_eq!(assumed(&quorum(json!({"#set": [set(&["a0", "a1"])]}))), two);
    // Either no value is proposed before all acceptors have promised, or one promise is enough.
    let everyone = quorum(json!({"#set": [set(&["a0", "a1", "a2"])]}));
    assert_eq!(steps(&everyone), Err("step 4: no action leads to the recorded state".to_owned()));
    let mut early: Json = serde_json::from_str(&bare).expect("JSON");
    let states = early["states"].as_array_mut().expect("a list");
    states.truncate(3);
    let mut proposed = states[2].clone();
    let proposal = json!({"type": "2a", "bal": 0, "val": "v1"});
    proposed["msgs"]["#set"].as_array_mut().expect("a set").push(proposal);
    proposed["#meta"]["index"] = json!(3);
    states.push(proposed);
    let early = early.to_string();
    assert_eq!(steps(&early), Err("step 3: no action leads to the recorded state".to_owned()));
    let one = with(
        &early,
        &json!({"params": ["Quorum"]}),
        &json!({"Quorum": {"#set": [set(&["a0"]), set(&["a0", "a1"])]}}),
    );
    assert_eq!(steps(&one), Ok(3));
    for (wrong, said) in [
        (json!(7), "states[0].Quorum is 7; accepted is a set of sets of acceptors"),
        (json!({"#set": []}), "states[0].Quorum is empty; accepted is a set with a quorum in it"),
        (
            json!({"#set": [{"#set": []}]}),
            "states[0].Quorum: an element is {}; accepted is a set of one or more elements of Acceptor",
        ),
        (
            json!({"#set": [{"#set": ["a9"]}]}),
            "states[0].Quorum: an element is {a9}; accepted is a set of one or more elements of Acceptor",
        ),
    ] {
        assert_eq!(steps(&quorum(wrong)), Err(format!("it: {said}")));
    }
}

#[test]
fn a_loop_has_to_close() {
    let bare = bare();
    let lasso = |to: usize| with(&bare, &json!({ "loop": to }), &json!({}));
    // Messages are never removed, so a state recurs only if nothing changes.
    check(
        &says(&lasso(10), "stays.itf.json", &[]),
        &expect![[r"
        trace    stays.itf.json
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
        loop     the last state is state 10 again
        verdict  holds: a behaviour to its end, 10 steps
        exit 0
    "]],
    );
    check(
        &says(&lasso(9), "lasso.itf.json", &["--mermaid", "lasso.mmd"]),
        &expect![[r"
            trace    lasso.itf.json
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
            verdict  violated: not a behaviour of the model
            the loop: no action leads from the last state back to state 9, as loop says
            possible there:
              acceptor 0 votes in ballot 1; but the recorded state differs at maxVBal[a0]: recorded 0, the model
                has 1
              acceptor 1 promises ballot 1; but the recorded state differs at maxBal[a1]: recorded 0, the model
                has 1
              acceptor 1 votes in ballot 0; but the recorded state differs at maxVBal[a1]: recorded -1, the
                model has 0
              acceptor 1 votes in ballot 1; but the recorded state differs at maxBal[a1]: recorded 0, the model
                has 1
            exit 1
        "]],
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mermaid = fs::read_to_string(folder.join("lasso.mmd")).expect("it was drawn");
    assert!(mermaid.contains("the loop is none of the model: no action leads from the last state"));
    let output = command("lasso.itf.json", &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let object: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["stopped"]["why"]["does_not_return"]["to"], 9);
    // The loop is not checked if the states before it are not a behaviour.
    let broken = replaced(&lasso(10), "/states/2/msgs/#set/0/acc", json!("a1"));
    let AnyTrace::Synod(trace) = AnyTrace::parse("it", &broken).expect("a trace") else {
        panic!("of synod")
    };
    let replay = trace.replay();
    assert_eq!((replay.returns, replay.stopped.map(|it| it.why)), (None, Some(Why::Unexplained)));
    // A node hears of a value, forgets it in a crash, and hears of it again.
    let cluster = Cluster::new(Bounds::of(3, 1, 1)).expect("bounds in range").checked();
    let scenario = [
        "n1 campaigns",
        "n2 gets Prepare b0",
        "n1 gets Promise b0 from n2 reporting nothing",
        "n1 proposes in 1 slots",
        "n2 gets Accept b0 s0=v0",
        "n2 hears that b0 got v0 chosen in s0",
        "n2 crashes and starts again",
    ];
    let text = write(&cluster, &told(&cluster, &scenario), "the news comes again and again");
    let lasso =
        |to: usize| altered(&text, r#""params": []"#, &format!(r#""params": [], "loop": {to}"#));
    let said = says(&lasso(6), "news.itf.json", &[]);
    let closed =
        "loop     from the last state back to state 6: n2 hears that b0 got v0 chosen in s0\n";
    assert!(said.contains(closed) && said.ends_with("exit 0\n"), "{said}");
    let trace = Trace::<CheckedCluster>::parse("it", &lasso(6)).expect("a trace");
    assert_eq!(Trace::<CheckedCluster>::parse("it", &trace.to_itf()), Ok(trace));
    let said = says(&lasso(3), "news.itf.json", &[]);
    assert!(
        said.contains("the loop: no action leads from the last state back to state 3"),
        "{said}"
    );
    assert!(said.ends_with("exit 1\n"), "{said}");
}

#[test]
fn standard_input_is_a_file_too() {
    let trace = |text: &[u8], more: &[&str]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_paxos-model"))
            .args(["trace", "-"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        child.stdin.take().expect("a pipe").write_all(text).expect("it is read");
        let output = child.wait_with_output().expect("it ends by itself");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("UTF-8"))
    };
    let (code, said) = trace(bare().as_bytes(), &[]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("trace    standard input\nmodel    synod"), "{said}");
    let (code, said) = trace(b"", &[]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("error: standard input: it is empty"), "{said}");
    let (code, said) = trace(bare().as_bytes(), &["--bug", "8"]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("error: standard input is a trace of synod"), "{said}");
}

/// None of these files is a violation. The reader does not understand the file, and names the place.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn unreadable_notation_is_refused_with_its_place() {
    let bare = bare();
    let at = |pointer: &str, by: Json| replaced(&bare, pointer, by);
    let unserializable = json!({"#unserializable": "Nat"});
    let message = |by: Json| at("/states/1/msgs/#set/0", by);
    let many = |count: usize| -> String {
        let map: Vec<_> = (0..count).map(|i| json!([i, -1])).collect();
        let state = json!({
            "msgs": {"#set": []}, "maxBal": {"#map": map}, "maxVBal": {"#map": map}, "maxVal": {"#map": map},
        });
        json!({"vars": ["msgs", "maxBal", "maxVBal", "maxVal"], "states": [state]}).to_string()
    };
    let ballots: Vec<_> = (0..20).map(|b| json!({"type": "1a", "bal": 1000 * b})).collect();
    let nested = "[".repeat(1000);
    let mut said = String::new();
    for (what, text) in [
        ("an unserializable variable", at("/states/3/msgs", unserializable.clone())),
        ("an unserializable ballot", at("/states/3/maxBal/#map/1/1", unserializable.clone())),
        ("an unserializable value", at("/states/4/msgs/#set/0/mval", unserializable)),
        ("null", at("/states/3/maxVal/#map/1/1", json!(null))),
        ("a fraction", at("/states/3/maxBal/#map/1/1", json!(0.5))),
        ("an integer that JSON rounds", at("/states/3/maxBal/#map/1/1", json!(1e20))),
        ("a ballot that is a string", at("/states/3/maxBal/#map/1/1", json!("0"))),
        ("a ballot that is a string, in a message", message(json!({"type": "1a", "bal": "0"}))),
        ("digits that are none", at("/states/3/maxBal/#map/1/1", json!({"#bigint": "0x7"}))),
        ("no digits", at("/states/3/maxBal/#map/1/1", json!({"#bigint": ""}))),
        ("no acceptors", at("/states/0/maxBal", json!({"#map": []}))),
        ("no acceptors in a record", at("/states/0/maxVal", json!({}))),
        ("no function", at("/states/2/maxVBal", json!({"#set": ["a0"]}))),
        ("a key twice", at("/states/2/maxVBal/#map/1/0", json!("a0"))),
        ("messages in a list", at("/states/1/msgs", json!([{"type": "1a", "bal": 0}]))),
        ("a message twice", at("/states/2/msgs/#set/0", json!({"type": "1a", "bal": 0}))),
        ("a message that is no record", message(json!(7))),
        ("a message without a type", message(json!({"bal": 0}))),
        ("a message with a number for a type", message(json!({"type": 1, "bal": 0}))),
        ("a message of an unknown type", message(json!({"type": "3a", "bal": 0}))),
        ("a variant with an unknown tag", message(json!({"tag": "Prepare", "value": {"bal": 0}}))),
        ("a variant with no record in it", message(json!({"tag": "M1a", "value": 0}))),
        ("a message that lacks a field", message(json!({"type": "2a", "bal": 0}))),
        ("a message with a field more", message(json!({"type": "1a", "bal": 0, "val": "v0"}))),
        ("too many acceptors", many(64)),
        ("far too many acceptors", many(300)),
        ("too many ballots", at("/states/1/msgs", json!({ "#set": ballots }))),
        ("a loop that is a name", with(&bare, &json!({"loop": "x"}), &json!({}))),
        ("a loop before the beginning", with(&bare, &json!({"loop": -1}), &json!({}))),
        ("parameters that are no list", with(&bare, &json!({"params": "Value"}), &json!({}))),
        ("a parameter that is no name", with(&bare, &json!({"params": [1]}), &json!({}))),
        ("variables that are no list", at("/vars", json!({"#set": []}))),
        ("a variable that is no name", at("/vars/0", json!(null))),
        ("states that are no list", at("/states", json!("none"))),
        ("states that are too much to show", at("/states", json!("none ".repeat(1000)))),
        ("a state that is no record", at("/states/3", json!([]))),
        ("a variable that is not in a state", altered(&bare, r#""msgs":{"#, r#""messages":{"#)),
        ("too deep", altered(&bare, r#""states":["#, &format!(r#""states":[{nested}"#))),
        ("an unknown mark", at("/states/3/msgs", json!({"#bag": []}))),
    ] {
        let error = AnyTrace::parse("it", &text).expect_err(what);
        writeln!(said, "{what}\n  {error}").expect("a string");
    }
    check(
        &said,
        &expect![[r##"
            an unserializable variable
              it: states[3].msgs is #unserializable "Nat"; accepted is a value of ITF, which has no null, no fractions, and large integers as {"#bigint": "7"}
            an unserializable ballot
              it: states[3].maxBal[a1] is #unserializable "Nat"; accepted is a value of ITF, which has no null, no fractions, and large integers as {"#bigint": "7"}
            an unserializable value
              it: states[4].msgs[element].mval is #unserializable "Nat"; accepted is a value of ITF, which has no null, no fractions, and large integers as {"#bigint": "7"}
            null
              it: states[3].maxVal[a1] is null; accepted is a value of ITF, which has no null, no fractions, and large integers as {"#bigint": "7"}
            a fraction
              it: states[3].maxBal[a1] is 0.5; accepted is a value of ITF, which has no null, no fractions, and large integers as {"#bigint": "7"}
            an integer that JSON rounds
              it: states[3].maxBal[a1] is 100000000000000000000; accepted is a value of ITF, which has no null, no fractions, and large integers as {"#bigint": "7"}
            a ballot that is a string
              it: states[3].maxBal[a1] is "0"; accepted is an integer
            a ballot that is a string, in a message
              it: states[1].msgs[1a].bal is "0"; accepted is an integer
            digits that are none
              it: it is no ITF: "0x7" is no integer in decimal digits at line 1 column 1126
            no digits
              it: it is no ITF: "" is no integer in decimal digits at line 1 column 1123
            no acceptors
              it: states[0].maxBal is (); accepted is a function of at least one acceptor
            no acceptors in a record
              it: states[0].maxVal is []; accepted is a function of at least one acceptor
            no function
              it: states[2].maxVBal is {a0}; accepted is a function of at least one acceptor
            a key twice
              it: it is no ITF: a map that has the key a0 twice at line 1 column 838
            messages in a list
              it: states[1].msgs is <1a [bal: 0]>; accepted is a set
            a message twice
              it: it is no ITF: a set that has the element 1a [bal: 0] twice at line 1 column 976
            a message that is no record
              it: states[1].msgs: a message is 7; accepted is a record with a type, or a variant of a tag and a record
            a message without a type
              it: states[1].msgs: a message is [bal: 0]; accepted is a record with a type, or a variant of a tag and a record
            a message with a number for a type
              it: states[1].msgs: type of the message 1 [bal: 0] is 1; accepted is a name that ends in 1a, 1b, 2a or 2b
            a message of an unknown type
              it: states[1].msgs: type of the message 3a [bal: 0] is 3a; accepted is a name that ends in 1a, 1b, 2a or 2b
            a variant with an unknown tag
              it: states[1].msgs: tag of the message Prepare [bal: 0] is Prepare; accepted is a name that ends in 1a, 1b, 2a or 2b
            a variant with no record in it
              it: states[1].msgs: value of the message M1a 0 is 0; accepted is a record
            a message that lacks a field
              it: states[1].msgs: val of the message 2a [bal: 0] is nothing; accepted is a message 2a with bal, val
            a message with a field more
              it: states[1].msgs: val of the message 1a [bal: 0, val: v0] is v0; accepted is a message 1a with bal only
            too many acceptors
              it: the states are beyond synod: 64 acceptors, 1 values and 1 ballots make 130 possible messages, and a state holds 128; give fewer acceptors or values: twice the number of acceptors and that of values together may be 127 at most
            far too many acceptors
              it: the states are beyond synod: 300 acceptors; at most 255 can be read
            too many ballots
              it: the states are beyond synod: 3 acceptors, 1 values and 21 ballots make 168 possible messages, and a state holds 128; with so many acceptors and values, give at most 16 ballots
            a loop that is a name
              it: loop is x; accepted is the number of a state, 0 to 10, or nothing
            a loop before the beginning
              it: loop is -1; accepted is the number of a state, 0 to 10, or nothing
            parameters that are no list
              it: params is Value; accepted is a list of names
            a parameter that is no name
              it: params[0] is 1; accepted is a name
            variables that are no list
              it: vars is {}; accepted is a list of names
            a variable that is no name
              it: vars[0] is null; accepted is a name
            states that are no list
              it: states is none; accepted is a list
            states that are too much to show
              it: states is none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none none …; accepted is a list
            a state that is no record
              it: states[3] is <>; accepted is a record of maxBal, maxVBal, maxVal, msgs
            a variable that is not in a state
              it: states[0].msgs is nothing; accepted is a record of maxBal, maxVBal, maxVal, msgs
            too deep
              it: it is no ITF: more than 127 lists and objects within each other at line 1 column 149; accepted are fewer
            an unknown mark
              it: it is no ITF: "#bag" is unknown; there are #bigint, #tup, #set, #map, #unserializable and #meta at line 1 column 1325
        "##]],
    );
}

#[test]
fn a_file_that_is_no_text_or_has_no_end_is_refused() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let refused = |name: &str| {
        let output = command(name, &[]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.join("utf16.itf.json"), utf16).expect("it can be written");
    let said = "error: utf16.itf.json: is not UTF-8 from byte 0 on; accepted is JSON in UTF-8\n";
    assert_eq!(refused("utf16.itf.json"), said);
    let large = file("large.itf.json", "");
    let large = fs::File::options().write(true).open(large).expect("it is there");
    large.set_len((32 << 20) + 1).expect("a hole");
    let said =
        "error: large.itf.json: has more than 33554432 bytes; accepted are at most that many\n";
    assert_eq!(refused("large.itf.json"), said);
    assert!(refused(".").starts_with("error: .: cannot be read: "));
    #[cfg(unix)]
    assert!(refused("/dev/zero").starts_with("error: /dev/zero: has more than 33554432 bytes"));
}
