//! Proves the lock service of `lock.epr`. Then removes the guard by which a client takes each grant once, and prints the
//! smallest step that breaks the invariant.
//!
//! `cargo run --example lock`

use std::time::Duration;

use epr_prover::{prove, prover::Prover, read};

fn main() {
    let text = include_str!("lock.epr");
    let broken = text.replace("  (require (not (seen c g)))\n", "");
    for (name, text) in [("lock.epr", text), ("without `seen`", &broken)] {
        let specification = read(name, text).unwrap_or_else(|error| panic!("{error}"));
        let report = prove(&[specification], &Prover::Builtin, Duration::from_mins(1), |_| ());
        println!("{name}\n{report}");
    }
}
