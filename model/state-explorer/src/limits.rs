//! When to stop: limits that are looked at from outside, whatever searches.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::options::Options;
use verdict::{Interrupt, memory::Memory};

/// How far the searches of one run may go; they share it.
pub(super) struct Limits {
    started: Instant,
    deadline: Option<Deadline>,
    max_states: Option<usize>,
    max_memory_bytes: Option<u64>,
    interrupt: Interrupt,
    memory: RefCell<Memory>,
}

/// When a time limit will be up.
#[derive(Clone, Copy)]
struct Deadline {
    timeout: Duration,
    at: Instant,
}

impl Limits {
    /// Those that are asked for; the time begins now.
    pub(super) fn new(options: &Options) -> Self {
        // None if that is further away than any clock goes.
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

    /// How long ago they began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The limit that was reached, or the wish for an end, in words. `next_bytes` is what the tables of the
    /// search ask for when they grow next.
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
        // Looked at whether there is a limit or not, so that the most is known.
        let held = self.memory.borrow_mut().held_bytes();
        if let Some(most) = self.max_memory_bytes.filter(|most| held > *most) {
            return Some(format!("the memory limit of {} MB was reached", most / 1_000_000));
        }
        self.memory.borrow_mut().exhausted(next_bytes)
    }

    /// How much memory this process holds, in bytes, and how much it may.
    pub(super) fn memory_bytes(&self) -> (u64, Option<u64>) {
        (self.memory.borrow_mut().held_bytes(), self.max_memory_bytes)
    }

    /// The most memory that this process was seen to hold, in bytes.
    pub(super) fn peak_bytes(&self) -> u64 {
        self.memory.borrow_mut().peak_bytes()
    }
}

/// The memory that this process can still have, in bytes; nothing if that is not known.
pub fn available_bytes() -> Option<u64> {
    Memory::of_this_process().left_bytes()
}
