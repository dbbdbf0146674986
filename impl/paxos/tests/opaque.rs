//! Replicas with other types of ballots and values. The protocol uses only the two traits of [`paxos::opaque`].

use std::collections::VecDeque;

use bytes::Bytes;
use paxos::{
    Config, NodeId, Proposal, Slot, Timer, To, Token,
    event::{Event, Record},
    message::Message,
    opaque::{OpaqueBallot, OpaqueValue},
    output::Output,
    protocol::Replica,
};

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// The owners of all ballots, by rising ballot. No rounds have this order: node 2 has two ballots in a row, and the
/// highest ballot is of the lowest node.
const OWNERS: [NodeId; 5] = [NodeId(3), NodeId(2), NodeId(2), NodeId(3), NodeId(1)];

/// A ballot: an index in [`OWNERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(usize);

impl OpaqueBallot for Rank {
    fn owner(self) -> NodeId {
        OWNERS[self.0]
    }

    fn next(owner: NodeId, above: Option<Self>) -> Option<Self> {
        let first = above.map_or(0, |above| above.0 + 1);
        (first..OWNERS.len()).map(Rank).find(|rank| rank.owner() == owner)
    }
}

/// A value: 0 is the no-op, and a command is one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Number(u8);

impl OpaqueValue for Number {
    fn noop() -> Self {
        Self(0)
    }

    fn command(command: Bytes) -> Self {
        Self(command[0])
    }
}

/// Replicas, their records, and the values that they know to be chosen.
struct Cluster {
    replicas: Vec<Replica<Rank, Number>>,
    records: Vec<Vec<Record<Rank, Number>>>,
    chosen: Vec<Vec<(Slot, Number)>>,
}

impl Cluster {
    fn new() -> Self {
        let replica = |id| Replica::new(Config::new(id, NODES)).expect("three nodes are a cluster");
        Self {
            replicas: NODES.map(replica).into(),
            records: vec![Vec::new(); 3],
            chosen: vec![Vec::new(); 3],
        }
    }

    /// Steps one replica, and then every replica that a message reaches. Messages in `lost` do not arrive.
    fn run(
        &mut self,
        id: NodeId,
        event: Event<Rank, Number>,
        lost: fn(&Message<Rank, Number>) -> bool,
    ) {
        let mut events = VecDeque::from([(id, event)]);
        while let Some((id, event)) = events.pop_front() {
            let index = NODES.iter().position(|&node| node == id).expect("one of the nodes");
            let mut output = Output::default();
            self.replicas[index].step(event, &mut output);
            self.records[index].extend_from_slice(output.records());
            let released = output.held().chosen_slots().map(|(slot, value)| (slot, value.clone()));
            self.chosen[index].extend(released);
            for envelope in output.held().messages.iter().filter(|sent| !lost(&sent.message)) {
                let receives = |&node: &NodeId| match envelope.to {
                    To::Peers => node != id,
                    To::Node(to) => node == to,
                };
                for to in NODES.into_iter().filter(receives) {
                    let message = envelope.message.clone();
                    events.push_back((to, Event::Message { from: id, message }));
                }
            }
        }
    }

    fn campaign(&mut self, id: NodeId) {
        self.run(id, Event::Timer(Timer::Campaign), |_| false);
    }

    fn promised(&self) -> [Option<Rank>; 3] {
        [0, 1, 2].map(|index| self.replicas[index].parts().acceptor.promised)
    }
}

fn propose(commands: &[u8]) -> Event<Rank, Number> {
    let proposal = |&command| Proposal { token: Token(0), command: Bytes::from(vec![command]) };
    Event::Propose(commands.iter().map(proposal).collect())
}

#[test]
fn other_ballots_and_values_elect_leaders_and_choose() {
    let mut cluster = Cluster::new();
    cluster.campaign(NodeId(2));
    assert_eq!(cluster.promised(), [Some(Rank(1)); 3], "the first ballot of node 2");
    assert_eq!(cluster.replicas[0].leader(), Some(NodeId(2)));
    cluster.run(NodeId(2), propose(&[7, 8]), |_| false);
    let known = vec![(Slot(0), Number(7)), (Slot(1), Number(8))];
    assert_eq!(cluster.chosen, vec![known; 3]);
    cluster.campaign(NodeId(3));
    assert_eq!(cluster.promised(), [Some(Rank(3)); 3], "the ballot of node 3 above ballot 1");
    assert_eq!(cluster.replicas[2].leader(), Some(NodeId(3)));
}

#[test]
fn a_new_leader_adopts_the_reported_value_and_fills_the_gap() {
    let mut cluster = Cluster::new();
    cluster.campaign(NodeId(3));
    // The Accept message of the first slot is lost, and the Accepted messages of the second.
    cluster.run(NodeId(3), propose(&[7]), |message| matches!(message, Message::Accept { .. }));
    cluster.run(NodeId(3), propose(&[8]), |message| matches!(message, Message::Accepted { .. }));
    // Node 1 does not hear of the first slot from node 2, and leads before node 3 answers.
    let from_node_3 = |message: &Message<Rank, Number>| match message {
        Message::Promise { reports, .. } => reports.iter().any(|report| report.slot == Slot(0)),
        _ => false,
    };
    cluster.run(NodeId(1), Event::Timer(Timer::Campaign), from_node_3);
    assert_eq!(cluster.replicas[0].leader(), Some(NodeId(1)));
    assert_eq!(cluster.chosen[0], [(Slot(0), Number::noop()), (Slot(1), Number(8))]);

    assert_eq!(cluster.promised()[0], Some(Rank(4)), "the highest of all ballots");
    let before = cluster.records.clone();
    cluster.campaign(NodeId(2));
    assert_eq!(cluster.records, before, "node 2 has no ballot above ballot 4");
}

#[test]
fn records_rebuild_a_replica() {
    let mut cluster = Cluster::new();
    cluster.campaign(NodeId(3));
    cluster.run(NodeId(3), propose(&[7, 8]), |_| false);
    for (replica, records) in cluster.replicas.iter().zip(cluster.records) {
        let config = replica.parts().config.clone();
        let recovered = Replica::recover(config, records).expect("its own records");
        assert_eq!(recovered.parts().acceptor, replica.parts().acceptor);
    }
}
