//! Property tests: fast code against slow and obvious code, and the protocol against a hostile network.
//!
//! A failure prints the shrunk case and writes its seed to `*.regressions` beside the source file. The next run
//! begins with these seeds. `PROPTEST_CASES=100000` runs more cases.

mod edges;
mod garbage;
mod naive;
mod said;
mod storm;
