//! How far a search has come, on standard error, for whoever is waiting.
//!
//! A spinner on a terminal, a plain line every few seconds elsewhere, or nothing. It never touches
//! standard output, which belongs to the report, and it claims nothing: how much is left of a
//! space nobody has counted cannot be known, so there is no percentage.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// Often enough for a log to show life, rarely enough not to fill it.
const BETWEEN_LINES: Duration = Duration::from_secs(5);
const BETWEEN_TICKS: Duration = Duration::from_millis(100);

/// Shows one search.
pub(super) struct Progress {
    how: How,
    started: Instant,
    shown: Instant,
}

enum How {
    Spinner(ProgressBar),
    Lines(String),
    Hidden,
}

impl Progress {
    /// For a search that is about to start.
    pub(super) fn new(wanted: bool, label: &str) -> Self {
        let how = if !wanted {
            How::Hidden
        } else if stderr().is_terminal() {
            let style = ProgressStyle::with_template("{spinner} {prefix}  {msg}  {elapsed}");
            let style = style.expect("the template is a constant");
            let spinner = ProgressBar::new_spinner().with_style(style);
            How::Spinner(spinner.with_prefix(label.to_owned()))
        } else {
            How::Lines(label.to_owned())
        };
        let started = Instant::now();
        Self { how, started, shown: started }
    }

    /// Shows the numbers, unless they were shown just now.
    pub(super) fn show(&mut self, numbers: impl FnOnce() -> (usize, usize)) {
        let pause = match self.how {
            How::Spinner(_) => BETWEEN_TICKS,
            How::Lines(_) => BETWEEN_LINES,
            How::Hidden => return,
        };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let (states, depth) = numbers();
        let states = states as u64;
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let rate = states.saturating_mul(1000) / millis.max(1);
        let text = format!("{} states, {}/s, depth {depth}", HumanCount(states), HumanCount(rate));
        match &self.how {
            How::Spinner(spinner) => {
                spinner.set_message(text);
                spinner.tick();
            }
            How::Lines(label) => eprintln!("{label}  {text}"),
            How::Hidden => {}
        }
    }
}

impl Drop for Progress {
    /// The report says it all: the spinner leaves no trace.
    fn drop(&mut self) {
        if let How::Spinner(spinner) = &self.how {
            spinner.finish_and_clear();
        }
    }
}
