//! Conformance of the production replica to the model.
//!
//! Four crates beside this one hold the replica against the model: `paxos_lockstep` on every transition of small clusters,
//! `paxos_steps` on every step from any state, `paxos_validation` on recorded runs, and `paxos_subject` judges foreign
//! implementations. `cargo verify` runs these checks and the other links of the chain.
//!
//! In reading order:
//!
//! - [`trace`]: traces of the model, taken on production replicas.
//! - [`mutants`]: mutants of the production replica, held against steps from any state.
//! - [`run`]: a simulated cluster that records, and the validation of its recordings.
//! - [`spaces`]: the table of what is checked, with pinned counts; [`verify`]: `cargo verify`.

// `println!` and `eprintln!` panic if the reader is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod mutants;
pub mod run;
pub mod spaces;
pub mod trace;
pub mod verify;
