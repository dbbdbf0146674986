//! A replica against arbitrary messages, most of which no correct node sends.

use crate::said::{ballot, command, config, leads, persistent, propose, step};
use itertools::Itertools;
use paxos::{
    Ballot, Batch, Config, Event, Message, NodeId, Output, Replica, Report, Slot, Timer, To, Token,
    Value,
};
use paxos_store::Memory;
use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(persistent())]

    /// No message from any node makes a replica panic or use much memory. Every value is a no-op, so that generated
    /// messages do not contradict each other: a replica believes a message that says a value is chosen.
    #[test]
    fn garbage_of_every_kind(events in vec(garbage(Garbage::EveryKindNoValues), 0..120)) {
        feed(&events)?;
    }

    /// The same with values, and without the messages that say that a value is chosen. Ballot and slot determine
    /// the value, as they do between correct nodes.
    #[test]
    fn garbage_with_values(events in vec(garbage(Garbage::ValuesNothingChosen), 0..120)) {
        feed(&events)?;
    }
}

/// The kinds of generated messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Garbage {
    EveryKindNoValues,
    ValuesNothingChosen,
}

/// The number of slots beyond the end of its log that the replica of these tests accepts.
const SLOTS_AHEAD_MAX: u64 = 16;

/// Stands for the first slot that the replica does not know when it gets a snapshot. A snapshot must not hold more.
const KNOWN_END: Slot = Slot(u64::MAX);

/// Returns events of which most make no sense and some do.
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
    let prepare =
        (ballots.clone(), slot()).prop_map(|(ballot, first)| Message::Prepare { ballot, first });
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
            Message::Learned { first, values: fill(ballot, first, count), more: count % 2 == 0 }
        });
        prop_oneof![8 => message, 1 => chosen, 1 => learned].boxed()
    } else {
        message
    };

    // Half of the messages come from the owner of their ballot. Otherwise most would be ignored.
    let message = (0u32..6, any::<bool>(), message).prop_map(|(from, owner, message)| {
        let from = match &message {
            Message::Prepare { ballot, .. }
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
        prop_oneof![11 => event, 1 => propose, 1 => Just(Event::Snapshot { below: KNOWN_END })]
            .boxed()
    } else {
        // A snapshot says that its slots are chosen, as a Learned message does.
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

/// Feeds events to node 1 of three. Its memory must stay bounded, and its records must rebuild its state. Promise,
/// Accepted and Confirmed messages at even places get the node's present ballot, so that the node sometimes leads.
fn feed(events: &[Event]) -> Result<(), TestCaseError> {
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
            if *below == KNOWN_END {
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
        prop_assert!(output.held().reads.is_empty() || led, "only a leader confirms reads");
        let limit = held(&replica) as usize + 16;
        prop_assert!(
            output.held().messages.len() + output.records().len() <= limit,
            "so does output"
        );
        for envelope in &output.held().messages {
            let known = match envelope.to {
                To::Peers => true,
                To::Node(to) => (2..=3).contains(&to.0),
            };
            prop_assert!(known, "nothing is sent to strangers");
        }
        for (slot, _) in output.held().chosen_slots() {
            prop_assert_eq!(slot, next);
            next = slot.plus(1);
        }
        store.append(output.records()).unwrap();
        prop_assert_eq!(store.image(), replica.parts().acceptor);
    }
    let recovered = Replica::recover(config, store.records()).unwrap();
    prop_assert_eq!(recovered.parts().acceptor, replica.parts().acceptor);
    Ok(())
}
