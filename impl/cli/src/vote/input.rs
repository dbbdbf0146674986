//! The syntax of single arguments.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The latest time that an argument can name: one hour, in ms.
pub(crate) const MS_MAX: u64 = 3_600_000;
const NAME_MAX: usize = 12;
const VALUE_MAX: usize = 40;

/// A client and the value that it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) client: String,
    pub(crate) value: String,
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probability(pub(crate) f64);

/// A time span from `from` to `until`, in ms. `until` itself is outside. A span without `until` never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: u64,
    pub(crate) until: Option<u64>,
}

/// An argument with wrong syntax. The message shows the right syntax.
#[derive(Debug, Error)]
pub(crate) enum ArgError {
    #[error("there is no `=`; write CLIENT=VALUE, as in A=1")]
    NoChoice,
    #[error(
        "`{0}` is no name for a client; use 1 to {NAME_MAX} letters, digits, `-` or `_`, and not only digits, which name nodes"
    )]
    Name(String),
    #[error(
        "`{0}` cannot be chosen; a value has 1 to {VALUE_MAX} characters, none of them a control character"
    )]
    Value(String),
    #[error("`{0}` is no probability; give a number from 0 to 1")]
    Probability(String),
    #[error("`{0}` is no time; give whole ms from 0 to {MS_MAX}")]
    Time(String),
    #[error("it ends at {until} ms and begins at {from} ms; the end must be later")]
    Backwards { from: u64, until: u64 },
    #[error("`{0}` is no node; nodes are numbered from 1")]
    Node(String),
}

impl FromStr for Choice {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let (client, value) = text.split_once('=').ok_or(ArgError::NoChoice)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let named = (1..=NAME_MAX).contains(&client.len())
            && client.chars().all(plain)
            && !client.chars().all(|c| c.is_ascii_digit());
        if !named {
            return Err(ArgError::Name(client.escape_debug().to_string()));
        }
        let length = value.chars().count();
        if !(1..=VALUE_MAX).contains(&length) || value.chars().any(char::is_control) {
            return Err(ArgError::Value(value.escape_debug().to_string()));
        }
        Ok(Self { client: client.to_owned(), value: value.to_owned() })
    }
}

impl FromStr for Probability {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
        number.map(Self).ok_or_else(|| ArgError::Probability(text.to_owned()))
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Window {
    /// Splits `SUBJECT@FROM..UNTIL`, `SUBJECT@FROM` or `SUBJECT` into the subject and the window.
    pub(crate) fn split(text: &str) -> Result<(&str, Self), ArgError> {
        let (subject, times) = text.split_once('@').unwrap_or((text, "0"));
        let (from, until) = times.split_once("..").unwrap_or((times, ""));
        let from = if from.is_empty() && !until.is_empty() { 0 } else { time(from)? };
        let until = if until.is_empty() { None } else { Some(time(until)?) };
        match until {
            Some(until) if until <= from => Err(ArgError::Backwards { from, until }),
            _ => Ok((subject, Self { from, until })),
        }
    }

    pub(crate) fn contains(self, at: u64) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    /// Returns the times at which the window begins and ends.
    pub(crate) fn edges(self) -> impl Iterator<Item = u64> {
        [Some(self.from), self.until].into_iter().flatten()
    }
}

pub(crate) fn time(text: &str) -> Result<u64, ArgError> {
    let time = text.parse().ok().filter(|time| *time <= MS_MAX);
    time.ok_or_else(|| ArgError::Time(text.to_owned()))
}

pub(crate) fn node(text: &str) -> Result<u32, ArgError> {
    let node = text.parse().ok().filter(|node| *node > 0);
    node.ok_or_else(|| ArgError::Node(text.to_owned()))
}
