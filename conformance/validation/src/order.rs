//! All nodes of a run, in an order in which messages are sent before they arrive.
//!
//! Each node has a lane: its recordings, one start after the other. The [`Validator`] takes frames from a lane until the next
//! frame waits for a message that no taken frame has sent, and then goes on with another lane. If all lanes wait, the run is no
//! behaviour of the model, unless the recording of a node that has to send has a gap. A message of such a node is assumed to
//! be sent, and the verdict is inconclusive at best.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

use paxos::NodeId;
use paxos_recording::{
    Frame, ReadError, StartRecording,
    files::{Placed, StartId},
    reader::Tail,
    starts,
};

use crate::{
    claims::{Contradiction, SENT_BEFORE},
    excerpt::{self, Excerpt, Recent},
    node::{Node, Shared, Wait},
    report::{Report, Violation},
    stream::Pulled,
};

/// The number of frames that are remembered for the excerpt of a violation.
const RECENT: usize = 256;
/// The number of frames of one lane after which another lane is tried.
const TURN: usize = 256;

/// Validates the recordings in a directory.
#[derive(Debug)]
pub struct Validator {
    directory: PathBuf,
    lanes: BTreeMap<NodeId, Lane>,
    shared: Shared,
    recent: VecDeque<Recent>,
    frames: u64,
    /// The place of the lane whose frames are taken, and the number of frames that were taken from it in turn.
    turn: (usize, usize),
    /// The nodes of which a message was assumed to be sent. `None` is a snapshot of any node.
    assumed: BTreeSet<Option<NodeId>>,
    /// Reasons beside those of the lanes for which the recordings do not show the whole run.
    doubts: Vec<String>,
}

/// The recordings of one node.
#[derive(Debug)]
struct Lane {
    node: Node,
    /// The starts that were found.
    found: BTreeSet<StartId>,
    /// The recordings that are not begun, in the order in which they were found.
    later: VecDeque<StartId>,
    reading: Option<StartRecording>,
    /// The next frame.
    head: Option<Frame>,
    /// True if the recordings have no further whole frame yet.
    at_end: bool,
    /// The reasons for which the recordings of the node are not complete.
    doubts: Vec<String>,
}

/// The reason for which a validation does not go on.
#[derive(Debug)]
pub enum Halt {
    /// A frame contradicts a claim.
    Violated(Box<Violation>),
    /// The directory cannot be read.
    Unreadable(ReadError),
}

impl From<Box<Violation>> for Halt {
    fn from(violation: Box<Violation>) -> Self {
        Self::Violated(violation)
    }
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl Validator {
    /// Returns a validator of the recordings in a directory, which may still be empty.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            lanes: BTreeMap::new(),
            shared: Shared::default(),
            recent: VecDeque::new(),
            frames: 0,
            turn: (0, 0),
            assumed: BTreeSet::new(),
            doubts: Vec::new(),
        }
    }

    /// The number of frames that were taken.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The state that all nodes share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The nodes with recordings, in their present states.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.lanes.iter().map(|(id, lane)| (*id, &lane.node))
    }

    /// The number of recorded bytes that were not read yet.
    pub fn bytes_behind(&self) -> u64 {
        self.lanes
            .values()
            .filter_map(|lane| lane.reading.as_ref())
            .map(StartRecording::bytes_behind)
            .sum()
    }

    /// Looks for starts that have no lane yet.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn scan(&mut self) -> Result<(), ReadError> {
        for start in starts(&self.directory)? {
            let lane = self.lanes.entry(start.node).or_insert_with(|| Lane {
                node: Node::new(start.node),
                found: BTreeSet::new(),
                later: VecDeque::new(),
                reading: None,
                head: None,
                at_end: false,
                doubts: Vec::new(),
            });
            // A start that is found late may have a lower number, as that of a restored copy.
            if lane.found.insert(start) {
                lane.later.push_back(start);
            }
        }
        Ok(())
    }

    /// Looks for new starts, and takes every frame that can be taken.
    ///
    /// # Errors
    /// A frame contradicts a claim, or the directory cannot be read.
    pub fn advance(&mut self) -> Result<(), Halt> {
        self.scan()?;
        while self.next_frame()? {}
        Ok(())
    }

    /// Takes one frame. Returns false if no frame can be taken before a recording grows.
    ///
    /// # Errors
    /// The frame contradicts a claim.
    fn next_frame(&mut self) -> Result<bool, Box<Violation>> {
        // Each lane is tried once more after the lane at which the turn began, with a step between the last lane and the first.
        for _ in 0..self.lanes.len() + 2 {
            let (place, taken) = self.turn;
            let id = self.lanes.keys().nth(place).copied();
            let Some(id) = id.filter(|_| taken < TURN) else {
                self.turn = (if place < self.lanes.len() { place + 1 } else { 0 }, 0);
                self.forget();
                continue;
            };
            if self.take_next(id)? {
                self.turn.1 += 1;
                return Ok(true);
            }
            self.turn = (place + 1, 0);
        }
        Ok(false)
    }

    /// The frame that was taken last.
    pub fn last_frame(&self) -> Option<&Recent> {
        self.recent.back()
    }

    /// Takes the next frame of a node. Returns false if there is none, or if it has to wait.
    fn take_next(&mut self, id: NodeId) -> Result<bool, Box<Violation>> {
        if !self.read_head(id) {
            return Ok(false);
        }
        let lane = self.lanes.get_mut(&id).expect("it was just read");
        let head = lane.head.as_ref().expect("it was just read");
        if lane.node.waits(&head.body, &self.shared).is_some() {
            return Ok(false);
        }
        let taken = lane.node.take(&head.body, &mut self.shared);
        let frame = lane.head.take().expect("it was just read");
        let incarnation = lane.node.incarnation();
        self.recent.push_back(Recent { node: id, incarnation, frame });
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        match taken {
            Ok(doubt) => lane.doubts.extend(doubt),
            Err(contradiction) => return Err(self.violation(id, contradiction)),
        }
        self.frames += 1;
        Ok(true)
    }

    /// Reads the next frame of a node, if it was not read before. Returns false if there is none yet.
    fn read_head(&mut self, id: NodeId) -> bool {
        let lane = self.lanes.get_mut(&id).expect("the lanes do not change meanwhile");
        while lane.head.is_none() {
            let Some(reading) = &mut lane.reading else {
                let Some(next) = lane.later.pop_front() else { return false };
                lane.reading = Some(StartRecording::new(&self.directory, next));
                continue;
            };
            match reading.read_next() {
                Ok(Some(frame)) => (lane.head, lane.at_end) = (Some(frame), false),
                Ok(None) if lane.later.is_empty() => {
                    lane.at_end = true;
                    return false;
                }
                // The node has started again since, so that the recording grows no more.
                Ok(None) => {
                    if let Some(doubt) = incomplete(reading) {
                        lane.doubts.push(doubt);
                        lane.node.lose();
                    }
                    lane.reading = None;
                }
                Err(error) => {
                    lane.doubts.push(format!("{}: {error}", reading.start()));
                    lane.node.lose();
                    lane.reading = None;
                }
            }
        }
        true
    }

    fn forget(&mut self) {
        let members = &self.shared.members;
        let trimmed =
            members.iter().map(|id| self.lanes.get(id).map_or(0, |lane| lane.node.trimmed()));
        if let Some(below) = trimmed.min() {
            self.shared.history.forget(below);
        }
    }

    /// Validates recordings that grow no more, and returns the report. Calls `taken` after each frame.
    ///
    /// # Errors
    /// The directory cannot be read, or has no recordings.
    pub fn finish(mut self, mut taken: impl FnMut(&Self)) -> Result<Report, ReadError> {
        self.scan()?;
        if self.lanes.is_empty() {
            return Err(ReadError::Empty(self.directory));
        }
        let violation = self.finish_lanes(&mut taken).err();
        Ok(self.report(violation))
    }

    /// Returns the report of the frames that were taken. A frame that was read and waits for another makes the report
    /// inconclusive.
    pub fn report(self, violation: Option<Box<Violation>>) -> Report {
        let mut doubts = self.doubts();
        if violation.is_none() {
            let waiting = self.waiting().map(|(id, frame, _)| {
                let what = excerpt::describe(&frame.body);
                format!("node {id}, frame {}, is not validated: {what}", frame.number)
            });
            doubts.extend(waiting);
        }
        Report::new(violation, doubts, self.frames, self.lanes.len(), self.shared)
    }

    fn finish_lanes(&mut self, taken: &mut impl FnMut(&Self)) -> Result<(), Box<Violation>> {
        loop {
            while self.next_frame()? {
                taken(self);
            }
            if !self.assume_one(&Pulled::All)? {
                let waits = self.waits();
                return self.stuck(&Pulled::All, &waits).map_or(Ok(()), Err);
            }
        }
    }

    /// Assumes that a message was sent for which a node waits, if the recording of the sender is not complete. Returns false if
    /// there is no such message. `pulled` names the nodes whose recordings have everything that was recorded before the wait.
    ///
    /// # Errors
    /// The message contradicts a claim.
    pub fn assume_one(&mut self, pulled: &Pulled) -> Result<bool, Box<Violation>> {
        let Some((id, sender)) = self.assumable(pulled) else { return Ok(false) };
        let lane = &self.lanes[&id];
        let head = lane.head.as_ref().expect("it waits");
        let assumed = lane.node.assume(&head.body, &mut self.shared);
        self.assumed.insert(sender);
        assumed.map_err(|contradiction| self.violation(id, contradiction))?;
        Ok(true)
    }

    /// Adds a reason for which the recordings do not show the whole run.
    pub fn doubt(&mut self, reason: String) {
        self.doubts.push(reason);
    }

    /// The frame of each node that waits.
    fn waiting(&self) -> impl Iterator<Item = (NodeId, &Frame, Wait)> {
        self.lanes.iter().filter_map(|(id, lane)| {
            let head = lane.head.as_ref()?;
            Some((*id, head, lane.node.waits(&head.body, &self.shared)?))
        })
    }

    /// Returns true if a recording of a node is missing, or has a gap.
    fn is_doubtful(&self, id: NodeId) -> bool {
        self.lanes.get(&id).is_none_or(|lane| !lane.doubts().is_empty())
    }

    /// Returns a node that waits for a message of a node whose recordings are not complete, and that node.
    fn assumable(&self, pulled: &Pulled) -> Option<(NodeId, Option<NodeId>)> {
        let any = || self.shared.members.iter().any(|id| self.is_doubtful(*id));
        let assumable = |wait: &Wait| {
            let of = |sender| pulled.has(sender) && self.is_doubtful(sender);
            wait.sender().map_or_else(|| *pulled == Pulled::All && any(), of)
        };
        let (id, _, wait) = self.waiting().find(|(_, _, wait)| assumable(wait))?;
        Some((id, wait.sender()))
    }

    /// Returns the nodes that wait, and the numbers of the frames that wait.
    pub fn waits(&self) -> Vec<(NodeId, u64)> {
        self.waiting().map(|(id, frame, _)| (id, frame.number)).collect()
    }

    /// Returns the nodes that wait, and whose wait no further recording of a node that was not pulled can end.
    ///
    /// A node may wait for a node that waits itself. If the latter waits for a node that was not pulled, both may go on.
    fn hopeless(&self, pulled: &Pulled) -> BTreeSet<NodeId> {
        let waiting: BTreeMap<_, _> =
            self.waiting().map(|(id, _, wait)| (id, wait.sender())).collect();
        let mut hopeless: BTreeSet<_> = waiting.keys().copied().collect();
        loop {
            let before = hopeless.len();
            let kept = hopeless.iter().copied().filter(|id| match waiting[id] {
                Some(sender) => {
                    let may_go_on = waiting.contains_key(&sender) && !hopeless.contains(&sender);
                    pulled.has(sender) && !may_go_on
                }
                // Each node may take the snapshot.
                None => *pulled == Pulled::All,
            });
            hopeless = kept.collect();
            if hopeless.len() == before {
                return hopeless;
            }
        }
    }

    /// Returns true if one of these waits cannot end.
    pub fn is_stuck(&self, pulled: &Pulled, waits: &[(NodeId, u64)]) -> bool {
        let hopeless = self.hopeless(pulled);
        self.waits().iter().any(|wait| waits.contains(wait) && hopeless.contains(&wait.0))
    }

    /// Returns the violation if one of these waits cannot end: a node waits for a message that does not come.
    ///
    /// The nodes that wait may wait for each other. Then the first node in the cycle is at fault as much as any other.
    pub fn stuck(&self, pulled: &Pulled, waits: &[(NodeId, u64)]) -> Option<Box<Violation>> {
        let hopeless = self.hopeless(pulled);
        let waiting: BTreeMap<_, _> = self
            .waiting()
            .filter(|(id, frame, _)| hopeless.contains(id) && waits.contains(&(*id, frame.number)))
            .map(|(id, frame, wait)| (id, (frame, wait)))
            .collect();
        let is_last = |(id, (_, wait)): &(&NodeId, &(&Frame, Wait))| {
            wait.sender().is_none_or(|sender| sender == **id || !waiting.contains_key(&sender))
        };
        let (id, (frame, wait)) = waiting.iter().find(is_last).or(waiting.iter().next())?;
        let what = excerpt::describe(&frame.body);
        let facts = match wait.sender() {
            None => format!("{what}; no node has taken this snapshot"),
            Some(sender) if sender != *id && waiting.contains_key(&sender) => {
                format!(
                    "{what}; node {sender} did not send it before, and waits itself: the order has a cycle"
                )
            }
            Some(sender) => format!("{what}; node {sender} never sent it"),
        };
        Some(self.violation_at(*id, frame, Contradiction { claim: SENT_BEFORE, facts }))
    }

    /// Returns the reasons for which the recordings do not show the whole run.
    fn doubts(&self) -> Vec<String> {
        let mut doubts: Vec<_> = self.lanes.values().flat_map(Lane::doubts).collect();
        for id in &self.shared.members {
            if !self.lanes.contains_key(id) {
                doubts.push(format!("node {id} has no recording"));
            }
        }
        // A gap that was filled later does not undo what was assumed before.
        for sender in &self.assumed {
            match sender {
                Some(id) if !self.is_doubtful(*id) => doubts.push(format!(
                    "a message of node {id} was taken as sent before its recording was there"
                )),
                None if doubts.is_empty() => doubts.push(
                    "a snapshot was taken as that of another node before its recording was there"
                        .to_owned(),
                ),
                _ => {}
            }
        }
        doubts.extend(self.doubts.iter().cloned());
        doubts
    }

    fn violation(&self, id: NodeId, contradiction: Contradiction) -> Box<Violation> {
        match self.recent.back() {
            Some(recent) if recent.node == id => {
                self.violation_at(id, &recent.frame, contradiction)
            }
            _ => Box::new(Violation { node: Some(id), contradiction, ..Violation::default() }),
        }
    }

    fn violation_at(
        &self,
        id: NodeId,
        frame: &Frame,
        contradiction: Contradiction,
    ) -> Box<Violation> {
        let incarnation = self.lanes.get(&id).map(|lane| lane.node.incarnation());
        Box::new(Violation {
            node: Some(id),
            incarnation,
            frame: Some(frame.number),
            place: self.place(id),
            contradiction,
            excerpt: Excerpt::new(&self.recent, id, incarnation.unwrap_or_default(), frame),
        })
    }

    fn place(&self, id: NodeId) -> Option<Placed> {
        self.lanes.get(&id)?.reading.as_ref().map(StartRecording::place)
    }
}

impl Lane {
    fn doubts(&self) -> Vec<String> {
        let mut doubts = self.doubts.clone();
        if let Some(reading) = self.reading.as_ref().filter(|_| self.at_end) {
            doubts.extend(incomplete(reading));
            if reading.tail() == Tail::Torn {
                doubts.push(format!("the last frame of {} is torn", reading.start()));
            }
        }
        doubts
    }
}

/// Returns the reason for which a recording that grows no more is not complete. A torn frame at its end is no such reason. The
/// node was killed before the system had the whole frame, so nothing that depends on the frame has left the node. A
/// start after it shows that the node was killed.
fn incomplete(reading: &StartRecording) -> Option<String> {
    let start = reading.start();
    if reading.tail() == Tail::GivenUp {
        return Some(format!("{start} could not write its recording any more"));
    }
    let missing = reading.missing_file()?;
    Some(format!("{} is missing", missing.display()))
}
