//! Exhaustive exploration of models, with reports that claim no more than was explored.
//!
//! [`explore`] passes a model to an engine, and turns the result into a [`Report`]. It doubts the result, because a search
//! that ends is easily taken for a search that is complete:
//!
//! - If a search was cut short, its verdict is never that the model holds. A limit, a signal, a panic, a full disk or too
//!   little memory cuts a search short.
//! - The verdict on a model without properties is inconclusive.
//! - The first failure that a search finds need not be the nearest one. Unless the engine finds shortest paths, a second
//!   search looks for the shortest counterexample. It is breadth-first, with one thread and one property.
//! - No engine establishes an `eventually` property, so such a property is undecided.
//! - A counterexample may be wrong as well. Before `explore` reports it, it replays the counterexample step by step from the
//!   initial state, and evaluates the property in the last state.
//!
//! The crate knows no protocol. It explores finite models, and proves nothing about infinite ones.
//!
//! # Modules, in reading order
//!
//! - `explorable`: the interface of a model, with its packing and its symmetry. `monitor` and `wrapper`: history variables
//!   around any model.
//! - `options`, `refusal`, `estimate`: the options of a search, the reasons to refuse it, and its expected size.
//! - `engine`: the engines. `limits` and `progress`: the limits of a search, and its progress on standard error.
//! - [`packing`]: the exact packing of states into a few words.
//! - `behaviour` and `report`: a path through a model, and the report of a search.

// `println!` and `eprintln!` panic if the reader is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod behaviour;
mod engine;
mod estimate;
mod explorable;
mod limits;
mod monitor;
mod options;
pub mod packing;
mod progress;
mod refusal;
mod report;
mod wrapper;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use itertools::Itertools as _;
use stateright::{Expectation as E, Model, Property};

pub use self::behaviour::Behaviour;
pub use self::engine::flag;
pub use self::estimate::{Estimate, estimate};
pub use self::explorable::arrangements;
pub use self::explorable::{Explorable, Names, Packing, Symmetry, Tally};
pub use self::limits::available_bytes;
pub use self::monitor::{Monitor, Monitored, WithHistory};
pub use self::options::{Checkpoint, Engine, Options, Processes};
pub use self::refusal::{CheckpointError, Refusal, refuse};
pub use self::report::Path;
pub use self::report::{
    Counterexample, Expectation, Finding, PropertyReport, Report, Step, Symmetric,
};
pub use self::wrapper::{PROPERTIES_MAX, Wrapper, lifted};

use self::{engine::Searched, limits::Limits, progress::Progress};
use verdict::Verdict;

/// A report, and its behaviours.
pub struct Explored<M: Model> {
    /// The report.
    pub report: Report,
    /// The behaviours, by the names of their properties: a counterexample for each violated property, and a path to a state
    /// in which the property to be [shown](Options::show) is true.
    pub behaviours: BTreeMap<&'static str, Behaviour<M>>,
}

/// Explores a model until an `always` property fails, a limit is reached, or no state is left.
pub fn explore<M: Explorable>(model: &M, options: &Options) -> Report {
    explore_and_keep(model, options).report
}

/// Explores a model like [`explore`], and keeps the behaviours, so that they can be drawn or written.
pub fn explore_and_keep<M: Explorable>(model: &M, options: &Options) -> Explored<M> {
    assert!(M::KINDS.len() <= Tally::KINDS, "a tally has no room for so many kinds");
    let properties = model.properties();
    assert!(
        properties.iter().map(|property| property.name).all_unique(),
        "findings are told apart by the names of properties"
    );
    let limits = Limits::new(options);
    let progress = Progress::new(options.progress, &model.title());
    let properties_named = |name: &str| properties.iter().find(|it| it.name == name);
    let sought = options.show.as_deref().and_then(properties_named).map(|property| property.name);
    // Only timely gets the sought property, because a search of stateright would end there.
    let timely = options.engine == Engine::Timely;
    let mut search = engine::search(model, options, &limits, progress, sought.filter(|_| timely));
    let seconds = limits.elapsed().as_secs_f64();

    let failed = |property: &&Property<M>| {
        property.expectation == E::Always && search.found.contains_key(property.name)
    };
    let any_violated = properties.iter().any(|property| failed(&property));
    // A violation is reported even if the search was cut short. The reason then becomes a warning.
    let cut_short = search.cut_short.take();
    let complete = search.ran_out && !any_violated;
    let mut warnings = if complete {
        warnings(model, &search, &properties)
    } else {
        cut_short.iter().filter(|_| any_violated).cloned().collect()
    };

    let mut behaviours = BTreeMap::new();
    let mut found = Vec::new();
    let mut unshown = Vec::new();
    for property in &properties {
        let discovery = search.found.remove(property.name);
        let expectation = Expectation::from(&property.expectation);
        let mut finding = match (expectation, &discovery) {
            (Expectation::Sometimes, Some(_)) => Finding::Seen,
            (Expectation::Always, Some(_)) => Finding::Violated,
            (Expectation::Always, None) if complete => Finding::Holds,
            (Expectation::Sometimes, None) if complete => Finding::Never,
            (Expectation::Eventually, _) | (_, None) => Finding::Undecided,
        };
        let shown = finding == Finding::Violated
            || finding == Finding::Seen && sought == Some(property.name);
        let mut way = discovery.flatten().map(|behaviour| (behaviour, search.nearest));
        if shown && way.as_ref().is_none_or(|(_, shortest)| !shortest) {
            let nearer = nearest(model, property.name, options, &limits);
            way = nearer.map(|behaviour| (behaviour, true)).or(way);
        }
        way.take_if(|(behaviour, _)| {
            (property.condition)(model, behaviour.last()) != (finding == Finding::Seen)
        });
        if finding == Finding::Violated && way.is_none() {
            // A failure without a counterexample is no violation. It still keeps the verdict from being `holds`.
            finding = Finding::Undecided;
            let name = property.name;
            unshown.push(format!("{name} failed, but no way to a state where it fails was found"));
        }
        let told = way
            .as_ref()
            .filter(|_| shown)
            .map(|(behaviour, shortest)| counterexample_of(model, behaviour, *shortest));
        let (counterexample, witness) =
            if finding == Finding::Violated { (told, None) } else { (None, told) };
        let name = property.name;
        found.push(PropertyReport { name, expectation, finding, counterexample, witness });
        behaviours.extend(way.map(|(behaviour, _)| (name, behaviour)));
    }
    let verdict = if found.iter().any(|property| property.finding == Finding::Violated) {
        warnings.append(&mut unshown);
        Verdict::Violated
    } else if let Some(why) = unshown.into_iter().next() {
        Verdict::Inconclusive { why }
    } else if let Some(why) = cut_short {
        Verdict::Inconclusive { why }
    } else if properties.is_empty() {
        let why = "the model has no property that could hold".to_owned();
        Verdict::Inconclusive { why }
    } else if properties.iter().any(|property| property.expectation == E::Eventually) {
        let why = "the search cannot establish an eventually property".to_owned();
        Verdict::Inconclusive { why }
    } else {
        Verdict::Holds
    };
    let symmetry = model.symmetry().zip(search.orbits);
    let report = Report {
        model: model.title(),
        verdict,
        complete,
        states: search.states,
        transitions: search.transitions,
        depth: search.depth,
        seconds,
        properties: found,
        actions: M::KINDS.iter().copied().zip(search.actions).collect(),
        symmetry: symmetry.map(|(symmetry, orbits)| Symmetric { of: symmetry.what(), orbits }),
        engine: search.engine,
        storage: search.storage,
        expected_missed: search.expected_missed,
        peak_memory_bytes: limits.peak_bytes(),
        warnings,
    };
    Explored { report, behaviours }
}

/// Returns the warnings about a complete search without a failure: the situations that it did not find, the kinds of actions
/// that it did not take, and counts that differ.
fn warnings<M: Explorable>(
    model: &M,
    search: &Searched<M>,
    properties: &[Property<M>],
) -> Vec<String> {
    let mut warnings = Vec::new();
    for property in properties {
        if property.expectation == E::Sometimes && !search.found.contains_key(property.name) {
            warnings.push(format!("never seen: {}", property.name));
        }
    }
    for (kind, (name, count)) in M::KINDS.iter().zip(&search.actions).enumerate() {
        if *count == 0 && !model.leaves_out(kind) {
            warnings.push(format!("no {name} was ever taken"));
        }
    }
    let counted: u64 = search.actions.iter().sum();
    if counted != search.transitions as u64 {
        warnings.push(format!(
            "the model counted {counted} steps, the search {} transitions",
            search.transitions
        ));
    }
    warnings
}

/// Returns a shortest path to a state that settles a property, if a search within the limits finds one.
fn nearest<M: Explorable>(
    model: &M,
    property: &'static str,
    options: &Options,
    limits: &Limits,
) -> Option<Behaviour<M>> {
    let options = Options { engine: Engine::Bfs, threads: NonZeroUsize::MIN, ..options.clone() };
    let label = format!("{}, shortest counterexample", model.title());
    let progress = Progress::new(options.progress, &label);
    let mut search =
        engine::search(&model.only(property), &options, limits, progress, Some(property));
    search.found.remove(property).flatten()
}

fn counterexample_of<M: Explorable>(
    model: &M,
    behaviour: &Behaviour<M>,
    shortest: bool,
) -> Counterexample {
    let initial = Step { action: None, state: model.render(behaviour.initial()) };
    let steps = behaviour.steps().iter().map(|(action, state)| Step {
        action: Some(model.describe(action)),
        state: model.render(state),
    });
    Counterexample { shortest, steps: [initial].into_iter().chain(steps).collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;

    use super::*;

    /// Counts up to `end` by one or by two, and can be told to misbehave.
    #[derive(Clone, Default)]
    struct Counter {
        end: u32,
        panics_at: Option<u32>,
        properties: Vec<(&'static str, Property<Counter>)>,
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

        fn only(&self, property: &'static str) -> Self {
            let mut alone = self.clone();
            alone.properties.retain(|(name, _)| *name == property);
            alone
        }

        fn describe(&self, by: &u32) -> String {
            format!("add {by}")
        }

        fn packing(&self) -> Option<&dyn Packing<u32>> {
            Some(self)
        }

        fn may_lead_to(&self, state: &u32, target: &u32) -> bool {
            state <= target
        }
    }

    impl Packing<u32> for Counter {
        fn pack(&self, state: &u32, packer: &mut packing::Packer) {
            packer.push(u64::from(*state), 1 << u32::BITS);
        }

        fn unpack(&self, unpacker: &mut packing::Unpacker<'_>) -> u32 {
            u32::try_from(unpacker.take(1 << u32::BITS)).expect("it was one")
        }
    }

    fn dfs() -> Options {
        Options { engine: Engine::Dfs, ..Options::default() }
    }

    fn two_threads() -> Options {
        Options { threads: NonZeroUsize::MIN.saturating_add(1), ..Options::default() }
    }

    fn timely() -> Options {
        Options { engine: Engine::Timely, ..two_threads() }
    }

    fn why(report: &Report) -> &str {
        match &report.verdict {
            Verdict::Inconclusive { why } => why,
            verdict => panic!("{verdict} is not inconclusive"),
        }
    }

    #[test]
    fn a_complete_search_holds_and_counts() {
        for (options, depth) in [
            (Options::default(), Some(6)),
            (dfs(), None),
            (two_threads(), None),
            (timely(), Some(6)),
        ] {
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
    fn a_situation_that_is_never_seen_is_a_warning() {
        let model =
            Counter::to(10).with_always().with(Property::sometimes("it is 11", |_, n| *n == 11));
        let report = explore(&model, &Options::default());
        assert_eq!(report.verdict, Verdict::Holds);
        assert_eq!(report.properties[1].finding, Finding::Never);
        assert_eq!(report.warnings[0], "never seen: it is 11");
    }

    #[test]
    fn each_engine_reports_a_shortest_counterexample() {
        // Later failures, within the same block of work, would overwrite the first.
        let model = Counter::to(1000)
            .with_always()
            .with(Property::always("is below 7", |_, n| *n < 7))
            .with(Property::sometimes("is 900", |_, n| *n == 900));
        for options in [Options::default(), dfs(), two_threads(), timely()] {
            let report = explore(&model, &options);
            assert_eq!(report.verdict, Verdict::Violated);
            assert_eq!(report.verdict.exit_code(), 1);
            assert!(!report.complete);
            assert_eq!(report.properties[0].finding, Finding::Undecided);
            let found = report.properties[1].counterexample.as_ref().expect("it is violated");
            assert!(found.shortest);
            // 2 + 2 + 2 + 1, or any other path of four steps.
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
            peak_memory_bytes: 3 << 20,
            ..explore(&model, &Options::default())
        };
        expect![[r#"
            a counter

            verdict      violated
            states       5
            transitions  6
            depth        3
            seconds      0.50
            memory       3.00 MiB at most
            engine       stateright, breadth-first, 1 thread
            storage      fingerprints of 64 bits
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
        .assert_eq(&format!("{report:#}"));
        assert!(report.to_string().contains("\n\nnever taken  three\n\n"), "{report}");
    }

    #[test]
    fn a_path_that_cannot_be_shortened_in_time_is_shown_as_it_is() {
        let model =
            Counter::to(1000).with_always().with(Property::always("is below 500", |_, n| *n < 500));
        let limits = Limits::new(&Options::default());
        let mut search = engine::search(&model, &dfs(), &limits, Progress::new(false, ""), None);
        let found = search.found.remove("is below 500").flatten().expect("it is violated");
        let out_of_time =
            Limits::new(&Options { timeout: Some(Duration::ZERO), ..Options::default() });
        // The nearest failure of this one is too far away to be found before the clock is read.
        let far = Counter { end: 100_000_000, ..model.clone() }
            .with(Property::always("is not far", |_, n| *n < 99_999_999));
        let none = nearest(&far, "is not far", &dfs(), &out_of_time);
        assert!(none.is_none());
        let shown = counterexample_of(&model, &found, false);
        assert!(!shown.shortest);
        assert!(shown.steps.len() > 250);
    }

    #[test]
    fn limits_make_a_search_inconclusive() {
        let model = Counter::to(u32::MAX - 2).with_always();
        for engine in [Engine::Bfs, Engine::Dfs, Engine::Timely] {
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
        for options in [Options::default(), dfs(), two_threads(), timely()] {
            let report = explore(&model, &options);
            assert!(why(&report).starts_with("a worker panicked"), "{report}");
            assert!(why(&report).contains(": this is 5"), "{report}");
            assert!(why(&report).contains(" states"), "{report}");
        }
    }

    /// The property `fickle` fails in a state, and no longer fails in the replay of the counterexample.
    #[test]
    fn a_failure_without_a_counterexample_is_undecided_and_hides_no_other() {
        use std::sync::atomic::{AtomicBool, Ordering};
        static FAILED: AtomicBool = AtomicBool::new(false);
        let fickle = Property::always("fickle", |_: &Counter, n| {
            *n != 3 || FAILED.swap(true, Ordering::Relaxed)
        });
        let model = Counter::to(10).with(fickle);
        let report = explore(&model, &dfs());
        assert!(why(&report).starts_with("fickle failed, but no way"), "{report}");
        assert_eq!(report.properties[0].finding, Finding::Undecided);

        FAILED.store(false, Ordering::Relaxed);
        let model = model.with(Property::always("is not 3", |_, n| *n != 3));
        let report = explore(&model, &dfs());
        assert_eq!(report.verdict, Verdict::Violated);
        assert_eq!(report.properties[1].finding, Finding::Violated);
        assert!(report.warnings.iter().any(|it| it.starts_with("fickle")), "{report}");
    }

    #[test]
    fn without_properties_nothing_holds() {
        let report = explore(&Counter::to(10), &Options::default());
        assert!(why(&report).contains("no property"), "{report}");
        // A situation that is seen early does not end the search.
        let model = Counter::to(10).with(Property::sometimes("it is small", |_, n| *n < 3));
        let report = explore(&model, &Options::default());
        assert_eq!((&report.verdict, report.states), (&Verdict::Holds, 11));
        assert_eq!(report.properties[0].finding, Finding::Seen);
    }

    #[test]
    fn a_sought_property_is_shown_by_a_shortest_path() {
        let model =
            Counter::to(1000).with_always().with(Property::sometimes("is 500", |_, n| *n == 500));
        for options in [Options::default(), dfs(), two_threads(), timely()] {
            let options = Options { show: Some("is 500".to_owned()), ..options };
            let explored = explore_and_keep(&model, &options);
            assert_eq!(explored.report.states, 1001);
            let witness = explored.report.properties[1].witness.as_ref().expect("it is seen");
            assert!(witness.shortest);
            assert_eq!(witness.steps.len(), 1 + 250);
            assert_eq!(*explored.behaviours["is 500"].last(), 500);
        }
    }

    #[test]
    fn eventually_is_not_established() {
        let model =
            Counter::to(10).with_always().with(Property::eventually("it is 11", |_, n| *n == 11));
        let report = explore(&model, &Options::default());
        assert_eq!(report.properties[1].finding, Finding::Undecided);
        assert!(why(&report).contains("eventually"));
    }
}
