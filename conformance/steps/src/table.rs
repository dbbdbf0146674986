//! The table of corresponding fields of a replica and of the model's node, in the universe without bounds.
//!
//! | implementation | model |
//! |---|---|
//! | `NodeId`, `Ballot`, `Slot`, `Value` | the same numbers and bytes |
//! | `acceptor.promised`, `acceptor.votes`, `acceptor.trimmed` | the same |
//! | `role` with `heard`, `reported`, `trimmed`, `votes` | `role` with the same |
//! | `reader` with `barrier`, `round`, `heard`, `index` | `reads` with `barrier`, `rounds`, `under_way` |
//! | `reader.asked`, `reader.waiting` | the tokens beside the state; a read `waits` if there is one |
//! | `learner.chosen` | `chosen` |
//! | the division of logs and votes into runs | none: it has no effect, which `renaming.rs` checks |
//! | `learner.below`, `leader.tally.first()`, the first slot of each log | none: they follow from the rest, and are checked against it |
//! | `config` | the rules and the limits |
//!
//! Every structure is destructured without `..`, so that a field without a place in the table does not compile.

use std::sync::Arc;

use itertools::Itertools as _;
use paxos::{
    Config, Replica, Token,
    protocol::{
        NodeSet as RealNodeSet, Parts,
        acceptor::Acceptor as RealAcceptor,
        learner::Learner,
        log::RunLog,
        proposer::{Candidate, Leader, Role as RealRole},
        reader::Reader,
        tally::Tally,
    },
};
use paxos_model::cluster::node::{
    rules::Rules,
    state::{Acceptor, Live, Reads, Role, Round, Vote},
    unbounded::{Ballot, Log, Membership, NodeId, NodeSet, ReadRound, Slot, Unbounded},
    universe::{Set as _, SlotMap as _},
};
use paxos_validation::{
    replica::{Limits, Replica as ModelReplica},
    said,
};
use thiserror::Error;

use crate::values;

/// The state of a node: what the model has, and the tokens of its reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The state in the model.
    pub live: Live<Unbounded>,
    /// The tokens of the reads of the round that is under way.
    pub asked: Vec<u64>,
    /// The tokens of the reads of the next round.
    pub waiting: Vec<u64>,
}

impl State {
    /// Returns a state without reads.
    pub fn of(live: Live<Unbounded>) -> Self {
        Self { live, asked: Vec::new(), waiting: Vec::new() }
    }
}

/// A part of a replica that has no counterpart in the model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0} has no counterpart in the model")]
pub struct Unmapped(String);

/// Returns the rules and the limits of a configuration.
pub fn rules(config: &Config) -> (Rules<Unbounded>, Arc<Limits>) {
    let Config {
        id: _,
        nodes,
        phase1_quorum,
        phase2_quorum,
        in_flight_max,
        slots_ahead_max,
        batch_slots_max,
    } = config;
    let nodes: Vec<_> = nodes.iter().map(|&node| said::node(node)).collect();
    let membership = Membership::new(nodes.iter().copied(), *phase1_quorum, *phase2_quorum);
    let limits = Arc::new(Limits {
        nodes,
        in_flight_max: *in_flight_max,
        slots_ahead_max: *slots_ahead_max,
        batch_slots_max: *batch_slots_max,
    });
    (Rules { limits: membership.expect("the configuration is valid"), bug: None }, limits)
}

/// Returns the model's replica in a state.
pub fn model(
    me: NodeId,
    rules: Rules<Unbounded>,
    limits: Arc<Limits>,
    state: State,
) -> ModelReplica {
    let State { live, asked, waiting } = state;
    ModelReplica::at(me, rules, limits, live, (asked, waiting))
}

/// The division of the logs of a production replica into runs. A replica does not behave differently for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// The runs are as long as possible, as if all slots were proposed together.
    Long,
    /// Each slot is a run.
    Single,
}

/// Returns the production replica in a state.
pub fn real(config: &Arc<Config>, state: &State, division: Division) -> Replica {
    let State { live: Live { acceptor, role, chosen }, asked, waiting } = state;
    let Acceptor { promised, votes, trimmed } = acceptor;
    let below = state.live.known_below();
    let set = |nodes: &NodeSet| {
        let mut set = RealNodeSet::default();
        for (index, node) in config.nodes.iter().enumerate() {
            if nodes.has(said::node(*node)) {
                set.insert(index);
            }
        }
        set
    };
    let role = match role {
        Role::Follower => RealRole::Follower,
        Role::Candidate { first, heard, reported, trimmed: told } => {
            RealRole::Candidate(Candidate {
                first: real_slot(*first),
                heard: set(heard),
                trimmed: real_slot(*told),
                reported: log((*trimmed).max(*first), division, votes_of(reported)),
            })
        }
        Role::Leader { votes, reads } => {
            let Reads { barrier, rounds, under_way, waits: _ } = reads;
            let mut tally = Tally::new(real_slot(below));
            for (slot, voters) in votes.filled().filter(|(slot, _)| *slot >= below) {
                tally.set(slot.0..slot.0.saturating_add(1), set(&voters));
            }
            let under_way = under_way.as_ref();
            let tokens = |tokens: &[u64]| tokens.iter().copied().map(Token).collect();
            RealRole::Leader(Leader {
                tally,
                reader: Reader {
                    barrier: real_slot(*barrier),
                    round: rounds.0,
                    heard: under_way.map_or_else(RealNodeSet::default, |round| set(&round.heard)),
                    index: real_slot(under_way.map_or_else(Slot::default, |round| round.index)),
                    asked: tokens(asked),
                    waiting: tokens(waiting),
                },
            })
        }
    };
    let acceptor = RealAcceptor {
        promised: promised.map(real_ballot),
        trimmed: real_slot(*trimmed),
        votes: log(*trimmed, division, votes_of(votes)),
    };
    let known = chosen.filled().filter_map(|(slot, value)| Some((slot, (), values::real(&value?))));
    let learner = Learner { chosen: log(*trimmed, division, known), below: real_slot(below) };
    Replica::from_parts(config.clone(), acceptor, role, learner)
}

/// Returns the state of a production replica.
///
/// # Errors
/// Fails at the first part that has no counterpart, or that does not follow from the parts that determine it.
pub fn state(parts: Parts<'_>) -> Result<State, Unmapped> {
    let Parts { config, acceptor, role, learner } = parts;
    let Learner { chosen, below } = learner;
    let acceptor = model_acceptor(acceptor)?;
    let trimmed = acceptor.trimmed;
    let chosen = model_log(trimmed, chosen, |(), value| values::model(value))?;
    let set = |set: RealNodeSet| {
        let nodes = config.nodes.iter().enumerate();
        let nodes = nodes.filter(|(index, _)| set.contains(*index));
        let mapped = nodes.fold(NodeSet::default(), |set, (_, node)| set.with(said::node(*node)));
        if mapped.count() == set.len() { Ok(mapped) } else { unmapped(set) }
    };
    let (mut asked_tokens, mut waiting_tokens) = (Vec::new(), Vec::new());
    let role = match role {
        RealRole::Follower => Role::Follower,
        RealRole::Candidate(Candidate { first, heard, trimmed: told, reported }) => {
            let first = said::slot(*first);
            Role::Candidate {
                first,
                heard: set(*heard)?,
                reported: model_log(trimmed.max(first), reported, model_vote)?,
                trimmed: said::slot(*told),
            }
        }
        RealRole::Leader(Leader { tally, reader }) => {
            if tally.first() != *below {
                return unmapped(format!("{tally:?} with learner.below = {below}"));
            }
            let mut counts = Log::default();
            for (slot, votes) in tally.slots() {
                counts.put(said::slot(slot), set(votes)?);
            }
            let Reader { barrier, round, heard, index, asked, waiting } = reader;
            let idle = heard.is_empty();
            if idle && !(asked.is_empty() && waiting.is_empty() && index.0 == 0) {
                return unmapped(reader);
            }
            if !idle && asked.is_empty() {
                return unmapped(reader);
            }
            let round_of = || Ok(Round { heard: set(*heard)?, index: said::slot(*index) });
            asked_tokens = asked.iter().map(|token| token.0).collect();
            waiting_tokens = waiting.iter().map(|token| token.0).collect();
            let reads = Reads {
                barrier: said::slot(*barrier),
                rounds: ReadRound(*round),
                under_way: if idle { None } else { Some(round_of()?) },
                waits: !waiting.is_empty(),
            };
            Role::Leader { votes: counts, reads }
        }
    };
    let live = Live { acceptor, role, chosen };
    let follows = live.known_below();
    if follows != said::slot(*below) {
        return unmapped(format!("learner.below = {below} with {:?} known", live.chosen));
    }
    Ok(State { live, asked: asked_tokens, waiting: waiting_tokens })
}

/// Returns the acceptor of the model.
///
/// # Errors
/// Fails if a log of the acceptor begins elsewhere than at the first slot that is not trimmed.
pub fn model_acceptor(acceptor: &RealAcceptor) -> Result<Acceptor<Unbounded>, Unmapped> {
    let RealAcceptor { promised, trimmed, votes } = acceptor;
    let trimmed = said::slot(*trimmed);
    let votes = model_log(trimmed, votes, model_vote)?;
    Ok(Acceptor { promised: promised.map(said::ballot), votes, trimmed })
}

/// Returns a ballot of the implementation.
pub fn real_ballot(Ballot { round, owner }: Ballot) -> paxos::Ballot {
    paxos::Ballot::new(round, real_node(owner)).expect("rounds begin at 1")
}

/// Returns a node of the implementation.
pub fn real_node(NodeId(node): NodeId) -> paxos::NodeId {
    paxos::NodeId(u32::try_from(node).expect("nodes have small numbers"))
}

/// Returns a slot of the implementation.
pub fn real_slot(Slot(slot): Slot) -> paxos::Slot {
    paxos::Slot(slot)
}

fn votes_of(
    votes: &Log<Option<Vote<Unbounded>>>,
) -> impl Iterator<Item = (Slot, paxos::Ballot, paxos::Value)> {
    votes.filled().filter_map(|(slot, vote)| {
        let Vote { ballot, value } = vote?;
        Some((slot, real_ballot(ballot), values::real(&value)))
    })
}

fn model_vote(ballot: paxos::Ballot, value: &paxos::Value) -> Vote<Unbounded> {
    Vote { ballot: said::ballot(ballot), value: values::model(value) }
}

fn log<T: Copy + PartialEq>(
    trimmed: Slot,
    division: Division,
    entries: impl Iterator<Item = (Slot, T, paxos::Value)>,
) -> RunLog<T, paxos::Value> {
    let mut log = RunLog::trimmed(real_slot(trimmed));
    let runs = entries.map(|(slot, tag, value)| (slot.0, tag, vec![value]));
    let runs = runs.coalesce(|(first, tag, mut run), (slot, other, mut next)| {
        let follows = first.checked_add(run.len() as u64) == Some(slot) && tag == other;
        if follows && division == Division::Long {
            run.append(&mut next);
            Ok((first, tag, run))
        } else {
            Err(((first, tag, run), (slot, other, next)))
        }
    });
    for (first, tag, values) in runs {
        let _ = log.set(paxos::Slot(first), tag, &values.into(), |_| true);
    }
    log
}

fn model_log<T, U>(
    trimmed: Slot,
    log: &RunLog<T, paxos::Value>,
    map: impl Fn(T, &paxos::Value) -> U,
) -> Result<Log<Option<U>>, Unmapped>
where
    T: Copy + PartialEq + std::fmt::Debug,
    U: paxos_model::cluster::node::universe::Thing,
{
    let mut mapped = Log::default();
    let mut rebuilt = RunLog::trimmed(real_slot(trimmed));
    for (slot, tag, value) in log.iter() {
        mapped.put(said::slot(slot), Some(map(tag, value)));
        let _ = rebuilt.set(slot, tag, &[value.clone()].into(), |_| true);
    }
    // The first slot of a log is private. A log that begins elsewhere differs from one with the same entries.
    if *log != rebuilt {
        return unmapped(format!("{log:?} in an acceptor that is trimmed below {trimmed:?}"));
    }
    Ok(mapped)
}

fn unmapped<T>(what: impl std::fmt::Debug) -> Result<T, Unmapped> {
    Err(Unmapped(format!("{what:?}")))
}
