//! The parts of a state that the handler of an input does not look at.
//!
//! The enumeration of two slots leaves out what a handler cannot see. It varies no reads where the input is about slots, and it
//! leaves out the inputs whose handlers do not look at what the log holds, because one slot has shown all of them. Here random
//! states show that both are so: a step does the same after the part is replaced.

use std::sync::Arc;

use paxos::{Config, Event, Message, Timer, Token};
use paxos_model::cluster::node::{
    state::{Live, Reads, Role, Vote},
    unbounded::{Log, Unbounded, Value},
    universe::SlotMap as _,
};

use crate::{
    check::{Checker, Class, Finding, Outcome, Shown, Tested},
    choices::Choices,
    enumeration::{Case, Probe},
    inputs::Input,
    states::Start,
    table::State,
};

/// Returns true if the handler of an event looks at what the log holds. It then does not look at the reads.
fn looks_at_log(event: &Event) -> bool {
    match event {
        Event::Timer(Timer::Heartbeat) | Event::Read(_) => false,
        Event::Timer(_) | Event::Propose(_) | Event::Snapshot { .. } => true,
        Event::Message { message, .. } => !matches!(
            message,
            Message::Nack { .. }
                | Message::Confirm { .. }
                | Message::Confirmed { .. }
                | Message::Heartbeat { .. }
                | Message::Trimmed { .. }
        ),
    }
}

/// The check that steps do not look at what the enumeration leaves out.
#[derive(Debug)]
pub struct Unseen<T> {
    checker: Checker<T>,
}

impl<T: Tested> Unseen<T> {
    /// Returns the check for a node with this configuration.
    pub fn new(config: Arc<Config>, tested: T) -> Self {
        Self { checker: Checker::new(config, tested) }
    }
}

impl<T: Tested> Probe for Unseen<T> {
    fn outside(&self, start: &Start) -> Option<&'static str> {
        self.checker.broken(&start.state.live)
    }

    fn probe(&mut self, case: &Case, _: &mut impl Choices) -> Result<Shown, Box<Finding>> {
        let shown = Shown { class: Class::Sound, kinds: Vec::new() };
        let Input::Event(event) = &case.input else { return Ok(shown) };
        // A resent Confirm message is about reads.
        if *event == Event::Timer(Timer::Resend) {
            return Ok(shown);
        }
        let hide = if looks_at_log(event) { without_reads } else { without_values };
        let mut outcome = |state: &State| {
            let taken = self.checker.outcome(state, event.clone());
            taken.map(|Outcome { state, mut output }| {
                // A node that stops leading refuses its reads.
                output.refused.retain(|refused| !TOKENS.contains(&refused.token));
                Outcome { state: hide(&state), output }
            })
        };
        let (whole, hidden) = (outcome(&case.start.state), outcome(&hide(&case.start.state)));
        match (whole, hidden) {
            (Err(_), Err(_)) => Ok(shown),
            (whole, hidden) if whole == hidden => Ok(shown),
            (whole, hidden) => {
                Err(Box::new(Finding::new("step without the unseen part", hidden, whole)))
            }
        }
    }
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
