//! Clusters of real processes under load, with faults. The histories of clients are checked for linearizability.
//!
//! - `PAXOS_SEED` repeats the random choices of a run.
//! - `PAXOS_STORM_SECONDS` sets the duration of each storm of faults.
//! - `PAXOS_EXPENSIVE_SECONDS` sets the duration of the tests with expensive requests.
//! - `PAXOS_CUT_SECONDS` sets the duration of network cuts in which packets are dropped.

mod admission;
mod bounded;
mod check;
mod clients;
mod cluster;
mod commands;
mod cuts;
mod document;
mod expensive;
mod forged;
mod hand_over;
mod history;
mod large;
mod libraries;
mod manual;
mod member;
mod namespace;
mod noise;
mod pipes;
mod process;
mod proxy;
mod readme;
mod requests;
mod sessions;
mod snapshots;
mod storm;
mod storms;
mod strangers;
mod trying;
