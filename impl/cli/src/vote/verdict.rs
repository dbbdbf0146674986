//! The outcome of a run.

use paxos::{Ballot, Value};
use serde_json::json;

use super::{faults::names, happening::plain, scenario::Scenario};

/// The outcome of a run, as an observer of the whole cluster sees it.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// The first value that a majority accepted in one ballot.
    pub(crate) chosen: Option<Choosing>,
    /// The nodes that learned a value, in rising order, with that value. A node that crashed afterwards counts.
    pub(crate) learned: Vec<(u32, Value)>,
    /// The first violation of the run, in words: a defect of the protocol. An example is a second chosen value, or a
    /// chosen value that no client asked for.
    pub(crate) contradiction: Option<String>,
    /// The reason why the run ended.
    pub(crate) ending: Ending,
    pub(crate) ended_at: u64,
    pub(crate) counts: Counts,
}

/// The choice of a value: a majority accepted it in `ballot`, at the virtual time `at`, in ms.
#[derive(Debug)]
pub(crate) struct Choosing {
    pub(crate) value: Value,
    pub(crate) ballot: Ballot,
    pub(crate) at: u64,
}

#[derive(Debug, Default)]
pub(crate) enum Ending {
    /// Every node that can still learn the value knows it. A run that ends with a contradiction has this ending too.
    #[default]
    Settled,
    /// The scenario allows no value to be chosen. The text is the reason.
    Impossible(String),
    /// From this time on, no majority is ever up and connected.
    Hopeless(u64),
    /// The time limit was reached.
    Limit,
    /// The run showed this number of events, which is the limit.
    TooMuch(u64),
}

/// The number of messages. Each copy of a duplicated message counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) damaged: u64,
}

impl Verdict {
    pub(crate) fn exit_code(&self) -> u8 {
        match (&self.contradiction, self.learned.as_slice()) {
            (Some(_), _) => 1,
            (None, []) => 3,
            (None, _) => 0,
        }
    }

    /// Returns the outcome as one line.
    pub(crate) fn statement(&self, scenario: &Scenario) -> String {
        if let Some(contradiction) = &self.contradiction {
            return format!("DISAGREEMENT: {contradiction}");
        }
        let Some(Choosing { value, .. }) = &self.chosen else {
            return format!("nothing was chosen: {}", self.why(scenario));
        };
        let (value, askers) = (plain(value), self.askers(scenario).join(" and "));
        let learned = self.learned_by();
        if learned.is_empty() {
            let why = self.why(scenario);
            return format!(
                "no node learned the chosen value {value} (asked for by {askers}): {why}"
            );
        }
        let rest: Vec<u32> =
            (1..=scenario.faults.nodes).filter(|node| !learned.contains(node)).collect();
        let line =
            format!("chosen: {value} (asked for by {askers}); learned by {}", names(&learned));
        if rest.is_empty() {
            return line;
        }
        let why = match self.ending {
            Ending::Settled => "down or cut off for ever".to_owned(),
            _ => self.why(scenario),
        };
        format!("{line}; not by {}: {why}", names(&rest))
    }

    /// Returns the outcome as a JSON object.
    pub(crate) fn json(&self, scenario: &Scenario) -> String {
        let verdict = match self.exit_code() {
            0 => "chosen",
            1 => "disagreement",
            _ => "nothing",
        };
        let chosen = self.chosen.as_ref();
        let object = json!({
            "verdict": verdict,
            "statement": self.statement(scenario),
            "seed": scenario.seed,
            "nodes": scenario.faults.nodes,
            "value": chosen.map(|chosen| plain(&chosen.value)),
            "asked_for_by": self.askers(scenario),
            "ballot": chosen.map(|chosen| chosen.ballot.to_string()),
            "chosen_at_ms": chosen.map(|chosen| chosen.at),
            "ended_at_ms": self.ended_at,
            "learned_by": self.learned_by(),
            "messages": {
                "sent": self.counts.sent,
                "arrived": self.counts.arrived,
                "lost": self.counts.lost,
                "duplicated": self.counts.duplicated,
                "damaged": self.counts.damaged,
            },
        });
        format!("{object:#}")
    }

    fn learned_by(&self) -> Vec<u32> {
        self.learned.iter().map(|&(node, _)| node).collect()
    }

    /// Returns the clients that asked for the chosen value.
    fn askers<'a>(&self, scenario: &'a Scenario) -> Vec<&'a str> {
        let value = self.chosen.as_ref().map(|chosen| plain(&chosen.value));
        let askers = scenario.clients.iter().filter(|choice| Some(&choice.value) == value.as_ref());
        askers.map(|choice| choice.client.as_str()).collect()
    }

    fn why(&self, scenario: &Scenario) -> String {
        let (nodes, majority) = (scenario.faults.nodes, scenario.faults.majority());
        match &self.ending {
            Ending::Settled => "nothing more can happen".to_owned(),
            Ending::Impossible(why) => why.clone(),
            Ending::Hopeless(from) => format!(
                "from {from} ms on no majority of {majority} of {nodes} nodes is ever up and connected"
            ),
            Ending::Limit => {
                format!("the time was up after {} ms (see --limit-ms)", scenario.limit)
            }
            Ending::TooMuch(rows) => format!("given up after {rows} rows"),
        }
    }
}
