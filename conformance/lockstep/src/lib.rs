//! The production replica and the model side by side: every transition of the model, within bounds, is taken by both.
//!
//! It does not test a whole node: it has no clock, no sockets and no disk. It also does not show that the model is right; the
//! other links of the chain do that.
//!
//! # Modules, in reading order
//!
//! - [`projection`]: the table of corresponding fields.
//! - [`mutants`]: the replica under test: the production replica, or a mutant of it, which the lockstep must find.
//! - [`tested`]: a node under test: a replica, its disk, and the records that are not yet synced.
//! - [`comparator`]: compares one node under test with the model's node.
//! - [`pairs`]: the model whose states are pairs; [`memo`]: the comparisons that need not be made again.
//! - [`edges`]: inputs that the model does not have; [`limits`]: the limits of the replicas.
//! - [`spaces`]: the table of spaces, with pinned counts.

pub mod comparator;
pub mod edges;
pub mod limits;
pub mod memo;
pub mod mutants;
pub mod pairs;
pub mod projection;
pub mod spaces;
pub mod tested;
