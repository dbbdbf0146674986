//! The limits of provers: time, memory, and signals.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use verdict::{Interrupt, memory::Memory};

/// The time that one obligation may take, and a wish to stop for all of them.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    /// The time limit of each obligation.
    pub timeout: Duration,
    /// A wish to stop.
    pub interrupt: Interrupt,
}

impl From<Duration> for Patience {
    fn from(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }
}

impl Patience {
    /// Begins with one obligation.
    pub(super) fn watch(&self) -> Watch {
        let (started, memory, ended) = (Instant::now(), RefCell::default(), OnceCell::new());
        Watch(Some(Rc::new(Watched { patience: self.clone(), started, memory, ended })))
    }
}

/// Looks whether one obligation has taken too long. Clones share what they see. Without a limit it never has.
#[derive(Clone, Default)]
pub struct Watch(Option<Rc<Watched>>);

struct Watched {
    patience: Patience,
    started: Instant,
    memory: RefCell<Option<Memory>>,
    /// Why it has ended, if it has: the first reason counts.
    ended: OnceCell<String>,
}

/// Most obligations are decided before this. To ask for the memory would take longer than that.
const SOON: Duration = Duration::from_millis(20);

impl Watch {
    /// True if there is no time or memory left, or a signal came.
    pub fn has_ended(&self) -> bool {
        self.why().is_some()
    }

    /// Why it has ended, in words.
    pub(super) fn why(&self) -> Option<&str> {
        let watched = self.0.as_deref()?;
        if watched.ended.get().is_none() {
            let why = watched.called_off().or_else(|| watched.time_is_up())?;
            let _ = watched.ended.set(why);
        }
        watched.ended.get().map(String::as_str)
    }

    /// Why it has to end although there is time left, in words.
    pub(super) fn called_off(&self) -> Option<String> {
        self.0.as_deref()?.called_off()
    }

    /// The time limit.
    pub(super) fn timeout(&self) -> Duration {
        self.0.as_deref().map_or(Duration::MAX, |watched| watched.patience.timeout)
    }
}

impl Watched {
    fn called_off(&self) -> Option<String> {
        if self.patience.interrupt.requested() {
            return Some("a signal came".to_owned());
        }
        if self.started.elapsed() < SOON {
            return None;
        }
        let mut memory = self.memory.borrow_mut();
        let memory = memory.get_or_insert_with(Memory::of_this_process);
        // The largest table of a prover, which doubles, has hardly more than half of what it holds.
        let next = memory.held_bytes();
        memory.exhausted(next)
    }

    fn time_is_up(&self) -> Option<String> {
        let timeout = self.patience.timeout;
        (self.started.elapsed() >= timeout)
            .then(|| format!("the time limit of {timeout:?} was reached"))
    }
}
