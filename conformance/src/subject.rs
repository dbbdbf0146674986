//! The command `subject`: judges an implementation in any language.

use std::{
    fmt::{Display, Write as _},
    fs,
    io::{self, IsTerminal as _, Write as _},
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use indicatif::HumanCount;
use itertools::Itertools as _;
use paxos_conformance::trace::{Trace, counterexamples, cover, guide::guide, scenarios::SCENARIOS};
use paxos_model::{
    cluster::{Bounds, Cluster},
    outputs,
};
use paxos_subject::{
    Options,
    claims::Class,
    guide::Guidance,
    judge::{Progress, judge, rerun},
    process::Limits,
    report::Report,
    schedule::File,
};
use verdict::{
    Interrupt,
    layout::{laid_out, terminal_width},
};

use crate::recorded::{Printed, Unusable};

/// The pause between two lines of progress.
const PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `subject`.
#[derive(Args)]
pub(crate) struct SubjectArgs {
    /// The time for the search, in seconds. A finding about safety ends it earlier.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    time: NonZeroU64,
    /// The seed of random schedules.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// End at a finding of this class, or of a worse one.
    #[arg(long, value_name = "CLASS", value_enum, default_value = "safety")]
    stop_at: StopAt,
    /// Only run the schedule of a file again.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["time", "seed", "stop_at"])]
    schedule: Option<PathBuf>,
    /// The file for the schedule of the first finding [default: a file in the temporary directory].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a picture of the first finding to a file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the report to a file, as one JSON object.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report to a file, as `JUnit` XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The longest time until a reply, in ms.
    #[arg(long, value_name = "MS", default_value = "10000")]
    reply_ms: NonZeroU64,
    /// The most memory of the adapter, in MiB.
    #[arg(long, value_name = "MIB", default_value = "1024")]
    memory_mib: NonZeroU64,
    /// The command of the adapter.
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// The classes of findings that may end a judgement.
#[derive(Clone, Copy, ValueEnum)]
enum StopAt {
    Safety,
    Fault,
    Contract,
    Liveness,
}

impl StopAt {
    fn class(self) -> Class {
        match self {
            Self::Safety => Class::Safety,
            Self::Fault => Class::Fault,
            Self::Contract => Class::Contract,
            Self::Liveness => Class::Liveness,
        }
    }
}

/// Judges a subject, or runs a schedule again.
pub(crate) fn subject(args: &SubjectArgs, interrupt: &Interrupt) -> Result<Printed, Unusable> {
    let files = [
        ("--out", &args.out),
        ("--svg", &args.svg),
        ("--json", &args.json),
        ("--junit", &args.junit),
    ];
    outputs::try_files(files).map_err(|error| error.to_string())?;
    let limits = Limits {
        reply: Duration::from_millis(args.reply_ms.get()),
        memory_bytes: args.memory_mib.get().saturating_mul(1 << 20),
        ..Limits::default()
    };
    let started = Instant::now();
    let report = match &args.schedule {
        Some(path) => repeated(args, path, limits, interrupt)?,
        None => searched(args, limits, interrupt),
    };
    if let Some(why) = &report.unusable {
        return Err(why.clone());
    }
    let mut text = laid_out(&report, false, terminal_width());
    if let Some(path) = kept(args, &report)? {
        let words = args.command.iter().map(String::as_str);
        let path = path.display().to_string();
        let again = shlex::try_join(["--schedule", &path, "--"].into_iter().chain(words));
        let again = again.map_err(|error| error.to_string())?;
        write!(text, "\nto see it again: paxos-conformance subject {again}")
            .expect("a string has room");
    }
    let output = |option: &'static str, path: &Option<PathBuf>, content: &dyn Fn() -> String| {
        path.as_ref().map_or(Ok(()), |path| {
            outputs::write(option, path, &content()).map_err(|error| error.to_string())
        })
    };
    output("--json", &args.json, &|| report.json())?;
    output("--junit", &args.junit, &|| report.junit(started.elapsed()))?;
    let picture = || match report.findings.first() {
        Some(first) => first.steps.diagram(first.claim).svg(),
        None => String::new(),
    };
    output("--svg", &args.svg.clone().filter(|_| !report.findings.is_empty()), &picture)?;
    Ok(Printed { text, code: report.verdict().exit_code() })
}

/// Runs the schedule of a file again.
fn repeated(
    args: &SubjectArgs,
    path: &Path,
    limits: Limits,
    interrupt: &Interrupt,
) -> Result<Report, Unusable> {
    let unusable = |error: &dyn Display| format!("--schedule {}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| unusable(&error))?;
    let file = File::read(&text).map_err(|error| unusable(&error))?;
    rerun(&file, &args.command, limits, interrupt).map_err(|error| unusable(&error))
}

/// Searches for a schedule that contradicts a claim.
fn searched(args: &SubjectArgs, limits: Limits, interrupt: &Interrupt) -> Report {
    let (command, time) = (args.command.clone(), Duration::from_secs(args.time.get()));
    let stop_at = args.stop_at.class();
    let schedules = schedules();
    let options =
        Options { command, limits, time, seed: args.seed, stop_at, passes: None, schedules };
    let mut shown = Instant::now();
    judge(&options, interrupt, |progress| {
        if shown.elapsed() >= PAUSE {
            shown = Instant::now();
            show(progress);
        }
    })
}

/// The spaces of the model of which every transition is taken.
const COVERED: [Bounds; 2] = [
    Bounds::of(3, 1, 1),
    Bounds { crashes: Some(0), nacks: false, chosen: false, ..Bounds::of(3, 1, 2) },
];

/// Returns the schedules of the model: the counterexamples of known bugs, the scenarios, and walks through small spaces.
fn schedules() -> Vec<Guidance> {
    let guidance = |trace: &Trace| guide(trace).expect("a trace of the model");
    let counterexamples = counterexamples::kept().into_iter().map(|it| it.guidance);
    let scenarios = SCENARIOS.iter().filter_map(|scenario| {
        guidance(&scenario.trace().expect("a test has checked each scenario"))
    });
    let walks = COVERED.iter().flat_map(|bounds| {
        let cluster = Cluster::new(*bounds).expect("the bounds are valid").checked();
        let walks = cover::traces(*bounds).expect("a small space");
        walks.into_iter().filter_map(move |walk| {
            guidance(&Trace::record(&cluster, "a walk", &walk).expect("a behaviour"))
        })
    });
    // Many walks differ only in what a schedule does not have.
    counterexamples.chain(scenarios).chain(walks).unique().collect()
}

/// Writes the schedule of the first finding to a file, and returns its path.
fn kept(args: &SubjectArgs, report: &Report) -> Result<Option<PathBuf>, Unusable> {
    let Some(schedule) = report.findings.first().and_then(|first| first.schedule.as_ref()) else {
        return Ok(None);
    };
    if args.schedule.is_some() && args.out.is_none() {
        return Ok(args.schedule.clone());
    }
    let name = format!("paxos-schedule-{}.json", std::process::id());
    let path = args.out.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
    let json = serde_json::to_string_pretty(schedule).expect("a schedule is JSON") + "\n";
    outputs::write("--out", &path, &json).map_err(|error| error.to_string())?;
    Ok(Some(path))
}

fn show(progress: Progress) {
    let line = match progress {
        Progress::Search(explored) => explored.to_string(),
        Progress::Random(count) => format!("{} random schedules", HumanCount(count)),
    };
    let mut err = io::stderr().lock();
    // If standard error is closed, the report remains.
    let _ =
        if err.is_terminal() { write!(err, "\r\x1b[2K{line}") } else { writeln!(err, "{line}") };
    let _ = err.flush();
}
