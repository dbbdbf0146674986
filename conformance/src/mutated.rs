//! The command `mutants`.

use std::{io, path::PathBuf};

use clap::Args;
use paxos_conformance::mutants::{
    outcomes::{Check, Joined, Outcomes},
    report::Mutants,
};
use paxos_model::cluster::Bug;
use paxos_steps::spaces::QUICK;
use verdict::{
    Interrupt,
    layout::{laid_out, terminal_width},
};

use crate::recorded::{Printed, Unusable};

/// Arguments of `mutants`.
#[derive(Args)]
pub(crate) struct MutantsArgs {
    /// The file `outcomes.json` of a run of cargo-mutants. Give it again for each further run; later runs count.
    #[arg(long, value_name = "FILE")]
    outcomes: Vec<PathBuf>,
    /// The check that was the test of these runs. The bugs of the catalogue are held against steps from any state only.
    #[arg(long, value_enum, default_value = "steps", requires = "outcomes")]
    test: Check,
    /// Print the results as one JSON object.
    #[arg(long)]
    json: bool,
    /// Also print a counterexample for each bug.
    #[arg(long, short)]
    verbose: bool,
}

/// Looks for each bug of the catalogue, and joins the outcomes with the list of survivors of the same check.
pub(crate) fn mutants(args: &MutantsArgs, interrupt: &Interrupt) -> Result<Printed, Unusable> {
    let joined = || Joined::new(Outcomes::read(&args.outcomes)?, args.test.survivors());
    let outcomes = if args.outcomes.is_empty() { None } else { Some(joined()) };
    let outcomes = outcomes.transpose().map_err(|error| error.to_string())?;
    let bugs = match args.test {
        Check::Steps => Bug::ALL,
        Check::Lockstep => &[],
    };
    let mutants = Mutants::new(bugs, QUICK, outcomes, interrupt);
    let text = if args.json {
        serde_json::to_string(&mutants).map_err(|error| io::Error::from(error).to_string())?
    } else {
        laid_out(&mutants, args.verbose, terminal_width())
    };
    Ok(Printed { text, code: mutants.verdict.exit_code() })
}
