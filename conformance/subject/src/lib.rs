//! Judges an implementation of Paxos in any language.
//!
//! The implementation stands behind an adapter. That is a program that takes one event at a time, over JSON lines. The protocol is
//! paxos-conf/1 (`docs/subject-protocol.md`). The judge is the network, the clock and the disk. It chooses the events, and
//! holds each reply against the rules of Paxos.
//!
//! A judgement has these parts, in this order:
//!
//! 1. The same schedules several times. All that follows needs a subject that repeats itself.
//! 2. Fair schedules. A subject that decides nothing in them would pass every search.
//! 3. All schedules within small bounds, shortest first ([`search`]).
//! 4. Schedules that a model gives, as far as the messages of the subject agree.
//! 5. Random schedules, until the time is over.
//!
//! Each finding has a schedule without needless steps, which is run on the subject twice more: with all nodes
//! together, and with a process for each node.
//!
//! # Modules, in reading order
//!
//! - [`protocol`]: what is said. [`process`]: the process of an adapter, with its limits.
//! - `rules`: the cluster under test. `memory`: the judge's memory of one node. `facts`: claims about several nodes. [`claims`]: all claims.
//! - `cluster`: the nodes of a subject, one step at a time.
//! - `findings`: what a search keeps. [`search`], `walk`, [`guide`]: schedules. [`judge`](mod@judge): the judgement.
//! - [`schedule`], [`report`], `junit`: for people and machines.
//!
//! This crate does not see our own implementation or our model. A bounded search finds no fault that needs more than its bounds.

pub mod claims;
mod cluster;
mod facts;
mod findings;
pub mod guide;
pub mod judge;
mod junit;
mod memory;
pub mod process;
pub mod protocol;
pub mod report;
mod rules;
pub mod schedule;
pub mod search;
mod walk;

pub use cluster::{Apart, Counts, Size};
pub use judge::{Options, judge};
