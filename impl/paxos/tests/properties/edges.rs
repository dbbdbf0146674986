//! The highest numbers, the limits of a replica, and its error messages.

use crate::said::{ballot, command, config, hear, propose, step};
use itertools::Itertools;
use paxos::{
    Ballot, Config, ConfigError, Event, Message, NodeId, Output, Record, RecoverError, Replica,
    Slot, Timer, Value,
};
use paxos_store::Memory;

/// Rounds are finite. A node that has used up its rounds begins no ballot.
#[test]
fn the_last_round_has_no_next() {
    let last = ballot(u64::MAX, 2);
    assert_eq!(Ballot::next(NodeId(3), Some(last)), Some(ballot(u64::MAX, 3)));
    assert_eq!(Ballot::next(NodeId(2), Some(last)), None);
    assert_eq!(Ballot::next(NodeId(1), Some(last)), None);
    assert_eq!(Ballot::new(0, NodeId(1)), None);

    let mut replica = Replica::new(config(2, 3)).unwrap();
    hear(&mut replica, 3, Message::Prepare { ballot: ballot(u64::MAX, 3), first: Slot(0) });
    assert_eq!(step(&mut replica, Event::Timer(Timer::Campaign)), Output::default());
}

/// A node promises no ballot that no member owns, because recovery would refuse the record.
#[test]
fn no_promise_for_a_ballot_without_owner() {
    let mut replica = Replica::new(config(1, 3)).unwrap();
    step(&mut replica, Event::Timer(Timer::Campaign));
    for node in [0, 4] {
        let message = Message::Nack { ballot: ballot(1, 1), promised: ballot(9, node) };
        assert_eq!(hear(&mut replica, 2, message), Output::default());
    }
    assert_eq!(replica.parts().acceptor.promised, Some(ballot(1, 1)));
}

/// A leader that learns a chosen value from another node asks for no more votes in that slot.
#[test]
fn a_leader_asks_for_no_votes_in_known_slots() {
    let mut leader = Replica::new(config(1, 3)).unwrap();
    let ballot = ballot(1, 1);
    step(&mut leader, Event::Timer(Timer::Campaign));
    hear(&mut leader, 2, Message::Promise { ballot, trimmed: Slot(0), reports: vec![] });
    for token in 0..2 {
        step(&mut leader, propose(token, "x"));
    }
    hear(
        &mut leader,
        3,
        Message::Learned { first: Slot(1), values: [command("x")].into(), more: false },
    );
    let again = step(&mut leader, Event::Timer(Timer::Resend));
    assert_eq!(again.held().messages.len(), 2, "one for each of the others");
    for envelope in &again.held().messages {
        let values = [command("x")].into();
        assert_eq!(envelope.message, Message::Accept { ballot, first: Slot(0), values });
    }
}

/// A replica accepts slots up to `slots_ahead_max` beyond the end of its log, or beyond the trimmed slots.
#[test]
fn slots_are_accepted_up_to_the_limit() {
    for trimmed in [0, 5] {
        let messages = [
            |first, values: &[Value]| Message::Learned {
                first,
                values: values.into(),
                more: false,
            },
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

/// A configuration is valid exactly if every quorum of phase 1 intersects every quorum of phase 2. Checked for up
/// to six nodes and all quorum sizes.
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

/// The default quorum is the smallest majority.
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

/// A message names the fault of a configuration, and the change that mends it.
#[test]
fn configuration_errors_name_the_change() {
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

/// Records from which this node cannot recover are errors. They are never skipped.
#[test]
fn recovery_errors_name_the_fault() {
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
    let replica = Replica::recover(config(1, 3), near).expect("high slots are valid after a trim");
    assert_eq!(replica.parts().acceptor.votes.end(), Slot((1 << 28) + 1));
    let error = Replica::recover(config(9, 3), []).unwrap_err();
    assert!(matches!(error, RecoverError::Config(ConfigError::UnknownId { .. })));
}
