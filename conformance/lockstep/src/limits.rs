//! The limits of the replicas under test: small enough to be reached, large enough for every space.

/// The most slots that a leader has in flight.
pub const IN_FLIGHT_MAX: u64 = 3;
/// The most slots beyond the end of its log in which a replica accepts.
pub const SLOTS_AHEAD_MAX: u64 = 4;
/// The most slots in a batch that is sent again.
pub const BATCH_SLOTS_MAX: u64 = 2;
