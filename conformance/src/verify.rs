//! One command for the whole chain: every link, what it covered, and a verdict that says no more than
//! what ran.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, stderr},
    sync::Mutex,
    time::Duration,
};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use paxos_model::{
    cluster::{Bounds, Cluster},
    explore::{Engine, Finding, Options, Report, explore},
    synod::{Bounds as SynodBounds, Synod},
    verdict::Verdict,
};
use serde::Serialize;

use crate::{lockstep::Lockstep, spaces::Space};

/// A row of the table for Lamport's specification: acceptors, values, ballots, and the counts on
/// which TLC, Spin and an independent program agree.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Acceptors, values and ballots.
    pub bounds: (u8, u8, u8),
    /// Distinct states.
    pub states: usize,
    /// Transitions.
    pub transitions: usize,
    /// Depth, the initial state counted as 1.
    pub depth: usize,
}

const fn known(bounds: (u8, u8, u8), states: usize, transitions: usize, depth: usize) -> Known {
    Known { bounds, states, transitions, depth }
}

/// The rows that every run recomputes.
pub const KNOWN: &[Known] = &[
    known((3, 2, 1), 73, 141, 9),
    known((3, 2, 2), 3_921, 9_442, 17),
    known((3, 2, 3), 185_369, 491_535, 25),
];

/// The row that only the deep run recomputes.
pub const KNOWN_DEEP: Known = known((3, 2, 4), 8_220_065, 23_340_612, 33);

/// The links that are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// Lamport's specification has the states that other tools count.
    Specification,
    /// The cluster is safe, and each of its steps is one of the specification.
    Model,
    /// The production replica does what the model does.
    Lockstep,
}

impl Link {
    const ALL: [Self; 3] = [Self::Specification, Self::Model, Self::Lockstep];

    /// What it claims, in a line.
    const fn claim(self) -> &'static str {
        match self {
            Self::Specification => "Lamport's Paxos: counts equal to those of TLC and Spin",
            Self::Model => "small clusters are safe; each step is one of the specification",
            Self::Lockstep => "production replica and model agree on every transition",
        }
    }
}

/// One exploration.
#[derive(Clone, Copy)]
enum Job {
    Specification(Known),
    Model(Space),
    Lockstep(Space),
}

/// What came of one exploration.
#[derive(Debug, Serialize)]
pub struct Row {
    /// To which link it belongs.
    pub link: Link,
    /// What was explored.
    pub space: String,
    /// Its bounds, if it is a cluster: what makes two spaces the same.
    pub bounds: Option<Bounds>,
    /// What for.
    pub shows: &'static str,
    /// What it lacks.
    pub leaves_out: Vec<&'static str>,
    /// The verdict, after all comparisons.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why it is violated, where the exploration itself found nothing.
    pub complaints: Vec<String>,
    /// Inputs that the model ignores, and other shapes of those that it does not, tried on distinct
    /// replicas.
    pub tried: Option<usize>,
    /// The exploration.
    pub report: Report,
}

/// What came of all of them.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// The worst verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// One row per exploration, link by link.
    pub rows: Vec<Row>,
}

/// Runs all links, the largest spaces first, on as many threads as asked for.
pub fn verify(spaces: &[Space], known: &[Known], threads: usize) -> Verification {
    let lockstep = spaces.iter().copied().map(Job::Lockstep);
    let model = spaces.iter().copied().map(Job::Model);
    let specification = known.iter().copied().map(Job::Specification);
    let mut jobs: Vec<Job> = specification.chain(model).chain(lockstep).collect();
    jobs.sort_by_key(Job::cost);
    let progress = Progress::new(jobs.iter().map(Job::cost).sum());
    let (queue, done) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let job = queue.lock().expect("nobody panics while holding it").pop();
                    let Some(job) = job else { return };
                    progress.begins(&job);
                    let row = job.run();
                    progress.ends(&job, &row);
                    done.lock().expect("nobody panics while holding it").push(row);
                }
            });
        }
    });
    let mut rows = done.into_inner().expect("nobody panics while holding it");
    let order = |row: &Row| {
        let place = spaces.iter().position(|space| Some(space.bounds) == row.bounds);
        (row.link, place, row.report.states)
    };
    rows.sort_by_key(order);
    compare_links(&mut rows);
    let worst = rows.iter().map(|row| row.verdict.clone()).max_by_key(severity);
    let verdict = worst.unwrap_or(Verdict::Inconclusive { why: "nothing was run".to_owned() });
    Verification { verdict, rows }
}

fn severity(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Holds => 0,
        Verdict::Inconclusive { .. } => 1,
        Verdict::Violated => 2,
    }
}

/// The lockstep must have taken every transition of the model, kind by kind, and no pair may differ
/// where the model has one state: that would be hidden state of the implementation.
fn compare_links(rows: &mut [Row]) {
    let counts = |row: &Row| {
        (row.bounds, row.report.states, row.report.transitions, row.report.actions.clone())
    };
    let of_model = rows.iter().filter(|row| row.link == Link::Model);
    let of_model: Vec<_> = of_model.map(counts).collect();
    for row in rows.iter_mut().filter(|row| row.link == Link::Lockstep && row.report.complete) {
        let same = of_model.iter().find(|(bounds, ..)| *bounds == row.bounds);
        let Some((_, states, transitions, actions)) = same else { continue };
        let (pairs, replayed) = (row.report.states, row.report.transitions);
        if pairs != *states {
            row.complain(format!("{pairs} pairs, but {states} states of the model"));
        }
        if replayed != *transitions || row.report.actions != *actions {
            row.complain(format!("{replayed} of {transitions} transitions of the model replayed"));
        }
    }
}

impl Row {
    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
        if self.verdict == Verdict::Holds {
            self.verdict = Verdict::Violated;
        }
    }

    /// Holds the counts against those that are pinned.
    fn expect(&mut self, what: &'static str, pinned: usize, found: usize) {
        if pinned != found {
            self.complain(format!("{found} {what} where {pinned} are pinned"));
        }
    }
}

impl Job {
    /// A guess at its share of the work.
    fn cost(&self) -> u64 {
        match self {
            Self::Specification(known) => known.transitions as u64 / 4,
            Self::Model(space) => space.transitions as u64,
            Self::Lockstep(space) => 2 * space.transitions as u64,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Specification(Known { bounds: (acceptors, values, ballots), .. }) => {
                format!("{acceptors} acceptors, {values} values, {ballots} ballots")
            }
            Self::Model(space) | Self::Lockstep(space) => space.bounds.to_string(),
        }
    }

    fn bounds(&self) -> Option<Bounds> {
        match self {
            Self::Specification(_) => None,
            Self::Model(space) | Self::Lockstep(space) => Some(space.bounds),
        }
    }

    fn link(&self) -> Link {
        match self {
            Self::Specification(_) => Link::Specification,
            Self::Model(_) => Link::Model,
            Self::Lockstep(_) => Link::Lockstep,
        }
    }

    fn run(&self) -> Row {
        // Depth-first is lighter; a failure is looked for again, breadth-first.
        let options = Options { engine: Engine::Dfs, ..Options::default() };
        let mut tried = None;
        let (report, shows, leaves_out) = match self {
            Self::Specification(Known { bounds: (acceptors, values, ballots), .. }) => {
                let (acceptors, values, ballots) = (*acceptors, *values, *ballots);
                let (phase1_quorum, phase2_quorum) = (None, None);
                let bounds =
                    SynodBounds { acceptors, values, ballots, phase1_quorum, phase2_quorum };
                let synod = Synod::new(bounds).expect("the table has valid bounds");
                (explore(&synod, &options), "the literature's counts", Vec::new())
            }
            Self::Model(space) => {
                let cluster = Cluster::new(space.bounds).expect("the table has valid bounds");
                (explore(&cluster, &options), space.shows, space.bounds.leaves_out())
            }
            Self::Lockstep(space) => {
                let pairs = Lockstep::new(space.bounds).expect("the table has valid bounds");
                let report = explore(&pairs, &options);
                tried = Some(pairs.tried());
                (report, space.shows, space.bounds.leaves_out())
            }
        };
        let (verdict, complaints) = (report.verdict.clone(), Vec::new());
        let (link, space, bounds) = (self.link(), self.name(), self.bounds());
        let mut row =
            Row { link, space, bounds, shows, leaves_out, verdict, complaints, tried, report };
        self.hold_against_table(&mut row);
        row
    }

    fn hold_against_table(&self, row: &mut Row) {
        if !row.report.complete {
            return;
        }
        let (states, transitions) = match self {
            Self::Specification(known) => {
                row.expect("levels", known.depth, row.report.depth.unwrap_or(0));
                (known.states, known.transitions)
            }
            Self::Model(space) | Self::Lockstep(space) => (space.states, space.transitions),
        };
        row.expect("states", states, row.report.states);
        row.expect("transitions", transitions, row.report.transitions);
        let never = row.report.properties.iter().filter(|p| p.finding == Finding::Never);
        let never: Vec<_> = never.map(|property| property.name).collect();
        for name in never {
            row.complain(format!("never seen: {name}"));
        }
        let taken: u64 = row.report.actions.values().sum();
        if taken != row.report.transitions as u64 {
            row.complain(format!("{taken} steps were counted, not {transitions}"));
        }
    }
}

/// How far it is, on standard error: a bar on a terminal, plain lines elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(total: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {elapsed}  {msg}");
            let bar = ProgressBar::new(total);
            bar.set_style(style.expect("the template is a constant"));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar }
    }

    fn begins(&self, job: &Job) {
        let what = format!("{:?}: {}", job.link(), job.name()).to_lowercase();
        match &self.bar {
            Some(bar) => bar.set_message(what),
            None => eprintln!("begins  {what}"),
        }
    }

    fn ends(&self, job: &Job, row: &Row) {
        let what = format!("{:?}: {}", job.link(), job.name()).to_lowercase();
        let transitions = HumanCount(row.report.transitions as u64);
        let line = format!("{:<7} {what}: {transitions} transitions", row.verdict.to_string());
        match &self.bar {
            Some(bar) => {
                bar.println(line);
                bar.inc(job.cost());
            }
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl std::fmt::Display for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |n: usize| HumanCount(n as u64).to_string();
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["link", "space", "shows", "leaves out", "states", "transitions", ""]);
        for row in &self.rows {
            table.add_row([
                format!("{:?}", row.link).to_lowercase(),
                row.space.clone(),
                row.shows.to_owned(),
                row.leaves_out.join(", "),
                count(row.report.states),
                count(row.report.transitions),
                row.verdict.to_string(),
            ]);
        }
        for column in [4, 5] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{table}\n")?;
        for link in Link::ALL {
            let rows = || self.rows.iter().filter(move |row| row.link == link);
            let Some(worst) = rows().map(|row| &row.verdict).max_by_key(|v| severity(v)) else {
                continue;
            };
            let states = count(rows().map(|row| row.report.states).sum());
            let transitions = count(rows().map(|row| row.report.transitions).sum());
            let name = format!("{link:?}").to_lowercase();
            let unit = if link == Link::Lockstep { "pairs" } else { "states" };
            write!(f, "{name:<13}  {worst}: {}; ", link.claim())?;
            write!(f, "{} spaces, {states} {unit}, {transitions} transitions", rows().count())?;
            let tried: usize = rows().filter_map(|row| row.tried).sum();
            match tried {
                0 => writeln!(f)?,
                tried => writeln!(f, ", {} ignored or reshaped inputs", count(tried))?,
            }
        }
        self.actions(f)?;
        for row in &self.rows {
            for complaint in &row.complaints {
                writeln!(f, "\n{:?}, {}: {complaint}", row.link, row.space)?;
            }
        }
        self.story(f)?;
        writeln!(f, "\nverdict: {}", self.verdict)
    }
}

impl Verification {
    /// How many transitions of the model the production replicas took, kind by kind.
    fn actions(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = |link| {
            let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
            for row in self.rows.iter().filter(|row| row.link == link) {
                for (kind, count) in &row.report.actions {
                    *sum.entry(kind).or_default() += count;
                }
            }
            sum
        };
        let (model, replayed) = (sum(Link::Model), sum(Link::Lockstep));
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["transitions by kind", "of the model", "taken by production replicas"]);
        for (kind, count) in &model {
            let taken = replayed.get(kind).copied().unwrap_or(0);
            table.add_row([
                (*kind).to_owned(),
                HumanCount(*count).to_string(),
                HumanCount(taken).to_string(),
            ]);
        }
        for column in [1, 2] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "\n{table}")
    }

    /// The shortest counterexample of all, in full; one is enough to begin with.
    fn story(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let failed = self.rows.iter().filter(|row| {
            row.report.properties.iter().any(|property| property.counterexample.is_some())
        });
        let length = |row: &&Row| {
            let found = row.report.properties.iter().filter_map(|p| p.counterexample.as_ref());
            found.map(|found| found.steps.len()).min()
        };
        match failed.min_by_key(length) {
            None => Ok(()),
            Some(row) => writeln!(f, "\nThe shortest path to a failure:\n\n{}", row.report),
        }
    }
}
