//! The instructions of the hot paths, held against recorded figures.
//!
//! Valgrind counts instructions exactly, so other work on the machine has no effect. Each path runs twice, with different
//! numbers of repetitions. The difference is the cost of the repetitions, without the start of the process. The program
//! fails if a path takes more instructions than recorded, beyond a tolerance for compilers and processors. It measures no
//! time.
//!
//! ```text
//! CARGO_INCREMENTAL=0 cargo run --release --bin instructions
//! CARGO_INCREMENTAL=0 cargo run --release --bin instructions -- --record
//! ```

mod figures;
mod paths;

use std::{collections::BTreeMap, env, fs, io, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use figures::{Comparison, Figures, OtherPaths};
use paths::{PATHS, Path};
use paxos_benches::{
    exit,
    valgrind::{self, CountError},
};

/// A path that takes longer has failed.
const LIMIT: Duration = Duration::from_mins(5);
/// The recorded figures, beside the manifest of this crate.
const FIGURES: &str = "instructions.json";

/// Counts the instructions of the hot paths.
#[derive(Parser)]
struct Arguments {
    /// Write the figures instead of comparing them.
    #[arg(long)]
    record: bool,
    /// Run one path only, without counting: its name, and the number of repetitions.
    #[arg(long, num_args = 2, value_names = ["PATH", "COUNT"])]
    run: Option<Vec<String>>,
}

/// The reason for which nothing was compared.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}; install Valgrind, for example with `apt-get install valgrind`")]
    NoValgrind(CountError),
    #[error(transparent)]
    Uncounted(CountError),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{FIGURES}: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("{FIGURES}: {0}")]
    Paths(#[from] OtherPaths),
    #[error("there is no path {0}")]
    NoPath(String),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit(run(&arguments))
}

impl From<CountError> for Unusable {
    fn from(error: CountError) -> Self {
        if error.is_missing() { Self::NoValgrind(error) } else { Self::Uncounted(error) }
    }
}

/// Returns false if a path takes too many instructions.
fn run(arguments: &Arguments) -> Result<bool, Unusable> {
    if let Some(run) = &arguments.run {
        let path = PATHS.iter().find(|path| path.name == run[0]);
        let path = path.ok_or_else(|| Unusable::NoPath(run[0].clone()))?;
        (path.run)(run[1].parse().map_err(|_| Unusable::NoPath(run[1].clone()))?);
        return Ok(true);
    }
    let counted: BTreeMap<String, u64> = PATHS
        .iter()
        .map(|path| Ok((path.name.to_owned(), count(path)?)))
        .collect::<Result<_, Unusable>>()?;
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FIGURES);
    let unreadable = |error| Unusable::File { path: file.clone(), error };
    let text = fs::read_to_string(&file).map_err(unreadable)?;
    let mut figures: Figures = serde_json::from_str(&text)?;
    if arguments.record {
        figures.instructions = counted;
        let text = serde_json::to_string_pretty(&figures).expect("figures are JSON") + "\n";
        fs::write(&file, text).map_err(unreadable)?;
        println!("{} is written", file.display());
        return Ok(true);
    }
    let compared = figures.compare(&counted)?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["path", "recorded", "now", ""]);
    for path in PATHS {
        let (recorded, now, comparison) = compared[path.name];
        let words = match comparison {
            Comparison::TooMany => "TOO MANY",
            Comparison::Holds => "holds",
            Comparison::Fewer => "fewer: record it",
        };
        table.add_row([path.what, &recorded.to_string(), &now.to_string(), words]);
    }
    for column in 1..3 {
        let column = table.column_mut(column).expect("the table has four columns");
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    println!("instructions for each repetition; tolerance {} %", figures.tolerance_percent);
    Ok(compared.values().all(|(.., comparison)| *comparison != Comparison::TooMany))
}

/// Returns the instructions of one repetition of a path.
fn count(path: &Path) -> Result<u64, Unusable> {
    let few = counted(path, path.few)?;
    let many = counted(path, path.many)?;
    Ok((many - few) / (path.many - path.few))
}

fn counted(path: &Path, repetitions: u64) -> Result<u64, Unusable> {
    let program = env::current_exe().map_err(CountError::Program)?;
    let arguments = ["--run", path.name, &repetitions.to_string()].map(str::to_owned);
    Ok(valgrind::instructions(&program, &arguments, LIMIT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_runs_and_has_a_figure() {
        let figures: Figures =
            serde_json::from_str(include_str!("../instructions.json")).expect("it is JSON");
        let names: Vec<_> = figures.instructions.into_keys().collect();
        let mut expected: Vec<_> = PATHS.iter().map(|path| path.name).collect();
        expected.sort_unstable();
        assert_eq!(names, expected);
        for path in PATHS {
            (path.run)(path.few);
        }
    }
}
