//! Production messages and replicas of a run, held against the invariants.
//!
//! The enumeration shows that the invariants are inductive. Invariants that are too strong would hide states and messages from
//! it. So every run of production replicas must stay within them.

use paxos::{Config, Event, Message, NodeId, To, protocol::Parts};
use paxos_model::cluster::node::invariant::{self, Node};
use paxos_recording::{conversion::Converter, frame};
use paxos_validation::{
    invariant::{self as messages, Fit, Letter},
    said,
};

use crate::{
    table::{self, Unmapped},
    values::Named,
};

/// Returns the first conjunct of the invariant of one node that a replica breaks.
///
/// # Errors
/// Fails if a part of the replica has no counterpart in the model.
pub fn broken_by_state(parts: Parts<'_>) -> Result<Option<&'static str>, Unmapped> {
    let me = said::node(parts.config.id);
    let (rules, _) = table::rules(parts.config);
    let live = table::state(parts)?.live;
    let node = Node { me, limits: &rules.limits, live: &live };
    Ok(invariant::broken(&node).map(|conjunct| conjunct.claim))
}

/// Returns the first conjunct of the invariant of messages that a message breaks, in the cluster of this configuration.
pub fn broken_by_message(
    config: &Config,
    from: NodeId,
    to: To,
    message: &Message,
) -> Option<&'static str> {
    let members: Vec<_> = config.nodes.iter().map(|&node| said::node(node)).collect();
    let to = match to {
        To::Peers => None,
        To::Node(node) => Some(said::node(node)),
    };
    let event = Event::Message { from, message: message.clone() };
    let step = Converter::new(true).event(&event);
    let frame::Event::Message { message, .. } = &step.event else {
        unreachable!("the event is a message")
    };
    let letter = Letter { members: &members, from: said::node(from), to, message, step: &step };
    messages::broken(letter).map(|conjunct| conjunct.claim)
}

/// Returns the relation of an event to a replica, before the replica takes it. Every event fits that is no message.
///
/// # Errors
/// Fails if a part of the replica has no counterpart in the model.
pub fn fit(parts: Parts<'_>, event: &Event) -> Result<Fit, Unmapped> {
    let step = Converter::new(true).event(event);
    let frame::Event::Message { message, .. } = &step.event else { return Ok(Fit::Fits) };
    let me = said::node(parts.config.id);
    let (rules, limits) = table::rules(parts.config);
    let replica = table::model(me, rules, limits, table::state(parts)?);
    Ok(messages::fit(&replica, me, message, &step, &Named))
}
