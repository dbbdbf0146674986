//! "Paxos Made Simple" (Lamport, 2001), sentence by sentence.
//!
//! Each sentence that requires something has a test, in the order of the paper. The doc comment of the test quotes
//! the sentence or sums it up. Two subjects that the paper leaves open come last: trimming, and reads without a
//! slot.
//!
//! The tests drive replicas by hand, one message at a time.

mod helpers;
mod log;
mod reading;
mod synod;
mod trimming;
