//! Mutants of the production replica, held against the checks that must find them.
//!
//! There are two kinds. A wrapper around the replica ([`paxos_lockstep::mutants`]) has each bug of the catalogue, and [`catalogue`]
//! looks for it in steps from any state. cargo-mutants changes the source text, and [`outcomes`] reads the outcomes of its runs.
//! [`report`] prints both.

pub mod catalogue;
pub mod outcomes;
pub mod report;
