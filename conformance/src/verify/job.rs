//! One job of a verification, and the comparison of its result with the table.

use std::time::Duration;

use epr_prover::{language::Specification, limits::Limits, prove, prover::Prover};
use paxos_lockstep::{pairs::Lockstep, spaces::Space};
use paxos_model::{
    cluster::{Bounds, Cluster},
    refinement::{cluster::ClusterRefinement, synod::SynodRefinement},
    synod::{Bounds as SynodBounds, Synod},
};
use paxos_steps::{check::Production, spaces::Space as Steps};
use state_explorer::{Engine, Explorable, Finding, Options, Report, explore};
use verdict::{Interrupt, Verdict};

use paxos_validation::report::Report as RunReport;

use super::{Compared, Evidence, Link, Row};
use crate::{
    run::Run,
    spaces::{Known, Table},
};

/// The time limit for one obligation. An obligation usually takes milliseconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// One proof or one exploration of a space.
pub(super) enum Job {
    Proof(Specification),
    Specification(Known),
    SynodRefinement(Specification, Known),
    ClusterRefinement(Space),
    Model(Space),
    Lockstep(Space),
    Steps(Steps),
    Run(Run),
}

impl Job {
    /// Returns all jobs of a table.
    pub(super) fn all(table: &Table) -> Vec<Self> {
        let specifications = || table.specifications.iter().cloned();
        let text = |name: &str| {
            let found = specifications().find(|it| it.name == name);
            found.expect("a refinement of a text has the text in the table")
        };
        let refinements = table.synod_refinements.iter();
        let refinements =
            refinements.map(|(name, known)| Self::SynodRefinement(text(name), *known));
        let spaces = || table.spaces.iter().copied();
        specifications()
            .map(Self::Proof)
            .chain(table.known.iter().copied().map(Self::Specification))
            .chain(refinements)
            .chain(table.cluster_refinements.iter().copied().map(Self::ClusterRefinement))
            .chain(spaces().chain(table.model_only.iter().copied()).map(Self::Model))
            .chain(spaces().map(Self::Lockstep))
            .chain(table.steps.iter().copied().map(Self::Steps))
            .chain(table.runs.iter().copied().map(Self::Run))
            .collect()
    }

    /// Returns an estimate of the time that the job takes. A transition of the model alone counts as 1.
    pub(super) fn cost(&self) -> u64 {
        match self {
            Self::Proof(_) => 10_000,
            Self::Run(_) => 30_000,
            Self::Steps(steps) => 3 * steps.cost(),
            Self::Specification(known) => known.transitions as u64 / 4,
            Self::Model(space) | Self::Lockstep(space) => space.transitions as u64,
            Self::ClusterRefinement(space) => 5 * space.transitions as u64,
            Self::SynodRefinement(_, known) => 10 * known.transitions as u64,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Proof(specification) => format!("{}.epr", specification.name),
            Self::Specification(known) => known.to_string(),
            Self::SynodRefinement(specification, known) => {
                format!("{}.epr: {known}", specification.name)
            }
            Self::ClusterRefinement(space) => format!("multipaxos.epr: {}", space.bounds),
            Self::Model(space) | Self::Lockstep(space) => space.bounds.to_string(),
            Self::Steps(steps) => steps.shows.to_owned(),
            Self::Run(Run { nodes, seed }) => format!("{nodes} nodes, simulated storm {seed}"),
        }
    }

    /// Returns the command that runs the job alone, if there is one.
    pub(super) fn command(&self) -> Option<String> {
        let with = |bin, what: &str, settings: Vec<(&str, String)>| {
            // The first setting names the model. A setting that is not given begins with "no".
            let given = settings.into_iter().skip(1).map(|(_, setting)| setting);
            let given: Vec<_> = given.filter(|setting| !setting.starts_with("no ")).collect();
            format!("cargo run --release --bin {bin} -- {what} {}", given.join(" "))
        };
        let cluster = |space: &Space| Some(Cluster::new(space.bounds).ok()?.settings());
        match self {
            Self::Proof(specification) => Some(format!(
                "cargo run --release --bin paxos-model -- prove {}",
                specification.name
            )),
            Self::Specification(known) => {
                Some(with("paxos-model", "check synod", known.synod().settings()))
            }
            Self::Model(space) => Some(with("paxos-model", "check cluster", cluster(space)?)),
            Self::Lockstep(space) => Some(with("paxos-conformance", "lockstep", cluster(space)?)),
            Self::Steps(_) => {
                Some("cargo run --release --bin paxos-conformance -- step --any".to_owned())
            }
            Self::SynodRefinement(..) | Self::ClusterRefinement(_) | Self::Run(_) => None,
        }
    }

    pub(super) const fn link(&self) -> Link {
        match self {
            Self::Proof(_) => Link::Proof,
            Self::Specification(_) => Link::Specification,
            Self::SynodRefinement(..) | Self::ClusterRefinement(_) => Link::Refinement,
            Self::Model(_) => Link::Model,
            Self::Lockstep(_) => Link::Lockstep,
            Self::Steps(_) => Link::Steps,
            Self::Run(_) => Link::Runs,
        }
    }

    const fn bounds(&self) -> Option<Bounds> {
        match self {
            Self::ClusterRefinement(space) | Self::Model(space) | Self::Lockstep(space) => {
                Some(space.bounds)
            }
            Self::Proof(_)
            | Self::Specification(_)
            | Self::SynodRefinement(..)
            | Self::Steps(_)
            | Self::Run(_) => None,
        }
    }

    const fn shows(&self) -> &'static str {
        match self {
            Self::Proof(_) => "any number of acceptors, ballots, values, slots",
            Self::Specification(_) => "the literature's counts",
            Self::Steps(steps) => steps.shows,
            Self::Run(_) => "nodes with their driver, loss, repetition, restarts, snapshots",
            Self::SynodRefinement(..) => "the same actions and states, both ways",
            Self::ClusterRefinement(space) | Self::Model(space) | Self::Lockstep(space) => {
                space.shows
            }
        }
    }

    /// Runs the job, and compares its result with the table.
    pub(super) fn run(&self, interrupt: &Interrupt) -> Row {
        let (mut compared, mut explained) = (None, Vec::new());
        let evidence = match self {
            Self::Proof(specification) => {
                let one = std::slice::from_ref(specification);
                let limits = Limits { timeout: PATIENCE, interrupt: interrupt.clone() };
                let mut report = prove(one, &Prover::Builtin, limits, |_| ());
                Evidence::Proved(report.specifications.remove(0))
            }
            Self::Specification(known) => searched(&known.synod(), interrupt),
            Self::SynodRefinement(specification, known) => {
                searched(&SynodRefinement::new(known.synod(), specification.clone()), interrupt)
            }
            Self::ClusterRefinement(space) => {
                let refinement =
                    ClusterRefinement::new(space.bounds).expect("the table has valid bounds");
                let evidence = searched(&refinement, interrupt);
                explained = refinement.explained();
                evidence
            }
            Self::Model(space) => {
                let cluster =
                    Cluster::new(space.bounds).expect("the table has valid bounds").checked();
                searched(&cluster, interrupt)
            }
            Self::Lockstep(space) => {
                let pairs = Lockstep::new(space.bounds).expect("the table has valid bounds");
                let evidence = searched(&pairs, interrupt);
                let (steps, inputs) = (pairs.memo().steps(), pairs.memo().ignored_or_reshaped());
                compared = Some(Compared { steps, inputs });
                evidence
            }
            Self::Steps(steps) => Evidence::Stepped(Box::new(steps.check(&Production, interrupt))),
            Self::Run(run) => {
                Evidence::Validated(Box::new(run.validate().unwrap_or_else(|error| {
                    RunReport::inconclusive(format!("the run cannot be recorded: {error}"))
                })))
            }
        };
        let mut row = Row {
            link: self.link(),
            space: self.name(),
            bounds: self.bounds(),
            shows: self.shows(),
            leaves_out: self.leaves_out(),
            verdict: evidence.verdict().clone(),
            complaints: Vec::new(),
            compared,
            explained,
            evidence,
        };
        self.compare_with_table(&mut row);
        row
    }

    fn leaves_out(&self) -> Vec<&'static str> {
        match self {
            Self::Proof(_) => vec!["liveness", "trimming", "members that change"],
            Self::Steps(_) => vec!["several nodes", "runs of several steps"],
            Self::Run(_) => vec!["TCP", "the disk of an operating system"],
            _ => self.bounds().map_or(Vec::new(), |bounds| bounds.leaves_out()),
        }
    }

    /// Compares the counts of a complete exploration with the table, and complains about `sometimes` properties that no state
    /// has.
    fn compare_with_table(&self, row: &mut Row) {
        if let (Self::Steps(steps), Some(stepped)) = (self, row.stepped())
            && stepped.verdict == Verdict::Holds
        {
            let (states, cases) = (stepped.counts.states, stepped.counts.cases);
            row.expect("states", steps.pinned.0 as usize, states as usize);
            row.expect("cases", steps.pinned.1 as usize, cases as usize);
            return;
        }
        let Evidence::Explored(report) = &row.evidence else { return };
        if !report.complete {
            return;
        }
        let (states, transitions, depth) = match self {
            Self::Proof(_) | Self::Steps(_) | Self::Run(_) => return,
            Self::Specification(known) | Self::SynodRefinement(_, known) => {
                (known.states, known.transitions, Some(known.depth))
            }
            Self::ClusterRefinement(space) | Self::Model(space) | Self::Lockstep(space) => {
                (space.states, space.transitions, None)
            }
        };
        let report: Report = report.clone();
        if let Some(depth) = depth {
            row.expect("levels", depth, report.depth.unwrap_or(0));
        }
        row.expect("states", states, report.states);
        row.expect("transitions", transitions, report.transitions);
        for property in report.properties.iter().filter(|it| it.finding == Finding::Never) {
            row.complain(format!("never seen: {}", property.name));
        }
        let taken: u64 = report.actions.values().sum();
        if taken != report.transitions as u64 {
            row.complain(format!(
                "{taken} steps were counted by kind, and {} in all",
                report.transitions
            ));
        }
    }
}

/// Explores a model depth-first, which takes less memory. If there is a failure, the engine looks for a shortest path to it,
/// breadth-first.
fn searched<M: Explorable>(model: &M, interrupt: &Interrupt) -> Evidence {
    let interrupt = interrupt.clone();
    let options = Options { engine: Engine::Dfs, interrupt, ..Options::default() };
    Evidence::Explored(explore(model, &options))
}

impl Known {
    fn synod(&self) -> Synod {
        let (acceptors, values, ballots) = self.bounds;
        let (phase1_quorum, phase2_quorum) =
            self.quorums.map_or((None, None), |(phase1, phase2)| (Some(phase1), Some(phase2)));
        let bounds = SynodBounds { acceptors, values, ballots, phase1_quorum, phase2_quorum };
        Synod::new(bounds).expect("the table has valid bounds")
    }
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (acceptors, values, ballots) = self.bounds;
        write!(f, "{acceptors} acceptors, {values} values, {ballots} ballots")?;
        match self.quorums {
            Some((phase1, phase2)) => write!(f, ", quorums {phase1}/{phase2}"),
            None => Ok(()),
        }
    }
}
