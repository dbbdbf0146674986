//! The scenario of a run: all arguments, checked against each other.

use std::{collections::BTreeSet, str::FromStr};

use thiserror::Error;

use super::{
    Args,
    faults::Faults,
    input::{ArgError, Choice, time},
};

const DELAY_MAX: u64 = 1_000;
const CLIENTS_MAX: usize = 64;

/// The range of the delays of messages, in ms. Both ends are included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delay {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

/// Everything that determines a run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) clients: Vec<Choice>,
    pub(crate) faults: Faults,
    pub(crate) loss: f64,
    pub(crate) duplicate: f64,
    pub(crate) corrupt: f64,
    pub(crate) delay: Delay,
    pub(crate) seed: u64,
    pub(crate) limit: u64,
}

/// Well-formed arguments that together are no valid scenario.
#[derive(Debug, Error)]
pub(crate) enum ScenarioError {
    #[error("client `{0}` is given more than once; every client needs a name of its own")]
    SameClient(String),
    #[error("{0} clients are too many; at most {CLIENTS_MAX} are supported")]
    Clients(usize),
    #[error("`{option}` names node {node}; there are only nodes 1 to {nodes} (see --nodes)")]
    UnknownNode { option: &'static str, node: u32, nodes: u32 },
    #[error("`--partition` names node {0} more than once; a node is in one group")]
    InTwoGroups(u32),
    #[error("`--partition {0}` separates no nodes; name at least two groups, as in 1,2/3")]
    OneGroup(String),
}

#[derive(Debug, Error)]
pub(crate) enum DelayError {
    #[error(transparent)]
    Time(#[from] ArgError),
    #[error("the least delay, {least} ms, is above the greatest, {most} ms; write LEAST..MOST")]
    Backwards { least: u64, most: u64 },
    #[error("{0} ms are too long; at most {DELAY_MAX} ms are supported")]
    TooLong(u64),
}

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let (least, most) = (time(least)?, time(most)?);
        if least > most {
            return Err(DelayError::Backwards { least, most });
        }
        if most > DELAY_MAX {
            return Err(DelayError::TooLong(most));
        }
        Ok(Self { least, most })
    }
}

impl TryFrom<Args> for Scenario {
    type Error = ScenarioError;

    fn try_from(args: Args) -> Result<Self, ScenarioError> {
        let clients = args.choices;
        if clients.len() > CLIENTS_MAX {
            return Err(ScenarioError::Clients(clients.len()));
        }
        let mut names = BTreeSet::new();
        if let Some(again) = clients.iter().find(|choice| !names.insert(&choice.client)) {
            return Err(ScenarioError::SameClient(again.client.clone()));
        }
        let nodes = args.nodes;
        let known = |option, node| {
            if (1..=nodes).contains(&node) {
                Ok(())
            } else {
                Err(ScenarioError::UnknownNode { option, node, nodes })
            }
        };
        for crash in &args.crashes {
            known("--crash", crash.node)?;
        }
        for partition in &args.partitions {
            let mut seen = BTreeSet::new();
            for &node in partition.groups.iter().flatten() {
                known("--partition", node)?;
                if !seen.insert(node) {
                    return Err(ScenarioError::InTwoGroups(node));
                }
            }
            if partition.groups.len() == 1 && seen.len() == nodes as usize {
                return Err(ScenarioError::OneGroup(partition.to_string()));
            }
        }
        Ok(Self {
            clients,
            faults: Faults { nodes, crashes: args.crashes, partitions: args.partitions },
            loss: args.loss.0,
            duplicate: args.duplicate.0,
            corrupt: args.corrupt.0,
            delay: args.delay,
            seed: args.seed,
            limit: args.limit_ms,
        })
    }
}

impl Scenario {
    /// Returns the reason why nothing can be chosen, if that is certain from the start.
    pub(crate) fn impossible(&self) -> Option<String> {
        let Faults { nodes, .. } = self.faults;
        let majority = self.faults.majority();
        if self.faults.hopeless_from() == Some(0) {
            let dead = self.faults.dead();
            return Some(if nodes as usize - dead.len() < majority {
                format!(
                    "of {nodes} nodes {} are down for ever, and a majority of {majority} is never up",
                    super::faults::names(&dead)
                )
            } else {
                format!("no majority of {majority} of {nodes} nodes is ever up and connected")
            });
        }
        if majority > 1 && self.loss >= 1.0 {
            return Some("every message is lost (--loss 1)".to_owned());
        }
        if majority > 1 && self.corrupt >= 1.0 {
            return Some("every message is damaged and dropped (--corrupt 1)".to_owned());
        }
        None
    }
}
