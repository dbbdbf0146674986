//! The hot paths.

use std::hint::black_box;

use bytes::Bytes;
use paxos::{
    Batch, Config, Effects, Event, Message, NodeId, Output, Proposal, Replica, Slot, Timer, Token,
    Value,
};
use paxos_benches::{Cluster, released};
use paxos_kv::{Command, Entry, Kv, SetAnswer, When};
use paxos_lockstep::pairs::Lockstep;
use paxos_model::cluster::{self, Bounds};
use paxos_node::{machine::StateMachine as _, wire};
use state_explorer::{Explorable, Options, explore};
use verdict::Verdict;

/// One hot path.
pub(crate) struct Path {
    /// Its name in the file of figures.
    pub(crate) name: &'static str,
    /// Its description in the table.
    pub(crate) what: &'static str,
    /// Runs it this many times.
    pub(crate) run: fn(u64),
    /// The numbers of repetitions that are compared.
    pub(crate) few: u64,
    pub(crate) many: u64,
}

/// The slots of a batch.
const BATCH: u64 = 64;
/// The most repetitions of a step of Accepted.
const ACCEPTED_MANY: u64 = 1_100;
/// The bytes of a command.
const SIZE: usize = 16;

pub(crate) const PATHS: &[Path] = &[
    Path { name: "accept", what: "a step of Accept, 64 slots", run: accept, few: 100, many: 1_100 },
    Path {
        name: "accepted",
        what: "a step of Accepted, 64 slots, which chooses them",
        run: accepted,
        few: 100,
        many: ACCEPTED_MANY,
    },
    Path { name: "propose", what: "a step of 64 proposals", run: propose, few: 100, many: 1_100 },
    Path {
        name: "entry",
        what: "an entry at three nodes, 64 outstanding",
        run: entries,
        few: 6_400,
        many: 70_400,
    },
    Path {
        name: "entry-alone",
        what: "an entry at three nodes, one outstanding",
        run: entries_alone,
        few: 500,
        many: 5_500,
    },
    Path {
        name: "decode",
        what: "decoding Accept of 64 slots",
        run: decode,
        few: 100,
        many: 1_100,
    },
    Path { name: "set", what: "a SET in the state machine", run: set, few: 1_000, many: 11_000 },
    Path {
        name: "model",
        what: "a transition of the model",
        run: model,
        few: 0,
        many: MODEL_TRANSITIONS,
    },
    Path {
        name: "lockstep",
        what: "a transition of the lockstep",
        run: lockstep,
        few: 0,
        many: LOCKSTEP_TRANSITIONS,
    },
];

fn command() -> Bytes {
    Bytes::from_static(&[b'x'; SIZE])
}

fn replica(id: u32) -> Replica {
    let config =
        Config { in_flight_max: 1 << 30, ..Config::new(NodeId(id), [1, 2, 3].map(NodeId)) };
    Replica::new(config).expect("an ordinary configuration is valid")
}

fn batch() -> Batch {
    (0..BATCH).map(|_| Value::Command(command())).collect()
}

/// A replica, and the effects of its last step.
struct Stepped {
    replica: Replica,
    output: Output,
}

impl Stepped {
    fn new(id: u32) -> Self {
        Self { replica: replica(id), output: Output::default() }
    }

    /// Takes a step, and passes its effects to `look`.
    fn step(&mut self, event: Event, look: impl FnOnce(&Effects)) {
        self.replica.step(event, &mut self.output);
        let effects = released(&mut self.output);
        look(effects);
        effects.clear();
    }

    fn hear(&mut self, from: u32, message: Message, look: impl FnOnce(&Effects)) {
        self.step(Event::Message { from: NodeId(from), message }, look);
    }
}

fn led() -> (Stepped, paxos::Ballot) {
    let mut leader = Stepped::new(1);
    leader.step(Event::Timer(Timer::Campaign), |_| ());
    let ballot = leader.replica.parts().acceptor.promised.expect("it campaigns");
    leader.hear(2, Message::Promise { ballot, trimmed: Slot(0), reports: Vec::new() }, |_| ());
    (leader, ballot)
}

fn proposals() -> Event {
    let proposal = |token| Proposal { token: Token(token), command: command() };
    Event::Propose((0..BATCH).map(proposal).collect())
}

fn accept(count: u64) {
    let mut follower = Stepped::new(2);
    let ballot = paxos::Ballot::new(1, NodeId(1)).expect("not round 0");
    let batch = batch();
    for first in (0..count).map(|nth| Slot(nth * BATCH)) {
        follower.hear(1, Message::Accept { ballot, first, values: batch.clone() }, |effects| {
            assert_eq!(effects.messages.len(), 1, "it votes");
        });
    }
}

fn propose(count: u64) {
    let (mut leader, _) = led();
    for _ in 0..count {
        leader.step(proposals(), |effects| {
            assert_eq!(effects.taken.len() as u64, BATCH, "all are taken");
        });
    }
}

fn accepted(count: u64) {
    let (mut leader, ballot) = led();
    // As many for any count, so that the difference of two counts has no proposals.
    for _ in 0..ACCEPTED_MANY {
        leader.step(proposals(), |_| ());
    }
    for first in (0..count).map(|nth| Slot(nth * BATCH)) {
        leader.hear(2, Message::Accepted { ballot, first, count: BATCH }, |effects| {
            assert_eq!(effects.chosen_slots().count() as u64, BATCH, "all are chosen");
        });
    }
}

fn entries(count: u64) {
    Cluster::led(3).apply(count, BATCH, &command());
}

fn entries_alone(count: u64) {
    Cluster::led(3).apply(count, 1, &command());
}

fn decode(count: u64) {
    let ballot = paxos::Ballot::new(1, NodeId(1)).expect("not round 0");
    let message = Message::Accept { ballot, first: Slot(0), values: batch() };
    let mut frame = Vec::new();
    wire::encode(&message, &mut frame).expect("it is short");
    for _ in 0..count {
        black_box(wire::decode::<Message>(black_box(&frame)).expect("it is whole"));
    }
}

fn set(count: u64) {
    let mut kv = Kv::default();
    let key = |nth: u64| Bytes::from(format!("key {:04}", nth % 1_000));
    let entries = (0..1_000).map(|nth| {
        let (key, value) = (key(nth), command());
        Entry::One(Command::Set { key, value, when: When::Always, answer: SetAnswer::Done })
            .to_bytes()
    });
    let entries: Vec<_> = entries.collect();
    for nth in 0..count {
        black_box(kv.apply(&entries[(nth % 1_000) as usize]));
    }
}

const MODEL_TRANSITIONS: u64 = 39_399;
const LOCKSTEP_TRANSITIONS: u64 = 39_399;

/// Explores a space once, if `transitions` is not zero. It must then have as many.
fn explored(model: &impl Explorable, transitions: u64) {
    if transitions == 0 {
        return;
    }
    let report = explore(model, &Options::default());
    assert_eq!(report.verdict, Verdict::Holds);
    assert_eq!(report.transitions as u64, transitions);
}

const SPACE: Bounds = Bounds { unsynced: 1, chosen: false, ..Bounds::of(3, 1, 2) };

fn model(transitions: u64) {
    let cluster = cluster::Cluster::new(SPACE).expect("the bounds are in range").checked();
    explored(&cluster, transitions);
}

fn lockstep(transitions: u64) {
    explored(&Lockstep::new(SPACE).expect("the bounds are in range"), transitions);
}
