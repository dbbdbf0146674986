//! The refinement checks: they compare the explored models with the proved texts of the specifications.
//!
//! The proof is about texts ([`specifications`](crate::specifications)), and the models are written in Rust. A
//! refinement check reads a state of a model as a structure of the specification. The interpreter computes the steps
//! that the text allows in that structure.
//!
//! - [`synod`] checks that the model `synod` has the same steps as its text in each state.
//! - [`cluster`] checks that each step of the model `cluster` is a short sequence of steps of its text, or no step.
//!
//! The proof holds for any number of acceptors, ballots, values and slots. So it holds for the models within their
//! bounds, and the models explore the proved protocol.

pub mod cluster;
pub mod synod;

use epr_prover::{
    interpreter::{Interpreter, Step},
    language::{Relation, Sort, Specification},
    structure::{Element, Structure},
};

/// A set of acceptors, as bits.
type Acceptors = u8;

/// Returns all sets of at least `least` acceptors.
fn quorums(acceptors: u8, least: u8) -> Vec<Acceptors> {
    (0..1 << acceptors).filter(|set: &Acceptors| set.count_ones() >= u32::from(least)).collect()
}

/// Returns the relation with this name.
///
/// # Panics
/// Panics if the specification has no such relation. A refinement check requires the relations of its text.
fn relation(specification: &Specification, name: &str) -> Relation {
    let found = specification.relation(name);
    found.unwrap_or_else(|| panic!("{} has no relation {name}", specification.name))
}

/// Returns the number of elements of each sort of a specification. `size` maps the name of a sort to its number.
fn sizes(specification: &Specification, size: impl Fn(&str) -> usize) -> Vec<u8> {
    let size = |name: &str| u8::try_from(size(name)).expect("structures are small");
    specification.sorts.iter().map(|sort| size(&sort.name)).collect()
}

/// Adds the members of each quorum to a structure.
fn set_members(structure: &mut Structure, member: Relation, quorums: &[Acceptors], acceptors: u8) {
    for (place, quorum) in quorums.iter().enumerate() {
        for acceptor in (0..acceptors).filter(|acceptor| quorum >> acceptor & 1 == 1) {
            structure.set(member, &[Element(acceptor), Element(place as u8)], true);
        }
    }
}

/// Asserts that the axioms of the specification hold in a structure.
///
/// # Panics
/// Panics if an axiom does not hold: the proof then does not apply to this structure.
fn assert_axioms(interpreter: Interpreter<'_>, structure: &Structure) {
    for axiom in &interpreter.specification().axioms {
        assert!(interpreter.holds(structure, &axiom.formula), "it is not so that {}", axiom.words);
    }
}

/// Returns the name that the model has for an element of a structure.
type Names<'a> = dyn Fn(Sort, Element) -> String + 'a;

/// Returns a step in the words of the text, with the names of the model.
fn describe(specification: &Specification, step: &Step, names: &Names<'_>) -> String {
    let action = &specification.actions[step.action];
    action.phrase.say(|place| names(action.parameters[place].sort, step.arguments[place]))
}

/// Returns the first fact on which two structures differ, in words. The flag is true if the fact holds in `one`.
fn difference(
    specification: &Specification,
    one: &Structure,
    other: &Structure,
    names: &Names<'_>,
) -> Option<(String, bool)> {
    // The structures are nearly always equal, and the search below is slow: it looks up each fact.
    if one == other {
        return None;
    }
    let relations = specification.relations.iter().enumerate();
    relations.into_iter().find_map(|(index, declaration)| {
        let relation = Relation(index);
        let differs =
            |tuple: &Vec<Element>| one.holds(relation, tuple) != other.holds(relation, tuple);
        let tuple = one.all_tuples(relation).find(differs)?;
        let words =
            declaration.phrase.say(|place| names(declaration.signature[place], tuple[place]));
        Some((words, one.holds(relation, &tuple)))
    })
}
