//! How a node runs: times, sizes and limits. None of it has to do with safety.

use std::time::Duration;

/// Times, sizes and limits of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a follower waits for a sign of a leader before it campaigns: at least this, and less
    /// than twice as long, at random.
    pub election_timeout: Duration,
    /// How often a leader shows that it is alive. Several must fit into `election_timeout`.
    pub heartbeat: Duration,
    /// How often what was not answered is sent again.
    pub resend: Duration,
    /// How long a client waits at most.
    pub request_timeout: Duration,
    /// How many requests of clients wait at once in a node; further ones wait to be let in.
    pub requests_max: usize,
    /// How many bytes the commands among them have at most, up to 4 GiB; further ones wait, too.
    pub request_bytes_max: usize,
    /// How long a batch of commands waits at most for the one before it, and for those whom that one has answered,
    /// at the leader and on the way there. No command waits while no other is on its way or was just answered.
    /// Shorter than `resend`, and as exact as the timers of tokio, which count milliseconds.
    pub batch_wait: Duration,
    /// The most bytes that a command may have.
    pub command_bytes_max: usize,
    /// How many inputs are taken in before everything is synced and answered.
    pub inputs_per_turn_max: usize,
    /// The time for which a node applies and reads before it takes in what has arrived. What is left waits for its next
    /// turn. In each turn it applies at least one entry, if there is one, and serves one read.
    pub turn_max: Duration,
    /// A snapshot is taken when so many bytes of commands were applied since the last, and the log has a quarter of
    /// the bytes of that.
    pub snapshot_bytes: u64,
    /// A snapshot is taken when so many slots were applied since the last, and the log has a quarter of the bytes of
    /// that.
    pub snapshot_slots: u64,
    /// Where the randomness of timeouts begins.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            election_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_millis(100),
            resend: Duration::from_millis(300),
            request_timeout: Duration::from_secs(10),
            requests_max: 10_000,
            request_bytes_max: 64 << 20,
            batch_wait: Duration::from_millis(4),
            command_bytes_max: 1 << 20,
            inputs_per_turn_max: 1024,
            turn_max: Duration::from_millis(20),
            snapshot_bytes: 8 << 20,
            snapshot_slots: 200_000,
            seed: 0,
        }
    }
}
