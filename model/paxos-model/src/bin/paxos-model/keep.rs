//! Writes behaviours to files: as diagrams, and as traces that can be replayed.

use std::path::PathBuf;

use clap::Args;
use itertools::Itertools as _;
use paxos_model::{
    diagrams::Drawn,
    outputs::{self, OutputError},
    trace::{self, Traced},
};
use state_explorer::{Behaviour, Explorable, Explored};
use stateright::Expectation;

/// The files for a behaviour that was found.
#[derive(Args)]
pub(crate) struct FileArgs {
    /// Draw the counterexample as a space-time diagram.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Draw the counterexample as a Mermaid sequence diagram.
    #[arg(long, value_name = "FILE.mmd")]
    mermaid: Option<PathBuf>,
    /// Write the counterexample as a trace in ITF, for `paxos-model trace` and for other tools.
    #[arg(long, value_name = "FILE.itf.json")]
    itf: Option<PathBuf>,
}

impl FileArgs {
    /// Returns true if any file is named.
    pub(crate) fn wanted(&self) -> bool {
        self.svg.is_some() || self.mermaid.is_some() || self.itf.is_some()
    }

    /// Checks, before the search, that the files can be written.
    ///
    /// # Errors
    /// Fails if a file cannot be written.
    pub(crate) fn check(&self) -> Result<(), OutputError> {
        let Self { svg, mermaid, itf } = self;
        outputs::try_files([("--svg", svg), ("--mermaid", mermaid), ("--itf", itf)])
    }

    /// Writes a behaviour of a model to each file that is named. The model may have a bug.
    ///
    /// # Errors
    /// Fails if a file cannot be written.
    pub(crate) fn write<M: Drawn + Traced>(
        &self,
        model: &M,
        behaviour: &Behaviour<M>,
        title: &str,
    ) -> Result<(), OutputError> {
        let diagram = model.diagram(behaviour, &format!("{title}: {}", model.title()));
        if let Some(path) = &self.svg {
            outputs::write("--svg", path, &diagram.svg())?;
        }
        if let Some(path) = &self.mermaid {
            outputs::write("--mermaid", path, &diagram.mermaid())?;
        }
        if let Some(path) = &self.itf {
            outputs::write("--itf", path, &trace::write(model, behaviour, title))?;
        }
        Ok(())
    }
}

/// The options that choose a behaviour to show, and the files to write it to.
#[derive(Args)]
pub(crate) struct KeepArgs {
    /// Also show a shortest path to a state with this `sometimes` property; if nothing is violated, --svg,
    /// --mermaid and --itf write this path.
    #[arg(long, value_name = "PROPERTY")]
    pub(crate) show: Option<String>,
    #[command(flatten)]
    files: FileArgs,
}

impl KeepArgs {
    /// Checks that the files can be written, and that --show names a `sometimes` property.
    ///
    /// # Errors
    /// Fails if a file cannot be written. Fails if --show names no such property, with the names of those that exist.
    pub(crate) fn check<M: Explorable>(&self, model: &M) -> Result<(), String> {
        self.files.check().map_err(|error| error.to_string())?;
        let Some(asked) = &self.show else { return Ok(()) };
        let properties = model.properties();
        let some = properties.iter().filter(|it| it.expectation == Expectation::Sometimes);
        if some.clone().any(|property| property.name == asked) {
            return Ok(());
        }
        let names = some.map(|property| format!("{:?}", property.name)).join(", ");
        Err(format!("there is no sometimes property {asked:?} here; give one of {names}"))
    }

    /// Writes the counterexample of the first property that fails, or else the path of --show. `model` includes
    /// the bug, if there is one.
    ///
    /// # Errors
    /// Fails if a file cannot be written, or if there is nothing to write.
    pub(crate) fn keep<M: Drawn + Traced>(
        &self,
        model: &M,
        explored: &Explored<M>,
    ) -> Result<(), String> {
        if !self.files.wanted() {
            return Ok(());
        }
        let failed = explored.report.properties.iter().filter(|it| it.counterexample.is_some());
        let names = failed.map(|property| property.name).chain(self.show.as_deref());
        let mut found = names.filter_map(|name| Some((name, explored.behaviours.get(name)?)));
        let Some((name, behaviour)) = found.next() else {
            return Err(
                "there is nothing to draw or write: no counterexample was found; use --show \
                        PROPERTY to write a path to a state with that property"
                    .to_owned(),
            );
        };
        self.files.write(model, behaviour, name).map_err(|error| error.to_string())
    }
}
