//! paxos-conf/1: JSON lines on standard input and output. Copy it as it is, unless your ballots have another form.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An array of integers and node ids.
pub type Ballot = (u64, String);

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    Hello { proto: String },
    Init(Init),
    Propose { at: String, value: String },
    Deliver { at: String, from: String, mid: u64, msg: Message },
    Timer { at: String, timer: String },
    Crash { at: String },
    Restart { at: String, store: Option<String> },
    Query { at: String },
    Save,
    Load { blob: String },
    Bye,
}

#[derive(Deserialize)]
pub struct Init {
    #[serde(flatten)]
    pub names: Names,
    /// The nodes that live in this process.
    pub host: Vec<String>,
    #[serde(default)]
    pub store: BTreeMap<String, Option<String>>,
}

/// The nodes of each role.
#[derive(Default, Serialize, Deserialize)]
pub struct Names {
    pub acceptors: Vec<String>,
    pub proposers: Vec<String>,
    pub learners: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub enum Reply {
    Hello { r#impl: &'static str, caps: Value },
    Step(Box<Step>),
    State(State),
    Saved { blob: String },
    Bye {},
    Error { error: String },
}

/// The effects of a request.
#[derive(Default, Serialize)]
pub struct Step {
    pub send: Vec<Send>,
    pub persist: BTreeMap<String, String>,
    pub timers: BTreeMap<String, Vec<&'static str>>,
    pub decided: Vec<Decided>,
    pub state: BTreeMap<String, State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

#[derive(Serialize)]
pub struct Send {
    pub to: Vec<String>,
    pub msg: Message,
}

#[derive(Serialize, Deserialize)]
pub struct Message {
    #[serde(flatten)]
    pub kind: Kind,
    /// The number of the message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "lowercase")]
pub enum Kind {
    Prepare { b: Ballot },
    Promise { b: Ballot, vb: Option<Ballot>, v: Option<String> },
    Accept { b: Ballot, v: String },
    Accepted { b: Ballot, v: String },
    Nack { b: Ballot, pb: Ballot, ph: u8 },
}

#[derive(Serialize)]
pub struct Decided {
    pub at: String,
    pub slot: u64,
    pub value: String,
}

#[derive(Default, Serialize)]
pub struct State {
    pub promised: Option<Ballot>,
    pub accepted: Option<Vote>,
    pub decided: Option<String>,
}

#[derive(Serialize)]
pub struct Vote {
    pub b: Ballot,
    pub v: String,
}

#[derive(Serialize)]
pub struct Fault {
    pub kind: &'static str,
    pub text: String,
}

/// Answers each line of the input with one line, up to `bye` or the end of the input.
pub fn serve(mut handle: impl FnMut(Request) -> Result<Reply, String>) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line {
        id: Value,
        #[serde(flatten)]
        reply: Reply,
    }
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().split(b'\n') {
        let json = serde_json::from_slice::<Value>(&line?);
        let id = json.as_ref().map_or(Value::Null, |json| json["id"].clone());
        let request = json.and_then(serde_json::from_value::<Request>);
        let reply = request.map_err(|error| error.to_string()).and_then(&mut handle);
        let reply = reply.unwrap_or_else(|error| Reply::Error { error });
        let bye = matches!(reply, Reply::Bye {});
        serde_json::to_writer(&mut output, &Line { id, reply })?;
        output.write_all(b"\n")?;
        output.flush()?;
        if bye {
            break;
        }
    }
    Ok(())
}
