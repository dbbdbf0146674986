//! Section 3: a replicated state machine, which needs a log of values.

use paxos::{
    Config, Event, Message, NodeId, Output, Proposal, Refusal, Replica, Slot, Timer, To, Token,
    Value, protocol::proposer::Role,
};

use crate::helpers::{
    accept, accept_all, accepted, ballot, campaign, config, hear, hear_timer, leader, learned,
    prepare, promise, promise_to, propose, refusal, released, replica, report, sent, step, value,
};

/// "A newly chosen leader executes phase 1 for infinitely many instances": one request "using the
/// same proposal number for all instances", and then phase 2 alone, instance by instance.
#[test]
fn one_phase_1_for_all_slots() {
    let mut leader = replica(1, 3);
    assert_eq!(campaign(&mut leader).held().messages.len(), 1);
    promise(&mut leader, 2, ballot(1, 1), []);
    for slot in 0..100 {
        let output = propose(&mut leader, "x");
        assert_eq!(sent(&output), [accept_all(ballot(1, 1), slot, &["x"])]);
        accepted(&mut leader, 2, ballot(1, 1), slot, 1);
    }
}

/// In phase 1 "an acceptor responds with more than a simple OK only if it has already received a phase 2
/// message" for an instance. One response covers all instances.
#[test]
fn one_promise_reports_just_the_slots_with_votes() {
    let mut replica = replica(2, 3);
    accept(&mut replica, 1, ballot(1, 1), 1, &["b"]);
    accept(&mut replica, 1, ballot(1, 1), 4, &["e", "f"]);
    let reports = [(1, "b"), (4, "e"), (5, "f")].map(|(slot, v)| report(slot, ballot(1, 1), v));
    let output = prepare(&mut replica, 3, ballot(1, 3));
    assert_eq!(sent(&output), [promise_to(3, ballot(1, 3), reports)]);
}

/// The new leader "should know most of the commands that have already been chosen", so it executes phase 1 for the other
/// instances only: the request names the first unknown slot, also if a later one is known. A repeated request names the
/// same slot.
#[test]
fn phase_1_is_for_the_slots_that_are_not_known() {
    let mut candidate = replica(1, 3);
    hear(&mut candidate, 2, learned(0, &["a", "b"]));
    hear(&mut candidate, 2, learned(3, &["d"]));
    let asks = Message::Prepare { ballot: ballot(1, 1), first: Slot(2) };
    assert_eq!(sent(&campaign(&mut candidate)), [(To::Peers, asks.clone())]);
    hear(&mut candidate, 2, learned(2, &["c"]));
    let again = sent(&hear_timer(&mut candidate, Timer::Resend));
    assert_eq!(again, [2, 3].map(|node| (To::Node(NodeId(node)), asks.clone())));
}

/// A response has the votes in the slots that the request names, and in no other.
#[test]
fn a_promise_reports_from_the_first_slot_that_is_asked_for() {
    for first in 0..6 {
        let mut replica = replica(2, 3);
        accept(&mut replica, 1, ballot(1, 1), 0, &["a", "b", "c"]);
        accept(&mut replica, 1, ballot(1, 1), 4, &["e"]);
        let prepare = Message::Prepare { ballot: ballot(1, 3), first: Slot(first) };
        let output = hear(&mut replica, 3, prepare);
        let votes = [(0, "a"), (1, "b"), (2, "c"), (4, "e")].into_iter();
        let votes = votes.filter(|(slot, _)| *slot >= first);
        let reports = votes.map(|(slot, v)| report(slot, ballot(1, 1), v)).collect();
        let promise = Message::Promise { ballot: ballot(1, 3), trimmed: Slot(0), reports };
        assert_eq!(sent(&output), [(To::Node(NodeId(3)), promise)], "from {first}");
    }
}

/// A node that fails and restarts knows the chosen values of its votes again from a note. The note ends before a vote for
/// another value than the chosen one.
#[test]
fn noted_votes_are_known_after_a_failure() {
    let mut node = replica(2, 3);
    accept(&mut node, 1, ballot(1, 1), 0, &["a", "b", "x"]);
    assert_eq!(node.votes_chosen_below(Slot(0), &[]), Slot(0), "nothing is known");
    hear(&mut node, 3, learned(0, &["a", "b", "c"]));
    assert_eq!(node.votes_chosen_below(Slot(0), &[]), Slot(2), "its vote is for x");
    let output = accept(&mut node, 3, ballot(1, 3), 2, &["c", "d"]);
    let noted = node.votes_chosen_below(Slot(2), output.records());
    assert_eq!(noted, Slot(3), "d is not known to be chosen");
    let records = node.parts().acceptor.records();
    let mut again = Replica::recover(config(2, 3), records).expect("its own records");
    let output = step(&mut again, Event::VotesChosen { below: Slot(3) });
    let known = [(0, "a"), (1, "b"), (2, "c")].map(|(slot, v)| (Slot(slot), value(v)));
    assert_eq!(released(&output), known);
    assert_eq!(again.parts().learner.below, Slot(3));
}

/// The note ends before a vote for another value also if the vote comes late, in a lower ballot than the one that chose.
#[test]
fn a_late_vote_lowers_the_note() {
    let mut node = replica(2, 3);
    hear(&mut node, 3, learned(0, &["a", "b"]));
    assert_eq!(node.votes_chosen_below(Slot(0), &[]), Slot(2));
    let output = accept(&mut node, 1, ballot(1, 1), 1, &["x"]);
    assert_eq!(node.votes_chosen_below(Slot(2), output.records()), Slot(1));
    let output = accept(&mut node, 3, ballot(2, 3), 1, &["b"]);
    assert_eq!(node.votes_chosen_below(Slot(1), output.records()), Slot(2));
}

/// A leader fills a gap "by proposing, as commands 136 and 137, a special no-op command that leaves the state
/// unchanged". In the other slots it proposes the reported values (135 and 140 in the paper). It proposes nothing
/// in slots that it knows to be chosen (up to 134, 138 and 139).
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

/// The last slot in use may be known to be chosen and reported by no acceptor.
#[test]
fn gaps_below_known_slots_are_filled_with_noops() {
    let mut candidate = replica(1, 3);
    hear(&mut candidate, 2, learned(2, &["c2"]));
    campaign(&mut candidate);
    let output = promise(&mut candidate, 3, ballot(1, 1), []);
    let values = [Value::Noop, Value::Noop].into();
    let message = Message::Accept { ballot: ballot(1, 1), first: Slot(0), values };
    assert_eq!(sent(&output), [(To::Peers, message)]);
    assert_eq!(propose(&mut candidate, "c3").held().taken[0].slot, Slot(3));
}

/// "It can propose command 142 before it learns that its proposed command 141 has been chosen". Command 142 can be
/// chosen first.
#[test]
fn slots_are_proposed_before_earlier_ones_are_chosen() {
    let mut leader = leader(1, 3);
    propose(&mut leader, "141");
    propose(&mut leader, "142");
    let output = accepted(&mut leader, 2, ballot(1, 1), 1, 1);
    assert_eq!(sent(&output).len(), 1, "Chosen");
    assert!(output.held().chosen.is_empty(), "not to be executed yet");
}

/// Commands are executed in order. A server "can't execute" the commands after a gap, because those in the gap
/// "have yet to be chosen".
#[test]
fn values_are_released_in_order_and_once() {
    let mut replica = replica(3, 3);
    assert!(hear(&mut replica, 1, learned(2, &["c"])).held().chosen.is_empty());
    assert!(hear(&mut replica, 1, learned(1, &["b"])).held().chosen.is_empty());
    let output = hear(&mut replica, 1, learned(0, &["a"]));
    assert_eq!(released(&output), [0, 1, 2].map(|s| (Slot(s), value(["a", "b", "c"][s as usize]))));
    assert!(hear(&mut replica, 1, learned(0, &["a", "b", "c"])).held().chosen.is_empty());
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
        assert_eq!(propose(&mut leader, "x").held().taken[0].slot, Slot(slot));
    }
    assert_eq!(refusal(&propose(&mut leader, "x")), Some(Refusal::Busy));
    // A later slot that is chosen allows no new proposal.
    accepted(&mut leader, 2, ballot(1, 1), 1, 2);
    assert_eq!(refusal(&propose(&mut leader, "x")), Some(Refusal::Busy));
    accepted(&mut leader, 2, ballot(1, 1), 0, 1);
    for slot in 3..3 + alpha {
        assert_eq!(propose(&mut leader, "x").held().taken[0].slot, Slot(slot));
    }
    assert_eq!(refusal(&propose(&mut leader, "x")), Some(Refusal::Busy));
}

/// A proposal that gets no slot gives its command back, so that the client can propose it to another node.
#[test]
fn a_refused_proposal_gives_its_command_back() {
    let commands = |output: &Output| {
        let refused = output.held().refused.iter();
        refused.map(|it| (it.token.0, it.command.clone().unwrap())).collect::<Vec<_>>()
    };
    let proposals = || {
        ["a", "b", "c"]
            .into_iter()
            .zip(0..)
            .map(|(command, token)| Proposal { token: Token(token), command: command.into() })
    };
    let propose = |replica: &mut Replica| {
        let mut output = Output::default();
        replica.step(Event::Propose(proposals().collect()), &mut output);
        output
    };
    let all = [(0, "a".into()), (1, "b".into()), (2, "c".into())];
    assert_eq!(commands(&propose(&mut replica(2, 3))), all, "a follower refuses all");
    let mut leader = Replica::new(Config { in_flight_max: 1, ..config(1, 3) }).unwrap();
    campaign(&mut leader);
    promise(&mut leader, 2, ballot(1, 1), []);
    let output = propose(&mut leader);
    assert_eq!(output.held().taken[0].token, Token(0));
    assert_eq!(commands(&output), all[1..], "there is one slot");
}

/// "If multiple servers think they are leaders", they can propose in the same instance and prevent each other.
/// "However, safety is preserved": only one of the two values is chosen.
#[test]
fn two_leaders_do_no_harm() {
    let mut nodes = [leader(1, 3), replica(2, 3), replica(3, 3)];
    campaign(&mut nodes[2]);
    let promised = prepare(&mut nodes[1], 3, ballot(1, 3));
    hear(&mut nodes[2], 2, promised.held().messages[0].message.clone());
    for node in [0, 2] {
        assert!(matches!(nodes[node].parts().role, Role::Leader(_)));
    }
    propose(&mut nodes[0], "x");
    propose(&mut nodes[2], "y");
    let refused = accept(&mut nodes[1], 1, ballot(1, 1), 0, &["x"]);
    let voted = accept(&mut nodes[1], 3, ballot(1, 3), 0, &["y"]);
    assert!(
        hear(&mut nodes[0], 2, refused.held().messages[0].message.clone()).held().chosen.is_empty()
    );
    let output = hear(&mut nodes[2], 2, voted.held().messages[0].message.clone());
    assert_eq!(released(&output), [(Slot(0), value("y"))]);
}
