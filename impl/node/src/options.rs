//! The options of a node: times, sizes and limits. None of them matters for safety.

use std::{fmt, ops::RangeInclusive, time::Duration};

use paxos_recording::RecordingOptions;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::faults::Fault;

/// Defines the options once: each with its documentation, its type and its default.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        /// The options of a node. [`Options::builder`] makes them.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Options {
            $(pub(crate) $name: $type,)*
            pub(crate) recording: Option<RecordingOptions>,
            pub(crate) fault: Option<Fault>,
        }

        impl Default for Options {
            fn default() -> Self {
                Self { $($name: $default,)* recording: None, fault: None }
            }
        }

        impl Options {
            $($(#[$doc])* pub fn $name(&self) -> $type {
                self.$name
            })*
        }

        impl OptionsBuilder {
            $($(#[$doc])* #[must_use] pub fn $name(mut self, $name: $type) -> Self {
                self.0.$name = $name;
                self
            })*
        }
    };
}

options! {
    /// The least time for which a follower waits for a sign of a leader before it begins a pre-vote. The wait is
    /// random, and shorter than twice this time. After a start, the first wait is at most half of this time. Default:
    /// 1 s.
    election_timeout: Duration = Duration::from_secs(1),
    /// The pause between two heartbeats of a leader; half of `election_timeout` at most. Default: 100 ms.
    heartbeat: Duration = Duration::from_millis(100),
    /// The pause before a message without an answer is sent again. Default: 300 ms.
    resend: Duration = Duration::from_millis(300),
    /// The longest time for which a request of a client waits in a node. Default: 10 s.
    request_timeout: Duration = Duration::from_secs(10),
    /// The most requests of clients that wait in a node at once. Further requests wait in the client handle. Default:
    /// 10,000.
    requests_max: usize = 10_000,
    /// The most bytes of commands that wait in a node at once, less than 4 GiB. Further commands wait in the client
    /// handle. Default: 64 MiB.
    request_bytes_max: usize = 64 << 20,
    /// The longest time for which a command waits for others that share its batch, at its node and again at the leader.
    /// A command does not wait if no other is in flight or was just answered. Must be shorter than `resend`, and is as
    /// exact as the timers of tokio, which count milliseconds. Default: 4 ms.
    batch_wait: Duration = Duration::from_millis(4),
    /// The most bytes of a command. Default: 1 MiB.
    command_bytes_max: usize = 1 << 20,
    /// The most inputs of a turn, and of all turns during one sync. Default: 1,024.
    inputs_per_turn_max: usize = 1024,
    /// The time for which a turn applies entries and serves reads. The rest waits for the next turn. Each turn
    /// applies at least one entry, if there is one, and serves one read. Default: 20 ms.
    turn_max: Duration = Duration::from_millis(20),
    /// The bytes of applied commands after which a node takes the next snapshot. The log must also have grown by an eighth of
    /// the bytes of the last snapshot, or by half of them while a peer fetches it. Default: 8 MiB.
    snapshot_bytes: u64 = 8 << 20,
    /// The number of applied slots after which a node takes the next snapshot, if the log has grown as for
    /// `snapshot_bytes`. Default: 200,000.
    snapshot_slots: u64 = 200_000,
    /// The most bytes of the reports in a packet, except for a single report that is longer. A longer promise goes in
    /// parts. Default: 1 MiB.
    promise_part_bytes: usize = 1 << 20,
    /// The most bytes of a part in which a snapshot is sent to a peer. Default: 256 KiB.
    snapshot_part_bytes: usize = SNAPSHOT_PART_BYTES_MAX,
    /// The seed of the random election timeouts. Default: 0.
    seed: u64 = 0,
}

/// Collects options, and checks them.
///
/// ```
/// use std::time::Duration;
///
/// use paxos_node::Options;
///
/// let options = Options::builder().election_timeout(Duration::from_millis(500)).build()?;
/// assert_eq!(options.election_timeout(), Duration::from_millis(500));
///
/// let error = Options::builder().heartbeat(Duration::from_secs(1)).build().unwrap_err();
/// assert_eq!(error.to_string(), "heartbeat is 1000 ms; it must be from 1 ms to 500 ms, half of election_timeout");
/// # Ok::<(), paxos_node::OptionsError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OptionsBuilder(Options);

/// An option has a value that a node cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{option} is {found}; it must be {accepted}")]
pub struct OptionsError {
    /// The name of the option.
    pub option: &'static str,
    /// Its value.
    pub found: String,
    /// The values that would be accepted.
    pub accepted: String,
}

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);
/// The largest `inputs_per_turn_max`. The queue for later turns has room for four times as many inputs.
const INPUTS_MAX: usize = 1 << 20;
/// The largest `snapshot_part_bytes`. A node refuses longer parts.
pub(super) const SNAPSHOT_PART_BYTES_MAX: usize = 256 << 10;
/// The largest `promise_part_bytes`.
const PROMISE_PART_BYTES_MAX: usize = 1 << 29;

impl Options {
    /// Returns a builder that begins with the defaults.
    pub fn builder() -> OptionsBuilder {
        OptionsBuilder::default()
    }

    /// Returns a builder that begins with these options.
    pub fn to_builder(&self) -> OptionsBuilder {
        OptionsBuilder(self.clone())
    }
}

impl OptionsBuilder {
    /// Records each step of the node ([`paxos_recording`]). Default: no recording.
    #[must_use]
    pub fn recording(mut self, recording: RecordingOptions) -> Self {
        self.0.recording = Some(recording);
        self
    }

    /// Gives the node a known bug, for tests. Default: none.
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.0.fault = Some(fault);
        self
    }

    /// Returns the options.
    ///
    /// # Errors
    /// An option has a value that a node cannot work with. The error names the first one.
    pub fn build(self) -> Result<Options, OptionsError> {
        let options = self.0;
        time("election_timeout", options.election_timeout, MILLISECOND..=DAY, "")?;
        let half = MILLISECOND..=options.election_timeout / 2;
        time("heartbeat", options.heartbeat, half, ", half of election_timeout")?;
        time("resend", options.resend, MILLISECOND..=DAY, "")?;
        time("request_timeout", options.request_timeout, MILLISECOND..=DAY, "")?;
        number("requests_max", options.requests_max, 1..=Semaphore::MAX_PERMITS)?;
        number("request_bytes_max", options.request_bytes_max, 1..=u32::MAX as usize)?;
        let shorter = options.resend.saturating_sub(MILLISECOND);
        time("batch_wait", options.batch_wait, Duration::ZERO..=shorter, ", less than resend")?;
        number("command_bytes_max", options.command_bytes_max, 1..=usize::MAX)?;
        number("inputs_per_turn_max", options.inputs_per_turn_max, 1..=INPUTS_MAX)?;
        number("snapshot_bytes", options.snapshot_bytes, 1..=u64::MAX)?;
        number("snapshot_slots", options.snapshot_slots, 1..=u64::MAX)?;
        number("promise_part_bytes", options.promise_part_bytes, 1..=PROMISE_PART_BYTES_MAX)?;
        number("snapshot_part_bytes", options.snapshot_part_bytes, 1..=SNAPSHOT_PART_BYTES_MAX)?;
        Ok(options)
    }
}

fn time(
    option: &'static str,
    found: Duration,
    accepted: RangeInclusive<Duration>,
    relation: &str,
) -> Result<(), OptionsError> {
    if accepted.contains(&found) {
        return Ok(());
    }
    let (least, most) = accepted.into_inner();
    let accepted = format!("from {} ms to {} ms{relation}", least.as_millis(), most.as_millis());
    Err(OptionsError { option, found: format!("{} ms", found.as_millis()), accepted })
}

fn number<T: Copy + PartialOrd + fmt::Display>(
    option: &'static str,
    found: T,
    accepted: RangeInclusive<T>,
) -> Result<(), OptionsError> {
    if accepted.contains(&found) {
        return Ok(());
    }
    let (least, most) = accepted.into_inner();
    let accepted = format!("from {least} to {most}");
    Err(OptionsError { option, found: found.to_string(), accepted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_defaults_are_accepted() {
        assert_eq!(Options::builder().build(), Ok(Options::default()));
    }

    #[test]
    fn an_error_names_the_option_and_says_what_is_accepted() {
        let cases = [
            (
                Options::builder().election_timeout(ms(0)),
                "election_timeout is 0 ms; it must be from 1 ms to 86400000 ms",
            ),
            (
                Options::builder().election_timeout(ms(100)).heartbeat(ms(51)),
                "heartbeat is 51 ms; it must be from 1 ms to 50 ms, half of election_timeout",
            ),
            (
                Options::builder().resend(ms(0)),
                "resend is 0 ms; it must be from 1 ms to 86400000 ms",
            ),
            (
                Options::builder().request_timeout(Duration::MAX),
                "request_timeout is 18446744073709551615999 ms; it must be from 1 ms to 86400000 ms",
            ),
            (
                Options::builder().requests_max(0),
                "requests_max is 0; it must be from 1 to 2305843009213693951",
            ),
            (
                Options::builder().request_bytes_max(1 << 32),
                "request_bytes_max is 4294967296; it must be from 1 to 4294967295",
            ),
            (
                Options::builder().resend(ms(50)).batch_wait(ms(50)),
                "batch_wait is 50 ms; it must be from 0 ms to 49 ms, less than resend",
            ),
            (
                Options::builder().inputs_per_turn_max(0),
                "inputs_per_turn_max is 0; it must be from 1 to 1048576",
            ),
        ];
        for (builder, expected) in cases {
            assert_eq!(builder.build().unwrap_err().to_string(), expected);
        }
        for (builder, option) in [
            (Options::builder().command_bytes_max(0), "command_bytes_max"),
            (Options::builder().snapshot_bytes(0), "snapshot_bytes"),
            (Options::builder().snapshot_slots(0), "snapshot_slots"),
            (Options::builder().promise_part_bytes(0), "promise_part_bytes"),
            (Options::builder().snapshot_part_bytes(1 << 20), "snapshot_part_bytes"),
        ] {
            assert_eq!(builder.build().unwrap_err().option, option);
        }
    }
}
