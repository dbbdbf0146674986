//! The replicated state machine of a node. It applies chosen values in the order of the log, each once.
//!
//! A panic halts the machine. The node still votes, so that the log is not lost, but does not use the machine any more.
//! The node does not end its process: each replica meets the same panic in the same slot, so all processes would end,
//! again after each start. The snapshot of a peer ends the halt. A halted node stops with an error once more than 256
//! MiB of commands were chosen since.
//!
//! Another thread restores the snapshot of a peer, and has the machine meanwhile. Nothing is applied or read until it
//! gives the machine back. The chosen values wait in the backlog. They share their bytes with the log.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use paxos::{Batch, Slot, Value};

use crate::{
    machine::StateMachine,
    session::{Applied, Sessions},
};

/// The most bytes of commands that are chosen while the machine of a node has halted. The node then stops. When it is
/// started again, it gets a snapshot from a node that has applied the slot.
const HALTED_BYTES_MAX: u64 = 256 << 20;

/// The machine, and the chosen values that it has not applied yet.
pub(super) struct Replicated<M: StateMachine> {
    place: Place<M>,
    /// The chosen values that are not applied yet, in the order of the slots. No batch is empty.
    backlog: VecDeque<(Slot, Batch)>,
    halted: Option<Halted>,
    /// The time for which a turn applies entries and serves reads.
    turn_max: Duration,
}

/// The place of the machine with the sessions of its clients.
enum Place<M: StateMachine> {
    Here(Sessions<M>),
    /// A job restores the snapshot of a peer. The machine had these sizes before.
    Job(Sizes),
}

/// The sizes of a machine, for operators.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// The first slot that is not applied.
    applied: Slot,
    /// The number of open sessions.
    pub(super) sessions: usize,
    /// The bytes of the state ([`StateMachine::state_bytes`]).
    pub(super) state_bytes: u64,
}

/// A machine that has panicked.
struct Halted {
    slot: Slot,
    /// The bytes of the commands that were chosen since and not applied.
    bytes: u64,
}

/// The result of one slot.
pub(super) enum Outcome<A> {
    /// The value was applied. The number is the bytes of its command.
    Applied(Applied<A>, u64),
    /// The machine has panicked.
    Panicked(Box<dyn Any + Send>),
    /// A snapshot has the effect of the slot already, or the machine has halted.
    Nothing,
}

impl<M: StateMachine> Replicated<M> {
    /// Returns the state of a node that starts with this machine.
    pub(super) fn new(sessions: Sessions<M>, turn_max: Duration) -> Self {
        Self { place: Place::Here(sessions), backlog: VecDeque::new(), halted: None, turn_max }
    }

    /// Begins the time for which a turn applies entries and serves reads. Returns a function that returns true until
    /// the time is up.
    pub(super) fn turn_budget(&self) -> impl Fn() -> bool + Copy + use<M> {
        let until = Instant::now().checked_add(self.turn_max);
        move || until.is_none_or(|until| Instant::now() < until)
    }

    /// The machine with the sessions of its clients, or `None` while a job restores it.
    pub(super) fn sessions(&self) -> Option<&Sessions<M>> {
        match &self.place {
            Place::Here(sessions) => Some(sessions),
            Place::Job(_) => None,
        }
    }

    /// Returns true while a job restores the machine.
    pub(super) fn is_restoring(&self) -> bool {
        self.sessions().is_none()
    }

    /// The sizes of the machine. While a job restores it, the sizes from before.
    pub(super) fn sizes(&self) -> Sizes {
        match &self.place {
            Place::Here(sessions) => Sizes {
                applied: sessions.applied(),
                sessions: sessions.open(),
                state_bytes: sessions.machine().state_bytes(),
            },
            Place::Job(sizes) => *sizes,
        }
    }

    /// The slot at which the machine has panicked.
    pub(super) fn halted(&self) -> Option<Slot> {
        self.halted.as_ref().map(|halted| halted.slot)
    }

    /// Returns the slot at which the machine has panicked, if so many bytes were chosen since that the node must stop.
    pub(super) fn outgrown(&self) -> Option<Slot> {
        let halted = self.halted.as_ref().filter(|halted| halted.bytes > HALTED_BYTES_MAX);
        halted.map(|halted| halted.slot)
    }

    /// The first slot that is not applied.
    pub(super) fn applied(&self) -> Slot {
        self.halted().unwrap_or_else(|| match &self.place {
            Place::Here(sessions) => sessions.applied(),
            Place::Job(sizes) => sizes.applied,
        })
    }

    /// Returns true if a chosen value can be applied now.
    pub(super) fn is_behind(&self) -> bool {
        !self.backlog.is_empty() && !self.is_restoring()
    }

    /// Takes chosen values, in the order of the log.
    pub(super) fn chosen(&mut self, values: Vec<(Slot, Batch)>) {
        self.backlog.extend(values);
    }

    /// Applies the next value, if there is one that can be applied now. Returns its slot, the value and the result.
    pub(super) fn apply_next(&mut self) -> Option<(Slot, Value, Outcome<M::Answer>)> {
        // The backlog of a halted machine waits, too, because the snapshot may lack its last values.
        let Place::Here(sessions) = &mut self.place else { return None };
        let (first, values) = self.backlog.front_mut()?;
        let (slot, value) = (*first, values[0].clone());
        *first = slot.plus(1);
        values.advance(1);
        if values.is_empty() {
            self.backlog.pop_front();
        }
        let outcome = apply(sessions, &mut self.halted, slot, &value);
        Some((slot, value, outcome))
    }

    /// Gives the machine to a job that restores the snapshot of a peer. Nothing is applied until the job
    /// [gives it back](Self::give_back).
    ///
    /// # Panics
    /// A job has the machine already.
    pub(super) fn begin_restore(&mut self) -> Sessions<M> {
        let sizes = Place::Job(self.sizes());
        let Place::Here(sessions) = std::mem::replace(&mut self.place, sizes) else {
            panic!("one job restores the machine at a time");
        };
        sessions
    }

    /// Takes the machine back that a job could not restore. It is as it was.
    pub(super) fn give_back(&mut self, sessions: Sessions<M>) {
        self.place = Place::Here(sessions);
    }

    /// Takes the machine back that a job has restored. This ends a halt.
    pub(super) fn restored(&mut self, sessions: Sessions<M>) {
        self.give_back(sessions);
        self.halted = None;
    }
}

/// Applies the value of a slot.
fn apply<M: StateMachine>(
    sessions: &mut Sessions<M>,
    halted: &mut Option<Halted>,
    slot: Slot,
    value: &Value,
) -> Outcome<M::Answer> {
    if slot < sessions.applied() {
        return Outcome::Nothing;
    }
    let bytes = match value {
        Value::Command(bytes) => bytes.len() as u64,
        Value::Noop => 0,
    };
    if let Some(halted) = halted {
        halted.bytes += bytes;
        return Outcome::Nothing;
    }
    match catch_unwind(AssertUnwindSafe(|| sessions.apply(slot, value))) {
        Ok(applied) => Outcome::Applied(applied, bytes),
        Err(panic) => {
            *halted = Some(Halted { slot, bytes });
            Outcome::Panicked(panic)
        }
    }
}
