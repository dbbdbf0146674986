//! Every step of the production replica from any state, held against the model.
//!
//! The lockstep takes every transition of small clusters. This crate takes one step of one node, and begins at every state
//! that satisfies the invariant of a node, reachable or not. A step only compares ballots, compares values, counts nodes and
//! walks slots. So few names are enough. The order of the ballots of a state and an input stands for all ballots with that
//! order, and short logs stand for all logs. `docs/claims.md` says what is enumerated, what is sampled, and what is argued.
//!
//! It says nothing about several nodes. That the steps of all nodes together keep agreement is the business of the model and of
//! the proof.
//!
//! # Modules, in reading order
//!
//! - [`choices`]: one generator for an enumeration, a sample and a reduction.
//! - [`ballots`] and [`values`]: names of which only order and equality matter.
//! - [`table`]: which field of the replica is which of the model.
//! - [`case`]: a state and an input. [`states`] and [`inputs`]: all states within the invariant, and all inputs.
//! - [`check`]: the claims about one step. [`finding`]: one that does not hold. [`panics`]: a step that panics is one, too.
//! - [`lemmas`]: handlers that couple slots. [`node_sets`]: sets of any size.
//! - [`reachable`]: production messages and replicas of a run, held against the invariants.
//! - [`renaming`] and [`unseen`]: why a few ballots and values are enough, tested.
//! - [`enumeration`]: runs over all cases, or over random ones. [`counterexample`]: what people see.
//! - [`spaces`]: the table of what is checked, with pinned counts.

pub mod ballots;
pub mod case;
pub mod check;
pub mod choices;
pub mod counterexample;
pub mod enumeration;
pub mod finding;
pub mod inputs;
pub mod lemmas;
pub mod node_sets;
mod output;
pub mod panics;
pub mod reachable;
pub mod renaming;
pub mod spaces;
pub mod states;
pub mod table;
pub mod unseen;
pub mod values;
