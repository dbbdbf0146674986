//! The finding that a claim does not hold.

use std::fmt;

/// A claim that does not hold for a state and an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The part that is wrong.
    pub field: &'static str,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub got: String,
}

impl Finding {
    /// Returns the finding that two things differ.
    pub fn new(field: &'static str, expected: impl fmt::Debug, got: impl fmt::Debug) -> Self {
        Self { field, expected: format!("{expected:?}"), got: format!("{got:?}") }
    }
}

pub(crate) type Checked<T = ()> = Result<T, Box<Finding>>;

pub(crate) fn finding<T>(
    field: &'static str,
    expected: impl fmt::Debug,
    got: impl fmt::Debug,
) -> Checked<T> {
    Err(Box::new(Finding::new(field, expected, got)))
}

pub(crate) fn said_finding<T>(
    field: &'static str,
    expected: impl Into<String>,
    got: impl Into<String>,
) -> Checked<T> {
    Err(Box::new(Finding { field, expected: expected.into(), got: got.into() }))
}
