//! The limits of a run, the same for all engines: time, states, memory, and a request to end.
//!
//! A run may need several searches, for example a second one for a shortest counterexample. All searches of a run share its
//! limits, but each search counts its own states.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::options::Options;
use verdict::{Interrupt, memory::Memory};

/// The limits of one run.
pub(super) struct Limits {
    started: Instant,
    deadline: Option<Deadline>,
    max_states: Option<usize>,
    max_memory_bytes: Option<u64>,
    interrupt: Interrupt,
    memory: RefCell<Memory>,
}

/// A time limit, and the time at which it is reached.
#[derive(Clone, Copy)]
struct Deadline {
    timeout: Duration,
    at: Instant,
}

impl Limits {
    /// Takes the limits from the options, and starts the clock.
    pub(super) fn new(options: &Options) -> Self {
        // There is no deadline if it is later than the clock can represent.
        let deadline = options.timeout.and_then(|timeout| {
            Instant::now().checked_add(timeout).map(|at| Deadline { timeout, at })
        });
        Self {
            started: Instant::now(),
            deadline,
            max_states: options.max_states,
            max_memory_bytes: options.max_memory_bytes,
            interrupt: options.interrupt.clone(),
            memory: RefCell::new(Memory::of_this_process()),
        }
    }

    /// Returns the time since the run began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the reason why a search must end, in words: a request to end, or a limit that is reached. Returns none if it
    /// may go on. `states` is the number of its states. `next_bytes` is the memory for which its tables will ask when they
    /// grow next.
    pub(super) fn reached(&self, states: usize, next_bytes: u64) -> Option<String> {
        if self.interrupt.requested() {
            return Some("a signal came".to_owned());
        }
        if let Some(passed) = self.deadline.filter(|deadline| Instant::now() >= deadline.at) {
            return Some(format!("the time limit of {:?} was reached", passed.timeout));
        }
        if let Some(most) = self.max_states.filter(|most| states > *most) {
            return Some(format!("the limit of {most} states was reached"));
        }
        // Measured even without a limit, so that the peak is known.
        let held = self.memory.borrow_mut().held_bytes();
        if let Some(most) = self.max_memory_bytes.filter(|most| held > *most) {
            return Some(format!("the memory limit of {} MB was reached", most / 1_000_000));
        }
        self.memory.borrow_mut().exhausted(next_bytes)
    }

    /// Returns the memory that this process holds, and its limit, in bytes.
    pub(super) fn memory_bytes(&self) -> (u64, Option<u64>) {
        (self.memory.borrow_mut().held_bytes(), self.max_memory_bytes)
    }

    /// Returns the most memory that this process was measured to hold, in bytes.
    pub(super) fn peak_bytes(&self) -> u64 {
        self.memory.borrow_mut().peak_bytes()
    }
}

/// Returns the memory that this process can still get, in bytes, if that is known.
pub fn available_bytes() -> Option<u64> {
    Memory::of_this_process().left_bytes()
}
