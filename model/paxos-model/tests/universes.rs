//! The rules do the same in the small universe, which is explored, and in the unbounded universe.
//!
//! Both universes run one text of the rules. A difference can only come from the universes: a set that counts wrongly, a log
//! that forgets too much, a ballot that is not the next one. The tests take each step of random walks through a small cluster in
//! the unbounded universe as well, and compare all results of the step. A correct walk meets each handler. The comparison
//! notices a rule that is broken on one side only.

use paxos_model::cluster::{
    Action, Bounds, Bug, Cluster,
    node::{
        message::Message,
        rules::Rules,
        small::Small,
        state::{Acceptor, Live, Reads, Role, Round, Vote},
        step::{Answer, Input, Nack, Step},
        unbounded::{self, Unbounded},
        universe::{Set as _, SlotMap as _, Thing, Universe},
    },
    state::State,
    types,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use state_explorer::Explorable as _;
use stateright::Model as _;

/// Translates nodes, ballots, slots and values of the small universe into the unbounded universe.
#[derive(Clone, Copy)]
struct Embedding(Bounds);

fn node(types::NodeId(node): types::NodeId) -> unbounded::NodeId {
    unbounded::NodeId(u64::from(node) * 10 + 3)
}

fn slot(types::Slot(slot): types::Slot) -> unbounded::Slot {
    unbounded::Slot(slot.into())
}

fn read_round(round: u8) -> unbounded::ReadRound {
    unbounded::ReadRound(round.into())
}

fn mapped<T: Thing + Default, V: Thing + Default>(
    log: &types::Log<T>,
    f: impl Fn(T) -> V,
) -> unbounded::Log<V> {
    let mut filled = unbounded::Log::default();
    for (at, thing) in log.filled() {
        filled.put(slot(at), f(thing));
    }
    filled
}

impl Embedding {
    fn nodes(self, set: types::NodeSet) -> unbounded::NodeSet {
        let nodes = (0..self.0.nodes).map(types::NodeId).filter(|node| set.has(*node));
        nodes.fold(unbounded::NodeSet::default(), |set, member| set.with(node(member)))
    }

    fn ballot(self, ballot: types::Ballot) -> unbounded::Ballot {
        let round = u64::from(ballot.0 / self.0.campaigners) + 1;
        unbounded::Ballot { round, owner: node(self.0.owner(ballot)) }
    }

    fn value(self, value: types::Value) -> unbounded::Value {
        if value == self.0.noop() {
            return unbounded::Value::Noop;
        }
        unbounded::Value::Command(format!("value {}", value.0).into_bytes().into())
    }

    fn vote(self, Vote { ballot, value }: Vote<Small>) -> Vote<Unbounded> {
        Vote { ballot: self.ballot(ballot), value: self.value(value) }
    }

    fn votes(
        self,
        log: &types::Log<Option<Vote<Small>>>,
    ) -> unbounded::Log<Option<Vote<Unbounded>>> {
        mapped(log, |vote| vote.map(|vote| self.vote(vote)))
    }

    fn acceptor(self, acceptor: &Acceptor<Small>) -> Acceptor<Unbounded> {
        let Acceptor { promised, votes, trimmed } = acceptor;
        let promised = promised.map(|ballot| self.ballot(ballot));
        Acceptor { promised, votes: self.votes(votes), trimmed: slot(*trimmed) }
    }

    fn role(self, role: &Role<Small>) -> Role<Unbounded> {
        match role {
            Role::Follower => Role::Follower,
            Role::Candidate { first, heard, reported, trimmed } => Role::Candidate {
                first: slot(*first),
                heard: self.nodes(*heard),
                reported: self.votes(reported),
                trimmed: slot(*trimmed),
            },
            Role::Leader { votes, reads: Reads { barrier, rounds, under_way, waits } } => {
                let round =
                    |Round { heard, index }| Round { heard: self.nodes(heard), index: slot(index) };
                Role::Leader {
                    votes: mapped(votes, |voters| self.nodes(voters)),
                    reads: Reads {
                        barrier: slot(*barrier),
                        rounds: read_round(*rounds),
                        under_way: under_way.map(round),
                        waits: *waits,
                    },
                }
            }
        }
    }

    fn live(self, Live { acceptor, role, chosen }: &Live<Small>) -> Live<Unbounded> {
        Live {
            acceptor: self.acceptor(acceptor),
            role: self.role(role),
            chosen: mapped(chosen, |value| value.map(|value| self.value(value))),
        }
    }

    fn message(self, message: &Message<Small>) -> Message<Unbounded> {
        let ballot = self.ballot(message.ballot());
        match *message {
            Message::Prepare { first, .. } => Message::Prepare { ballot, first: slot(first) },
            Message::Promise { from, trimmed, reports, .. } => Message::Promise {
                ballot,
                from: node(from),
                trimmed: slot(trimmed),
                reports: self.votes(&reports),
            },
            Message::Accept { slot: at, value, .. } => {
                Message::Accept { ballot, slot: slot(at), value: self.value(value) }
            }
            Message::Accepted { slot: at, value, from, .. } => Message::Accepted {
                ballot,
                slot: slot(at),
                value: self.value(value),
                from: node(from),
            },
            Message::Confirm { round, .. } => Message::Confirm { ballot, round: read_round(round) },
            Message::Confirmed { round, from, .. } => {
                let (round, from) = (read_round(round), node(from));
                Message::Confirmed { ballot, round, from }
            }
        }
    }

    fn input(self, input: &Input<Small>) -> Input<Unbounded> {
        match *input {
            Input::Campaign => Input::Campaign,
            Input::Propose { request } => {
                let request = request.into_iter().map(|value| self.value(value)).collect();
                Input::Propose { request }
            }
            Input::Message(message) => Input::Message(self.message(&message)),
            Input::Nack { ballot, promised } => {
                Input::Nack { ballot: self.ballot(ballot), promised: self.ballot(promised) }
            }
            Input::Chosen { slot: at, value } => {
                Input::Chosen { slot: slot(at), value: self.value(value) }
            }
            Input::Snapshot { below } => Input::Snapshot { below: slot(below) },
            Input::Read => Input::Read,
        }
    }

    fn step(self, step: &Step<Small>) -> Step<Unbounded> {
        let Step { live, messages, nack, announced, answer } = step;
        let nack = nack.map(|Nack { ballot, promised }| Nack {
            ballot: self.ballot(ballot),
            promised: self.ballot(promised),
        });
        let answer = answer
            .map(|Answer { round, index }| Answer { round: read_round(round), index: slot(index) });
        Step {
            live: self.live(live),
            messages: messages.iter().map(|message| self.message(message)).collect(),
            nack,
            announced: announced.iter().map(|&at| slot(at)).collect(),
            answer,
        }
    }

    fn rules(self, bug: Option<Bug>) -> Rules<Unbounded> {
        let Bounds { nodes, phase1_quorum, phase2_quorum, .. } = self.0;
        let nodes = (0..nodes).map(|number| node(types::NodeId(number)));
        let limits = unbounded::Membership::new(nodes, phase1_quorum.into(), phase2_quorum.into());
        Rules { limits: limits.expect("the quorums share a node"), bug }
    }
}

/// Returns true if the bounds of the small universe, and not the rules, determine the result of an input.
fn is_out_of_bounds(
    bounds: &Bounds,
    me: types::NodeId,
    live: &Live<Small>,
    input: &Input<Small>,
) -> bool {
    match input {
        Input::Campaign => bounds.next_ballot(me, live.acceptor.promised).is_none(),
        Input::Propose { .. } => true,
        Input::Read => live.reads().is_some_and(|reads| reads.rounds == bounds.reads),
        _ => false,
    }
}

fn bounds(nodes: u8, slots: u8, ballots: u8, quorums: (u8, u8)) -> Bounds {
    Bounds {
        phase1_quorum: quorums.0,
        phase2_quorum: quorums.1,
        campaigners: nodes.min(3),
        unsynced: 1,
        snapshots: true,
        reads: 3,
        ..Bounds::of(nodes, slots, ballots)
    }
}

/// Walks at random through a cluster, and returns the number of steps that were compared, by kind of action, or the
/// first difference. The rules of the unbounded side have the bug `there`.
fn walk(
    cluster: &Cluster,
    there: Option<Bug>,
    seed: u64,
    length: usize,
) -> Result<Vec<u64>, String> {
    let embedding = Embedding(*cluster.bounds());
    let rules = embedding.rules(there);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut compared = vec![0; Cluster::KINDS.len()];
    let start = cluster.init_states().remove(0);
    let mut state = start.clone();
    for _ in 0..length {
        let mut candidates = Vec::new();
        cluster.candidates(&state, |action| candidates.push(action));
        let action = candidates[random.random_range(0..candidates.len())];
        compare(cluster, &rules, &state, action, &mut compared)
            .map_err(|difference| format!("seed {seed}, {action:?} in\n{state:?}: {difference}"))?;
        // Crashes would keep the walk near its beginning.
        let crash = matches!(action, Action::Crash(_)) && random.random_ratio(3, 4);
        if !crash && let Some(next) = cluster.successor(&state, action) {
            state = next;
        } else if random.random_ratio(1, 400) {
            state = start.clone();
        }
    }
    Ok(compared)
}

fn compare(
    cluster: &Cluster,
    rules: &Rules<Unbounded>,
    state: &State,
    action: Action,
    compared: &mut [u64],
) -> Result<(), String> {
    let embedding = Embedding(*cluster.bounds());
    let Some((me, input)) = cluster.input(state, action) else { return Ok(()) };
    let live = &state.node(me).live;
    let here = cluster.step(me, live, input);
    let proposed = matches!(input, Input::Propose { .. }) && here.live != *live;
    if is_out_of_bounds(cluster.bounds(), me, live, &input) && !proposed {
        return Ok(());
    }
    let there = rules.step(node(me), embedding.live(live), embedding.input(&input));
    let here = embedding.step(&here);
    if here != there {
        return Err(format!("here {here:?}\nthere {there:?}"));
    }
    compared[Cluster::kind(&action)] += 1;
    Ok(())
}

#[test]
fn the_rules_do_the_same_in_both_universes() {
    let mut compared = vec![0; Cluster::KINDS.len()];
    for (number, quorums) in (0..).zip([(2, 2), (3, 1), (1, 3), (3, 3)]) {
        let cluster = Cluster::new(bounds(3, 3, 7, quorums)).expect("the bounds are good");
        let walked = walk(&cluster, None, number, 20_000).unwrap_or_else(|why| panic!("{why}"));
        compared.iter_mut().zip(walked).for_each(|(all, some)| *all += some);
    }
    for (kind, count) in Cluster::KINDS.iter().zip(&compared) {
        let an_input = !["sync", "crash"].contains(kind);
        assert_eq!(*count > 0, an_input, "{count} steps of {kind}");
    }
}

/// A broken rule is broken in both universes in the same way.
#[test]
fn bugs_do_the_same_in_both_universes() {
    for (number, &bug) in (0..).zip(Bug::ALL) {
        let cluster = Cluster::new(bounds(3, 2, 6, (2, 2))).expect("the bounds are good");
        walk(&cluster.with_bug(bug), Some(bug), number, 2_000).unwrap_or_else(|why| {
            panic!("bug {}: {why}", bug.label());
        });
    }
}

/// The comparison can fail: it notices a rule that is broken in one universe only.
#[test]
fn a_bug_in_one_universe_is_noticed() {
    for bug in [Bug::ReportsNothing, Bug::HalfIsQuorum, Bug::ReadsBelowGap, Bug::VotesOnlyOnce] {
        let cluster = Cluster::new(bounds(3, 2, 6, (2, 2))).expect("the bounds are good");
        let noticed = (0..20).any(|seed| walk(&cluster, Some(bug), seed, 5_000).is_err());
        assert!(noticed, "bug {} does not show", bug.label());
    }
}

/// The unbounded universe has more nodes, slots and ballots than any small universe.
#[test]
fn a_log_has_any_number_of_slots_and_ballots() {
    let nodes = (1..=9).map(unbounded::NodeId);
    let limits = unbounded::Membership::new(nodes, 5, 5).expect("the quorums share a node");
    let rules: Rules<Unbounded> = Rules { limits, bug: None };
    let (me, mut live) = (unbounded::NodeId(1), Live::<Unbounded>::default());
    live.acceptor.promised =
        Some(unbounded::Ballot { round: 1 << 40, owner: unbounded::NodeId(7) });
    live = rules.step(me, live, Input::Campaign).live;
    let ballot = live.acceptor.promised.expect("it campaigns");
    assert_eq!(ballot, unbounded::Ballot { round: (1 << 40) + 1, owner: me });
    for from in (2..=5).map(unbounded::NodeId) {
        let (trimmed, reports) = (unbounded::Slot(0), unbounded::Log::default());
        let promise = Message::Promise { ballot, from, trimmed, reports };
        live = rules.step(me, live, Input::Message(promise)).live;
    }
    let value = |number: u64| unbounded::Value::Command(number.to_le_bytes().to_vec().into());
    let request = (0..1_000).map(value).collect();
    live = rules.step(me, live, Input::Propose { request }).live;
    for from in (2..=5).map(unbounded::NodeId) {
        let (slot, value) = (unbounded::Slot(999), value(999));
        let accepted = Message::Accepted { ballot, slot, value, from };
        live = rules.step(me, live, Input::Message(accepted)).live;
    }
    assert_eq!(live.chosen.at(unbounded::Slot(999)), Some(value(999)));
    assert_eq!(live.chosen.at(unbounded::Slot(998)), None);
    assert!(unbounded::Membership::new((1..=4).map(unbounded::NodeId), 2, 2).is_none());
}

/// The tests use both universes through one interface.
#[test]
fn sets_count_alike() {
    fn counts<U: Universe>(nodes: &[U::NodeId]) -> Vec<(usize, bool)> {
        let mut set = U::NodeSet::default();
        let count = |node: &U::NodeId| {
            let known = set.has(*node);
            set = set.with(*node);
            (set.count(), known)
        };
        nodes.iter().map(count).collect()
    }
    let nodes = [0, 3, 3, 1, 0, 4, 2];
    let here = counts::<Small>(&nodes.map(types::NodeId));
    let there = counts::<Unbounded>(&nodes.map(|node| unbounded::NodeId(node.into())));
    assert_eq!(here, there);
}
