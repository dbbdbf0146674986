//! Conformance of the production replica to the model.
//!
//! This is the only crate that sees both. It takes every transition of the model, within bounds, with the production code as
//! well, and compares the results. `cargo verify` runs this check and the other links of the chain.
//!
//! It does not test a whole node: it has no clock, no sockets and no disk. It also does not show that the model is right; the
//! other links of the chain do that.
//!
//! In reading order:
//!
//! - [`projection`]: the table of corresponding fields.
//! - [`tested`]: a node under test: a replica, its disk, and the records that are not yet synced.
//! - [`comparator`]: compares one node under test with the model's node.
//! - [`lockstep`]: the model whose states are pairs; [`memo`]: the comparisons that need not be made again.
//! - [`edges`]: inputs that the model does not have; [`limits`]: the limits of the replicas.
//! - [`mutants`]: production replicas with a bug of the catalogue, which the lockstep must find.
//! - [`trace`]: traces of the model, taken on production replicas.
//! - [`run`]: a simulated cluster that records, and the validation of its recordings by the crate `paxos_validation`.
//! - [`spaces`]: the table of spaces, with pinned counts; [`verify`]: `cargo verify`.

// `println!` and `eprintln!` panic if the reader is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod comparator;
pub mod edges;
pub mod limits;
pub mod lockstep;
pub mod memo;
pub mod mutants;
pub mod projection;
pub mod run;
pub mod spaces;
pub mod tested;
pub mod trace;
pub mod verify;
