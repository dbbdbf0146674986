//! The parts of a state that the handler of an input does not look at.
//!
//! The enumeration of two slots leaves out what a handler cannot see. It varies no reads where the input is about slots. It also
//! leaves out inputs whose handlers do not look at the log, because one slot has shown all of them. Here random states show
//! that handlers do not look: a step does the same after the part is replaced. The output of earlier steps is such a part,
//! too: a step appends to it.

use paxos::{
    Batch, Effects, Envelope, Event, Message, Output, ReadReady, Record, Refusal, Refused, Slot,
    Taken, Timer, To, Token, Value as RealValue,
};
use paxos_model::cluster::node::{
    state::{Live, Reads, Role, Vote},
    unbounded::{Log, Unbounded, Value},
    universe::SlotMap as _,
};

use crate::{
    case::{Case, Input, Start},
    check::{Checker, Outcome, Shown, Tested},
    finding::{Checked, finding},
    inputs::looks_at_log,
    table::{State, real_ballot, real_node},
};

/// Checks that the step of a case is the same without the part that its handler does not look at. Returns none if the handler
/// looks at all of it.
///
/// # Errors
/// Fails if the outcomes differ.
pub(crate) fn looks_away<T: Tested>(
    checker: &mut Checker<T>,
    case: &Case,
) -> Checked<Option<Shown>> {
    let Input::Event(event) = &case.input else { return Ok(None) };
    // A resent Confirm message is about reads.
    if *event == Event::Timer(Timer::Resend) {
        return Ok(None);
    }
    let hide = if looks_at_log(event) { without_reads } else { without_values };
    let mut outcome = |state: &State, earlier: &Output| {
        let taken = checker.outcome_after(earlier.clone(), state, event.clone());
        taken.map(|Outcome { state, output }| {
            let mut output = without_earlier(output, earlier);
            // A node that stops leading refuses its reads.
            output.held_mut().refused.retain(|refused| !TOKENS.contains(&refused.token));
            Outcome { state: hide(&state), output }
        })
    };
    let (whole, hidden) = (
        outcome(&case.start.state, &earlier_output(&case.start)),
        outcome(&hide(&case.start.state), &Output::default()),
    );
    match (whole, hidden) {
        // The text of a panic names values.
        (Err(_), Err(_)) => Ok(Some(Shown::default())),
        (whole, hidden) if whole == hidden => Ok(Some(Shown::default())),
        (whole, hidden) => finding("step without the unseen part", hidden, whole),
    }
}

/// Returns output of earlier steps, with something of each kind.
fn earlier_output(start: &Start) -> Output {
    let ballot = real_ballot(start.chain.first(start.me));
    let (slot, token, node) = (Slot(0), Token(90), real_node(start.me));
    let values: Batch = [RealValue::Noop].into();
    let first = slot;
    let said = [
        Message::Accept { ballot, first, values: values.clone() },
        Message::Promise { ballot, trimmed: slot, reports: Vec::new() },
        Message::Accepted { ballot, first, count: 1 },
        Message::Chosen { ballot, first, count: 1 },
        Message::Confirmed { ballot, round: 1 },
    ];
    let messages = said.map(|message| Envelope { to: To::Peers, message });
    let records =
        vec![Record::Promised(ballot), Record::Accepted { ballot, first, values: values.clone() }];
    let effects = Effects {
        messages: messages.into(),
        chosen: vec![(slot, values.clone())],
        taken: vec![Taken { token, slot }],
        reads: vec![ReadReady { token, at: slot }],
        refused: vec![Refused { token, command: None, refusal: Refusal::Busy }],
        fetch: vec![node],
        timers: vec![Timer::Resend],
    };
    Output::of(records, effects)
}

/// Returns what a step has appended. Leaves the output as it is if an earlier part is no longer there.
fn without_earlier(output: Output, earlier: &Output) -> Output {
    fn after<T: Clone + PartialEq>(all: &[T], earlier: &[T]) -> Option<Vec<T>> {
        all.strip_prefix(earlier).map(<[T]>::to_vec)
    }
    let (effects, before) = (output.held(), earlier.held());
    let appended = || {
        let records = after(output.records(), earlier.records())?;
        let effects = Effects {
            messages: after(&effects.messages, &before.messages)?,
            chosen: after(&effects.chosen, &before.chosen)?,
            taken: after(&effects.taken, &before.taken)?,
            reads: after(&effects.reads, &before.reads)?,
            refused: after(&effects.refused, &before.refused)?,
            fetch: after(&effects.fetch, &before.fetch)?,
            timers: after(&effects.timers, &before.timers)?,
        };
        Some(Output::of(records, effects))
    };
    appended().unwrap_or(output)
}

/// The tokens of the reads of a state.
const TOKENS: [Token; 4] = [Token(1), Token(2), Token(3), Token(4)];

fn without_reads(state: &State) -> State {
    let mut live = state.live.clone();
    if let Role::Leader { reads, .. } = &mut live.role {
        *reads = Reads { barrier: reads.barrier, ..Reads::default() };
    }
    State::of(live)
}

fn without_values(state: &State) -> State {
    let Live { mut acceptor, mut role, chosen } = state.live.clone();
    acceptor.votes = noops(&acceptor.votes);
    if let Role::Candidate { reported, .. } = &mut role {
        *reported = noops(reported);
    }
    let mut known = Log::default();
    chosen.filled().for_each(|(slot, _)| known.put(slot, Some(Value::Noop)));
    State { live: Live { acceptor, role, chosen: known }, ..state.clone() }
}

fn noops(votes: &Log<Option<Vote<Unbounded>>>) -> Log<Option<Vote<Unbounded>>> {
    let mut replaced = Log::default();
    for (slot, vote) in votes.filled() {
        replaced.put(slot, vote.map(|vote| Vote { value: Value::Noop, ..vote }));
    }
    replaced
}
