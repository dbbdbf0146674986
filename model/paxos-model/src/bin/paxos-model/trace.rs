//! `paxos-model trace`: replays a recorded behaviour on its model, and draws it.

use std::{fmt, path::PathBuf, process::ExitCode};

use clap::Args;
use paxos_model::{
    cluster::Bug,
    diagrams::Drawn,
    outputs,
    trace::{AnyTrace, Reading, Return, Stopped, Trace, Traced, file_name},
};
use serde::Serialize;
use verdict::Verdict;

use crate::{Form, broken::bug, deliver, unusable};

/// Replay a trace on its model, step by step, and report the first step that the model does not allow
///
/// A trace is a file in ITF (JSON). Its variables determine the model. A file that this program or
/// `paxos-conformance traces` wrote has actions and bounds.
///
/// A file of another tool has states only. The command looks for an action that explains each step. It accepts
/// traces of Lamport's Paxos.tla from Apalache and Quint. Acceptors and values may have any names, and ballots
/// any numbers; the report lists the names that differ here. Messages are records with a type, or variants whose tags
/// end in 1a, 1b, 2a or 2b. The number of acceptors, values and ballots comes from the states, and the quorums
/// from the parameter Quorum; without it they are majorities. Other variables are ignored.
///
/// If the file has a `loop`, a step must lead from the last state back to that state, or both must be equal.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 a behaviour of the model; 1 not one, with the first wrong step; 2 no trace.

Examples:
  paxos-model trace conformance/traces/happy-path.itf.json
  paxos-model trace found.itf.json --svg found.svg
  paxos-model trace found.itf.json --bug 8
  paxos-model trace - < found.itf.json"
)]
pub(crate) struct TraceArgs {
    /// The trace; - is standard input.
    #[arg(value_name = "FILE.itf.json")]
    file: PathBuf,
    /// Replay the trace on a cluster with this bug of the catalogue, instead of the bug in the file.
    #[arg(long, value_name = "N", value_parser = bug)]
    bug: Option<Bug>,
    /// Draw the trace as a space-time diagram, up to the first step that the model does not allow.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Draw the trace as a Mermaid sequence diagram, up to the same step.
    #[arg(long, value_name = "FILE.mmd")]
    mermaid: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &TraceArgs) -> ExitCode {
    if let Err(error) = outputs::try_files([("--svg", &args.svg), ("--mermaid", &args.mermaid)]) {
        return unusable(&error);
    }
    let trace = match AnyTrace::read(&args.file) {
        Ok(trace) => trace,
        Err(error) => return unusable(&error),
    };
    match (trace, args.bug) {
        (AnyTrace::Synod(trace), None) => replay(&trace, None, args),
        (AnyTrace::Synod(_), Some(_)) => {
            let file = file_name(&args.file);
            unusable(&format!("{file} is a trace of synod, which has no bugs; leave out --bug"))
        }
        (AnyTrace::Cluster(trace), asked) => {
            let recorded = trace.model().bug();
            let trace = match asked {
                None => trace,
                Some(bug) => trace.with_bug(bug),
            };
            let told = |bug: Bug, told| {
                let [what, _] = bug.explanation();
                Broken { bug: bug.label(), what, told }
            };
            let bug = asked.map(|bug| told(bug, "the command line"));
            replay(&trace, bug.or(recorded.map(|bug| told(bug, "the file"))), args)
        }
    }
}

fn replay<M: Drawn + Traced>(trace: &Trace<M>, bug: Option<Broken>, args: &TraceArgs) -> ExitCode {
    let replay = trace.replay();
    let model = trace.model();
    let Reading { names, ignored, assumed } = trace.reading();
    let steps: Vec<_> =
        replay.behaviour.steps().iter().map(|(action, _)| model.describe(action)).collect();
    let report = Report {
        file: file_name(&args.file),
        description: trace.description.clone(),
        model: model.title(),
        bug,
        explained: !trace.has_actions(),
        recorded: trace.steps(),
        unchanged: replay.unchanged,
        steps,
        verdict: if replay.stopped.is_none() { Verdict::Holds } else { Verdict::Violated },
        stopped: replay.stopped,
        names: names.clone(),
        ignored: ignored.clone(),
        assumed: assumed.clone(),
        returns: replay.returns,
    };
    let title = if trace.description.is_empty() { &report.file } else { &trace.description };
    let mut diagram = model.diagram(&replay.behaviour, title);
    if let Some(stopped @ Stopped { step, why, .. }) = &report.stopped {
        diagram.alarm(*step as u64, format!("{} is none of the model: {why}", stopped.place()));
    }
    let pictures =
        [("--svg", &args.svg, diagram.svg()), ("--mermaid", &args.mermaid, diagram.mermaid())];
    for (option, path, picture) in pictures {
        if let Some(path) = path
            && let Err(error) = outputs::write(option, path, &picture)
        {
            return unusable(&error);
        }
    }
    deliver(&report, &report.verdict, Form::of(args.json, false))
}

/// The report of a replay.
#[derive(Serialize)]
struct Report {
    file: String,
    description: String,
    model: String,
    /// The bug of the model, and its source: the file or the command line.
    bug: Option<Broken>,
    /// True if the file has no actions, so the replay found them from the states.
    explained: bool,
    /// The names that differ, each as the name in the model and the name in the file.
    names: Vec<(String, String)>,
    /// The variables of the file that the model does not have.
    ignored: Vec<String>,
    /// The assumptions about facts that the file does not record.
    assumed: Vec<String>,
    /// The number of steps in the file.
    recorded: usize,
    /// The number of steps in the file that change nothing.
    unchanged: usize,
    /// The steps that the replay took, in words.
    steps: Vec<String>,
    /// The step that closes the loop, if the file has one.
    returns: Option<Return>,
    #[serde(flatten)]
    verdict: Verdict,
    stopped: Option<Stopped>,
}

/// A bug of the model. `told` names its source: the file or the command line.
#[derive(Serialize)]
struct Broken {
    bug: String,
    what: &'static str,
    told: &'static str,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "trace    {}", self.file)?;
        if !self.description.is_empty() {
            writeln!(f, "shows    {}", self.description)?;
        }
        writeln!(f, "model    {}", self.model)?;
        if let Some(Broken { bug, what, told }) = &self.bug {
            writeln!(f, "broken   by bug {bug}, as {told} says: {what}")?;
        }
        if self.explained {
            writeln!(f, "actions  not in the file; found from the states")?;
        }
        for assumed in &self.assumed {
            writeln!(f, "assumed  {assumed}")?;
        }
        if !self.names.is_empty() {
            let names: Vec<_> =
                self.names.iter().map(|(here, there)| format!("{here} is {there}")).collect();
            writeln!(f, "names    in the file: {}", names.join(", "))?;
        }
        if !self.ignored.is_empty() {
            writeln!(f, "ignored  {}: no variables of the model", self.ignored.join(", "))?;
        }
        for (step, does) in (1..).zip(&self.steps) {
            writeln!(f, "{step:>6}   {does}")?;
        }
        match &self.returns {
            None => {}
            Some(Return { to, action: None }) => {
                writeln!(f, "loop     the last state is state {to} again")?;
            }
            Some(Return { to, action: Some(does) }) => {
                writeln!(f, "loop     from the last state back to state {to}: {does}")?;
            }
        }
        let Some(stopped) = &self.stopped else {
            let unchanged = match self.unchanged {
                0 => String::new(),
                more => format!(", and {more} that change nothing"),
            };
            let plural = if self.steps.len() == 1 { "" } else { "s" };
            let steps = self.steps.len();
            return writeln!(
                f,
                "verdict  holds: a behaviour to its end, {steps} step{plural}{unchanged}"
            );
        };
        let Stopped { action, why, possible, .. } = stopped;
        let action = action.as_ref().map_or(String::new(), |action| format!("{action}: "));
        writeln!(f, "verdict  violated: not a behaviour of the model")?;
        writeln!(f, "{}: {action}{why}", stopped.place())?;
        if !possible.is_empty() {
            writeln!(f, "possible there:")?;
        }
        possible.iter().try_for_each(|possible| writeln!(f, "  {possible}"))
    }
}
