//! The judgement of a subject: one check after the other, until a finding ends it or the time is over.

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use verdict::Interrupt;

use crate::{
    claims::{Class, DECIDES, DETERMINISTIC, Finding, INDEPENDENT, QUORUM_IS_ENOUGH, REPLIES},
    cluster::{Cluster, Size, Stop},
    process::{Broken, Limits, Process},
    report::{Report, Reported},
    schedule::{self, File, NoSchedule},
    search::{
        Bounds, BrokenAt, Budget, Explored, Findings, Found, Schedule, explore, explore_rounds,
    },
    walk::{fair, random, shorten},
};

/// The number of random schedules after which one is run on the subject with all nodes together.
const TOGETHER: u64 = 64;
/// The number of schedules by which determinism is checked.
const REPEATED: u64 = 5;

/// A search, and its part of the time that is left.
struct Planned {
    bounds: Bounds,
    by_rounds: bool,
    part: u32,
}

const fn steps(bounds: Bounds, part: u32) -> Planned {
    Planned { bounds, by_rounds: false, part }
}

const fn rounds(bounds: Bounds, part: u32) -> Planned {
    Planned { bounds, by_rounds: true, part }
}

/// The searches, in their order: small ones first, and each adds something that some fault needs. A part of 8 is an eighth of the
/// time that is left.
const SEARCHES: [Planned; 14] = [
    steps(Bounds { size: size(3, 1), ..SMALL }, 4),
    steps(Bounds { size: size(3, 1), wishes: 2, ..SMALL }, 8),
    steps(SMALL, 8),
    steps(Bounds { size: size(3, 1), restarts: 1, ..SMALL }, 16),
    steps(Bounds { size: size(4, 2), ..SMALL }, 16),
    rounds(Bounds { ballots: 3, ..SMALL }, 4),
    rounds(Bounds { size: size(5, 2), ..SMALL }, 8),
    steps(Bounds { restarts: 1, ..SMALL }, 8),
    steps(Bounds { loses_nacks: false, ..SMALL }, 8),
    steps(Bounds { size: size(5, 2), ..SMALL }, 8),
    steps(Bounds { ballots: 3, ..SMALL }, 3),
    rounds(Bounds { ballots: 4, ..SMALL }, 4),
    steps(Bounds { ballots: 3, restarts: 1, ..SMALL }, 4),
    steps(Bounds { ballots: 4, size: size(3, 3), ..SMALL }, 4),
];

/// The smallest search.
const SMALL: Bounds =
    Bounds { size: size(3, 2), ballots: 2, restarts: 0, wishes: 1, loses_nacks: true };

const fn size(acceptors: usize, proposers: usize) -> Size {
    Size { acceptors, proposers }
}

/// What to judge, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command of the adapter, with its arguments.
    pub command: Vec<String>,
    /// The limits of its process.
    pub limits: Limits,
    /// The time for all searches and random schedules.
    pub time: Duration,
    /// The seed of random schedules.
    pub seed: u64,
}

/// The work of a judgement, while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// A search.
    Search(Explored),
    /// The number of random schedules.
    Random(u64),
}

/// Judges a subject.
pub fn judge(
    options: &Options,
    interrupt: &Interrupt,
    mut progress: impl FnMut(Progress),
) -> Report {
    let mut judgement = Judgement { report: Report::default(), options, interrupt };
    if let Err(broken) = judgement.run(&mut progress) {
        judgement.report.findings.push(of_broken(&broken, None));
    }
    judgement.report.findings.sort_by_key(|finding| finding.class);
    judgement.report
}

/// Runs the schedule of a file again.
///
/// # Errors
/// The file is no schedule.
pub fn rerun(file: &File, command: &[String], limits: Limits) -> Result<Report, NoSchedule> {
    let again = file.run(command, limits)?;
    let mut report = Report::default();
    let Some(mut cluster) = again.cluster else {
        report.findings.extend(again.broken.map(|broken| of_broken(&broken, None)));
        return Ok(report);
    };
    report.name = cluster.subject.clone();
    for (finding, class, at) in again.findings {
        let found = Found { finding, class, schedule: again.schedule[..at].to_vec() };
        report.findings.push(reported(&mut cluster, &found));
    }
    if let Some(broken) = again.broken {
        report.findings.push(of_broken(&broken, Some((&mut cluster, &again.schedule))));
    }
    report.impossible = again
        .impossible
        .map(|step| format!("step {step} is not possible: the subject does something else before"));
    report.findings.sort_by_key(|finding| finding.class);
    report.requests = cluster.requests;
    Ok(report)
}

struct Judgement<'a> {
    report: Report,
    options: &'a Options,
    interrupt: &'a Interrupt,
}

impl Judgement<'_> {
    fn run(&mut self, progress: &mut impl FnMut(Progress)) -> Result<(), Broken> {
        let Options { command, limits, time, seed } = self.options;
        let end = Instant::now() + *time;
        let budget = Budget { until: end, interrupt: self.interrupt };
        let (_, hello) = Process::start(command, *limits)?;
        self.report.name = hello.name;
        let sizes = hello.caps.sizes;
        let allowed = |it: &&Planned| {
            sizes.as_ref().is_none_or(|sizes| sizes.contains(&it.bounds.size.acceptors))
        };
        let searches: Vec<_> = SEARCHES.iter().filter(allowed).collect();
        let start = match sizes.iter().flatten().next() {
            Some(acceptors) if searches.is_empty() => size(*acceptors, 2),
            _ => searches.first().map_or(size(3, 2), |it| it.bounds.size),
        };
        let mut clusters = Vec::new();
        self.with(&mut clusters, start, |judgement, cluster, found| {
            judgement.try_alone(cluster, found)?;
            judgement.repeat(cluster, found)
        })?;
        let vacuous = self.report.findings.iter().any(|it| it.class == Class::Vacuous);
        for Planned { bounds, by_rounds, part } in searches {
            if self.is_over() || vacuous || budget.is_spent() {
                break;
            }
            let left = end.saturating_duration_since(Instant::now());
            let budget = Budget { until: Instant::now() + left / *part, interrupt: self.interrupt };
            self.with(&mut clusters, bounds.size, |judgement, cluster, found| {
                let show = |explored| progress(Progress::Search(explored));
                let explored = if *by_rounds {
                    explore_rounds(cluster, *bounds, &budget, found, show)?
                } else {
                    explore(cluster, *bounds, &budget, found, show)?
                };
                judgement.report.searches.push(explored);
                Ok(())
            })?;
        }
        let mut generator = ChaCha8Rng::seed_from_u64(*seed);
        let sizes: Vec<_> = clusters.iter().map(|(size, _)| *size).collect();
        while !self.is_over() && !vacuous && !budget.is_spent() {
            let size = sizes
                [usize::try_from(self.report.random).expect("few schedules") / 256 % sizes.len()];
            self.with(&mut clusters, size, |judgement, cluster, found| {
                for _ in 0..256 {
                    let schedule = random(cluster, &mut generator, &budget, found)?;
                    judgement.report.random += 1;
                    if judgement.report.random % TOGETHER == 0 {
                        together(cluster, &schedule, found, &INDEPENDENT)?;
                    }
                    if found.is_final() || budget.is_spent() {
                        break;
                    }
                }
                progress(Progress::Random(judgement.report.random));
                Ok(())
            })?;
        }
        self.report.requests = clusters.iter().map(|(_, cluster)| cluster.requests).sum();
        self.report.unfinished = !self.report.searches.iter().any(|it| it.complete);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.report.class().is_some_and(|class| class <= Class::Safety)
    }

    /// Does something with a cluster of a size, and reports what it finds.
    fn with(
        &mut self,
        clusters: &mut Vec<(Size, Cluster)>,
        size: Size,
        work: impl FnOnce(&mut Self, &mut Cluster, &mut Findings) -> Result<(), BrokenAt>,
    ) -> Result<(), Broken> {
        let place = match clusters.iter().position(|(of, _)| *of == size) {
            Some(place) => place,
            None => {
                let cluster = Cluster::new(&self.options.command, self.options.limits, size)?;
                clusters.push((size, cluster));
                clusters.len() - 1
            }
        };
        let cluster = &mut clusters[place].1;
        let mut found = Findings::default();
        let broken = work(self, cluster, &mut found).err();
        for found in found.0 {
            let known = self
                .report
                .findings
                .iter()
                .any(|it| it.class == found.class && it.claim == found.finding.claim.text);
            if !known {
                let confirmed = confirmed(cluster, found)?;
                self.report.findings.push(reported(cluster, &confirmed));
            }
        }
        if let Some((broken, schedule)) = broken {
            self.report.findings.push(of_broken(&broken, Some((cluster, &schedule))));
        }
        Ok(())
    }

    /// Fair schedules: a subject that decides nothing in them makes every search void.
    fn try_alone(&mut self, cluster: &mut Cluster, found: &mut Findings) -> Result<(), BrokenAt> {
        let (schedule, decided) = fair(cluster, 0, found)?;
        if !decided {
            let facts = format!("no node took a value as chosen in {} steps", schedule.len());
            found.add(DECIDES.fails(facts), DECIDES.class, || schedule);
            return Ok(());
        }
        let silent = cluster.rules.setup.acceptors.len() - cluster.rules.quorum;
        if silent > 0 {
            let (schedule, decided) = fair(cluster, silent, found)?;
            if !decided {
                let facts = format!("with {silent} silent, no node took a value as chosen");
                found.add(QUORUM_IS_ENOUGH.fails(facts), QUORUM_IS_ENOUGH.class, || schedule);
            }
        }
        Ok(())
    }

    /// The same schedules several times, in one process and in a new one.
    fn repeat(&mut self, cluster: &mut Cluster, found: &mut Findings) -> Result<(), BrokenAt> {
        let never = Budget { until: Instant::now() + self.options.time, interrupt: self.interrupt };
        let mut generator = ChaCha8Rng::seed_from_u64(self.options.seed);
        for _ in 0..REPEATED {
            let schedule = random(cluster, &mut generator, &never, &mut Findings::default())?;
            together(cluster, &schedule, found, &DETERMINISTIC)?;
            if found.is_final() {
                break;
            }
            cluster.start_again().map_err(|broken| (broken, Vec::new()))?;
            together(cluster, &schedule, found, &DETERMINISTIC)?;
        }
        Ok(())
    }
}

/// Runs a schedule on the subject, with all nodes together, and compares the replies.
fn together(
    cluster: &mut Cluster,
    schedule: &Schedule,
    found: &mut Findings,
    claim: &'static crate::claims::Claim,
) -> Result<(), BrokenAt> {
    match cluster.run(schedule) {
        Ok(()) => Ok(()),
        Err(Stop::Broken(broken)) => Err((broken, schedule.clone())),
        Err(Stop::Differs { expected, got }) => {
            found.add(claim.fails(format!("{expected} before, {got} now")), claim.class, || {
                schedule.clone()
            });
            Ok(())
        }
    }
}

/// Shortens the schedule of a finding, and runs it on the subject with all nodes together. If the replies differ, then the
/// finding is that.
fn confirmed(cluster: &mut Cluster, mut found: Found) -> Result<Found, Broken> {
    if matches!(found.class, Class::Nondeterministic | Class::Vacuous)
        || *found.finding.claim == QUORUM_IS_ENOUGH
    {
        return Ok(found);
    }
    let of = (found.finding.claim, found.class);
    found.schedule = shorten(cluster, &found.schedule, of).map_err(|(broken, _)| broken)?;
    let mut differing = Findings::default();
    together(cluster, &found.schedule, &mut differing, &INDEPENDENT)
        .map_err(|(broken, _)| broken)?;
    Ok(differing.0.pop().unwrap_or(found))
}

fn reported(cluster: &mut Cluster, found: &Found) -> Reported {
    let Found { finding: Finding { claim, facts }, class, schedule } = found;
    Reported {
        class: *class,
        claim: claim.text,
        facts: facts.clone(),
        steps: schedule::shown(cluster, schedule),
        schedule: Some(schedule::file(cluster, schedule, claim.text, facts)),
    }
}

fn of_broken(broken: &Broken, at: Option<(&mut Cluster, &Schedule)>) -> Reported {
    let finding = REPLIES.fails(broken.to_string());
    match at {
        Some((cluster, schedule)) => {
            reported(cluster, &Found { finding, class: REPLIES.class, schedule: schedule.clone() })
        }
        None => Reported {
            class: REPLIES.class,
            claim: REPLIES.text,
            facts: broken.to_string(),
            steps: schedule::Shown::default(),
            schedule: None,
        },
    }
}
