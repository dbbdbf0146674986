//! How far a search has come, on standard error, for whoever is waiting.
//!
//! A line that renews itself on a terminal, a plain line every few seconds elsewhere, or nothing. It
//! never touches standard output, which belongs to the report, and it claims nothing: how much is left
//! of a space nobody has counted cannot be known, so the only fraction is that of the memory.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// Often enough for a log to show life, rarely enough not to fill it.
const BETWEEN_LINES: Duration = Duration::from_secs(5);
const BETWEEN_TICKS: Duration = Duration::from_millis(100);

/// Shows one search.
pub(super) struct Progress {
    how: How,
    started: Instant,
    shown: Instant,
}

/// How far it has come.
pub(super) struct Numbers {
    /// Distinct states known.
    pub(super) states: u64,
    /// Those of them from which it has not gone on yet.
    pub(super) queue: u64,
    /// How deep it is.
    pub(super) depth: u64,
}

enum How {
    Bar(ProgressBar),
    Lines(String),
    Hidden,
}

impl Progress {
    /// For a search that is about to start.
    pub(super) fn new(wanted: bool, label: &str) -> Self {
        let how = if !wanted {
            How::Hidden
        } else if stderr().is_terminal() {
            // The bar fills with what may be used of the memory.
            let style = "{spinner} {prefix}\n  {msg}  {bar:20} {elapsed}";
            let style = ProgressStyle::with_template(style).expect("the template is a constant");
            let bar = ProgressBar::new(100).with_style(style.progress_chars("=> "));
            How::Bar(bar.with_prefix(label.to_owned()))
        } else {
            How::Lines(label.to_owned())
        };
        let started = Instant::now();
        Self { how, started, shown: started }
    }

    /// Shows the numbers, and how much memory is held of how much, unless they were shown just now.
    pub(super) fn show(
        &mut self,
        numbers: impl FnOnce() -> Numbers,
        memory_bytes: impl FnOnce() -> (u64, Option<u64>),
    ) {
        let pause = match self.how {
            How::Bar(_) => BETWEEN_TICKS,
            How::Lines(_) => BETWEEN_LINES,
            How::Hidden => return,
        };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let (held, most) = memory_bytes();
        let text = line(&numbers(), self.started.elapsed(), held, most);
        match &self.how {
            How::Bar(bar) => {
                bar.set_position(percent(held, most).unwrap_or(0));
                bar.set_message(text);
                bar.tick();
            }
            How::Lines(label) => eprintln!("{label}  {text}"),
            How::Hidden => {}
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
    /// The report says it all: the bar leaves no trace.
    fn drop(&mut self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
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
