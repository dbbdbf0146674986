//! Clusters of Paxos in virtual time: replicas, or whole nodes with your state machine, over a bad network and bad
//! disks. Monitors check after each step that the guarantees of Paxos hold. A seed determines the run, so a failure
//! can be repeated.
//!
//! Start with [`nodes::Simulation`] to test a state machine of your own. Its module begins with a complete example.
//!
//! # Modules, in reading order
//!
//! - [`schedule`]: virtual time, and a queue of plans.
//! - [`network`]: frames that are lost, repeated, delayed and damaged; links that are cut, in one direction or both.
//! - [`disk`]: the store of a node, in memory. A test can make it fail or forget.
//! - [`replicas`]: replicas of the crate `paxos` with their disks. The caller chooses each step, and the monitors count
//!   the durable votes. The storms and the interaction files of that crate use this module, and so does the command
//!   `paxos vote`.
//! - `nodes` (feature `nodes`): nodes of the crate `paxos-node` with a state machine, clients, crashes, and disks
//!   that stall.
//!
//! # Limits
//!
//! A simulation is not a proof: it samples the orders of events, and does not explore all of them. The models in
//! `model/` explore, and `conformance` compares the production replica with them on every transition. A simulation
//! tests no sockets, no threads and no disk of an operating system. The tests of `paxos-cli` and `paxos-store` do.

pub mod disk;
pub mod network;
#[cfg(feature = "nodes")]
pub mod nodes;
pub mod replicas;
pub mod schedule;
