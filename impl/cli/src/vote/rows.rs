//! The run as rows in aligned columns.

use std::io::{self, Write};

use super::{
    faults::names,
    happening::{Fate, Happening, quoted, words},
    scenario::Scenario,
};

/// The width of the column of messages. A longer message moves its note to the right.
const WORDS: usize = 34;

/// Writes rows until a write fails.
pub(crate) struct Rows<'a, W> {
    scenario: &'a Scenario,
    out: W,
    width: usize,
    shown: bool,
    failed: Option<io::Error>,
}

impl<'a, W: Write> Rows<'a, W> {
    /// Returns a writer. If `shown` is false, it writes no heading and no rows, but [`line`](Self::line) still writes.
    pub(crate) fn new(scenario: &'a Scenario, out: W, shown: bool) -> Self {
        let clients = scenario.clients.iter().map(|choice| choice.client.len());
        let width = clients.chain([scenario.faults.nodes.to_string().len()]).max().unwrap_or(1);
        Self { scenario, out, width, shown, failed: None }
    }

    /// Writes the seed and the number of nodes.
    pub(crate) fn heading(&mut self) {
        if self.shown {
            let (seed, faults) = (self.scenario.seed, &self.scenario.faults);
            let (nodes, majority) = (faults.nodes, faults.majority());
            self.line(&format!("seed {seed}; {nodes} nodes, {majority} are a majority"));
            self.line("");
        }
    }

    /// Writes a row for an event.
    pub(crate) fn see(&mut self, at: u64, happening: &Happening) {
        if self.shown {
            let row = self.row(happening);
            self.line(format!("{at:>6} ms  {row}").trim_end());
        }
    }

    /// Writes a line, unless an earlier write failed.
    pub(crate) fn line(&mut self, line: &str) {
        if self.failed.is_none() {
            self.failed = writeln!(self.out, "{line}").err();
        }
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// Fails with the first error of a write, unless the reader has closed the output.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let error = self.failed.or_else(|| self.out.flush().err());
        error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map_or(Ok(()), Err)
    }

    fn row(&self, happening: &Happening) -> String {
        let client = |index: usize| self.scenario.clients[index].client.as_str();
        match happening {
            Happening::Asks { client: index, node } => {
                let value = &self.scenario.clients[*index].value;
                self.between(
                    client(*index),
                    "->",
                    &node.to_string(),
                    &format!("asks for \"{value}\""),
                    "",
                )
            }
            Happening::Told { client: index, node, value } => {
                let told = format!("tells: chosen is {}", quoted(value));
                self.between(&node.to_string(), "->", client(*index), &told, "")
            }
            Happening::Message { from, to, sent, message, again, fate, .. } => {
                let copy = if *again { ", again" } else { "" };
                let (arrow, note) = match fate {
                    Fate::Arrives => ("->", format!("sent at {sent} ms{copy}")),
                    Fate::Lost => ("-x", format!("lost{copy}")),
                    Fate::Cut => ("-x", format!("lost in the partition{copy}")),
                    Fate::Down => ("-x", format!("lost, {to} is down{copy}")),
                    Fate::Damaged(error) => ("-x", format!("damaged, dropped{copy}: {error}")),
                };
                self.between(&from.to_string(), arrow, &to.to_string(), &words(message), &note)
            }
            Happening::Crashes { node } => self.alone(*node, "crashes"),
            Happening::Restarts { node, promised, accepted } => {
                let promised = promised.map_or("nothing".to_owned(), |ballot| ballot.to_string());
                let accepted = accepted.as_ref().map_or("nothing".to_owned(), |(ballot, value)| {
                    format!("{} in {ballot}", quoted(value))
                });
                self.alone(*node, &format!("restarts: promised {promised}, accepted {accepted}"))
            }
            Happening::Partition { groups } => self.all(&format!("partition: {groups}")),
            Happening::Heals { groups } => self.all(&format!("partition ends: {groups}")),
            Happening::Leads { node, ballot } => self.alone(*node, &format!("leads in {ballot}")),
            Happening::Chosen { value, ballot, nodes } => {
                let (value, nodes) = (quoted(value), names(nodes));
                self.all(&format!("CHOSEN: {value}, accepted in {ballot} by {nodes}"))
            }
            Happening::Learns { node, value } => {
                self.alone(*node, &format!("learns {}", quoted(value)))
            }
        }
    }

    fn between(&self, from: &str, arrow: &str, to: &str, words: &str, note: &str) -> String {
        let width = self.width;
        format!("{from:>width$} {arrow} {to:<width$}  {words:<WORDS$}  {note}")
    }

    fn alone(&self, node: u32, words: &str) -> String {
        self.between(&node.to_string(), "  ", "", words, "")
    }

    fn all(&self, words: &str) -> String {
        self.between("*", "  ", "", words, "")
    }
}
