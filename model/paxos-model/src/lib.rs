//! Paxos as two models that can be explored to the last state, and as texts that are proved.
//!
//! - [`specifications`] are the texts that `epr_prover` proves, for any number of everything.
//! - [`synod`] is Lamport's specification: a set of messages, packed into one integer. Its counts of
//!   states are known from other tools.
//! - [`cluster`] is replicas as they are built, message by message and disk by disk, over a log of
//!   several slots. Each of its steps is held against `synod`. `state_explorer` explores both.
//! - [`refinement`] holds the models against the texts, so that what is explored is what is proved.
//! - [`catalogue`] looks for known bugs of Paxos in `cluster`, and says what sees them.
//! - [`diagrams`] draws behaviours, [`trace`] writes them to files and reads them again.
//! - [`outputs`] tries the files that a command is to write, and [`arguments`] are those that several commands share.
//!
//! This crate knows nothing of the implementation, and shares no type with it.

pub mod arguments;
pub mod catalogue;
pub mod cluster;
pub mod diagrams;
pub mod outputs;
pub mod refinement;
pub mod specifications;
pub mod synod;
pub mod trace;
