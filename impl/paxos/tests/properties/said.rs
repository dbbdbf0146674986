//! Strategies, short constructors, and short names for the steps of a replica.

use paxos::{
    Ballot, Config, Event, Message, NodeId, Output, Proposal, Record, Refusal, Replica, Slot,
    Token, Value, protocol::proposer::Role,
};
use proptest::{prelude::*, test_runner::FileFailurePersistence};

pub(crate) fn persistent() -> ProptestConfig {
    let beside = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { failure_persistence: Some(Box::new(beside)), ..ProptestConfig::default() }
}

/// Returns a number of nodes, and sizes of phase 1 and phase 2 quorums that intersect.
pub(crate) fn quorums_of(
    nodes: std::ops::RangeInclusive<u32>,
) -> impl Strategy<Value = (u32, usize, usize)> {
    nodes.prop_flat_map(|nodes| {
        let size = 1..=nodes as usize;
        let majority = nodes as usize / 2 + 1;
        let any = (size.clone(), size).prop_map(move |(one, two)| {
            // A phase 1 quorum that is too small is enlarged.
            (nodes, one.max(nodes as usize + 1 - two), two)
        });
        prop_oneof![any, Just((nodes, majority, majority))]
    })
}

pub(crate) fn quorums() -> impl Strategy<Value = (u32, usize, usize)> {
    quorums_of(1..=6)
}

/// Returns records that do not contradict each other, because slot and ballot determine the value.
pub(crate) fn records() -> impl Strategy<Value = Record> {
    let ballots = (1u64..5, 1u32..5).prop_map(|(round, node)| ballot(round, node));
    let accepted = (ballots.clone(), 0u64..10, 0u64..4).prop_map(|(ballot, first, count)| {
        let values = (first..first + count).map(|slot| command(&format!("{ballot} {slot}")));
        Record::Accepted { ballot, first: Slot(first), values: values.collect() }
    });
    let trimmed = (0u64..8).prop_map(|below| Record::Trimmed { below: Slot(below) });
    prop_oneof![2 => ballots.prop_map(Record::Promised), 6 => accepted, 1 => trimmed]
}

pub(crate) fn ballot(round: u64, node: u32) -> Ballot {
    Ballot::new(round, NodeId(node)).expect("rounds begin with 1")
}

pub(crate) fn command(text: &str) -> Value {
    Value::Command(text.to_owned().into())
}

pub(crate) fn config(id: u32, nodes: u32) -> Config {
    Config::new(NodeId(id), (1..=nodes).map(NodeId))
}

pub(crate) fn propose(token: u64, command: &'static str) -> Event {
    Event::Propose(vec![Proposal { token: Token(token), command: command.into() }])
}

pub(crate) fn step(replica: &mut Replica, event: Event) -> Output {
    let mut output = Output::default();
    replica.step(event, &mut output);
    for refused in &output.held().refused {
        assert!(refused.refusal != Refusal::Busy || leads(replica), "only a leader is busy");
    }
    output
}

pub(crate) fn hear(replica: &mut Replica, from: u32, message: Message) -> Output {
    step(replica, Event::Message { from: NodeId(from), message })
}

pub(crate) fn leads(replica: &Replica) -> bool {
    matches!(replica.parts().role, Role::Leader(_))
}
