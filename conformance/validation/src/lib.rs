//! Recorded runs of real nodes, validated against the model of Paxos.
//!
//! A node that records writes down each of its steps (crate `paxos_recording`). This crate reads the recordings of all nodes of
//! a cluster and decides whether they are a behaviour of the model. It runs the very rules that the model explores, in the
//! universe without bounds.
//!
//! # The claim
//!
//! The network of the model may deliver any message that was ever sent, any number of times, at any later moment. So a set of
//! recordings is a behaviour of the model if and only if
//!
//! 1. the steps of each node are the model's steps, from the state that the node recovered,
//! 2. each message that a node received was sent before, and
//! 3. there is an order of all steps in which each message is sent before it is received: the order has no cycle.
//!
//! Therefore no search is needed. The [validator](mod@order) takes the steps of the nodes in any order in which messages are sent
//! before they arrive. If it can take all of them, there is such an order. If it cannot, the messages that the nodes wait for
//! were never sent, or they wait for each other in a cycle. Each frame is read once. A message that was sent stays in the
//! [`network`], as ranges of slots.
//!
//! # Modules, in reading order
//!
//! - [`said`]: messages and values of recordings in the terms of the model.
//! - [`replica`]: the model's replica takes an event, and says what must come out. [`comparison`]: what came out.
//! - [`invariant`]: what holds for every message of a correct node.
//! - [`network`]: all messages ever sent. [`history`]: the log, and the claims about all nodes.
//! - [`claims`]: the claims about a run.
//! - [`node`]: one node: its starts, steps, disk, departures, applied values, reads and snapshots.
//! - [`order`]: all nodes, in an order in which messages are sent before they arrive. [`watcher`]: while they run.
//!   [`stream`]: the recordings of other machines.
//! - [`coverage`] and [`report`]: the kinds of transitions that a run has exercised; the verdict, for people and machines.
//!   [`excerpt`]: the part of a run that leads to a violation. [`itf`]: a run as a trace for other tools.
//!
//! This crate does not see the implementation: it reads recordings alone. It does not check anything that a recording does not contain.

pub mod claims;
pub mod comparison;
pub mod coverage;
pub mod excerpt;
pub mod history;
pub mod invariant;
pub mod itf;
pub mod network;
pub mod node;
pub mod order;
pub mod replica;
pub mod report;
pub mod said;
pub mod stream;
pub mod watcher;
