//! Limits of a replica that are small enough to be reached, and large enough for every space.

/// How many slots a leader has in flight.
pub const IN_FLIGHT_MAX: u64 = 3;
/// How far beyond the end of its log a replica accepts.
pub const SLOTS_AHEAD_MAX: u64 = 4;
/// How many slots a batch of resends has.
pub const BATCH_SLOTS_MAX: u64 = 2;
