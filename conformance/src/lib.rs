//! The production replica held against the model.
//!
//! This is the only crate that sees both. [`projection`] says which field of the implementation is
//! which of the model; [`lockstep`] takes every step of the model with the production replicas as
//! well; [`mutants`] breaks the production replica on purpose, to show that it would be noticed.

pub mod comparator;
pub mod edges;
pub mod limits;
pub mod lockstep;
pub mod memo;
pub mod mutants;
pub mod projection;
pub mod spaces;
pub mod tested;
pub mod trace;
pub mod verify;
