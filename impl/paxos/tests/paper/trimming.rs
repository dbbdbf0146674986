//! Trimming, which the paper leaves open: a node drops the votes and values below a snapshot.

use itertools::Itertools;
use paxos::{
    Effects, Message, NodeId, Output, Record, Replica, Slot, Timer, To, protocol::proposer::Role,
};
use paxos_store::Memory;

use crate::helpers::{
    accept, accept_all, accepted, accepted_by, ballot, campaign, config, hear, hear_timer, leader,
    learned, nack, prepare, promise, promise_trimmed, propose, released, replica, report, sent,
    snapshot, trimmed, value, vote,
};

/// A durable snapshot replaces the votes and values below it. The node drops them, with a record. An older snapshot
/// changes nothing.
#[test]
fn a_snapshot_takes_the_place_of_the_log() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
    hear(&mut replica, 1, learned(0, &["a", "b"]));
    let output = snapshot(&mut replica, 2);
    assert_eq!(output.records(), [trimmed(2)]);
    assert!(output.held().is_empty());
    let (acceptor, learner) = (replica.parts().acceptor, replica.parts().learner);
    assert_eq!(acceptor.votes.iter().map(|(slot, ..)| slot).collect_vec(), [Slot(2)]);
    assert_eq!(learner.chosen.iter().count(), 0);
    for below in 0..=2 {
        assert_eq!(snapshot(&mut replica, below), Output::default());
    }
}

/// The snapshot of a peer may hold slots that this node never knew. The values that the node knows of later slots
/// are then released in order.
#[test]
fn values_after_a_snapshot_are_released() {
    let mut replica = replica(2, 3);
    hear(&mut replica, 1, learned(3, &["d", "e"]));
    let output = snapshot(&mut replica, 3);
    assert_eq!(released(&output), [(Slot(3), value("d")), (Slot(4), value("e"))]);
    campaign(&mut replica);
    promise(&mut replica, 3, ballot(1, 2), []);
    snapshot(&mut replica, 9);
    assert_eq!(
        propose(&mut replica, "x").held().taken[0].slot,
        Slot(9),
        "the first slot after the snapshot"
    );
}

/// A trimmed slot stays trimmed "even if it fails and then restarts". The node learns the later slots again.
#[test]
fn trimmed_slots_stay_trimmed_across_failures() {
    let mut store = Memory::default();
    let mut replica = replica(2, 3);
    let output = accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
    store.append(output.records()).unwrap();
    store.append(snapshot(&mut replica, 2).records()).unwrap();
    let records = [trimmed(2), vote(ballot(1, 1), 2, &["c"]), Record::Promised(ballot(1, 1))];
    assert_eq!(store.records(), records);

    let mut replica = Replica::recover(config(2, 3), records).unwrap();
    assert_eq!(hear(&mut replica, 1, learned(0, &["a", "b"])), Output::default());
    assert_eq!(replica.parts().learner.chosen.iter().count(), 0, "nor kept");
    let output = hear(&mut replica, 1, learned(2, &["c"]));
    assert_eq!(released(&output), [(Slot(2), value("c"))]);
}

/// A promise covers every slot: it reports the last vote, or says that the slot is trimmed.
#[test]
fn a_promise_names_the_trimmed_slots() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
    snapshot(&mut replica, 2);
    let output = prepare(&mut replica, 3, ballot(1, 3));
    let reports = vec![report(2, ballot(1, 1), "c")];
    let promise = Message::Promise { ballot: ballot(1, 3), trimmed: Slot(2), reports };
    assert_eq!(sent(&output), [(To::Node(NodeId(3)), promise)]);
}

/// The leader may choose any value "if the responses reported no proposals", unless the slot is trimmed. So a
/// candidate with a quorum of promises asks for the snapshots of the nodes that have trimmed slots, and waits until
/// it has the effect of all these slots. The order of the promises makes no difference.
#[test]
fn a_candidate_does_not_lead_without_the_effect_of_trimmed_slots() {
    for (one, two) in [(3, 1), (1, 3)] {
        let mut candidate = replica(1, 5);
        campaign(&mut candidate);
        let output =
            promise_trimmed(&mut candidate, 2, ballot(1, 1), one, [report(3, ballot(1, 0), "d")]);
        assert_eq!(output.held().fetch, [NodeId(2)]);
        let output = promise_trimmed(&mut candidate, 3, ballot(1, 1), two, []);
        assert_eq!(output.held().fetch, [NodeId(3)]);
        assert!(snapshot(&mut candidate, 2).held().messages.is_empty(), "slot 2 is missing");
        let output = snapshot(&mut candidate, 3);
        assert_eq!(output.records(), [trimmed(3), vote(ballot(1, 1), 3, &["d"])]);
        assert_eq!(sent(&output), [accept_all(ballot(1, 1), 3, &["d"])]);
    }
}

/// A candidate needs no snapshot for trimmed slots whose values it knows. It still needs its quorum.
#[test]
fn a_candidate_that_knows_the_trimmed_slots_needs_no_snapshot() {
    let mut candidate = replica(1, 5);
    hear(&mut candidate, 2, learned(0, &["a", "b"]));
    campaign(&mut candidate);
    let output = promise_trimmed(&mut candidate, 2, ballot(1, 1), 2, []);
    assert!(output.held().fetch.is_empty());
    snapshot(&mut candidate, 1);
    assert!(matches!(candidate.parts().role, Role::Candidate(_)), "two of five");
    let output = promise_trimmed(&mut candidate, 3, ballot(1, 1), 2, []);
    assert!(output.held().fetch.is_empty() && matches!(candidate.parts().role, Role::Leader(_)));
    assert_eq!(propose(&mut candidate, "c").held().taken[0].slot, Slot(2));
}

/// Slots below the node's own snapshot are chosen, so their reports are dropped and nothing is proposed there again.
#[test]
fn reports_of_trimmed_slots_are_dropped() {
    for early in [true, false] {
        let mut candidate = replica(1, 5);
        if early {
            snapshot(&mut candidate, 2);
        }
        campaign(&mut candidate);
        if !early {
            snapshot(&mut candidate, 2);
        }
        let reports = [report(0, ballot(1, 0), "a"), report(2, ballot(1, 0), "c")];
        promise(&mut candidate, 2, ballot(1, 1), reports);
        let Role::Candidate(heard) = candidate.parts().role else { panic!("two of five") };
        assert_eq!(
            heard.trimmed,
            Slot(if early { 2 } else { 0 }),
            "as the promises say, its own included"
        );
        assert_eq!(heard.reported.iter().map(|(slot, ..)| slot).collect_vec(), [Slot(2)]);
        let output = promise(&mut candidate, 3, ballot(1, 1), []);
        assert_eq!(sent(&output), [accept_all(ballot(1, 1), 2, &["c"])]);
    }
}

/// An acceptor does not vote in a trimmed slot: it sends no vote, stores no record, and promises nothing. It tells
/// the proposer, which lacks the chosen value.
#[test]
fn no_votes_in_trimmed_slots() {
    let mut replica = replica(2, 3);
    prepare(&mut replica, 1, ballot(2, 1));
    snapshot(&mut replica, 2);
    let told = (To::Node(NodeId(3)), Message::Trimmed { below: Slot(2) });
    let output = accept(&mut replica, 3, ballot(2, 3), 0, &["a", "b"]);
    assert_eq!(sent(&output), std::slice::from_ref(&told));
    assert!(output.records().is_empty());

    let output = accept(&mut replica, 3, ballot(2, 3), 1, &["b", "c", "d"]);
    assert_eq!(output.records(), [vote(ballot(2, 3), 2, &["c", "d"])]);
    assert_eq!(sent(&output), [accepted_by(3, ballot(2, 3), 2, 2), told]);
    let output = accept(&mut replica, 3, ballot(2, 3), 2, &["c"]);
    assert_eq!(sent(&output), [accepted_by(3, ballot(2, 3), 2, 1)]);

    let output = accept(&mut replica, 1, ballot(2, 1), 0, &["a"]);
    assert_eq!(sent(&output), [nack(1, ballot(2, 1), ballot(2, 3))], "P1a comes first");
}

/// A leader that hears that its slots are trimmed elsewhere asks for the snapshot. With the snapshot it stops
/// proposing in those slots, and in no others.
#[test]
fn a_leader_stops_proposing_in_slots_that_others_have_trimmed() {
    let mut leader = leader(1, 3);
    for command in ["a", "b", "c"] {
        propose(&mut leader, command);
    }
    accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    let told = |below| Message::Trimmed { below: Slot(below) };
    assert_eq!(hear(&mut leader, 3, told(1)), Output::default(), "it knows as much");
    let output = hear(&mut leader, 3, told(2));
    assert!(output.records().is_empty());
    assert_eq!(*output.held(), Effects { fetch: vec![NodeId(3)], ..Effects::default() });
    snapshot(&mut leader, 2);
    let again = sent(&hear_timer(&mut leader, Timer::Resend));
    let (_, accept) = accept_all(ballot(1, 1), 2, &["c"]);
    assert_eq!(again, [2, 3].map(|node| (To::Node(NodeId(node)), accept.clone())));
    assert!(accepted(&mut leader, 2, ballot(1, 1), 1, 1).held().chosen.is_empty());
    assert_eq!(released(&accepted(&mut leader, 2, ballot(1, 1), 2, 1)), [(Slot(2), value("c"))]);
}

/// A node that asks for a trimmed value is told that it is trimmed. Later values are sent as usual.
#[test]
fn trimmed_values_cannot_be_sent() {
    let mut replica = replica(2, 3);
    hear(&mut replica, 1, learned(0, &["a", "b", "c"]));
    snapshot(&mut replica, 2);
    for from in 0..=3 {
        let output = hear(&mut replica, 3, Message::Learn { from: Slot(from) });
        let answer = match from {
            0 | 1 => Some(Message::Trimmed { below: Slot(2) }),
            2 => Some(learned(2, &["c"])),
            _ => None,
        };
        assert_eq!(sent(&output), answer.map(|it| (To::Node(NodeId(3)), it)).as_slice());
    }
}

/// Messages about chosen values in trimmed slots change nothing.
#[test]
fn chosen_values_of_trimmed_slots_are_ignored() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
    snapshot(&mut replica, 2);
    let chosen = |first| Message::Chosen { ballot: ballot(1, 1), first: Slot(first), count: 2 };
    assert_eq!(hear(&mut replica, 1, chosen(0)), Output::default());
    assert_eq!(hear(&mut replica, 1, learned(0, &["a", "b"])), Output::default());
    assert_eq!(released(&hear(&mut replica, 1, chosen(1))), [(Slot(2), value("c"))]);
}
