//! Short behaviours that people read, one for each thing that Paxos has to get right.
//!
//! A story is told in the words in which the model describes its actions; at each step exactly one
//! action has that description. Some end where something may happen that has no effect: that it has
//! none is the point, and the replay tries it on the replicas.

use paxos_model::cluster::{
    Action, Bounds, BoundsError, Cluster, State,
    state::{Ballot, NodeId, Role, Slot, Value},
};
use state_explorer::Explorable as _;
use stateright::Model as _;
use thiserror::Error;

use super::{NoBehaviour, Trace};

/// One story.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    /// What it is called, and its file.
    pub name: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// Where it plays.
    pub bounds: Bounds,
    /// What happens.
    pub happens: &'static [&'static str],
    /// What may happen at its end, and changes nothing.
    pub ignored: &'static [&'static str],
    /// How it ends.
    pub ends: fn(&State) -> bool,
}

/// Why a story is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoryError {
    /// A step that is not possible, or not the only one of this description.
    #[error("{story}, step {step}: {happens:?} fits {fits} of these:\n{}", .possible.join("\n"))]
    NoSuchStep {
        /// Which story.
        story: &'static str,
        /// Which step, counted from 1.
        step: usize,
        /// How it is told.
        happens: &'static str,
        /// How many actions it fits.
        fits: usize,
        /// What may happen there instead.
        possible: Vec<String>,
    },
    /// Something at its end that should be possible without effect, and is not.
    #[error("{story}: {happens:?} is not ignored at its end")]
    NotIgnored {
        /// Which story.
        story: &'static str,
        /// What.
        happens: &'static str,
    },
    /// Another end.
    #[error("{story} ends otherwise:\n{end}")]
    EndsOtherwise {
        /// Which story.
        story: &'static str,
        /// How.
        end: String,
    },
    /// There is no such space.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// Not a behaviour at all.
    #[error(transparent)]
    NoBehaviour(#[from] NoBehaviour),
}

impl Story {
    /// Its actions, after a look at how it ends.
    ///
    /// # Errors
    /// If it cannot happen, or ends otherwise.
    pub fn actions(&self) -> Result<Vec<Action>, StoryError> {
        let cluster = Cluster::new(self.bounds)?.checked();
        let mut state = cluster.init_states().remove(0);
        let mut actions = Vec::new();
        for (i, &happens) in self.happens.iter().enumerate() {
            let mut possible = Vec::new();
            cluster.candidates(&state, |action| {
                possible.extend(cluster.after(&state, &action).map(|next| (action, next)));
            });
            let described: Vec<_> =
                possible.iter().map(|(action, _)| cluster.describe(action)).collect();
            let fits = described.iter().filter(|description| *description == happens).count();
            let place = described.iter().position(|description| description == happens);
            let Some(place) = place.filter(|_| fits == 1) else {
                let (story, step, possible) = (self.name, i + 1, described);
                return Err(StoryError::NoSuchStep { story, step, happens, fits, possible });
            };
            let (action, next) = possible.swap_remove(place);
            actions.push(action);
            state = next;
        }
        for &happens in self.ignored {
            let (mut possible, mut effective) = (false, false);
            cluster.candidates(&state, |action| {
                if cluster.describe(&action) == happens {
                    possible = true;
                    effective |= cluster.after(&state, &action).is_some();
                }
            });
            if !possible || effective {
                return Err(StoryError::NotIgnored { story: self.name, happens });
            }
        }
        if !(self.ends)(&state) {
            return Err(StoryError::EndsOtherwise { story: self.name, end: format!("{state:?}") });
        }
        Ok(actions)
    }

    /// Its trace.
    ///
    /// # Errors
    /// As [`Story::actions`].
    pub fn trace(&self) -> Result<Trace, StoryError> {
        Ok(Trace::record(&Cluster::new(self.bounds)?.checked(), self.shows, &self.actions()?)?)
    }
}

const V0: Value = Value(0);
const V1: Value = Value(1);
/// Where clients have two values.
const NOOP: Value = Value(2);

/// What a node knows to be chosen; nodes are counted from 1 here, as in the telling.
fn knows(state: &State, node: u8, slot: u8) -> Option<Value> {
    state.node(NodeId(node - 1)).live.chosen[usize::from(slot)]
}

fn promised(state: &State, node: u8) -> Option<u8> {
    state.node(NodeId(node - 1)).live.acceptor.promised.map(|ballot| ballot.0)
}

fn vote(state: &State, node: u8, slot: u8) -> Option<(u8, Value)> {
    let vote = state.node(NodeId(node - 1)).live.acceptor.votes[usize::from(slot)];
    vote.map(|vote| (vote.ballot.0, vote.value))
}

fn leads(state: &State, node: u8) -> bool {
    matches!(state.node(NodeId(node - 1)).live.role, Role::Leader { .. })
}

fn campaigns(state: &State, node: u8) -> bool {
    matches!(state.node(NodeId(node - 1)).live.role, Role::Candidate { .. })
}

fn follows(state: &State, node: u8) -> bool {
    state.node(NodeId(node - 1)).live.role == Role::Follower
}

/// How many voted in a ballot.
fn voters(state: &State, slot: u8, ballot: u8) -> u8 {
    let votes = state.ballots_voted(Slot(slot));
    votes.iter().filter(|(vote, _)| vote.ballot == Ballot(ballot)).map(|(_, who)| who.len()).sum()
}

/// All of them.
pub const STORIES: &[Story] = &[
    Story {
        name: "happy-path",
        shows: "one leader, one value, and everybody hears of it",
        bounds: Bounds::of(3, 1, 1),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 gets Accept b0 s0=v0",
            "n1 gets Accepted b0 s0=v0 from n2",
            "n2 hears that b0 got v0 chosen in s0",
            "n3 hears that b0 got v0 chosen in s0",
        ],
        ignored: &["n1 hears that b0 got v0 chosen in s0"],
        ends: |state| (1..=3).all(|node| knows(state, node, 0) == Some(V0)),
    },
    Story {
        name: "leader-crashes-after-one-vote-and-its-value-is-adopted",
        shows: "the next leader proposes the value that was voted for, not the one of its client",
        bounds: Bounds::of(3, 1, 2),
        happens: &[
            "n1 campaigns",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 proposes in 1 slots",
            "n1 crashes and starts again",
            "n2 campaigns",
            "n1 gets Prepare b1",
            "n2 gets Promise b1 from n1 reporting s0=b0:v0",
            "n3 gets Accept b1 s0=v0",
            "n2 gets Accepted b1 s0=v0 from n3",
        ],
        ignored: &["n2 proposes in 1 slots"],
        ends: |state| {
            let adopted = knows(state, 2, 0) == Some(V0) && vote(state, 2, 0) == Some((1, V0));
            adopted && voters(state, 0, 0) == 1
        },
    },
    Story {
        name: "highest-ballot-wins",
        shows: "of two reported votes the one of the higher ballot is adopted",
        bounds: Bounds::of(3, 1, 3),
        happens: &[
            "n1 campaigns",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 campaigns",
            "n3 gets Prepare b1",
            "n2 gets Promise b1 from n3 reporting nothing",
            "n2 proposes in 1 slots",
            "n1 is refused: b1 was promised",
            "n1 campaigns",
            "n2 gets Prepare b2",
            "n1 gets Promise b2 from n2 reporting s0=b1:v1",
            "n2 gets Accept b2 s0=v1",
            "n1 gets Accepted b2 s0=v1 from n2",
        ],
        ignored: &[],
        ends: |state| {
            let adopted = knows(state, 1, 0) == Some(V1) && vote(state, 1, 0) == Some((2, V1));
            adopted && voters(state, 0, 0) == 1 && voters(state, 0, 1) == 1
        },
    },
    Story {
        name: "late-promise-is-ignored",
        shows: "a promise that comes after the quorum changes nothing",
        bounds: Bounds::of(3, 1, 1),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
        ],
        ignored: &[
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 gets Promise b0 from n2 reporting nothing",
        ],
        ends: |state| leads(state, 1) && vote(state, 1, 0) == Some((0, V0)),
    },
    Story {
        name: "nack-deposes-leader",
        shows: "a leader that is refused follows, and its next ballot is above the one it heard of",
        bounds: Bounds::of(3, 1, 3),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n2 campaigns",
            "n1 is refused: b1 was promised",
            "n1 campaigns",
        ],
        ignored: &["n1 gets Promise b0 from n2 reporting nothing"],
        ends: |state| campaigns(state, 1) && promised(state, 1) == Some(2),
    },
    Story {
        name: "two-leaders-at-once",
        shows: "two nodes lead, and only the one with the higher ballot gets its value chosen",
        bounds: Bounds::of(3, 1, 2),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n2 campaigns",
            "n3 gets Prepare b1",
            "n2 gets Promise b1 from n3 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 proposes in 1 slots",
            "n3 gets Accept b1 s0=v1",
            "n2 gets Accepted b1 s0=v1 from n3",
        ],
        ignored: &["n2 gets Accept b0 s0=v0", "n3 gets Accept b0 s0=v0"],
        ends: |state| {
            let both = leads(state, 1) && leads(state, 2);
            both && vote(state, 1, 0) == Some((0, V0)) && knows(state, 2, 0) == Some(V1)
        },
    },
    Story {
        name: "gap-filled-with-noop",
        shows: "a new leader fills a slot of which nobody reports anything below one that is in use",
        bounds: Bounds::of(3, 2, 2),
        happens: &[
            "n1 campaigns",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 proposes in 2 slots",
            "n3 gets Accept b0 s1=v0",
            "n2 campaigns",
            "n3 gets Prepare b1",
            "n2 gets Promise b1 from n3 reporting s1=b0:v0",
            "n3 gets Accept b1 s0=v2",
            "n2 gets Accepted b1 s0=v2 from n3",
            "n3 gets Accept b1 s1=v0",
            "n2 gets Accepted b1 s1=v0 from n3",
        ],
        ignored: &["n3 gets Accept b0 s0=v0"],
        ends: |state| knows(state, 2, 0) == Some(NOOP) && knows(state, 2, 1) == Some(V0),
    },
    Story {
        name: "duplicate-promise-counts-once",
        shows: "with five nodes, a promise that arrives twice is still one of three",
        bounds: Bounds::of(5, 1, 1),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
        ],
        ignored: &["n1 gets Promise b0 from n2 reporting nothing", "n1 proposes in 1 slots"],
        ends: |state| campaigns(state, 1),
    },
    Story {
        name: "duplicate-vote-counts-once",
        shows: "with five nodes, a vote that arrives twice is still one of three",
        bounds: Bounds::of(5, 1, 1),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 proposes in 1 slots",
            "n5 gets Accept b0 s0=v0",
            "n1 gets Accepted b0 s0=v0 from n5",
        ],
        ignored: &["n1 gets Accepted b0 s0=v0 from n5"],
        ends: |state| knows(state, 1, 0).is_none() && voters(state, 0, 0) == 2,
    },
    Story {
        name: "crash-forgets-unsynced-step",
        shows: "what was not synced is lost, and nothing of it had left: the same ballot begins anew",
        bounds: Bounds { unsynced: 1, ..Bounds::of(3, 1, 1) },
        happens: &[
            "n1 campaigns",
            "n1 crashes and starts again",
            "n1 campaigns",
            "n1 syncs",
            "n2 gets Prepare b0",
            "n2 crashes and starts again",
        ],
        ignored: &["n2 syncs"],
        ends: |state| {
            promised(state, 2).is_none() && promised(state, 1) == Some(0) && campaigns(state, 1)
        },
    },
    Story {
        name: "vote-leaves-when-synced",
        shows: "a vote that a crash has lost was never heard of; only what is on disk reaches the leader",
        bounds: Bounds { unsynced: 1, ..Bounds::of(3, 1, 1) },
        happens: &[
            "n1 campaigns",
            "n1 syncs",
            "n2 gets Prepare b0",
            "n2 syncs",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
            "n1 syncs",
            "n3 gets Accept b0 s0=v0",
            "n3 crashes and starts again",
            "n3 gets Accept b0 s0=v0",
            "n3 syncs",
            "n1 gets Accepted b0 s0=v0 from n3",
        ],
        ignored: &["n3 gets Accept b0 s0=v0"],
        ends: |state| knows(state, 1, 0) == Some(V0) && vote(state, 3, 0) == Some((0, V0)),
    },
    Story {
        name: "proposal-leaves-before-sync",
        shows: "a proposal leaves at once, and its leader's own vote counts for nobody until it is synced; if a \
                crash takes it away, the next ballot adopts what others have voted for",
        bounds: Bounds { unsynced: 1, ..Bounds::of(3, 1, 3) },
        happens: &[
            "n1 campaigns",
            "n1 syncs",
            "n2 gets Prepare b0",
            "n2 syncs",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 gets Accept b0 s0=v0",
            "n2 syncs",
            "n1 gets Accepted b0 s0=v0 from n2",
            "n1 crashes and starts again",
            "n1 campaigns",
            "n1 syncs",
            "n2 gets Prepare b2",
            "n2 syncs",
            "n1 gets Promise b2 from n2 reporting s0=b0:v0",
        ],
        ignored: &["n1 gets Accepted b0 s0=v0 from n2"],
        ends: |state| {
            let adopted = leads(state, 1) && vote(state, 1, 0) == Some((2, V0));
            adopted && knows(state, 1, 0).is_none() && voters(state, 0, 0) == 1
        },
    },
    Story {
        name: "forgotten-ballot-has-proposed-nothing",
        shows: "where one promise is enough to lead, a proposal waits for it: a ballot that a crash takes away \
                begins anew, and nobody has heard of it",
        bounds: Bounds { unsynced: 2, phase1_quorum: 1, ..Bounds::of(2, 1, 2) },
        happens: &[
            "n1 campaigns",
            "n1 proposes in 1 slots",
            "n1 crashes and starts again",
            "n1 campaigns",
            "n1 syncs",
            "n1 proposes in 1 slots",
            "n2 gets Accept b0 s0=v0",
            "n2 syncs",
            "n1 syncs",
            "n1 gets Accepted b0 s0=v0 from n2",
        ],
        ignored: &["n2 gets Accept b0 s0=v0"],
        ends: |state| knows(state, 1, 0) == Some(V0) && voters(state, 0, 0) == 2,
    },
    Story {
        name: "promise-survives-crash",
        shows: "a node that starts again still refuses what it had promised to refuse",
        bounds: Bounds::of(3, 1, 2),
        happens: &["n1 campaigns", "n2 campaigns", "n2 crashes and starts again"],
        ignored: &["n2 gets Prepare b0"],
        ends: |state| promised(state, 2) == Some(1) && follows(state, 2),
    },
    Story {
        name: "flexible-quorum-3-1",
        shows: "where all must promise, the vote of the leader alone chooses",
        bounds: Bounds { phase1_quorum: 3, phase2_quorum: 1, ..Bounds::of(3, 1, 2) },
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 campaigns",
            "n3 gets Prepare b1",
            "n2 gets Promise b1 from n3 reporting nothing",
            "n1 gets Prepare b1",
            "n2 gets Promise b1 from n1 reporting s0=b0:v0",
        ],
        ignored: &[],
        ends: |state| (1..=2).all(|node| knows(state, node, 0) == Some(V0)),
    },
    Story {
        name: "second-slot-raises-shared-promise",
        shows: "a vote in one slot forbids lower ballots in all of them",
        bounds: Bounds::of(3, 2, 2),
        happens: &[
            "n1 campaigns",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 campaigns",
            "n1 gets Prepare b1",
            "n2 gets Promise b1 from n1 reporting s0=b0:v0",
            "n2 proposes in 1 slots",
            "n3 gets Accept b1 s1=v1",
        ],
        ignored: &["n3 gets Accept b0 s0=v0", "n3 gets Prepare b0"],
        ends: |state| promised(state, 3) == Some(1) && vote(state, 3, 0).is_none(),
    },
    Story {
        name: "follower-hears-chosen",
        shows: "who neither promised nor voted learns the value, and a crash makes it forget it",
        bounds: Bounds::of(3, 1, 1),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 gets Accept b0 s0=v0",
            "n3 hears that b0 got v0 chosen in s0",
            "n3 crashes and starts again",
            "n3 hears that b0 got v0 chosen in s0",
        ],
        ignored: &[],
        ends: |state| knows(state, 3, 0) == Some(V0) && promised(state, 3).is_none(),
    },
    Story {
        name: "old-promise-does-not-count",
        shows: "a promise for an earlier ballot of the same candidate is not one for its new ballot",
        bounds: Bounds::of(3, 1, 3),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 crashes and starts again",
            "n1 campaigns",
        ],
        ignored: &["n1 gets Promise b0 from n2 reporting nothing"],
        ends: |state| campaigns(state, 1) && promised(state, 1) == Some(2),
    },
    Story {
        name: "old-vote-does-not-count",
        shows: "a vote in an earlier ballot of the same leader is not one in its new ballot",
        bounds: Bounds::of(3, 1, 3),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 gets Accept b0 s0=v0",
            "n1 crashes and starts again",
            "n1 campaigns",
            "n3 gets Prepare b2",
            "n1 gets Promise b2 from n3 reporting nothing",
        ],
        ignored: &["n1 gets Accepted b0 s0=v0 from n2"],
        ends: |state| {
            let proposes = leads(state, 1) && vote(state, 1, 0) == Some((2, V0));
            proposes && knows(state, 1, 0).is_none()
        },
    },
    Story {
        name: "reports-fill-the-whole-log",
        shows: "what is reported is adopted in every slot, also where the new leader has no vote",
        bounds: Bounds::of(3, 2, 2),
        happens: &[
            "n1 campaigns",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 proposes in 2 slots",
            "n1 crashes and starts again",
            "n2 campaigns",
            "n1 gets Prepare b1",
            "n2 gets Promise b1 from n1 reporting s0=b0:v0 s1=b0:v0",
        ],
        ignored: &["n2 proposes in 1 slots"],
        ends: |state| (0..2).all(|slot| vote(state, 2, slot) == Some((1, V0))),
    },
    Story {
        name: "each-slot-adopts-its-own-highest-vote",
        shows: "the highest ballot in one slot says nothing about the others",
        bounds: Bounds::of(3, 2, 3),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 campaigns",
            "n3 gets Prepare b1",
            "n2 gets Promise b1 from n3 reporting nothing",
            "n2 proposes in 2 slots",
            "n3 gets Accept b1 s1=v1",
            "n1 is refused: b1 was promised",
            "n1 campaigns",
            "n3 gets Prepare b2",
            "n1 gets Promise b2 from n3 reporting s1=b1:v1",
        ],
        ignored: &["n1 proposes in 1 slots"],
        ends: |state| vote(state, 1, 0) == Some((2, V0)) && vote(state, 1, 1) == Some((2, V1)),
    },
    Story {
        name: "overtaken-vote-is-reported-again",
        shows: "a promise that is asked for again reports the same vote, though a higher ballot was promised",
        bounds: Bounds::of(3, 1, 2),
        happens: &[
            "n1 campaigns",
            "n3 gets Prepare b0",
            "n1 gets Promise b0 from n3 reporting nothing",
            "n1 proposes in 1 slots",
            "n3 gets Accept b0 s0=v0",
            "n2 campaigns",
            "n3 gets Prepare b1",
        ],
        ignored: &["n3 gets Prepare b1", "n3 gets Accept b0 s0=v0"],
        ends: |state| promised(state, 3) == Some(1) && vote(state, 3, 0) == Some((0, V0)),
    },
    Story {
        name: "no-promise-after-the-vote",
        shows: "whoever has voted in a ballot does not answer its Prepare any more",
        bounds: Bounds::of(3, 1, 1),
        happens: &[
            "n1 campaigns",
            "n2 gets Prepare b0",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
            "n3 gets Accept b0 s0=v0",
        ],
        ignored: &["n3 gets Prepare b0", "n3 gets Accept b0 s0=v0"],
        ends: |state| promised(state, 3) == Some(0) && vote(state, 3, 0) == Some((0, V0)),
    },
];
