//! What clients asked for, when, and what they were told.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What can be asked of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Get,
    Set(String),
    /// Sets, and gives what was there before.
    Swap(String),
    Append(String),
    Increment,
}

/// What can be the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Value(Option<String>),
    Number(u64),
}

/// One request, and when it was under way.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) request: Request,
    pub(crate) invoked: u64,
    /// Nothing if it is not known what came of it: it may have had its effect at any time since, or
    /// may still have it, or never.
    pub(crate) returned: Option<(u64, Answer)>,
}

/// Counts events, so that one which was over before another began has the lower number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
