//! Clusters of real processes, under load, to which things happen: what clients were told stays true.
//!
//! `PAXOS_SEED` repeats the choices of a run, `PAXOS_STORM_SECONDS` makes storms longer, and `PAXOS_EXPENSIVE_SECONDS`
//! the time in which expensive requests are asked for.

mod admission;
mod bounded;
mod check;
mod clients;
mod cluster;
mod commands;
mod expensive;
mod history;
mod large;
mod libraries;
mod noise;
mod process;
mod proxy;
mod requests;
mod sessions;
mod snapshots;
mod storm;
mod storms;
