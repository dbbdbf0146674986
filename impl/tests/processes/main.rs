//! Clusters of real processes, under load, to which things happen: what clients were told stays true.
//!
//! `PAXOS_SEED` repeats the choices of a run, and `PAXOS_STORM_SECONDS` makes storms longer.

mod admission;
mod bounded;
mod check;
mod clients;
mod cluster;
mod commands;
mod history;
mod large;
mod libraries;
mod noise;
mod process;
mod proxy;
mod sessions;
mod snapshots;
mod storm;
mod storms;
mod strangers;
