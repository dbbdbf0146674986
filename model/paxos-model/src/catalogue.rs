//! The search for the failures that each known bug causes, in larger and larger spaces.
//!
//! The spaces are a [schedule](SCHEDULE), a list written by hand. The correct protocol has at least as many states in each
//! space as in the one before. A search for a failure ends with the first space in which it finds one. If several properties
//! fail in that space, it reports one that fails after the fewest steps.
//!
//! The first search for a bug looks for any failure. Not every failure harms users: a step that does not refine the
//! specification may do no harm. So further searches look only for failures that harm users:
//! - two chosen values in a slot ([`AGREEMENT`]);
//! - a value that a node wrongly [believes](BELIEFS) to be chosen, or a slot that it has [trimmed](TRIMMED) without a chosen
//!   value;
//! - a [read](READS) that misses a value;
//! - a chosen value that no quorum [holds](HELD) any more, if none of the other failures is found.
//!
//! If they find none, and the catalogue does not call the bug unsafe, another search looks for a state in which nothing can
//! be [chosen any more](NOT_STUCK). The result must be the harm that the catalogue states.
//!
//! A bug in a part that the model does not have is only named at the end ([`BEYOND`]).
//!
//! [`Bug`] lists the bugs. The rules that they break are in [`crate::cluster::node::rules`].

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::cluster::{
    AGREEMENT, BELIEFS, BEYOND, Beyond, Bounds, Bug, CheckedCluster, Cluster, HELD, Harm,
    NOT_STUCK, READS, TRIMMED,
};
use state_explorer::{Behaviour, Counterexample, Options, Path, explore_and_keep};
use verdict::{Interrupt, Verdict, layout::write_table};

/// Returns the bounds of some nodes, slots, ballots and campaigners, without crashes, refusals and news.
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

const fn news(bounds: Bounds) -> Bounds {
    Bounds { chosen: true, ..bounds }
}

/// The spaces of the searches.
pub struct Schedule {
    /// The spaces for all bugs, by the number of states of the correct protocol.
    pub spaces: &'static [Bounds],
    /// Larger spaces, for the unsafe bugs that do no harm in the other spaces. No search looks for stuck states there.
    pub larger: &'static [Bounds],
}

/// The schedule of the command `mutants`.
pub const SCHEDULE: Schedule = Schedule {
    spaces: &[
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
        news(quorums(2, 1, space([2, 2, 2, 2]))),
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
    larger: &[space([3, 1, 4, 2]), reads(2, space([3, 1, 2, 2]))],
};

/// The properties whose failure harms users: first wrong values, then the loss of a chosen value.
const WRONG: [&[&str]; 2] = [&[AGREEMENT, BELIEFS, TRIMMED, READS], &[HELD]];

/// A space that was searched.
#[derive(Clone, Debug, Serialize)]
pub struct Space {
    /// The number in the table, from 1.
    pub number: usize,
    /// The bounds.
    pub bounds: Bounds,
    /// The number of states of the correct protocol.
    pub states: usize,
    /// The verdict on the correct protocol, which must hold.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A failure that a bug causes.
#[derive(Clone, Serialize)]
pub struct Sighting {
    /// The property that fails.
    pub property: &'static str,
    /// The number of steps of the shortest counterexample.
    pub steps: usize,
    /// The number of the space.
    pub space: usize,
    /// The counterexample in words.
    pub counterexample: Counterexample,
    /// The counterexample as a behaviour, which can be drawn.
    #[serde(skip)]
    pub behaviour: Behaviour<CheckedCluster>,
}

/// The result for one bug.
#[derive(Clone, Serialize)]
pub struct Entry {
    /// The bug.
    pub bug: Bug,
    /// Its number in the catalogue, with a letter for a variant.
    pub label: String,
    /// The name.
    pub name: &'static str,
    /// The mistake in one sentence, and its consequence in another.
    pub explanation: [&'static str; 2],
    /// The harm that the catalogue states.
    pub harm: Harm,
    /// Holds if the searches found the harm that the catalogue states, and no worse harm.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The first failure, other than a stuck state.
    pub seen: Option<Sighting>,
    /// The first failure of a property whose failure harms users.
    pub wrong: Option<Sighting>,
    /// The first stuck state, if the catalogue does not call the bug unsafe and the searches found no other harm.
    pub stuck: Option<Sighting>,
}

/// The result for the catalogue, or for a part of it.
#[derive(Clone, Serialize)]
pub struct Catalogue {
    /// The worst verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The time of the search.
    pub seconds: f64,
    /// The spaces that were searched.
    pub spaces: Vec<Space>,
    /// The results, bug by bug.
    pub bugs: Vec<Entry>,
    /// The known bugs that the model cannot have.
    pub beyond: &'static [Beyond],
}

/// Searches for bugs in the spaces of a schedule. Calls `done` with a name after each space and each bug.
pub fn search(
    bugs: &[Bug],
    schedule: &Schedule,
    timeout: Option<Duration>,
    interrupt: &Interrupt,
    mut done: impl FnMut(&str),
) -> Catalogue {
    let begun = Instant::now();
    let mut search = Search { begun, timeout, interrupt, spaces: Vec::new() };
    for &bounds in schedule.spaces {
        search.add_space(bounds, true);
        done("the protocol itself");
    }
    let mut entries = Vec::new();
    for &bug in bugs {
        entries.push(search.entry(bug));
        done(bug.name());
    }
    // Some bugs need a larger space.
    for entry in entries.iter_mut().filter(|entry| entry.is_harmless_so_far()) {
        let looked = search.in_larger_spaces(schedule, entry);
        entry.settle(looked);
    }
    let verdicts = search.spaces.iter().map(|space| &space.verdict);
    let verdict = Verdict::worst(verdicts.chain(entries.iter().map(|entry| &entry.verdict)));
    let seconds = begun.elapsed().as_secs_f64();
    Catalogue { verdict, seconds, spaces: search.spaces, bugs: entries, beyond: BEYOND }
}

/// The reason why a search has no result.
type Stopped = String;

struct Search<'a> {
    begun: Instant,
    timeout: Option<Duration>,
    interrupt: &'a Interrupt,
    spaces: Vec<Space>,
}

impl Search<'_> {
    /// Explores the correct protocol in a space. All properties must hold.
    fn add_space(&mut self, bounds: Bounds, not_stuck: bool) {
        let cluster = cluster(bounds);
        let cluster = if not_stuck { cluster.with_not_stuck() } else { cluster };
        let explored = explore_and_keep(&cluster.checked(), &self.options()).report;
        let (states, number) = (explored.states, self.spaces.len() + 1);
        let mut verdict = explored.verdict;
        let larger = self.spaces.last().is_none_or(|last| last.states <= states);
        if verdict == Verdict::Holds && !larger {
            let why = format!("space {number} has fewer states than the one before it");
            verdict = Verdict::Inconclusive { why };
        }
        self.spaces.push(Space { number, bounds, states, verdict });
    }

    fn options(&self) -> Options {
        let left = self.timeout.map(|timeout| timeout.saturating_sub(self.begun.elapsed()));
        Options { timeout: left, interrupt: self.interrupt.clone(), ..Options::default() }
    }

    fn entry(&self, bug: Bug) -> Entry {
        let (label, name, explanation, harm) =
            (bug.label(), bug.name(), bug.explanation(), bug.harm());
        let (seen, wrong, stuck) = (None, None, None);
        let verdict = Verdict::Holds;
        let mut entry = Entry { bug, label, name, explanation, harm, verdict, seen, wrong, stuck };
        let looked = self.look_for(&mut entry);
        entry.settle(looked);
        entry
    }

    fn look_for(&self, entry: &mut Entry) -> Result<(), Stopped> {
        entry.seen = self.first(entry.bug, 0, &[])?;
        // The first search checks all properties. So without a failure there is no harm. A failing step may end a behaviour
        // before the harm shows, so the harm gets searches of its own.
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

    /// Searches for harm in the larger spaces.
    fn in_larger_spaces(&mut self, schedule: &Schedule, entry: &mut Entry) -> Result<(), Stopped> {
        for (place, &bounds) in (schedule.spaces.len()..).zip(schedule.larger) {
            if self.spaces.len() == place {
                self.add_space(bounds, false);
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

    /// Returns the first failure of one of the properties, or of any property if the list is empty. Searches the spaces from
    /// the index `from` on.
    fn first(
        &self,
        bug: Bug,
        from: usize,
        properties: &[&'static str],
    ) -> Result<Option<Sighting>, Stopped> {
        for space in &self.spaces[from..] {
            let mutant = cluster(space.bounds).with_bug(bug).with_only(properties);
            let stuck = properties.contains(&NOT_STUCK);
            let mutant = if stuck { mutant.with_not_stuck() } else { mutant };
            if let Some(sighting) = self.sighting(space, &mutant.checked())? {
                return Ok(Some(sighting));
            }
        }
        Ok(None)
    }

    fn sighting(
        &self,
        space: &Space,
        mutant: &CheckedCluster,
    ) -> Result<Option<Sighting>, Stopped> {
        let mut explored = explore_and_keep(mutant, &self.options());
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
            return Err(format!("no shortest path to a state where {property} fails was found"));
        }
        let behaviour =
            explored.behaviours.remove(property).expect("a failing property has a behaviour");
        let space = space.number;
        Ok(Some(Sighting { property, steps, space, counterexample, behaviour }))
    }
}

impl Entry {
    /// Returns true if the bug should be unsafe, and the searches found no harm.
    fn is_harmless_so_far(&self) -> bool {
        self.harm == Harm::Unsafe && self.wrong.is_none() && self.verdict == Verdict::Violated
    }

    /// Returns the failure that harms users, or else any failure.
    pub fn worst(&self) -> Option<&Sighting> {
        self.wrong.as_ref().or(self.stuck.as_ref()).or(self.seen.as_ref())
    }

    /// Sets the verdict after a search.
    fn settle(&mut self, looked: Result<(), Stopped>) {
        self.verdict = match looked {
            Err(why) => Verdict::Inconclusive { why },
            Ok(()) if self.is_as_it_should_be() => Verdict::Holds,
            Ok(()) => Verdict::Violated,
        };
    }

    /// Returns true if the harm is the one that the catalogue states.
    fn is_as_it_should_be(&self) -> bool {
        match self.harm {
            Harm::Unsafe => self.wrong.is_some(),
            Harm::Stuck => self.wrong.is_none() && self.stuck.is_some(),
            Harm::None => self.wrong.is_none() && self.stuck.is_none(),
        }
    }

    /// Returns the result in a few words.
    fn outcome(&self) -> String {
        match (&self.verdict, self.harm) {
            (Verdict::Violated, Harm::Unsafe) => "NOT CAUGHT".to_owned(),
            (Verdict::Violated, harm) => format!("NOT {}", harm.in_words()),
            (Verdict::Inconclusive { .. }, _) => "undecided".to_owned(),
            (Verdict::Holds, Harm::None) if self.seen.is_none() => {
                format!("{}: only lockstep sees it", self.harm.in_words())
            }
            (Verdict::Holds, harm) => harm.in_words().to_owned(),
        }
    }
}

fn cluster(bounds: Bounds) -> Cluster {
    Cluster::new(bounds).expect("the schedule has valid bounds")
}

impl Harm {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Unsafe => "unsafe",
            Self::Stuck => "safe, stuck",
            Self::None => "safe",
        }
    }
}

impl Catalogue {
    /// Returns the catalogue in the form that explains each bug with its shortest counterexamples.
    pub const fn explained(&self) -> Explained<'_> {
        Explained(self)
    }
}

impl fmt::Display for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_bugs(f)?;
        writeln!(f)?;
        if f.alternate() {
            self.write_spaces(f)?;
        }
        let holds = self.spaces.iter().all(|space| space.verdict == Verdict::Holds);
        let holds = if holds { "holds" } else { "DOES NOT HOLD" };
        writeln!(f, "the protocol without a bug {holds} in each of {} spaces", self.spaces.len())?;
        let caught = self.bugs.iter().filter(|entry| entry.verdict == Verdict::Holds).count();
        writeln!(f, "{caught} of {} bugs are what the catalogue says", self.bugs.len())?;
        writeln!(f, "verdict: {}", self.verdict)?;
        writeln!(f, "\nnot looked for, since the model does not have the part:")?;
        let row = |it: &Beyond| {
            [it.number.to_string(), it.name.into(), it.seen_by.into(), it.test.into()]
        };
        let rows = self.beyond.iter().map(|it| row(it).to_vec());
        write_table(f, &["#", "bug", "detected by", "test"], rows, &[0])
    }
}

impl Catalogue {
    /// Writes a row for each bug: its harm, and the number of steps to it. The alternate form also has the first failure, and
    /// the numbers of the spaces.
    fn write_bugs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |entry: &Entry| {
            let cells = |sighting: &Option<Sighting>| match sighting {
                None => ["-".to_owned(), String::new(), String::new()],
                Some(Sighting { property, steps, space, .. }) => {
                    [(*property).to_owned(), steps.to_string(), space.to_string()]
                }
            };
            let felt = if entry.wrong.is_some() { &entry.wrong } else { &entry.stuck };
            let [seen, [harm, steps, space]] = [&entry.seen, felt].map(cells);
            let mut row = vec![entry.label.clone(), entry.name.to_owned()];
            if f.alternate() {
                row.extend(seen);
            }
            row.extend([harm, steps]);
            row.extend(f.alternate().then_some(space));
            row.push(entry.outcome());
            row
        };
        let rows: Vec<_> = self.bugs.iter().map(row).collect();
        if f.alternate() {
            let header =
                ["#", "bug", "seen first by", "steps", "space", "harm", "steps", "space", "it is"];
            write_table(f, &header, rows, &[0, 3, 4, 6, 7])
        } else {
            write_table(f, &["#", "bug", "harm", "steps", "it is"], rows, &[0, 3])
        }
    }

    /// Writes a row for each space.
    fn write_spaces(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |Space { number, bounds, states, verdict }: &Space| {
            let what = match verdict {
                Verdict::Holds => bounds.to_string(),
                verdict => format!("{bounds}; without a bug: {verdict}"),
            };
            vec![number.to_string(), states.to_string(), what]
        };
        write_table(f, &["space", "states", ""], self.spaces.iter().map(row), &[0, 1])?;
        writeln!(f, "\nstates are those of the protocol without a bug")
    }
}

/// A catalogue whose text explains each bug with its counterexamples. Its JSON is that of the catalogue.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Explained<'a>(&'a Catalogue);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.0.bugs {
            let Entry { label, name, explanation: [what, why], .. } = entry;
            writeln!(f, "{label}  {name}\n\n{what}\n{why}\n")?;
            writeln!(f, "{}", entry.outcome())?;
            let sightings = [&entry.seen, &entry.wrong, &entry.stuck].into_iter().flatten();
            let mut told: Option<&Sighting> = None;
            for sighting in sightings {
                // The first failure is often the harm.
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
