//! What a model says about itself so that it can be explored, and no engine's business.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;
use stateright::Model;

use super::packing::{Packer, Unpacker};

/// A model that [`explore`](super::explore) can run.
///
/// Its `next_state` must return no step that leaves the state as it was.
pub trait Explorable:
    Model<State: Clone + Debug + Eq + Hash + Send + Sync + 'static, Action: Clone + PartialEq>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// The kinds of actions; the least of them is kind 0. At most [`Tally::KINDS`].
    const KINDS: &'static [&'static str];

    /// Whether all paths to a state are equally long. Any search then knows how deep it is, and a state
    /// can only be met again in its own level.
    const GRADED: bool = false;

    /// What is explored, bounds included, in one line.
    fn title(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// All that makes two models the same: for processes that explore together, and for runs that go on
    /// from what another has kept.
    fn identity(&self) -> String {
        self.title()
    }

    /// The command-line options that make this model, each by its name and in words that say its value:
    /// `("managers", "--managers 3")`. They say how two models differ.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The index of the kind of an action.
    fn kind(action: &Self::Action) -> usize;

    /// Whether its bounds leave out a kind of actions, so that nobody need wonder that none was taken.
    fn leaves_out(&self, _kind: usize) -> bool {
        false
    }

    /// The same model with only one of its properties.
    #[must_use]
    fn only(&self, property: &'static str) -> Self;

    /// An action, for people.
    fn describe(&self, action: &Self::Action) -> String;

    /// A state, for people.
    fn render(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// How states are written exactly in a few bytes, if they can be.
    fn packing(&self) -> Option<&dyn Packing<Self::State>> {
        None
    }

    /// What can be renamed without making a difference, if anything can.
    fn symmetry(&self) -> Option<&dyn Symmetry<Self::State>> {
        None
    }

    /// Whether `target` might be reached from `state`. To answer yes is never wrong; to answer no where
    /// it is clear makes it cheap to find a way to a state that is known to be reachable.
    fn may_lead_to(&self, _state: &Self::State, _target: &Self::State) -> bool {
        true
    }

    /// The same model within a smaller bound: what its number of states can be guessed from.
    fn smaller(&self) -> Option<Self> {
        None
    }
}

/// States as a few words, and back.
pub trait Packing<S>: Sync {
    /// Writes a state. Every state of one model must take the same [radices](Packer::push) in the same
    /// order, so that how much room they take is known from the first.
    fn pack(&self, state: &S, packer: &mut Packer);

    /// Reads what [`Packing::pack`] wrote.
    fn unpack(&self, unpacker: &mut Unpacker<'_>) -> S;
}

/// The renamings that take behaviours to behaviours, and properties to themselves. A model has things that it numbers
/// and that are alike, such as nodes; a renaming gives them other numbers.
pub trait Symmetry<S>: Sync {
    /// Returns the things that are renamed, in words.
    fn what(&self) -> String;

    /// Returns the names that lead from a state to the one that stands for all that it can be renamed to. Returns
    /// none if it is that state.
    fn names(&self, state: &S) -> Option<Names>;

    /// Returns a state with other names.
    fn rename(&self, state: S, names: &Names) -> S;

    /// Returns the number of states that a state can be renamed to, itself included.
    fn orbit(&self, state: &S) -> u64;

    /// Returns the state that stands for all that a state can be renamed to.
    fn canonical(&self, state: S) -> S {
        match self.names(&state) {
            None => state,
            Some(names) => self.rename(state, &names),
        }
    }
}

/// The new numbers of the things that are alike, by their old numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(SmallVec<[u8; 8]>);

impl Names {
    /// Returns the names that put things into descending order. The things are numbered from `first`; those below keep
    /// their numbers, and equal things keep their order. Returns none if all are in order.
    pub fn sorting<T: Ord>(first: u8, things: &[T]) -> Option<Self> {
        if things.is_sorted_by(|a, b| a >= b) {
            return None;
        }
        let mut order: SmallVec<[usize; 8]> = (0..things.len()).collect();
        order.sort_by(|a, b| things[*b].cmp(&things[*a]));
        let mut names: SmallVec<[u8; 8]> = (0..first).collect();
        names.resize(usize::from(first) + things.len(), 0);
        for (new, old) in (first..).zip(order) {
            names[usize::from(first) + old] = new;
        }
        Some(Self(names))
    }

    /// Returns the names of `count` things that change none.
    pub fn unchanged(count: u8) -> Self {
        Self((0..count).collect())
    }

    /// Returns these names, with those of other things behind them.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Returns the new number of a thing.
    ///
    /// # Panics
    /// If there is no such thing.
    pub fn of(&self, thing: usize) -> u8 {
        self.0[thing]
    }
}

/// In how many ways some things, of which some may be equal, can be put in order.
pub fn arrangements<T: Ord>(mut things: SmallVec<[T; 8]>) -> u64
where
    [T; 8]: smallvec::Array<Item = T>,
{
    things.sort_unstable();
    let mut ways: u64 = 1;
    let mut placed: u64 = 0;
    for equal in things.chunk_by(|a, b| a == b) {
        for one in 1..=equal.len() as u64 {
            placed += 1;
            // Exact, for it is a binomial coefficient so far.
            ways = ways.saturating_mul(placed) / one;
        }
    }
    ways
}

/// How often each of some things happened.
#[derive(Default, Debug)]
pub struct Tally {
    counts: [AtomicU64; Self::KINDS],
}

impl Tally {
    /// How many kinds can be told apart.
    pub const KINDS: usize = 32;

    /// Counts one more of a kind.
    pub fn count(&self, kind: usize) {
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
    }

    /// How many of a kind were counted.
    pub fn get(&self, kind: usize) -> u64 {
        self.counts[kind].load(Ordering::Relaxed)
    }
}
