//! Counterexamples to the induction: a state that satisfies the invariant, a step, and a state that does not.
//!
//! People read a counterexample, so it has as few elements as possible, and then as few facts as the time limit allows. The
//! interpreter replays each counterexample before the report. A counterexample that does not replay is an error.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    finite::{self, FiniteModels},
    interpreter::{Interpreter, Step},
    language::{Formula, Relation, Sort, Specification},
    limits::Watch,
    obligation::{Moment, Obligation},
    sat::Answer,
    structure::{Assignment, Element, Structure},
};

/// A failure of an obligation, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counterexample {
    /// The number of elements of each sort.
    pub elements: BTreeMap<String, usize>,
    /// The facts of rigid relations.
    pub always: Vec<String>,
    /// The other facts in the state before.
    pub before: Vec<String>,
    /// The step, for obligations about an action.
    pub step: Option<String>,
    /// The facts that the step makes true (with `true`) or false (with `false`).
    pub changes: Vec<(bool, String)>,
    /// The name of the formula that does not hold afterwards.
    pub broken: String,
    /// The formula in words.
    pub words: String,
    /// Values of the formula's outermost variables for which it is false.
    pub instance: String,
}

/// Searches for the smallest counterexample to an obligation that a prover has refuted.
///
/// # Errors
/// Fails if a limit was reached first, if all counterexamples are too large, or if the counterexample does not
/// replay. The error is the reason in words.
pub fn find(obligation: &Obligation<'_>, watch: &Watch) -> Result<Counterexample, String> {
    let specification = obligation.specification;
    let parameters = obligation.action().map_or(&[][..], |action| &action.parameters);
    let conclusion = obligation.conclusion().negated();
    let sorts = specification.sorts.len();
    for sizes in (sorts..=sorts + SPARE_MAX).flat_map(|total| finite::sizes(sorts, total)) {
        if watch.has_ended() {
            break;
        }
        if !finite::is_small(specification, &sizes) {
            continue;
        }
        let mut models = FiniteModels::new(specification, &sizes, parameters, watch);
        obligation.premises().into_iter().for_each(|premise| models.assert(premise));
        models.assert(&conclusion);
        match models.find(&[]) {
            Answer::Model => {
                let (state, arguments) = smallest(specification, models);
                let (state, step) = as_state_and_step(obligation, state, arguments);
                return replay(obligation, &state, step.as_ref());
            }
            Answer::Contradiction => {}
            Answer::TimeUp => break,
        }
    }
    Err(match watch.why() {
        Some(why) => format!("it was refuted, but {why} before a counterexample was found"),
        None => {
            "it was refuted, but all counterexamples are too large to be searched for".to_owned()
        }
    })
}

/// The greatest number of elements beyond one of each sort.
const SPARE_MAX: usize = 24;

/// Returns the last model with as few true facts as possible. Makes one fact after the other false, as long as a model
/// remains. If a limit is reached, returns the best model so far.
fn smallest(
    specification: &Specification,
    mut models: FiniteModels<'_>,
) -> (Structure, Vec<Element>) {
    let mut best = (models.structure(), models.arguments());
    let mut needed = Vec::new();
    loop {
        let found = &best.0;
        let facts = |holds: bool| {
            finite::changing(specification).flat_map(move |relation| {
                let tuples = found.all_tuples(relation).map(move |tuple| (relation, tuple));
                tuples.filter(move |(relation, tuple)| found.holds(*relation, tuple) == holds)
            })
        };
        let Some(next) = facts(true).find(|fact| !needed.contains(fact)) else { return best };
        let without: Vec<_> = facts(false).chain([next.clone()]).collect();
        match models.find(&without) {
            Answer::Model => best = (models.structure(), models.arguments()),
            Answer::Contradiction => needed.push(next),
            Answer::TimeUp => return best,
        }
    }
}

/// Returns the model as a state and a step from it. Renumbers the elements of a sort with an order upwards.
fn as_state_and_step(
    obligation: &Obligation<'_>,
    mut found: Structure,
    arguments: Vec<Element>,
) -> (Structure, Option<Step>) {
    let specification = obligation.specification;
    if obligation.moment == Moment::Initially {
        // The obligation does not mention these relations, so the model leaves them open. In an initial state, they are empty.
        for relation in finite::changing(specification) {
            let tuples: Vec<_> = found.tuples(relation).collect();
            for tuple in tuples {
                found.set(relation, &tuple, false);
            }
        }
    }
    let numbers: Vec<Vec<Element>> = finite::sorts(specification)
        .map(|sort| {
            let mut elements: Vec<_> = found.elements(sort).collect();
            if let Some(order) = order_of(specification, sort) {
                elements
                    .sort_by_key(|&it| found.tuples(order).filter(|pair| pair[1] == it).count());
            }
            let place = |element| elements.iter().position(|&other| other == element);
            let number = |element| Element(place(element).expect("all are there") as u8);
            found.elements(sort).map(number).collect()
        })
        .collect();
    let step = match obligation.moment {
        Moment::After(action) => {
            let parameters = &specification.actions[action].parameters;
            let arguments = parameters.iter().zip(arguments);
            let arguments = arguments.map(|(x, it)| numbers[x.sort.0][usize::from(it.0)]).collect();
            Some(Step { action, arguments })
        }
        Moment::Initially | Moment::Implied => None,
    };
    (found.renumbered(specification, &numbers), step)
}

/// Returns a rigid binary relation on the sort, which may be an order.
fn order_of(specification: &Specification, sort: Sort) -> Option<Relation> {
    let binary = |declaration: &super::language::RelationDeclaration| {
        declaration.rigid && declaration.signature == [sort, sort]
    };
    specification.relations.iter().position(binary).map(Relation)
}

/// Checks by the interpreter that the state and the step are a counterexample, and describes them.
fn replay(
    obligation: &Obligation<'_>,
    state: &Structure,
    step: Option<&Step>,
) -> Result<Counterexample, String> {
    let specification = obligation.specification;
    let interpreter = Interpreter::new(specification);
    let wrong = |what: &str| format!("the counterexample that was found does not replay: {what}");
    for axiom in &specification.axioms {
        if !interpreter.holds(state, &axiom.formula) {
            return Err(wrong(&axiom.name));
        }
    }
    let assumed: Vec<_> = match obligation.moment {
        Moment::Initially => Vec::new(),
        Moment::After(_) => specification.statements().collect(),
        Moment::Implied => specification.invariants.iter().collect(),
    };
    for statement in assumed {
        if !interpreter.holds(state, &statement.formula) {
            return Err(wrong(&statement.name));
        }
    }
    let after = match step {
        None => state.clone(),
        Some(step) => {
            let name = &specification.actions[step.action].name;
            interpreter.take(state, step).ok_or_else(|| wrong(name))?
        }
    };
    if interpreter.holds(&after, &obligation.goal.formula) {
        return Err(wrong(&obligation.goal.name));
    }
    Ok(describe(obligation, state, step, &after))
}

fn describe(
    obligation: &Obligation<'_>,
    before: &Structure,
    step: Option<&Step>,
    after: &Structure,
) -> Counterexample {
    let specification = obligation.specification;
    let facts = |structure: &Structure| {
        let all = finite::changing(specification).flat_map(|relation| {
            let declaration = &specification.relations[relation.0];
            let tuples = structure.tuples(relation).filter(move |tuple| {
                !(declaration.highest && is_implied_by_a_higher(structure, relation, tuple))
            });
            tuples.map(move |tuple| {
                declaration
                    .phrase
                    .say(|place| name(specification, declaration.signature[place], tuple[place]))
            })
        });
        all.collect::<Vec<_>>()
    };
    let (was, is) = (facts(before), facts(after));
    let gone = was.iter().filter(|fact| !is.contains(fact)).map(|fact| (false, fact.clone()));
    let new = is.iter().filter(|fact| !was.contains(fact)).map(|fact| (true, fact.clone()));
    let changes = gone.chain(new).collect();
    Counterexample {
        elements: finite::sorts(specification)
            .map(|sort| (specification.sorts[sort.0].name.clone(), before.elements(sort).count()))
            .collect(),
        always: rigid_facts(specification, before),
        before: was,
        step: step.map(|step| {
            let action = &specification.actions[step.action];
            action.phrase.say(|place| {
                name(specification, action.parameters[place].sort, step.arguments[place])
            })
        }),
        changes,
        broken: obligation.goal.name.clone(),
        words: obligation.goal.words.clone(),
        instance: instance(specification, after, &obligation.goal.formula),
    }
}

/// Returns true if the relation also holds for a higher last argument, and for all last arguments below that one.
fn is_implied_by_a_higher(structure: &Structure, relation: Relation, tuple: &[Element]) -> bool {
    let holds_at = |last: u8| {
        let mut other = tuple.to_vec();
        if let Some(argument) = other.last_mut() {
            *argument = Element(last);
        }
        structure.holds(relation, &other)
    };
    let last = tuple.last().map_or(0, |last| last.0);
    let rest = structure.tuples(relation).filter(|other| {
        other[..tuple.len().saturating_sub(1)] == tuple[..tuple.len().saturating_sub(1)]
    });
    let highest = rest.filter_map(|other| other.last().map(|it| it.0)).max().unwrap_or(last);
    last < highest && (0..highest).all(holds_at)
}

fn name(specification: &Specification, sort: Sort, Element(number): Element) -> String {
    specification.element_name(sort, number)
}

/// Returns one line for each rigid relation: a chain for a total order, and a list of facts otherwise.
fn rigid_facts(specification: &Specification, state: &Structure) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, declaration) in specification.relations.iter().enumerate() {
        let relation = Relation(index);
        if !declaration.rigid {
            continue;
        }
        let fact = |tuple: Vec<Element>| {
            declaration
                .phrase
                .say(|place| name(specification, declaration.signature[place], tuple[place]))
        };
        if let [sort, other] = declaration.signature[..]
            && sort == other
        {
            let upwards = |tuple: &Vec<Element>| tuple[0] <= tuple[1];
            let count = state.elements(sort).count();
            let tuples = state.tuples(relation).collect::<Vec<_>>();
            if tuples.len() == count * (count + 1) / 2 && tuples.iter().all(upwards) {
                let chain: Vec<_> = state
                    .elements(sort)
                    .map(|element| name(specification, sort, element))
                    .collect();
                lines.push(chain.join(" < "));
                continue;
            }
        }
        let facts: Vec<_> = state.tuples(relation).map(fact).collect();
        if !facts.is_empty() {
            lines.push(facts.join(", "));
        }
    }
    lines
}

/// Returns values of a formula's outermost variables for which it is false.
fn instance(specification: &Specification, state: &Structure, formula: &Formula) -> String {
    let Formula::Forall(bound, part, _) = formula else { return String::new() };
    let mut assignment = Assignment::of(specification);
    let holds =
        state.every(bound, &mut assignment, &mut |assignment| state.satisfies(part, assignment));
    assert!(!holds, "a broken formula has a false instance");
    let stands = |x: &super::language::Variable| {
        let element = name(specification, x.sort, assignment.get(*x));
        format!("{} = {element}", specification.variables[x.index])
    };
    bound.iter().map(stands).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = |title: &str, lines: &[String]| {
            for (i, line) in lines.iter().enumerate() {
                writeln!(f, "{:<8}{line}", if i == 0 { title } else { "" })?;
            }
            Ok(())
        };
        list("always", &self.always)?;
        let nothing = ["nothing has happened".to_owned()];
        list("before", if self.before.is_empty() { &nothing } else { &self.before })?;
        if let Some(step) = &self.step {
            list("step", std::slice::from_ref(step))?;
            let changes: Vec<_> = self
                .changes
                .iter()
                .map(|(now, fact)| format!("{} {fact}", if *now { "+" } else { "-" }))
                .collect();
            list("after", &changes)?;
        }
        writeln!(f, "{:<8}{}: {}", "broken", self.broken, self.words)?;
        if self.instance.is_empty() {
            Ok(())
        } else {
            writeln!(f, "{:<8}for {}", "", self.instance)
        }
    }
}
