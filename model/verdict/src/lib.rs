//! The outcome of a check, and what ends one early.
//!
//! Every check of this workspace ends in a [`Verdict`]: it holds, it is violated, or it is inconclusive. A check that ends
//! early is inconclusive, whatever it has found by then.
//!
//! - [`outcome`]: verdicts, and their exit codes.
//! - [`interrupt`]: a wish to end a check.
//! - [`signals`]: the first signal is such a wish, and the second ends the process.
//! - [`memory`]: the memory that the process can still have.
//!
//! This crate checks nothing itself.

pub mod interrupt;
pub mod memory;
pub mod outcome;
pub mod signals;

pub use interrupt::Interrupt;
pub use outcome::Verdict;
