//! Replicas as they are built, message by message and disk by disk, over a log of several slots.
//!
//! The model has no time, no sizes and no connections, and it shares nothing with the implementation.
//!
//! # Layers, from the inside out
//!
//! 1. [`node`]: one node, without disk and network. Its rules are generic over the size of everything.
//! 2. [`state`], [`action`] and [`model`]: nodes, disks and the network together, within [`bounds`]. [`description`] names
//!    actions and messages for everything else.
//! 3. [`monitors`]: history variables beside the states. One of them checks that each step [refines](refinement)
//!    Lamport's specification.
//! 4. [`properties`]: the claims about states.
//! 5. `exploration`: packed states, symmetry, and the names of things for a search.
//!
//! [`bugs`] is the catalogue of known bugs that the rules can be given.
//!
//! # Network
//!
//! The network is the set of all messages ever sent. Each may be delivered at any later time, any number of times, or
//! never. This covers loss, duplication, reordering, delay and partition without an action for each.
//!
//! Two kinds of messages are derived instead of stored, because storing them multiplies the number of states:
//!
//! - A Nack that names a ballot may reach any node in a lower ballot once the higher one was begun, because its owner
//!   itself refuses lower ballots.
//! - News that a value is chosen may reach any node once a quorum has voted for the value. In a cluster with reads,
//!   where the time of knowing matters, another node has to know first.
//!
//! Both allow more deliveries than a real network would, so every real behaviour is covered.
//!
//! # Disk
//!
//! A step of a node is durable, and its messages leave, when it is synced. Up to `unsynced` steps of a node wait. The
//! oldest is synced first, and a crash forgets those that wait. A crash that keeps some of them is a sync and then a
//! crash: the messages that leave at the sync make no difference, because any message may be lost.
//!
//! An Accept message does not wait. It leaves in the step itself if the promise of its ballot is durable
//! ([`Rules::leaves_early`](node::rules::Rules::leaves_early)). An implementation that lets it wait is covered as well,
//! because any message may be late.

pub mod action;
pub mod bounds;
pub mod bugs;
pub mod description;
mod exploration;
pub mod fault;
pub mod model;
pub mod monitors;
pub mod node;
pub mod properties;
pub mod refinement;
pub mod state;

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
