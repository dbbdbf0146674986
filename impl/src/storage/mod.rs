//! Where records live between crashes.
//!
//! So far in memory only, for tests and simulations; a disk comes with the runtime.

mod memory;

pub use memory::Memory;
