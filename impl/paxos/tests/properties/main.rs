//! Properties: fast code against slow and obvious code, and the protocol against a hostile network.
//!
//! A failure prints the shrunk case and writes its seed to `*.regressions` beside the file that it is in, from
//! where it is run again first. `PROPTEST_CASES=100000` looks further.

mod edges;
mod garbage;
mod naive;
mod said;
mod storm;
