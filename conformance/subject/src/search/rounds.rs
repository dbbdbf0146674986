//! Whole rounds, one after the other.

use itertools::Itertools as _;

use super::{At, Bounds, BrokenAt, Budget, Entry, Explored, Search, State};
use crate::{
    cluster::{Cluster, Input, MessageId, Node},
    findings::Findings,
    protocol::Kind,
};

/// The number of states between two rounds for one state of a search by steps. They are few, and lead far.
const WEIGHT: usize = 10;
/// The most Accept messages of a round of which all subsets arrive.
const ACCEPTS_MAX: usize = 6;

/// Visits the states that whole rounds lead to, one round after the other: a proposer prepares, a quorum promises in some
/// order, and some acceptors vote. All that is left out is lost. Such schedules are long and have few shapes.
pub(crate) fn explore_rounds(
    cluster: &mut Cluster,
    bounds: Bounds,
    budget: &Budget<'_>,
    found: &mut Findings,
    mut progress: impl FnMut(Explored),
) -> Result<Explored, BrokenAt> {
    let silent = (0..cluster.nodes()).filter(|node| cluster.only_learns(*node)).collect();
    let mut search = Search::new(cluster, silent, bounds, budget, found);
    let mut explored = Explored { bounds, by_rounds: true, states: 1, steps: 0, complete: false };
    let mut level = vec![(0, State::first(search.cluster))];
    for _ in 0..bounds.ballots {
        let mut next = Vec::new();
        for (place, state) in &level {
            search.round(*place, state, &mut next)?;
            explored.states = search.visited.len();
            progress(explored);
            let states_max = budget.states_max.saturating_mul(WEIGHT);
            let is_over = budget.is_spent() || explored.states > states_max;
            if is_over || search.found.is_final() {
                return Ok(explored);
            }
        }
        explored.steps += 1;
        level = next;
    }
    // Without a round, nothing was tried.
    explored.complete = !search.is_cut && explored.states > 0;
    Ok(explored)
}

impl Search<'_> {
    /// Takes all rounds that may come next.
    fn round(&mut self, place: usize, state: &State, next: &mut Vec<At>) -> Result<(), BrokenAt> {
        for proposer in 0..self.cluster.nodes() {
            for (begun, prepares) in self.begun(place, state, proposer)? {
                // A node of a combined cluster promises its own ballot in place.
                let quorum = self.cluster.rules.quorum.min(prepares.len());
                for reached in prepares.into_iter().permutations(quorum) {
                    self.promises(&begun, proposer, &reached, next)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the beginnings of a round: a client asks, or a timer fires, or one after the other, and the proposer prepares.
    fn begun(
        &mut self,
        place: usize,
        state: &State,
        proposer: Node,
    ) -> Result<Vec<(At, Vec<MessageId>)>, BrokenAt> {
        let (mut begun, mut open) = (Vec::new(), vec![((place, state.clone()), false)]);
        while let Some((at, asked)) = open.pop() {
            for input in self.inputs(&at.1, proposer) {
                let asks = matches!(input, Input::Propose(_));
                if asked && asks || !asks && !matches!(input, Input::Timer(_)) {
                    continue;
                }
                let Some((after, sent)) = self.pass(&at, proposer, input)? else { continue };
                let prepares = self.of_kind(&sent, Kind::Prepare);
                if !prepares.is_empty() {
                    begun.push((after, prepares));
                } else if asks {
                    open.push((after, true));
                }
            }
        }
        Ok(begun)
    }

    /// Lets acceptors promise, and the proposer propose.
    fn promises(
        &mut self,
        begun: &At,
        proposer: Node,
        prepares: &[MessageId],
        next: &mut Vec<At>,
    ) -> Result<(), BrokenAt> {
        let (mut at, mut accepts) = (begun.clone(), Vec::new());
        for prepare in prepares {
            let acceptor = self.cluster.message(*prepare).to;
            if !self.inputs(&at.1, acceptor).contains(&Input::Deliver(*prepare)) {
                return Ok(());
            }
            let Some((after, answers)) = self.pass(&at, acceptor, Input::Deliver(*prepare))? else {
                return Ok(());
            };
            at = after;
            for answer in self.of_kind(&answers, Kind::Promise) {
                let Some((after, sent)) = self.pass(&at, proposer, Input::Deliver(answer))? else {
                    return Ok(());
                };
                accepts.extend(self.of_kind(&sent, Kind::Accept));
                at = after;
            }
        }
        let accepts: Vec<_> = accepts.into_iter().unique().collect();
        self.is_cut |= accepts.len() > ACCEPTS_MAX;
        for taken in accepts.into_iter().take(ACCEPTS_MAX).powerset() {
            self.votes(&at, proposer, &taken, next)?;
        }
        Ok(())
    }

    /// Lets acceptors vote. If they may be a quorum, the proposer hears of all votes, or of none.
    fn votes(
        &mut self,
        begun: &At,
        proposer: Node,
        accepts: &[MessageId],
        next: &mut Vec<At>,
    ) -> Result<(), BrokenAt> {
        let (mut at, mut votes) = (begun.clone(), Vec::new());
        for accept in accepts {
            let acceptor = self.cluster.message(*accept).to;
            let Some((after, answers)) = self.pass(&at, acceptor, Input::Deliver(*accept))? else {
                return Ok(());
            };
            votes.extend(self.of_kind(&answers, Kind::Accepted));
            at = after;
        }
        if self.visited.insert(at.1.sum) {
            next.push(at.clone());
        }
        if accepts.len() + 1 < self.cluster.rules.quorum {
            return Ok(());
        }
        for vote in
            votes.into_iter().filter(|id| self.cluster.message(*id).to == proposer).collect_vec()
        {
            let Some((after, _)) = self.pass(&at, proposer, Input::Deliver(vote))? else {
                return Ok(());
            };
            at = after;
        }
        if self.visited.insert(at.1.sum) {
            next.push(at);
        }
        Ok(())
    }

    /// Takes a step on the way through a round. Returns the messages that it sends.
    fn pass(
        &mut self,
        (place, state): &At,
        node: Node,
        input: Input,
    ) -> Result<Option<(At, Vec<MessageId>)>, BrokenAt> {
        if matches!(input, Input::Deliver(id) if !self.cluster.may_take(state.locals[node], id)) {
            return Ok(None);
        }
        let step = self.step(*place, state.locals[node], node, input)?;
        let sent = self.arriving(&step);
        let after = self.advance(*place, state, (node, input), &step, &sent)?;
        let Some(after) = after else { return Ok(None) };
        self.entries.push(Entry { before: *place, node, input });
        Ok(Some(((self.entries.len(), after), sent)))
    }

    fn of_kind(&self, messages: &[MessageId], kind: Kind) -> Vec<MessageId> {
        messages
            .iter()
            .copied()
            .filter(|id| self.cluster.message(*id).message.kind == kind)
            .collect()
    }
}
