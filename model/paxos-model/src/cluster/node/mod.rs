//! One node: its state, its messages, and the step that it takes on an input.
//!
//! Every node plays all roles. The rules are generic over a [`Universe`]: the same code runs with a few nodes, ballots,
//! slots and values, packed for exploration, and with any number of them.
//!
//! - [`universe`]: the types of nodes, ballots, slots and values, and their operations. [`small`] and [`unbounded`] are the
//!   two universes.
//! - [`state`], [`message`] and [`step`]: the state of a node, the messages, and the inputs and steps of a node.
//! - [`rules`]: the decisions, and beside each the mutants that get it wrong.
//! - [`acceptor`], [`proposer`], [`learner`], [`reader`]: a handler for each input, by role.
//! - [`invariant`]: what holds in every state of a node, in clusters of any size.
//!
//! A node has no disk and no network here. [`Cluster`](super::Cluster) adds them.

pub mod acceptor;
pub mod invariant;
pub mod learner;
pub mod message;
pub mod proposer;
pub mod reader;
pub mod rules;
pub mod small;
pub mod state;
pub mod step;
pub mod unbounded;
pub mod universe;

use self::{
    message::Message,
    rules::Rules,
    state::{Live, Vote},
    step::{Input, Step},
    universe::Universe,
};

impl<U: Universe> Rules<U> {
    /// Returns the step of node `me` on an input.
    pub fn step(&self, me: U::NodeId, live: Live<U>, input: Input<U>) -> Step<U> {
        let mut step = Step::of(live);
        match input {
            Input::Campaign => self.on_campaign(me, &mut step),
            Input::Propose { request } => self.on_propose(me, request, &mut step),
            Input::Message(message) => self.receive(me, message, &mut step),
            Input::Nack { ballot, promised } => {
                proposer::on_nack(ballot, promised, &mut step.live);
            }
            Input::Chosen { slot, value } => self.on_chosen(me, slot, value, &mut step),
            Input::Snapshot { below } => self.on_snapshot(me, below, &mut step),
            Input::Read => self.on_read(me, &mut step),
        }
        step
    }

    fn receive(&self, me: U::NodeId, message: Message<U>, step: &mut Step<U>) {
        match message {
            Message::Prepare { ballot, first } => self.on_prepare(me, ballot, first, step),
            Message::Promise { ballot, from, trimmed, reports } => {
                self.on_promise(me, (ballot, from), trimmed, &reports, step);
            }
            Message::Accept { ballot, slot, value } => {
                self.on_accept(me, ballot, slot, value, step);
            }
            Message::Accepted { ballot, slot, value, from } => {
                self.on_accepted(me, slot, &Vote { ballot, value }, from, step);
            }
            Message::Confirm { ballot, round } => self.on_confirm(me, ballot, round, step),
            Message::Confirmed { ballot, round, from } => {
                self.on_confirmed(me, (ballot, round), from, step);
            }
        }
    }
}
