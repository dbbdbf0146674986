//! What the benches share. Nothing here is needed to run or to check Paxos.

pub mod process;
pub mod spin;

mod cluster;

pub use cluster::Cluster;
