//! Faults that no small cluster shows within the bounds of the lockstep, and faults of other kinds. Each is put around the
//! production replica, and must be found.

use paxos::{
    Envelope, Event, Message, NodeId, Output, Record, Replica, Slot, Timer, To,
    protocol::proposer::Role,
};
use paxos_steps::{
    check::Tested,
    counterexample::Shortest,
    spaces::{QUICK, Row},
};
use verdict::{Interrupt, Verdict};

/// A production replica with a fault around it.
#[derive(Clone, Copy)]
struct Faulty(fn(&mut Replica, Event, &mut Output));

impl Tested for Faulty {
    fn step(&mut self, replica: &mut Replica, event: Event, output: &mut Output) {
        (self.0)(replica, event, output);
    }
}

/// Returns the result of the space of the table that shows this.
fn checked(shows: &str, faulty: Faulty) -> Row {
    let space = QUICK.iter().find(|space| space.shows == shows);
    space.expect("the table has the space").check(&faulty, &Interrupt::default())
}

/// Returns the counterexample that the space finds.
fn found(shows: &str, faulty: Faulty) -> Shortest {
    let row = checked(shows, faulty);
    assert_eq!(row.verdict, Verdict::Violated, "{row:?}");
    row.counterexample.expect("a violation has a counterexample")
}

/// Returns the number of different ballots in a counterexample.
fn ballots(shown: &Shortest) -> usize {
    let text = format!("{} {}", shown.before, shown.input);
    let named = |round: &usize| {
        text.contains(&format!("b{round}.")) || text.contains(&format!(" {round}."))
    };
    (1..20).filter(named).count()
}

/// A promise has room for the votes of five ballots. The lockstep has four ballots at most.
#[test]
fn a_fault_that_needs_six_ballots() {
    let shown = found(
        "a promise reports the vote of each slot, each in a ballot of its own",
        Faulty(|replica, event, output| {
            replica.step(event, output);
            for envelope in &mut output.held_mut().messages {
                if let Message::Promise { reports, .. } = &mut envelope.message {
                    let mut known = Vec::new();
                    reports.retain(|report| {
                        if !known.contains(&report.ballot) && known.len() < 5 {
                            known.push(report.ballot);
                        }
                        known.contains(&report.ballot)
                    });
                }
            }
        }),
    );
    assert_eq!(shown.differs, "messages", "{shown}");
    assert!(ballots(&shown) >= 6, "{shown}");
}

/// A promise reports the votes of the first forty slots. The lockstep has three slots at most.
#[test]
fn a_fault_that_needs_forty_slots() {
    let shown = found(
        "random logs of 48 slots",
        Faulty(|replica, event, output| {
            replica.step(event, output);
            for envelope in &mut output.held_mut().messages {
                if let Message::Promise { reports, .. } = &mut envelope.message {
                    reports.retain(|report| report.slot < Slot(40));
                }
            }
        }),
    );
    assert_eq!(shown.differs, "messages", "{shown}");
    assert!(shown.before.contains("s4"), "{shown}");
}

/// Answers are counted in the bits of a byte, and the ninth node is taken for the first. The lockstep has five nodes at most.
#[test]
fn a_fault_that_needs_nine_nodes() {
    let shown = found(
        "sets of up to 64 nodes, and each pair of quorums",
        Faulty(|replica, event, output| {
            let event = match event {
                Event::Message { from: NodeId(9), message } => {
                    Event::Message { from: NodeId(1), message }
                }
                event => event,
            };
            replica.step(event, output);
        }),
    );
    assert!(shown.node.contains("nodes"), "{shown}");
    let nodes = shown.node.split_whitespace().nth(2).and_then(|count| count.parse::<usize>().ok());
    assert!(nodes.is_some_and(|nodes| nodes >= 9), "{shown}");
}

/// Two runs of announced slots become one, across a slot in between. Two slots cannot show it.
#[test]
fn a_fault_that_merges_runs() {
    let shown = found(
        "votes that complete quorums are announced in runs",
        Faulty(|replica, event, output| {
            replica.step(event, output);
            let chosen = |message: &Message| match message {
                Message::Chosen { first, count, .. } => Some(first.0..first.0 + count),
                _ => None,
            };
            let runs: Vec<_> =
                output.held().messages.iter().filter_map(|it| chosen(&it.message)).collect();
            if let [one, .., last] = &runs[..] {
                let (start, end) = (one.start, last.end);
                let mut merged = false;
                output.held_mut().messages.retain_mut(|envelope| match &mut envelope.message {
                    Message::Chosen { first, count, .. } => {
                        (*first, *count) = (Slot(start), end - start);
                        !std::mem::replace(&mut merged, true)
                    }
                    _ => true,
                });
            }
        }),
    );
    assert_eq!(shown.differs, "messages", "{shown}");
    assert!(shown.input.contains("Accepted"), "{shown}");
}

/// A replica that looks at the number of a round, and not only at the order of ballots.
#[test]
fn a_fault_that_looks_at_a_round() {
    found(
        "other ballots, other values",
        Faulty(|replica, event, output| {
            if let Event::Message { message: Message::Prepare { ballot, .. }, .. } = &event
                && ballot.round.get() % 8 == 5
            {
                return;
            }
            replica.step(event, output);
        }),
    );
}

/// A replica that looks at the bytes of a command.
#[test]
fn a_fault_that_looks_at_a_command() {
    found(
        "other ballots, other values",
        Faulty(|replica, event, output| {
            replica.step(event, output);
            output.records_mut().retain(|record| match record {
                Record::Accepted { values, .. } => values.iter().all(|value| match value {
                    paxos::Value::Command(bytes) => bytes.len() < 9,
                    paxos::Value::Noop => true,
                }),
                _ => true,
            });
        }),
    );
}

/// A handler that looks at a part that the enumeration of two slots leaves out.
#[test]
fn a_fault_that_looks_at_what_it_should_not() {
    found(
        "parts that a handler does not look at",
        Faulty(|replica, event, output| {
            let known = replica.parts().learner.values().any(|(_, it)| *it == paxos::Value::Noop);
            let confirms =
                matches!(&event, Event::Message { message: Message::Confirm { .. }, .. });
            if !(known && confirms) {
                replica.step(event, output);
            }
        }),
    );
}

/// A client gets the slot of the command of another client.
#[test]
fn a_fault_that_swaps_answers() {
    let shown = found(
        "a node alone",
        Faulty(|replica, event, output| {
            replica.step(event, output);
            if let [one, two, ..] = &mut output.held_mut().taken[..] {
                std::mem::swap(&mut one.token, &mut two.token);
            }
        }),
    );
    assert_eq!(shown.differs, "proposals that get a slot", "{shown}");
}

/// A read that waits is not answered, and another one is refused twice.
#[test]
fn a_fault_that_forgets_a_read() {
    let shown = found(
        "one slot of three nodes",
        Faulty(|replica, event, output| {
            replica.step(event, output);
            if let [one, two, ..] = &mut output.held_mut().refused[..] {
                two.token = one.token;
            }
        }),
    );
    assert_eq!(shown.differs, "requests that are refused", "{shown}");
}

/// A refused proposal has the command of another one.
#[test]
fn a_fault_that_gives_back_another_command() {
    let shown = found(
        "a node alone",
        Faulty(|replica, event, output| {
            replica.step(event, output);
            if let [one, .., two] = &mut output.held_mut().refused[..] {
                std::mem::swap(&mut one.command, &mut two.command);
            }
        }),
    );
    assert_eq!(shown.differs, "requests that are refused", "{shown}");
}

/// Chosen slots in a row are announced one by one.
#[test]
fn a_fault_that_divides_runs() {
    let shown = found(
        "votes that complete quorums are announced in runs",
        Faulty(|replica, event, output| {
            replica.step(event, output);
            let one_by_one = |envelope: Envelope| match envelope.message {
                Message::Chosen { ballot, first, count } => {
                    let slots = (first.0..first.0 + count).map(Slot);
                    let message = |first| Message::Chosen { ballot, first, count: 1 };
                    slots.map(|slot| Envelope { message: message(slot), ..envelope }).collect()
                }
                _ => vec![envelope],
            };
            output.held_mut().messages =
                output.held_mut().messages.drain(..).flat_map(one_by_one).collect();
        }),
    );
    assert_eq!(shown.differs, "batches", "{shown}");
}

/// A candidate leaves out reported votes of its own earlier ballots, because it takes its own log to have them.
#[test]
fn a_fault_that_looks_at_the_owner_of_a_report() {
    found(
        "random logs of eight slots, nine nodes",
        Faulty(|replica, mut event, output| {
            let me = replica.parts().config.id;
            if let Event::Message { message: Message::Promise { reports, .. }, .. } = &mut event {
                reports.retain(|report| report.ballot.node != me);
            }
            replica.step(event, output);
        }),
    );
}

/// A node goes on with the first of two values that are chosen in one slot.
#[test]
fn a_fault_that_goes_on_without_agreement() {
    let shown = found(
        "one slot of three nodes",
        Faulty(|replica, event, output| {
            let known = replica.parts().learner;
            let second = match &event {
                Event::Message { from, message: Message::Learned { first, values, .. } } => {
                    from.0 != 99
                        && first.0 < u64::MAX
                        && values.with_slots(*first).any(|(slot, value)| {
                            known.value(slot).is_some_and(|known| known != value)
                        })
                }
                _ => false,
            };
            if !second {
                replica.step(event, output);
            }
        }),
    );
    assert_eq!(shown.differs, "stop at a second chosen value", "{shown}");
}

/// A step takes back the proposals of earlier steps, which wait in the same output.
#[test]
fn a_fault_that_takes_back_earlier_output() {
    found(
        "parts that a handler does not look at",
        Faulty(|replica, event, output| {
            let prepares =
                matches!(&event, Event::Message { message: Message::Prepare { .. }, .. });
            if prepares {
                output
                    .held_mut()
                    .messages
                    .retain(|it| !matches!(it.message, Message::Accept { .. }));
            }
            replica.step(event, output);
        }),
    );
}

/// A leader resends nothing to the nodes after the sixteenth.
#[test]
fn a_fault_that_needs_seventeen_nodes() {
    found(
        "sets of up to 64 nodes, and each pair of quorums",
        Faulty(|replica, event, output| {
            let resends = event == Event::Timer(Timer::Resend);
            replica.step(event, output);
            if resends {
                output
                    .held_mut()
                    .messages
                    .retain(|it| !matches!(it.to, To::Node(node) if node > NodeId(16)));
            }
        }),
    );
}

/// A node whose promise is a quorum waits for the promises of others.
#[test]
fn a_fault_that_needs_a_quorum_of_one() {
    found(
        "two slots of four nodes, one promise is a quorum",
        Faulty(|replica, event, output| {
            let campaigns = event == Event::Timer(Timer::Campaign);
            let before = replica.clone();
            replica.step(event, output);
            let follows = |it: &Replica| matches!(it.parts().role, Role::Follower);
            if campaigns && follows(&before) && !follows(replica) {
                output.held_mut().timers.retain(|timer| *timer != Timer::Heartbeat);
            }
        }),
    );
}

/// A node without a next ballot answers as if it had begun one.
#[test]
fn a_fault_that_needs_the_last_round() {
    found(
        "random logs of eight slots, nine nodes",
        Faulty(|replica, event, output| {
            let campaigns = event == Event::Timer(Timer::Campaign);
            replica.step(event, output);
            let leads = matches!(replica.parts().role, Role::Leader(_));
            if campaigns && !leads && output.records_mut().is_empty() {
                output.held_mut().timers.push(Timer::Campaign);
            }
        }),
    );
}

/// Bug 51 of the catalogue, "counters wrap": a number of 64 bits is read as one of 32 bits.
#[test]
fn bug_51_a_count_is_read_as_a_narrower_type() {
    let shown = found(
        "one slot of three nodes",
        Faulty(|replica, mut event, output| {
            if let Event::Message { message: Message::Confirm { round, .. }, .. } = &mut event {
                *round = u64::from(*round as u32);
            }
            replica.step(event, output);
        }),
    );
    assert_eq!(shown.differs, "messages", "{shown}");
}

/// Bug 51 of the catalogue, "counters wrap": the next round after the last one is the first.
#[test]
fn bug_51_the_highest_ballot_becomes_the_lowest() {
    let shown = found(
        "random logs of eight slots, nine nodes",
        Faulty(|replica, event, output| {
            let campaigns = event == Event::Timer(Timer::Campaign);
            let promised = replica.parts().acceptor.promised;
            let me = replica.parts().config.id;
            replica.step(event, output);
            if campaigns && promised.is_some_and(|ballot| ballot.round.get() == u64::MAX) {
                let ballot = paxos::Ballot::new(1, me).expect("not zero");
                let message = Message::Prepare { ballot, first: Slot(0) };
                output.held_mut().messages.push(Envelope { to: To::Peers, message });
            }
        }),
    );
    assert_eq!(shown.differs, "messages", "{shown}");
}

/// Bug 51 of the catalogue, "counters wrap": the end of a run of slots is the first slot and their number, which wraps. The run
/// then seems to be empty.
#[test]
fn bug_51_the_end_of_a_run_wraps() {
    let shown = found(
        "random logs of eight slots, nine nodes",
        Faulty(|replica, event, output| {
            let wraps = match &event {
                Event::Message { message: Message::Chosen { first, count, .. }, .. } => {
                    first.0.wrapping_add(*count) < first.0
                }
                _ => false,
            };
            if !wraps {
                replica.step(event, output);
            }
        }),
    );
    assert!(shown.input.contains("Chosen"), "{shown}");
}

/// The counterexample has no part that it does not need.
#[test]
fn a_counterexample_is_small() {
    let shown = found(
        "one slot of three nodes",
        Faulty(|replica, event, output| {
            // It promises a ballot below its promise, if it has voted.
            let voted = replica.parts().acceptor.votes.iter().next().is_some();
            replica.step(event, output);
            if voted
                && matches!(output.held_mut().messages.last(), Some(it) if matches!(it.message, Message::Nack { .. }))
            {
                output.held_mut().messages.pop();
            }
        }),
    );
    expect_test::expect![[r"
        model and replica differ: messages
          node      n2 of 3 nodes, quorums 2 and 2
          before    promised b2.1, voted s0=b1.1:noop, follows
          input     Message { from: n1, message: Prepare { ballot: 1.1, first: s0 } }
          expected  Nack(b1.1, b2.1) to n1
          got       no such message
    "]]
    .assert_eq(&shown.to_string());
}
