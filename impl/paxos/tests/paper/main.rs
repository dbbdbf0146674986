//! "Paxos Made Simple" (Lamport, 2001), sentence by sentence: one test for each that requires something,
//! in the order of the paper. The sentence stands above the test, quoted or in short. What the paper leaves
//! open comes last: to forget what is decided, and to read without a slot.
//!
//! Replicas are driven by hand here, one message at a time.

mod log;
mod reading;
mod said;
mod synod;
mod trimming;
