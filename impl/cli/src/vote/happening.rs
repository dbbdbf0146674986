//! What can be seen of a run.

use paxos::{Ballot, Message, Value};
use paxos_node::wire::FrameError;

/// One thing that happens, at a time that is told beside it.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A client asks a node to get its value chosen.
    Asks { client: usize, node: u32 },
    /// A node tells a client what is chosen.
    Told { client: usize, node: u32, value: Value },
    /// A message arrives, or gets lost.
    Message { from: u32, to: u32, sent: u64, due: u64, message: Message, again: bool, fate: Fate },
    /// A node stops, and forgets what is not recorded.
    Crashes { node: u32 },
    /// A node goes on from its records.
    Restarts { node: u32, promised: Option<Ballot>, accepted: Option<(Ballot, Value)> },
    /// Groups of nodes lose sight of each other.
    Partition { groups: String },
    /// They find each other again.
    Heals { groups: String },
    /// A node has a majority of promises.
    Leads { node: u32, ballot: Ballot },
    /// A majority has accepted a value in one ballot. Nobody in the cluster knows that yet.
    Chosen { value: Value, ballot: Ballot, nodes: Vec<u32> },
    /// A node knows what is chosen.
    Learns { node: u32, value: Value },
}

/// What becomes of a message.
#[derive(Debug)]
pub(crate) enum Fate {
    Arrives,
    Lost,
    /// Between two groups of a partition.
    Cut,
    /// Its receiver is down.
    Down,
    /// Damaged on its way, and noticed.
    Damaged(FrameError),
}

/// A message in few words.
pub(crate) fn words(message: &Message) -> String {
    match message {
        Message::Prepare { ballot } => format!("Prepare {ballot}"),
        Message::Promise { ballot, reports, .. } => match reports.first() {
            None => format!("Promise {ballot}"),
            Some(report) => {
                format!("Promise {ballot} reports {} {}", report.ballot, quoted(&report.value))
            }
        },
        Message::Accept { ballot, values, .. } => format!("Accept {ballot} {}", list(values)),
        Message::Accepted { ballot, .. } => format!("Accepted {ballot}"),
        Message::Nack { ballot, promised } => format!("Nack {ballot}, promised {promised}"),
        Message::Chosen { ballot, .. } => format!("Chosen {ballot}"),
        Message::Confirm { ballot, .. } => format!("Confirm {ballot}"),
        Message::Confirmed { ballot, .. } => format!("Confirmed {ballot}"),
        Message::Heartbeat { ballot, .. } => format!("Heartbeat {ballot}"),
        Message::Learn { .. } => "Learn".to_owned(),
        Message::Learned { values, .. } => format!("Learned {}", list(values)),
        Message::Trimmed { below } => format!("Trimmed {below}"),
    }
}

fn list(values: &[Value]) -> String {
    values.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// A value as a client wrote it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Noop => "no-op".to_owned(),
        Value::Command(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The same, set off from the words around it.
pub(crate) fn quoted(value: &Value) -> String {
    match value {
        Value::Noop => "no-op".to_owned(),
        Value::Command(_) => format!("\"{}\"", plain(value)),
    }
}
