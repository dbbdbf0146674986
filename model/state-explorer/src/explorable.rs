//! The interface between a model and the explorer.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;
use stateright::Model;

use super::packing::{Packer, Unpacker};

/// A model that [`explore`](super::explore) can search.
///
/// Its `next_state` must return `None` for an action that leaves the state unchanged.
pub trait Explorable:
    Model<State: Clone + Debug + Eq + Hash + Send + Sync + 'static, Action: Clone + PartialEq>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// The names of the kinds of actions, at most [`Tally::KINDS`]. [`kind`](Self::kind) returns an index into this list.
    const KINDS: &'static [&'static str];

    /// True if all paths from initial states to a state have the same length. A search then reaches a state again only at the
    /// same depth.
    const GRADED: bool = false;

    /// Returns the name of the model with its bounds, in one line.
    fn title(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// Returns a text that is equal for two models only if they have the same states and steps. Processes that explore
    /// together compare their texts. A run that resumes compares its text with that of the checkpoint.
    fn identity(&self) -> String {
        self.title()
    }

    /// Returns the command-line options that make this model, each as its name and its text: `("managers",
    /// "--managers 3")`. Error messages use them to say how two models differ.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Returns the kind of an action, as an index into [`KINDS`](Self::KINDS).
    fn kind(action: &Self::Action) -> usize;

    /// Returns true if the bounds exclude all actions of a kind. Otherwise the report warns if no such action was
    /// taken.
    fn leaves_out(&self, _kind: usize) -> bool {
        false
    }

    /// Returns the model with only one of its properties.
    #[must_use]
    fn only(&self, property: &'static str) -> Self;

    /// Returns an action as a text for people.
    fn describe(&self, action: &Self::Action) -> String;

    /// Returns a state as a text for people.
    fn render(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// Returns the packing of states, if there is one. [`Engine::Timely`](super::Engine::Timely) needs it.
    fn packing(&self) -> Option<&dyn Packing<Self::State>> {
        None
    }

    /// Returns the symmetry of the model, if it has one.
    fn symmetry(&self) -> Option<&dyn Symmetry<Self::State>> {
        None
    }

    /// Returns false only if no path leads from `state` to `target`. It is always correct to return true. The more
    /// often this returns false, the cheaper is the search for a path to a state that is known to be reachable.
    fn may_lead_to(&self, _state: &Self::State, _target: &Self::State) -> bool {
        true
    }

    /// Returns the model with smaller bounds, from which [`estimate`](super::estimate()) extrapolates. `None` for the
    /// smallest.
    fn smaller(&self) -> Option<Self> {
        None
    }
}

/// Converts states to a few 64-bit words, and back.
pub trait Packing<S>: Sync {
    /// Writes a state. Each state of one model must use the same [radices](Packer::push) in the same order, because the
    /// first state determines the size of all states.
    fn pack(&self, state: &S, packer: &mut Packer);

    /// Reads the state that [`Packing::pack`] wrote.
    fn unpack(&self, unpacker: &mut Unpacker<'_>) -> S;
}

/// The renamings that change neither the behaviours nor the properties of a model. A model numbers some things that are
/// alike, such as nodes. A renaming gives them other numbers.
///
/// Of all states that differ only by a renaming, one is the *representative*.
pub trait Symmetry<S>: Sync {
    /// Returns the renamed things in words, for example "managers".
    fn what(&self) -> String;

    /// Returns the renaming of a state to its representative, or none if the state is the representative.
    fn names(&self, state: &S) -> Option<Names>;

    /// Returns a state after a renaming.
    fn rename(&self, state: S, names: &Names) -> S;

    /// Returns the number of states that differ from a state only by a renaming, including the state itself.
    fn orbit(&self, state: &S) -> u64;

    /// Returns the representative of a state.
    fn canonical(&self, state: S) -> S {
        match self.names(&state) {
            None => state,
            Some(names) => self.rename(state, &names),
        }
    }
}

/// A renaming: the new numbers of the things that are alike, by their old numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(SmallVec<[u8; 8]>);

impl Names {
    /// Returns the renaming that puts things into descending order, or none if all are in order. The things have
    /// the numbers from `first` on. The renaming keeps all numbers below `first`. Equal things keep their order.
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

    /// Returns the renaming of `count` things that changes no number.
    pub fn unchanged(count: u8) -> Self {
        Self((0..count).collect())
    }

    /// Returns one renaming for two kinds of things: first those of `self`, then those of `others`. To look up a
    /// thing of the second kind, pass to [`of`](Self::of) its old number plus the number of things in `self`. `of` then returns
    /// its new number within the second kind, counted from 0.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Returns the new number of a thing.
    ///
    /// # Panics
    /// Panics if there is no such thing.
    pub fn of(&self, thing: usize) -> u8 {
        self.0[thing]
    }
}

/// Returns the number of distinct orders of some things, of which some may be equal.
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
            // The division is exact: `ways` is a multinomial coefficient before and after each step.
            ways = ways.saturating_mul(placed) / one;
        }
    }
    ways
}

/// Counts the actions of each kind.
#[derive(Default, Debug)]
pub struct Tally {
    counts: [AtomicU64; Self::KINDS],
}

impl Tally {
    /// The greatest number of kinds.
    pub const KINDS: usize = 32;

    /// Counts one action.
    pub fn count(&self, kind: usize) {
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of counted actions of a kind.
    pub fn get(&self, kind: usize) -> u64 {
        self.counts[kind].load(Ordering::Relaxed)
    }
}
