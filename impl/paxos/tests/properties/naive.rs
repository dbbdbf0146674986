//! Fast code against slow and obvious code.

use std::collections::{BTreeMap, BTreeSet};

use crate::said::{ballot, config, hear, leads, persistent, propose, quorums, records, step};
use itertools::Itertools;
use paxos::{
    Ballot, Event, Message, NodeId, Record, Replica, Slot, Timer, Value,
    protocol::{NodeSet, log::SlotLog, proposer::Role},
};
use paxos_store::Memory;
use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(persistent())]

    /// The log behaves like a map by slot from which the lowest slots are removed for good. Two logs with the same
    /// entries and the same trimmed slots are equal, for any order of the insertions.
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
                // Half as far, so that some entries are left.
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

    /// A `NodeSet` behaves like a set of indexes.
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

    /// Promises and votes count once for each node, for any number and order of messages. Those of nodes that are
    /// not members never count.
    #[test]
    fn promises_and_votes_are_counted_as_sets(
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

    /// The next ballot is the least one of its owner above the given one.
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

    /// A store keeps the highest promise, and the vote of the highest ballot for every slot that is not trimmed.
    /// The division of the records into appends makes no difference. The records that it returns rebuild the same
    /// store and the same replica.
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
