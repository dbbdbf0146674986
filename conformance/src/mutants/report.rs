//! The mutants of the replica, and what finds each.

use std::fmt;

use serde::Serialize;
use verdict::{Interrupt, Verdict, layout::write_table};

use paxos_model::cluster::Bug;
use paxos_steps::spaces::Space;

use super::{
    catalogue::{self, Row, Seen},
    outcomes::Joined,
};

/// The mutants of both kinds, and the verdict.
#[derive(Debug, Serialize)]
pub struct Mutants {
    /// The verdict: holds if each mutant is found, or has a reason.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The bugs of the catalogue that were looked for.
    pub catalogue: Vec<Row>,
    /// The mutants of cargo-mutants.
    pub outcomes: Option<Joined>,
}

impl Mutants {
    /// Looks for these bugs in these spaces, and adds the outcomes of cargo-mutants.
    pub fn new(
        bugs: &[Bug],
        spaces: &[Space],
        outcomes: Option<Joined>,
        interrupt: &Interrupt,
    ) -> Self {
        let catalogue: Vec<_> =
            bugs.iter().map(|&bug| catalogue::find(bug, spaces, interrupt)).collect();
        let mut verdicts: Vec<_> = catalogue.iter().map(Row::verdict).collect();
        verdicts.extend(
            outcomes.iter().map(|outcomes| {
                if outcomes.explained() { Verdict::Holds } else { Verdict::Violated }
            }),
        );
        Self { verdict: Verdict::worst(&verdicts), catalogue, outcomes }
    }
}

impl Mutants {
    fn write_catalogue(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let catalogue = &self.catalogue;
        let rows = catalogue.iter().map(|row| {
            let (space, differs) = match &row.seen {
                Seen::By { space, counterexample } => {
                    let but =
                        if row.excused { ", although a reason says that none does" } else { "" };
                    (format!("{space}{but}"), counterexample.differs)
                }
                Seen::Not(why) => (format!("none: {why}"), ""),
                Seen::Unexplained => ("none, and no reason is given".to_owned(), ""),
                Seen::Interrupted => ("it was interrupted".to_owned(), ""),
            };
            vec![row.label.clone(), row.name.to_owned(), space, differs.to_owned()]
        });
        write_table(f, &["#", "bug", "the first space that shows it", "differs"], rows, &[])?;
        let found = catalogue.iter().filter(|row| matches!(row.seen, Seen::By { .. })).count();
        writeln!(f, "\n{found} of {} bugs of the catalogue are found", catalogue.len())?;
        if f.alternate() {
            for row in catalogue {
                if let Seen::By { counterexample, .. } = &row.seen {
                    write!(f, "\n{} ({}): {counterexample}", row.label, row.name)?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Mutants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.catalogue.is_empty() {
            self.write_catalogue(f)?;
            writeln!(f)?;
        }
        if let Some(outcomes) = &self.outcomes {
            outcomes.fmt(f)?;
            writeln!(f)?;
        }
        writeln!(f, "verdict: {}", self.verdict)
    }
}

impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { killed, timed_out, unviable, survivors, stale } = self;
        let (all, survive) = (self.mutants(), survivors.len());
        writeln!(
            f,
            "{all} mutants by cargo-mutants: {killed} killed, {timed_out} timed out, {unviable} do not compile, {survive} \
             survive"
        )?;
        for survivor in survivors {
            let reason = survivor.reason.as_deref().unwrap_or("NO REASON IS GIVEN");
            writeln!(f, "\n{}\n    {reason}", survivor.key)?;
        }
        for key in stale {
            writeln!(f, "\n{key}\n    HAS A REASON TO SURVIVE, AND DOES NOT")?;
        }
        Ok(())
    }
}
