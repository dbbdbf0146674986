//! Paxos as two models that can be explored to the last state, and as texts that are proved.
//!
//! - [`synod`] is Lamport's specification: a set of messages, packed into one integer. Its counts of
//!   states are known from other tools.
//! - [`cluster`] is replicas as they are built, message by message and disk by disk, over a log of
//!   several slots. Each of its steps is held against `synod`.
//! - [`catalogue`] looks for known bugs of Paxos in `cluster`, and says what sees them.
//! - [`explore`] runs either and says no more than what ran.
//! - [`story`] draws what a model did, [`trace`] writes it to a file and reads it again.
//! - [`outputs`] tries the files that a command is to write.
//! - [`signals`] lets a signal end any of it with a report.
//! - [`proof`] proves specifications of both, for any number of everything.
//! - [`tie`] holds the models against those texts, so that what is explored is what is proved.
//!
//! This crate knows nothing of the implementation, and shares no type with it.

pub mod arguments;
pub mod catalogue;
pub mod cluster;
pub mod explore;
pub mod outputs;
pub mod proof;
pub mod signals;
pub mod story;
pub mod synod;
pub mod tie;
pub mod trace;
pub mod verdict;
