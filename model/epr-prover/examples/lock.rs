//! Proves the lock service of `lock.epr`. Then leaves out the number of a grant that was seen, and shows the smallest step
//! in which the proof breaks.
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
