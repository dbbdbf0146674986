//! The outcome of a check, and what ends one early.
//!
//! A check of the model, of a specification or of the replica against the model ends in a [`Verdict`]. A check that ends early
//! never holds: it is violated if it has found a counterexample, and inconclusive otherwise.
//!
//! - [`outcome`]: verdicts, and their exit codes.
//! - [`interrupt`]: a request to end a check.
//! - [`signals`]: the first signal is such a request, and the second ends the process.
//! - [`memory`]: the memory that the process can still have.
//!
//! This crate checks nothing itself.

pub mod interrupt;
pub mod memory;
pub mod outcome;
pub mod signals;

pub use interrupt::Interrupt;
pub use outcome::Verdict;
