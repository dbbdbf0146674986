//! A case: a state of one node, and an input. [`Generator`] is a source of cases.

use std::sync::Arc;

use paxos::{Config, Event};
use paxos_model::cluster::node::unbounded::{Ballot, NodeId};
use paxos_validation::said;

use crate::{ballots::Chain, choices::Choices, table::State, values::Names};

/// A state, and the names that it uses.
#[derive(Clone, Debug)]
pub struct Start {
    /// The node.
    pub me: NodeId,
    /// The other nodes, in order.
    pub peers: Arc<[NodeId]>,
    /// The state.
    pub state: Arc<State>,
    /// The ballots so far.
    pub chain: Chain,
    /// The commands so far.
    pub names: Names,
}

impl Start {
    /// The promise.
    pub fn promised(&self) -> Option<Ballot> {
        self.state.live.acceptor.promised
    }

    /// Returns a node in this state.
    pub fn of(config: &Config, state: State, chain: Chain, commands: usize) -> Self {
        let me = said::node(config.id);
        let peers = config.nodes.iter().map(|&node| said::node(node)).filter(|&node| node != me);
        Self {
            me,
            peers: peers.collect(),
            state: Arc::new(state),
            chain,
            names: Names::new(commands),
        }
    }

    /// The state, while it is built.
    pub fn state_mut(&mut self) -> &mut State {
        Arc::make_mut(&mut self.state)
    }
}

/// An input of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// An event of the replica.
    Event(Event),
    /// The node loses everything but its records, and starts again.
    Crash,
}

/// A state and an input.
#[derive(Clone, Debug)]
pub struct Case {
    /// The node before the step.
    pub start: Start,
    /// The input.
    pub input: Input,
}

/// A source of cases. It builds them from answers, so that one source serves an enumeration, a sample and a reduction.
pub trait Generator {
    /// Returns the configuration of the node.
    fn config(&self) -> Arc<Config>;

    /// Returns a state. Returns none if the answers lead to no state.
    fn start(&self, choices: &mut impl Choices, config: &Config) -> Option<Start>;

    /// Returns an input of a node in this state. Returns none if the answers lead to no input.
    fn input(&self, choices: &mut impl Choices, start: &mut Start) -> Option<Input>;

    /// Returns a case. Returns none if the answers lead to no case.
    fn case(&self, choices: &mut impl Choices, config: &Config) -> Option<Case> {
        let mut start = self.start(choices, config)?;
        let input = self.input(choices, &mut start)?;
        Some(Case { start, input })
    }
}
