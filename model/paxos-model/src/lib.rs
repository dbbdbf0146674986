//! Paxos as texts that are proved, and as two models that are explored to the last state.
//!
//! This crate knows nothing of the implementation, and shares no type with it. It proves and explores by `epr_prover` and
//! `state_explorer`, which know nothing of Paxos. Its models have no time, no sizes and no connections.
//!
//! # Modules, in reading order
//!
//! - [`specifications`]: the texts that are proved, for any number of nodes, ballots, slots and values.
//! - [`synod`]: Lamport's specification as a set of messages, packed into one integer. Other tools count the same states.
//! - [`cluster`]: replicas as they are built, message by message and disk by disk, over a log of several slots. Each of their
//!   steps is checked against `synod`.
//! - [`refinement`]: the models checked against the texts, so that the explored protocol is the proved one.
//! - [`catalogue`]: known bugs of Paxos, each searched for in `cluster`.
//! - [`diagrams`] and [`trace`]: behaviours as pictures, and as files.
//! - [`arguments`] and [`outputs`]: command-line arguments that several commands share, and files that are tried before a
//!   command begins.

pub mod arguments;
pub mod catalogue;
pub mod cluster;
pub mod diagrams;
pub mod outputs;
pub mod refinement;
pub mod specifications;
pub mod synod;
pub mod trace;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
