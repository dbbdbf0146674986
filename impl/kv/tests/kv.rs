//! Tests of the key-value store through its public interface: against Redis, against a naive model, with arbitrary
//! bytes, and on simulated nodes.

#[path = "kv/bounds.rs"]
mod bounds;
#[path = "kv/fuzz.rs"]
mod fuzz;
#[path = "kv/golden.rs"]
mod golden;
#[path = "kv/model.rs"]
mod model;
#[path = "kv/replicated.rs"]
mod replicated;
#[path = "kv/session.rs"]
mod session;
