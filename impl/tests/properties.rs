//! Properties: fast code against slow and obvious code, and the protocol against a hostile network.
//!
//! A failure prints the shrunk case and writes its seed to `properties.regressions` beside this file, from
//! where it is run again first. `PROPTEST_CASES=100000` looks further.

#[path = "support/cluster.rs"]
mod cluster;

use std::collections::{BTreeMap, BTreeSet};

use cluster::Cluster;
use itertools::Itertools;
use paxos::{
    Ballot, Batch, Config, ConfigError, Event, Message, NodeId, Output, Proposal, ReadReady,
    Record, RecoverError, Refusal, Replica, Report, Slot, Timer, To, Token, Value,
    protocol::{log::SlotLog, proposer::NodeSet, proposer::Role},
    storage::Memory,
};
use proptest::{collection::vec, prelude::*, test_runner::FileFailurePersistence};

proptest! {
    #![proptest_config(persistent())]

    /// The log is a map by slot from which the lowest are taken away for good; equal contents are equal
    /// logs, in whatever order they came.
    #[test]
    fn the_log_is_a_map(
        changes in vec((0u64..40, proptest::option::weighted(0.9, 0u8..4)), 0..60),
        asked in vec(prop_oneof![0u64..50, any::<u64>()], 0..20),
    ) {
        let (mut log, mut map, mut trimmed) = (SlotLog::default(), BTreeMap::new(), 0);
        for (slot, entry) in changes {
            if let Some(entry) = entry {
                log.insert(Slot(slot), entry);
                map.insert(slot, entry);
            } else {
                // Half as far: something is to be left.
                trimmed = trimmed.max(slot / 2);
                log.trim(Slot(slot / 2));
            }
            map.retain(|slot, _| *slot >= trimmed);
            let end = map.keys().last().map_or(trimmed, |slot| slot + 1);
            prop_assert_eq!(log.end().0, end);
        }
        let pairs = map.iter().map(|(slot, entry)| (Slot(*slot), entry)).collect_vec();
        prop_assert_eq!(log.iter().collect_vec(), pairs.clone());
        prop_assert_eq!(log.iter().rev().collect_vec(), pairs.into_iter().rev().collect_vec());
        for slot in asked {
            prop_assert_eq!(log.get(Slot(slot)), map.get(&slot));
        }
        let mut backwards = SlotLog::default();
        backwards.trim(Slot(trimmed));
        for (slot, entry) in map.into_iter().rev() {
            backwards.insert(Slot(slot), entry);
        }
        prop_assert_eq!(log, backwards);
    }

    /// A set of nodes is a set of bits.
    #[test]
    fn a_node_set_is_a_set(bits: u64) {
        let set = NodeSet(bits);
        let slow: BTreeSet<usize> = (0..64).filter(|index| (bits >> index) % 2 == 1).collect();
        prop_assert_eq!(set.len(), slow.len());
        prop_assert_eq!(set.is_empty(), slow.is_empty());
        for index in 0..64 {
            prop_assert_eq!(set.contains(index), slow.contains(&index));
        }
    }

    /// Promises and votes count once for each node, however often and in whatever order they arrive, and
    /// strangers never.
    #[test]
    fn answers_are_counted_as_sets(
        (nodes, phase1, phase2) in quorums(),
        promises in vec(0u32..10, 0..20),
        votes in vec(0u32..10, 0..20),
    ) {
        let config = config(1, nodes).with_quorums(phase1, phase2);
        let known: BTreeSet<u32> = (1..=nodes).collect();
        let enough = |heard: &BTreeSet<u32>, quorum| heard.intersection(&known).count() >= quorum;
        let mut replica = Replica::new(config).unwrap();
        step(&mut replica, Event::Timer(Timer::Campaign));
        let ballot = ballot(1, 1);

        let mut heard = BTreeSet::from([1]);
        for from in promises {
            prop_assert_eq!(leads(&replica), enough(&heard, phase1));
            hear(&mut replica, from, Message::Promise { ballot, trimmed: Slot(0), reports: vec![] });
            heard.insert(from);
        }
        prop_assert_eq!(leads(&replica), enough(&heard, phase1));
        for from in 2..=nodes {
            hear(&mut replica, from, Message::Promise { ballot, trimmed: Slot(0), reports: vec![] });
        }

        let mut heard = BTreeSet::from([1]);
        let mut chosen = step(&mut replica, propose(0, "x")).chosen.len();
        for from in votes {
            prop_assert_eq!(chosen == 1, enough(&heard, phase2));
            let message = Message::Accepted { ballot, first: Slot(0), count: 1 };
            chosen += hear(&mut replica, from, message).chosen.len();
            heard.insert(from);
        }
        prop_assert_eq!(chosen == 1, enough(&heard, phase2));
    }

    /// The next ballot is the least that is above and owned.
    #[test]
    fn the_next_ballot_is_the_least_above(
        owner in 0u32..5,
        seen in proptest::option::of((1u64..6, 0u32..5)),
    ) {
        let seen = seen.map(|(round, node)| ballot(round, node));
        let all = (1..=7).cartesian_product(0..5).map(|(round, node)| ballot(round, node));
        let least = all.filter(|ballot| ballot.node.0 == owner && Some(*ballot) > seen).min();
        prop_assert_eq!(Ballot::next(NodeId(owner), seen), least);
    }

    /// Storage keeps of every slot that is not trimmed the vote of the highest ballot, and the highest
    /// promise, in whatever portions records arrive. What it hands out makes the same store and the same replica again.
    #[test]
    fn storage_keeps_the_last_votes(
        records in vec(records(), 0..30),
        portions in vec(0usize..5, 0..30),
    ) {
        let mut store = Memory::default();
        let mut rest = &records[..];
        for portion in portions {
            let (head, tail) = rest.split_at(portion.min(rest.len()));
            store.append(head).unwrap();
            rest = tail;
        }
        store.append(rest).unwrap();

        let mut votes = BTreeMap::<Slot, (Ballot, Value)>::new();
        for record in &records {
            let Record::Accepted { ballot, first, values } = record else { continue };
            for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
                let last = votes.entry(slot).or_insert((*ballot, value.clone()));
                if last.0 < *ballot {
                    *last = (*ballot, value.clone());
                }
            }
        }
        let trimmed = records.iter().filter_map(|record| match record {
            Record::Trimmed { below } => Some(*below),
            _ => None,
        });
        let trimmed = trimmed.max().unwrap_or_default();
        votes.retain(|slot, _| *slot >= trimmed);
        prop_assert_eq!(store.image().trimmed, trimmed);
        let promised = records.iter().filter_map(|record| match record {
            Record::Promised(ballot) | Record::Accepted { ballot, .. } => Some(*ballot),
            Record::Trimmed { .. } => None,
        });
        prop_assert_eq!(store.image().promised, promised.max());
        let image = store.image().votes.iter();
        let image = image.map(|(slot, vote)| (slot, (vote.ballot, vote.value.clone())));
        prop_assert_eq!(image.collect::<BTreeMap<_, _>>(), votes);

        let mut copy = Memory::default();
        copy.append(&store.records()).unwrap();
        prop_assert_eq!(&copy, &store);
        for records in [store.records(), records] {
            let replica = Replica::recover(config(1, 4), records).unwrap();
            prop_assert_eq!(replica.parts().acceptor, store.image());
            prop_assert_eq!(replica.parts().role, &Role::Follower);
        }
    }
}

proptest! {
    #![proptest_config(persistent())]

    /// Messages are lost, repeated and reordered; disks are slow; nodes crash with what is not synced and
    /// come back with the rest; they take snapshots, and get those of others, asked for or not. The cluster asserts agreement, kept promises and the rest after every
    /// step (see `support/cluster.rs`). When the storm is over, all nodes get to know the same log,
    /// new commands are chosen, and a read is answered.
    #[test]
    fn a_storm_breaks_nothing(
        (nodes, phase1, phase2) in quorums_of(3..=5),
        batch_slots_max in 1u64..4,
        in_flight_max in 1u64..6,
        slots_ahead_max in prop_oneof![3u64..8, Just(1 << 20)],
        faults in vec(faults(), 0..400),
    ) {
        let configs = (1..=nodes).map(|id| Config {
            batch_slots_max,
            in_flight_max,
            slots_ahead_max,
            ..config(id, nodes).with_quorums(phase1, phase2)
        });
        let mut storm = Storm {
            cluster: Cluster::new(configs),
            held: BTreeSet::new(),
            wanted: BTreeMap::new(),
            asked: 0,
            answered: Vec::new(),
        };
        for fault in faults {
            storm.suffer(&fault);
        }
        storm.calm_down();
    }

    /// Whatever arrives, from whomever, nothing panics and memory stays small. Every value is a no-op here,
    /// so that made-up messages cannot contradict each other: replicas trust what they are told is chosen.
    #[test]
    fn garbage_of_every_kind(events in vec(garbage(Garbage::EveryKindNoValues), 0..120)) {
        throw(&events)?;
    }

    /// The same with values, and without those messages that say what is chosen. In one ballot and slot the
    /// value is always the same, which honest nodes owe each other.
    #[test]
    fn garbage_with_values(events in vec(garbage(Garbage::ValuesNothingChosen), 0..120)) {
        throw(&events)?;
    }
}

fn persistent() -> ProptestConfig {
    let beside = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { failure_persistence: Some(Box::new(beside)), ..ProptestConfig::default() }
}

/// Rounds are finite; a node that has used up its own says so.
#[test]
fn the_last_round_has_no_next() {
    let last = ballot(u64::MAX, 2);
    assert_eq!(Ballot::next(NodeId(3), Some(last)), Some(ballot(u64::MAX, 3)));
    assert_eq!(Ballot::next(NodeId(2), Some(last)), None);
    assert_eq!(Ballot::next(NodeId(1), Some(last)), None);
    assert_eq!(Ballot::new(0, NodeId(1)), None);

    let mut replica = Replica::new(config(2, 3)).unwrap();
    hear(&mut replica, 3, Message::Prepare { ballot: ballot(u64::MAX, 3) });
    assert_eq!(step(&mut replica, Event::Timer(Timer::Campaign)), Output::default());
}

/// A ballot of nobody is never promised: recovery would refuse its record.
#[test]
fn no_promise_to_strangers() {
    let mut replica = Replica::new(config(1, 3)).unwrap();
    step(&mut replica, Event::Timer(Timer::Campaign));
    for node in [0, 4] {
        let message = Message::Nack { ballot: ballot(1, 1), promised: ballot(9, node) };
        assert_eq!(hear(&mut replica, 2, message), Output::default());
    }
    assert_eq!(replica.parts().acceptor.promised, Some(ballot(1, 1)));
}

/// A leader that is told what is chosen asks for no more votes there.
#[test]
fn no_votes_for_what_is_known() {
    let mut leader = Replica::new(config(1, 3)).unwrap();
    let ballot = ballot(1, 1);
    step(&mut leader, Event::Timer(Timer::Campaign));
    hear(&mut leader, 2, Message::Promise { ballot, trimmed: Slot(0), reports: vec![] });
    for token in 0..2 {
        step(&mut leader, propose(token, "x"));
    }
    hear(&mut leader, 3, Message::Learned { first: Slot(1), values: [command("x")].into() });
    let again = step(&mut leader, Event::Timer(Timer::Resend)).messages;
    assert_eq!(again.len(), 2, "one for each of the others");
    for envelope in again {
        let values = [command("x")].into();
        assert_eq!(envelope.message, Message::Accept { ballot, first: Slot(0), values });
    }
}

/// A window of slots is held up to its end, and begins where the log ends, or where it was trimmed.
#[test]
fn the_window_is_held_up_to_its_end() {
    for trimmed in [0, 5] {
        let messages = [
            |first, values: &[Value]| Message::Learned { first, values: values.into() },
            |first, values: &[Value]| Message::Accept {
                ballot: ballot(1, 2),
                first,
                values: values.into(),
            },
        ];
        for message in messages {
            let config = Config { slots_ahead_max: 2, batch_slots_max: 2, ..config(1, 3) };
            let mut replica = Replica::new(config).unwrap();
            step(&mut replica, Event::Snapshot { below: Slot(trimmed) });
            let before = replica.clone();
            let far = message(Slot(trimmed + 1), &[command("b"), command("c")]);
            assert_eq!(hear(&mut replica, 2, far), Output::default());
            assert_eq!(replica, before);
            hear(&mut replica, 2, message(Slot(trimmed), &[command("a"), command("b")]));
            assert_ne!(replica, before);
        }
    }
}

/// A configuration is accepted just if every quorum of phase 1 meets every quorum of phase 2, for up to six
/// nodes and all sizes that exist.
#[test]
fn accepted_quorums_intersect() {
    for nodes in 1..=6 {
        for (phase1, phase2) in (1..=nodes).cartesian_product(1..=nodes) {
            let all = || 0..nodes;
            let intersect = all().combinations(phase1).all(|one| {
                all().combinations(phase2).all(|two| two.iter().any(|node| one.contains(node)))
            });
            let config = config(1, nodes as u32).with_quorums(phase1, phase2);
            let disjoint = ConfigError::QuorumsDoNotIntersect { phase1, phase2, nodes };
            let expected = if intersect { Ok(()) } else { Err(disjoint) };
            assert_eq!(config.validate(), expected, "{phase1} and {phase2} of {nodes}");
        }
    }
}

/// The default is the smallest majority.
#[test]
fn default_quorums_are_majorities() {
    for nodes in 1..=64 {
        let config = config(1, nodes);
        config.validate().unwrap();
        let nodes = nodes as usize;
        assert!(config.phase1_quorum * 2 > nodes && (config.phase1_quorum - 1) * 2 <= nodes);
        assert_eq!(config.phase1_quorum, config.phase2_quorum);
    }
}

/// What is wrong with a configuration, and what to change.
#[test]
fn configuration_errors_say_what_to_change() {
    let with = |change: fn(&mut Config)| {
        let mut config = config(1, 3);
        change(&mut config);
        Replica::new(config).expect_err("the configuration is wrong").to_string()
    };
    let table = [
        (
            with(|config| config.id = NodeId(7)),
            "node 7 is not among the nodes 1, 2, 3; add it to `nodes` or change `id`",
        ),
        (
            with(|config| config.nodes = vec![]),
            "node 1 is not among the nodes ; add it to `nodes` or change `id`",
        ),
        (
            with(|config| config.nodes.push(NodeId(2))),
            "node 2 is listed more than once; every node needs an id of its own",
        ),
        (
            with(|config| config.nodes = (1..=65).map(NodeId).collect()),
            "65 nodes are too many; at most 64 are supported",
        ),
        (
            with(|config| config.phase1_quorum = 0),
            "the phase 1 quorum is 0; with 3 nodes it must be 1 to 3",
        ),
        (
            with(|config| config.phase2_quorum = 4),
            "the phase 2 quorum is 4; with 3 nodes it must be 1 to 3",
        ),
        (
            with(|config| config.phase1_quorum = 1),
            "quorums of 1 (phase 1) and 2 (phase 2) of 3 nodes need not share a node; their sum must \
             be at least 4",
        ),
        (
            with(|config| config.in_flight_max = 0),
            "`in_flight_max` is 0; it must be 1 to 4294967296",
        ),
        (
            with(|config| config.slots_ahead_max = u64::MAX),
            "`slots_ahead_max` is 18446744073709551615; it must be 1 to 4294967296",
        ),
        (
            with(|config| config.batch_slots_max = config.slots_ahead_max + 1),
            "`batch_slots_max` is 1048577; it must be 1 to 1048576",
        ),
    ];
    for (message, expected) in table {
        assert_eq!(message, expected);
    }
}

/// Records that cannot be this node's are refused, never passed over.
#[test]
fn recovery_errors_say_what_is_wrong() {
    let accepted = |round, node, values: &[&str]| Record::Accepted {
        ballot: ballot(round, node),
        first: Slot(4),
        values: values.iter().map(|value| command(value)).collect(),
    };
    let contradiction = [accepted(1, 1, &["a", "b"]), accepted(1, 1, &["a", "c"])];
    let conflict = "slot 5 has both \"b\" and \"c\" accepted in ballot 1.1; the records are damaged or \
                    of two different nodes";
    let of = |records: &[Record]| Replica::recover(config(1, 3), records.to_vec()).unwrap_err();
    assert_eq!(of(&contradiction).to_string(), conflict);
    assert_eq!(Memory::default().append(&contradiction).unwrap_err().to_string(), conflict);
    let foreign = "a record names ballot 2.9, but node 9 is not in the configuration";
    assert_eq!(of(&[accepted(2, 9, &["a"])]).to_string(), foreign);
    assert_eq!(of(&[Record::Promised(ballot(2, 9))]).to_string(), foreign);
    let far = Record::Accepted {
        ballot: ballot(1, 1),
        first: Slot(1 << 28),
        values: [command("a")].into(),
    };
    let impossible = "a record names slot 268435457; no log keeps more than 268435456 slots that \
                      are not trimmed";
    assert_eq!(of(std::slice::from_ref(&far)).to_string(), impossible);
    let near = [Record::Trimmed { below: Slot(1 << 28) }, far];
    let replica = Replica::recover(config(1, 3), near).expect("a long life is no damage");
    assert_eq!(replica.parts().acceptor.votes.end(), Slot((1 << 28) + 1));
    let error = Replica::recover(config(9, 3), []).unwrap_err();
    assert!(matches!(error, RecoverError::Config(ConfigError::UnknownId { .. })));
}

/// A cluster in a storm.
struct Storm {
    cluster: Cluster,
    /// Whose disk is slow: what they ask for becomes durable later, or is lost.
    held: BTreeSet<NodeId>,
    /// Who wants a snapshot, and of whom, as was said last.
    wanted: BTreeMap<NodeId, NodeId>,
    /// How much clients have asked for.
    asked: u64,
    answered: Vec<ReadReady>,
}

/// What can happen. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Fault {
    Deliver(usize),
    /// So many, oldest first: without some order nothing is ever chosen.
    DeliverOldest(usize),
    Lose(usize),
    /// All that is on its way to one node: it falls behind.
    CutOff(usize),
    Repeat(usize),
    Timer(usize, Timer),
    Propose(usize, u64),
    Read(usize, u64),
    /// Of all but so many slots that were applied.
    Snapshot(usize, u64),
    /// The snapshot that is wanted arrives.
    Fetch(usize),
    /// The snapshot of the second, which nobody has asked for.
    Install(usize, usize),
    HoldDisk(usize),
    Sync(usize),
    Crash(usize),
    Restart(usize),
}

fn faults() -> impl Strategy<Value = Fault> {
    let place = any::<u16>().prop_map(usize::from);
    let node = 0usize..5;
    prop_oneof![
        16 => place.clone().prop_map(Fault::Deliver),
        8 => (1usize..20).prop_map(Fault::DeliverOldest),
        2 => place.clone().prop_map(Fault::Lose),
        2 => place.prop_map(Fault::Repeat),
        2 => node.clone().prop_map(Fault::CutOff),
        2 => node.clone().prop_map(|node| Fault::Timer(node, Timer::Campaign)),
        3 => node.clone().prop_map(|node| Fault::Timer(node, Timer::Heartbeat)),
        3 => node.clone().prop_map(|node| Fault::Timer(node, Timer::Resend)),
        6 => (node.clone(), 1u64..4).prop_map(|(node, count)| Fault::Propose(node, count)),
        3 => (node.clone(), 1u64..3).prop_map(|(node, count)| Fault::Read(node, count)),
        3 => (node.clone(), 0u64..3).prop_map(|(node, back)| Fault::Snapshot(node, back)),
        4 => node.clone().prop_map(Fault::Fetch),
        1 => (node.clone(), node.clone()).prop_map(|(node, from)| Fault::Install(node, from)),
        1 => node.clone().prop_map(Fault::HoldDisk),
        4 => node.clone().prop_map(Fault::Sync),
        1 => node.clone().prop_map(Fault::Crash),
        2 => node.prop_map(Fault::Restart),
    ]
}

impl Storm {
    fn suffer(&mut self, fault: &Fault) {
        let nodes = self.cluster.nodes.keys().copied().collect_vec();
        let node = |index: &usize| nodes[index % nodes.len()];
        // Most clients have found somebody who leads, or believes so.
        let leaders = nodes.iter().copied().filter(|&id| self.leads(id)).collect_vec();
        let client_of = |index: &usize| match leaders.len() {
            some @ 1.. if *index > 0 => leaders[index % some],
            _ => node(index),
        };
        let under_way = self.cluster.under_way.len();
        match fault {
            Fault::Deliver(_) | Fault::Lose(_) | Fault::Repeat(_) if under_way == 0 => {}
            Fault::Deliver(index) => self.deliver(index % under_way),
            Fault::DeliverOldest(count) => {
                for _ in 0..*count.min(&under_way) {
                    self.deliver(0);
                }
            }
            Fault::Lose(index) => {
                self.cluster.under_way.remove(index % under_way);
            }
            Fault::CutOff(index) => {
                let to = node(index);
                self.cluster.under_way.retain(|sent| sent.to != to);
            }
            Fault::Repeat(index) => {
                let sent = self.cluster.under_way[index % under_way].clone();
                self.cluster.under_way.push(sent);
            }
            Fault::Timer(index, timer) => self.step(node(index), Event::Timer(*timer)),
            Fault::Propose(index, count) => self.propose(client_of(index), *count),
            Fault::Read(index, count) => self.read(client_of(index), *count),
            Fault::Snapshot(index, back) => {
                let node = &self.cluster.nodes[&node(index)];
                let (id, below) = (node.config.id, Slot(node.apply_next.0.saturating_sub(*back)));
                if below > node.snapshot {
                    let event = self.cluster.snapshot(id, below);
                    self.step(id, event);
                }
            }
            Fault::Fetch(index) => self.fetch(node(index)),
            Fault::Install(index, from) => self.install(node(index), node(from)),
            Fault::HoldDisk(index) => {
                self.held.insert(node(index));
            }
            Fault::Sync(index) => {
                if self.held.remove(&node(index)) {
                    self.sync(node(index));
                }
            }
            Fault::Crash(index) => {
                self.held.remove(&node(index));
                self.wanted.remove(&node(index));
                self.cluster.crash(node(index));
            }
            Fault::Restart(index) => self.restart_if_down(node(index)),
        }
    }

    fn deliver(&mut self, index: usize) {
        let sent = self.cluster.under_way.remove(index);
        self.step(sent.to, Event::Message { from: sent.from, message: sent.message });
    }

    fn step(&mut self, id: NodeId, event: Event) {
        if self.cluster.step(id, event).is_some() && !self.held.contains(&id) {
            self.sync(id);
        }
    }

    fn sync(&mut self, id: NodeId) {
        let released = self.cluster.sync(id);
        self.wanted.extend(released.fetch.last().map(|from| (id, *from)));
        self.answered.extend(released.reads);
    }

    fn restart_if_down(&mut self, id: NodeId) {
        if self.cluster.nodes[&id].replica.is_none()
            && let Some(unrecorded) = self.cluster.restart(id)
        {
            self.step(id, unrecorded);
        }
    }

    fn fetch(&mut self, id: NodeId) {
        if let Some(from) = self.wanted.remove(&id) {
            self.install(id, from);
        }
    }

    fn install(&mut self, id: NodeId, from: NodeId) {
        if let Some(event) = self.cluster.install(id, from) {
            self.step(id, event);
        }
    }

    fn tokens(&mut self, count: u64) -> Vec<Token> {
        let tokens = self.asked..self.asked + count;
        self.asked = tokens.end;
        tokens.map(Token).collect()
    }

    fn read(&mut self, id: NodeId, count: u64) {
        let tokens = self.tokens(count);
        self.step(id, Event::Read(tokens));
    }

    /// Every command is another one, so that a value in the wrong place is seen.
    fn propose(&mut self, id: NodeId, count: u64) {
        let proposals = self
            .tokens(count)
            .into_iter()
            .map(|token| Proposal { token, command: token.0.to_string().into_bytes().into() });
        self.step(id, Event::Propose(proposals.collect()));
    }

    /// No more faults: one leader, everybody knows the same, a new command is chosen everywhere, and a
    /// read sees it.
    fn calm_down(&mut self) {
        let nodes = self.cluster.nodes.keys().copied().collect_vec();
        for &id in &nodes {
            if self.held.remove(&id) {
                self.sync(id);
            }
            self.restart_if_down(id);
        }
        // Whoever is so far behind that it cannot hold what is reported gives way to another.
        let leaders = nodes.iter().flat_map(|&id| std::iter::repeat_n(id, 10));
        for leader in leaders {
            self.deliver_all();
            if !self.leads(leader) {
                self.step(leader, Event::Timer(Timer::Campaign));
                continue;
            }
            for timer in [Timer::Resend, Timer::Heartbeat] {
                self.step(leader, Event::Timer(timer));
            }
            self.deliver_all();
            // It may have led in a ballot that is over, and been told so just now.
            if self.leads(leader) && self.agree() {
                let before = self.cluster.chosen().len();
                self.propose(leader, 1);
                self.deliver_all();
                assert!(self.agree());
                let chosen = self.cluster.chosen();
                assert_eq!(chosen.len(), before + 1, "the leader's command is chosen");
                let commands = chosen.values().filter(|value| **value != Value::Noop);
                assert!(commands.clone().all_unique(), "no command is chosen twice");
                self.read(leader, 1);
                self.deliver_all();
                let read = self.answered.last().expect("somebody has read");
                assert_eq!(read.token, Token(self.asked - 1), "the read is confirmed");
                assert!(read.at <= self.cluster.nodes[&leader].apply_next, "and can be answered");
                return;
            }
        }
        panic!("a calm cluster with one proposer has not come to rest");
    }

    fn deliver_all(&mut self) {
        while !self.cluster.under_way.is_empty() {
            self.deliver(0);
            while let Some(&id) = self.wanted.keys().next() {
                self.fetch(id);
            }
        }
    }

    fn leads(&self, id: NodeId) -> bool {
        self.cluster.nodes[&id].replica.as_ref().is_some_and(leads)
    }

    /// Everybody knows all that is chosen, and it has no gaps.
    fn agree(&self) -> bool {
        let chosen = self.cluster.chosen();
        let gapless = chosen.keys().enumerate().all(|(index, slot)| slot.0 == index as u64);
        let all = self.cluster.nodes.values().filter_map(|node| node.replica.as_ref());
        gapless && { all }.all(|replica| {
            let (acceptor, learner) = (replica.parts().acceptor, replica.parts().learner);
            let kept = chosen.range(acceptor.trimmed..).map(|(slot, value)| (*slot, value));
            learner.below.0 == chosen.len() as u64 && learner.chosen.iter().eq(kept)
        })
    }
}

/// What made-up messages may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Garbage {
    EveryKindNoValues,
    ValuesNothingChosen,
}

/// Slots that the replica of the garbage tests holds beyond the end of its log.
const SLOTS_AHEAD_MAX: u64 = 16;

/// Stands for the slots that a replica knows by the time of a snapshot; there may not be others in it.
const WHAT_IS_KNOWN: Slot = Slot(u64::MAX);

/// Events of which most make no sense, and some do.
fn garbage(kind: Garbage) -> BoxedStrategy<Event> {
    let most = SLOTS_AHEAD_MAX + 4;
    let number = || prop_oneof![6 => 0..most, 1 => any::<u64>(), 1 => u64::MAX - 2..=u64::MAX];
    let slot = move || number().prop_map(Slot);
    let round = prop_oneof![12 => 1u64..6, 1 => 1..=u64::MAX, 1 => u64::MAX - 1..=u64::MAX];
    let ballots = (round, 0u32..6).prop_map(|(round, node)| ballot(round, node));
    let ballots = ballots.boxed();
    let count = prop_oneof![8 => 0usize..4, 1 => Just(40)];
    let fill = move |ballot: Ballot, first: Slot, count: usize| -> Batch {
        let slots = (0..count as u64).map(move |index| first.plus(index));
        slots.map(|slot| garbage_value(kind, ballot, slot)).collect()
    };

    let reports = vec((slot(), ballots.clone()), 0..4).prop_map(move |reports| {
        let report =
            |(slot, ballot)| Report { slot, ballot, value: garbage_value(kind, ballot, slot) };
        reports.into_iter().map(report).collect_vec()
    });
    let prepare = ballots.clone().prop_map(|ballot| Message::Prepare { ballot });
    let trimmed = prop_oneof![3 => Just(Slot(0)), 1 => slot()];
    let promise = (ballots.clone(), trimmed, reports)
        .prop_map(|(ballot, trimmed, reports)| Message::Promise { ballot, trimmed, reports });
    let accept =
        (ballots.clone(), slot(), count.clone()).prop_map(move |(ballot, first, count)| {
            Message::Accept { ballot, first, values: fill(ballot, first, count) }
        });
    let accepted = (ballots.clone(), slot(), number())
        .prop_map(|(ballot, first, count)| Message::Accepted { ballot, first, count });
    let nack = (ballots.clone(), ballots.clone())
        .prop_map(|(ballot, promised)| Message::Nack { ballot, promised });
    let heartbeat = (ballots.clone(), slot())
        .prop_map(|(ballot, chosen_below)| Message::Heartbeat { ballot, chosen_below });
    let learn = slot().prop_map(|from| Message::Learn { from });
    let trimmed = slot().prop_map(|below| Message::Trimmed { below });
    let rounds = (ballots.clone(), 0u64..4);
    let confirm = rounds.clone().prop_map(|(ballot, round)| Message::Confirm { ballot, round });
    let confirmed = rounds.prop_map(|(ballot, round)| Message::Confirmed { ballot, round });
    let message = prop_oneof![prepare, promise, accept, accepted, nack, heartbeat];
    let message =
        prop_oneof![6 => message, 1 => learn, 1 => trimmed, 1 => confirm, 1 => confirmed].boxed();
    let message = if kind == Garbage::EveryKindNoValues {
        let chosen = (ballots.clone(), slot(), number())
            .prop_map(|(ballot, first, count)| Message::Chosen { ballot, first, count });
        let learned = (ballots, slot(), count).prop_map(move |(ballot, first, count)| {
            Message::Learned { first, values: fill(ballot, first, count) }
        });
        prop_oneof![8 => message, 1 => chosen, 1 => learned].boxed()
    } else {
        message
    };

    // Half of the messages come from the owner of their ballot, else most would be ignored.
    let message = (0u32..6, any::<bool>(), message).prop_map(|(from, owner, message)| {
        let from = match &message {
            Message::Prepare { ballot }
            | Message::Accept { ballot, .. }
            | Message::Confirm { ballot, .. }
            | Message::Heartbeat { ballot, .. }
                if owner =>
            {
                ballot.node
            }
            _ => NodeId(from),
        };
        Event::Message { from, message }
    });
    let timer = prop_oneof![
        4 => Just(Timer::Campaign),
        1 => Just(Timer::Heartbeat),
        1 => Just(Timer::Resend),
    ];
    let timer = timer.prop_map(Event::Timer);
    let read = vec((0u64..100).prop_map(Token), 0..3).prop_map(Event::Read);
    let event = prop_oneof![8 => message, 2 => timer, 1 => read];
    if kind == Garbage::ValuesNothingChosen {
        let propose = (0u64..100).prop_map(|token| propose(token, "proposed"));
        prop_oneof![11 => event, 1 => propose, 1 => Just(Event::Snapshot { below: WHAT_IS_KNOWN })]
            .boxed()
    } else {
        // As good as a message that tells what is chosen there.
        let snapshot = (0..most).prop_map(|below| Event::Snapshot { below: Slot(below) });
        prop_oneof![16 => event, 1 => snapshot].boxed()
    }
}

fn garbage_value(kind: Garbage, ballot: Ballot, slot: Slot) -> Value {
    match kind {
        Garbage::EveryKindNoValues => Value::Noop,
        Garbage::ValuesNothingChosen => command(&format!("{ballot} {slot}")),
    }
}

/// Throws events at node 1 of three, whose memory must stay bounded and whose records must be its state.
/// Every other Promise, Accepted or Confirmed is made to fit its present ballot, so that it leads now and then.
fn throw(events: &[Event]) -> Result<(), TestCaseError> {
    let config = Config {
        in_flight_max: 8,
        slots_ahead_max: SLOTS_AHEAD_MAX,
        batch_slots_max: 3,
        ..config(1, 3)
    };
    let mut replica = Replica::new(config.clone()).unwrap();
    let mut store = Memory::default();
    let mut next = Slot(0);
    for (index, event) in events.iter().enumerate() {
        let mut event = event.clone();
        if let Event::Message {
            message:
                Message::Promise { ballot, .. }
                | Message::Accepted { ballot, .. }
                | Message::Confirmed { ballot, .. },
            ..
        } = &mut event
            && index % 2 == 0
            && let Some(promised) = replica.parts().acceptor.promised
        {
            *ballot = promised;
        }
        let stranger = match &event {
            Event::Message { from, .. } => !(2..=3).contains(&from.0),
            _ => false,
        };
        if let Event::Snapshot { below } = &mut event {
            if *below == WHAT_IS_KNOWN {
                *below = replica.parts().learner.below;
            }
            next = next.max(*below);
        }
        let held = |replica: &Replica| {
            let parts = replica.parts();
            let end = parts.acceptor.votes.end().max(parts.learner.chosen.end());
            end.0 - parts.acceptor.trimmed.0
        };
        let (before, held_before, led) = (replica.clone(), held(&replica), leads(&replica));
        let output = step(&mut replica, event);
        if stranger {
            prop_assert_eq!(&output, &Output::default());
            prop_assert_eq!(&replica, &before);
        }
        prop_assert!(replica.parts().acceptor.promised >= before.parts().acceptor.promised);
        prop_assert!(replica.parts().acceptor.trimmed >= before.parts().acceptor.trimmed);
        let most = held_before + SLOTS_AHEAD_MAX;
        prop_assert!(held(&replica) <= most, "memory grows by bounded steps");
        prop_assert!(output.reads.is_empty() || led, "only a leader confirms reads");
        let limit = held(&replica) as usize + 16;
        prop_assert!(output.messages.len() + output.records.len() <= limit, "so does output");
        for envelope in &output.messages {
            let known = match envelope.to {
                To::Peers => true,
                To::Node(to) => (2..=3).contains(&to.0),
            };
            prop_assert!(known, "nothing is sent to strangers");
        }
        for (slot, _) in &output.chosen {
            prop_assert_eq!(*slot, next);
            next = slot.plus(1);
        }
        store.append(&output.records).unwrap();
        prop_assert_eq!(store.image(), replica.parts().acceptor);
    }
    let recovered = Replica::recover(config, store.records()).unwrap();
    prop_assert_eq!(recovered.parts().acceptor, replica.parts().acceptor);
    Ok(())
}

/// Nodes and quorum sizes that intersect.
fn quorums_of(nodes: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = (u32, usize, usize)> {
    nodes.prop_flat_map(|nodes| {
        let size = 1..=nodes as usize;
        let majority = nodes as usize / 2 + 1;
        let any = (size.clone(), size).prop_map(move |(one, two)| {
            // Too small ones are enlarged in phase 1.
            (nodes, one.max(nodes as usize + 1 - two), two)
        });
        prop_oneof![any, Just((nodes, majority, majority))]
    })
}

fn quorums() -> impl Strategy<Value = (u32, usize, usize)> {
    quorums_of(1..=6)
}

/// Records that do not contradict each other: the value follows from slot and ballot.
fn records() -> impl Strategy<Value = Record> {
    let ballots = (1u64..5, 1u32..5).prop_map(|(round, node)| ballot(round, node));
    let accepted = (ballots.clone(), 0u64..10, 0u64..4).prop_map(|(ballot, first, count)| {
        let values = (first..first + count).map(|slot| command(&format!("{ballot} {slot}")));
        Record::Accepted { ballot, first: Slot(first), values: values.collect() }
    });
    let trimmed = (0u64..8).prop_map(|below| Record::Trimmed { below: Slot(below) });
    prop_oneof![2 => ballots.prop_map(Record::Promised), 6 => accepted, 1 => trimmed]
}

fn ballot(round: u64, node: u32) -> Ballot {
    Ballot::new(round, NodeId(node)).expect("rounds begin with 1")
}

fn command(text: &str) -> Value {
    Value::Command(text.to_owned().into())
}

fn config(id: u32, nodes: u32) -> Config {
    Config::new(NodeId(id), (1..=nodes).map(NodeId))
}

fn propose(token: u64, command: &'static str) -> Event {
    Event::Propose(vec![Proposal { token: Token(token), command: command.into() }])
}

fn step(replica: &mut Replica, event: Event) -> Output {
    let mut output = Output::default();
    replica.step(event, &mut output);
    for refused in &output.refused {
        assert!(refused.refusal != Refusal::Busy || leads(replica), "only a leader is busy");
    }
    output
}

fn hear(replica: &mut Replica, from: u32, message: Message) -> Output {
    step(replica, Event::Message { from: NodeId(from), message })
}

fn leads(replica: &Replica) -> bool {
    matches!(replica.parts().role, Role::Leader(_))
}
