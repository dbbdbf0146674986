//! Clusters of real processes, under load, to which things happen: what clients were told stays true.
//!
//! `PAXOS_SEED` repeats the choices of a run, `PAXOS_STORM_SECONDS` makes storms longer, `PAXOS_EXPENSIVE_SECONDS` sets
//! the time in which expensive requests are asked for, and `PAXOS_CUT_SECONDS` the length of the cuts in which a network
//! drops packets.

mod admission;
mod bounded;
mod check;
mod clients;
mod cluster;
mod commands;
mod cuts;
mod expensive;
mod forged;
mod history;
mod large;
mod libraries;
mod member;
mod namespace;
mod noise;
mod process;
mod proxy;
mod requests;
mod sessions;
mod snapshots;
mod storm;
mod storms;
mod strangers;
