//! When to stop: limits that are looked at from outside, whatever searches.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

use super::options::{Interrupt, Options};

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
            memory: RefCell::new(Memory::new()),
        }
    }

    /// How long ago they began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// That a limit was reached, or somebody wants an end, in words.
    pub(super) fn reached(&self, states: usize) -> Option<String> {
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
        let most = self.max_memory_bytes?;
        (held > most).then(|| format!("the memory limit of {} MB was reached", most / 1_000_000))
    }

    /// How much memory this process holds, in bytes, and how much it may.
    pub(super) fn memory_bytes(&self) -> (u64, Option<u64>) {
        (self.memory.borrow_mut().held_bytes(), self.max_memory_bytes)
    }

    /// The most memory that this process was seen to hold, in bytes.
    pub(super) fn peak_bytes(&self) -> u64 {
        let mut memory = self.memory.borrow_mut();
        memory.look();
        memory.peak_bytes
    }
}

/// What is known of the memory of this process. To ask costs more than to search a few states.
struct Memory {
    system: System,
    this: Option<Pid>,
    asked: Instant,
    held_bytes: u64,
    peak_bytes: u64,
}

impl Memory {
    const BETWEEN: Duration = Duration::from_millis(50);

    fn new() -> Self {
        let system = System::new();
        let this = sysinfo::get_current_pid().ok();
        let mut memory = Self { system, this, asked: Instant::now(), held_bytes: 0, peak_bytes: 0 };
        memory.look();
        memory
    }

    fn held_bytes(&mut self) -> u64 {
        if self.asked.elapsed() >= Self::BETWEEN {
            self.look();
        }
        self.held_bytes
    }

    fn look(&mut self) {
        self.asked = Instant::now();
        let Some(this) = self.this else { return };
        let what = ProcessRefreshKind::nothing().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), true, what);
        self.held_bytes = self.system.process(this).map_or(0, sysinfo::Process::memory);
        self.peak_bytes = self.peak_bytes.max(self.held_bytes);
    }
}

/// How much memory this machine has left for a search, in bytes; nothing if it does not say.
pub(super) fn available_bytes() -> Option<u64> {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let available = System::new_with_specifics(what).available_memory();
    (available > 0).then_some(available)
}
