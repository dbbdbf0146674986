//! Prints the progress of a search on standard error.
//!
//! On a terminal, one line is updated in place. Elsewhere, a line is printed every few seconds. Standard output has
//! the report only. The number of states left is not known, so the bar on a terminal shows the used share of the
//! memory limit.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// The time between two lines, unless on a terminal. Logs stay short.
const BETWEEN_LINES: Duration = Duration::from_secs(5);
const BETWEEN_TICKS: Duration = Duration::from_millis(100);

/// The progress of one search.
pub(super) struct Progress {
    output: Output,
    started: Instant,
    shown: Instant,
}

/// The numbers that are shown.
pub(super) struct Numbers {
    /// The number of distinct states known.
    pub(super) states: u64,
    /// The number of those that are not expanded yet.
    pub(super) queue: u64,
    /// The current depth.
    pub(super) depth: u64,
}

enum Output {
    Bar(ProgressBar),
    Lines(String),
    Hidden,
}

impl Progress {
    /// Starts the clock of a search. Shows nothing unless `wanted`.
    pub(super) fn new(wanted: bool, label: &str) -> Self {
        let output = if !wanted {
            Output::Hidden
        } else if stderr().is_terminal() {
            // The bar shows the used share of the memory limit.
            let style = "{spinner} {prefix}\n  {msg}  {bar:20} {elapsed}";
            let style = ProgressStyle::with_template(style).expect("the template is a constant");
            let bar = ProgressBar::new(100).with_style(style.progress_chars("=> "));
            Output::Bar(bar.with_prefix(label.to_owned()))
        } else {
            Output::Lines(label.to_owned())
        };
        let started = Instant::now();
        Self { output, started, shown: started }
    }

    /// Shows the numbers, and the memory held and its limit, unless they were shown a moment ago.
    pub(super) fn show(
        &mut self,
        numbers: impl FnOnce() -> Numbers,
        memory_bytes: impl FnOnce() -> (u64, Option<u64>),
    ) {
        let pause = match self.output {
            Output::Bar(_) => BETWEEN_TICKS,
            Output::Lines(_) => BETWEEN_LINES,
            Output::Hidden => return,
        };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let (held, most) = memory_bytes();
        let text = line(&numbers(), self.started.elapsed(), held, most);
        match &self.output {
            Output::Bar(bar) => {
                bar.set_position(percent(held, most).unwrap_or(0));
                bar.set_message(text);
                bar.tick();
            }
            Output::Lines(label) => {
                // If standard error is closed, the progress is lost and the search goes on.
                let _ = writeln!(stderr(), "{label}  {text}");
            }
            Output::Hidden => {}
        }
    }
}

fn line(numbers: &Numbers, elapsed: Duration, held: u64, most: Option<u64>) -> String {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let rate = numbers.states.saturating_mul(1000) / millis.max(1);
    let of =
        percent(held, most).map_or(String::new(), |percent| format!(" ({percent}% of the limit)"));
    format!(
        "{} states, {}/s, {} queued, depth {}, {}{of}",
        HumanCount(numbers.states),
        HumanCount(rate),
        HumanCount(numbers.queue),
        numbers.depth,
        HumanBytes(held),
    )
}

fn percent(held: u64, most: Option<u64>) -> Option<u64> {
    Some(held.saturating_mul(100) / most?.max(1))
}

impl Drop for Progress {
    /// Removes the bar from the terminal, since the report follows.
    fn drop(&mut self) {
        if let Output::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_all_numbers() {
        let numbers = Numbers { states: 1_234_567, queue: 89_012, depth: 17 };
        let elapsed = Duration::from_secs(2);
        assert_eq!(
            line(&numbers, elapsed, 3 << 29, Some(2 << 30)),
            "1,234,567 states, 617,283/s, 89,012 queued, depth 17, 1.50 GiB (75% of the limit)"
        );
        assert_eq!(
            line(&numbers, elapsed, 1 << 20, None),
            "1,234,567 states, 617,283/s, 89,012 queued, depth 17, 1.00 MiB"
        );
    }
}
