//! The limits of a prover: time, memory, and a request to stop.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use verdict::{Interrupt, memory::Memory};

/// The time limit of each obligation, and a request to stop that all obligations share.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The time limit of each obligation.
    pub timeout: Duration,
    /// A request to stop.
    pub interrupt: Interrupt,
}

impl From<Duration> for Limits {
    fn from(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }
}

impl Limits {
    /// Starts the clock of one obligation.
    pub(super) fn watch(&self) -> Watch {
        let (started, memory, ended) = (Instant::now(), RefCell::default(), OnceCell::new());
        Watch(Some(Rc::new(WatchState { limits: self.clone(), started, memory, ended })))
    }
}

/// The check of the limits of one obligation. All clones share its state. The default has no limits.
#[derive(Clone, Default)]
pub struct Watch(Option<Rc<WatchState>>);

struct WatchState {
    limits: Limits,
    started: Instant,
    memory: RefCell<Option<Memory>>,
    /// The first reason to end, once there is one.
    ended: OnceCell<String>,
}

/// The time before memory is measured for the first time. A measurement takes longer than most obligations do.
const SOON: Duration = Duration::from_millis(20);

impl Watch {
    /// Returns true once the time or the memory is used up, or a stop was requested.
    pub fn has_ended(&self) -> bool {
        self.why().is_some()
    }

    /// Returns the first reason to end, in words, or none so far.
    pub(super) fn why(&self) -> Option<&str> {
        let state = self.0.as_deref()?;
        if state.ended.get().is_none() {
            let why = state.called_off().or_else(|| state.time_is_up())?;
            let _ = state.ended.set(why);
        }
        state.ended.get().map(String::as_str)
    }

    /// Returns a reason to end other than the time limit, in words: a request to stop, or too little memory.
    pub(super) fn called_off(&self) -> Option<String> {
        self.0.as_deref()?.called_off()
    }

    /// Returns the time limit.
    pub(super) fn timeout(&self) -> Duration {
        self.0.as_deref().map_or(Duration::MAX, |state| state.limits.timeout)
    }
}

impl WatchState {
    fn called_off(&self) -> Option<String> {
        if self.limits.interrupt.requested() {
            return Some("a signal came".to_owned());
        }
        if self.started.elapsed() < SOON {
            return None;
        }
        let mut memory = self.memory.borrow_mut();
        let memory = memory.get_or_insert_with(Memory::of_this_process);
        // The largest table of a prover takes about half of its memory. So when it doubles, it asks for as much memory as the
        // process holds.
        let next = memory.held_bytes();
        memory.exhausted(next)
    }

    fn time_is_up(&self) -> Option<String> {
        let timeout = self.limits.timeout;
        (self.started.elapsed() >= timeout)
            .then(|| format!("the time limit of {timeout:?} was reached"))
    }
}
