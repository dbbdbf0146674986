//! The findings of a search.

use crate::{
    claims::{Claim, Class, Finding},
    cluster::{Input, Node},
};

/// The steps of a run: nodes and their inputs.
pub(crate) type Schedule = Vec<(Node, Input)>;

/// A finding, and a schedule that leads to it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) finding: Finding,
    pub(crate) class: Class,
    pub(crate) schedule: Schedule,
}

/// The first finding for each claim.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) all: Vec<Found>,
    /// A finding of this class, or of one before it, ends the search.
    last: Class,
}

impl Findings {
    pub(crate) fn new(last: Class) -> Self {
        Self { all: Vec::new(), last }
    }

    /// Keeps a finding, unless one for the same claim is known, with a schedule that is not longer.
    pub(crate) fn add(
        &mut self,
        finding: Finding,
        class: Class,
        schedule: impl FnOnce() -> Schedule,
    ) {
        if !self.has(finding.claim, class) {
            self.all.push(Found { finding, class, schedule: schedule() });
        }
    }

    fn has(&self, claim: &Claim, class: Class) -> bool {
        self.all.iter().any(|found| found.finding.claim == claim && found.class == class)
    }

    /// Returns true if there is a finding that ends the search.
    pub(crate) fn is_final(&self) -> bool {
        self.all.iter().any(|found| found.class <= self.last)
    }
}
