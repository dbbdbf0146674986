//! Our replica beside other implementations of consensus: the same work, in one thread, in turns.
//!
//! - [`workload`]: the work, and the check that a contestant did all of it.
//! - [`contestants`]: a cluster of each implementation behind one trait.
//! - [`disk`]: the file that all contestants write if they are to be durable.
//! - [`measure`]: the cost of a run.
//! - [`results`]: the order of the runs, and their medians and ratios.
//! - [`report`]: the tables on the terminal, and JSON.
//! - [`page`], [`plots`]: the page and its plots.

mod contestants;
mod disk;
mod measure;
mod page;
mod plots;
mod report;
mod results;
mod workload;

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, builder::PossibleValuesParser};
use indicatif::{ProgressBar, ProgressStyle};
use paxos_benches::valgrind::CountError;

use crate::{
    contestants::{ENTRANTS, Entrant},
    report::{Machine, Report},
    results::{Column, Failed},
    workload::{Fault, Storage, Work},
};

/// The exit code if a contestant did not do the work.
const FAILED: u8 = 1;
/// The exit code if nothing can be measured or printed.
const UNUSABLE: u8 = 2;

/// Our replica beside other implementations of consensus.
#[derive(Parser)]
#[command(
    version,
    after_help = "A column is STORAGE/SIZE/OUTSTANDING/LOG: memory or file, 16B or 1024B, 1, 64 or 1024, retained or \
                  trimmed.\n\n\
                  Exit codes: 0 all contestants did the work, 1 one did not, 2 nothing can be measured."
)]
struct Args {
    /// The number of runs of each contestant in each column, of which the median counts. One more is not measured.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// The number of entries of a run in memory. Runs with files have fewer.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    entries: u64,
    /// Measure only these contestants, or these variants of them.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,
    /// Measure only the columns that have all of these parts, as in 16B/64/retained.
    #[arg(long, value_name = "PARTS")]
    column: Option<String>,
    /// Count no instructions, allocations and bytes. Valgrind takes most of the time of a whole run.
    #[arg(long)]
    no_counts: bool,
    /// Write the results to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page of the results to this file, and its plots beside it. The plots need more runs.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Let this variant do the work of one column once, and print nothing. Valgrind counts such a process.
    #[arg(long, hide = true, value_name = "VARIANT", requires_all = ["column", "count_entries"])]
    count: Option<String>,
    #[arg(long, hide = true, value_name = "N", requires = "count")]
    count_entries: Option<u64>,
}

/// The reason for which there is no result.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Failed(#[from] Failed),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("no column has all parts of {0:?}; --help shows the parts")]
    NoColumn(String),
    #[error("{0:?} is not one variant and one column")]
    NoRun(Option<String>),
    #[error("nothing was counted for {variant} in {column}: {error}; --no-counts leaves this out")]
    Count { column: String, variant: &'static str, error: CountError },
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Progress(#[from] indicatif::style::TemplateError),
}

/// Returns the names of all contestants and of all variants.
fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = ENTRANTS.iter().flat_map(|own| [own.name, own.variant]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn main() -> ExitCode {
    let args = Args::parse();
    match if args.count.is_some() { run_once(&args) } else { race(&args) } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, only the exit code reports the error.
            let _ = writeln!(io::stderr(), "error: {error}");
            let failed = matches!(error, Unusable::Failed(_) | Unusable::Fault(_));
            ExitCode::from(if failed { FAILED } else { UNUSABLE })
        }
    }
}

fn race(args: &Args) -> Result<(), Unusable> {
    let entrants = args.entrants();
    let works = args.columns()?;
    let curves = if args.page.is_some() { page::curves(args.entries) } else { Vec::new() };
    let runs = usize::from(args.runs);

    let turns = works.len() * Column::turns(&entrants, runs)
        + curves.iter().map(|curve| curve.turns(&entrants, runs)).sum::<usize>();
    let progress = ProgressBar::new(turns as u64)
        .with_style(ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed} {wide_msg}")?);
    let mut columns = Vec::new();
    for work in &works {
        columns.push(Column::run(work, &entrants, runs, |variant| {
            progress.set_message(format!("{work} {variant}"));
            progress.inc(1);
        })?);
    }
    let mut plots = Vec::new();
    for curve in &curves {
        plots.push(curve.measure(&entrants, runs, |variant| {
            progress.set_message(format!("plots {variant}"));
            progress.inc(1);
        })?);
    }
    let not_counted = if args.no_counts {
        Some("--no-counts".to_owned())
    } else {
        count(&mut columns, &progress)?
    };
    progress.finish_and_clear();

    let report = Report { machine: Machine::here(), runs, not_counted, columns };
    if let Some(path) = &args.json {
        let mut json = serde_json::to_string_pretty(&report)?;
        json.push('\n');
        fs::write(path, json).map_err(|error| Unusable::Write(path.clone(), error))?;
    }
    if let Some(path) = &args.page {
        page::write(path, &report, &plots).map_err(|error| Unusable::Write(path.clone(), error))?;
    }
    let mut out = io::stdout().lock();
    write!(out, "{report}")?;
    Ok(out.flush()?)
}

/// Counts the cost of an entry of each best variant in memory. Returns the reason if Valgrind is not installed.
fn count(columns: &mut [Column], progress: &ProgressBar) -> Result<Option<String>, Unusable> {
    for column in columns.iter_mut().filter(|column| column.work.storage == Storage::Memory) {
        for own in &mut column.contestants {
            progress.set_message(format!("counting {} {}", column.name, own.variant));
            match measure::count(own.variant, &column.work) {
                Ok(counts) => own.set_counts(counts),
                Err(error) if error.is_missing() => {
                    return Ok(Some("Valgrind is not installed".to_owned()));
                }
                Err(error) => {
                    let (column, variant) = (column.name.clone(), own.variant);
                    return Err(Unusable::Count { column, variant, error });
                }
            }
        }
    }
    Ok(None)
}

fn run_once(args: &Args) -> Result<(), Unusable> {
    let entrant = ENTRANTS.iter().find(|own| Some(own.variant) == args.count.as_deref());
    match (entrant, args.columns()?.as_slice(), args.count_entries) {
        (Some(entrant), [work], Some(entries)) => {
            Ok(measure::run_to_be_counted(entrant, &work.with_entries(entries))?)
        }
        _ => Err(Unusable::NoRun(args.count.clone())),
    }
}

impl Args {
    fn entrants(&self) -> Vec<Entrant> {
        let asked =
            |own: &&Entrant| self.only.iter().any(|only| *only == own.name || *only == own.variant);
        ENTRANTS.iter().filter(|own| self.only.is_empty() || asked(own)).copied().collect()
    }

    fn columns(&self) -> Result<Vec<Work>, Unusable> {
        let filter = self.column.as_deref();
        let asked = |work: &Work| filter.is_none_or(|filter| work.matches(filter));
        let columns = Work::columns().into_iter().filter(asked);
        let columns: Vec<_> =
            columns.map(|work| work.with_entries(work.entries_of(self.entries))).collect();
        if columns.is_empty() {
            return Err(Unusable::NoColumn(filter.unwrap_or_default().to_owned()));
        }
        Ok(columns)
    }
}
