//! The production replica held against the model.
//!
//! This is the only crate that sees both. [`projection`] says which field of the implementation is
//! which of the model; [`lockstep`] takes every step of the model with the production replicas as
//! well; [`faulty`] breaks the production replica on purpose, to show that it would be noticed.

// `println!` and `eprintln!` panic if the reader is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod edges;
pub mod faulty;
pub mod limits;
pub mod lockstep;
pub mod pair;
pub mod projection;
pub mod spaces;
pub mod trace;
pub mod verify;
