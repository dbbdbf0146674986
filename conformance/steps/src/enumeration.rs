//! All cases of a generator, or random ones.

use std::sync::Arc;

use paxos::Config;
use paxos_validation::coverage::Coverage;
use serde::Serialize;
use verdict::Interrupt;

use crate::{
    case::{Case, Generator, Start},
    check::{Checker, Class, Shown, Tested},
    choices::{Choices, Every, Given, Random, reduced},
    finding::{Checked, Finding},
    renaming, unseen,
};

/// The numbers of what was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The states.
    pub states: u64,
    /// The cases: pairs of a state and an input.
    pub cases: u64,
    /// The steps of replica and model that a correct cluster can have, as far as the invariants say.
    pub sound: u64,
    /// The steps of replica and model on a message that contradicts a value of the node.
    pub contradictory: u64,
    /// The kinds of transitions.
    #[serde(flatten)]
    pub coverage: Coverage,
}

impl Counts {
    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        let Self { states, cases, sound, contradictory, coverage } = other;
        self.states += states;
        self.cases += cases;
        self.sound += sound;
        self.contradictory += contradictory;
        self.coverage.merge(coverage);
    }
}

/// A case for which a claim does not hold, as small as the reduction found.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The configuration of the node.
    pub config: Arc<Config>,
    /// The case.
    pub case: Case,
    /// The claim.
    pub finding: Finding,
}

/// The result of a search.
#[derive(Clone, Debug)]
pub enum Searched {
    /// Every claim holds in every case.
    Holds(Counts),
    /// A claim does not hold.
    Fails(Box<Counterexample>),
    /// The search was interrupted after these cases.
    Interrupted(Counts),
}

/// The claim about each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Replica and model take the same step.
    SameStep,
    /// The step commutes with a random renaming.
    Renames,
    /// The step is the same without the part of the state that the handler does not look at.
    LooksAway,
}

impl Claim {
    /// Checks a case. Returns none if the claim says nothing about it. `choices` choose the renaming.
    fn check<T: Tested>(
        self,
        checker: &mut Checker<T>,
        case: &Case,
        choices: &mut impl Choices,
    ) -> Checked<Option<Shown>> {
        match self {
            Self::SameStep => checker.check(&case.start.state, &case.input).map(Some),
            Self::Renames => renaming::commutes(checker, case, choices),
            Self::LooksAway => unseen::looks_away(checker, case),
        }
    }
}

/// Checks all cases of a generator.
pub fn enumerate<T: Tested + Clone>(
    generator: &impl Generator,
    tested: &T,
    interrupt: &Interrupt,
) -> Searched {
    let config = generator.config();
    let mut checker = Checker::new(config.clone(), tested.clone());
    let mut counts = Counts::default();
    let mut states = Every::default();
    loop {
        if let Some(begun) = generator.start(&mut states, &config) {
            counts.states += 1;
            within(&checker, &begun);
            let mut inputs = Every::default();
            loop {
                let mut start = begun.clone();
                if let Some(input) = generator.input(&mut inputs, &mut start) {
                    let Ok(shown) = checker.check(&start.state, &input) else {
                        let answers = [states.answers(), inputs.answers()].concat();
                        return fails(generator, &mut checker, Claim::SameStep, answers);
                    };
                    counts.note(&shown);
                }
                if !inputs.advance() {
                    break;
                }
            }
        }
        if interrupt.requested() {
            return Searched::Interrupted(counts);
        }
        if !states.advance() {
            return Searched::Holds(counts);
        }
    }
}

/// Checks a claim of this number of random cases. A case of which the claim says nothing does not count.
pub fn sample<T: Tested + Clone>(
    generator: &impl Generator,
    tested: &T,
    claim: Claim,
    (seed, cases): (u64, u64),
    interrupt: &Interrupt,
) -> Searched {
    let config = generator.config();
    let mut checker = Checker::new(config.clone(), tested.clone());
    let mut counts = Counts::default();
    let mut random = Random::new(seed);
    while counts.cases < cases {
        random.forget();
        let Some(drawn) = generator.case(&mut random, &config) else { continue };
        within(&checker, &drawn.start);
        match claim.check(&mut checker, &drawn, &mut random) {
            Ok(None) => {}
            Ok(Some(shown)) => {
                counts.states += 1;
                counts.note(&shown);
            }
            Err(_) => return fails(generator, &mut checker, claim, random.take_answers()),
        }
        if interrupt.requested() {
            return Searched::Interrupted(counts);
        }
    }
    Searched::Holds(counts)
}

/// A generator that leaves the invariant is a fault of this check.
fn within<T: Tested>(checker: &Checker<T>, start: &Start) {
    if let Some(claim) = checker.broken(&start.state.live) {
        unreachable!("a generated state breaks the invariant: {claim}: {:?}", start.state);
    }
}

impl Counts {
    fn note(&mut self, shown: &Shown) {
        self.cases += 1;
        match shown.class {
            Some(Class::Sound) => self.sound += 1,
            Some(Class::Unsound) | None => {}
            Some(Class::Contradictory) => self.contradictory += 1,
        }
        shown.kinds.iter().for_each(|&kind| self.coverage.add(kind));
    }
}

/// Returns the counterexample that the reduction of these answers finds.
fn fails<T: Tested>(
    generator: &impl Generator,
    checker: &mut Checker<T>,
    claim: Claim,
    answers: Vec<usize>,
) -> Searched {
    let config = generator.config();
    let mut try_answers = |answers: Vec<usize>| {
        let mut given = Given::new(answers);
        let case = generator.case(&mut given, &config)?;
        let finding = claim.check(checker, &case, &mut given).err()?;
        Some((given.used(), case, *finding))
    };
    let least = reduced(answers, |answers| try_answers(answers).map(|(used, ..)| used));
    let (_, case, finding) = try_answers(least).expect("a step is a function of its case");
    Searched::Fails(Box::new(Counterexample { config, case, finding }))
}
