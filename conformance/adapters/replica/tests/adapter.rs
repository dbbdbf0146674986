//! Drives the adapter as a judge does.

#[path = "../../template/tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use support::{Adapter, decisions, stored};

const PROGRAM: &str = env!("CARGO_BIN_EXE_paxos-adapter-replica");
const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn started() -> Adapter {
    Adapter::started(PROGRAM, [&NODES; 3], &NODES)
}

impl Adapter {
    fn propose(&mut self, at: &str, value: &str) -> Value {
        self.ask(json!({"op": "propose", "at": at, "value": value}))
    }

    fn fire(&mut self, at: &str, timer: &str) -> Value {
        self.ask(json!({"op": "timer", "at": at, "timer": timer}))
    }

    /// Restarts a node on the blob that it persisted last.
    fn restart(&mut self, at: &str, replies: &[Value]) -> Value {
        self.ask(json!({"op": "crash", "at": at}));
        self.ask(json!({"op": "restart", "at": at, "store": stored(replies, at)}))
    }
}

/// A message without the part that only the adapter reads.
fn judged(message: &Value) -> Value {
    let mut message = message.clone();
    message.as_object_mut().expect("a message is an object").remove("raw");
    message
}

#[test]
fn all_learners_decide_two_commands_in_one_batch() {
    let mut adapter = started();
    for value in ["v1", "v2"] {
        let step = adapter.propose("n1", value);
        assert_eq!(step["send"], json!([]), "no command is proposed before the node leads");
    }
    let step = adapter.fire("n1", "campaign");
    let prepare = json!({"k": "prepare", "b": [1, "n1"], "first": 0});
    assert_eq!(step["send"][0]["to"], json!(["n2", "n3"]));
    assert_eq!(judged(&step["send"][0]["msg"]), prepare);
    assert_eq!(
        step["self"],
        json!([
            {"at": "n1", "msg": prepare},
            {"at": "n1", "msg": {"k": "promise", "b": [1, "n1"], "slots": []}},
        ])
    );
    assert_eq!(step["timers"]["n1"], json!(["campaign", "resend"]));

    let replies = adapter.deliver_all("n1", &step, &[]);
    let promise = json!({"k": "promise", "b": [1, "n1"], "slots": [], "re": 1});
    assert_eq!(judged(&replies[0]["send"][0]["msg"]), promise);
    let leads = &replies[2];
    let slots = json!([{"s": 0, "v": "v1"}, {"s": 1, "v": "v2"}]);
    let accept = json!({"k": "accept", "b": [1, "n1"], "slots": slots});
    assert_eq!(judged(&leads["send"][0]["msg"]), accept);
    assert_eq!(
        leads["self"],
        json!([
            {"at": "n1", "msg": accept},
            {"at": "n1", "msg": {"k": "accepted", "b": [1, "n1"], "slots": [{"s": 0}, {"s": 1}]}},
        ])
    );
    assert_eq!(leads["timers"]["n1"], json!(["heartbeat", "resend"]));
    let chosen = replies.iter().flat_map(|reply| reply["send"].as_array().expect("a step sends"));
    let mut chosen = chosen.filter(|sent| sent["msg"]["k"] == "decided");
    assert_eq!(judged(&chosen.next().expect("the leader announces")["msg"])["slots"], slots);

    let decided = NODES.map(|at| {
        [json!({"at": at, "slot": 0, "value": "v1"}), json!({"at": at, "slot": 1, "value": "v2"})]
    });
    assert_eq!(decisions(&replies), decided.concat());
    let state = &replies.last().expect("there are replies")["state"]["n3"];
    assert_eq!(
        state["slots"][1],
        json!({"s": 1, "accepted": {"b": [1, "n1"], "v": "v2"}, "decided": "v2"})
    );
    assert_eq!(
        adapter.ask(json!({"op": "query", "at": "n2", "slot": 1}))["accepted"],
        json!({"b": [1, "n1"], "v": "v2"})
    );
    adapter.bye();
}

#[test]
fn a_restarted_node_keeps_its_promise_and_its_vote() {
    let mut adapter = started();
    adapter.propose("n1", "v1");
    let step = adapter.fire("n1", "campaign");
    let replies = [vec![step.clone()], adapter.deliver_all("n1", &step, &["n3"])].concat();
    assert_eq!(decisions(&replies).len(), 2);

    // The ballot of a node survives its crash, through its own promise.
    let started = adapter.restart("n1", &replies);
    assert_eq!(started["timers"]["n1"], json!(["campaign"]));
    assert_eq!(started["state"]["n1"]["promised"], json!([1, "n1"]));
    assert_eq!(
        started["state"]["n1"]["slots"],
        json!([{"s": 0, "accepted": {"b": [1, "n1"], "v": "v1"}, "decided": null}])
    );
    let again = adapter.fire("n1", "campaign");
    assert_eq!(again["send"][0]["msg"]["b"], json!([2, "n1"]));
    assert_eq!(
        again["self"][1]["msg"]["slots"],
        json!([{"s": 0, "vb": [1, "n1"], "v": "v1"}]),
        "its own promise reports its vote"
    );

    // The other voter reports its vote too, and the node that had no vote learns the value.
    adapter.restart("n2", &replies);
    let later = adapter.deliver_all("n1", &again, &[]);
    assert_eq!(later[0]["send"][0]["msg"]["slots"], json!([{"s": 0, "vb": [1, "n1"], "v": "v1"}]));
    let decided = NODES.map(|at| json!({"at": at, "slot": 0, "value": "v1"}));
    assert_eq!(decisions(&later), decided);
    adapter.bye();
}

#[test]
fn a_refusal_names_its_phase_and_a_heartbeat_is_not_judged() {
    let mut adapter = started();
    let low = adapter.fire("n1", "campaign");
    let high = adapter.fire("n2", "campaign");
    adapter.deliver_all("n2", &high, &["n1"]);
    let refused = adapter.deliver_all("n1", &low, &["n2"]);
    let nack = json!({"k": "nack", "b": [1, "n1"], "pb": [1, "n2"], "ph": 1, "re": 2});
    assert_eq!(judged(&refused[0]["send"][0]["msg"]), nack);
    assert_eq!(refused[1]["state"]["n1"]["promised"], json!([1, "n2"]), "it gives way");
    assert_eq!(refused[1]["self"], json!([]), "to give way is no campaign");

    let beat = adapter.fire("n2", "heartbeat");
    assert_eq!(judged(&beat["send"][0]["msg"]), json!({"k": "x"}));
    assert_eq!(adapter.deliver_all("n2", &beat, &[]).len(), 2);
    adapter.bye();
}

#[test]
fn the_same_schedule_has_the_same_replies() {
    let run = || {
        let mut adapter = started();
        let mut replies = vec![adapter.propose("n2", "v1"), adapter.propose("n3", "v2")];
        for at in ["n2", "n3"] {
            let step = adapter.fire(at, "campaign");
            replies.extend(adapter.deliver_all(at, &step, &["n1"]));
        }
        adapter.bye();
        replies
    };
    let first = run();
    assert_eq!(decisions(&first).len(), 4, "each of two nodes decides two slots");
    assert_eq!(first, run());
}

#[test]
fn a_request_that_makes_no_sense_is_an_error() {
    let mut adapter = started();
    let state = adapter.fire("n1", "campaign")["state"]["n1"].clone();
    adapter.ask(json!({"op": "crash", "at": "n3"}));
    for (line, id) in [
        (&b"{"[..], json!(null)),
        (b"", json!(null)),
        (b"\xff\xfe", json!(null)),
        (b"[1]", json!(null)),
        (br#"{"id":90,"op":"dance"}"#, json!(90)),
        (br#"{"id":91,"op":"propose","at":"n9","value":"v"}"#, json!(91)),
        (br#"{"id":92,"op":"propose","at":"n1","value":"noop"}"#, json!(92)),
        (br#"{"id":93,"op":"timer","at":"n1","timer":"heartbeat"}"#, json!(93)),
        (br#"{"id":94,"op":"deliver","at":"n1","from":"n2","mid":1,"msg":{"k":"prepare","b":[1,"n2"]}}"#, json!(94)),
        (br#"{"id":95,"op":"deliver","at":"n1","from":"n2","mid":1,"msg":{"k":"x","raw":"{}"}}"#, json!(95)),
        (br#"{"id":96,"op":"restart","at":"n3","store":"?"}"#, json!(96)),
        (br#"{"id":89,"op":"restart","at":"n1","store":null}"#, json!(89)),
        (br#"{"id":97,"op":"save"}"#, json!(97)),
        (br#"{"id":98,"op":"hello","proto":"paxos-conf/9"}"#, json!(98)),
    ] {
        let reply = adapter.line(line);
        assert_eq!(reply["id"], id);
        assert!(reply["error"].is_string(), "{reply}");
    }
    let query = adapter.ask(json!({"op": "query", "at": "n1", "slot": 0}));
    assert_eq!(query["promised"], state["promised"], "errors have no effect");
    adapter.bye();
}

/// A store in which one ballot has two values in one slot is damaged. The node refuses to start on it.
#[test]
fn a_node_that_refuses_its_store_is_a_fault() {
    let mut adapter = started();
    let record = |value: &str| {
        let ballot = json!({"round": 1, "node": 1});
        let command = json!({"Command": value.as_bytes()});
        json!({"Accepted": {"ballot": ballot, "first": 0, "values": [command]}}).to_string()
    };
    let store = format!("{}\n{}\n", record("v1"), record("v2"));
    adapter.ask(json!({"op": "crash", "at": "n1"}));
    let step = adapter.ask(json!({"op": "restart", "at": "n1", "store": store}));
    assert_eq!(step["fault"]["kind"], "reject");
    adapter.bye();
}
