//! The commands about recorded runs: `validate`, `watch`, `stream` and `show`.

use std::{
    fmt::Write as _,
    fs,
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::HumanCount;
use itertools::Itertools as _;
use paxos_model::outputs;
use paxos_validation::{
    coverage::{Coverage, Kind},
    excerpt::Recent,
    itf,
    order::{Halt, Validator},
    report::{Report, Violation},
    stream::{Copies, Limits, Pulled, Server},
    watcher::Watcher,
};
use verdict::{
    Interrupt, Verdict,
    junit::{self, Case},
    layout::{laid_out, terminal_width},
};

/// The pause between two looks at the recordings of a running cluster.
const PAUSE: Duration = Duration::from_millis(50);
/// The pause between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(1);

/// Arguments of `validate`.
#[derive(Args)]
pub(crate) struct ValidateArgs {
    /// Directories with the recordings of all nodes of a cluster, one directory for each run.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Write the reports to a file, as a JSON array with an object for each run.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the reports to a file, as `JUnit` XML with a test case for each run.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Also print the number of transitions of each kind.
    #[arg(long, short)]
    verbose: bool,
}

/// Arguments of `watch`.
#[derive(Args)]
pub(crate) struct WatchArgs {
    /// The directory to which all nodes of the cluster record, on this machine. With `--from`, a directory for copies.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Copy the recordings of the nodes on another machine from this address of `stream`: IP and port. Give one for each machine.
    #[arg(long, value_name = "ADDR")]
    from: Vec<SocketAddr>,
    /// Keep rate, lag and coverage in a file, in the text format of Prometheus.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// End when no node has recorded anything for this long, in ms. Without it, watch until a signal.
    #[arg(long, value_name = "MS")]
    idle_ms: Option<u64>,
    /// Also print the number of transitions of each kind.
    #[arg(long, short)]
    verbose: bool,
}

/// Arguments of `stream`.
#[derive(Args)]
pub(crate) struct StreamArgs {
    /// The directory to which the nodes on this machine record. It is read only, and only its recordings are served.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The address to listen at: IP and port. Port 0 is any free port. Nothing is encrypted or authenticated.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
}

/// Arguments of `show`.
#[derive(Args)]
pub(crate) struct ShowArgs {
    /// The directory with the recordings.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Also write the run to a file, as a trace in the format ITF.
    #[arg(long, value_name = "FILE")]
    itf: Option<PathBuf>,
}

/// The result of a command: its text, and the exit code.
pub(crate) struct Printed {
    pub(crate) text: String,
    pub(crate) code: u8,
}

/// Unusable input.
pub(crate) type Unusable = String;

/// Validates each run.
pub(crate) fn validate(args: &ValidateArgs) -> Result<Printed, Unusable> {
    outputs::try_files([("--json", &args.json), ("--junit", &args.junit)])
        .map_err(|error| error.to_string())?;
    let started = Instant::now();
    let several = args.directories.len() > 1;
    let (mut text, mut reports) = (String::new(), Vec::new());
    for directory in &args.directories {
        let report = Validator::new(directory).finish(|_| ());
        let report = report.map_err(|error| error.to_string())?;
        if several {
            writeln!(text, "{}:", directory.display()).expect("a string has room");
        }
        let report_text = laid_out(&report, args.verbose, terminal_width());
        // The summary of several runs names the kinds that none of them has exercised.
        let brief = several && !args.verbose;
        let lines = report_text.split_inclusive('\n');
        text.extend(lines.filter(|line| !(brief && line.starts_with("  never: "))));
        reports.push(report);
    }
    if several {
        text += &summary(&reports);
    }
    if let Some(path) = &args.json {
        let json = serde_json::to_string(&reports).expect("a report is JSON") + "\n";
        outputs::write("--json", path, &json).map_err(|error| error.to_string())?;
    }
    if let Some(path) = &args.junit {
        let case = |(directory, report): (&PathBuf, &Report)| {
            Case::new(directory.display().to_string(), &report.verdict, report.to_string())
        };
        let cases: Vec<_> = args.directories.iter().zip(&reports).map(case).collect();
        let xml = junit::suite("recorded runs", &cases, started.elapsed());
        outputs::write("--junit", path, &xml).map_err(|error| error.to_string())?;
    }
    let verdict = Verdict::worst(reports.iter().map(|report| &report.verdict));
    Ok(Printed { text: text.trim_end().to_owned(), code: verdict.exit_code() })
}

/// Returns the verdict over several runs, and the kinds of transitions that none of them has exercised.
fn summary(reports: &[Report]) -> String {
    let verdict = Verdict::worst(reports.iter().map(|report| &report.verdict));
    let frames: u64 = reports.iter().map(|report| report.frames).sum();
    let mut coverage = Coverage::default();
    for report in reports {
        coverage.merge(&report.coverage);
    }
    let never: Vec<_> = coverage.never().map(|kind| format!("  never: {kind}\n")).collect();
    let exercised = coverage.exercised().count();
    format!(
        "all {} runs: {verdict}; {} frames; {exercised} of {} kinds of transitions\n{}",
        reports.len(),
        HumanCount(frames),
        exercised + never.len(),
        never.concat()
    )
}

/// Watches a running cluster until a step is not the model's, or until a signal.
pub(crate) fn watch(args: &WatchArgs, interrupt: &Interrupt) -> Result<Printed, Unusable> {
    outputs::try_files([("--metrics", &args.metrics)]).map_err(|error| error.to_string())?;
    let mut copies = copies(args)?;
    let mut watcher = Watcher::new(&args.directory);
    let (mut shown, mut frames_shown) = (Instant::now(), 0);
    let (mut frames, mut grown) = (0, Instant::now());
    let idle = args.idle_ms.map(Duration::from_millis);
    loop {
        let pulled = copies.as_mut().map_or(Ok(Pulled::All), Copies::pull);
        match watcher.look_after(&pulled.map_err(|error| error.to_string())?) {
            Ok(()) => {}
            Err(Halt::Unreadable(error)) => return Err(error.to_string()),
            Err(Halt::Violated(violation)) => {
                return Ok(alarm(args, watcher.into_validator(), copies.as_ref(), violation));
            }
        }
        let validator = watcher.validator();
        if validator.frames() > frames {
            (frames, grown) = (validator.frames(), Instant::now());
        }
        if shown.elapsed() >= PROGRESS {
            let rate = (frames - frames_shown) * 1000 / (shown.elapsed().as_millis() as u64).max(1);
            progress(validator, copies.as_ref(), rate);
            write_metrics(args, validator, copies.as_ref(), rate, false)?;
            (shown, frames_shown) = (Instant::now(), frames);
        }
        let is_idle = idle.is_some_and(|idle| frames > 0 && grown.elapsed() >= idle);
        if interrupt.requested() || is_idle {
            write_metrics(args, validator, copies.as_ref(), 0, false)?;
            let mut validator = watcher.into_validator();
            let doubts = copies.iter().flat_map(Copies::doubts);
            doubts.for_each(|doubt| validator.doubt(doubt));
            let report = validator.report(None);
            let code = report.verdict.exit_code();
            return Ok(Printed { text: laid_out(&report, args.verbose, terminal_width()), code });
        }
        thread::sleep(PAUSE);
    }
}

/// Returns the copies of the streams that the arguments name, or none if they name no stream.
fn copies(args: &WatchArgs) -> Result<Option<Copies>, Unusable> {
    if let Some(address) = args.from.iter().duplicates().next() {
        return Err(format!("--from {address} is given twice"));
    }
    if args.from.is_empty() {
        return Ok(None);
    }
    let copies = Copies::open(&args.directory, &args.from, Limits::default());
    copies.map(Some).map_err(|error| error.to_string())
}

/// Serves the recordings of a directory until a signal.
pub(crate) fn stream(
    args: &StreamArgs,
    interrupt: &Interrupt,
    print: impl Fn(&String) -> io::Result<()>,
) -> Result<Printed, Unusable> {
    let failed = |error| format!("--listen {}: {error}", args.listen);
    let server = Server::bind(&args.directory, args.listen).map_err(failed)?;
    let address = server.address().map_err(failed)?;
    let line = format!("serves the recordings in {} at {address}", args.directory.display());
    print(&line).map_err(|error| format!("standard output: {error}"))?;
    server.serve(|| interrupt.requested());
    Ok(Printed { text: String::new(), code: 0 })
}

fn alarm(
    args: &WatchArgs,
    validator: Validator,
    copies: Option<&Copies>,
    violation: Box<Violation>,
) -> Printed {
    // The alarm is more important than the metrics.
    let _ = write_metrics(args, &validator, copies, 0, true);
    let report = validator.report(Some(violation));
    let mut text = laid_out(&report, args.verbose, terminal_width());
    if let Some(violation) = &report.violation {
        let diagram = violation.excerpt.diagram(violation.contradiction.claim);
        write!(text, "\n{}", diagram.mermaid()).expect("a string has room");
    }
    Printed { text, code: 1 }
}

fn bytes_behind(validator: &Validator, copies: Option<&Copies>) -> u64 {
    validator.bytes_behind() + copies.map_or(0, Copies::bytes_behind)
}

fn progress(validator: &Validator, copies: Option<&Copies>, rate: u64) {
    let coverage = &validator.shared().coverage;
    let mut line = format!(
        "{} frames, {rate}/s, {} bytes behind, {} of {} kinds of transitions",
        validator.frames(),
        bytes_behind(validator, copies),
        coverage.exercised().count(),
        Kind::ALL.len()
    );
    for (address, reason) in copies.iter().flat_map(|copies| copies.unreachable()) {
        write!(line, "; {address} is not reached: {reason}").expect("a string has room");
    }
    let mut err = io::stderr().lock();
    // If standard error is closed, the alarm and the exit code remain.
    let _ =
        if err.is_terminal() { write!(err, "\r\x1b[2K{line}") } else { writeln!(err, "{line}") };
    let _ = err.flush();
}

fn write_metrics(
    args: &WatchArgs,
    validator: &Validator,
    copies: Option<&Copies>,
    rate: u64,
    violated: bool,
) -> Result<(), Unusable> {
    let Some(path) = &args.metrics else { return Ok(()) };
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: String| {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")
            .expect("a string has room");
    };
    let coverage = &validator.shared().coverage;
    gauge(
        "paxos_watch_frames_total",
        "Frames that were validated.",
        validator.frames().to_string(),
    );
    gauge("paxos_watch_frames_per_second", "Frames in the last second.", rate.to_string());
    let behind = bytes_behind(validator, copies).to_string();
    gauge("paxos_watch_bytes_behind", "Recorded bytes that were not validated.", behind);
    let kinds = coverage.exercised().count().to_string();
    gauge("paxos_watch_kinds_exercised", "Kinds of transitions that were exercised.", kinds);
    let violated = u8::from(violated).to_string();
    gauge("paxos_watch_violated", "1 if a step was not the model's.", violated);
    if let Some(copies) = copies {
        let unreachable = copies.unreachable().count().to_string();
        let help = "Addresses of streams that were not reached at the last try.";
        gauge("paxos_watch_unreachable_addresses", help, unreachable);
    }
    // A reader must not find half of the file.
    let new = path.with_added_extension("new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| format!("--metrics {}: {error}", path.display()))
}

/// Prints all frames, in an order in which messages are sent before they arrive. Stops at a violation.
pub(crate) fn show(
    args: &ShowArgs,
    print: impl Fn(&Recent) -> io::Result<()>,
) -> Result<Printed, Unusable> {
    outputs::try_files([("--itf", &args.itf)]).map_err(|error| error.to_string())?;
    let mut trace = args.itf.as_ref().map(|_| itf::Trace::default());
    let report = Validator::new(&args.directory).finish(|validator| {
        let Some(recent) = validator.last_frame() else { return };
        // If standard output is closed, the report cannot be delivered either, and its delivery fails.
        let _ = print(recent);
        if let Some(trace) = &mut trace {
            trace.add(recent, validator);
        }
    });
    let report = report.map_err(|error| error.to_string())?;
    if let (Some(path), Some(trace)) = (&args.itf, &trace) {
        outputs::write("--itf", path, &trace.to_json()).map_err(|error| error.to_string())?;
    }
    let text = laid_out(&report, false, terminal_width());
    Ok(Printed { text, code: report.verdict.exit_code() })
}
