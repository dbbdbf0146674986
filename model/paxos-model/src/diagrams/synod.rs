//! Draws Lamport's Paxos: ballots to the left, acceptors to the right.
//!
//! The lane of a ballot stands for its leader. An arrow leads from the 1a message of a ballot to each promise, from
//! each earlier 1b message to the proposal, and from the 2a message to each vote. A proposal needs only a quorum of
//! the promises. The diagram does not show which quorum, because the model does not choose one.

use space_time::{Arrow, Diagram, Lane};

use super::{Drawn, Meaning, STEP};
use crate::synod::{Acceptor, Action, Ballot, State, Synod};
use state_explorer::Behaviour;

impl Drawn for Synod {
    fn diagram(&self, behaviour: &Behaviour<Self>, title: &str) -> Diagram {
        let mut picture = Picture::new(self, behaviour, title);
        let mut before = *behaviour.initial();
        for (at, (action, after)) in (1..).zip(behaviour.steps()) {
            picture.step(at, *action, before);
            meaning(self, before, *after).draw(at, &mut picture.diagram);
            before = *after;
        }
        picture.diagram
    }
}

struct Picture<'a> {
    synod: &'a Synod,
    diagram: Diagram,
    /// The ballots that take a step, and their lanes. Other ballots have no lane.
    ballots: Vec<(Ballot, Lane)>,
    acceptors: Vec<Lane>,
    /// The actions so far with their times. Each action sends one message.
    sent: Vec<(Action, u64)>,
}

impl<'a> Picture<'a> {
    fn new(synod: &'a Synod, behaviour: &Behaviour<Synod>, title: &str) -> Self {
        let mut diagram = Diagram::new(title).scale(STEP);
        let acts = |b: &Ballot| behaviour.steps().iter().any(|(action, _)| ballot(*action) == *b);
        let ballots = synod.ballots().filter(acts);
        let ballots = ballots.map(|b| (b, diagram.lane(format!("ballot {}", b.0)))).collect();
        let acceptors = synod.acceptors();
        let acceptors = acceptors.map(|a| diagram.lane(format!("acceptor {}", a.0))).collect();
        Self { synod, diagram, ballots, acceptors, sent: Vec::new() }
    }

    fn step(&mut self, at: u64, action: Action, before: State) {
        let own = ballot(action);
        match action {
            Action::Prepare(b) => self.diagram.event(self.ballot(b), at, "prepares"),
            Action::Promise(a, b) => {
                let from = (self.ballot(b), self.when(Action::Prepare(b)));
                self.diagram.arrow(Arrow::new(from, (self.acceptor(a), at), "1a"));
                let says = format!("promises {}", own.0);
                self.diagram.event(self.acceptor(a), at, says);
            }
            Action::Propose(b, v) => {
                let synod = self.synod;
                for a in synod.acceptors().filter(|&a| synod.promised(before, a, b)) {
                    let label = match synod.report(before, a, b) {
                        None => "1b: no vote".to_owned(),
                        Some((c, v)) => format!("1b: voted v{} in {}", v.0, c.0),
                    };
                    let from = (self.acceptor(a), self.when(Action::Promise(a, b)));
                    self.diagram.arrow(Arrow::new(from, (self.ballot(b), at), label));
                }
                self.diagram.event(self.ballot(b), at, format!("proposes v{}", v.0));
            }
            Action::Vote(a, b) => {
                for v in self.synod.proposals(before, b) {
                    let from = (self.ballot(b), self.when(Action::Propose(b, v)));
                    let label = format!("2a: v{}", v.0);
                    self.diagram.arrow(Arrow::new(from, (self.acceptor(a), at), label));
                    let says = format!("votes v{} in {}", v.0, own.0);
                    self.diagram.event(self.acceptor(a), at, says);
                }
            }
        }
        self.sent.push((action, at));
    }

    /// Returns the time at which an action sent its message, or 0 for a message of the initial state.
    fn when(&self, action: Action) -> u64 {
        self.sent.iter().find(|(sent, _)| *sent == action).map_or(0, |(_, at)| *at)
    }

    fn ballot(&self, b: Ballot) -> Lane {
        let lane = self.ballots.iter().find(|(ballot, _)| *ballot == b);
        lane.expect("a ballot that takes a step has a lane").1
    }

    fn acceptor(&self, a: Acceptor) -> Lane {
        self.acceptors[usize::from(a.0)]
    }
}

fn ballot(action: Action) -> Ballot {
    let (Action::Prepare(b) | Action::Promise(_, b) | Action::Propose(b, _) | Action::Vote(_, b)) =
        action;
    b
}

fn meaning(synod: &Synod, before: State, after: State) -> Meaning {
    let mut meaning = Meaning::default();
    for b in synod.ballots() {
        if synod.chosen_in(after, b) && !synod.chosen_in(before, b) {
            for v in synod.proposals(after, b) {
                let what = format!("v{}", v.0);
                let earlier: Vec<_> = synod.chosen(before).collect();
                meaning.chosen(v, &what, &format!("ballot {}", b.0), &earlier);
            }
        }
    }
    meaning
}
