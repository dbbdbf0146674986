//! Histories: the requests of clients, their times and their answers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A request about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Get,
    Set(String),
    /// Sets the value. The answer is the previous value.
    Swap(String),
    Append(String),
    Increment,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Value(Option<String>),
    Number(u64),
}

/// One request, and the times at which it began and ended.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) request: Request,
    pub(crate) invoked: u64,
    /// The time and the answer. `None` if the outcome is unknown: the request may take effect at any time after
    /// `invoked`, or never.
    pub(crate) returned: Option<(u64, Answer)>,
}

/// A logical clock. A later call of `tick` returns a higher number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
