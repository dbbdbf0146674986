//! Loads a server with `redis-benchmark`, and reads its report.

use std::{
    fmt, io,
    process::{Command, Stdio},
};

use serde::Serialize;

/// A load: clients that send requests without pauses.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Load {
    /// The number of clients.
    pub clients: u32,
    /// The number of requests that a client sends before it waits for their answers.
    pub pipeline: u32,
    /// The number of keys.
    pub keys: u32,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |count: u32| if count == 1 { "" } else { "s" };
        let Self { clients, pipeline, keys } = *self;
        write!(f, "{clients} client{}, {keys} key{}", s(clients), s(keys))?;
        if pipeline > 1 { write!(f, ", {pipeline} in a pipeline") } else { Ok(()) }
    }
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `SET`
    Put,
    /// `GET`
    Read,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "puts",
            Self::Read => "reads",
        })
    }
}

/// The result of a load.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Requests that were answered.
    pub per_second: f64,
    /// The median of their latencies.
    pub median_ms: f64,
    /// The latency that one request in a hundred exceeds.
    pub p99_ms: f64,
}

/// The reason for which a load has no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// `redis-benchmark` is not installed.
    #[error("redis-benchmark cannot be started: {0}")]
    Missing(io::Error),
    /// The report is another one than expected.
    #[error("redis-benchmark printed {0:?}")]
    Unreadable(String),
}

/// Sends `requests` requests with values of `bytes` bytes, under random keys if there are several.
///
/// # Errors
/// There is no `redis-benchmark`, or it fails.
pub fn run(
    address: &str,
    kind: Kind,
    load: Load,
    requests: u32,
    bytes: u32,
) -> Result<Sample, LoadError> {
    let port = address.rsplit(':').next().unwrap_or_default();
    let test = match kind {
        Kind::Put => "set",
        Kind::Read => "get",
    };
    let Load { clients, pipeline, keys } = load;
    let numbers = [clients, requests, bytes, pipeline, keys];
    let [clients, requests, bytes, pipeline, keys_text] = numbers.map(|number| number.to_string());
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", port, "-t", test, "--csv", "-c", &clients, "-n", &requests]);
    command.args(["-d", &bytes, "-P", &pipeline]);
    if keys > 1 {
        command.args(["-r", &keys_text]);
    }
    let output = command.stdin(Stdio::null()).output().map_err(LoadError::Missing)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    read_csv(&text, test).ok_or(LoadError::Unreadable(text))
}

/// Parses the output of redis-benchmark: a line of names, then a line of the test and the values.
fn read_csv(text: &str, test: &str) -> Option<Sample> {
    let words = |line: &str| -> Vec<String> {
        line.split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect()
    };
    let head = words(text.lines().find(|line| line.contains("rps"))?);
    let mut rows = text.lines().map(words);
    let row = rows.find(|row| row.first().is_some_and(|name| name.eq_ignore_ascii_case(test)))?;
    let value = |name: &str| -> Option<f64> {
        row.get(head.iter().position(|column| column == name)?)?.parse().ok()
    };
    Some(Sample {
        per_second: value("rps")?,
        median_ms: value("p50_latency_ms")?,
        p99_ms: value("p99_latency_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_parsed() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"p50_latency_ms\",\"p99_latency_ms\"\n\
                    \"SET\",\"1000.50\",\"0.5\",\"0.25\",\"7\"\n";
        let sample = read_csv(text, "set").expect("the report is valid");
        let Sample { per_second, median_ms, p99_ms } = sample;
        assert_eq!(
            [per_second, median_ms, p99_ms].map(f64::to_bits),
            [1000.5, 0.25, 7.0].map(f64::to_bits)
        );
        assert!(read_csv(text, "get").is_none());
        assert!(read_csv("ERR", "set").is_none());
    }
}
