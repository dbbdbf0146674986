//! The events of a run that its output shows.

use paxos::{Ballot, Message, Value};
use paxos_node::wire::FrameError;

/// One event of a run. Its time is a separate argument of the functions that take it.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A client asks a node to get its value chosen.
    Asks { client: usize, node: u32 },
    /// A node tells a client the chosen value.
    Told { client: usize, node: u32, value: Value },
    /// A message arrives or is lost. `again` is true for the second copy of a duplicated message.
    Message { from: u32, to: u32, sent: u64, due: u64, message: Message, again: bool, fate: Fate },
    /// A node stops, and forgets everything but its records.
    Crashes { node: u32 },
    /// A node starts again from its records.
    Restarts { node: u32, promised: Option<Ballot>, accepted: Option<(Ballot, Value)> },
    /// A partition begins: messages between the groups are lost.
    Partition { groups: String },
    /// A partition ends.
    Heals { groups: String },
    /// A node has a majority of promises.
    Leads { node: u32, ballot: Ballot },
    /// A majority has accepted a value in one ballot. The nodes learn the value after this event.
    Chosen { value: Value, ballot: Ballot, nodes: Vec<u32> },
    /// A node learns the chosen value.
    Learns { node: u32, value: Value },
}

/// The fate of a message.
#[derive(Debug)]
pub(crate) enum Fate {
    Arrives,
    Lost,
    /// Lost between two groups of a partition.
    Cut,
    /// Lost because its receiver is down.
    Down,
    /// Damaged on its way. The receiver detects the damage and drops the message.
    Damaged(FrameError),
}

/// Returns a short description of a message.
pub(crate) fn words(message: &Message) -> String {
    match message {
        Message::Prepare { ballot, .. } => format!("Prepare {ballot}"),
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

/// Returns a value as its client wrote it, or `no-op`.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Noop => "no-op".to_owned(),
        Value::Command(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Returns a value in quotation marks, or `no-op`.
pub(crate) fn quoted(value: &Value) -> String {
    match value {
        Value::Noop => "no-op".to_owned(),
        Value::Command(_) => format!("\"{}\"", plain(value)),
    }
}
