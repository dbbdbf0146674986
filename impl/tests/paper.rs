//! "Paxos Made Simple" (Lamport, 2001), sentence by sentence: one test for each that requires something,
//! in the order of the paper. The sentence stands above the test, quoted or in short. What the paper leaves
//! open comes last: to forget what is decided, and to read without a slot.
//!
//! Replicas are driven by hand here, one message at a time.

use std::collections::BTreeSet;

use itertools::Itertools;
use paxos::{
    Ballot, Batch, Config, Envelope, Event, Message, NodeId, Output, Proposal, Record, Refusal,
    Replica, Report, Slot, Timer, To, Token, Value, protocol::proposer::Role, storage::Memory,
};

// Section 2.1, the problem.

/// "Only a value that has been proposed may be chosen."
#[test]
fn only_a_proposed_value_is_chosen() {
    let mut leader = leader(1, 3);
    assert!(accepted(&mut leader, 2, ballot(1, 1), 0, 1).chosen.is_empty(), "nothing is proposed");
    propose(&mut leader, "x");
    let output = accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    assert_eq!(output.chosen, [(Slot(0), value("x"))]);
}

/// "A process never learns that a value has been chosen unless it actually has been": who has not voted
/// in the ballot that chose does not take its own vote of another ballot for what was chosen.
#[test]
fn nothing_is_learned_that_is_not_chosen() {
    let mut replica = replica(3, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    let chosen = Message::Chosen { ballot: ballot(2, 2), first: Slot(0), count: 1 };
    assert!(hear(&mut replica, 2, chosen).chosen.is_empty(), "2.2 may have chosen y");
    let chosen = Message::Chosen { ballot: ballot(1, 1), first: Slot(0), count: 1 };
    assert_eq!(hear(&mut replica, 1, chosen).chosen, [(Slot(0), value("x"))]);
}

// Section 2.2, choosing a value: what leads to the algorithm.

/// P1: "An acceptor must accept the first proposal that it receives."
#[test]
fn p1_the_first_proposal_is_accepted() {
    let mut replica = replica(2, 3);
    let output = accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    assert_eq!(output.records, [vote(ballot(1, 1), 0, &["x"])]);
    assert_eq!(sent(&output), [accepted_by(1, ballot(1, 1), 0, 1)]);
}

/// "An acceptor must be allowed to accept more than one proposal", told apart by their numbers.
#[test]
fn more_than_one_proposal_is_accepted() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    accept(&mut replica, 3, ballot(1, 3), 0, &["y"]);
    let last = replica.parts().acceptor.votes.get(Slot(0)).unwrap();
    assert_eq!((last.ballot, &last.value), (ballot(1, 3), &value("y")));
}

/// "We require that different proposals have different numbers": a ballot has one owner, who alone can
/// prepare and propose in it.
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
    assert!(accepted(&mut leader, 3, ballot(3, 1), 0, 1).chosen.is_empty(), "1 and 3");
    assert!(accepted(&mut leader, 4, ballot(1, 1), 0, 1).chosen.is_empty(), "a late vote for 1.1");
    assert_eq!(accepted(&mut leader, 4, ballot(3, 1), 0, 1).chosen.len(), 1, "1, 3 and 4");
}

/// P2, P2a, P2b: "If a proposal with value v is chosen, then every higher-numbered proposal issued by any
/// proposer has value v", hence every one accepted and every one chosen. Here: whoever leads next, with
/// whatever quorum, and whoever leads after that.
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

/// P2c (a): a value may be proposed freely if "no acceptor in S has accepted any proposal numbered less
/// than n".
#[test]
fn p2c_a_free_choice_when_nothing_was_accepted() {
    let mut candidate = replica(1, 3);
    campaign(&mut candidate);
    let output = promise(&mut candidate, 2, ballot(1, 1), []);
    assert!(output.messages.is_empty(), "it waits for a client");
    let output = propose(&mut candidate, "mine");
    assert_eq!(sent(&output), [accept_all(ballot(1, 1), 0, &["mine"])]);
}

/// P2c (b): otherwise v is "the value of the highest-numbered proposal among all proposals numbered less
/// than n accepted by the acceptors in S". Here three were, in every order of arrival; the candidate's
/// own vote is one of them.
#[test]
fn p2c_b_the_highest_accepted_proposal_decides() {
    let votes = [(1, ballot(1, 2), "low"), (2, ballot(2, 2), "middle"), (3, ballot(3, 2), "high")];
    for order in votes.iter().permutations(3) {
        let [own, second, third] = order[..] else { unreachable!() };
        let mut candidate = replica(1, 5);
        accept(&mut candidate, 2, own.1, 0, &[own.2]);
        // Above all of them, as after a refusal.
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
    let all = (To::Peers, Message::Prepare { ballot: ballot(5, 2) });
    assert_eq!(sent(&output), [all], "above 4.3, and owned");
}

/// Phase 1b: to a prepare request with a number greater than any before, an acceptor responds "with a
/// promise not to accept any more proposals numbered less than n and with the highest-numbered proposal
/// (if any) that it has accepted".
#[test]
fn phase_1b_a_promise_with_the_last_vote() {
    let mut replica = replica(2, 3);
    let output = prepare(&mut replica, 1, ballot(1, 1));
    assert_eq!(output.records, [Record::Promised(ballot(1, 1))]);
    assert_eq!(sent(&output), [promise_to(1, ballot(1, 1), [])]);

    accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    accept(&mut replica, 3, ballot(1, 3), 0, &["y"]);
    let output = prepare(&mut replica, 1, ballot(2, 1));
    let highest = report(0, ballot(1, 3), "y");
    assert_eq!(sent(&output), [promise_to(1, ballot(2, 1), [highest])]);
}

/// "An acceptor can ignore any request without compromising safety"; a prepare request below its promise
/// it has no reason to grant, "since it will not accept the proposal" that would follow.
#[test]
fn phase_1b_no_promise_below_the_promise() {
    let mut replica = replica(2, 3);
    prepare(&mut replica, 3, ballot(1, 3));
    let output = prepare(&mut replica, 1, ballot(1, 1));
    assert_eq!(sent(&output), [nack(1, ballot(1, 1), ballot(1, 3))]);
    assert!(output.records.is_empty());
}

/// "We also have it ignore a prepare request for a proposal it has already accepted."
#[test]
fn phase_1b_no_promise_for_what_is_accepted() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["x"]);
    assert_eq!(prepare(&mut replica, 1, ballot(1, 1)), Output::default());
}

/// Phase 2a: it is "a response to its prepare requests (numbered n) from a majority of acceptors" that lets
/// a proposer go on; not fewer, not twice the same, not for another number.
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

/// Phase 2a: the accept request carries "the value of the highest-numbered proposal among the responses, or
/// is any value if the responses reported no proposals" (slot by slot).
#[test]
fn phase_2a_slot_by_slot() {
    let mut candidate = replica(1, 5);
    hear(&mut candidate, 2, Message::Prepare { ballot: ballot(3, 2) });
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
/// having a number greater than n": so with its promise, or above it, and not below.
#[test]
fn p1a_phase_2b_unless_a_greater_number_was_promised() {
    for (number, accepts) in [(1, false), (2, true), (3, true)] {
        let mut replica = replica(2, 3);
        prepare(&mut replica, 1, ballot(2, 1));
        let output = accept(&mut replica, 1, ballot(number, 1), 0, &["x"]);
        if accepts {
            assert_eq!(output.records, [vote(ballot(number, 1), 0, &["x"])]);
            assert_eq!(sent(&output), [accepted_by(1, ballot(number, 1), 0, 1)]);
        } else {
            assert!(output.records.is_empty());
            assert_eq!(sent(&output), [nack(1, ballot(1, 1), ballot(2, 1))]);
        }
    }
}

/// The promise of one acceptor covers every slot, so accepting in one slot refuses lower ballots in all
/// others (P1a, with one phase 1 for all instances as in section 3).
#[test]
fn p1a_an_accepted_ballot_is_promised_in_every_slot() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 3, ballot(2, 3), 7, &["x"]);
    let output = accept(&mut replica, 1, ballot(2, 1), 0, &["y"]);
    assert_eq!(sent(&output), [nack(1, ballot(2, 1), ballot(2, 3))]);
}

/// "It can abandon a proposal in the middle of the protocol at any time": correctness is kept although
/// requests and responses "may arrive at their destinations long after the proposal was abandoned".
#[test]
fn an_abandoned_proposal_stays_abandoned() {
    let mut proposer = leader(1, 3);
    propose(&mut proposer, "x");
    prepare(&mut proposer, 3, ballot(1, 3));
    assert!(matches!(proposer.parts().role, Role::Follower));
    assert_eq!(accepted(&mut proposer, 2, ballot(1, 1), 0, 1), Output::default());
    assert_eq!(promise(&mut proposer, 2, ballot(1, 1), []), Output::default());
    assert!(hear_timer(&mut proposer, Timer::Resend).messages.is_empty());
    assert!(hear_timer(&mut proposer, Timer::Heartbeat).messages.is_empty());
}

/// "If an acceptor ignores a prepare or accept request because it has already received a prepare request
/// with a higher number, then it should probably inform the proposer, who should then abandon its
/// proposal."
#[test]
fn a_refusal_is_said_and_the_proposal_abandoned() {
    let mut proposer = leader(1, 3);
    propose(&mut proposer, "x");
    // About a ballot that is not the present one it says nothing.
    hear(&mut proposer, 2, Message::Nack { ballot: ballot(2, 1), promised: ballot(3, 3) });
    assert!(matches!(proposer.parts().role, Role::Leader(_)));
    hear(&mut proposer, 2, Message::Nack { ballot: ballot(1, 1), promised: ballot(7, 3) });
    assert!(matches!(proposer.parts().role, Role::Follower));
    let output = campaign(&mut proposer);
    assert_eq!(output.records, [Record::Promised(ballot(8, 1))]);
}

/// An acceptor needs to remember "only the highest-numbered proposal that it has ever accepted and the
/// number of the highest-numbered prepare request to which it has responded", and these "even if it fails
/// and then restarts".
#[test]
fn only_the_highest_is_remembered_and_across_failures() {
    let mut store = Memory::default();
    let mut replica = replica(2, 3);
    for number in 1..=5 {
        let output = accept(&mut replica, 1, ballot(number, 1), 0, &["x"]);
        store.append(&output.records).unwrap();
    }
    store.append(&prepare(&mut replica, 3, ballot(9, 3)).records).unwrap();
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

/// "A learner must find out that a proposal has been accepted by a majority of acceptors": each of them
/// counts once.
#[test]
fn learning_takes_a_majority() {
    let mut leader = leader(1, 5);
    propose(&mut leader, "x");
    for _ in 0..3 {
        assert_eq!(accepted(&mut leader, 2, ballot(1, 1), 0, 1), Output::default());
        assert_eq!(accepted(&mut leader, 9, ballot(1, 1), 0, 1), Output::default(), "a stranger");
    }
    assert_eq!(accepted(&mut leader, 4, ballot(1, 1), 0, 1).chosen, [(Slot(0), value("x"))]);
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
    assert_eq!(hear(&mut follower, 1, chosen).chosen, [(Slot(0), value("x"))]);
}

/// "Because of message loss, a value could be chosen with no learner ever finding out"; "it can have a
/// proposer issue a proposal" to find out.
#[test]
fn a_new_proposal_finds_out_what_was_chosen() {
    let mut nodes = [leader(1, 3), replica(2, 3), replica(3, 3)];
    propose(&mut nodes[0], "x");
    accept(&mut nodes[1], 1, ballot(1, 1), 0, &["x"]);
    // All of it lost: 1 never hears of the vote, and 3 has never heard of anything.
    assert_eq!(lead_with(&mut nodes, 3, 2), Some(value("x")));
    let promised = nodes[2].parts().acceptor.promised.unwrap();
    let output = accepted(&mut nodes[2], 2, promised, 0, 1);
    assert_eq!(output.chosen, [(Slot(0), value("x"))]);
}

// Section 2.4, progress.

/// If enough of the system works, "liveness can therefore be achieved by electing a single distinguished
/// proposer": refused once by each of the others, it is above both with its third attempt.
#[test]
fn a_single_proposer_succeeds() {
    let mut proposer = replica(1, 3);
    let mut others = [replica(2, 3), replica(3, 3)];
    prepare(&mut others[0], 3, ballot(1_000, 3));
    prepare(&mut others[1], 2, ballot(2_000, 2));
    for attempts in 1..=3 {
        let output = campaign(&mut proposer);
        let Record::Promised(ballot) = output.records[0] else { unreachable!() };
        let answers = [2_u32, 3].map(|id| prepare(&mut others[id as usize - 2], 1, ballot));
        for (id, answer) in (2..).zip(answers) {
            hear(&mut proposer, id, answer.messages[0].message.clone());
        }
        assert_eq!(matches!(proposer.parts().role, Role::Leader(_)), attempts == 3);
    }
}

// Section 2.5, the implementation.

/// "An acceptor records its intended response in stable storage before actually sending the response":
/// whatever is promised or accepted for the first time comes with its record in the same output, and the
/// records alone make the same acceptor again.
#[test]
fn a_response_comes_with_its_record() {
    let mut replica = replica(2, 3);
    let mut store = Memory::default();
    let steps = [
        Message::Prepare { ballot: ballot(1, 1) },
        Message::Accept { ballot: ballot(1, 1), first: Slot(0), values: batch(&["a", "b"]) },
        Message::Accept { ballot: ballot(1, 1), first: Slot(1), values: batch(&["b", "c"]) },
        Message::Accept { ballot: ballot(3, 1), first: Slot(5), values: batch(&["f"]) },
        Message::Prepare { ballot: ballot(4, 1) },
    ];
    for message in steps {
        let output = hear(&mut replica, 1, message);
        assert_eq!(output.messages.len(), 1);
        assert_eq!(output.records.len(), 1);
        store.append(&output.records).unwrap();
        let recovered = Replica::recover(config(2, 3), store.records()).unwrap();
        assert_eq!(recovered.parts().acceptor, replica.parts().acceptor);
    }
}

/// A leader is an acceptor, too: its own promise and its own votes come with their records.
#[test]
fn a_leader_records_its_own_promise_and_votes() {
    let mut leader = replica(1, 3);
    assert_eq!(campaign(&mut leader).records, [Record::Promised(ballot(1, 1))]);
    let output = promise(&mut leader, 2, ballot(1, 1), [report(0, ballot(1, 0), "x")]);
    assert_eq!(output.records, [vote(ballot(1, 1), 0, &["x"])]);
    assert_eq!(propose(&mut leader, "y").records, [vote(ballot(1, 1), 1, &["y"])]);
}

/// "Different proposers choose their numbers from disjoint sets of numbers, so two different proposers
/// never issue a proposal with the same number."
#[test]
fn numbers_of_different_proposers_are_disjoint() {
    let mut begun = BTreeSet::new();
    for id in 1..=3 {
        let mut replica = replica(id, 3);
        for _ in 0..10 {
            let Record::Promised(ballot) = campaign(&mut replica).records[0] else {
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
        let (_, Message::Prepare { ballot }) = sent(&output)[0] else { unreachable!() };
        assert!(last < Some(ballot));
        last = Some(ballot);
        store.append(&output.records).unwrap();
    }
}

// Section 3, implementing a state machine.

/// "A newly chosen leader executes phase 1 for infinitely many instances": one request "using the
/// same proposal number for all instances", and then phase 2 alone, instance by instance.
#[test]
fn one_phase_1_for_all_slots() {
    let mut leader = replica(1, 3);
    assert_eq!(campaign(&mut leader).messages.len(), 1);
    promise(&mut leader, 2, ballot(1, 1), []);
    for slot in 0..100 {
        let output = propose(&mut leader, "x");
        assert_eq!(sent(&output), [accept_all(ballot(1, 1), slot, &["x"])]);
        accepted(&mut leader, 2, ballot(1, 1), slot, 1);
    }
}

/// In phase 1 "an acceptor responds with more than a simple OK only if it has already received a phase 2
/// message" for an instance; one response tells of all of them.
#[test]
fn one_promise_reports_just_the_slots_with_votes() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 1, &["b"]);
    accept(&mut replica, 1, ballot(1, 1), 4, &["e", "f"]);
    let reports = [(1, "b"), (4, "e"), (5, "f")].map(|(slot, v)| report(slot, ballot(1, 1), v));
    let output = prepare(&mut replica, 3, ballot(1, 3));
    assert_eq!(sent(&output), [promise_to(3, ballot(1, 3), reports)]);
}

/// A leader fills a gap "by proposing, as commands 136 and 137, a special no-op command that leaves the
/// state unchanged", and proposes what was reported for the others (135 and 140 in the paper). What it
/// knows to be chosen (up to 134, 138 and 139) it leaves alone.
#[test]
fn gaps_are_filled_with_noops() {
    let mut candidate = replica(1, 3);
    hear(&mut candidate, 2, learned(0, &["c0", "c1"]));
    hear(&mut candidate, 2, learned(5, &["c5"]));
    campaign(&mut candidate);
    let reports = [report(2, ballot(1, 0), "c2"), report(6, ballot(1, 0), "c6")];
    let output = promise(&mut candidate, 2, ballot(1, 1), reports);
    let below = [value("c2"), Value::Noop, Value::Noop].into();
    let proposals = [
        (To::Peers, Message::Accept { ballot: ballot(1, 1), first: Slot(2), values: below }),
        accept_all(ballot(1, 1), 6, &["c6"]),
    ];
    assert_eq!(sent(&output), proposals);
}

/// The last slot in use may be one that is known to be chosen, and that nobody reports.
#[test]
fn gaps_below_what_is_known_are_filled_with_noops() {
    let mut candidate = replica(1, 3);
    hear(&mut candidate, 2, learned(2, &["c2"]));
    campaign(&mut candidate);
    let output = promise(&mut candidate, 3, ballot(1, 1), []);
    let values = [Value::Noop, Value::Noop].into();
    let message = Message::Accept { ballot: ballot(1, 1), first: Slot(0), values };
    assert_eq!(sent(&output), [(To::Peers, message)]);
    assert_eq!(propose(&mut candidate, "c3").taken[0].slot, Slot(3));
}

/// "It can propose command 142 before it learns that its proposed command 141 has been chosen", and 142
/// can be chosen first.
#[test]
fn slots_are_proposed_before_earlier_ones_are_chosen() {
    let mut leader = leader(1, 3);
    propose(&mut leader, "141");
    propose(&mut leader, "142");
    let output = accepted(&mut leader, 2, ballot(1, 1), 1, 1);
    assert_eq!(sent(&output).len(), 1, "Chosen");
    assert!(output.chosen.is_empty(), "not to be executed yet");
}

/// Commands are executed in order: those after a gap it "can't execute", for those in it "have yet to be
/// chosen".
#[test]
fn values_are_handed_out_in_order_and_once() {
    let mut replica = replica(3, 3);
    assert!(hear(&mut replica, 1, learned(2, &["c"])).chosen.is_empty());
    assert!(hear(&mut replica, 1, learned(1, &["b"])).chosen.is_empty());
    let output = hear(&mut replica, 1, learned(0, &["a"]));
    assert_eq!(output.chosen, [0, 1, 2].map(|s| (Slot(s), value(["a", "b", "c"][s as usize]))));
    assert!(hear(&mut replica, 1, learned(0, &["a", "b", "c"])).chosen.is_empty());
}

/// "A leader can get α commands ahead": "it can propose commands i+1 through i+α after commands 1
/// through i are chosen."
#[test]
fn a_leader_gets_alpha_commands_ahead() {
    let alpha = 3;
    let config = Config { in_flight_max: alpha, ..config(1, 3) };
    let mut leader = Replica::new(config).unwrap();
    campaign(&mut leader);
    promise(&mut leader, 2, ballot(1, 1), []);
    for slot in 0..alpha {
        assert_eq!(propose(&mut leader, "x").taken[0].slot, Slot(slot));
    }
    assert_eq!(refusal(&propose(&mut leader, "x")), Some(Refusal::Busy));
    // Later ones alone make no room.
    accepted(&mut leader, 2, ballot(1, 1), 1, 2);
    assert_eq!(refusal(&propose(&mut leader, "x")), Some(Refusal::Busy));
    accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    for slot in 3..3 + alpha {
        assert_eq!(propose(&mut leader, "x").taken[0].slot, Slot(slot));
    }
    assert_eq!(refusal(&propose(&mut leader, "x")), Some(Refusal::Busy));
}

/// "If multiple servers think they are leaders", they can propose in the same instance and prevent each
/// other, "however, safety is preserved": only one of both values is chosen.
#[test]
fn two_leaders_do_no_harm() {
    let mut nodes = [leader(1, 3), replica(2, 3), replica(3, 3)];
    campaign(&mut nodes[2]);
    let promised = prepare(&mut nodes[1], 3, ballot(1, 3));
    hear(&mut nodes[2], 2, promised.messages[0].message.clone());
    for node in [0, 2] {
        assert!(matches!(nodes[node].parts().role, Role::Leader(_)));
    }
    propose(&mut nodes[0], "x");
    propose(&mut nodes[2], "y");
    let refused = accept(&mut nodes[1], 1, ballot(1, 1), 0, &["x"]);
    let voted = accept(&mut nodes[1], 3, ballot(1, 3), 0, &["y"]);
    assert!(hear(&mut nodes[0], 2, refused.messages[0].message.clone()).chosen.is_empty());
    let output = hear(&mut nodes[2], 2, voted.messages[0].message.clone());
    assert_eq!(output.chosen, [(Slot(0), value("y"))]);
}

// What the paper leaves open: to forget what is decided, and to read without a slot.

/// A durable snapshot takes the place of the votes and values below: they go, and a record says so. An
/// older one says nothing new.
#[test]
fn a_snapshot_takes_the_place_of_the_log() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
    hear(&mut replica, 1, learned(0, &["a", "b"]));
    let output = snapshot(&mut replica, 2);
    assert_eq!(output, Output { records: vec![trimmed(2)], ..Output::default() });
    let (acceptor, learner) = (replica.parts().acceptor, replica.parts().learner);
    assert_eq!(acceptor.votes.iter().map(|(slot, _)| slot).collect_vec(), [Slot(2)]);
    assert_eq!(learner.chosen.iter().count(), 0);
    for below in 0..=2 {
        assert_eq!(snapshot(&mut replica, below), Output::default());
    }
}

/// The snapshot of a peer may hold what this node never knew. What it does know of the slots after is handed
/// out then, in order.
#[test]
fn after_a_snapshot_the_log_goes_on() {
    let mut replica = replica(2, 3);
    hear(&mut replica, 1, learned(3, &["d", "e"]));
    let output = snapshot(&mut replica, 3);
    assert_eq!(output.chosen, [(Slot(3), value("d")), (Slot(4), value("e"))]);
    campaign(&mut replica);
    promise(&mut replica, 3, ballot(1, 2), []);
    snapshot(&mut replica, 9);
    assert_eq!(propose(&mut replica, "x").taken[0].slot, Slot(9), "the first that is not decided");
}

/// What is trimmed stays so "even if it fails and then restarts"; it is learned anew from there on.
#[test]
fn what_is_trimmed_stays_trimmed_across_failures() {
    let mut store = Memory::default();
    let mut replica = replica(2, 3);
    let output = accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
    store.append(&output.records).unwrap();
    store.append(&snapshot(&mut replica, 2).records).unwrap();
    let records = [trimmed(2), vote(ballot(1, 1), 2, &["c"]), Record::Promised(ballot(1, 1))];
    assert_eq!(store.records(), records);

    let mut replica = Replica::recover(config(2, 3), records).unwrap();
    assert_eq!(hear(&mut replica, 1, learned(0, &["a", "b"])), Output::default());
    assert_eq!(replica.parts().learner.chosen.iter().count(), 0, "nor kept");
    let output = hear(&mut replica, 1, learned(2, &["c"]));
    assert_eq!(output.chosen, [(Slot(2), value("c"))]);
}

/// A promise tells of every slot: either its last vote, or that it is decided and forgotten.
#[test]
fn a_promise_says_what_it_cannot_report() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
    snapshot(&mut replica, 2);
    let output = prepare(&mut replica, 3, ballot(1, 3));
    let reports = vec![report(2, ballot(1, 1), "c")];
    let promise = Message::Promise { ballot: ballot(1, 3), trimmed: Slot(2), reports };
    assert_eq!(sent(&output), [(To::Node(NodeId(3)), promise)]);
}

/// A value is free "if the responses reported no proposals", unless the slot is decided and forgotten: with a
/// quorum of promises a candidate waits for the effect of all that any of them has trimmed, and asks for it,
/// in whatever order they come.
#[test]
fn nobody_leads_without_the_effect_of_what_was_trimmed() {
    for (one, two) in [(3, 1), (1, 3)] {
        let mut candidate = replica(1, 5);
        campaign(&mut candidate);
        let output =
            promise_trimmed(&mut candidate, 2, ballot(1, 1), one, [report(3, ballot(1, 0), "d")]);
        assert_eq!(output.fetch, [NodeId(2)]);
        let output = promise_trimmed(&mut candidate, 3, ballot(1, 1), two, []);
        assert_eq!(output.fetch, [NodeId(3)]);
        assert!(snapshot(&mut candidate, 2).messages.is_empty(), "slot 2 is missing");
        let output = snapshot(&mut candidate, 3);
        assert_eq!(output.records, [trimmed(3), vote(ballot(1, 1), 3, &["d"])]);
        assert_eq!(sent(&output), [accept_all(ballot(1, 1), 3, &["d"])]);
    }
}

/// The effect of what was trimmed is all that a candidate needs: the quorum counts as before, and what it
/// knows itself it need not get from anybody.
#[test]
fn the_effect_of_what_was_trimmed_is_enough() {
    let mut candidate = replica(1, 5);
    hear(&mut candidate, 2, learned(0, &["a", "b"]));
    campaign(&mut candidate);
    let output = promise_trimmed(&mut candidate, 2, ballot(1, 1), 2, []);
    assert!(output.fetch.is_empty());
    snapshot(&mut candidate, 1);
    assert!(matches!(candidate.parts().role, Role::Candidate(_)), "two of five");
    let output = promise_trimmed(&mut candidate, 3, ballot(1, 1), 2, []);
    assert!(output.fetch.is_empty() && matches!(candidate.parts().role, Role::Leader(_)));
    assert_eq!(propose(&mut candidate, "c").taken[0].slot, Slot(2));
}

/// A snapshot decides more than any report: what was reported below it is not proposed again.
#[test]
fn reports_of_what_is_trimmed_are_dropped() {
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
            "by a promise, its own included"
        );
        assert_eq!(heard.reported.iter().map(|(slot, _)| slot).collect_vec(), [Slot(2)]);
        let output = promise(&mut candidate, 3, ballot(1, 1), []);
        assert_eq!(sent(&output), [accept_all(ballot(1, 1), 2, &["c"])]);
    }
}

/// Where the log is trimmed there is nothing to vote on: no vote, no record, and no promise. The proposer is
/// told, since it lacks the decision.
#[test]
fn no_votes_where_the_log_is_trimmed() {
    let mut replica = replica(2, 3);
    prepare(&mut replica, 1, ballot(2, 1));
    snapshot(&mut replica, 2);
    let told = (To::Node(NodeId(3)), Message::Trimmed { below: Slot(2) });
    let output = accept(&mut replica, 3, ballot(2, 3), 0, &["a", "b"]);
    assert_eq!(sent(&output), std::slice::from_ref(&told));
    assert!(output.records.is_empty());

    let output = accept(&mut replica, 3, ballot(2, 3), 1, &["b", "c", "d"]);
    assert_eq!(output.records, [vote(ballot(2, 3), 2, &["c", "d"])]);
    assert_eq!(sent(&output), [accepted_by(3, ballot(2, 3), 2, 2), told]);
    let output = accept(&mut replica, 3, ballot(2, 3), 2, &["c"]);
    assert_eq!(sent(&output), [accepted_by(3, ballot(2, 3), 2, 1)]);

    let output = accept(&mut replica, 1, ballot(2, 1), 0, &["a"]);
    assert_eq!(sent(&output), [nack(1, ballot(2, 1), ballot(2, 3))], "P1a comes first");
}

/// A leader that hears that its proposal is decided asks for the snapshot, and with it gives up those slots and
/// no others.
#[test]
fn a_leader_gives_up_what_others_have_trimmed() {
    let mut leader = leader(1, 3);
    for command in ["a", "b", "c"] {
        propose(&mut leader, command);
    }
    accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    let told = |below| Message::Trimmed { below: Slot(below) };
    assert_eq!(hear(&mut leader, 3, told(1)), Output::default(), "it knows as much");
    let output = hear(&mut leader, 3, told(2));
    assert_eq!(output, Output { fetch: vec![NodeId(3)], ..Output::default() });
    snapshot(&mut leader, 2);
    let again = sent(&hear_timer(&mut leader, Timer::Resend));
    let (_, accept) = accept_all(ballot(1, 1), 2, &["c"]);
    assert_eq!(again, [2, 3].map(|node| (To::Node(NodeId(node)), accept.clone())));
    assert!(accepted(&mut leader, 2, ballot(1, 1), 1, 1).chosen.is_empty());
    assert_eq!(accepted(&mut leader, 2, ballot(1, 1), 2, 1).chosen, [(Slot(2), value("c"))]);
}

/// Whoever asks for a value that is trimmed is told so; the values after are told as ever.
#[test]
fn what_is_trimmed_cannot_be_taught() {
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

/// News of what is decided and forgotten are no news.
#[test]
fn news_of_what_is_trimmed_are_ignored() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
    snapshot(&mut replica, 2);
    let chosen = |first| Message::Chosen { ballot: ballot(1, 1), first: Slot(first), count: 2 };
    assert_eq!(hear(&mut replica, 1, chosen(0)), Output::default());
    assert_eq!(hear(&mut replica, 1, learned(0, &["a", "b"])), Output::default());
    assert_eq!(hear(&mut replica, 1, chosen(1)).chosen, [(Slot(2), value("c"))]);
}

/// A read needs no slot of the log. It may be answered once a quorum has confirmed, after it was asked, that
/// nothing higher is promised: each node counts once, and for that round and ballot only.
#[test]
fn a_read_is_confirmed_by_a_quorum() {
    let mut leader = leader(1, 5);
    assert_eq!(read(&mut leader, []), Output::default(), "nobody asks");
    let output = read(&mut leader, [7]);
    let ask = |round| (To::Peers, Message::Confirm { ballot: ballot(1, 1), round });
    assert_eq!(sent(&output), [ask(1)]);
    assert!(output.records.is_empty() && output.reads.is_empty());
    for _ in 0..2 {
        assert_eq!(confirmed(&mut leader, 2, ballot(1, 1), 1), Output::default());
        assert_eq!(confirmed(&mut leader, 1, ballot(1, 1), 1), Output::default(), "itself");
        assert_eq!(confirmed(&mut leader, 9, ballot(1, 1), 1), Output::default(), "a stranger");
        assert_eq!(confirmed(&mut leader, 3, ballot(1, 1), 0), Output::default(), "another round");
        assert_eq!(confirmed(&mut leader, 3, ballot(1, 1), 2), Output::default(), "another round");
        assert_eq!(confirmed(&mut leader, 3, ballot(2, 1), 1), Output::default(), "another ballot");
    }
    // Who comes later waits: the answers that are under way may be older than the question.
    assert_eq!(read(&mut leader, [8, 9]), Output::default());
    let output = confirmed(&mut leader, 3, ballot(1, 1), 1);
    assert_eq!(ready(&output), [(7, 0)]);
    assert_eq!(sent(&output), [ask(2)]);
    assert_eq!(confirmed(&mut leader, 4, ballot(1, 1), 1), Output::default(), "too late");
    assert_eq!(confirmed(&mut leader, 4, ballot(1, 1), 2), Output::default());
    let output = confirmed(&mut leader, 5, ballot(1, 1), 2);
    assert_eq!(ready(&output), [(8, 0), (9, 0)]);
    assert!(output.messages.is_empty(), "nobody is left");
    assert_eq!(confirmed(&mut leader, 2, ballot(1, 1), 2), Output::default());
}

/// With a phase 2 quorum of one, every other leader needs the promise of this one.
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

/// A read has to see what is chosen when its round begins, not less, and nothing that comes after.
#[test]
fn a_read_sees_what_was_chosen_when_it_was_asked() {
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

/// That a leader cannot apply something yet does not mean that nobody could: others may know the slot that it
/// waits for, from an earlier leader. So a read sees all that is known to be chosen, beyond gaps as well.
#[test]
fn a_read_sees_what_others_can_apply() {
    let mut leader = replica(1, 3);
    campaign(&mut leader);
    promise(&mut leader, 2, ballot(1, 1), [report(0, ballot(1, 0), "a")]);
    propose(&mut leader, "b");
    accepted(&mut leader, 2, ballot(1, 1), 1, 1);
    read(&mut leader, [1]);
    assert_eq!(ready(&confirmed(&mut leader, 2, ballot(1, 1), 1)), [(1, 2)]);
}

/// Whatever was reported to a new leader may be chosen, and clients may have been told: its reads wait for
/// that. So they do for what it knew already.
#[test]
fn a_new_leaders_reads_see_what_was_reported() {
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

/// To confirm is to say that no higher ballot is promised. It promises nothing, and only the owner of a ballot is
/// answered.
#[test]
fn who_has_promised_more_does_not_confirm() {
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
        assert!(output.records.is_empty());
        assert_eq!(replica.parts().acceptor.promised, promised);
    }
    assert_eq!(confirm(&mut replica, 1, ballot(2, 3), 4), Output::default());
    prepare(&mut replica, 1, ballot(3, 1));
    let output = confirm(&mut replica, 3, ballot(2, 3), 5);
    assert_eq!(sent(&output), [nack(3, ballot(2, 3), ballot(3, 1))]);
}

/// Who does not lead confirms nothing: reads are turned away, with the leader as far as it is known; and
/// when a leader hears of a higher ballot, in whichever way, so are all that wait.
#[test]
fn reads_are_refused_without_the_lead() {
    let mut follower = replica(1, 3);
    let unknown = Refusal::NotLeader { leader: None };
    assert_eq!(refusals(&read(&mut follower, [4, 5])), [(4, unknown), (5, unknown)]);
    campaign(&mut follower);
    assert_eq!(refusals(&read(&mut follower, [6])), [(6, unknown)]);

    let deposed = [
        Message::Prepare { ballot: ballot(2, 3) },
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

        // It leads again, in another ballot, and rounds of the last one count for nothing.
        campaign(&mut leader);
        promise(&mut leader, 2, ballot(3, 1), []);
        read(&mut leader, [4]);
        assert_eq!(confirmed(&mut leader, 2, ballot(1, 1), 1), Output::default());
        assert_eq!(ready(&confirmed(&mut leader, 2, ballot(3, 1), 1)).len(), 1);
    }
}

/// Messages "can be lost": whoever has not confirmed is asked again, as long as the round lasts.
#[test]
fn a_round_is_asked_again() {
    let mut leader = leader(1, 5);
    read(&mut leader, [1]);
    confirmed(&mut leader, 3, ballot(1, 1), 1);
    let output = hear_timer(&mut leader, Timer::Resend);
    let again = Message::Confirm { ballot: ballot(1, 1), round: 1 };
    let expected = [2, 4, 5].map(|node| (To::Node(NodeId(node)), again.clone()));
    assert_eq!(sent(&output), expected);
    assert_eq!(output.timers, [Timer::Resend]);
    confirmed(&mut leader, 2, ballot(1, 1), 1);
    assert!(hear_timer(&mut leader, Timer::Resend).messages.is_empty());
}

// What the tests above are told with.

fn ballot(round: u64, node: u32) -> Ballot {
    Ballot::new(round, NodeId(node)).expect("rounds begin with 1")
}

fn value(command: &'static str) -> Value {
    Value::Command(command.into())
}

fn batch(commands: &[&'static str]) -> Batch {
    commands.iter().map(|command| value(command)).collect()
}

fn report(slot: u64, ballot: Ballot, command: &'static str) -> Report {
    Report { slot: Slot(slot), ballot, value: value(command) }
}

fn vote(ballot: Ballot, first: u64, commands: &[&'static str]) -> Record {
    Record::Accepted { ballot, first: Slot(first), values: batch(commands) }
}

fn config(id: u32, nodes: u32) -> Config {
    Config::new(NodeId(id), (1..=nodes).map(NodeId))
}

fn replica(id: u32, nodes: u32) -> Replica {
    Replica::new(config(id, nodes)).expect("the configuration is valid")
}

/// Leads in its first ballot, and nothing was reported to it.
fn leader(id: u32, nodes: u32) -> Replica {
    let mut leader = replica(id, nodes);
    campaign(&mut leader);
    for other in (1..=nodes).filter(|&other| other != id).take(nodes as usize / 2) {
        promise(&mut leader, other, ballot(1, id), []);
    }
    assert!(matches!(leader.parts().role, Role::Leader(_)));
    leader
}

fn step(replica: &mut Replica, event: Event) -> Output {
    let mut output = Output::default();
    replica.step(event, &mut output);
    output
}

fn hear(replica: &mut Replica, from: u32, message: Message) -> Output {
    step(replica, Event::Message { from: NodeId(from), message })
}

fn hear_timer(replica: &mut Replica, timer: Timer) -> Output {
    step(replica, Event::Timer(timer))
}

fn campaign(replica: &mut Replica) -> Output {
    hear_timer(replica, Timer::Campaign)
}

fn propose(replica: &mut Replica, command: &'static str) -> Output {
    let proposal = Proposal { token: Token(0), command: command.into() };
    step(replica, Event::Propose(vec![proposal]))
}

fn prepare(replica: &mut Replica, from: u32, ballot: Ballot) -> Output {
    hear(replica, from, Message::Prepare { ballot })
}

fn promise<const N: usize>(
    replica: &mut Replica,
    from: u32,
    ballot: Ballot,
    reports: [Report; N],
) -> Output {
    promise_trimmed(replica, from, ballot, 0, reports)
}

fn promise_trimmed<const N: usize>(
    replica: &mut Replica,
    from: u32,
    ballot: Ballot,
    trimmed: u64,
    reports: [Report; N],
) -> Output {
    let (trimmed, reports) = (Slot(trimmed), reports.into());
    hear(replica, from, Message::Promise { ballot, trimmed, reports })
}

fn snapshot(replica: &mut Replica, below: u64) -> Output {
    step(replica, Event::Snapshot { below: Slot(below) })
}

fn trimmed(below: u64) -> Record {
    Record::Trimmed { below: Slot(below) }
}

fn read<const N: usize>(replica: &mut Replica, tokens: [u64; N]) -> Output {
    step(replica, Event::Read(tokens.map(Token).into()))
}

fn confirm(replica: &mut Replica, from: u32, ballot: Ballot, round: u64) -> Output {
    hear(replica, from, Message::Confirm { ballot, round })
}

fn confirmed(replica: &mut Replica, from: u32, ballot: Ballot, round: u64) -> Output {
    hear(replica, from, Message::Confirmed { ballot, round })
}

/// The reads that may be answered, and up to where they have to see.
fn ready(output: &Output) -> Vec<(u64, u64)> {
    output.reads.iter().map(|read| (read.token.0, read.at.0)).collect()
}

fn refusals(output: &Output) -> Vec<(u64, Refusal)> {
    output.refused.iter().map(|refused| (refused.token.0, refused.refusal)).collect()
}

fn accept(
    replica: &mut Replica,
    from: u32,
    ballot: Ballot,
    first: u64,
    commands: &[&'static str],
) -> Output {
    hear(replica, from, Message::Accept { ballot, first: Slot(first), values: batch(commands) })
}

fn accepted(replica: &mut Replica, from: u32, ballot: Ballot, first: u64, count: u64) -> Output {
    hear(replica, from, Message::Accepted { ballot, first: Slot(first), count })
}

fn learned(first: u64, commands: &[&'static str]) -> Message {
    Message::Learned { first: Slot(first), values: batch(commands) }
}

fn sent(output: &Output) -> Vec<(To, Message)> {
    output.messages.iter().map(|Envelope { to, message }| (*to, message.clone())).collect()
}

fn promise_to<const N: usize>(to: u32, ballot: Ballot, reports: [Report; N]) -> (To, Message) {
    (To::Node(NodeId(to)), Message::Promise { ballot, trimmed: Slot(0), reports: reports.into() })
}

fn accept_all(ballot: Ballot, first: u64, commands: &[&'static str]) -> (To, Message) {
    (To::Peers, Message::Accept { ballot, first: Slot(first), values: batch(commands) })
}

fn accepted_by(to: u32, ballot: Ballot, first: u64, count: u64) -> (To, Message) {
    (To::Node(NodeId(to)), Message::Accepted { ballot, first: Slot(first), count })
}

fn nack(to: u32, ballot: Ballot, promised: Ballot) -> (To, Message) {
    (To::Node(NodeId(to)), Message::Nack { ballot, promised })
}

fn refusal(output: &Output) -> Option<Refusal> {
    output.refused.first().map(|refused| refused.refusal)
}

/// What a leader has proposed in a slot.
fn leads_with(replica: &Replica, slot: u64) -> Option<Value> {
    let parts = replica.parts();
    let vote = parts.acceptor.votes.get(Slot(slot))?;
    let leads = matches!(parts.role, Role::Leader(_));
    (leads && Some(vote.ballot) == parts.acceptor.promised).then(|| vote.value.clone())
}

/// Lets a node lead with the promise of one other, repeated until its ballot is high enough, and get its
/// proposal accepted by that one. Gives what it proposed in slot 0.
fn lead_with(nodes: &mut [Replica; 3], proposer: u32, helper: u32) -> Option<Value> {
    for _ in 0..10 {
        let (me, other) = (proposer as usize - 1, helper as usize - 1);
        if matches!(nodes[me].parts().role, Role::Leader(_)) {
            // It still leads; its ballot is the highest or it will be told otherwise.
            let (ballot, value) = {
                let vote = nodes[me].parts().acceptor.votes.get(Slot(0))?;
                (vote.ballot, vote.value.clone())
            };
            let message = Message::Accept { ballot, first: Slot(0), values: [value].into() };
            let answer = hear(&mut nodes[other], proposer, message);
            match answer.messages[0].message.clone() {
                Message::Accepted { .. } => return leads_with(&nodes[me], 0),
                refused => hear(&mut nodes[me], helper, refused),
            };
        }
        let begun = campaign(&mut nodes[me]);
        let (_, Message::Prepare { ballot }) = sent(&begun)[0] else { unreachable!() };
        let answer = prepare(&mut nodes[other], proposer, ballot);
        hear(&mut nodes[me], helper, answer.messages[0].message.clone());
    }
    panic!("node {proposer} does not get its proposal accepted by node {helper}");
}
