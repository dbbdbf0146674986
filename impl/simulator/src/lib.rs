//! Clusters of Paxos in virtual time: replicas, or whole nodes with your state machine, over a bad network and bad
//! disks. Monitors check after each step what must hold. One seed gives one run, so a failure can be looked at
//! again.
//!
//! Start with [`nodes::Simulation`] to test a state machine of your own. Its page has an example of ten lines.
//!
//! # Modules, in reading order
//!
//! - [`schedule`]: virtual time, and a queue of plans.
//! - [`network`]: frames that are lost, repeated, delayed and damaged; links that are cut, in one direction or both.
//! - [`disk`]: the store of a node, in memory, which fails or forgets when it is told to.
//! - [`replicas`]: replicas of the crate `paxos` with their disks. The caller chooses each step; the monitors count
//!   the durable votes. The storms and the interaction files of that crate, and the command `paxos vote`, are built
//!   on it.
//! - `nodes` (feature `nodes`): nodes of the crate `paxos-node` with a state machine, clients, crashes, and disks
//!   that stall.
//!
//! # What it is not
//!
//! It is not a proof, and it does not explore all orders of events: it samples them. The models in `model/`
//! explore, and `conformance` compares the production replica with them on every transition. It does not test
//! sockets, threads or the disk of an operating system either; the tests of `paxos-cli` and `paxos-store` do.

pub mod disk;
pub mod network;
#[cfg(feature = "nodes")]
pub mod nodes;
pub mod replicas;
pub mod schedule;
