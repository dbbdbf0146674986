//! The report as `JUnit` XML: a test case for each claim.

use std::time::Duration;

use verdict::{
    Verdict,
    junit::{Case, Failure, suite},
};

use crate::{
    claims,
    report::{Report, Reported},
};

impl Report {
    /// Returns the report with a test case for each claim. A case fails if its claim does not hold. A report that is not
    /// conclusive has an error, so that it does not pass.
    pub fn junit(&self, time: Duration) -> String {
        let failure = |Reported { class, facts, steps, .. }: &Reported| Failure {
            kind: class.to_string(),
            message: facts.clone(),
            details: steps.to_string(),
        };
        let case = |claim: &&claims::Claim| {
            let found = self.findings.iter().filter(|it| it.claim == claim.text);
            let (name, failures) = (claim.text.to_owned(), found.map(failure).collect());
            Case { name, failures, error: None }
        };
        let mut cases: Vec<_> = claims::ALL.iter().map(case).collect();
        let verdict = self.verdict();
        if matches!(verdict, Verdict::Inconclusive { .. }) && self.findings.is_empty() {
            cases.push(Case::new("verdict", &verdict, ""));
        }
        suite(&self.name, &cases, time)
    }
}
