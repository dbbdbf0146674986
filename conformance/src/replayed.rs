//! The command `replay`: traces of the model on replicas, on nodes with stores, and on a foreign implementation.

use std::{
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use paxos_conformance::trace::{
    EXTENSION, Trace, file_name,
    guide::guide,
    in_folder,
    replay::{ReplayFailure, Replayed, replay, replay_on_nodes},
    shorten::shorten,
};
use paxos_model::outputs;
use paxos_subject::{Options, claims::Class, judge, process::Limits};
use serde::Serialize;
use verdict::{
    Interrupt, Verdict,
    junit::{Case, suite},
    layout::{laid_out, terminal_width},
};

use crate::{
    complain,
    recorded::{Printed, Unusable},
};

/// The time for all traces on a foreign implementation.
const SUBJECT_TIME: Duration = Duration::from_mins(10);

/// Arguments of `replay`.
#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The implementation that takes the traces.
    #[arg(long, value_enum, default_value = "replicas")]
    on: On,
    /// The file for the shortened trace of the first difference [default: a file in the temporary directory].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a picture of the shortened trace of the first difference to a file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the result to a file, as one JSON object.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the result to a file, as `JUnit` XML with a test case for each trace.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Trace files, or folders of them; - is standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// The command of the adapter, for `--on subject`.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum On {
    /// Replicas, with their records in memory.
    Replicas,
    /// Replicas with a store on disk: syncs write to it, and crashes recover from it.
    Nodes,
    /// A foreign implementation behind an adapter. It takes the steps that its messages offer.
    Subject,
}

impl On {
    fn name(self) -> String {
        self.to_possible_value().expect("no value is skipped").get_name().to_owned()
    }
}

/// Replays all traces.
pub(crate) fn run(args: &ReplayArgs, interrupt: &Interrupt) -> Result<Printed, Unusable> {
    let outputs = [
        ("--out", &args.out),
        ("--svg", &args.svg),
        ("--json", &args.json),
        ("--junit", &args.junit),
    ];
    outputs::try_files(outputs).map_err(|error| error.to_string())?;
    if args.command.is_empty() == (args.on == On::Subject) {
        return Err(
            "--on subject needs the command of an adapter behind --, and nothing else does".into(),
        );
    }
    let mut files = Vec::new();
    for path in &args.files {
        if path.is_dir() {
            files.extend(in_folder(path).map_err(|error| error.to_string())?);
        } else {
            files.push(path.clone());
        }
    }
    match args.on {
        On::Replicas => ours(args, &files, replay),
        On::Nodes => ours(args, &files, |trace| replay_on_nodes(trace, None)),
        On::Subject => foreign(args, &files, interrupt),
    }
}

/// The result of a replay on our own implementation.
#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    verdict: &'a Verdict,
    on: String,
    /// The number of traces that were replayed, and of their steps.
    traces: usize,
    steps: usize,
    /// The traces that could not be replayed to their end, and the reasons.
    failures: Vec<Failed>,
}

#[derive(Serialize)]
struct Failed {
    trace: String,
    why: String,
}

/// Replays traces on our own implementation. The first difference ends it.
fn ours(
    args: &ReplayArgs,
    files: &[PathBuf],
    replay: impl Fn(&Trace) -> Result<Replayed, ReplayFailure>,
) -> Result<Printed, Unusable> {
    let started = Instant::now();
    let (mut code, mut steps, mut cases, mut failures) = (0, 0, Vec::new(), Vec::new());
    for file in files {
        let trace = Trace::read(file).map_err(|error| error.to_string())?;
        let name = file_name(file);
        let failure = match replay(&trace) {
            Ok(replayed) => {
                steps += replayed.steps;
                cases.push(Case::new(name, &Verdict::Holds, ""));
                continue;
            }
            Err(failure) => failure,
        };
        let why = failure.to_string();
        complain(&format!("{name}: {why}"));
        failures.push(Failed { trace: name.clone(), why: why.clone() });
        if failure.exit_code() == 1 {
            cases.push(Case::new(name, &Verdict::Violated, why));
            keep_shortened(args, &trace, &replay);
            code = 1;
            break;
        }
        cases.push(Case::new(name, &Verdict::Inconclusive { why }, ""));
        code = code.max(failure.exit_code());
    }
    if steps == 0 && code == 0 {
        return Err("the traces have no step; a trace of one step or more would be replayed".into());
    }
    let verdict = match (code, failures.first()) {
        (1, _) => Verdict::Violated,
        (_, Some(failed)) => Verdict::Inconclusive { why: failed.why.clone() },
        (_, None) => Verdict::Holds,
    };
    let (on, traces) = (args.on.name(), cases.len());
    if let Some(path) = &args.junit {
        let xml = suite(&format!("traces on {on}"), &cases, started.elapsed());
        outputs::write("--junit", path, &xml).map_err(|error| error.to_string())?;
    }
    if let Some(path) = &args.json {
        let result = Outcome { verdict: &verdict, on, traces, steps, failures };
        let json = serde_json::to_string(&result).expect("a result is JSON") + "\n";
        outputs::write("--json", path, &json).map_err(|error| error.to_string())?;
    }
    // The failures are on standard error.
    let text = match verdict {
        Verdict::Holds => {
            format!("holds: {traces} traces, {steps} steps, model and implementation agree")
        }
        _ => String::new(),
    };
    Ok(Printed { text, code })
}

/// Shortens a trace that shows a difference, prints it, and writes it to a file.
fn keep_shortened(
    args: &ReplayArgs,
    trace: &Trace,
    replay: impl Fn(&Trace) -> Result<Replayed, ReplayFailure>,
) {
    let shortened = match shorten(trace, replay) {
        Ok(Some(shortened)) => shortened,
        Ok(None) => {
            return complain("the trace is not shortened: only its loop shows the difference");
        }
        Err(failure) => return complain(&format!("the trace is not shortened: {failure}")),
    };
    complain(&format!("shortened to {} steps:\n{shortened}", shortened.trace.steps()));
    if let Some(path) = &args.svg {
        let picture = shortened.diagram().svg();
        if let Err(error) = outputs::write("--svg", path, &picture) {
            complain(&format!("error: {error}"));
        }
    }
    let name = format!("paxos-difference-{}{EXTENSION}", std::process::id());
    let path = args.out.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
    if let Err(error) = outputs::write("--out", &path, &shortened.trace.to_itf()) {
        return complain(&format!("error: {error}"));
    }
    let (on, path) = (args.on.name(), path.display().to_string());
    let path = shlex::try_quote(&path).unwrap_or_else(|_| path.as_str().into());
    complain(&format!("to see it again: paxos-conformance replay --on {on} {path}"));
}

/// Takes traces on a foreign implementation, as far as its messages agree, and holds its replies against the rules of Paxos.
fn foreign(
    args: &ReplayArgs,
    files: &[PathBuf],
    interrupt: &Interrupt,
) -> Result<Printed, Unusable> {
    let started = Instant::now();
    let mut schedules = Vec::new();
    for file in files {
        let trace = Trace::read(file).map_err(|error| error.to_string())?;
        let guidance = guide(&trace).map_err(|error| format!("{}: {error}", file_name(file)))?;
        schedules.extend(guidance);
    }
    let left_out = files.len() - schedules.len();
    let options = Options {
        command: args.command.clone(),
        limits: Limits::default(),
        time: SUBJECT_TIME,
        seed: 1,
        stop_at: Class::Safety,
        passes: None,
        schedules,
    };
    let report = judge::replay(&options, interrupt);
    if let Some(why) = &report.unusable {
        return Err(why.clone());
    }
    if let Some(path) = &args.junit {
        let xml = report.junit(started.elapsed());
        outputs::write("--junit", path, &xml).map_err(|error| error.to_string())?;
    }
    if let Some(path) = &args.json {
        outputs::write("--json", path, &report.json()).map_err(|error| error.to_string())?;
    }
    let mut text = laid_out(&report, false, terminal_width());
    if left_out > 0 {
        let why = "have quorums that are no majorities, or a ballot that no node has begun";
        write!(text, "\n{left_out} traces {why}, and were left out").expect("a string has room");
    }
    Ok(Printed { text, code: report.verdict().exit_code() })
}
