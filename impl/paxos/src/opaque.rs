//! The few things that the protocol knows of a ballot and of a value.
//!
//! The handlers in [`protocol`](crate::protocol) are generic over the types of ballots and values. The two traits of
//! this module are their only bounds, so a handler can do nothing else with a ballot or a value. In particular, a handler
//! cannot read the round of a ballot or the bytes of a command. The compiler checks this.
//!
//! # Steps and renamings
//!
//! A step does not depend on how ballots and values are represented. Take a map of ballots that keeps their order and
//! their owners, and a bijection of values that keeps the no-op. Rename the ballots and values of a state and of an
//! event, and step. The result is the state and the output of the original step, with its ballots and values renamed.
//! This follows from the types of the handlers alone (parametricity). Two events make ballots or values that the
//! state does not have, so each needs a condition:
//!
//! - [`Timer::Campaign`](crate::Timer::Campaign) calls [`OpaqueBallot::next`]. The map must keep the result of this call.
//! - [`Event::Propose`](crate::Event::Propose) calls [`OpaqueValue::command`]. Each command must be renamed like its
//!   value.
//!
//! # What the types leave open
//!
//! [`OpaqueValue`] includes [`Debug`], for the text of one panic. A handler that formats a value and decides by the text
//! would compile. So would one that decides by the address of a value, or by the size or the name of its type. No handler
//! does so. The traits do not include `Hash` or `Display`, so no handler can hash a ballot or a value. They do not include
//! `'static`, so no handler can cast to a concrete type.
//!
//! # Types in use
//!
//! [`Ballot`] and [`Value`] are the default types of messages, records and states. The types at the root of the crate,
//! such as [`Replica`](crate::Replica), always have them.

use std::fmt::Debug;

use bytes::Bytes;

use crate::types::{Ballot, NodeId, Value};

/// A ballot, as the handlers of the protocol see it. They can compare ballots, ask for the owner, and begin the next
/// ballot of a node.
///
/// Contract: the order is total, each ballot has one owner, and the owner never changes.
pub trait OpaqueBallot: Copy + Ord {
    /// Returns the node that owns this ballot. Only the owner begins the ballot and proposes in it.
    fn owner(self) -> NodeId;

    /// Returns the least ballot of `owner` above `above`, or its least ballot of all if `above` is `None`. Returns `None`
    /// if no ballot is left.
    fn next(owner: NodeId, above: Option<Self>) -> Option<Self>;
}

/// The content of a slot, as the handlers of the protocol see it. They can compare two values for equality, copy a
/// value, and make the value of a gap or of a command.
///
/// `Debug` is for the text of a panic only, and no handler may decide by it.
pub trait OpaqueValue: Clone + Eq + Debug {
    /// Returns the value that fills a gap in the log. It changes nothing when it is applied.
    fn noop() -> Self;

    /// Returns the value of a client's command. The result depends on nothing but the command.
    fn command(command: Bytes) -> Self;
}

impl OpaqueBallot for Ballot {
    fn owner(self) -> NodeId {
        self.node
    }

    fn next(owner: NodeId, above: Option<Self>) -> Option<Self> {
        Self::next(owner, above)
    }
}

impl OpaqueValue for Value {
    fn noop() -> Self {
        Self::Noop
    }

    fn command(command: Bytes) -> Self {
        Self::Command(command)
    }
}
