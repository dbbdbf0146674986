//! Replicas as they are built: single messages, a disk for each node, and a log of several slots.
//!
//! The model has no time, no sizes and no connections, and it shares nothing with the implementation.
//!
//! # Layers, from the inside out
//!
//! 1. [`types`]: nodes, slots and ballots. [`node`]: one node, without disk and network. Its rules work for any number of
//!    nodes, ballots, slots and values.
//! 2. [`state`], [`network`], [`action`] and [`model`]: nodes, disks and the network together, within [`bounds`].
//!    [`description`] names the actions and messages, and their fields. [`shared`], `local_steps` and `kept`: nodes and
//!    steps that a search meets again and again.
//! 3. [`monitors`]: history variables beside the states, and the properties that depend on them. One monitor checks that
//!    each step [refines](refinement) Lamport's specification.
//! 4. [`properties`]: the claims about states.
//! 5. `exploration`: the title, packed states and symmetry that a search needs.
//!
//! [`bugs`] is the catalogue of the known bugs that the model can have.
//!
//! # Network
//!
//! The network is the set of all messages ever sent. Each may be delivered at any later time, any number of times, or
//! never. This covers loss, duplication, reordering, delay and partition without an action for each.
//!
//! Two kinds of messages are derived instead of stored, because storing them multiplies the number of states:
//!
//! - A Nack that names a ballot may reach a node that has prepared a lower ballot and has promised none above that. The
//!   Prepare message of the named ballot must be in the network. Its sender itself refuses lower ballots.
//! - News that a value is chosen may reach any node once a quorum has voted for the value. In a cluster with reads, a
//!   node must have known it first, because there the time of knowing matters.
//!
//! Both allow more deliveries than a real network would, so every real behaviour is covered.
//!
//! # Disk
//!
//! The sync of a step makes it durable, and then its messages leave. Up to `unsynced` steps of a node wait for their
//! sync. The oldest is synced first, and a crash forgets all that wait. A real crash may keep some of the waiting steps.
//! The model covers this by a sync before the crash: the messages that leave at the sync make no difference, because any
//! message may be lost.
//!
//! An Accept message leaves before the sync of its step if the promise of its ballot is durable
//! ([`Rules::leaves_early`](node::rules::Rules::leaves_early)). The model also covers an implementation that lets the message
//! wait, because any message may be late.

pub mod action;
pub mod bounds;
pub mod bugs;
pub mod description;
mod exploration;
pub mod fault;
mod kept;
mod local_steps;
pub mod model;
pub mod monitors;
pub mod network;
pub mod node;
mod packing;
pub mod parts;
pub mod properties;
pub mod refinement;
pub mod shared;
pub mod state;
pub mod types;

pub use self::{
    action::Action,
    bounds::{Bounds, BoundsError},
    bugs::{BEYOND, Beyond, Bug, Harm},
    model::Cluster,
    monitors::{CheckedCluster, CheckedState, READS, REFINES},
    properties::{
        AGREEMENT, BELIEFS, HELD, NOT_STUCK, ONE_VALUE, PROMISES_KEPT, TRIMMED, VALIDITY,
    },
    state::State,
};
