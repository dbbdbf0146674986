//! The code that the benches share. Running or checking Paxos needs none of it.
//!
//! - [`Cluster`]: three replicas in one thread, without disks or sockets.
//! - [`figures`]: recorded instruction counts, and counts compared with them.
//! - [`process`]: runs a program, and measures its processor time and memory.
//! - [`spin`]: explores Lamport's Paxos with Spin.

pub mod figures;
pub mod process;
pub mod spin;

mod cluster;

pub use cluster::Cluster;
