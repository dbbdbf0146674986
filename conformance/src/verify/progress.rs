//! The progress of a verification on standard error: a bar on a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use verdict::{
    Verdict,
    layout::{laid_out, terminal_width},
};

use super::{Evidence, Row, job::Job};

/// The bar, if standard error is a terminal.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {elapsed}  {msg}");
            let bar = ProgressBar::new(total);
            bar.set_style(style.expect("the template is a constant"));
            // A steady tick needs a thread, and the bar panics if it cannot start one.
            if std::thread::Builder::new().spawn(|| ()).is_ok() {
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            bar
        });
        Self { bar }
    }

    pub(super) fn begins(&self, job: &Job) {
        let what = format!("{}: {}", job.link(), job.name());
        match &self.bar {
            Some(bar) => bar.set_message(what),
            None => line(&format!("begins  {what}")),
        }
    }

    pub(super) fn ends(&self, job: &Job, row: &Row) {
        let did = match &row.evidence {
            Evidence::Proved(proof) => format!("{} obligations", proof.proved().1),
            Evidence::Explored(report) => {
                format!("{} transitions", HumanCount(report.transitions as u64))
            }
            Evidence::Stepped(row) => format!("{} cases", HumanCount(row.counts.cases)),
            Evidence::Validated(report) => format!("{} frames", HumanCount(report.frames)),
        };
        let mut lines =
            format!("{:<7} {}: {}: {did}", row.verdict.to_string(), job.link(), job.name());
        if row.verdict == Verdict::Violated {
            lines = format!("{lines}\n\n{}", failure(job, row));
        }
        match &self.bar {
            Some(bar) => {
                bar.println(lines);
                bar.inc(job.cost());
            }
            None => line(&lines),
        }
    }
}

/// Prints lines on standard error. If standard error is closed, the lines are lost and the verification continues.
fn line(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// Returns the failure of a job in full, with the command that shows it again.
fn failure(job: &Job, row: &Row) -> String {
    let evidence = match &row.evidence {
        Evidence::Proved(proof) => laid_out(proof, false, terminal_width()),
        Evidence::Explored(report) => laid_out(report, false, terminal_width()),
        Evidence::Stepped(row) => {
            row.counterexample.as_ref().map_or_else(String::new, ToString::to_string)
        }
        Evidence::Validated(report) => laid_out(&**report, false, terminal_width()),
    };
    let complaints = row.complaints.iter().map(|complaint| format!("{complaint}\n"));
    let again = job.command().map(|command| format!("to see it again: {command}\n"));
    complaints.chain([evidence, "\n".to_owned()]).chain(again).collect()
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
