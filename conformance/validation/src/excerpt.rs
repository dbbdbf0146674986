//! The part of a run that leads to a violation, as text and as a picture.
//!
//! An excerpt has the frame of the violation, the steps whose messages led to it, and the frames of the same node right before
//! it.

use std::{collections::HashSet, fmt};

use paxos::NodeId;
use paxos_recording::{
    Frame, MessageId,
    frame::{Body, Departure, Event},
};
use serde::Serialize;
use space_time::{Arrow, Diagram};

/// The most frames of an excerpt.
const FRAMES_MAX: usize = 12;
/// The number of earlier frames of the same node.
const BEFORE: usize = 3;

/// A frame that was taken.
#[derive(Debug)]
pub struct Recent {
    /// The node.
    pub node: NodeId,
    /// The number of the start.
    pub incarnation: u64,
    /// The frame.
    pub frame: Frame,
}

/// The frames that lead to a violation, oldest first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Excerpt(Vec<Line>);

/// One frame of an excerpt.
#[derive(Clone, Debug, Serialize)]
struct Line {
    node: u32,
    /// The number of the start of the node.
    start: u64,
    /// The number of the frame in the recording of the start.
    frame: u64,
    text: String,
    /// The place in the excerpt of the step that has sent the message which this frame receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_by: Option<usize>,
}

/// A frame in the terms of an excerpt.
struct Candidate<'a> {
    node: NodeId,
    incarnation: u64,
    frame: &'a Frame,
}

impl Candidate<'_> {
    /// The sender and the digest of the message that the frame receives.
    fn received(&self) -> Option<(NodeId, MessageId)> {
        let Body::Step(step) = &self.frame.body else { return None };
        let Event::Message { from, message } = &step.event else { return None };
        Some((*from, step.id(message)))
    }

    fn sends(&self, message: (NodeId, MessageId)) -> bool {
        let Body::Step(step) = &self.frame.body else { return false };
        self.node == message.0 && step.messages.iter().any(|(_, sent)| step.id(sent) == message.1)
    }
}

impl Excerpt {
    /// Returns the frames that lead to `last`, a frame of node `id` that was taken last or is to be taken next.
    pub fn new<'a>(
        recent: impl IntoIterator<Item = &'a Recent>,
        id: NodeId,
        incarnation: u64,
        last: &'a Frame,
    ) -> Self {
        let candidates = recent.into_iter().map(|recent| Candidate {
            node: recent.node,
            incarnation: recent.incarnation,
            frame: &recent.frame,
        });
        let is_last = |it: &Candidate<'_>| {
            it.node == id && it.incarnation == incarnation && it.frame.number == last.number
        };
        let mut candidates: Vec<_> = candidates.filter(|it| !is_last(it)).collect();
        candidates.push(Candidate { node: id, incarnation, frame: last });
        let (mut wanted, mut own, mut chosen) = (HashSet::new(), 0, Vec::new());
        for (place, candidate) in candidates.iter().enumerate().rev() {
            let sends = wanted.iter().copied().find(|&message| candidate.sends(message));
            let before = candidate.node == id && own <= BEFORE;
            if chosen.len() < FRAMES_MAX && (sends.is_some() || before) {
                own += usize::from(candidate.node == id);
                wanted.extend(candidate.received());
                if let Some(message) = sends {
                    wanted.remove(&message);
                }
                chosen.push(place);
            }
        }
        chosen.reverse();
        let line = |(at, &place): (usize, &usize)| {
            let Candidate { node, incarnation, frame } = candidates[place];
            let received = candidates[place].received();
            let sent_by = received.and_then(|message| {
                chosen[..at].iter().rposition(|&earlier| candidates[earlier].sends(message))
            });
            let (node, start, text) = (node.0, incarnation, describe(&frame.body));
            Line { node, start, frame: frame.number, text, sent_by }
        };
        Self(chosen.iter().enumerate().map(line).collect())
    }

    /// Returns true if there is no frame.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the excerpt as a space-time diagram. `claim` is the claim that does not hold.
    pub fn diagram(&self, claim: &str) -> Diagram {
        let mut nodes: Vec<_> = self.0.iter().map(|line| line.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut diagram = Diagram::new(claim);
        let lanes: Vec<_> = nodes.iter().map(|node| diagram.lane(format!("node {node}"))).collect();
        let lane = |node: u32| lanes[nodes.iter().position(|it| *it == node).expect("it has one")];
        for (at, line) in (0..).zip(&self.0) {
            match line.sent_by {
                Some(sender) => {
                    let from = (lane(self.0[sender].node), sender as u64);
                    diagram.arrow(Arrow::new(from, (lane(line.node), at), line.text.clone()));
                }
                None => diagram.event(lane(line.node), at, line.text.clone()),
            }
        }
        diagram.alarm(self.0.len() as u64, claim);
        diagram
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { node, start, frame, text, .. } in &self.0 {
            writeln!(f, "  node {node} start {start} frame {frame:>6}  {text}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, incarnation, frame } = self;
        write!(
            f,
            "node {node} start {incarnation} frame {:>6}  {}",
            frame.number,
            describe(&frame.body)
        )
    }
}

/// Describes a frame in a few words.
pub fn describe(body: &Body) -> String {
    match body {
        Body::Step(step) => match &step.event {
            Event::Message { from, message } => {
                let message = message.map(|batch| Count(step.batch(*batch).len()));
                format!("gets from node {from}: {message:?}")
            }
            Event::Propose { batch } => format!("proposes {} commands", step.batch(*batch).len()),
            event => format!("{event:?}"),
        },
        Body::Left(departures) => {
            let all = departures.iter().map(|departure| match departure {
                Departure::Message { to, .. } => format!("to {to:?}"),
                Departure::Answer { to, at, .. } => {
                    format!("an answer to node {to}: reads below {at:?}")
                }
            });
            format!("sends {}", all.collect::<Vec<_>>().join(", "))
        }
        Body::Applied { first, applications } => {
            format!("applies {} values from {first:?} on", applications.len())
        }
        Body::Start(start) => format!(
            "starts with promise {:?}, {} votes, trimmed below {:?}",
            start.promised,
            start.votes.len(),
            start.trimmed
        ),
        body => format!("{body:?}"),
    }
}

/// The number of values of a batch.
struct Count(usize);

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of them", self.0)
    }
}
