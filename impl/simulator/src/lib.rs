//! Replicas of Paxos in virtual time, with faults of network and disk, and monitors that check what must hold.
//!
//! # Modules, in reading order
//!
//! - [`schedule`]: virtual time.
//! - [`network`]: frames that are lost, repeated, delayed and damaged; links that are cut.
//! - [`replicas`]: replicas with their disks, and the monitors.

pub mod disk;
pub mod network;
#[cfg(feature = "nodes")]
pub mod nodes;
pub mod replicas;
pub mod schedule;
