//! paxos-conf/1: JSON lines on standard input and output, as far as a replicated log needs it.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A round and the node that owns the ballot.
pub(crate) type Ballot = (u64, String);

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Request {
    Hello {
        proto: String,
    },
    Init(Init),
    /// The subject chooses the slot.
    Propose {
        at: String,
        value: String,
    },
    Deliver {
        at: String,
        from: String,
        mid: u64,
        msg: Delivered,
    },
    Timer {
        at: String,
        timer: String,
    },
    Crash {
        at: String,
    },
    Restart {
        at: String,
        store: Option<String>,
    },
    Query {
        at: String,
        #[serde(default)]
        slot: u64,
    },
    Bye,
}

/// A new run. The three roles are played by the same nodes.
#[derive(Deserialize)]
pub(crate) struct Init {
    pub(crate) acceptors: Vec<String>,
    pub(crate) proposers: Vec<String>,
    pub(crate) learners: Vec<String>,
    /// The nodes that live in this process.
    pub(crate) host: Vec<String>,
    #[serde(default)]
    pub(crate) store: BTreeMap<String, Option<String>>,
}

/// A message as the judge echoes it. Only `raw` is read, because it holds the whole message.
#[derive(Deserialize)]
pub(crate) struct Delivered {
    pub(crate) raw: String,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    Hello { r#impl: &'static str, caps: Value },
    Step(Box<Step>),
    Slot(SlotState),
    Bye {},
    Error { error: String },
}

/// The effects of a request.
#[derive(Default, Serialize)]
pub(crate) struct Step {
    pub(crate) persist: BTreeMap<String, String>,
    /// The messages that a node told itself.
    #[serde(rename = "self")]
    pub(crate) internal: Vec<Internal>,
    pub(crate) send: Vec<Send>,
    pub(crate) timers: BTreeMap<String, Vec<&'static str>>,
    pub(crate) decided: Vec<Decided>,
    pub(crate) state: BTreeMap<String, State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<Fault>,
}

#[derive(Serialize)]
pub(crate) struct Internal {
    pub(crate) at: String,
    pub(crate) msg: Message,
}

#[derive(Serialize)]
pub(crate) struct Send {
    pub(crate) to: Vec<String>,
    pub(crate) msg: Message,
}

/// A message as the judge reads it. A field that the kind does not have is absent.
#[derive(Default, Serialize)]
pub(crate) struct Message {
    pub(crate) k: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) b: Option<Ballot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pb: Option<Ballot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ph: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slots: Option<Vec<SlotPart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) through: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) re: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) raw: Option<String>,
}

/// The part of a message for one slot.
#[derive(Serialize)]
pub(crate) struct SlotPart {
    pub(crate) s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vb: Option<Ballot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) v: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Decided {
    pub(crate) at: String,
    pub(crate) slot: u64,
    pub(crate) value: String,
}

/// The state of a node. The promise covers all slots, so it stands beside them.
#[derive(Serialize)]
pub(crate) struct State {
    pub(crate) promised: Option<Ballot>,
    pub(crate) slots: Vec<InSlot>,
}

#[derive(Serialize)]
pub(crate) struct InSlot {
    pub(crate) s: u64,
    pub(crate) accepted: Option<Vote>,
    pub(crate) decided: Option<String>,
}

/// The state of a node in one slot.
#[derive(Serialize)]
pub(crate) struct SlotState {
    pub(crate) promised: Option<Ballot>,
    pub(crate) accepted: Option<Vote>,
    pub(crate) decided: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Vote {
    pub(crate) b: Ballot,
    pub(crate) v: String,
}

#[derive(Serialize)]
pub(crate) struct Fault {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

/// The reason why a request has no effect that the judge may go on with.
pub(crate) enum Failure {
    /// The request makes no sense. This is no finding.
    Error(String),
    /// The node failed on a legal request. It is down.
    Fault(Fault),
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self::Error(error)
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Error(error) => Self::Error { error },
            Failure::Fault(fault) => {
                Self::Step(Box::new(Step { fault: Some(fault), ..Step::default() }))
            }
        }
    }
}

/// Answers each line of the input with one line, up to `bye` or the end of the input.
pub(crate) fn serve(
    mut answer: impl FnMut(Request) -> Result<Reply, Failure>,
) -> Result<(), io::Error> {
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
        let reply =
            request.map_err(|error| Failure::Error(error.to_string())).and_then(&mut answer);
        let reply = reply.unwrap_or_else(Reply::from);
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
