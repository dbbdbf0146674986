//! Simulated storms are recorded and validated: what the nodes do is what the model allows.

#[expect(dead_code, reason = "other tests use the rest")]
mod support;

use paxos_validation::coverage::{Coverage, Kind};
use verdict::Verdict;

#[test]
fn storms_are_behaviours_of_the_model() {
    let mut coverage = Coverage::default();
    for seed in 0..20 {
        let directory = tempfile::tempdir().expect("a directory");
        support::record(seed, if seed % 4 == 3 { 5 } else { 3 }, directory.path());
        let report = support::validate(directory.path());
        assert_eq!(report.verdict, Verdict::Holds, "seed {seed}\n{report}");
        coverage.merge(&report.coverage);
    }
    let never: Vec<_> = coverage.never().map(Kind::text).collect();
    println!("never: {never:#?}");
    assert!(coverage.exercised().count() > 40, "never: {never:#?}");
}
