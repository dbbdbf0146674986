//! The code that the benches share. Running or checking Paxos needs none of it.
//!
//! - [`Cluster`]: three replicas in one thread, without disks or sockets.
//! - [`process`]: runs a program, and measures its processor time and memory.
//! - [`spin`]: explores Lamport's Paxos with Spin.

pub mod process;
pub mod spin;

mod cluster;

pub use cluster::Cluster;
