//! The starts of a node: the state that it recovers is the one that its last start left behind.

use std::collections::{BTreeSet, HashMap, VecDeque};

use paxos::Slot;
use paxos_model::cluster::node::{state::Acceptor, unbounded::Unbounded, universe::SlotMap as _};
use paxos_recording::frame::Start;

use super::{Doubt, Node, Pending, Running, Shared, step::state_invariant};
use crate::{
    claims::{Checked, DURABLE, FORM, RECORDED, TRIMS, contradicts},
    coverage::{Coverage, Kind},
    replica::{Change, Replica},
    said,
};

impl Node {
    /// Takes the first frame of a start.
    pub(super) fn start(&mut self, start: &Start, shared: &mut Shared) -> Checked<Option<Doubt>> {
        if start.node != self.id {
            return contradicts(
                FORM,
                format!("the recording of node {} is node {}'s", self.id, start.node),
            );
        }
        let mut members = start.nodes.clone();
        members.sort_unstable();
        let quorums = (start.phase1_quorum, start.phase2_quorum);
        if shared.members.is_empty() {
            (shared.members, shared.quorums) = (members, quorums);
            shared.history.set_quorum(start.phase2_quorum);
        } else if (&shared.members, shared.quorums) != (&members, quorums) {
            let facts = format!(
                "the nodes are {members:?} with quorums {quorums:?} here, and {:?} with quorums {:?} elsewhere",
                shared.members, shared.quorums
            );
            return contradicts(FORM, facts);
        }
        let votes = said::votes(&start.votes, &shared.history);
        let promised = start.promised.map(said::ballot);
        let recovered = Acceptor { promised, votes, trimmed: said::slot(start.trimmed) };
        let follows = start.incarnation == self.incarnation + 1;
        let doubt = match &mut self.running {
            _ if self.lost => Some(format!("node {} recovered a state after a gap", self.id)),
            Some(before) if follows => before.survives(start, &recovered, &mut shared.coverage)?,
            None if follows => {
                let fresh = recovered == Acceptor::default() && start.snapshot.is_none();
                shared.coverage.add(Kind::Start);
                (!fresh)
                    .then(|| format!("node {} had a state when its first recording began", self.id))
            }
            _ if start.incarnation <= self.incarnation => {
                let facts = format!("there are two recordings of start {}", start.incarnation);
                return contradicts(FORM, facts);
            }
            _ => Some(format!(
                "node {} has no recording between start {} and start {}",
                self.id, self.incarnation, start.incarnation
            )),
        };
        // Each recovered vote is durable, also if the node was killed before it could record that.
        let place = shared.members.iter().position(|member| *member == self.id).unwrap_or(0);
        for (slot, vote) in recovered.votes.filled() {
            if let Some(vote) = vote {
                shared.history.proposes(slot, vote.ballot, &vote.value)?;
                shared.history.voted(slot, vote.ballot, place);
            }
        }
        if let Some((below, state)) = start.snapshot.filter(|_| doubt.is_some()) {
            shared.history.snapshot(self.id, below, state)?;
        }
        let applied = start.snapshot.map_or(Slot(0), |(below, _)| below);
        if applied.0 < recovered.trimmed.0 {
            let facts = format!(
                "slots below {:?} are trimmed, and the snapshot has those below {applied:?}",
                recovered.trimmed
            );
            return contradicts(TRIMS, facts);
        }
        let Some(replica) = Replica::start(start, recovered) else {
            return contradicts(FORM, "the quorums of the configuration are impossible");
        };
        state_invariant(&replica)?;
        (self.incarnation, self.lost) = (start.incarnation, false);
        self.running = Some(Running {
            replica,
            boot: start.boot,
            steps: 0,
            unchecked: 0,
            pending: VecDeque::new(),
            writes: VecDeque::new(),
            produced: VecDeque::new(),
            held: VecDeque::new(),
            released: applied.0,
            applied,
            tokens: HashMap::new(),
            answers: HashMap::new(),
            reads: BTreeSet::new(),
            snapshots: vec![start.snapshot],
            ended: false,
        });
        Ok(doubt)
    }
}

impl Running {
    /// Compares the state that the next start has recovered with the state at the end of this start. Each write under way may
    /// be on the disk or not, as a whole and after those before it.
    fn survives(
        &mut self,
        start: &Start,
        recovered: &Acceptor<Unbounded>,
        coverage: &mut Coverage,
    ) -> Checked<Option<Doubt>> {
        let mut lost = self.replica.acceptor().clone();
        // Goes back from write to write.
        let mut kept = false;
        let mut pending = self.pending.iter().rev().peekable();
        for last in self.writes.iter().rev() {
            while let Some(Pending { change, .. }) = pending.next_if(|pending| pending.step > *last)
            {
                take_back(change, &mut lost);
            }
            kept |= *recovered == lost && pending.peek().is_some();
        }
        pending.for_each(|Pending { change, .. }| take_back(change, &mut lost));
        let doubt = if *recovered == lost {
            let none = self.pending.is_empty();
            coverage.add(if none { Kind::RestartClean } else { Kind::RestartLost });
            None
        } else if kept {
            coverage.add(Kind::RestartKept);
            None
        } else if let Some(missing) = missing(&lost, recovered) {
            return contradicts(DURABLE, missing);
        } else if self.boot.is_some() && self.boot == start.boot {
            return contradicts(RECORDED, format!("recovered: {recovered:?}; recorded: {lost:?}"));
        } else {
            Some(format!(
                "node {} recovered records that it did not record; the system has stopped in between, which loses the end of \
                 a recording",
                start.node
            ))
        };
        if doubt.is_none() {
            // The last snapshot may have replaced the one before, or not yet.
            let before = self.snapshots.last_chunk::<2>().map_or(&self.snapshots[..], |two| two);
            if !before.contains(&start.snapshot) {
                let facts = format!("the snapshot is {:?}; it was {before:?}", start.snapshot);
                return contradicts(DURABLE, facts);
            }
        }
        Ok(doubt)
    }
}

/// Takes a change of an acceptor back.
fn take_back(change: &Change, acceptor: &mut Acceptor<Unbounded>) {
    for (slot, vote) in change.dropped.iter().chain(change.votes.iter().rev()) {
        acceptor.votes.put(*slot, vote.clone());
    }
    acceptor.trimmed = change.trimmed.unwrap_or(acceptor.trimmed);
    acceptor.promised = change.promised.unwrap_or(acceptor.promised);
}

/// Returns the first part of a durable state that a recovered state lacks.
fn missing(durable: &Acceptor<Unbounded>, recovered: &Acceptor<Unbounded>) -> Option<String> {
    if recovered.promised < durable.promised {
        let (was, is) = (durable.promised, recovered.promised);
        return Some(format!("the promise was {was:?}, and {is:?} was recovered"));
    }
    if recovered.trimmed < durable.trimmed {
        return Some(format!("the end of the trimmed log was {:?}", durable.trimmed));
    }
    durable.votes.filled().find_map(|(slot, vote)| {
        let vote = vote?;
        let is = recovered.votes.at(slot);
        let there =
            slot < recovered.trimmed || is.as_ref().is_some_and(|is| is.ballot >= vote.ballot);
        (!there).then(|| {
            format!("the vote in {slot:?} was in ballot {:?}, and is missing", vote.ballot)
        })
    })
}
