//! The catalogue of known bugs, each looked for in larger and larger spaces.
//!
//! The spaces are a [ladder](LADDER): a list by hand, in the order of how many states the right protocol has
//! in them. A bug's *smallest space* is the first one of the ladder in which something sees it; nothing is
//! said of spaces that are not on it. *First* is what needs the fewest steps there; where several properties
//! fail after equally many, it is one of them.
//!
//! To be seen is one thing, to do harm another: that a step is none of the specification is nothing that
//! users feel. So each bug is also looked for where they do: in [agreement](AGREEMENT), in what nodes
//! [believe](BELIEFS) to be chosen, have [trimmed](TRIMMED) as such or [read](READS), or at least in what a
//! quorum [holds](HELD) of it; and, if it does nothing
//! of the kind anywhere on the ladder, in whether something can [still be chosen](NOT_STUCK). What comes of it
//! must be what the catalogue says.
//!
//! A bug in a part that the model does not have is not looked for, and named at the end ([`BEYOND`]).
//!
//! What it is not: the bugs ([`Bug`]), and how they break the rules ([`crate::cluster::rules`]).

use std::{
    fmt,
    time::{Duration, Instant},
};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::cluster::{
    AGREEMENT, BELIEFS, BEYOND, Beyond, Bounds, Bug, CheckedCluster, Cluster, HELD, Harm,
    NOT_STUCK, READS, TRIMMED,
};
use state_explorer::{Behaviour, Counterexample, Options, Path, explore_and_keep};
use verdict::{Interrupt, Verdict};

/// Nodes, slots, ballots and campaigners; no crashes, and nothing that only spreads news.
const fn space([nodes, slots, ballots, campaigners]: [u8; 4]) -> Bounds {
    let base = Bounds::of(nodes, slots, ballots);
    Bounds { campaigners, crashes: Some(0), nacks: false, chosen: false, ..base }
}

const fn quorums(phase1_quorum: u8, phase2_quorum: u8, bounds: Bounds) -> Bounds {
    Bounds { phase1_quorum, phase2_quorum, ..bounds }
}

const fn crash(bounds: Bounds) -> Bounds {
    Bounds { crashes: Some(1), ..bounds }
}

const fn unsynced(unsynced: u8, bounds: Bounds) -> Bounds {
    Bounds { unsynced, ..bounds }
}

const fn snapshots(bounds: Bounds) -> Bounds {
    Bounds { snapshots: true, ..bounds }
}

const fn reads(reads: u8, bounds: Bounds) -> Bounds {
    Bounds { reads, ..bounds }
}

/// Spaces to look in.
pub struct Ladder {
    /// Those with fewer states of the right protocol first.
    pub rungs: &'static [Bounds],
    /// More, which are large: only for a bug that ought to do harm and has done none so far. That the protocol
    /// is not stuck is looked for on the rungs only.
    pub top: &'static [Bounds],
}

/// The spaces that the command looks in.
pub const LADDER: Ladder = Ladder {
    rungs: &[
        space([1, 1, 2, 1]),
        crash(space([1, 1, 2, 1])),
        crash(unsynced(1, space([1, 1, 2, 1]))),
        snapshots(quorums(1, 2, space([2, 1, 1, 1]))),
        quorums(2, 1, space([2, 1, 2, 2])),
        space([2, 1, 2, 2]),
        quorums(1, 2, space([2, 1, 2, 2])),
        quorums(2, 1, space([2, 2, 2, 2])),
        crash(space([2, 1, 2, 2])),
        quorums(2, 1, space([2, 1, 3, 2])),
        quorums(3, 1, space([3, 1, 2, 2])),
        snapshots(quorums(2, 1, space([2, 1, 2, 2]))),
        crash(quorums(1, 2, space([2, 1, 2, 2]))),
        space([2, 1, 3, 2]),
        space([2, 2, 2, 2]),
        quorums(3, 3, space([3, 1, 2, 2])),
        quorums(1, 2, space([2, 1, 3, 2])),
        crash(quorums(2, 1, space([2, 1, 3, 2]))),
        space([3, 1, 2, 2]),
        crash(quorums(1, 3, space([3, 1, 2, 1]))),
        crash(unsynced(2, quorums(1, 2, space([2, 1, 2, 2])))),
        reads(1, quorums(1, 2, space([2, 1, 2, 2]))),
        crash(space([3, 1, 2, 2])),
        reads(1, quorums(1, 2, space([2, 2, 2, 2]))),
        space([3, 1, 3, 2]),
        reads(1, space([3, 1, 2, 2])),
    ],
    top: &[space([3, 1, 4, 2]), reads(2, space([3, 1, 2, 2]))],
};

/// How harm is looked for: first what contradicts, then what is lost.
const WRONG: [&[&str]; 2] = [&[AGREEMENT, BELIEFS, TRIMMED, READS], &[HELD]];

/// One space of the ladder.
#[derive(Clone, Debug, Serialize)]
pub struct Rung {
    /// What it is called in the table, from 1.
    pub number: usize,
    /// The space.
    pub bounds: Bounds,
    /// How many states the right protocol has in it.
    pub states: usize,
    /// Whether all properties hold there without a bug, as they must.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A bug, seen.
#[derive(Clone, Serialize)]
pub struct Sighting {
    /// By the property that fails.
    pub property: &'static str,
    /// After so many steps; there is no shorter way.
    pub steps: usize,
    /// The number of the space on the ladder.
    pub space: usize,
    /// What happens.
    pub counterexample: Counterexample,
    /// The same, for whoever draws it.
    #[serde(skip)]
    pub behaviour: Behaviour<CheckedCluster>,
}

/// What became of one bug.
#[derive(Clone, Serialize)]
pub struct Entry {
    /// Which.
    pub bug: Bug,
    /// Its number in the catalogue, with a letter for a variant.
    pub label: String,
    /// What people call it.
    pub name: &'static str,
    /// What it is, and why it matters.
    pub story: [&'static str; 2],
    /// What users come to feel of it, as the catalogue says.
    pub harm: Harm,
    /// Whether that is what was found.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Where something sees it first, other than that a state is stuck.
    pub seen: Option<Sighting>,
    /// Where it does harm: where what is chosen is contradicted, wrongly believed or lost.
    pub wrong: Option<Sighting>,
    /// Where a state is stuck; looked for if it does no harm.
    pub stuck: Option<Sighting>,
}

/// What became of the catalogue, or of a part of it.
#[derive(Clone, Serialize)]
pub struct Catalogue {
    /// The worst verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Time spent in all.
    pub seconds: f64,
    /// Where it was looked for.
    pub spaces: Vec<Rung>,
    /// Bug by bug.
    pub bugs: Vec<Entry>,
    /// Known bugs that the model cannot be given; nothing here says that anything sees them.
    pub beyond: &'static [Beyond],
}

/// Looks for bugs on a ladder; `done` is told of each rung and each bug that is done with.
pub fn hunt(
    bugs: &[Bug],
    ladder: &Ladder,
    timeout: Option<Duration>,
    interrupt: &Interrupt,
    mut done: impl FnMut(&str),
) -> Catalogue {
    let begun = Instant::now();
    let mut hunter = Hunter { begun, timeout, interrupt, rungs: Vec::new() };
    for &bounds in ladder.rungs {
        hunter.climb(bounds, true);
        done("the protocol itself");
    }
    let mut entries = Vec::new();
    for &bug in bugs {
        entries.push(hunter.entry(bug));
        done(bug.name());
    }
    // What the rungs were too small for.
    for entry in entries.iter_mut().filter(|entry| entry.is_harmless_so_far()) {
        let looked = hunter.look_higher(ladder, entry);
        entry.settle(looked);
    }
    let verdicts = hunter.rungs.iter().map(|rung| &rung.verdict);
    let verdict = Verdict::worst(verdicts.chain(entries.iter().map(|entry| &entry.verdict)));
    let seconds = begun.elapsed().as_secs_f64();
    Catalogue { verdict, seconds, spaces: hunter.rungs, bugs: entries, beyond: BEYOND }
}

/// Why nothing can be said.
type Stopped = String;

struct Hunter<'a> {
    begun: Instant,
    timeout: Option<Duration>,
    interrupt: &'a Interrupt,
    rungs: Vec<Rung>,
}

impl Hunter<'_> {
    /// Counts the states of a space, where everything must hold.
    fn climb(&mut self, bounds: Bounds, not_stuck: bool) {
        let cluster = cluster(bounds);
        let cluster = if not_stuck { cluster.with_not_stuck() } else { cluster };
        let explored = explore_and_keep(&cluster.checked(), &self.options()).report;
        let (states, number) = (explored.states, self.rungs.len() + 1);
        let mut verdict = explored.verdict;
        let larger = self.rungs.last().is_none_or(|last| last.states <= states);
        if verdict == Verdict::Holds && !larger {
            let why = format!("space {number} has fewer states than the one before it");
            verdict = Verdict::Inconclusive { why };
        }
        self.rungs.push(Rung { number, bounds, states, verdict });
    }

    fn options(&self) -> Options {
        let left = self.timeout.map(|timeout| timeout.saturating_sub(self.begun.elapsed()));
        Options { timeout: left, interrupt: self.interrupt.clone(), ..Options::default() }
    }

    fn entry(&self, bug: Bug) -> Entry {
        let (label, name, story, harm) = (bug.label(), bug.name(), bug.story(), bug.harm());
        let (seen, wrong, stuck) = (None, None, None);
        let verdict = Verdict::Holds;
        let mut entry = Entry { bug, label, name, story, harm, verdict, seen, wrong, stuck };
        let looked = self.look_for(&mut entry);
        entry.settle(looked);
        entry
    }

    fn look_for(&self, entry: &mut Entry) -> Result<(), Stopped> {
        entry.seen = self.first(entry.bug, 0, &[])?;
        // Where nothing was seen nothing fails, and no step was wrong that could have hidden it.
        if let Some(seen) = &entry.seen {
            for properties in WRONG {
                if entry.wrong.is_none() {
                    entry.wrong = self.first(entry.bug, seen.space - 1, properties)?;
                }
            }
        }
        if entry.wrong.is_none() && entry.harm != Harm::Unsafe {
            entry.stuck = self.first(entry.bug, 0, &[NOT_STUCK])?;
        }
        Ok(())
    }

    /// Looks where the rungs are too small, until there is harm.
    fn look_higher(&mut self, ladder: &Ladder, entry: &mut Entry) -> Result<(), Stopped> {
        for (place, &bounds) in (ladder.rungs.len()..).zip(ladder.top) {
            if self.rungs.len() == place {
                self.climb(bounds, false);
            }
            entry.wrong = self.first(entry.bug, place, WRONG[0])?;
            if entry.wrong.is_some() {
                break;
            }
        }
        if entry.seen.is_none() {
            entry.seen.clone_from(&entry.wrong);
        }
        Ok(())
    }

    /// The first space, from one on, in which one of some properties fails; or any, if none is named.
    fn first(
        &self,
        bug: Bug,
        from: usize,
        properties: &[&'static str],
    ) -> Result<Option<Sighting>, Stopped> {
        for rung in &self.rungs[from..] {
            let broken = cluster(rung.bounds).with_bug(bug).with_only(properties);
            let stuck = properties.contains(&NOT_STUCK);
            let broken = if stuck { broken.with_not_stuck() } else { broken };
            if let Some(sighting) = self.sighting(rung, &broken.checked())? {
                return Ok(Some(sighting));
            }
        }
        Ok(None)
    }

    fn sighting(&self, rung: &Rung, broken: &CheckedCluster) -> Result<Option<Sighting>, Stopped> {
        let mut explored = explore_and_keep(broken, &self.options());
        if let Verdict::Inconclusive { why } = explored.report.verdict {
            return Err(why);
        }
        let found = explored.report.properties.into_iter().filter_map(|property| {
            let counterexample = property.counterexample?;
            Some((counterexample.steps.len() - 1, property.name, counterexample))
        });
        let Some((steps, property, counterexample)) = found.min_by_key(|(steps, ..)| *steps) else {
            return Ok(None);
        };
        if !counterexample.shortest {
            return Err(format!("the shortest way to where {property} fails was not found"));
        }
        let behaviour = explored.behaviours.remove(property).expect("what fails fails somewhere");
        let space = rung.number;
        Ok(Some(Sighting { property, steps, space, counterexample, behaviour }))
    }
}

impl Entry {
    /// Whether it ought to do harm, and nothing was found.
    fn is_harmless_so_far(&self) -> bool {
        self.harm == Harm::Unsafe && self.wrong.is_none() && self.verdict == Verdict::Violated
    }

    /// The way to the harm that it does, or else to where it is seen at all.
    pub fn worst(&self) -> Option<&Sighting> {
        self.wrong.as_ref().or(self.stuck.as_ref()).or(self.seen.as_ref())
    }

    /// Comes to a verdict, after looking.
    fn settle(&mut self, looked: Result<(), Stopped>) {
        self.verdict = match looked {
            Err(why) => Verdict::Inconclusive { why },
            Ok(()) if self.is_as_it_should_be() => Verdict::Holds,
            Ok(()) => Verdict::Violated,
        };
    }

    /// Whether the harm is what the catalogue says.
    fn is_as_it_should_be(&self) -> bool {
        match self.harm {
            Harm::Unsafe => self.wrong.is_some(),
            Harm::Stuck => self.wrong.is_none() && self.stuck.is_some(),
            Harm::None => self.wrong.is_none() && self.stuck.is_none(),
        }
    }

    /// What was found, in a few words.
    fn outcome(&self) -> String {
        match (&self.verdict, self.harm) {
            (Verdict::Violated, Harm::Unsafe) => "NOT CAUGHT".to_owned(),
            (Verdict::Violated, harm) => format!("NOT {}", harm.as_told()),
            (Verdict::Inconclusive { .. }, _) => "undecided".to_owned(),
            (Verdict::Holds, Harm::None) if self.seen.is_none() => {
                format!("{}: only lockstep sees it", self.harm.as_told())
            }
            (Verdict::Holds, harm) => harm.as_told().to_owned(),
        }
    }
}

fn cluster(bounds: Bounds) -> Cluster {
    Cluster::new(bounds).expect("the ladder has valid bounds")
}

impl Harm {
    const fn as_told(self) -> &'static str {
        match self {
            Self::Unsafe => "unsafe",
            Self::Stuck => "safe, stuck",
            Self::None => "safe",
        }
    }
}

impl Catalogue {
    /// Bugs one by one: what each is, and its shortest counterexamples.
    pub fn shown(&self) -> Shown<'_> {
        Shown(self)
    }
}

impl fmt::Display for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header([
            "#",
            "bug",
            "seen first by",
            "steps",
            "space",
            "harm",
            "steps",
            "space",
            "it is",
        ]);
        for entry in &self.bugs {
            let cells = |sighting: &Option<Sighting>| match sighting {
                None => ["-".to_owned(), String::new(), String::new()],
                Some(Sighting { property, steps, space, .. }) => {
                    [(*property).to_owned(), steps.to_string(), space.to_string()]
                }
            };
            let felt = if entry.wrong.is_some() { &entry.wrong } else { &entry.stuck };
            let [seen, harm] = [&entry.seen, felt].map(cells);
            let mut row = vec![entry.label.clone(), entry.name.to_owned()];
            row.extend(seen.into_iter().chain(harm));
            row.push(entry.outcome());
            table.add_row(row);
        }
        right(&mut table, &[0, 3, 4, 6, 7]);
        print(f, &table)?;
        writeln!(f)?;

        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(["space", "states", ""]);
        for Rung { number, bounds, states, verdict } in &self.spaces {
            let what = match verdict {
                Verdict::Holds => bounds.to_string(),
                verdict => format!("{bounds}; without a bug: {verdict}"),
            };
            table.add_row([number.to_string(), states.to_string(), what]);
        }
        right(&mut table, &[0, 1]);
        print(f, &table)?;
        let holds = self.spaces.iter().all(|rung| rung.verdict == Verdict::Holds);
        let holds = if holds { "holds" } else { "DOES NOT HOLD" };
        writeln!(
            f,
            "\nstates are those of the protocol without a bug, which {holds} in each space"
        )?;
        let caught = self.bugs.iter().filter(|entry| entry.verdict == Verdict::Holds).count();
        writeln!(f, "{caught} of {} bugs are what the catalogue says", self.bugs.len())?;
        for beyond in self.beyond {
            writeln!(f, "not looked for: {beyond}")?;
        }
        writeln!(f, "verdict: {}", self.verdict)
    }
}

fn right(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        let column = table.column_mut(column).expect("there is such a column");
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn print(f: &mut fmt::Formatter<'_>, table: &Table) -> fmt::Result {
    for line in table.lines() {
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A catalogue that tells each bug as a story. For programs it is the catalogue.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Shown<'a>(&'a Catalogue);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.0.bugs {
            let Entry { label, name, story: [what, why], .. } = entry;
            writeln!(f, "{label}  {name}\n\n{what}\n{why}\n")?;
            writeln!(f, "{}", entry.outcome())?;
            let sightings = [&entry.seen, &entry.wrong, &entry.stuck].into_iter().flatten();
            let mut told: Option<&Sighting> = None;
            for sighting in sightings {
                // Harm is often what is seen first.
                if told.is_some_and(|told| told.counterexample == sighting.counterexample) {
                    continue;
                }
                let bounds = &self.0.spaces[sighting.space - 1].bounds;
                let Sighting { property, steps, counterexample, .. } = sighting;
                writeln!(f, "\n{property} fails after {steps} steps ({bounds}):")?;
                write!(f, "{}", Path(&counterexample.steps))?;
                told = Some(sighting);
            }
            writeln!(f)?;
        }
        writeln!(f, "verdict: {}", self.0.verdict)
    }
}
