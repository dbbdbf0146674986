//! The diagram of a cluster: a lane for each node.
//!
//! An arrow begins where its message enters the network. That is the step that made the message, or, if this step had to wait
//! for its sync, the sync.
//!
//! The notes beside a lane say what the node does: the action, if it reads no message; its changes of role; its promises, votes
//! and confirmations; the values that it learns; and the reads that it answers. A note also says that a step is not yet synced,
//! or that the node gets a message whose arrow cannot be drawn.
//!
//! The model derives Nack and Chosen messages instead of storing them, so it does not record who sends them, nor when. The
//! content of such a message determines the node and the step at which its arrow begins.
//!
//! - A Nack names the promised ballot, and not the node that refuses. So its arrow begins at the owner of that ballot, at the step
//!   that sends the Prepare message of the ballot.
//! - A Chosen message names the ballot in which the value was chosen. So its arrow begins at the owner of that ballot, at the step
//!   that chose the value.

use std::collections::BTreeMap;

use itertools::Itertools as _;
use space_time::{Arrow, Diagram, Lane};

use super::{Drawn, Meaning, STEP};
use crate::cluster::{
    Action, CheckedCluster, CheckedState, Cluster,
    state::{Ballot, Message, NodeId, Role, Slot, State, Value, Vote},
};
use state_explorer::Behaviour;

impl Drawn for CheckedCluster {
    fn diagram(&self, behaviour: &Behaviour<Self>, title: &str) -> Diagram {
        let mut diagram = Diagram::new(title).scale(STEP);
        let lanes = self.nodes().map(|node| diagram.lane(format!("{node:?}"))).collect();
        let mut picture =
            Picture { cluster: self.model(), diagram, lanes, sent: Vec::new(), chosen: Vec::new() };
        let mut before = behaviour.initial();
        for (at, (action, after)) in (1..).zip(behaviour.steps()) {
            picture.step(at, *action, before, after);
            before = after;
        }
        picture.diagram
    }
}

struct Picture<'a> {
    cluster: &'a Cluster,
    diagram: Diagram,
    lanes: Vec<Lane>,
    /// The messages with their senders and times.
    sent: Vec<(Message, NodeId, u64)>,
    /// The ballots and values for which a quorum has voted, each with its slot and the time at which the value was chosen.
    chosen: Vec<(Slot, Vote, u64)>,
}

impl Picture<'_> {
    fn step(&mut self, at: u64, action: Action, before: &CheckedState, after: &CheckedState) {
        let node = actor(action);
        let mut notes: Vec<String> = cause(action, before, after).into_iter().collect();
        notes.extend(self.arrow(at, action));
        notes.extend(role(node, before, after).map(ToOwned::to_owned));
        let fresh: Vec<_> =
            after.network.iter().filter(|message| !before.network.contains(*message)).collect();
        notes.extend(self.says(&fresh));
        let waits = |state: &State| state.node(node).unsynced.len();
        if waits(after) > waits(before) {
            notes.push("not yet synced".to_owned());
        }
        notes.extend(self.learns(node, before, after));
        notes.extend(answers(node, before, after));
        for note in notes {
            self.diagram.event(self.lane(node), at, note);
        }
        if matches!(action, Action::Crash(_)) {
            self.diagram.down(self.lane(node), at, Some(at + 1));
        }
        self.sent.extend(fresh.into_iter().map(|message| (message, node, at)));
        self.meaning(at, before, after).draw(at, &mut self.diagram);
    }

    /// Draws the arrow of the message that an action reads. Returns a note instead if the arrow cannot be drawn:
    /// the behaviour does not contain its beginning, or it would begin on the receiver's own lane. The latter happens if a node
    /// gets a Chosen message for a ballot that it owns.
    fn arrow(&mut self, at: u64, action: Action) -> Option<String> {
        let owner = |ballot| self.cluster.bounds().owner(ballot);
        let (from, label) = match action {
            Action::Deliver { message, .. } => {
                let sender = self.sent.iter().find(|(sent, ..)| *sent == message);
                (sender.map(|&(_, node, at)| (node, at)), self.label(message))
            }
            Action::Nack { promised, .. } => {
                let begins = |message: &Message| matches!(message, Message::Prepare { ballot, .. } if *ballot == promised);
                let begun = self.sent.iter().find(|(sent, ..)| begins(sent));
                let from = begun.map(|&(_, _, at)| (owner(promised), at));
                (from, format!("Nack: b{} is promised", promised.0))
            }
            Action::Chosen { slot, ballot, value, .. } => {
                let known = |&&(at, vote, _): &&(Slot, Vote, u64)| {
                    at == slot && vote.ballot == ballot && vote.value == value
                };
                let from = self.chosen.iter().find(known).map(|&(.., at)| (owner(ballot), at));
                (from, format!("Chosen b{} {}", ballot.0, self.at(slot, value)))
            }
            Action::Campaign(_)
            | Action::Propose { .. }
            | Action::Read(_)
            | Action::Snapshot { .. }
            | Action::Sync(_)
            | Action::Crash(_) => return None,
        };
        let to = actor(action);
        let Some((from, sent)) = from.filter(|(from, _)| *from != to) else {
            return Some(format!("gets {label}"));
        };
        let from = (self.lane(from), sent);
        self.diagram.arrow(Arrow::new(from, (self.lane(to), at), label));
        None
    }

    /// Returns notes of the promises, votes and confirmations among new messages. Requests need no note, because their arrows
    /// name them. The promise of a node's own ballot needs none either, because it is part of the campaign.
    fn says(&self, fresh: &[Message]) -> Vec<String> {
        let mut says = Vec::new();
        let mut votes: BTreeMap<Ballot, Vec<String>> = BTreeMap::new();
        for message in fresh {
            match *message {
                Message::Prepare { .. } | Message::Accept { .. } | Message::Confirm { .. } => {}
                Message::Confirmed { ballot, .. } => says.push(format!("confirms b{}", ballot.0)),
                Message::Promise { ballot, from, .. } => {
                    if self.cluster.bounds().owner(ballot) != from {
                        says.push(format!("promises b{}", ballot.0));
                    }
                }
                Message::Accepted { ballot, slot, value, .. } => {
                    votes.entry(ballot).or_default().push(self.at(slot, value));
                }
            }
        }
        let votes = votes.into_iter();
        says.extend(votes.map(|(b, values)| format!("votes {} in b{}", values.join(", "), b.0)));
        says
    }

    /// Returns notes of the values that a node learns in a step.
    fn learns(&self, node: NodeId, before: &State, after: &State) -> Vec<String> {
        let (old, new) = (&before.node(node).live.chosen, &after.node(node).live.chosen);
        let slots = (0..).map(Slot).zip(old.iter().zip(new));
        let learned = slots.filter_map(|(slot, (old, new))| {
            new.filter(|_| old.is_none()).map(|value| format!("knows {}", self.at(slot, value)))
        });
        learned.collect()
    }

    /// Returns the values that a step chooses, and its violations. Records the chosen values.
    fn meaning(&mut self, at: u64, before: &CheckedState, after: &CheckedState) -> Meaning {
        let mut meaning = Meaning::default();
        let bounds = self.cluster.bounds();
        for slot in (0..bounds.slots).map(Slot) {
            for (vote, voters) in after.ballots_voted(slot) {
                let known = self.chosen.iter().any(|&(at, old, _)| (at, old) == (slot, vote));
                if known || voters.len() < bounds.phase2_quorum {
                    continue;
                }
                let earlier = self.chosen.iter().filter(|&&(at, ..)| at == slot);
                let earlier: Vec<_> = earlier.map(|(_, vote, _)| vote.value).collect();
                let (what, ballot) = (self.at(slot, vote.value), format!("b{}", vote.ballot.0));
                meaning.chosen(vote.value, &what, &ballot, &earlier);
                self.chosen.push((slot, vote, at));
            }
        }
        if after.history.stale && !before.history.stale {
            meaning.wrong.push(
                "a read misses a value that was known to be chosen before it began".to_owned(),
            );
        }
        if let Some(fault) = after.history.fault.filter(|_| before.history.fault.is_none()) {
            let fault = self.cluster.in_words(fault.to_string());
            meaning.wrong.push(format!("the specification does not allow this step: {fault}"));
        }
        meaning
    }

    fn label(&self, message: Message) -> String {
        match message {
            Message::Prepare { ballot, first: Slot(0) } => format!("Prepare b{}", ballot.0),
            Message::Prepare { ballot, first } => {
                format!("Prepare b{}, slots from {first:?}", ballot.0)
            }
            Message::Promise { ballot, trimmed, reports, .. } => {
                let votes = (0..).map(Slot).zip(reports);
                let votes = votes.filter_map(|(slot, vote)| {
                    let Vote { ballot, value } = vote?;
                    Some(format!("{} in b{}", self.at(slot, value), ballot.0))
                });
                let mut votes = votes.collect_vec();
                if trimmed > Slot(0) {
                    votes.push(format!("trimmed below {trimmed:?}"));
                }
                let report = if votes.is_empty() { "no vote".to_owned() } else { votes.join(", ") };
                format!("Promise b{}: {report}", ballot.0)
            }
            Message::Accept { ballot, slot, value } => {
                format!("Accept b{}: {}", ballot.0, self.at(slot, value))
            }
            Message::Accepted { ballot, slot, value, .. } => {
                format!("Accepted b{}: {}", ballot.0, self.at(slot, value))
            }
            Message::Confirm { ballot, round } => format!("Confirm b{}, round {round}", ballot.0),
            Message::Confirmed { ballot, round, .. } => {
                format!("Confirmed b{}, round {round}", ballot.0)
            }
        }
    }

    /// Returns a value with its slot, or the value alone if the log has only one slot.
    fn at(&self, slot: Slot, value: Value) -> String {
        let bounds = self.cluster.bounds();
        let value =
            if value == bounds.noop() { "noop".to_owned() } else { format!("v{}", value.0) };
        if bounds.slots == 1 { value } else { format!("{slot:?}={value}") }
    }

    fn lane(&self, node: NodeId) -> Lane {
        self.lanes[usize::from(node.0)]
    }
}

/// Describes an action that reads no message.
fn cause(action: Action, before: &State, after: &State) -> Option<String> {
    match action {
        Action::Campaign(node) => {
            let ballot = after.node(node).live.acceptor.promised;
            Some(format!("campaigns{}", ballot.map_or(String::new(), |b| format!(" in b{}", b.0))))
        }
        Action::Propose { .. } => Some("is asked to propose".to_owned()),
        Action::Read(_) => Some("is asked to read".to_owned()),
        Action::Snapshot { below, .. } => Some(format!("has a snapshot below {below:?}")),
        Action::Sync(_) => Some("syncs".to_owned()),
        Action::Crash(node) => {
            let lost = before.node(node).unsynced.len();
            let what = if lost == 0 { "" } else { ", unsynced steps lost" };
            Some(format!("crashes and starts again{what}"))
        }
        Action::Deliver { .. } | Action::Nack { .. } | Action::Chosen { .. } => None,
    }
}

/// Describes the reads that a leader answers in a step, if there are any.
fn answers(node: NodeId, before: &State, after: &State) -> Option<String> {
    let rounds = |state: &State| match state.node(node).live.role {
        Role::Leader { reads, .. } => Some((reads.rounds, reads.under_way)),
        Role::Follower | Role::Candidate { .. } => None,
    };
    let (earlier, index) = match rounds(before)? {
        (rounds, Some(round)) => (rounds, Some(round.index)),
        (rounds, None) => (rounds + 1, None),
    };
    let (last, under_way) = rounds(after)?;
    if last < earlier || (last == earlier && under_way.is_some()) {
        return None;
    }
    let known = || after.node(node).live.known_below();
    Some(format!("reads all below {:?}", index.unwrap_or_else(known)))
}

/// Returns a note if a node begins to lead, or stops leading or campaigning. The start of a campaign is described by [`cause`].
fn role(node: NodeId, before: &State, after: &State) -> Option<&'static str> {
    let rank = |state: &State| match state.node(node).live.role {
        Role::Follower => 0,
        Role::Candidate { .. } => 1,
        Role::Leader { .. } => 2,
    };
    match (rank(before), rank(after)) {
        (0 | 1, 2) => Some("leads"),
        (1 | 2, 0) => Some("follows"),
        _ => None,
    }
}

/// Returns the node that takes a step.
fn actor(action: Action) -> NodeId {
    match action {
        Action::Campaign(node)
        | Action::Propose { node, .. }
        | Action::Read(node)
        | Action::Sync(node)
        | Action::Crash(node)
        | Action::Deliver { to: node, .. }
        | Action::Nack { to: node, .. }
        | Action::Chosen { to: node, .. }
        | Action::Snapshot { to: node, .. } => node,
    }
}
