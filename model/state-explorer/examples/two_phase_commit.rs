//! Two-phase commit, as Gray and Lamport specify it in `TwoPhase.tla`, and a property that the protocol does not have.
//!
//! `cargo run --example two_phase_commit`

use state_explorer::{Explorable, Options, explore};
use stateright::{Model, Property};

/// A transaction manager and a number of resource managers that agree to commit a transaction, or to abort it.
#[derive(Clone)]
pub struct TwoPhaseCommit {
    /// The number of resource managers, up to 8.
    pub managers: u8,
    /// The properties to check, by their names.
    pub properties: Vec<&'static str>,
}

/// The state of a resource manager.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Manager {
    /// The manager works on the transaction.
    Working,
    /// The manager can commit and can abort.
    Prepared,
    /// The manager has committed.
    Committed,
    /// The manager has aborted.
    Aborted,
}

/// The decision of the transaction manager.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// The transaction manager has not decided yet.
    None,
    /// The decision is to commit.
    Commit,
    /// The decision is to abort.
    Abort,
}

/// The whole system. A message stays in the network once it is sent. The decision is also the message that announces it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    managers: Vec<Manager>,
    decision: Decision,
    /// A bit for each manager whose `Prepared` message the transaction manager has received.
    received: u8,
    /// A bit for each manager that has sent `Prepared`.
    sent: u8,
}

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A manager becomes ready to commit, and sends `Prepared`.
    Prepare(u8),
    /// A manager that is not prepared aborts on its own.
    AbortAlone(u8),
    /// The transaction manager receives the `Prepared` message of a manager.
    Hear(u8),
    /// The transaction manager decides to commit. It has received `Prepared` from all managers.
    DecideCommit,
    /// The transaction manager decides to abort.
    DecideAbort,
    /// A manager receives the decision, and follows it.
    Obey(u8),
}

/// No manager commits if another aborts.
pub const CONSISTENT: &str = "all managers agree";
/// This property does not hold, since the transaction manager may decide to abort at any time before it commits.
pub const NO_WASTE: &str = "no prepared manager aborts";

impl Model for TwoPhaseCommit {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let managers = vec![Manager::Working; usize::from(self.managers)];
        vec![State { managers, decision: Decision::None, received: 0, sent: 0 }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::DecideCommit, Action::DecideAbort]);
        for manager in 0..self.managers {
            actions.extend([
                Action::Prepare(manager),
                Action::AbortAlone(manager),
                Action::Hear(manager),
                Action::Obey(manager),
            ]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        let all = u8::MAX >> (8 - self.managers);
        match action {
            Action::Prepare(manager) => {
                let state = &mut next.managers[usize::from(manager)];
                if *state == Manager::Working {
                    *state = Manager::Prepared;
                    next.sent |= 1 << manager;
                }
            }
            Action::AbortAlone(manager) => {
                let state = &mut next.managers[usize::from(manager)];
                if *state == Manager::Working {
                    *state = Manager::Aborted;
                }
            }
            Action::Hear(manager) => {
                if last.decision == Decision::None {
                    next.received |= last.sent & (1 << manager);
                }
            }
            Action::DecideCommit => {
                if last.decision == Decision::None && last.received == all {
                    next.decision = Decision::Commit;
                }
            }
            Action::DecideAbort => {
                if last.decision == Decision::None {
                    next.decision = Decision::Abort;
                }
            }
            Action::Obey(manager) => {
                let state = &mut next.managers[usize::from(manager)];
                match last.decision {
                    Decision::None => {}
                    Decision::Commit => *state = Manager::Committed,
                    Decision::Abort => *state = Manager::Aborted,
                }
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let consistent = Property::always(CONSISTENT, |_: &Self, state: &State| {
            let has = |end| state.managers.contains(&end);
            !(has(Manager::Committed) && has(Manager::Aborted))
        });
        let no_waste = Property::always(NO_WASTE, |_: &Self, state: &State| {
            let aborted = |(manager, end): (usize, &Manager)| {
                *end == Manager::Aborted && state.sent & (1 << manager) != 0
            };
            !state.managers.iter().enumerate().any(aborted)
        });
        let committed = Property::sometimes("a manager commits", |_: &Self, state: &State| {
            state.managers.contains(&Manager::Committed)
        });
        let all = [consistent, no_waste, committed];
        all.into_iter().filter(|property| self.properties.contains(&property.name)).collect()
    }
}

impl Explorable for TwoPhaseCommit {
    const KINDS: &'static [&'static str] = &["prepare", "abort alone", "hear", "decide", "obey"];

    fn kind(action: &Action) -> usize {
        match action {
            Action::Prepare(_) => 0,
            Action::AbortAlone(_) => 1,
            Action::Hear(_) => 2,
            Action::DecideCommit | Action::DecideAbort => 3,
            Action::Obey(_) => 4,
        }
    }

    fn only(&self, property: &'static str) -> Self {
        Self { properties: vec![property], ..self.clone() }
    }

    fn describe(&self, action: &Action) -> String {
        match action {
            Action::Prepare(manager) => format!("manager {manager} is prepared"),
            Action::AbortAlone(manager) => format!("manager {manager} aborts alone"),
            Action::Hear(manager) => format!("the transaction manager hears manager {manager}"),
            Action::DecideCommit => "the transaction manager commits".to_owned(),
            Action::DecideAbort => "the transaction manager aborts".to_owned(),
            Action::Obey(manager) => format!("manager {manager} obeys"),
        }
    }
}

fn main() {
    for properties in [vec![CONSISTENT, "a manager commits"], vec![NO_WASTE]] {
        let report = explore(&TwoPhaseCommit { managers: 3, properties }, &Options::default());
        println!("{report}");
    }
}
