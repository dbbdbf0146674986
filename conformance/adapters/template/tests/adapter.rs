//! The adapter decides, survives crashes, and refuses what makes no sense.

mod support;

use serde_json::{Value, json};
use support::{Adapter, decisions, stored};

const PROGRAM: &str = env!("CARGO_BIN_EXE_paxos-adapter-template");

fn started() -> Adapter {
    let roles: [&[&str]; 3] = [&["a1", "a2", "a3"], &["p1", "p2"], &["l1", "l2"]];
    Adapter::started(PROGRAM, roles, &roles.concat())
}

impl Adapter {
    fn propose(&mut self, at: &str, value: &str) -> Value {
        self.ask(json!({"op": "propose", "at": at, "slot": 0, "value": value}))
    }
}

#[test]
fn all_learners_decide() {
    let mut adapter = started();
    let step = adapter.propose("p1", "v1");
    assert_eq!(
        step["send"][0],
        json!({"to": ["a1", "a2", "a3"], "msg": {"k": "prepare", "b": [1, "p1"]}})
    );
    assert_eq!(step["timers"], json!({"p1": ["retry"]}));
    let replies = adapter.deliver_all("p1", &step, &[]);
    let decided = |at| json!({"at": at, "slot": 0, "value": "v1"});
    assert_eq!(decisions(&replies), [decided("l1"), decided("l2")]);
    assert_eq!(
        replies[0]["send"][0],
        json!({"to": ["p1"], "msg": {"k": "promise", "b": [1, "p1"], "vb": null, "v": null, "re": 1}})
    );
    assert_eq!(adapter.ask(json!({"op": "query", "at": "l2", "slot": 0}))["decided"], "v1");
    assert_eq!(
        replies.iter().rfind(|reply| reply["timers"].get("p1").is_some()).expect("p1 steps")["timers"],
        json!({"p1": []})
    );
    adapter.bye();
}

#[test]
fn a_restarted_acceptor_reports_its_vote_and_a_restarted_proposer_goes_on_with_its_rounds() {
    let mut adapter = started();
    let step = adapter.propose("p1", "v1");
    let replies = [vec![step.clone()], adapter.deliver_all("p1", &step, &["a3"])].concat();
    for id in ["a1", "p1"] {
        assert!(adapter.ask(json!({"op": "crash", "at": id})).get("send").is_some());
        adapter.ask(json!({"op": "restart", "at": id, "store": stored(&replies, id)}));
    }
    let query = adapter.ask(json!({"op": "query", "at": "a1", "slot": 0}));
    assert_eq!(query["accepted"], json!({"b": [1, "p1"], "v": "v1"}));
    let step = adapter.propose("p1", "v2");
    assert_eq!(step["send"][0]["msg"]["b"], json!([2, "p1"]));
    let replies = adapter.deliver_all("p1", &step, &["a2"]);
    assert_eq!(replies[0]["send"][0]["msg"]["v"], "v1");
    assert_eq!(decisions(&replies), [] as [Value; 0], "the learners know it");
    adapter.bye();
}

#[test]
fn a_saved_run_goes_on_where_it_was() {
    let mut adapter = started();
    let step = adapter.propose("p1", "v1");
    let blob = adapter.ask(json!({"op": "save"}))["blob"].clone();
    let first = adapter.deliver_all("p1", &step, &["a2"]);
    assert_eq!(adapter.ask(json!({"op": "load", "blob": blob}))["timers"]["p1"], json!(["retry"]));
    let second = adapter.deliver_all("p1", &step, &["a2"]);
    assert_eq!(decisions(&first), decisions(&second));
    adapter.bye();
}

#[test]
fn a_refused_proposer_retries_above_the_promise() {
    let mut adapter = started();
    let low = adapter.propose("p1", "v1");
    let high = adapter.propose("p2", "v2");
    adapter.deliver_all("p2", &high, &["p2"]);
    let replies = adapter.deliver_all("p1", &low, &[]);
    assert_eq!(
        replies[0]["send"][0]["msg"],
        json!({"k": "nack", "b": [1, "p1"], "pb": [1, "p2"], "ph": 1, "re": 1})
    );
    let retry = adapter.ask(json!({"op": "timer", "at": "p1", "timer": "retry"}));
    assert_eq!(retry["send"][0]["msg"], json!({"k": "prepare", "b": [2, "p1"]}));
    assert_eq!(decisions(&adapter.deliver_all("p1", &retry, &[])).len(), 2);
    adapter.bye();
}

#[test]
fn a_request_that_makes_no_sense_is_an_error() {
    let mut adapter = started();
    let state = adapter.ask(json!({"op": "save"}))["blob"].clone();
    for (line, id) in [
        (&b"{"[..], json!(null)),
        (b"", json!(null)),
        (b"\xff\xfe", json!(null)),
        (b"[1]", json!(null)),
        (br#"{"id":90,"op":"dance"}"#, json!(90)),
        (br#"{"id":91,"op":"propose","at":"p9","value":"v"}"#, json!(91)),
        (br#"{"id":92,"op":"timer","at":"p1","timer":"retry"}"#, json!(92)),
        (br#"{"id":93,"op":"deliver","at":"a1","from":"p1","mid":1,"msg":{"k":"prepare","b":[1,"p9"]}}"#, json!(93)),
        (br#"{"id":94,"op":"deliver","at":"l1","from":"p1","mid":1,"msg":{"k":"prepare","b":[1,"p1"]}}"#, json!(94)),
        (br#"{"id":95,"op":"restart","at":"a1","store":"?"}"#, json!(95)),
        (br#"{"id":96,"op":"hello","proto":"paxos-conf/9"}"#, json!(96)),
    ] {
        let reply = adapter.line(line);
        assert_eq!(reply["id"], id);
        assert!(reply["error"].is_string(), "{reply}");
    }
    assert_eq!(adapter.ask(json!({"op": "save"}))["blob"], state, "errors have no effect");
    adapter.bye();
}
