//! `paxos-model prove`: proves specifications without bounds.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use epr_prover::{
    language::Specification,
    limits::Limits,
    obligation::{Obligation, obligations},
    prove,
    prover::{Prover, certificate},
    read,
    smtlib::{Kind, Solver, script},
};
use indicatif::{ProgressBar, ProgressStyle};
use itertools::Itertools as _;
use paxos_model::{arguments::seconds, outputs, specifications::SPECIFICATIONS};
use verdict::Interrupt;

use crate::{Form, deliver, unusable};

#[derive(Args)]
pub(crate) struct ProveArgs {
    /// The specifications to prove: synod, multipaxos or flexible, as built into the program, or files
    /// [default: all three].
    #[arg(value_name = "NAME|FILE")]
    specifications: Vec<String>,
    /// The prover. The built-in one needs no other program; z3 and cvc5 must be installed.
    #[arg(long, value_enum, default_value_t = Choice::Builtin)]
    prover: Choice,
    /// Give up on an obligation after this number of seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    timeout: Duration,
    /// Also write each obligation to this folder, as SMT-LIB.
    #[arg(long, value_name = "DIR")]
    smtlib: Option<PathBuf>,
    /// Also write a certificate of each obligation that the built-in prover proves to this folder: ground
    /// clauses in DIMACS, and a DRAT proof that they contradict each other.
    #[arg(long, value_name = "DIR")]
    certificates: Option<PathBuf>,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
    /// Also print a table of all obligations, with the time that each took.
    #[arg(long, short, conflicts_with = "json")]
    verbose: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// Instances of clauses and a SAT solver, in this process.
    Builtin,
    /// Microsoft's z3, if it is on the PATH.
    Z3,
    /// cvc5, if it is on the PATH.
    Cvc5,
}

pub(crate) fn run(args: &ProveArgs, interrupt: &Interrupt) -> ExitCode {
    let folders = [("--smtlib", &args.smtlib), ("--certificates", &args.certificates)];
    for (option, folder) in folders {
        if let Some(folder) = folder
            && let Err(error) = outputs::try_folder(option, folder)
        {
            return unusable(&error);
        }
    }
    let limits = Limits { timeout: args.timeout, interrupt: interrupt.clone() };
    let specifications = match specifications(&args.specifications) {
        Ok(specifications) => specifications,
        Err(complaint) => {
            crate::complain(&complaint);
            return ExitCode::from(crate::UNUSABLE);
        }
    };
    let found = match args.prover {
        Choice::Builtin => Ok(Prover::Builtin),
        Choice::Z3 => Solver::find(Kind::Z3).map(Prover::External),
        Choice::Cvc5 => Solver::find(Kind::Cvc5).map(Prover::External),
    };
    let prover = match found {
        Ok(prover) => prover,
        Err(missing) => return unusable(&missing),
    };
    let scripts = |obligation: &Obligation<'_>| vec![("smt2", script(obligation).to_string())];
    let certificates = |obligation: &Obligation<'_>| match certificate(obligation, limits.clone()) {
        None => Vec::new(),
        Some((found, atoms)) => {
            vec![("cnf", found.cnf(&atoms).to_string()), ("drat", found.drat().to_string())]
        }
    };
    for (folder, contents) in
        [(&args.smtlib, &scripts as &Contents<'_>), (&args.certificates, &certificates)]
    {
        if let Some(folder) = folder
            && let Err(error) = write(folder, &specifications, contents)
        {
            return unusable(&format!("cannot write to {}: {error}", folder.display()));
        }
    }
    let count: usize = specifications.iter().map(|it| obligations(it).len()).sum();
    let bar = progress(count as u64, args.quiet);
    let report = prove(&specifications, &prover, limits.clone(), |decided| {
        bar.set_message(format!("{}/{}", decided.moment, decided.formula));
        bar.inc(1);
    });
    bar.finish_and_clear();
    deliver(&report, &report.verdict, Form::of(args.json, args.verbose))
}

fn progress(count: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // The bar is hidden unless standard error is a terminal. A proof takes seconds at most.
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} obligations  {msg}");
    ProgressBar::new(count).with_style(style.expect("the template is a constant"))
}

/// Returns the named specifications, or all built-in ones if none is named. Fails if a specification cannot be read.
fn specifications(named: &[String]) -> Result<Vec<Specification>, String> {
    let shipped = |(name, text): &(&str, &str)| {
        read(&format!("{name}.epr"), text).map_err(|error| error.to_string())
    };
    if named.is_empty() {
        return SPECIFICATIONS.iter().map(shipped).collect();
    }
    let find = |name: &String| {
        if let Some(known) = SPECIFICATIONS.iter().find(|(known, _)| known == name) {
            return shipped(known);
        }
        let text = fs::read_to_string(name).map_err(|error| {
            let known = SPECIFICATIONS.map(|(known, _)| known).join(", ");
            format!("error: cannot read {name}: {error}; give a file, or one of {known}")
        })?;
        read(name, &text).map_err(|error| error.to_string())
    };
    named.iter().map(find).collect()
}

/// A function that returns the files to write for an obligation: the extension and the text of each.
type Contents<'a> = dyn Fn(&Obligation<'_>) -> Vec<(&'static str, String)> + 'a;

/// Writes the files of each obligation, in a folder for each specification.
fn write(
    folder: &Path,
    specifications: &[Specification],
    contents: &Contents<'_>,
) -> io::Result<()> {
    let names = specifications.iter().map(|it| {
        let file = Path::new(it.file()).file_stem().and_then(|stem| stem.to_str());
        file_name(file.unwrap_or(&it.name))
    });
    let names: Vec<_> = names.collect();
    if let Some(twice) = names.iter().duplicates().next() {
        let message = format!("two files are called {twice}; write them one after the other");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    for (specification, name) in specifications.iter().zip(names) {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        for (number, obligation) in (1..).zip(obligations(specification)) {
            let name = format!("{number:03}-{}-{}", obligation.moment_name(), obligation.goal.name);
            for (ending, content) in contents(&obligation) {
                fs::write(folder.join(format!("{}.{ending}", file_name(&name))), content)?;
            }
        }
    }
    Ok(())
}

/// Returns a name that is safe in a path: replaces all characters but letters, digits, `-` and `_` by `_`.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' };
    name.chars().map(plain).collect()
}
