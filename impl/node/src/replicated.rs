//! The replicated state machine of a node. It applies chosen values in the order of the log, each once.
//!
//! A panic halts the machine. The node still votes, so that the log is not lost, but does not use the machine any more.
//! The node does not end its process: each replica meets the same panic in the same slot, so all processes would end,
//! again after each start. The snapshot of a peer ends the halt. A halted node stops with an error once more than 256
//! MiB of commands were chosen since.

use std::{
    any::Any,
    collections::VecDeque,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use paxos::{Batch, Slot, Value};

use crate::{
    faults::Fault,
    machine::{Frozen, RestoreError, StateMachine},
    session::{Applied, Sessions},
};

/// The most bytes of commands that are chosen while the machine of a node has halted. The node then stops. When it is
/// started again, it gets a snapshot from a node that has applied the slot.
const HALTED_BYTES_MAX: u64 = 256 << 20;

/// The machine, and the chosen values that it has not applied yet.
pub(super) struct Replicated<M: StateMachine> {
    sessions: Sessions<M>,
    /// The chosen values that are not applied yet, in the order of the slots. No batch is empty.
    backlog: VecDeque<(Slot, Batch)>,
    halted: Option<Halted>,
    /// The time for which a turn applies entries and serves reads.
    turn_max: Duration,
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
    /// Returns the state with a machine to which nothing was applied.
    pub(super) fn new(machine: M, turn_max: Duration) -> Self {
        let (sessions, backlog) = (Sessions::new(machine), VecDeque::new());
        Self { sessions, backlog, halted: None, turn_max }
    }

    /// Begins the time for which a turn applies entries and serves reads. Returns a function that returns true until
    /// the time is up.
    pub(super) fn turn_budget(&self) -> impl Fn() -> bool + Copy + use<M> {
        let until = Instant::now().checked_add(self.turn_max);
        move || until.is_none_or(|until| Instant::now() < until)
    }

    /// The machine with the sessions of its clients.
    pub(super) fn sessions(&self) -> &Sessions<M> {
        &self.sessions
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
        self.halted().unwrap_or(self.sessions.applied())
    }

    /// Returns true if a chosen value is not applied yet.
    pub(super) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Takes chosen values, in the order of the log.
    pub(super) fn chosen(&mut self, values: Vec<(Slot, Batch)>) {
        self.backlog.extend(values);
    }

    /// Applies the next value, if there is one. Returns its slot, the value and the result.
    pub(super) fn apply_next(&mut self) -> Option<(Slot, Value, Outcome<M::Answer>)> {
        let (first, values) = self.backlog.front_mut()?;
        let (slot, value) = (*first, values[0].clone());
        *first = slot.plus(1);
        values.advance(1);
        if values.is_empty() {
            self.backlog.pop_front();
        }
        let outcome = self.apply(slot, &value);
        Some((slot, value, outcome))
    }

    fn apply(&mut self, slot: Slot, value: &Value) -> Outcome<M::Answer> {
        if slot < self.sessions.applied() {
            return Outcome::Nothing;
        }
        let bytes = match value {
            Value::Command(bytes) => bytes.len() as u64,
            Value::Noop => 0,
        };
        if let Some(halted) = &mut self.halted {
            halted.bytes += bytes;
            return Outcome::Nothing;
        }
        match catch_unwind(AssertUnwindSafe(|| self.sessions.apply(slot, value))) {
            Ok(applied) => Outcome::Applied(applied, bytes),
            Err(panic) => {
                self.halted = Some(Halted { slot, bytes });
                Outcome::Panicked(panic)
            }
        }
    }

    /// The present state, for a snapshot.
    pub(super) fn snapshot(&self, fault: Option<Fault>) -> Frozen {
        self.sessions.snapshot_with(fault)
    }

    /// Replaces the machine by a snapshot that has the effect of every slot below. This ends a halt.
    ///
    /// # Errors
    /// The bytes are no snapshot of this machine. The machine is as it was.
    pub(super) fn restore(
        &mut self,
        below: Slot,
        snapshot: &mut dyn Read,
    ) -> Result<(), RestoreError> {
        self.sessions.restore(below, snapshot)?;
        self.halted = None;
        Ok(())
    }
}
