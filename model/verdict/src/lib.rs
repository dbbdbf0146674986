//! The outcome of a check, the layout of its report, and the reasons to end a check early.
//!
//! A check of the model, of a specification or of the replica against the model ends in a [`Verdict`]. The verdict of a
//! check that ends early is never `Holds`. It is `Violated` if the check has found a counterexample, and `Inconclusive`
//! otherwise. This crate checks nothing itself.
//!
//! - [`outcome`]: verdicts, and their exit codes.
//! - [`interrupt`]: a request to end a check.
//! - [`signals`]: turns the first signal into such a request, and lets the second signal end the process.
//! - [`layout`]: the layout of reports, which fit the terminal.
//! - [`junit`]: reports for the CI of other projects.
//! - [`memory`]: measures the memory that the process can still get.

pub mod interrupt;
pub mod junit;
pub mod layout;
pub mod memory;
pub mod outcome;
pub mod signals;

pub use interrupt::Interrupt;
pub use outcome::Verdict;
