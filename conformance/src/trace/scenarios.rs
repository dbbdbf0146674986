//! The scenarios: one for each thing that Paxos has to get right.
//!
//! The functions below make the actions of the model. Nodes, ballots, slots and values are constants, so that a
//! scenario reads like its trace.

use paxos_model::cluster::{
    Action, Bounds,
    state::{Ballot, Message, NodeId, Role, SLOTS_MAX, Slot, State, Value, Vote},
};

use super::scenario::Scenario;

const N1: NodeId = NodeId(0);
const N2: NodeId = NodeId(1);
const N3: NodeId = NodeId(2);
const N5: NodeId = NodeId(4);

/// Ballots 0 and 2 belong to node 1, ballot 1 to node 2.
const B0: Ballot = Ballot(0);
const B1: Ballot = Ballot(1);
const B2: Ballot = Ballot(2);

const S0: Slot = Slot(0);
const S1: Slot = Slot(1);

/// The value that the client of ballots 0 and 2 asks for.
const V0: Value = Value(0);
/// The value that the client of ballot 1 asks for.
const V1: Value = Value(1);
/// The no-op, which is the value after the two values of the clients.
const NOOP: Value = Value(2);

const fn campaign(node: NodeId) -> Action {
    Action::Campaign(node)
}

/// A leader proposes what its client asks for in the next `count` slots.
const fn propose(node: NodeId, count: u8) -> Action {
    Action::Propose { node, count }
}

const fn prepare(to: NodeId, ballot: Ballot) -> Action {
    prepare_from(to, ballot, S0)
}

/// A Prepare message of a candidate that knows each slot before `first` to be chosen.
const fn prepare_from(to: NodeId, ballot: Ballot, first: Slot) -> Action {
    Action::Deliver { to, message: Message::Prepare { ballot, first } }
}

/// A promise without trimmed slots that reports these votes.
const fn promise(
    to: NodeId,
    ballot: Ballot,
    from: NodeId,
    votes: &[(Slot, Ballot, Value)],
) -> Action {
    let mut reports = [None; SLOTS_MAX];
    let mut i = 0;
    while i < votes.len() {
        let (slot, ballot, value) = votes[i];
        reports[slot.0 as usize] = Some(Vote { ballot, value });
        i += 1;
    }
    Action::Deliver { to, message: Message::Promise { ballot, from, trimmed: S0, reports } }
}

const fn accept(to: NodeId, ballot: Ballot, slot: Slot, value: Value) -> Action {
    Action::Deliver { to, message: Message::Accept { ballot, slot, value } }
}

const fn accepted(to: NodeId, ballot: Ballot, slot: Slot, value: Value, from: NodeId) -> Action {
    Action::Deliver { to, message: Message::Accepted { ballot, slot, value, from } }
}

/// A refusal that names the higher ballot that was promised.
const fn nack(to: NodeId, promised: Ballot) -> Action {
    Action::Nack { to, promised }
}

/// A node hears that a quorum voted for the value in this ballot.
const fn chosen(to: NodeId, ballot: Ballot, slot: Slot, value: Value) -> Action {
    Action::Chosen { to, slot, ballot, value }
}

const fn sync(node: NodeId) -> Action {
    Action::Sync(node)
}

const fn crash(node: NodeId) -> Action {
    Action::Crash(node)
}

/// The value that a node knows to be chosen.
fn knows(state: &State, node: NodeId, slot: Slot) -> Option<Value> {
    state.node(node).live.chosen[usize::from(slot.0)]
}

fn promised(state: &State, node: NodeId) -> Option<Ballot> {
    state.node(node).live.acceptor.promised
}

fn vote(state: &State, node: NodeId, slot: Slot) -> Option<(Ballot, Value)> {
    let vote = state.node(node).live.acceptor.votes[usize::from(slot.0)];
    vote.map(|vote| (vote.ballot, vote.value))
}

fn leads(state: &State, node: NodeId) -> bool {
    matches!(state.node(node).live.role, Role::Leader { .. })
}

fn campaigns(state: &State, node: NodeId) -> bool {
    matches!(state.node(node).live.role, Role::Candidate { .. })
}

fn follows(state: &State, node: NodeId) -> bool {
    state.node(node).live.role == Role::Follower
}

/// The number of nodes that voted in a ballot.
fn voters(state: &State, slot: Slot, ballot: Ballot) -> u8 {
    let votes = state.ballots_voted(slot);
    votes.iter().filter(|(vote, _)| vote.ballot == ballot).map(|(_, voters)| voters.len()).sum()
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "happy-path",
        shows: "one leader, one value, and everybody hears of it",
        bounds: Bounds::of(3, 1, 1),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            propose(N1, 1),
            accept(N2, B0, S0, V0),
            accepted(N1, B0, S0, V0, N2),
            chosen(N2, B0, S0, V0),
            chosen(N3, B0, S0, V0),
        ],
        ignored: &[chosen(N1, B0, S0, V0)],
        ends: |state| [N1, N2, N3].iter().all(|&node| knows(state, node, S0) == Some(V0)),
    },
    Scenario {
        name: "leader-crashes-after-one-vote-and-its-value-is-adopted",
        shows: "the next leader proposes the value that was voted for, not the one of its client",
        bounds: Bounds::of(3, 1, 2),
        actions: &[
            campaign(N1),
            prepare(N3, B0),
            promise(N1, B0, N3, &[]),
            propose(N1, 1),
            crash(N1),
            campaign(N2),
            prepare(N1, B1),
            promise(N2, B1, N1, &[(S0, B0, V0)]),
            accept(N3, B1, S0, V0),
            accepted(N2, B1, S0, V0, N3),
        ],
        ignored: &[propose(N2, 1)],
        ends: |state| {
            let adopted = knows(state, N2, S0) == Some(V0) && vote(state, N2, S0) == Some((B1, V0));
            adopted && voters(state, S0, B0) == 1
        },
    },
    Scenario {
        name: "highest-ballot-wins",
        shows: "of two reported votes the one of the higher ballot is adopted",
        bounds: Bounds::of(3, 1, 3),
        actions: &[
            campaign(N1),
            prepare(N3, B0),
            promise(N1, B0, N3, &[]),
            propose(N1, 1),
            campaign(N2),
            prepare(N3, B1),
            promise(N2, B1, N3, &[]),
            propose(N2, 1),
            nack(N1, B1),
            campaign(N1),
            prepare(N2, B2),
            promise(N1, B2, N2, &[(S0, B1, V1)]),
            accept(N2, B2, S0, V1),
            accepted(N1, B2, S0, V1, N2),
        ],
        ignored: &[],
        ends: |state| {
            let adopted = knows(state, N1, S0) == Some(V1) && vote(state, N1, S0) == Some((B2, V1));
            adopted && voters(state, S0, B0) == 1 && voters(state, S0, B1) == 1
        },
    },
    Scenario {
        name: "late-promise-is-ignored",
        shows: "a promise that comes after the quorum changes nothing",
        bounds: Bounds::of(3, 1, 1),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            prepare(N3, B0),
            promise(N1, B0, N2, &[]),
            propose(N1, 1),
        ],
        ignored: &[promise(N1, B0, N3, &[]), promise(N1, B0, N2, &[])],
        ends: |state| leads(state, N1) && vote(state, N1, S0) == Some((B0, V0)),
    },
    Scenario {
        name: "nack-deposes-leader",
        shows: "a leader that is refused follows, and its next ballot is above the one it heard of",
        bounds: Bounds::of(3, 1, 3),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            campaign(N2),
            nack(N1, B1),
            campaign(N1),
        ],
        ignored: &[promise(N1, B0, N2, &[])],
        ends: |state| campaigns(state, N1) && promised(state, N1) == Some(B2),
    },
    Scenario {
        name: "two-leaders-at-once",
        shows: "two nodes lead, and only the one with the higher ballot gets its value chosen",
        bounds: Bounds::of(3, 1, 2),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            campaign(N2),
            prepare(N3, B1),
            promise(N2, B1, N3, &[]),
            propose(N1, 1),
            propose(N2, 1),
            accept(N3, B1, S0, V1),
            accepted(N2, B1, S0, V1, N3),
        ],
        ignored: &[accept(N2, B0, S0, V0), accept(N3, B0, S0, V0)],
        ends: |state| {
            let both = leads(state, N1) && leads(state, N2);
            both && vote(state, N1, S0) == Some((B0, V0)) && knows(state, N2, S0) == Some(V1)
        },
    },
    Scenario {
        name: "gap-filled-with-noop",
        shows: "a new leader fills a slot of which nobody reports anything below one that is in use",
        bounds: Bounds::of(3, 2, 2),
        actions: &[
            campaign(N1),
            prepare(N3, B0),
            promise(N1, B0, N3, &[]),
            propose(N1, 2),
            accept(N3, B0, S1, V0),
            campaign(N2),
            prepare(N3, B1),
            promise(N2, B1, N3, &[(S1, B0, V0)]),
            accept(N3, B1, S0, NOOP),
            accepted(N2, B1, S0, NOOP, N3),
            accept(N3, B1, S1, V0),
            accepted(N2, B1, S1, V0, N3),
        ],
        ignored: &[accept(N3, B0, S0, V0)],
        ends: |state| knows(state, N2, S0) == Some(NOOP) && knows(state, N2, S1) == Some(V0),
    },
    Scenario {
        name: "unknown-slots-are-asked-for",
        shows: "a candidate asks for the votes from the first slot that it does not know to be chosen, also if it knows a later one",
        bounds: Bounds { campaigners: 3, ..Bounds::of(3, 2, 3) },
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            propose(N1, 2),
            accept(N3, B0, S0, V0),
            accepted(N1, B0, S0, V0, N3),
            accept(N2, B0, S1, V0),
            accepted(N1, B0, S1, V0, N2),
            chosen(N2, B0, S1, V0),
            campaign(N2),
            prepare(N3, B1),
            promise(N2, B1, N3, &[(S0, B0, V0)]),
            accept(N3, B1, S0, V0),
            accepted(N2, B1, S0, V0, N3),
            chosen(N3, B1, S0, V0),
            campaign(N3),
            prepare_from(N2, B2, S1),
            promise(N3, B2, N2, &[(S1, B0, V0)]),
            accept(N2, B2, S1, V0),
        ],
        ignored: &[accept(N3, B1, S0, V0)],
        ends: |state| leads(state, N3) && vote(state, N2, S1) == Some((B2, V0)),
    },
    Scenario {
        name: "duplicate-promise-counts-once",
        shows: "with five nodes, a promise that arrives twice is still one of three",
        bounds: Bounds::of(5, 1, 1),
        actions: &[campaign(N1), prepare(N2, B0), promise(N1, B0, N2, &[])],
        ignored: &[promise(N1, B0, N2, &[]), propose(N1, 1)],
        ends: |state| campaigns(state, N1),
    },
    Scenario {
        name: "duplicate-vote-counts-once",
        shows: "with five nodes, a vote that arrives twice is still one of three",
        bounds: Bounds::of(5, 1, 1),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            prepare(N3, B0),
            promise(N1, B0, N2, &[]),
            promise(N1, B0, N3, &[]),
            propose(N1, 1),
            accept(N5, B0, S0, V0),
            accepted(N1, B0, S0, V0, N5),
        ],
        ignored: &[accepted(N1, B0, S0, V0, N5)],
        ends: |state| knows(state, N1, S0).is_none() && voters(state, S0, B0) == 2,
    },
    Scenario {
        name: "crash-forgets-unsynced-step",
        shows: "what was not synced is lost, and nothing of it had left: the same ballot begins anew",
        bounds: Bounds { unsynced: 1, ..Bounds::of(3, 1, 1) },
        actions: &[campaign(N1), crash(N1), campaign(N1), sync(N1), prepare(N2, B0), crash(N2)],
        ignored: &[sync(N2)],
        ends: |state| {
            promised(state, N2).is_none() && promised(state, N1) == Some(B0) && campaigns(state, N1)
        },
    },
    Scenario {
        name: "vote-leaves-when-synced",
        shows: "a vote that a crash has lost was never heard of; only what is on disk reaches the leader",
        bounds: Bounds { unsynced: 1, ..Bounds::of(3, 1, 1) },
        actions: &[
            campaign(N1),
            sync(N1),
            prepare(N2, B0),
            sync(N2),
            promise(N1, B0, N2, &[]),
            propose(N1, 1),
            sync(N1),
            accept(N3, B0, S0, V0),
            crash(N3),
            accept(N3, B0, S0, V0),
            sync(N3),
            accepted(N1, B0, S0, V0, N3),
        ],
        ignored: &[accept(N3, B0, S0, V0)],
        ends: |state| knows(state, N1, S0) == Some(V0) && vote(state, N3, S0) == Some((B0, V0)),
    },
    Scenario {
        name: "proposal-leaves-before-sync",
        shows: "a proposal leaves at once, and its leader's own vote counts for nobody until it is synced; if a \
                crash takes it away, the next ballot adopts what others have voted for",
        bounds: Bounds { unsynced: 1, ..Bounds::of(3, 1, 3) },
        actions: &[
            campaign(N1),
            sync(N1),
            prepare(N2, B0),
            sync(N2),
            promise(N1, B0, N2, &[]),
            propose(N1, 1),
            accept(N2, B0, S0, V0),
            sync(N2),
            accepted(N1, B0, S0, V0, N2),
            crash(N1),
            campaign(N1),
            sync(N1),
            prepare(N2, B2),
            sync(N2),
            promise(N1, B2, N2, &[(S0, B0, V0)]),
        ],
        ignored: &[accepted(N1, B0, S0, V0, N2)],
        ends: |state| {
            let adopted = leads(state, N1) && vote(state, N1, S0) == Some((B2, V0));
            adopted && knows(state, N1, S0).is_none() && voters(state, S0, B0) == 1
        },
    },
    Scenario {
        name: "forgotten-ballot-has-proposed-nothing",
        shows: "where one promise is enough to lead, a proposal waits for it: a ballot that a crash takes away \
                begins anew, and nobody has heard of it",
        bounds: Bounds { unsynced: 2, phase1_quorum: 1, ..Bounds::of(2, 1, 2) },
        actions: &[
            campaign(N1),
            propose(N1, 1),
            crash(N1),
            campaign(N1),
            sync(N1),
            propose(N1, 1),
            accept(N2, B0, S0, V0),
            sync(N2),
            sync(N1),
            accepted(N1, B0, S0, V0, N2),
        ],
        ignored: &[accept(N2, B0, S0, V0)],
        ends: |state| knows(state, N1, S0) == Some(V0) && voters(state, S0, B0) == 2,
    },
    Scenario {
        name: "promise-survives-crash",
        shows: "a node that starts again still refuses what it had promised to refuse",
        bounds: Bounds::of(3, 1, 2),
        actions: &[campaign(N1), campaign(N2), crash(N2)],
        ignored: &[prepare(N2, B0)],
        ends: |state| promised(state, N2) == Some(B1) && follows(state, N2),
    },
    Scenario {
        name: "flexible-quorum-3-1",
        shows: "where all must promise, the vote of the leader alone chooses",
        bounds: Bounds { phase1_quorum: 3, phase2_quorum: 1, ..Bounds::of(3, 1, 2) },
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            prepare(N3, B0),
            promise(N1, B0, N3, &[]),
            propose(N1, 1),
            campaign(N2),
            prepare(N3, B1),
            promise(N2, B1, N3, &[]),
            prepare(N1, B1),
            promise(N2, B1, N1, &[(S0, B0, V0)]),
        ],
        ignored: &[],
        ends: |state| [N1, N2].iter().all(|&node| knows(state, node, S0) == Some(V0)),
    },
    Scenario {
        name: "second-slot-raises-shared-promise",
        shows: "a vote in one slot forbids lower ballots in all of them",
        bounds: Bounds::of(3, 2, 2),
        actions: &[
            campaign(N1),
            prepare(N3, B0),
            promise(N1, B0, N3, &[]),
            propose(N1, 1),
            campaign(N2),
            prepare(N1, B1),
            promise(N2, B1, N1, &[(S0, B0, V0)]),
            propose(N2, 1),
            accept(N3, B1, S1, V1),
        ],
        ignored: &[accept(N3, B0, S0, V0), prepare(N3, B0)],
        ends: |state| promised(state, N3) == Some(B1) && vote(state, N3, S0).is_none(),
    },
    Scenario {
        name: "follower-hears-chosen",
        shows: "who neither promised nor voted learns the value, and a crash makes it forget it",
        bounds: Bounds::of(3, 1, 1),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            propose(N1, 1),
            accept(N2, B0, S0, V0),
            chosen(N3, B0, S0, V0),
            crash(N3),
            chosen(N3, B0, S0, V0),
        ],
        ignored: &[],
        ends: |state| knows(state, N3, S0) == Some(V0) && promised(state, N3).is_none(),
    },
    Scenario {
        name: "old-promise-does-not-count",
        shows: "a promise for an earlier ballot of the same candidate is not one for its new ballot",
        bounds: Bounds::of(3, 1, 3),
        actions: &[campaign(N1), prepare(N2, B0), crash(N1), campaign(N1)],
        ignored: &[promise(N1, B0, N2, &[])],
        ends: |state| campaigns(state, N1) && promised(state, N1) == Some(B2),
    },
    Scenario {
        name: "old-vote-does-not-count",
        shows: "a vote in an earlier ballot of the same leader is not one in its new ballot",
        bounds: Bounds::of(3, 1, 3),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            propose(N1, 1),
            accept(N2, B0, S0, V0),
            crash(N1),
            campaign(N1),
            prepare(N3, B2),
            promise(N1, B2, N3, &[]),
        ],
        ignored: &[accepted(N1, B0, S0, V0, N2)],
        ends: |state| {
            let proposes = leads(state, N1) && vote(state, N1, S0) == Some((B2, V0));
            proposes && knows(state, N1, S0).is_none()
        },
    },
    Scenario {
        name: "reports-fill-the-whole-log",
        shows: "what is reported is adopted in every slot, also where the new leader has no vote",
        bounds: Bounds::of(3, 2, 2),
        actions: &[
            campaign(N1),
            prepare(N3, B0),
            promise(N1, B0, N3, &[]),
            propose(N1, 2),
            crash(N1),
            campaign(N2),
            prepare(N1, B1),
            promise(N2, B1, N1, &[(S0, B0, V0), (S1, B0, V0)]),
        ],
        ignored: &[propose(N2, 1)],
        ends: |state| [S0, S1].iter().all(|&slot| vote(state, N2, slot) == Some((B1, V0))),
    },
    Scenario {
        name: "each-slot-adopts-its-own-highest-vote",
        shows: "the highest ballot in one slot says nothing about the others",
        bounds: Bounds::of(3, 2, 3),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            propose(N1, 1),
            campaign(N2),
            prepare(N3, B1),
            promise(N2, B1, N3, &[]),
            propose(N2, 2),
            accept(N3, B1, S1, V1),
            nack(N1, B1),
            campaign(N1),
            prepare(N3, B2),
            promise(N1, B2, N3, &[(S1, B1, V1)]),
        ],
        ignored: &[propose(N1, 1)],
        ends: |state| {
            vote(state, N1, S0) == Some((B2, V0)) && vote(state, N1, S1) == Some((B2, V1))
        },
    },
    Scenario {
        name: "overtaken-vote-is-reported-again",
        shows: "a promise that is asked for again reports the same vote, though a higher ballot was promised",
        bounds: Bounds::of(3, 1, 2),
        actions: &[
            campaign(N1),
            prepare(N3, B0),
            promise(N1, B0, N3, &[]),
            propose(N1, 1),
            accept(N3, B0, S0, V0),
            campaign(N2),
            prepare(N3, B1),
        ],
        ignored: &[prepare(N3, B1), accept(N3, B0, S0, V0)],
        ends: |state| promised(state, N3) == Some(B1) && vote(state, N3, S0) == Some((B0, V0)),
    },
    Scenario {
        name: "no-promise-after-the-vote",
        shows: "whoever has voted in a ballot does not answer its Prepare any more",
        bounds: Bounds::of(3, 1, 1),
        actions: &[
            campaign(N1),
            prepare(N2, B0),
            promise(N1, B0, N2, &[]),
            propose(N1, 1),
            accept(N3, B0, S0, V0),
        ],
        ignored: &[prepare(N3, B0), accept(N3, B0, S0, V0)],
        ends: |state| promised(state, N3) == Some(B0) && vote(state, N3, S0) == Some((B0, V0)),
    },
];
