//! Exploring a model, and not claiming more than was explored.
//!
//! [`explore`] hands a model to stateright and turns what comes back into a [`Report`]. It adds
//! nothing to the search itself; what it adds is distrust, since a search that ends is easily taken
//! for a search that is complete. What is known of stateright 0.31.0 and dealt with here:
//!
//! - A search with a limit counts as done when it hits it, and its own time limit is never looked
//!   at by a single worker. So limits are watched from outside and end in
//!   [`Verdict::Inconclusive`].
//! - A worker that panics may go unnoticed. So workers are joined one by one.
//! - A model without an `always` property may be left half explored, since a search goes no further
//!   from a state in which every property has been settled. So such a model never holds.
//! - Breadth-first search with several properties overwrites a short counterexample with a later
//!   one. So each violated property is searched for once more, alone.
//! - `eventually` properties miss cycles. So one without a counterexample is undecided.
//! - Visited states are fingerprints of 64 bits. So the report says how many are expected to
//!   have been mistaken for others.

mod behaviour;
mod progress;
mod report;

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use itertools::Itertools as _;
use stateright::{Checker, CheckerBuilder, HasDiscoveries, Model, Path};

pub use self::behaviour::Behaviour;
pub use self::report::{Counterexample, Expectation, Finding, PropertyReport, Report, Step};

use self::progress::Progress;
use crate::verdict::Verdict;

/// A model that [`explore`] can run.
///
/// Its `next_state` must [count](Tally::count) every step that it returns, and return no step that
/// leaves the state as it was.
pub trait Explorable:
    Model<
        State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
        Action: Clone + PartialEq,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The kinds of actions; the least of them is kind 0. At most [`Tally::KINDS`].
    const KINDS: &'static [&'static str];

    /// Whether all paths to a state are equally long, so that any search knows how deep it is.
    const GRADED: bool = false;

    /// What is explored, bounds included, in one line.
    fn title(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// The index of the kind of an action.
    fn kind(action: &Self::Action) -> usize;

    /// Where the model counts its steps.
    fn tally(&self) -> &Tally;

    /// The same model with only one of its properties.
    #[must_use]
    fn only(&self, property: &'static str) -> Self;

    /// An action, for people.
    fn describe(&self, action: &Self::Action) -> String;

    /// A state, for people.
    fn render(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

/// How often each kind of action was taken, counted by the model while it is explored.
///
/// It is also where a search is called off, because it is the one place that all workers
/// pass all the time.
#[derive(Default, Debug)]
pub struct Tally {
    counts: [AtomicU64; Self::KINDS],
    called_off: AtomicBool,
}

impl Tally {
    /// How many kinds can be told apart.
    pub const KINDS: usize = 32;

    /// Counts one step of a kind.
    pub fn count(&self, kind: usize) {
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
        if self.called_off.load(Ordering::Relaxed) {
            // Unwinds the worker without a word, for nothing went wrong. There is no gentler way:
            // a worker of stateright looks at nothing but the number of states.
            resume_unwind(Box::new(CalledOff));
        }
    }

    /// How many steps of a kind were counted.
    pub fn get(&self, kind: usize) -> u64 {
        self.counts[kind].load(Ordering::Relaxed)
    }
}

impl Clone for Tally {
    /// A fresh tally: the counts belong to a run, not to the model.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What a worker unwinds with when its search is called off.
struct CalledOff;

/// In which order states are visited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Engine {
    /// Nearest first: finds shortest counterexamples, and knows the depth.
    #[default]
    Bfs,
    /// Deepest first: takes less time and much less memory.
    Dfs,
}

/// How to explore.
#[derive(Clone, Debug)]
pub struct Options {
    /// In which order.
    pub engine: Engine,
    /// By how many workers. With more than one neither order is strict.
    pub threads: NonZeroUsize,
    /// For how long at most; the search for a shortest counterexample included.
    pub timeout: Option<Duration>,
    /// Until how many distinct states are known. A search may overshoot a little.
    pub max_states: Option<usize>,
    /// Whether to show progress on standard error.
    pub progress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            threads: NonZeroUsize::MIN,
            timeout: None,
            max_states: None,
            progress: false,
        }
    }
}

/// Explores a model until an `always` property fails, a limit is hit, or nothing is left.
pub fn explore<M: Explorable>(model: &M, options: &Options) -> Report {
    assert!(M::KINDS.len() <= Tally::KINDS, "a tally has no room for so many kinds");
    let properties = model.properties();
    assert!(
        properties.iter().map(|property| property.name).all_unique(),
        "findings are told apart by the names of properties"
    );
    let deadline = options.timeout.and_then(Deadline::after);
    let mut search = Search::run(model, options, deadline, &model.title());

    let violated = |name, expectation: &stateright::Expectation| {
        expectation.discovery_is_failure() && search.discoveries.contains_key(name)
    };
    let any_violated = properties.iter().any(|p| violated(p.name, &p.expectation));
    let unsettled = properties.iter().any(|p| p.expectation == stateright::Expectation::Eventually);
    let settling = properties.iter().any(|p| p.expectation == stateright::Expectation::Always);
    let verdict = if any_violated {
        Verdict::Violated
    } else if let Some(why) = search.cut_short.take() {
        Verdict::Inconclusive { why }
    } else if !settling {
        let why = "without an always property the search may have skipped states".to_owned();
        Verdict::Inconclusive { why }
    } else if unsettled {
        let why = "the search cannot establish an eventually property".to_owned();
        Verdict::Inconclusive { why }
    } else {
        Verdict::Holds
    };
    // Nothing was cut short, and no failure or lack of properties ended the search early.
    let complete = search.ran_out && settling && !any_violated;

    let warnings = if complete {
        warnings::<M>(&search, &properties)
    } else {
        // A violation is one however the search ended, but how it ended is not to be lost.
        search.cut_short.take().into_iter().collect()
    };
    let properties = properties
        .into_iter()
        .map(|property| {
            use stateright::Expectation as E;
            let expectation = match property.expectation {
                E::Always => Expectation::Always,
                E::Eventually => Expectation::Eventually,
                E::Sometimes => Expectation::Sometimes,
            };
            let discovery = search.discoveries.remove(property.name);
            let finding = match (expectation, &discovery) {
                (Expectation::Sometimes, Some(_)) => Finding::Seen,
                (Expectation::Always | Expectation::Eventually, Some(_)) => Finding::Violated,
                (Expectation::Always, None) if complete => Finding::Holds,
                (Expectation::Sometimes, None) if complete => Finding::Never,
                (_, None) => Finding::Undecided,
            };
            let counterexample = discovery.filter(|_| finding == Finding::Violated).map(|found| {
                // Only of the failure of a state can it be said that none is nearer.
                let has_nearest = expectation == Expectation::Always;
                let nearest = has_nearest.then(|| nearest(model, property.name, options, deadline));
                counterexample(model, found, nearest.flatten())
            });
            PropertyReport { name: property.name, expectation, finding, counterexample }
        })
        .collect();

    Report {
        model: model.title(),
        verdict,
        complete,
        states: search.states,
        transitions: search.transitions,
        depth: search.depth,
        seconds: search.seconds,
        properties,
        actions: search.actions,
        engine: engine(options),
        expected_missed: expected_missed(search.states),
        warnings,
    }
}

fn engine(options: &Options) -> String {
    let order = match options.engine {
        Engine::Bfs => "breadth-first",
        Engine::Dfs => "depth-first",
    };
    let plural = if options.threads == NonZeroUsize::MIN { "" } else { "s" };
    format!("stateright, {order}, {} thread{plural}", options.threads)
}

/// Expected number of collisions among as many fingerprints of 64 bits.
#[expect(clippy::cast_precision_loss, reason = "an estimate of an order of magnitude")]
fn expected_missed(states: usize) -> f64 {
    (states as f64).powi(2) / 2_f64.powi(65)
}

/// What a complete search that found no failure should have found, and did not.
fn warnings<M: Explorable>(
    search: &Search<M>,
    properties: &[stateright::Property<M>],
) -> Vec<String> {
    let mut warnings = Vec::new();
    for property in properties {
        if property.expectation == stateright::Expectation::Sometimes
            && !search.discoveries.contains_key(property.name)
        {
            warnings.push(format!("never seen: {}", property.name));
        }
    }
    for (kind, count) in &search.actions {
        if *count == 0 {
            warnings.push(format!("no {kind} was ever taken"));
        }
    }
    let counted: u64 = search.actions.values().sum();
    if counted != search.transitions as u64 {
        warnings.push(format!(
            "the model counted {counted} steps, the search {} transitions",
            search.transitions
        ));
    }
    warnings
}

/// The shortest path to a state where a property is false, if one can be had within the limits.
fn nearest<M: Explorable>(
    model: &M,
    property: &'static str,
    options: &Options,
    deadline: Option<Deadline>,
) -> Option<Path<M::State, M::Action>> {
    let options = Options { engine: Engine::Bfs, threads: NonZeroUsize::MIN, ..options.clone() };
    let label = format!("{}, shortest counterexample", model.title());
    let mut search = Search::run(&model.only(property), &options, deadline, &label);
    search.discoveries.remove(property)
}

/// The nearest failure as the counterexample, or else the one that was found first.
fn counterexample<M: Explorable>(
    model: &M,
    found: Path<M::State, M::Action>,
    nearest: Option<Path<M::State, M::Action>>,
) -> Counterexample {
    let shortest = nearest.is_some();
    let mut steps = Vec::new();
    let mut action = None;
    for (state, next) in nearest.unwrap_or(found).into_vec() {
        steps.push(Step { action: action.take(), state: model.render(&state) });
        action = next.map(|next| model.describe(&next));
    }
    Counterexample { shortest, steps }
}

/// When a time limit will be up, for all the searches that share it.
#[derive(Clone, Copy)]
struct Deadline {
    timeout: Duration,
    at: Instant,
}

impl Deadline {
    /// None if that is further away than any clock goes.
    fn after(timeout: Duration) -> Option<Self> {
        Instant::now().checked_add(timeout).map(|at| Self { timeout, at })
    }
}

/// What one search did.
struct Search<M: Model> {
    /// Whether it ended by itself: it found a failure, or nothing was left.
    ran_out: bool,
    /// Why it did not, if it did not.
    cut_short: Option<String>,
    states: usize,
    transitions: usize,
    depth: Option<usize>,
    seconds: f64,
    actions: BTreeMap<&'static str, u64>,
    discoveries: HashMap<&'static str, Path<M::State, M::Action>>,
}

impl<M: Explorable> Search<M> {
    fn run(model: &M, options: &Options, deadline: Option<Deadline>, label: &str) -> Self {
        let builder: CheckerBuilder<M> = model
            .clone()
            .checker()
            .threads(options.threads.get())
            .finish_when(HasDiscoveries::AnyFailures);
        let progress = Progress::new(options.progress, label);
        match options.engine {
            Engine::Bfs => Self::watch(builder.spawn_bfs(), options, deadline, progress),
            Engine::Dfs => Self::watch(builder.spawn_dfs(), options, deadline, progress),
        }
    }

    fn watch<C: Checker<M>>(
        mut checker: C,
        options: &Options,
        deadline: Option<Deadline>,
        mut progress: Progress,
    ) -> Self {
        let started = Instant::now();
        let workers = checker.handles();
        let mut limit = None;
        // Short searches are not to wait for a long nap, nor long ones to be woken all the time.
        let mut nap = Duration::from_micros(100);
        while !workers.iter().all(thread::JoinHandle::is_finished) {
            thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(10));
            if limit.is_some() {
                continue;
            }
            let states = || checker.unique_state_count();
            if let Some(passed) = deadline.filter(|deadline| Instant::now() >= deadline.at) {
                limit = Some(format!("the time limit of {:?}", passed.timeout));
            } else if let Some(most) = options.max_states.filter(|most| states() > *most) {
                limit = Some(format!("the limit of {most} states"));
            }
            if limit.is_some() {
                checker.model().tally().called_off.store(true, Ordering::Relaxed);
            }
            progress.show(|| (states(), checker.max_depth()));
        }
        let ends: Vec<_> = workers.into_iter().map(thread::JoinHandle::join).collect();
        let seconds = started.elapsed().as_secs_f64();
        drop(progress);

        // The counts come before the discoveries, whose paths are replayed through the model.
        let model = checker.model();
        model.tally().called_off.store(false, Ordering::Relaxed);
        let actions =
            M::KINDS.iter().enumerate().map(|(i, kind)| (*kind, model.tally().get(i))).collect();
        let initial =
            model.init_states().iter().filter(|state| model.within_boundary(state)).count();
        let states = checker.unique_state_count();
        let ran_out = ends.iter().all(Result::is_ok);
        // A panic weighs more than a limit that was hit meanwhile.
        let panicked = ends.iter().filter_map(|end| end.as_ref().err()).find_map(panic_message);
        let cut_short = (!ran_out).then(|| match (panicked, limit) {
            (Some(message), _) => format!("a worker panicked after {states} states: {message}"),
            (None, Some(limit)) => format!("{limit} was reached, after {states} states"),
            (None, None) => format!("called off after {states} states"),
        });
        let knows_depth =
            options.threads == NonZeroUsize::MIN && (options.engine == Engine::Bfs || M::GRADED);
        Self {
            ran_out,
            cut_short,
            states,
            transitions: checker.state_count() - initial,
            depth: knows_depth.then(|| checker.max_depth()),
            seconds,
            actions,
            discoveries: checker.discoveries(),
        }
    }
}

/// What a worker said when it panicked; nothing if it was called off.
fn panic_message(payload: &Box<dyn Any + Send>) -> Option<String> {
    if payload.is::<CalledOff>() {
        return None;
    }
    let message = payload.downcast_ref::<&str>().map(ToString::to_string);
    let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
    Some(message.unwrap_or_else(|| "no message".to_owned()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use stateright::Property;

    use super::*;

    /// Counts up to `end` by one or by two, and can be told to misbehave.
    #[derive(Clone, Default)]
    struct Counter {
        end: u32,
        panics_at: Option<u32>,
        properties: Vec<(&'static str, Property<Counter>)>,
        tally: Tally,
    }

    impl Counter {
        fn to(end: u32) -> Self {
            Self { end, ..Self::default() }
        }

        fn with(mut self, property: Property<Self>) -> Self {
            self.properties.push((property.name, property));
            self
        }

        fn with_always(self) -> Self {
            self.with(Property::always("is in bounds", |model: &Self, n| *n <= model.end))
        }
    }

    impl Model for Counter {
        type State = u32;
        type Action = u32;

        fn init_states(&self) -> Vec<u32> {
            vec![0]
        }

        fn actions(&self, state: &u32, actions: &mut Vec<u32>) {
            assert!(self.panics_at.is_none_or(|at| *state != at), "this is {state}");
            actions.extend((1..=2).filter(|by| state + by <= self.end));
        }

        fn next_state(&self, state: &u32, by: u32) -> Option<u32> {
            self.tally.count(Self::kind(&by));
            Some(state + by)
        }

        fn properties(&self) -> Vec<Property<Self>> {
            self.properties.iter().map(|(_, property)| property.clone()).collect()
        }
    }

    impl Explorable for Counter {
        const KINDS: &'static [&'static str] = &["one", "two", "three"];

        fn kind(by: &u32) -> usize {
            *by as usize - 1
        }

        fn tally(&self) -> &Tally {
            &self.tally
        }

        fn only(&self, property: &'static str) -> Self {
            let mut alone = self.clone();
            alone.properties.retain(|(name, _)| *name == property);
            alone
        }

        fn describe(&self, by: &u32) -> String {
            format!("add {by}")
        }
    }

    fn dfs() -> Options {
        Options { engine: Engine::Dfs, ..Options::default() }
    }

    fn two_threads() -> Options {
        Options { threads: NonZeroUsize::MIN.saturating_add(1), ..Options::default() }
    }

    fn why(report: &Report) -> &str {
        match &report.verdict {
            Verdict::Inconclusive { why } => why,
            verdict => panic!("{verdict} is not inconclusive"),
        }
    }

    #[test]
    fn a_complete_search_holds_and_counts() {
        for (options, depth) in
            [(Options::default(), Some(6)), (dfs(), None), (two_threads(), None)]
        {
            let report = explore(&Counter::to(10).with_always(), &options);
            assert_eq!(report.verdict, Verdict::Holds);
            assert!(report.complete);
            assert_eq!((report.states, report.transitions), (11, 19));
            assert_eq!(report.actions, BTreeMap::from([("one", 10), ("three", 0), ("two", 9)]));
            assert_eq!(report.depth, depth);
            assert_eq!(report.warnings, ["no three was ever taken"]);
        }
    }

    #[test]
    fn what_never_happens_is_a_warning() {
        let model =
            Counter::to(10).with_always().with(Property::sometimes("it is 11", |_, n| *n == 11));
        let report = explore(&model, &Options::default());
        assert_eq!(report.verdict, Verdict::Holds);
        assert_eq!(report.properties[1].finding, Finding::Never);
        assert_eq!(report.warnings[0], "never seen: it is 11");
    }

    #[test]
    fn counterexamples_are_the_shortest_whatever_searched() {
        // Later failures, within the same block of work, would overwrite the first.
        let model = Counter::to(1000)
            .with_always()
            .with(Property::always("is below 7", |_, n| *n < 7))
            .with(Property::sometimes("is 900", |_, n| *n == 900));
        for options in [Options::default(), dfs(), two_threads()] {
            let report = explore(&model, &options);
            assert_eq!(report.verdict, Verdict::Violated);
            assert_eq!(report.verdict.exit_code(), 1);
            assert!(!report.complete);
            assert_eq!(report.properties[0].finding, Finding::Undecided);
            let found = report.properties[1].counterexample.as_ref().expect("it is violated");
            assert!(found.shortest);
            // 2 + 2 + 2 + 1, or any other way in four steps.
            assert_eq!(found.steps.len(), 1 + 4);
            assert_eq!(found.steps[0], Step { action: None, state: "0".to_owned() });
        }
    }

    #[test]
    #[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
    fn a_failure_is_shown_step_by_step() {
        let model = Counter::to(4).with(Property::always("is below 3", |_, n| *n < 3));
        let report = Report {
            model: "a counter".to_owned(),
            seconds: 0.5,
            ..explore(&model, &Options::default())
        };
        expect![[r#"
            a counter

            verdict      violated
            states       5
            transitions  6
            depth        3
            seconds      0.50
            engine       stateright, breadth-first, 1 thread
            missed       7e-19 states expected

            always       is below 3  violated

            action       one    3
            action       three  0
            action       two    3

            is below 3 fails after 2 steps (shortest):
               0  initially
                    0
               1  add 1
                    1
               2  add 2
                    3
        "#]]
        .assert_eq(&report.to_string());
    }

    #[test]
    fn a_path_that_cannot_be_shortened_in_time_is_shown_as_it_is() {
        let model =
            Counter::to(1000).with_always().with(Property::always("is below 500", |_, n| *n < 500));
        let mut search = Search::run(&model, &dfs(), None, "");
        let found = search.discoveries.remove("is below 500").expect("it is violated");
        let out_of_time = Deadline::after(Duration::ZERO);
        // The nearest failure of this one is too far away to be found before the clock is read.
        let far = Counter { end: 100_000_000, ..model.clone() }
            .with(Property::always("is not far", |_, n| *n < 99_999_999));
        let none = nearest(&far, "is not far", &dfs(), out_of_time);
        assert!(none.is_none());
        let shown = counterexample(&model, found, none);
        assert!(!shown.shortest);
        assert!(shown.steps.len() > 250);
    }

    #[test]
    fn limits_make_a_search_inconclusive() {
        let model = Counter::to(u32::MAX - 2).with_always();
        for engine in [Engine::Bfs, Engine::Dfs] {
            for threads in [1, 2] {
                let base = Options {
                    engine,
                    threads: NonZeroUsize::new(threads).expect("positive"),
                    ..Options::default()
                };
                // Memory grows with the length of paths here, so both limits are small.
                let by_states = Options { max_states: Some(100), ..base.clone() };
                let report = explore(&model, &by_states);
                assert!(why(&report).starts_with("the limit of 100 states was reached"));
                assert!(!report.complete);
                assert_eq!(report.properties[0].finding, Finding::Undecided);
                assert_eq!(report.warnings, [""; 0]);

                let by_time = Options { timeout: Some(Duration::from_millis(20)), ..base };
                let report = explore(&model, &by_time);
                assert!(why(&report).starts_with("the time limit of 20ms was reached"));
                assert_eq!(report.verdict.exit_code(), 3);
            }
        }
    }

    #[test]
    fn a_panic_is_never_a_pass() {
        let model = Counter { panics_at: Some(5), ..Counter::to(10) }.with_always();
        for options in [Options::default(), dfs(), two_threads()] {
            let report = explore(&model, &options);
            assert!(why(&report).starts_with("a worker panicked after "));
            assert!(why(&report).ends_with(" states: this is 5"));
        }
    }

    #[test]
    fn without_an_always_property_nothing_holds() {
        let model = Counter::to(10).with(Property::sometimes("it is small", |_, n| *n < 3));
        let report = explore(&model, &Options::default());
        assert!(why(&report).contains("always property"));
        assert!(!report.complete);
        let report = explore(&Counter::to(10), &Options::default());
        assert!(why(&report).contains("always property"));
    }

    #[test]
    fn eventually_is_not_established() {
        let model =
            Counter::to(10).with_always().with(Property::eventually("it is 10", |_, n| *n == 10));
        let report = explore(&model, &Options::default());
        assert_eq!(report.properties[1].finding, Finding::Undecided);
        assert!(why(&report).contains("eventually"));

        let model =
            Counter::to(10).with_always().with(Property::eventually("it is 11", |_, n| *n == 11));
        let report = explore(&model, &Options::default());
        assert_eq!(report.verdict, Verdict::Violated);
        let found = report.properties[1].counterexample.as_ref().expect("it is violated");
        assert!(!found.shortest);
    }
}
