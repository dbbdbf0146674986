//! The run as a space-time diagram.

use paxos::Message;
use space_time::{Arrow, Diagram, End, Lane};

use super::{
    happening::{Fate, Happening, quoted, words},
    scenario::Scenario,
    verdict::Verdict,
};

/// The highest number of messages that are drawn. A diagram with more is unreadable.
const MESSAGES_MAX: usize = 4_000;

/// Collects the events of a run into a diagram.
pub(crate) struct Picture<'a> {
    scenario: &'a Scenario,
    diagram: Diagram,
    lanes: Vec<Lane>,
    down_since: Vec<Option<u64>>,
    messages: usize,
    /// The time at which the diagram had too many messages. Of later events, only the choice of a value is drawn.
    cut_at: Option<u64>,
}

impl<'a> Picture<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let nodes = scenario.faults.nodes;
        let wishes =
            scenario.clients.iter().map(|choice| format!("{}={}", choice.client, choice.value));
        let wishes = wishes.collect::<Vec<_>>().join(" ");
        let title = format!("{wishes}: {nodes} nodes, seed {}", scenario.seed);
        let mut diagram = Diagram::new(title).unit(" ms");
        let lanes = (1..=nodes).map(|node| diagram.lane(format!("node {node}"))).collect();
        Self {
            scenario,
            diagram,
            lanes,
            down_since: vec![None; nodes as usize],
            messages: 0,
            cut_at: None,
        }
    }

    pub(crate) fn see(&mut self, at: u64, happening: &Happening) {
        if self.cut_at.is_some() && !matches!(happening, Happening::Chosen { .. }) {
            return;
        }
        match happening {
            Happening::Asks { client, node } => {
                let choice = &self.scenario.clients[*client];
                self.note(*node, at, format!("{} asks for {}", choice.client, choice.value));
            }
            Happening::Told { client, node, .. } => {
                self.note(*node, at, format!("tells {}", self.scenario.clients[*client].client));
            }
            Happening::Message { from, to, sent, due, message, again, fate } => {
                self.messages += 1;
                if self.messages > MESSAGES_MAX {
                    self.cut_at = Some(at);
                    self.diagram.moment(at, format!("{MESSAGES_MAX} messages: no more is drawn"));
                    return;
                }
                let (end, because) = match fate {
                    Fate::Arrives => (End::Arrives, ""),
                    Fate::Lost => (End::Lost, " (lost)"),
                    Fate::Cut => (End::Lost, " (cut)"),
                    Fate::Down => (End::Refused, " (down)"),
                    Fate::Damaged(_) => (End::Refused, " (damaged)"),
                };
                let copy = if *again { " (again)" } else { "" };
                self.diagram.arrow(Arrow {
                    from: (self.lane(*from), *sent),
                    to: (self.lane(*to), *due),
                    label: format!("{}{copy}{because}", words(message)),
                    end,
                    faint: matches!(message, Message::Heartbeat { .. }),
                });
            }
            Happening::Crashes { node } => {
                self.down_since[*node as usize - 1] = Some(at);
                self.note(*node, at, "crashes".to_owned());
            }
            Happening::Restarts { node, .. } => {
                self.up(*node, Some(at));
                self.note(*node, at, "restarts".to_owned());
            }
            Happening::Partition { groups } => {
                self.diagram.moment(at, format!("partition: {groups}"));
            }
            Happening::Heals { groups } => {
                self.diagram.moment(at, format!("partition ends: {groups}"));
            }
            Happening::Leads { node, ballot } => self.note(*node, at, format!("leads in {ballot}")),
            Happening::Chosen { value, ballot, .. } => {
                self.diagram.milestone(at, format!("chosen: {} in {ballot}", quoted(value)));
            }
            Happening::Learns { node, value } => {
                self.note(*node, at, format!("learns {}", quoted(value)));
            }
        }
    }

    /// Returns the diagram, with the end of the run.
    pub(crate) fn finish(mut self, verdict: &Verdict) -> Diagram {
        // A picture that is cut does not know what happens later to a node that is down.
        let until = self.cut_at;
        for node in 1..=self.scenario.faults.nodes {
            self.up(node, until);
        }
        self.diagram.end(verdict.ended_at);
        if verdict.chosen.is_none() {
            self.diagram.moment(verdict.ended_at, "nothing was chosen");
        }
        self.diagram
    }

    fn up(&mut self, node: u32, at: Option<u64>) {
        if let Some(since) = self.down_since[node as usize - 1].take() {
            self.diagram.down(self.lane(node), since, at);
        }
    }

    fn note(&mut self, node: u32, at: u64, words: String) {
        self.diagram.event(self.lane(node), at, words);
    }

    fn lane(&self, node: u32) -> Lane {
        self.lanes[node as usize - 1]
    }
}
