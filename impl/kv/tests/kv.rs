//! The key-value store from outside: against Redis, against a naive model, and against noise.

#[path = "kv/bounds.rs"]
mod bounds;
#[path = "kv/fuzz.rs"]
mod fuzz;
#[path = "kv/golden.rs"]
mod golden;
#[path = "kv/model.rs"]
mod model;
#[path = "kv/session.rs"]
mod session;
