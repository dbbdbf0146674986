//! Runs the example.

#[allow(dead_code)] // Its `main`.
#[path = "../examples/bank.rs"]
mod bank;

#[test]
fn money_neither_appears_nor_vanishes() {
    bank::run(5);
}
