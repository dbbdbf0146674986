//! A node that restores the snapshot of a peer: it votes and learns meanwhile, and goes on with the snapshot.
//!
//! The test plays node 2, which leads, and runs the job of the snapshot when it wants to.

use std::{iter, time::Duration};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{FRAGILE, Ledger, POISON, outbox::Outbox, quick};
use crate::{
    Packet, ReadError, Status,
    machine::tests::bytes,
    node::{Input, Node},
    saving::Job,
    session::{ClientSession, Entry, Owner, Request, Sessions},
};
use paxos::{
    config::Config,
    message::{Message, To},
    types::{Ballot, NodeId, Slot, Value},
};
use paxos_simulator::disk::{Disk, FaultyStore};
use paxos_store::{MemorySnapshot, StoreId};

/// A node whose leader is the test.
pub(super) struct Follower {
    store: Disk,
    pub(super) node: Node<Ledger, FaultyStore>,
    pub(super) now: Duration,
}

pub(super) type Restore = Job<Ledger, MemorySnapshot>;

impl Follower {
    pub(super) fn new() -> Self {
        let store = Disk::new(StoreId(1));
        let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
        let machine = Ledger::default();
        let node = Node::recover(config, quick(), machine, store.open(), false);
        Self { store, node: node.expect("its own store"), now: Duration::ZERO }
    }

    /// Runs a turn, and returns the packets to the leader.
    pub(super) fn turn(&mut self, inputs: impl IntoIterator<Item = Input<Ledger>>) -> Vec<Packet> {
        let mut outbox = Outbox::of(&self.store);
        assert!(self.node.durable_turn(inputs, self.now, &mut outbox).expect("it goes on"));
        let to_leader = |(to, packet)| (to == To::Node(NodeId(2))).then_some(packet);
        outbox.sent.into_iter().filter_map(to_leader).collect()
    }

    /// Gives a packet of the leader to the node, and returns the packets to the leader.
    pub(super) fn hears(&mut self, packet: Packet) -> Vec<Packet> {
        self.turn([Input::Packet { from: NodeId(2), packet, room: None }])
    }

    pub(super) fn hears_message(&mut self, message: Message) -> Vec<Packet> {
        self.hears(Packet::Message(message))
    }

    /// Gives the first part of the log to the node, up to this slot.
    pub(super) fn learns(&mut self, log: &[Value], below: usize) {
        let values = log[..below].to_vec().into();
        self.hears_message(Message::Learned { first: Slot(0), values, more: false });
    }

    /// Lets a client read, and confirms that the read must see every slot below this one.
    fn reads(&mut self, reading: Input<Ledger>, at: Slot) {
        let asked = self.turn([reading]);
        let id = asked.iter().find_map(|packet| match packet {
            Packet::ReadIndex { id } => Some(*id),
            _ => None,
        });
        self.hears(Packet::ReadAt { id: id.expect("it asks the leader"), at });
    }

    /// Sends a snapshot that the node has asked for. Returns the job that restores it.
    fn gets(&mut self, below: u64, snapshot: Bytes) -> Restore {
        let trimmed = self.hears_message(Message::Trimmed { below: Slot(below) });
        assert!(trimmed.contains(&Packet::Fetch { below: None, offset: 0 }), "{trimmed:?}");
        let (length, below) = (snapshot.len() as u64, Slot(below));
        self.hears(Packet::Chunk { below, length, offset: 0, part: snapshot });
        self.node.take_job().expect("the snapshot is whole")
    }

    /// Runs a job, and a turn after it.
    pub(super) fn restores(&mut self, job: Restore) {
        self.node.saved(job.run(|_| Ok(()))).expect("the store works");
        self.turn([]);
    }

    fn status(&mut self) -> Status {
        let (reply, mut status) = oneshot::channel();
        self.turn([Input::Status(reply)]);
        status.try_recv().expect("the node answers at once")
    }
}

fn ballot() -> Ballot {
    Ballot::new(1, NodeId(2)).expect("rounds begin with 1")
}

fn heartbeat() -> Message {
    Message::Heartbeat { ballot: ballot(), chosen_below: Slot(20) }
}

fn asks_for_values(sent: &[Packet]) -> Option<Slot> {
    sent.iter().find_map(|packet| match packet {
        Packet::Message(Message::Learn { from }) => Some(*from),
        _ => None,
    })
}

/// The requests of a client with the session of slot 0. Each has the number of its slot as command.
pub(super) fn requests(slots: u64) -> Vec<Request> {
    let mut client = ClientSession::new(Slot(0));
    (1..slots).map(|number| client.request(number.to_le_bytes().to_vec())).collect()
}

/// The log with these requests.
pub(super) fn log(requests: &[Request]) -> Vec<Value> {
    let open = Entry::Open { nonce: 1, owner: Owner::Client };
    let entries = iter::once(open).chain(requests.iter().map(Request::entry));
    entries.map(|entry| Value::Command(entry.encode())).collect()
}

/// The snapshot of a node that has applied these values.
fn snapshot(log: &[Value]) -> Bytes {
    let mut sessions = Sessions::new(Ledger::default());
    for (slot, value) in (0..).map(Slot).zip(log) {
        sessions.apply(slot, value);
    }
    bytes(sessions.snapshot()).into()
}

/// Reads the numbers of the machine. Returns the read, and the channel for the numbers.
fn read() -> (Input<Ledger>, oneshot::Receiver<Vec<u64>>) {
    let (reply, numbers) = oneshot::channel();
    let reading = Box::new(move |machine: Result<&Ledger, ReadError>| {
        reply.send(machine.expect("it is served").0.clone()).expect("the test waits");
    });
    (Input::Read(reading), numbers)
}

/// While a node restores a snapshot it votes, hears the leader and learns. Applied values, answers and reads wait for
/// the end of the restore. The node does not ask for values that it could not apply, and needs no turn for those that
/// it has.
#[test]
fn a_node_votes_while_it_restores_a_snapshot() {
    let mut follower = Follower::new();
    let requests = requests(12);
    let log = log(&requests);
    assert_eq!(asks_for_values(&follower.hears_message(heartbeat())), Some(Slot(0)));
    let job = follower.gets(10, snapshot(&log[..10]));

    let (reading, mut numbers) = read();
    let [mut replayed, mut applied] = [5, 10].map(|index: usize| {
        let (reply, answer) = oneshot::channel();
        follower.turn([Input::Request { request: requests[index].clone(), reply }]);
        answer
    });
    follower.reads(reading, Slot(12));

    let heard = follower.hears_message(heartbeat());
    assert!(heard.contains(&Packet::Following), "{heard:?}");
    assert_eq!(asks_for_values(&heard), None, "it could not apply them");
    let (first, values) = (Slot(20), [Value::Noop].into());
    let voted = follower.hears_message(Message::Accept { ballot: ballot(), first, values });
    let vote = Message::Accepted { ballot: ballot(), first, count: 1 };
    assert!(voted.contains(&Packet::Message(vote)), "{voted:?}");
    follower.learns(&log, 12);
    let status = follower.status();
    assert_eq!((status.chosen_below, status.applied_below), (Slot(12), Slot(0)));
    assert_eq!((status.waiting_proposals, status.waiting_reads), (2, 1));
    assert!(status.snapshot_under_way && !follower.node.is_behind(), "it waits");
    assert!(follower.node.take_job().is_none(), "one snapshot is under way at a time");

    follower.restores(job);
    let answer = |number: u64| Bytes::copy_from_slice(&number.to_le_bytes());
    assert_eq!(replayed.try_recv().expect("the snapshot has it"), Ok(answer(6)));
    assert_eq!(applied.try_recv().expect("it is applied"), Ok(answer(11)));
    assert_eq!(numbers.try_recv().expect("it is served"), (1..12).collect::<Vec<_>>());
    let status = follower.status();
    assert_eq!((status.applied_below, status.trimmed_below), (Slot(12), Slot(10)));
    assert_eq!((status.snapshot_below, status.counts.installed), (Some(Slot(10)), 1));
    assert_eq!(asks_for_values(&follower.hears_message(heartbeat())), Some(Slot(12)));
}

/// A node that restores a snapshot lets others lead, also if it wins a pre-vote, or if the leader asks it to take over.
#[test]
fn a_node_that_restores_a_snapshot_does_not_campaign() {
    let hand_over = Packet::HandOver { ballot: ballot() };
    for asked in [hand_over, Packet::PreVoteGranted] {
        let mut follower = Follower::new();
        let log = log(&requests(12));
        let (first, values) = (Slot(20), [Value::Noop].into());
        follower.hears_message(Message::Accept { ballot: ballot(), first, values });
        let job = follower.gets(10, snapshot(&log[..10]));
        follower.now = quick().election_timeout * 3;
        follower.turn([]);
        follower.hears(asked.clone());
        assert_eq!(follower.status().counts.campaigns, 0, "{asked:?}");
        follower.restores(job);
        follower.hears(asked.clone());
        assert_eq!(follower.status().counts.campaigns, 1, "{asked:?}");
    }
}

/// A node that learns all values of a snapshot before the snapshot is whole goes on without it.
#[test]
fn a_snapshot_that_is_not_ahead_is_not_restored() {
    let mut follower = Follower::new();
    let log = log(&requests(12));
    let (snapshot, below) = (snapshot(&log[..10]), Slot(10));
    let inputs_max = follower.node.inputs_max();
    follower.hears_message(Message::Trimmed { below });
    assert!(follower.node.inputs_max() < inputs_max, "a turn may write each input to the disk");
    follower.learns(&log, 10);
    let length = snapshot.len() as u64;
    follower.hears(Packet::Chunk { below, length, offset: 0, part: snapshot });
    assert!(follower.node.take_job().is_none() && !follower.status().snapshot_under_way);
    assert_eq!(follower.node.inputs_max(), inputs_max);
    assert_eq!(follower.node.machine().0, (1..10).collect::<Vec<_>>());
}

/// A snapshot that cannot be restored leaves the machine as it was. The node applies the values that it has learned,
/// and may fetch another snapshot.
#[test]
fn a_snapshot_that_cannot_be_restored_changes_nothing() {
    let mut follower = Follower::new();
    let log = log(&requests(12));
    follower.learns(&log, 3);
    let whole = snapshot(&log[..10]);
    follower.hears_message(heartbeat());
    let cut = follower.gets(10, whole.slice(..whole.len() - 3));
    let (reading, mut numbers) = read();
    follower.reads(reading, Slot(3));
    assert!(!follower.node.is_behind(), "the machine is not there to be read");
    numbers.try_recv().expect_err("the read waits");
    follower.learns(&log, 5);
    follower.restores(cut);
    assert_eq!(numbers.try_recv().expect("it is served"), (1..5).collect::<Vec<_>>());
    assert_eq!(follower.node.machine().0, (1..5).collect::<Vec<_>>());
    let status = follower.status();
    assert_eq!((status.applied_below, status.trimmed_below), (Slot(5), Slot(0)));
    assert_eq!((status.snapshot_below, status.counts.installed), (None, 0));
    let job = follower.gets(10, whole);
    follower.restores(job);
    assert_eq!(follower.node.machine().0, (1..10).collect::<Vec<_>>());
}

/// The values that a halted node learns during a restore are not lost: the node applies those that the snapshot lacks.
#[test]
fn a_restore_ends_a_halt() {
    let mut follower = Follower::new();
    let mut requests = requests(12);
    requests[1] = requests[1].clone().map(|_| Bytes::from_static(POISON));
    let log = log(&requests);
    let snapshot = snapshot(&log[..10]);
    FRAGILE.set(true);
    follower.learns(&log, 4);
    assert_eq!(follower.status().halted, Some(Slot(2)));
    let job = follower.gets(10, snapshot);
    follower.learns(&log, 12);
    let status = follower.status();
    assert_eq!((status.halted, status.applied_below), (Some(Slot(2)), Slot(2)));
    follower.restores(job);
    let status = follower.status();
    assert_eq!((status.halted, status.applied_below), (None, Slot(12)));
    let numbers = (1..12).map(|number| if number == 2 { u64::MAX } else { number });
    assert_eq!(follower.node.machine().0, numbers.collect::<Vec<_>>());
}
