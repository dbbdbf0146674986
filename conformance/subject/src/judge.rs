//! The judgement of a subject: one check after the other, until a finding ends it or the time is over.

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use verdict::Interrupt;

use crate::{
    claims::{
        Class, DECIDES, DETERMINISTIC, Finding, INDEPENDENT, ONLY_DISK, QUORUM_IS_ENOUGH, REPLIES,
    },
    cluster::{Apart, Cluster, Size, Stop},
    findings::{Findings, Found, Schedule},
    guide::{CRASHES, Guidance, Guided, follow},
    process::{Broken, Limits, Process},
    protocol::PrepareTo,
    report::{Report, Reported, Scope},
    schedule::{self, File, NoSchedule},
    search::{Bounds, BrokenAt, Budget, Explored, explore, explore_rounds},
    walk::{fair, random, shorten},
};

/// The number of random schedules after which one is run on the subject with all nodes together.
const TOGETHER: u64 = 64;
/// The time to leave out the steps that a finding does not need.
const SHORTEN: Duration = Duration::from_secs(10);
/// The number of schedules by which determinism is checked.
const REPEATED: u64 = 5;

/// A search: by steps, or by whole rounds.
#[derive(Clone, Copy)]
struct Planned {
    bounds: Bounds,
    by_rounds: bool,
}

const fn steps(bounds: Bounds) -> Planned {
    Planned { bounds, by_rounds: false }
}

const fn rounds(bounds: Bounds) -> Planned {
    Planned { bounds, by_rounds: true }
}

/// The searches, in their order: small ones first, and each adds something that some fault needs.
const SEARCHES: [Planned; 14] = [
    steps(Bounds { size: size(3, 1), ..SMALL }),
    steps(Bounds { size: size(3, 1), restarts: 1, ..SMALL }),
    steps(Bounds { size: size(3, 1), wishes: 2, ..SMALL }),
    rounds(SMALL),
    rounds(Bounds { ballots: 3, ..SMALL }),
    steps(SMALL),
    steps(Bounds { size: size(4, 2), ..SMALL }),
    rounds(Bounds { size: size(5, 2), ..SMALL }),
    steps(Bounds { restarts: 1, ..SMALL }),
    steps(Bounds { loses_nacks: false, ..SMALL }),
    steps(Bounds { ballots: 3, ..SMALL }),
    rounds(Bounds { ballots: 4, ..SMALL }),
    steps(Bounds { ballots: 3, restarts: 1, ..SMALL }),
    steps(Bounds { ballots: 4, size: size(3, 3), ..SMALL }),
];

/// The most states of a search, pass by pass. A pass goes through all searches, so that a fault in a later one does not wait for all
/// states of an earlier one. Steps of nodes are remembered from pass to pass.
const STATES_MAX: [usize; 6] = [1_000, 8_000, 60_000, 400_000, 2_000_000, 8_000_000];
/// The number of random schedules after each pass.
const RANDOM: u64 = 64;

/// The smallest search.
const SMALL: Bounds =
    Bounds { size: size(3, 2), ballots: 2, restarts: 0, wishes: 1, loses_nacks: true };

const fn size(acceptors: usize, proposers: usize) -> Size {
    Size { acceptors, proposers }
}

/// The subject to judge, and the time for it.
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
    /// A finding of this class, or of one before it, ends the judgement.
    pub stop_at: Class,
    /// The number of passes through all searches, after which the judgement ends. Without it the time ends it.
    pub passes: Option<usize>,
    /// Schedules of a model.
    pub schedules: Vec<Guidance>,
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
    // The name of the implementation is known after its first reply.
    let report = Report { name: options.command.join(" "), ..Report::default() };
    let mut judgement = Judgement { report, sizes: None, options, interrupt };
    let mut clusters = Clusters::new();
    if let Err(broken) = judgement.run(&mut clusters, &mut progress) {
        judgement.report.add_broken(&broken, None);
    }
    judgement.ended(&clusters)
}

/// Takes only the schedules of the options.
pub fn replay(options: &Options, interrupt: &Interrupt) -> Report {
    let report =
        Report { name: options.command.join(" "), scope: Scope::Traces, ..Report::default() };
    let mut judgement = Judgement { report, sizes: None, options, interrupt };
    let until = Instant::now() + options.time;
    let budget = Budget { until, states_max: 0, interrupt };
    let mut clusters = Clusters::new();
    let result = judgement.greet().and_then(|()| judgement.guided(&mut clusters, &budget));
    if let Err(broken) = result {
        judgement.report.add_broken(&broken, None);
    }
    judgement.ended(&clusters)
}

/// Runs the schedule of a file again.
///
/// # Errors
/// The file is no schedule.
pub fn rerun(
    file: &File,
    command: &[String],
    limits: Limits,
    interrupt: &Interrupt,
) -> Result<Report, NoSchedule> {
    let again = file.run(command, limits)?;
    let scope = Scope::Schedule;
    let mut report = Report { name: command.join(" "), scope, ..Report::default() };
    let Some(mut cluster) = again.cluster else {
        if let Some(broken) = &again.broken {
            report.add_broken(broken, None);
        }
        return Ok(report);
    };
    report.name.clone_from(&cluster.subject);
    for (finding, class, at) in again.findings {
        let found = Found { finding, class, schedule: again.schedule[..at].to_vec() };
        report.findings.push(reported(&mut cluster, &found));
    }
    // So far each node was asked by itself.
    let mut differing = Findings::new(Class::Nondeterministic);
    let broken = match again.broken {
        None => {
            let result = together(&mut cluster, &again.schedule, &mut differing, &INDEPENDENT);
            result.err().map(|(broken, _)| broken)
        }
        broken => broken,
    };
    if broken.is_none() && differing.all.is_empty() {
        report.apart = Some(apart(&mut cluster, &again.schedule, &mut differing, interrupt));
    }
    if let Some(broken) = broken {
        report.add_broken(&broken, Some((&mut cluster, &again.schedule)));
    }
    report.findings.extend(differing.all.iter().map(|found| reported(&mut cluster, found)));
    report.impossible = again.impossible;
    report.findings.sort_by_key(|finding| finding.class);
    report.requests = cluster.requests;
    Ok(report)
}

/// The clusters that were needed so far. Each has a process of its own.
type Clusters = Vec<(Size, Cluster)>;

struct Judgement<'a> {
    report: Report,
    /// The numbers of acceptors that the subject supports, if not any.
    sizes: Option<Vec<usize>>,
    options: &'a Options,
    interrupt: &'a Interrupt,
}

impl Judgement<'_> {
    fn run(
        &mut self,
        clusters: &mut Clusters,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), Broken> {
        let Options { time, seed, .. } = self.options;
        self.greet()?;
        let sizes = self.sizes.clone();
        let allowed = |it: &&Planned| {
            sizes.as_ref().is_none_or(|sizes| sizes.contains(&it.bounds.size.acceptors))
        };
        let searches: Vec<_> = SEARCHES.iter().filter(allowed).collect();
        let start = match sizes.iter().flatten().next() {
            Some(acceptors) if searches.is_empty() => size(*acceptors, 2.min(*acceptors)),
            _ => searches.first().map_or(size(3, 2), |it| it.bounds.size),
        };
        self.with(clusters, start, |judgement, cluster, found| {
            judgement.repeat(cluster, found)?;
            try_alone(cluster, found)
        })?;
        if !self.is_over() {
            self.crash(clusters, start)?;
        }
        // The time is for the search. The starts of many processes have taken some before.
        let end = Instant::now() + *time;
        let mut generator = ChaCha8Rng::seed_from_u64(*seed);
        for states_max in STATES_MAX.into_iter().take(self.options.passes.unwrap_or(usize::MAX)) {
            let budget = Budget { until: end, states_max, interrupt: self.interrupt };
            for planned in &searches {
                if self.is_over() || budget.is_spent() {
                    break;
                }
                self.search(clusters, planned, &budget, progress)?;
            }
            self.random(clusters, &mut generator, RANDOM, &budget, progress)?;
            if states_max == STATES_MAX[0] {
                self.guided(clusters, &budget)?;
            }
        }
        let budget = Budget { until: end, states_max: 0, interrupt: self.interrupt };
        if self.options.passes.is_none() {
            self.random(clusters, &mut generator, u64::MAX, &budget, progress)?;
        }
        Ok(())
    }

    /// Returns the report, with what the clusters count.
    fn ended(mut self, clusters: &Clusters) -> Report {
        for (_, cluster) in clusters {
            cluster.count(&mut self.report.messages);
            self.report.requests += cluster.requests;
        }
        self.report.findings.sort_by_key(|finding| finding.class);
        self.report
    }

    /// Asks the subject for its name and its sizes.
    fn greet(&mut self) -> Result<(), Broken> {
        let Options { command, limits, .. } = self.options;
        let (_, hello) = Process::start(command, *limits)?;
        (self.report.name, self.sizes) = (hello.name, hello.caps.sizes);
        if self.sizes.as_ref().is_some_and(|sizes| sizes.is_empty() || sizes.contains(&0)) {
            return Err(Broken::Unsupported("no acceptors, which \"sizes\" has".to_owned()));
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let is_last = |class| class <= self.options.stop_at || class == Class::Vacuous;
        self.report.unusable.is_some() || self.report.class().is_some_and(is_last)
    }

    /// Does one search, unless it was complete before.
    fn search(
        &mut self,
        clusters: &mut Clusters,
        Planned { bounds, by_rounds }: &Planned,
        budget: &Budget<'_>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), Broken> {
        let is_same = |it: &Explored| it.bounds == *bounds && it.by_rounds == *by_rounds;
        let before = self.report.searches.iter().position(is_same);
        if before.is_some_and(|place| self.report.searches[place].complete) {
            return Ok(());
        }
        self.with(clusters, bounds.size, |judgement, cluster, found| {
            let show = |explored| progress(Progress::Search(explored));
            let explored = if *by_rounds {
                explore_rounds(cluster, *bounds, budget, found, show)?
            } else {
                explore(cluster, *bounds, budget, found, show)?
            };
            let searches = &mut judgement.report.searches;
            match before {
                // The time may have ended the search earlier than in the pass before.
                Some(place) if explored.complete || explored.states > searches[place].states => {
                    searches[place] = explored;
                }
                Some(_) => {}
                None => searches.push(explored),
            }
            Ok(())
        })
    }

    /// Takes the schedules of a model.
    fn guided(&mut self, clusters: &mut Clusters, budget: &Budget<'_>) -> Result<(), Broken> {
        for Guidance { nodes, steps } in &self.options.schedules {
            if self.is_over() || budget.is_spent() {
                break;
            }
            if self.sizes.as_ref().is_some_and(|sizes| !sizes.contains(nodes)) {
                self.report.guided.left_out += steps.len() as u64;
                continue;
            }
            self.with(clusters, size(*nodes, *nodes), |judgement, cluster, found| {
                follow(cluster, steps, &mut judgement.report.guided, found).map(drop)
            })?;
        }
        Ok(())
    }

    /// Runs random schedules on clusters of all sizes so far.
    fn random(
        &mut self,
        clusters: &mut Clusters,
        generator: &mut ChaCha8Rng,
        count: u64,
        budget: &Budget<'_>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), Broken> {
        let sizes: Vec<_> = clusters.iter().map(|(size, _)| *size).collect();
        for (size, _) in sizes.iter().cycle().zip(0..count) {
            if self.is_over() || budget.is_spent() {
                break;
            }
            self.with(clusters, *size, |judgement, cluster, found| {
                let schedule = random(cluster, generator, budget, found)?;
                judgement.report.random += 1;
                if judgement.report.random.is_multiple_of(TOGETHER) {
                    together(cluster, &schedule, found, &INDEPENDENT)?;
                }
                Ok(())
            })?;
            progress(Progress::Random(self.report.random));
        }
        Ok(())
    }

    /// Does something with a cluster of a size, and reports what it finds.
    fn with(
        &mut self,
        clusters: &mut Clusters,
        size: Size,
        work: impl FnOnce(&mut Self, &mut Cluster, &mut Findings) -> Result<(), BrokenAt>,
    ) -> Result<(), Broken> {
        if !clusters.iter().any(|(of, _)| *of == size) {
            let cluster = Cluster::new(&self.options.command, self.options.limits, size)?;
            clusters.push((size, cluster));
        }
        let cluster = clusters.iter_mut().find(|(of, _)| *of == size);
        let (_, cluster) = cluster.expect("it was added");
        let mut found = Findings::new(self.options.stop_at);
        let broken = work(self, cluster, &mut found).err();
        for found in found.all {
            if self.report.has(&found) {
                continue;
            }
            match confirmed(cluster, &found, self.interrupt) {
                Ok(confirmed) => self.report.add(cluster, &confirmed, self.interrupt),
                Err(broken) => {
                    self.report.findings.push(reported(cluster, &found));
                    return Err(broken);
                }
            }
        }
        if let Some((broken, schedule)) = broken {
            self.report.add_broken(&broken, Some((cluster, &schedule)));
        }
        Ok(())
    }

    /// A schedule with crashes, with a process for each node.
    fn crash(&mut self, clusters: &mut Clusters, start: Size) -> Result<(), Broken> {
        let has_three = self.sizes.as_ref().is_none_or(|sizes| sizes.contains(&3));
        let acceptors = if has_three { 3 } else { start.acceptors };
        self.with(clusters, size(acceptors, 2.min(acceptors)), |judgement, cluster, found| {
            let schedule = follow(cluster, &CRASHES, &mut Guided::default(), found)?;
            if !found.is_final() {
                let apart = apart(cluster, &schedule, found, judgement.interrupt);
                judgement.report.apart = Some(apart);
            }
            Ok(())
        })
    }

    /// The same schedules several times, in one process and in a new one.
    fn repeat(&mut self, cluster: &mut Cluster, found: &mut Findings) -> Result<(), BrokenAt> {
        let until = Instant::now() + self.options.time;
        let never = Budget { until, states_max: 0, interrupt: self.interrupt };
        let mut generator = ChaCha8Rng::seed_from_u64(self.options.seed);
        for _ in 0..REPEATED {
            // Findings of a subject that may not repeat itself are worth nothing.
            let mut unsure = Findings::new(Class::Safety);
            let schedule = random(cluster, &mut generator, &never, &mut unsure)?;
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

/// Runs a schedule with a process for each node. A difference that comes from a kill is a finding.
fn apart(
    cluster: &mut Cluster,
    schedule: &Schedule,
    found: &mut Findings,
    interrupt: &Interrupt,
) -> Apart {
    let apart = cluster.run_apart(schedule, interrupt);
    if let Apart::Differs { step, by_kill: true, facts } = &apart {
        let facts = format!("with a process for each node, {facts}");
        found.add(ONLY_DISK.fails(facts), ONLY_DISK.class, || schedule[..*step].to_vec());
    }
    apart
}

/// Fair schedules: a subject that decides nothing in them makes every search void.
fn try_alone(cluster: &mut Cluster, found: &mut Findings) -> Result<(), BrokenAt> {
    let (schedule, decided) = fair(cluster, 0, found)?;
    if !decided {
        let facts = format!("no node took a value as chosen in {} steps", schedule.len());
        found.add(DECIDES.fails(facts), DECIDES.class, || schedule);
        return Ok(());
    }
    let silent = cluster.rules.setup.acceptors.len() - cluster.rules.quorum;
    // A proposer that asks only a quorum may ask the silent ones.
    if silent > 0 && cluster.rules.caps.prepare_to == PrepareTo::All {
        let (schedule, decided) = fair(cluster, silent, found)?;
        if !decided {
            let facts = format!("with {silent} silent, no node took a value as chosen");
            found.add(QUORUM_IS_ENOUGH.fails(facts), QUORUM_IS_ENOUGH.class, || schedule);
        }
    }
    Ok(())
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

/// Returns true if the schedule of a finding shows it by itself: the subject takes each step of it, the same each time.
fn has_schedule(found: &Found) -> bool {
    !matches!(found.class, Class::Nondeterministic | Class::Broken | Class::Vacuous)
        && *found.finding.claim != QUORUM_IS_ENOUGH
}

/// Shortens the schedule of a finding, and runs it on the subject with all nodes together. If the replies differ, then the
/// finding is that.
fn confirmed(cluster: &mut Cluster, found: &Found, interrupt: &Interrupt) -> Result<Found, Broken> {
    if !has_schedule(found) {
        return Ok(found.clone());
    }
    let budget = Budget { until: Instant::now() + SHORTEN, states_max: 0, interrupt };
    let found = shorten(cluster, found, &budget).map_err(|(broken, _)| broken)?;
    let mut differing = Findings::new(found.class);
    together(cluster, &found.schedule, &mut differing, &INDEPENDENT)
        .map_err(|(broken, _)| broken)?;
    Ok(differing.all.pop().unwrap_or(found))
}

fn reported(cluster: &mut Cluster, found: &Found) -> Reported {
    let Found { finding: Finding { claim, facts }, class, schedule } = found;
    Reported {
        class: *class,
        claim: claim.text,
        facts: facts.clone(),
        steps: schedule::shown(cluster, schedule),
        apart: None,
        schedule: Some(schedule::file(cluster, schedule, claim.text, facts)),
    }
}

impl Report {
    fn has(&self, Found { finding, class, .. }: &Found) -> bool {
        self.findings.iter().any(|it| it.class == *class && it.claim == finding.claim.text)
    }

    /// Reports a finding, and runs its schedule with a process for each node.
    fn add(&mut self, cluster: &mut Cluster, found: &Found, interrupt: &Interrupt) {
        let mut by_kill = Findings::new(found.class);
        let apart =
            has_schedule(found).then(|| apart(cluster, &found.schedule, &mut by_kill, interrupt));
        self.findings.push(Reported { apart, ..reported(cluster, found) });
        for found in by_kill.all {
            if !self.has(&found) {
                self.findings.push(reported(cluster, &found));
            }
        }
    }

    /// Reports an adapter that broke, in a schedule if there was one.
    fn add_broken(&mut self, broken: &Broken, at: Option<(&mut Cluster, &Schedule)>) {
        if broken.is_bad_input() {
            self.unusable = Some(broken.to_string());
            return;
        }
        let finding = REPLIES.fails(broken.to_string());
        self.findings.push(match at {
            Some((cluster, schedule)) => reported(
                cluster,
                &Found { finding, class: REPLIES.class, schedule: schedule.clone() },
            ),
            None => Reported {
                class: REPLIES.class,
                claim: REPLIES.text,
                facts: finding.facts,
                steps: schedule::Shown::default(),
                apart: None,
                schedule: None,
            },
        });
    }
}
