//! Fast code against slow and obvious code.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use crate::said::{ballot, config, hear, leads, persistent, propose, quorums, records, step};
use itertools::Itertools;
use paxos::{
    Ballot, Event, Message, NodeId, Record, Replica, Slot, Timer, Value,
    batch::Batch,
    protocol::{
        NodeSet,
        log::{Piece, RunLog},
        proposer::Role,
        tally::Tally,
    },
};
use paxos_store::Memory;
use proptest::{collection::vec, prelude::*};

/// Divides the slots of a map into batches, slot by slot.
fn naive_batches<V: Copy>(
    map: &BTreeMap<u64, (u8, V)>,
    slots: Range<u64>,
    most: u64,
) -> Vec<(Slot, Vec<V>)> {
    let mut batches: Vec<(Slot, Vec<V>)> = Vec::new();
    for slot in slots {
        let Some((_, value)) = map.get(&slot) else { continue };
        match batches.last_mut() {
            Some((first, values))
                if first.0 + values.len() as u64 == slot && (values.len() as u64) < most =>
            {
                values.push(*value);
            }
            _ => batches.push((Slot(slot), vec![*value])),
        }
    }
    batches
}

proptest! {
    #![proptest_config(persistent())]

    /// The log behaves like a map by slot from which the lowest slots are removed for good. Two logs with the same
    /// entries and the same trimmed slots are equal, for any division into runs.
    #[test]
    fn the_log_is_a_map(
        changes in vec((0u64..40, 0u8..4, proptest::option::weighted(0.9, 0usize..9)), 0..40),
        asked in vec(prop_oneof![0u64..60, any::<u64>()], 0..20),
        (from, to) in (0u64..60, 0u64..60),
        most in 1u64..9,
    ) {
        let (mut log, mut map, mut trimmed) = (RunLog::default(), BTreeMap::new(), 0);
        for (number, (first, tag, count)) in changes.into_iter().enumerate() {
            if let Some(count) = count {
                let slots = first..first + count as u64;
                // As an acceptor or a candidate does: only higher tags replace a value.
                let replaces = |last: Option<u8>| last < Some(tag);
                let new: Vec<_> = slots.clone().filter(|slot| {
                    *slot >= trimmed && replaces(map.get(slot).map(|(tag, _)| *tag))
                }).collect();
                let value = |slot: u64| (number, slot);
                map.extend(new.iter().map(|slot| (*slot, (tag, value(*slot)))));
                let values: Batch<_> = slots.map(value).collect();
                let set: Vec<_> = log.set(Slot(first), tag, &values, replaces).collect();
                prop_assert!(set.iter().tuple_windows().all(|(one, next)| one.end < next.start));
                prop_assert_eq!(set.into_iter().flatten().collect_vec(), new);
            } else {
                // Half as far, so that some entries are left.
                trimmed = trimmed.max(first / 2);
                log.trim(Slot(first / 2));
                map.retain(|slot, _| *slot >= trimmed);
            }
            let end = map.keys().last().map_or(trimmed, |slot| slot + 1);
            prop_assert_eq!(log.end().0, end);
        }
        let entries = map.iter().map(|(slot, (tag, value))| (Slot(*slot), *tag, value));
        prop_assert!(log.iter().eq(entries.clone()));
        prop_assert!(log.iter().rev().eq(entries.clone().rev()));
        for slot in asked {
            let known = map.get(&slot).map(|(tag, value)| (*tag, value));
            prop_assert_eq!(log.get(Slot(slot)), known);
        }

        let mut next = from;
        for Piece { slots, values } in log.pieces(from..to) {
            prop_assert!(slots.start == next && slots.start < slots.end && slots.end <= to);
            let count = values.as_ref().map_or(0, |(_, values)| values.len() as u64);
            prop_assert!(values.is_none() || count == slots.end - slots.start);
            for slot in slots.clone() {
                let value = values.as_ref().map(|(tag, values)| {
                    (*tag, values[(slot - slots.start) as usize])
                });
                prop_assert_eq!(value, map.get(&slot).copied());
            }
            next = slots.end;
        }
        prop_assert_eq!(next, to.max(from));
        let found = log.batches(from..to, most).map(|(first, values)| (first, values.to_vec()));
        prop_assert_eq!(found.collect_vec(), naive_batches(&map, from..to, most));

        let mut by_slot = RunLog::trimmed(Slot(trimmed));
        for (slot, (tag, value)) in map.into_iter().rev() {
            let _ = by_slot.set(Slot(slot), tag, &[value].into(), |_| true);
        }
        prop_assert_eq!(log, by_slot);
    }

    /// A tally behaves like a map from slots to sets of nodes. Two tallies with the same votes are equal.
    #[test]
    fn a_tally_is_a_map(
        changes in vec((0u64..30, 0u64..12, 0usize..5, 0u8..8), 0..40),
        first in 0u64..5,
        quorum in 1usize..5,
    ) {
        let (mut tally, mut map, mut first) = (Tally::new(Slot(first)), BTreeMap::new(), first);
        for (start, count, index, kind) in changes {
            let slots = start..start + count;
            match kind {
                0..=2 => {
                    let own = NodeSet(1 << index);
                    tally.set(slots.clone(), own);
                    map.extend(slots.filter(|slot| *slot >= first).map(|slot| (slot, own)));
                }
                3 => {
                    tally.set(slots.clone(), NodeSet::default());
                    map.retain(|slot, _| !slots.contains(slot));
                }
                4 => {
                    first = first.max(start / 2);
                    tally.advance(Slot(first));
                    map.retain(|slot, _| *slot >= first);
                }
                _ => {
                    for (_, votes) in map.range_mut(slots.clone()) {
                        votes.insert(index);
                    }
                    let complete = |votes: &NodeSet| votes.len() >= quorum;
                    let within = map.range(slots.clone()).filter(|(_, votes)| complete(votes));
                    let expected = within.map(|(slot, _)| *slot).collect_vec();
                    let mut found = Vec::new();
                    tally.add(slots, index, quorum, |range| found.push(range));
                    prop_assert!(found.iter().tuple_windows().all(|(one, next)| one.end < next.start));
                    prop_assert_eq!(found.into_iter().flatten().collect_vec(), expected.clone());
                    map.retain(|slot, _| !expected.contains(slot));
                }
            }
            prop_assert_eq!(tally.first(), Slot(first));
            prop_assert!(tally.slots().eq(map.iter().map(|(slot, votes)| (Slot(*slot), *votes))));
            let mut again = Tally::new(Slot(first));
            map.iter().rev().for_each(|(slot, votes)| again.set(*slot..slot + 1, *votes));
            prop_assert_eq!(&tally, &again);
        }
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
        let mut chosen = step(&mut replica, propose(0, "x")).held().chosen.len();
        for from in votes {
            prop_assert_eq!(chosen == 1, enough(&heard, phase2));
            let message = Message::Accepted { ballot, first: Slot(0), count: 1 };
            chosen += hear(&mut replica, from, message).held().chosen.len();
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
        let image = image.map(|(slot, ballot, value)| (slot, (ballot, value.clone())));
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
