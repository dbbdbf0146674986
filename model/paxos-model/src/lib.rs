//! Paxos as proved texts, and as two models of which a search visits every state.
//!
//! This crate knows nothing of the implementation, and shares no type with it. It uses `epr_prover` for proofs and
//! `state_explorer` for searches. Both know nothing of Paxos. The models have no time, no sizes and no connections.
//!
//! # Modules, in reading order
//!
//! - [`specifications`]: the texts that are proved, for any number of nodes, ballots, slots and values.
//! - [`synod`]: Lamport's specification as a set of messages, packed into one integer. Other tools count the same states.
//! - [`cluster`]: replicas as they are built: single messages, a disk for each node, and a log of several slots. Each of their
//!   steps is checked against `synod`.
//! - [`refinement`]: checks of the models against the texts, so that the explored protocol is the proved one.
//! - [`catalogue`]: known bugs of Paxos, each searched for in `cluster`.
//! - [`diagrams`] and [`trace`]: behaviours as pictures, and as files.
//! - [`arguments`] and [`outputs`]: the command-line arguments that several commands share, and the files that a command
//!   writes.

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
