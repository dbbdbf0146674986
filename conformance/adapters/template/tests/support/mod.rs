//! Drives an adapter as a judge does.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

pub(crate) struct Adapter {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next_id: u64,
}

impl Adapter {
    pub(crate) fn start(program: &str) -> Self {
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the adapter starts");
        let input = process.stdin.take().expect("its input is a pipe");
        let output = BufReader::new(process.stdout.take().expect("its output is a pipe"));
        Self { process, input, output, next_id: 0 }
    }

    /// Starts an adapter, and asks for a cluster.
    pub(crate) fn started(program: &str, roles: [&[&str]; 3], host: &[&str]) -> Self {
        let mut adapter = Self::start(program);
        adapter.ask(json!({"op": "hello", "proto": "paxos-conf/1"}));
        let [acceptors, proposers, learners] = roles;
        adapter.ask(json!({
            "op": "init", "acceptors": acceptors, "proposers": proposers, "learners": learners,
            "host": host, "seed": 7, "store": {},
        }));
        adapter
    }

    pub(crate) fn line(&mut self, line: &[u8]) -> Value {
        self.input.write_all(line).expect("the adapter reads");
        self.input.write_all(b"\n").expect("the adapter reads");
        let mut reply = String::new();
        self.output.read_line(&mut reply).expect("the adapter answers");
        serde_json::from_str(&reply).expect("a reply is JSON")
    }

    pub(crate) fn ask(&mut self, mut request: Value) -> Value {
        self.next_id += 1;
        request["id"] = self.next_id.into();
        let reply = self.line(request.to_string().as_bytes());
        assert_eq!(reply["id"], request["id"]);
        assert!(reply.get("error").is_none(), "{request}: {reply}");
        reply
    }

    /// Delivers the messages that the steps send, oldest first, but none to `lost`. Returns the replies to all deliveries.
    pub(crate) fn deliver_all(&mut self, from: &str, step: &Value, lost: &[&str]) -> Vec<Value> {
        let mut replies = vec![(from.to_owned(), step.clone())];
        let (mut at, mut mid) = (0, 0);
        while at < replies.len() {
            let (from, step) = replies[at].clone();
            for sent in step["send"].as_array().expect("a step sends") {
                for to in sent["to"].as_array().expect("a message has targets") {
                    let to = to.as_str().expect("a target is a node");
                    mid += 1;
                    if !lost.contains(&to) {
                        let deliver = json!({"op": "deliver", "at": to, "from": from, "mid": mid, "msg": sent["msg"]});
                        replies.push((to.to_owned(), self.ask(deliver)));
                    }
                }
            }
            at += 1;
        }
        replies.into_iter().skip(1).map(|(_, reply)| reply).collect()
    }

    pub(crate) fn bye(mut self) {
        assert_eq!(self.ask(json!({"op": "bye"})), json!({"id": self.next_id}));
        assert!(self.process.wait().expect("the adapter exits").success());
    }
}

/// The blob that was persisted last for a node.
pub(crate) fn stored(replies: &[Value], id: &str) -> Value {
    replies.iter().rev().find_map(|reply| reply["persist"].get(id).cloned()).unwrap_or_default()
}

pub(crate) fn decisions(replies: &[Value]) -> Vec<Value> {
    replies
        .iter()
        .flat_map(|reply| reply["decided"].as_array().cloned().unwrap_or_default())
        .collect()
}
