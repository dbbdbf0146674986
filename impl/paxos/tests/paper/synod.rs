//! Sections 2.1 to 2.5: the choice of one value.

use std::collections::BTreeSet;

use itertools::Itertools;
use paxos::{Message, Output, Record, Refusal, Replica, Slot, Timer, To, protocol::proposer::Role};
use paxos_store::Memory;

use crate::helpers::{
    accept, accept_all, accepted, accepted_by, ballot, batch, campaign, config, hear, hear_timer,
    lead_with, leader, leads_with, nack, prepare, promise, promise_to, propose, refusal, released,
    replica, report, sent, value, vote,
};

// Section 2.1, the problem.

/// "Only a value that has been proposed may be chosen."
#[test]
fn only_a_proposed_value_is_chosen() {
    let mut leader = leader(1, 3);
    assert!(
        accepted(&mut leader, 2, ballot(1, 1), 0, 1).held().chosen.is_empty(),
        "nothing is proposed"
    );
    propose(&mut leader, "x");
    let output = accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    assert_eq!(released(&output), [(Slot(0), value("x"))]);
}

/// "A process never learns that a value has been chosen unless it actually has been."
///
/// A node that has not voted in the ballot of a Chosen message does not take its own vote of another ballot for the
/// chosen value.
#[test]
fn only_a_chosen_value_is_learned() {
    let mut replica = replica(3, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    let chosen = Message::Chosen { ballot: ballot(2, 2), first: Slot(0), count: 1 };
    assert!(hear(&mut replica, 2, chosen).held().chosen.is_empty(), "2.2 may have chosen y");
    let chosen = Message::Chosen { ballot: ballot(1, 1), first: Slot(0), count: 1 };
    assert_eq!(released(&hear(&mut replica, 1, chosen)), [(Slot(0), value("x"))]);
}

// Section 2.2, choosing a value: the requirements that lead to the algorithm.

/// P1: "An acceptor must accept the first proposal that it receives."
#[test]
fn p1_the_first_proposal_is_accepted() {
    let mut replica = replica(2, 3);
    let output = accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    assert_eq!(output.records(), [vote(ballot(1, 1), 0, &["x"])]);
    assert_eq!(sent(&output), [accepted_by(1, ballot(1, 1), 0, 1)]);
}

/// "An acceptor must be allowed to accept more than one proposal." Numbers distinguish them.
#[test]
fn more_than_one_proposal_is_accepted() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    accept(&mut replica, 3, ballot(1, 3), 0, &["y"]);
    let last = replica.parts().acceptor.vote(Slot(0)).unwrap();
    assert_eq!((last.ballot, last.value), (ballot(1, 3), &value("y")));
}

/// "We require that different proposals have different numbers": a ballot has one owner, and only the owner can
/// prepare it and propose in it.
#[test]
fn different_proposals_have_different_numbers() {
    let mut replica = replica(2, 3);
    assert_eq!(accept(&mut replica, 3, ballot(1, 1), 0, &["x"]), Output::default());
    assert_eq!(prepare(&mut replica, 3, ballot(1, 1)), Output::default());
    let heartbeat = Message::Heartbeat { ballot: ballot(1, 1), chosen_below: Slot(0) };
    assert_eq!(hear(&mut replica, 3, heartbeat), Output::default());
}

/// "A value is chosen when a single proposal with that value has been accepted by a majority": votes of
/// two proposals do not add up, even with the same value.
#[test]
fn votes_of_different_ballots_do_not_add_up() {
    let mut leader = leader(1, 5);
    propose(&mut leader, "x");
    accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    // It is deposed and leads again, with the same value, in 3.1.
    hear(&mut leader, 4, Message::Nack { ballot: ballot(1, 1), promised: ballot(2, 4) });
    campaign(&mut leader);
    promise(&mut leader, 4, ballot(3, 1), []);
    promise(&mut leader, 5, ballot(3, 1), []);
    assert_eq!(leads_with(&leader, 0), Some(value("x")));
    assert!(accepted(&mut leader, 3, ballot(3, 1), 0, 1).held().chosen.is_empty(), "1 and 3");
    assert!(
        accepted(&mut leader, 4, ballot(1, 1), 0, 1).held().chosen.is_empty(),
        "a late vote for 1.1"
    );
    assert_eq!(accepted(&mut leader, 4, ballot(3, 1), 0, 1).held().chosen.len(), 1, "1, 3 and 4");
}

/// P2, P2a, P2b: "If a proposal with value v is chosen, then every higher-numbered proposal issued by any proposer
/// has value v", and so has every one accepted and every one chosen. The test tries every next leader with every
/// quorum, and every leader after that.
#[test]
fn p2b_every_higher_proposal_has_the_chosen_value() {
    for (first, second) in (1..=3).cartesian_product(1..=3) {
        for (helper, next_helper) in (1..=3).cartesian_product(1..=3) {
            if first == helper || second == next_helper {
                continue;
            }
            // Node 3 votes for its y in 1.3; then x is chosen by nodes 1 and 2 in ballot 2.1.
            let mut nodes = [replica(1, 3), replica(2, 3), leader(3, 3)];
            propose(&mut nodes[2], "y");
            prepare(&mut nodes[0], 3, ballot(1, 3));
            campaign(&mut nodes[0]);
            prepare(&mut nodes[1], 1, ballot(2, 1));
            promise(&mut nodes[0], 2, ballot(2, 1), []);
            propose(&mut nodes[0], "x");
            accept(&mut nodes[1], 1, ballot(2, 1), 0, &["x"]);
            for (proposer, helper) in [(first, helper), (second, next_helper)] {
                let led = lead_with(&mut nodes, proposer, helper);
                assert_eq!(led, Some(value("x")), "{first} with {helper}, then {second}");
            }
        }
    }
}

/// P2c, case a. A value may be proposed freely if "no acceptor in S has accepted any proposal numbered less than n".
#[test]
fn p2c_a_free_choice_when_nothing_was_accepted() {
    let mut candidate = replica(1, 3);
    campaign(&mut candidate);
    let output = promise(&mut candidate, 2, ballot(1, 1), []);
    assert!(output.held().messages.is_empty(), "it waits for a client");
    let output = propose(&mut candidate, "mine");
    assert_eq!(sent(&output), [accept_all(ballot(1, 1), 0, &["mine"])]);
}

/// P2c, case b. Otherwise v is "the value of the highest-numbered proposal among all proposals numbered less than n
/// accepted by the acceptors in S". The test has three such proposals, in every order of arrival. One of them is
/// the candidate's own vote.
#[test]
fn p2c_b_the_highest_accepted_proposal_decides() {
    let votes = [(1, ballot(1, 2), "low"), (2, ballot(2, 2), "middle"), (3, ballot(3, 2), "high")];
    for order in votes.iter().permutations(3) {
        let [own, second, third] = order[..] else { unreachable!() };
        let mut candidate = replica(1, 5);
        accept(&mut candidate, 2, own.1, 0, &[own.2]);
        // Its ballot is above all of them, as after a refusal.
        campaign(&mut candidate);
        let begun = candidate.parts().acceptor.promised.unwrap();
        hear(&mut candidate, 2, Message::Nack { ballot: begun, promised: ballot(9, 2) });
        campaign(&mut candidate);
        promise(&mut candidate, 3, ballot(10, 1), [report(0, second.1, second.2)]);
        promise(&mut candidate, 4, ballot(10, 1), [report(0, third.1, third.2)]);
        assert_eq!(leads_with(&candidate, 0), Some(value("high")), "{order:?}");
    }
}

// Section 2.2, the algorithm.

/// Phase 1a: "A proposer chooses a new proposal number n and sends a request to each member of some set of
/// acceptors."
#[test]
fn phase_1a_a_new_number_to_all() {
    let mut replica = replica(2, 3);
    prepare(&mut replica, 3, ballot(4, 3));
    let output = campaign(&mut replica);
    let all = (To::Peers, Message::Prepare { ballot: ballot(5, 2), first: Slot(0) });
    assert_eq!(sent(&output), [all], "above 4.3, and owned");
}

/// Phase 1b, for a prepare request with a new highest number. The response of the acceptor is "a promise not to accept
/// any more proposals numbered less than n", with "the highest-numbered proposal (if any) that it has accepted".
#[test]
fn phase_1b_a_promise_with_the_last_vote() {
    let mut replica = replica(2, 3);
    let output = prepare(&mut replica, 1, ballot(1, 1));
    assert_eq!(output.records(), [Record::Promised(ballot(1, 1))]);
    assert_eq!(sent(&output), [promise_to(1, ballot(1, 1), [])]);

    accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    accept(&mut replica, 3, ballot(1, 3), 0, &["y"]);
    let output = prepare(&mut replica, 1, ballot(2, 1));
    let highest = report(0, ballot(1, 3), "y");
    assert_eq!(sent(&output), [promise_to(1, ballot(2, 1), [highest])]);
}

/// "An acceptor can ignore any request without compromising safety." It has no reason to grant a prepare request
/// below its promise, "since it will not accept the proposal" that would follow.
#[test]
fn phase_1b_no_promise_below_the_promise() {
    let mut replica = replica(2, 3);
    prepare(&mut replica, 3, ballot(1, 3));
    let output = prepare(&mut replica, 1, ballot(1, 1));
    assert_eq!(sent(&output), [nack(1, ballot(1, 1), ballot(1, 3))]);
    assert!(output.records().is_empty());
}

/// "We also have it ignore a prepare request for a proposal it has already accepted."
#[test]
fn phase_1b_no_promise_for_what_is_accepted() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    assert_eq!(prepare(&mut replica, 1, ballot(1, 1)), Output::default());
}

/// Phase 2a: a proposer goes on with "a response to its prepare requests (numbered n) from a majority of
/// acceptors". A response that arrives twice counts once, and one to another number does not count.
#[test]
fn phase_2a_only_with_a_majority() {
    let mut candidate = replica(1, 5);
    campaign(&mut candidate);
    campaign(&mut candidate);
    let ballot_now = ballot(2, 1);
    promise(&mut candidate, 2, ballot_now, []);
    promise(&mut candidate, 2, ballot_now, []);
    promise(&mut candidate, 3, ballot(1, 1), []);
    promise(&mut candidate, 3, ballot(2, 3), []);
    promise(&mut candidate, 9, ballot_now, []);
    promise(&mut candidate, 1, ballot_now, []);
    assert!(matches!(candidate.parts().role, Role::Candidate(_)));
    assert!(matches!(refusal(&propose(&mut candidate, "x")), Some(Refusal::NotLeader { .. })));
    promise(&mut candidate, 3, ballot_now, []);
    assert!(matches!(candidate.parts().role, Role::Leader(_)));
}

/// Phase 2a, slot by slot: the value is "the value of the highest-numbered proposal among the responses, or
/// is any value if the responses reported no proposals".
#[test]
fn phase_2a_slot_by_slot() {
    let mut candidate = replica(1, 5);
    hear(&mut candidate, 2, Message::Prepare { ballot: ballot(3, 2), first: Slot(0) });
    campaign(&mut candidate);
    promise(
        &mut candidate,
        3,
        ballot(4, 1),
        [report(0, ballot(1, 3), "a"), report(1, ballot(2, 2), "b")],
    );
    let reports = [report(0, ballot(2, 2), "A"), report(1, ballot(1, 3), "B")];
    let output = promise(&mut candidate, 4, ballot(4, 1), reports);
    assert_eq!(sent(&output), [accept_all(ballot(4, 1), 0, &["A", "b"])]);
    let output = propose(&mut candidate, "free");
    assert_eq!(sent(&output), [accept_all(ballot(4, 1), 2, &["free"])]);
}

/// P1a, phase 2b: an acceptor accepts a proposal "unless it has already responded to a prepare request
/// having a number greater than n". So it accepts at its promise and above it, and not below.
#[test]
fn p1a_phase_2b_unless_a_greater_number_was_promised() {
    for (number, accepts) in [(1, false), (2, true), (3, true)] {
        let mut replica = replica(2, 3);
        prepare(&mut replica, 1, ballot(2, 1));
        let output = accept(&mut replica, 1, ballot(number, 1), 0, &["x"]);
        if accepts {
            assert_eq!(output.records(), [vote(ballot(number, 1), 0, &["x"])]);
            assert_eq!(sent(&output), [accepted_by(1, ballot(number, 1), 0, 1)]);
        } else {
            assert!(output.records().is_empty());
            assert_eq!(sent(&output), [nack(1, ballot(1, 1), ballot(2, 1))]);
        }
    }
}

/// P1a, with one phase 1 for all instances as in section 3: the promise of an acceptor covers every slot. So an
/// acceptor that accepts in one slot refuses lower ballots in all others.
#[test]
fn p1a_an_accepted_ballot_is_promised_in_every_slot() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 3, ballot(2, 3), 7, &["x"]);
    let output = accept(&mut replica, 1, ballot(2, 1), 0, &["y"]);
    assert_eq!(sent(&output), [nack(1, ballot(2, 1), ballot(2, 3))]);
}

/// "It can abandon a proposal in the middle of the protocol at any time." Correctness is kept, although
/// requests and responses "may arrive at their destinations long after the proposal was abandoned".
#[test]
fn an_abandoned_proposal_stays_abandoned() {
    let mut proposer = leader(1, 3);
    propose(&mut proposer, "x");
    prepare(&mut proposer, 3, ballot(1, 3));
    assert!(matches!(proposer.parts().role, Role::Follower));
    assert_eq!(accepted(&mut proposer, 2, ballot(1, 1), 0, 1), Output::default());
    assert_eq!(promise(&mut proposer, 2, ballot(1, 1), []), Output::default());
    assert!(hear_timer(&mut proposer, Timer::Resend).held().messages.is_empty());
    assert!(hear_timer(&mut proposer, Timer::Heartbeat).held().messages.is_empty());
}

/// An acceptor that ignores a request for its higher promise "should probably inform the proposer, who should then
/// abandon its proposal".
#[test]
fn a_refused_proposal_is_abandoned() {
    let mut proposer = leader(1, 3);
    propose(&mut proposer, "x");
    // A refusal of another ballot than the present one is ignored.
    hear(&mut proposer, 2, Message::Nack { ballot: ballot(2, 1), promised: ballot(3, 3) });
    assert!(matches!(proposer.parts().role, Role::Leader(_)));
    hear(&mut proposer, 2, Message::Nack { ballot: ballot(1, 1), promised: ballot(7, 3) });
    assert!(matches!(proposer.parts().role, Role::Follower));
    let output = campaign(&mut proposer);
    assert_eq!(output.records(), [Record::Promised(ballot(8, 1))]);
}

/// An acceptor needs to remember "only the highest-numbered proposal that it has ever accepted and the
/// number of the highest-numbered prepare request to which it has responded". It remembers them "even if it fails
/// and then restarts".
#[test]
fn only_the_highest_is_remembered_across_failures() {
    let mut store = Memory::default();
    let mut replica = replica(2, 3);
    for number in 1..=5 {
        let output = accept(&mut replica, 1, ballot(number, 1), 0, &["x"]);
        store.append(output.records()).unwrap();
    }
    store.append(prepare(&mut replica, 3, ballot(9, 3)).records()).unwrap();
    let records = store.records();
    assert_eq!(records, [vote(ballot(5, 1), 0, &["x"]), Record::Promised(ballot(9, 3))]);

    let mut replica = Replica::recover(config(2, 3), records).unwrap();
    let output = accept(&mut replica, 1, ballot(8, 1), 0, &["y"]);
    assert_eq!(sent(&output), [nack(1, ballot(8, 1), ballot(9, 3))]);
    let output = prepare(&mut replica, 1, ballot(10, 1));
    let highest = report(0, ballot(5, 1), "x");
    assert_eq!(sent(&output), [promise_to(1, ballot(10, 1), [highest])]);
}

// Section 2.3, learning a chosen value.

/// "A learner must find out that a proposal has been accepted by a majority of acceptors." Each acceptor counts once.
#[test]
fn learning_takes_a_majority() {
    let mut leader = leader(1, 5);
    propose(&mut leader, "x");
    for _ in 0..3 {
        assert_eq!(accepted(&mut leader, 2, ballot(1, 1), 0, 1), Output::default());
        assert_eq!(accepted(&mut leader, 9, ballot(1, 1), 0, 1), Output::default(), "a stranger");
    }
    assert_eq!(released(&accepted(&mut leader, 4, ballot(1, 1), 0, 1)), [(Slot(0), value("x"))]);
}

/// The "acceptors respond with their acceptances to a distinguished learner, which in turn informs the
/// other learners when a value has been chosen."
#[test]
fn the_distinguished_learner_tells_the_others() {
    let mut leader = leader(1, 3);
    let mut follower = replica(2, 3);
    let asked = accept(&mut follower, 1, ballot(1, 1), 0, &["x"]);
    assert_eq!(sent(&asked), [accepted_by(1, ballot(1, 1), 0, 1)], "to one only");
    propose(&mut leader, "x");
    let output = accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    let chosen = Message::Chosen { ballot: ballot(1, 1), first: Slot(0), count: 1 };
    assert_eq!(sent(&output), [(To::Peers, chosen.clone())]);
    assert_eq!(released(&hear(&mut follower, 1, chosen)), [(Slot(0), value("x"))]);
}

/// "Because of message loss, a value could be chosen with no learner ever finding out"; "it can have a
/// proposer issue a proposal" to find out.
#[test]
fn a_new_proposal_finds_the_chosen_value() {
    let mut nodes = [leader(1, 3), replica(2, 3), replica(3, 3)];
    propose(&mut nodes[0], "x");
    accept(&mut nodes[1], 1, ballot(1, 1), 0, &["x"]);
    // All messages are lost: node 1 does not hear of the vote, and node 3 of nothing at all.
    assert_eq!(lead_with(&mut nodes, 3, 2), Some(value("x")));
    let promised = nodes[2].parts().acceptor.promised.unwrap();
    let output = accepted(&mut nodes[2], 2, promised, 0, 1);
    assert_eq!(released(&output), [(Slot(0), value("x"))]);
}

// Section 2.4, progress.

/// If enough of the system works, "liveness can therefore be achieved by electing a single distinguished
/// proposer". Each of the other nodes refuses it once, and its third ballot is above both promises.
#[test]
fn a_single_proposer_succeeds() {
    let mut proposer = replica(1, 3);
    let mut others = [replica(2, 3), replica(3, 3)];
    prepare(&mut others[0], 3, ballot(1_000, 3));
    prepare(&mut others[1], 2, ballot(2_000, 2));
    for attempts in 1..=3 {
        let output = campaign(&mut proposer);
        let Record::Promised(ballot) = output.records()[0] else { unreachable!() };
        let answers = [2_u32, 3].map(|id| prepare(&mut others[id as usize - 2], 1, ballot));
        for (id, answer) in (2..).zip(answers) {
            hear(&mut proposer, id, answer.held().messages[0].message.clone());
        }
        assert_eq!(matches!(proposer.parts().role, Role::Leader(_)), attempts == 3);
    }
}

// Section 2.5, the implementation.

/// "An acceptor records its intended response in stable storage before actually sending the response."
///
/// A new promise or vote comes with its record in the same output. The records alone rebuild the acceptor.
#[test]
fn a_response_comes_with_its_record() {
    let mut replica = replica(2, 3);
    let mut store = Memory::default();
    let steps = [
        Message::Prepare { ballot: ballot(1, 1), first: Slot(0) },
        Message::Accept { ballot: ballot(1, 1), first: Slot(0), values: batch(&["a", "b"]) },
        Message::Accept { ballot: ballot(1, 1), first: Slot(1), values: batch(&["b", "c"]) },
        Message::Accept { ballot: ballot(3, 1), first: Slot(5), values: batch(&["f"]) },
        Message::Prepare { ballot: ballot(4, 1), first: Slot(0) },
    ];
    for message in steps {
        let output = hear(&mut replica, 1, message);
        assert_eq!(output.held().messages.len(), 1);
        assert_eq!(output.records().len(), 1);
        store.append(output.records()).unwrap();
        let recovered = Replica::recover(config(2, 3), store.records()).unwrap();
        assert_eq!(recovered.parts().acceptor, replica.parts().acceptor);
    }
}

/// A leader is an acceptor as well. Its own promise and its own votes come with their records.
#[test]
fn a_leader_records_its_own_promise_and_votes() {
    let mut leader = replica(1, 3);
    assert_eq!(campaign(&mut leader).records(), [Record::Promised(ballot(1, 1))]);
    let output = promise(&mut leader, 2, ballot(1, 1), [report(0, ballot(1, 0), "x")]);
    assert_eq!(output.records(), [vote(ballot(1, 1), 0, &["x"])]);
    assert_eq!(propose(&mut leader, "y").records(), [vote(ballot(1, 1), 1, &["y"])]);
}

/// "Different proposers choose their numbers from disjoint sets of numbers, so two different proposers
/// never issue a proposal with the same number."
#[test]
fn numbers_of_different_proposers_are_disjoint() {
    let mut begun = BTreeSet::new();
    for id in 1..=3 {
        let mut replica = replica(id, 3);
        for _ in 0..10 {
            let Record::Promised(ballot) = campaign(&mut replica).records()[0] else {
                unreachable!()
            };
            assert!(begun.insert(ballot), "{ballot} twice");
        }
    }
}

/// "Each proposer remembers (in stable storage) the highest-numbered proposal it has tried to issue, and
/// begins phase 1 with a higher proposal number than any it has already used."
#[test]
fn a_number_is_never_used_twice_across_failures() {
    let mut store = Memory::default();
    let mut last = None;
    for _ in 0..10 {
        let mut replica = Replica::recover(config(1, 3), store.records()).unwrap();
        let output = campaign(&mut replica);
        let (_, Message::Prepare { ballot, .. }) = sent(&output)[0] else { unreachable!() };
        assert!(last < Some(ballot));
        last = Some(ballot);
        store.append(output.records()).unwrap();
    }
}
