//! Sets of nodes of any size: membership, insertion, and a count against a quorum.
//!
//! A step uses a set of nodes in no other way, except that a message that is sent again goes to each node that is not in the
//! set. So the states that matter are those in which a set is one node short of its quorum, or two. They are tried for each
//! number of nodes, for each pair of quorums, and for each node that answers.

use std::sync::Arc;

use paxos::{Config, Event, Message, NodeId as RealNode, Timer};
use paxos_model::cluster::node::{
    state::{Acceptor, Live, Reads, Role, Round, Vote},
    unbounded::{Ballot, Log, NodeSet, ReadRound, Slot, Value},
    universe::{Set as _, SlotMap as _},
};
use paxos_validation::said;

use crate::{
    ballots::Chain,
    case::{Generator, Input, Start},
    choices::Choices,
    table::{State, real_ballot, real_node, real_slot},
};

/// The most nodes of a cluster.
pub const NODES_MAX: usize = 64;

/// A cluster whose sets are tried.
#[derive(Clone, Copy, Debug)]
pub struct Sets {
    nodes: usize,
    quorums: (usize, usize),
    /// True if each node answers. Otherwise one does that is in the set, and one that is not.
    every_node: bool,
}

/// Returns the clusters: each number of nodes with majorities, where each node answers, and each pair of quorums.
pub fn clusters() -> impl Iterator<Item = Sets> {
    (1..=NODES_MAX).flat_map(|nodes| {
        let majority = nodes / 2 + 1;
        let every = Sets { nodes, quorums: (majority, majority), every_node: true };
        let pairs = (1..=nodes).flat_map(move |one| {
            (nodes + 1 - one..=nodes).map(move |two| Sets {
                nodes,
                quorums: (one, two),
                every_node: false,
            })
        });
        std::iter::once(every).chain(pairs)
    })
}

/// The set that a state counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Promises,
    Votes,
    Confirmations,
}

impl Generator for Sets {
    fn config(&self) -> Arc<Config> {
        let nodes = (1..=self.nodes as u32).map(RealNode);
        let me = RealNode(self.nodes as u32 / 2 + 1);
        Arc::new(Config::new(me, nodes).with_quorums(self.quorums.0, self.quorums.1))
    }

    fn start(&self, choices: &mut impl Choices, config: &Config) -> Option<Start> {
        let counted = choices.of(&[Counted::Promises, Counted::Votes, Counted::Confirmations]);
        let quorum = match counted {
            Counted::Promises => self.quorums.0,
            Counted::Votes | Counted::Confirmations => self.quorums.1,
        };
        let heard = quorum.checked_sub(1 + choices.below(2))?;
        if heard == 0 {
            return None; // The node itself is always in the set.
        }
        let me = said::node(config.id);
        let ballot = Ballot { round: 7, owner: me };
        let state = State::of(Live::default());
        let mut start = Start::of(config, state, Chain::of(&[ballot]), 2);
        let first = start.peers.iter().take(heard - 1);
        let set = first.fold(NodeSet::of(me), |set, &peer| set.with(peer));
        let mut votes = Log::default();
        let mut counts = Log::default();
        let role = match counted {
            Counted::Promises => Role::Candidate {
                first: Slot(0),
                heard: set,
                reported: Log::default(),
                trimmed: Slot(0),
            },
            Counted::Votes => {
                votes.put(Slot(0), Some(Vote { ballot, value: Value::Noop }));
                counts.put(Slot(0), set);
                Role::Leader { votes: counts, reads: Reads::default() }
            }
            Counted::Confirmations => {
                let under_way = Some(Round { heard: set, index: Slot(0) });
                start.state_mut().asked = vec![1];
                let reads = Reads { rounds: ReadRound(1), under_way, ..Reads::default() };
                Role::Leader { votes: counts, reads }
            }
        };
        let acceptor = Acceptor { promised: Some(ballot), votes, trimmed: Slot(0) };
        start.state_mut().live = Live { acceptor, role, chosen: Log::default() };
        Some(start)
    }

    fn input(&self, choices: &mut impl Choices, start: &mut Start) -> Option<Input> {
        let ballot = start.promised()?;
        // A message that is sent again goes to each node that is not in the set.
        if self.every_node && choices.flip() {
            return Some(Input::Event(Event::Timer(Timer::Resend)));
        }
        let live = &start.state.live;
        let (heard, message) = match &live.role {
            Role::Candidate { heard, .. } => {
                let (ballot, trimmed) = (real_ballot(ballot), real_slot(Slot(0)));
                (heard, Message::Promise { ballot, trimmed, reports: Vec::new() })
            }
            Role::Leader { reads: Reads { under_way: Some(round), .. }, .. } => {
                (&round.heard, Message::Confirmed { ballot: real_ballot(ballot), round: 1 })
            }
            Role::Follower => return None,
            Role::Leader { votes, .. } => {
                let (ballot, first) = (real_ballot(ballot), real_slot(Slot(0)));
                let message = Message::Accepted { ballot, first, count: 1 };
                return Some(event(self.answering(choices, start, &votes.at(Slot(0)))?, message));
            }
        };
        let from = self.answering(choices, start, heard)?;
        Some(event(from, message))
    }
}

fn event(from: said::NodeId, message: Message) -> Input {
    Input::Event(Event::Message { from: real_node(from), message })
}

impl Sets {
    /// Chooses the node that answers.
    fn answering(
        &self,
        choices: &mut impl Choices,
        start: &Start,
        heard: &NodeSet,
    ) -> Option<said::NodeId> {
        let peers = &start.peers;
        if self.every_node {
            return (!peers.is_empty()).then(|| choices.of(peers));
        }
        let known = peers.iter().copied().rfind(|&peer| heard.has(peer));
        let other = peers.iter().copied().rfind(|&peer| !heard.has(peer));
        if choices.flip() { known } else { other }
    }
}
