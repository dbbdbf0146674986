//! Reads without a slot, which the paper leaves open.

use paxos::{Message, NodeId, Output, Refusal, Replica, Slot, Timer, To};

use crate::helpers::{
    accepted, ballot, batch, campaign, config, confirm, confirmed, hear, hear_timer, leader,
    learned, nack, prepare, promise, propose, read, ready, refusals, replica, report, sent,
    snapshot,
};

/// A read needs no slot of the log. It may be answered once a quorum has confirmed that it has promised no higher
/// ballot. The leader must ask the quorum after it got the read. Each node counts once, and only for that round and
/// ballot.
#[test]
fn a_read_is_confirmed_by_a_quorum() {
    let mut leader = leader(1, 5);
    assert_eq!(read(&mut leader, []), Output::default(), "no read, no round");
    let output = read(&mut leader, [7]);
    let ask = |round| (To::Peers, Message::Confirm { ballot: ballot(1, 1), round });
    assert_eq!(sent(&output), [ask(1)]);
    assert!(output.records().is_empty() && output.held().reads.is_empty());
    for _ in 0..2 {
        assert_eq!(confirmed(&mut leader, 2, ballot(1, 1), 1), Output::default());
        assert_eq!(confirmed(&mut leader, 1, ballot(1, 1), 1), Output::default(), "itself");
        assert_eq!(confirmed(&mut leader, 9, ballot(1, 1), 1), Output::default(), "a stranger");
        assert_eq!(confirmed(&mut leader, 3, ballot(1, 1), 0), Output::default(), "another round");
        assert_eq!(confirmed(&mut leader, 3, ballot(1, 1), 2), Output::default(), "another round");
        assert_eq!(confirmed(&mut leader, 3, ballot(2, 1), 1), Output::default(), "another ballot");
    }
    // Later reads wait, because answers that are under way may be older than these reads.
    assert_eq!(read(&mut leader, [8, 9]), Output::default());
    let output = confirmed(&mut leader, 3, ballot(1, 1), 1);
    assert_eq!(ready(&output), [(7, 0)]);
    assert_eq!(sent(&output), [ask(2)]);
    assert_eq!(confirmed(&mut leader, 4, ballot(1, 1), 1), Output::default(), "too late");
    assert_eq!(confirmed(&mut leader, 4, ballot(1, 1), 2), Output::default());
    let output = confirmed(&mut leader, 5, ballot(1, 1), 2);
    assert_eq!(ready(&output), [(8, 0), (9, 0)]);
    assert!(output.held().messages.is_empty(), "no read is left");
    assert_eq!(confirmed(&mut leader, 2, ballot(1, 1), 2), Output::default());
}

/// With a phase 2 quorum of one, every other leader needs the promise of this leader. So this leader confirms its reads
/// alone.
#[test]
fn one_vote_is_enough_to_read() {
    let mut leader = Replica::new(config(1, 3).with_quorums(3, 1)).unwrap();
    campaign(&mut leader);
    promise(&mut leader, 2, ballot(1, 1), []);
    promise(&mut leader, 3, ballot(1, 1), []);
    for token in 1..3 {
        assert_eq!(ready(&read(&mut leader, [token])), [(token, 0)]);
    }
}

/// A read has to see the slots that are known to be chosen when its round begins. It need not see later ones.
#[test]
fn a_read_sees_slots_that_were_chosen_when_it_was_asked() {
    let mut leader = leader(1, 3);
    for command in ["a", "b", "c"] {
        propose(&mut leader, command);
    }
    accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    read(&mut leader, [1]);
    accepted(&mut leader, 2, ballot(1, 1), 1, 1);
    read(&mut leader, [2]);
    assert_eq!(ready(&confirmed(&mut leader, 2, ballot(1, 1), 1)), [(1, 1)]);
    assert_eq!(ready(&confirmed(&mut leader, 2, ballot(1, 1), 2)), [(2, 2)]);
}

/// Another node may know the slot that this leader waits for, from an earlier leader, and apply the slots after it.
/// So a read has to see all slots that its leader knows to be chosen, even those beyond a gap.
#[test]
fn a_read_sees_slots_that_others_can_apply() {
    let mut leader = replica(1, 3);
    campaign(&mut leader);
    promise(&mut leader, 2, ballot(1, 1), [report(0, ballot(1, 0), "a")]);
    propose(&mut leader, "b");
    accepted(&mut leader, 2, ballot(1, 1), 1, 1);
    read(&mut leader, [1]);
    assert_eq!(ready(&confirmed(&mut leader, 2, ballot(1, 1), 1)), [(1, 2)]);
}

/// A value that was reported to a new leader may be chosen, and a client may know it. So the leader's reads wait
/// for every reported slot, and for every slot that it knew before.
#[test]
fn a_new_leaders_reads_see_reported_slots() {
    let mut candidate = replica(1, 3);
    hear(&mut candidate, 2, learned(0, &["a"]));
    campaign(&mut candidate);
    promise(&mut candidate, 2, ballot(1, 1), [report(2, ballot(1, 0), "c")]);
    propose(&mut candidate, "d");
    read(&mut candidate, [1]);
    assert_eq!(ready(&confirmed(&mut candidate, 3, ballot(1, 1), 1)), [(1, 3)]);

    let mut candidate = replica(1, 3);
    snapshot(&mut candidate, 5);
    campaign(&mut candidate);
    promise(&mut candidate, 2, ballot(1, 1), []);
    read(&mut candidate, [1]);
    assert_eq!(ready(&confirmed(&mut candidate, 3, ballot(1, 1), 1)), [(1, 5)]);
}

/// A confirmation says that its sender has promised no higher ballot. It is no promise, and goes only to the owner of
/// the ballot.
#[test]
fn a_node_that_has_promised_a_higher_ballot_does_not_confirm() {
    let mut replica = replica(2, 3);
    let answer = |round| {
        let message = Message::Confirmed { ballot: ballot(2, 3), round };
        vec![(To::Node(NodeId(3)), message)]
    };
    for promised in [None, Some(ballot(1, 1)), Some(ballot(2, 3))] {
        if let Some(ballot) = promised {
            prepare(&mut replica, ballot.node.0, ballot);
        }
        let output = confirm(&mut replica, 3, ballot(2, 3), 4);
        assert_eq!(sent(&output), answer(4));
        assert!(output.records().is_empty());
        assert_eq!(replica.parts().acceptor.promised, promised);
    }
    assert_eq!(confirm(&mut replica, 1, ballot(2, 3), 4), Output::default());
    prepare(&mut replica, 1, ballot(3, 1));
    let output = confirm(&mut replica, 3, ballot(2, 3), 5);
    assert_eq!(sent(&output), [nack(3, ballot(2, 3), ballot(3, 1))]);
}

/// A node that does not lead refuses reads, and names the leader if it knows one. A leader that hears of a higher
/// ballot, by whichever message, refuses all reads that wait.
#[test]
fn reads_are_refused_without_the_lead() {
    let mut follower = replica(1, 3);
    let unknown = Refusal::NotLeader { leader: None };
    assert_eq!(refusals(&read(&mut follower, [4, 5])), [(4, unknown), (5, unknown)]);
    campaign(&mut follower);
    assert_eq!(refusals(&read(&mut follower, [6])), [(6, unknown)]);

    let deposed = [
        Message::Prepare { ballot: ballot(2, 3), first: Slot(0) },
        Message::Accept { ballot: ballot(2, 3), first: Slot(0), values: batch(&["x"]) },
        Message::Nack { ballot: ballot(1, 1), promised: ballot(2, 3) },
    ];
    for message in deposed {
        let mut leader = leader(1, 3);
        read(&mut leader, [1, 2]);
        read(&mut leader, [3]);
        let output = hear(&mut leader, 3, message);
        let refusal = Refusal::NotLeader { leader: Some(NodeId(3)) };
        assert_eq!(refusals(&output), [1, 2, 3].map(|token| (token, refusal)));
        assert_eq!(confirmed(&mut leader, 2, ballot(1, 1), 1), Output::default());

        // It leads again in another ballot. Confirmations of the former ballot do not count.
        campaign(&mut leader);
        promise(&mut leader, 2, ballot(3, 1), []);
        read(&mut leader, [4]);
        assert_eq!(confirmed(&mut leader, 2, ballot(1, 1), 1), Output::default());
        assert_eq!(ready(&confirmed(&mut leader, 2, ballot(3, 1), 1)).len(), 1);
    }
}

/// Messages "can be lost". During a round, the leader asks the nodes again that have not confirmed.
#[test]
fn a_round_is_asked_again() {
    let mut leader = leader(1, 5);
    read(&mut leader, [1]);
    confirmed(&mut leader, 3, ballot(1, 1), 1);
    let output = hear_timer(&mut leader, Timer::Resend);
    let again = Message::Confirm { ballot: ballot(1, 1), round: 1 };
    let expected = [2, 4, 5].map(|node| (To::Node(NodeId(node)), again.clone()));
    assert_eq!(sent(&output), expected);
    assert_eq!(output.held().timers, [Timer::Resend]);
    confirmed(&mut leader, 2, ballot(1, 1), 1);
    assert!(hear_timer(&mut leader, Timer::Resend).held().messages.is_empty());
}
