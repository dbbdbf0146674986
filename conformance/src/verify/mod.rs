//! `cargo verify`: runs every link of the chain, and reports the coverage and the verdict of each link.

mod job;
mod progress;
mod report;

use std::{collections::VecDeque, fmt, sync::Mutex};

use epr_prover::report::SpecificationReport;
use paxos_model::cluster::Bounds;
use paxos_steps::spaces::{QUICK, Row as StepsRow};
use paxos_validation::{
    coverage::{Coverage, Kind},
    report::Report as RunReport,
};
use serde::Serialize;
use state_explorer::{Report, available_bytes};
use verdict::{Interrupt, Verdict};

use self::{job::Job, progress::Progress};
use crate::spaces::Table;

/// The links of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// The texts of the specifications are safe, however large the cluster is.
    Proof,
    /// Lamport's specification has the states that other tools count.
    Specification,
    /// Each step of the models is a step of the texts.
    Refinement,
    /// The cluster is safe, and each of its steps is one of the specification.
    Model,
    /// The production replica does what the model does.
    Lockstep,
    /// A step of the production replica is that of the model, from any state.
    Steps,
    /// Recorded runs of production nodes are behaviours of the model.
    Runs,
}

impl Link {
    const ALL: [Self; 7] = [
        Self::Proof,
        Self::Specification,
        Self::Refinement,
        Self::Model,
        Self::Lockstep,
        Self::Steps,
        Self::Runs,
    ];

    /// Returns the claim of the link, in one line.
    const fn claim(self) -> &'static str {
        match self {
            Self::Proof => "agreement and validity, for any number of everything",
            Self::Specification => "Lamport's Paxos: counts equal to those of TLC and Spin",
            Self::Refinement => "what is explored is what is proved, step by step",
            Self::Model => "small clusters are safe; each step is one of the specification",
            Self::Lockstep => "production replica and model agree on every transition",
            Self::Steps => "from any state, production replica and model take the same step",
            Self::Runs => "recorded runs of production nodes are behaviours of the model",
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Proof => "proof",
            Self::Specification => "specification",
            Self::Refinement => "refinement",
            Self::Model => "model",
            Self::Lockstep => "lockstep",
            Self::Steps => "steps",
            Self::Runs => "runs",
        })
    }
}

/// The evidence for a row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// A proof.
    Proved(SpecificationReport),
    /// An exploration of all states within some bounds.
    Explored(Report),
    /// Steps from any state.
    Stepped(Box<StepsRow>),
    /// The validation of a recorded run.
    Validated(Box<RunReport>),
}

impl Evidence {
    const fn verdict(&self) -> &Verdict {
        match self {
            Self::Proved(proof) => &proof.verdict,
            Self::Explored(report) => &report.verdict,
            Self::Stepped(row) => &row.verdict,
            Self::Validated(report) => &report.verdict,
        }
    }
}

/// The distinct comparisons of a lockstep; see [`memo`](paxos_lockstep::memo).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The number of distinct steps of a node.
    pub steps: usize,
    /// The number of distinct inputs of a node that change nothing, or that were also delivered in another shape.
    pub inputs: usize,
}

/// The result of one job.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The link to which the job belongs.
    pub link: Link,
    /// The specification or space.
    pub space: String,
    /// The bounds, if the job explores a cluster. Two spaces with equal bounds are the same.
    pub bounds: Option<Bounds>,
    /// The purpose of the job.
    pub shows: &'static str,
    /// The parts that the space leaves out.
    pub leaves_out: Vec<&'static str>,
    /// The verdict, after all comparisons.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The violations that only a comparison of counts found, in words.
    pub complaints: Vec<String>,
    /// The comparisons behind the transitions, in a lockstep.
    pub compared: Option<Compared>,
    /// The number of steps of the model that each action of the specification explained, in a refinement.
    pub explained: Vec<(String, u64)>,
    /// The evidence for the verdict.
    pub evidence: Evidence,
}

/// The results of all jobs.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// The worst verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// One row for each job, link by link.
    pub rows: Vec<Row>,
}

/// The cost of a job that takes about a second.
const SMALL: u64 = 300_000;

/// The least memory that is to be left for one more search at the same time.
const THREAD_BYTES: u64 = 256 << 20;

/// Runs all jobs on `threads` threads, or on fewer if memory is scarce or a thread cannot be started. Prints a failed job to
/// standard error as soon as it ends. After an interrupt the remaining jobs are inconclusive.
pub fn verify(table: &Table, threads: usize, interrupt: &Interrupt) -> Verification {
    let jobs = Job::all(table);
    let progress = Progress::new(jobs.iter().map(Job::cost).sum());
    let (queue, done) = (Mutex::new(in_order(jobs)), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let job = queue.lock().expect("no thread panics while it holds this lock").pop_front();
            let Some(job) = job else { return };
            progress.begins(&job);
            let row = job.run(interrupt);
            progress.ends(&job, &row);
            done.lock().expect("no thread panics while it holds this lock").push(row);
        }
    };
    std::thread::scope(|scope| {
        // This thread works as well, so all jobs run even if no other thread can be started.
        for _ in 1..threads {
            let scarce = available_bytes().is_some_and(|bytes| bytes < THREAD_BYTES);
            if scarce || std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let mut rows = done.into_inner().expect("no thread panics while it holds this lock");
    let order = |row: &Row| {
        let mut spaces = table.spaces.iter().chain(&table.model_only);
        let place = spaces.position(|space| Some(space.bounds) == row.bounds);
        let states = row.explored().map(|report| report.states);
        let of_steps = row
            .stepped()
            .and_then(|_| table.steps.iter().position(|space| space.shows == row.space));
        (row.link, place, of_steps, states)
    };
    rows.sort_by_key(order);
    compare_links(&mut rows);
    every_action_explains_something(&mut rows);
    every_kind_of_step(table, &mut rows);
    let verdict = Verdict::worst(rows.iter().map(|row| &row.verdict));
    Verification { verdict, rows }
}

/// Sorts the jobs. The small jobs come first, in rising order, because most mistakes show in a space of some hundred states.
/// The large jobs follow, the largest first, so that no thread begins a large job at the end.
fn in_order(mut jobs: Vec<Job>) -> VecDeque<Job> {
    jobs.sort_by_key(|job| {
        let cost = job.cost();
        if cost <= SMALL { (0, cost) } else { (1, u64::MAX - cost) }
    });
    jobs.into()
}

/// Compares the lockstep of each space with the exploration of the model, if both are complete.
///
/// The lockstep must have taken every transition of the model, kind by kind. It must also have one pair for each state of the
/// model. If two pairs had the same state of the model, the implementation would have state that the model does not show.
fn compare_links(rows: &mut [Row]) {
    let counts = |row: &Row| {
        let report = row.explored().filter(|report| report.complete)?;
        Some((row.bounds, report.states, report.transitions, report.actions.clone()))
    };
    let of_model = rows.iter().filter(|row| row.link == Link::Model);
    let of_model: Vec<_> = of_model.filter_map(counts).collect();
    for row in rows.iter_mut().filter(|row| row.link == Link::Lockstep) {
        let Some(report) = row.explored().filter(|report| report.complete) else { continue };
        let same = of_model.iter().find(|(bounds, ..)| *bounds == row.bounds);
        let Some((_, states, transitions, actions)) = same else { continue };
        let (pairs, replayed) = (report.states, report.transitions);
        let same_actions = report.actions == *actions;
        if pairs != *states {
            row.complain(format!("{pairs} pairs, but {states} states of the model"));
        }
        if replayed != *transitions || !same_actions {
            row.complain(format!("{replayed} of {transitions} transitions of the model replayed"));
        }
    }
}

/// Complains about each action of the proved specification that explains no step in any space. The cluster never takes such
/// an action, so the proof would be about another protocol.
fn every_action_explains_something(rows: &mut [Row]) {
    let refinements = || rows.iter().filter(|row| !row.explained.is_empty());
    let Some(first) = refinements().next() else { return };
    // A refinement that was interrupted may have missed the only step that an action explains.
    if refinements().any(|row| matches!(row.verdict, Verdict::Inconclusive { .. })) {
        return;
    }
    let idle: Vec<_> = (0..first.explained.len())
        .filter(|&action| refinements().all(|row| row.explained[action].1 == 0))
        .map(|action| first.explained[action].0.clone())
        .collect();
    let Some(row) = rows.iter_mut().find(|row| !row.explained.is_empty()) else { return };
    for action in idle {
        row.complain(format!("nothing that the cluster does is the action {action}"));
    }
}

/// The kinds of transitions that are no steps of a replica.
const OF_DRIVERS: [Kind; 10] = [
    Kind::Start,
    Kind::RestartKept,
    Kind::RestartLost,
    Kind::StepDuringWrite,
    Kind::LeftEarly,
    Kind::Applied,
    Kind::Served,
    Kind::Saved,
    Kind::Installed,
    Kind::Ended,
];

/// Complains about each kind of step that no case of the whole table has. Such a table would say nothing about it.
fn every_kind_of_step(table: &Table, rows: &mut [Row]) {
    let stepped = || rows.iter().filter_map(Row::stepped);
    let whole = stepped().all(|row| row.verdict == Verdict::Holds);
    if !whole || !QUICK.iter().all(|space| table.steps.contains(space)) {
        return;
    }
    let mut coverage = Coverage::default();
    stepped().for_each(|row| coverage.merge(&row.counts.coverage));
    let never: Vec<_> = coverage.never().filter(|kind| !OF_DRIVERS.contains(kind)).collect();
    let Some(row) = rows.iter_mut().find(|row| row.stepped().is_some()) else { return };
    for kind in never {
        row.complain(format!("no case has this kind of step: {kind}"));
    }
}

impl Row {
    /// Returns the result of a space of steps, or `None` for any other job.
    pub fn stepped(&self) -> Option<&StepsRow> {
        match &self.evidence {
            Evidence::Stepped(row) => Some(row),
            Evidence::Proved(_) | Evidence::Explored(_) | Evidence::Validated(_) => None,
        }
    }

    /// Returns the report of an exploration, or `None` for any other job.
    pub const fn explored(&self) -> Option<&Report> {
        match &self.evidence {
            Evidence::Explored(report) => Some(report),
            Evidence::Proved(_) | Evidence::Stepped(_) | Evidence::Validated(_) => None,
        }
    }

    /// Returns the report of a validated run, or `None` for any other job.
    pub fn validated(&self) -> Option<&RunReport> {
        match &self.evidence {
            Evidence::Validated(report) => Some(report),
            Evidence::Proved(_) | Evidence::Explored(_) | Evidence::Stepped(_) => None,
        }
    }

    /// Adds a complaint. A verdict that holds becomes a violation.
    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
        if self.verdict == Verdict::Holds {
            self.verdict = Verdict::Violated;
        }
    }

    /// Compares a count with the pinned count, and complains if they differ.
    fn expect(&mut self, what: &'static str, pinned: usize, found: usize) {
        if pinned != found {
            self.complain(format!("{found} {what} where {pinned} are pinned"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest job shows most mistakes early, and no thread begins the largest job at the end.
    #[test]
    fn small_jobs_come_first_and_large_ones_before_others() {
        let jobs = in_order(Job::all(&Table::quick()));
        let costs: Vec<_> = jobs.iter().map(Job::cost).collect();
        let (small, large) = costs.split_at(costs.partition_point(|cost| *cost <= SMALL));
        assert!(small.is_sorted() && large.is_sorted_by(|one, next| one >= next), "{costs:?}");
        assert!(small.len() > 10 && large.len() > 10, "{costs:?}");
    }

    /// An interrupt may come when the lockstep of a space is complete and the exploration of its model is not. That is no
    /// violation.
    #[test]
    fn a_lockstep_is_not_compared_with_a_model_that_was_interrupted() {
        let space = *Table::quick().spaces.last().expect("the table has spaces");
        let interrupted = Interrupt::default();
        interrupted.request();
        let lockstep = Job::Lockstep(space).run(&Interrupt::default());
        let mut rows = [Job::Model(space).run(&interrupted), lockstep];
        compare_links(&mut rows);
        let [model, lockstep] = rows;
        assert!(matches!(model.verdict, Verdict::Inconclusive { .. }), "{model:?}");
        assert_eq!((lockstep.verdict, lockstep.complaints), (Verdict::Holds, Vec::new()));
    }

    #[test]
    fn a_job_can_be_run_alone() {
        let commands = Job::all(&Table::quick()).iter().map(Job::command).collect::<Vec<_>>();
        let known = |command: &str| commands.iter().flatten().any(|it| it == command);
        for command in [
            "cargo run --release --bin paxos-model -- prove synod",
            "cargo run --release --bin paxos-model -- check synod --acceptors 3 --values 2 --ballots 2 \
             --phase1-quorum 2 --phase2-quorum 2",
            "cargo run --release --bin paxos-model -- check cluster --nodes 2 --slots 3 --ballots 1 \
             --campaigners 2 --values 2 --phase1-quorum 2 --phase2-quorum 2 --unsynced 0 --reads 0",
            "cargo run --release --bin paxos-conformance -- lockstep --nodes 2 --slots 3 --ballots 1 \
             --campaigners 2 --values 2 --phase1-quorum 2 --phase2-quorum 2 --unsynced 0 --reads 0",
        ] {
            assert!(known(command), "{command}: {commands:#?}");
        }
    }
}
