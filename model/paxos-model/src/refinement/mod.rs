//! What is explored is what is proved: the models held against the texts of the specifications.
//!
//! The proof ([`specifications`](crate::specifications)) is about texts, and the models are Rust. Here a state of a model is read as a
//! structure of the specification, and the interpreter says what may happen in that:
//! - [`synod`] can do in each state what the text can do there, and nothing else;
//! - each step of [`cluster`] is a short sequence of steps of the text, or none at all.
//!
//! So what is proved of the texts for any number of everything holds in particular of the models, and
//! what is explored there is no other protocol.

pub mod cluster;
pub mod synod;

use epr_prover::{
    interpreter::{Interpreter, Step},
    language::{Relation, Sort, Specification},
    structure::{Element, Structure},
};

/// A set of acceptors, as bits.
type Acceptors = u8;

/// All sets of so many acceptors or more, of so many in all.
fn quorums(acceptors: u8, least: u8) -> Vec<Acceptors> {
    (0..1 << acceptors).filter(|set: &Acceptors| set.count_ones() >= u32::from(least)).collect()
}

/// The relation of a name.
///
/// # Panics
/// If there is none: a refinement is to a certain text.
fn relation(specification: &Specification, name: &str) -> Relation {
    let found = specification.relation(name);
    found.unwrap_or_else(|| panic!("{} has no relation {name}", specification.name))
}

/// How many there are of a sort, said by its name, for all sorts of a specification.
fn sizes(specification: &Specification, size: impl Fn(&str) -> usize) -> Vec<u8> {
    let size = |name: &str| u8::try_from(size(name)).expect("structures are small");
    specification.sorts.iter().map(|sort| size(&sort.name)).collect()
}

/// Lets acceptors be members of quorums.
fn set_members(structure: &mut Structure, member: Relation, quorums: &[Acceptors], acceptors: u8) {
    for (place, quorum) in quorums.iter().enumerate() {
        for acceptor in (0..acceptors).filter(|acceptor| quorum >> acceptor & 1 == 1) {
            structure.set(member, &[Element(acceptor), Element(place as u8)], true);
        }
    }
}

/// What the proof takes for granted is so.
///
/// # Panics
/// If it is not: then nothing proved says anything about this structure.
fn assert_axioms(interpreter: Interpreter<'_>, structure: &Structure) {
    for axiom in &interpreter.specification().axioms {
        assert!(interpreter.holds(structure, &axiom.formula), "it is not so that {}", axiom.words);
    }
}

/// What an element of a structure is called in the model.
type Names<'a> = dyn Fn(Sort, Element) -> String + 'a;

/// A step, in the words of the text and with the names of the model.
fn describe(specification: &Specification, step: &Step, names: &Names<'_>) -> String {
    let action = &specification.actions[step.action];
    action.phrase.say(|place| names(action.parameters[place].sort, step.arguments[place]))
}

/// The first fact on which two structures differ, in words, and whether it holds in the first.
fn difference(
    specification: &Specification,
    one: &Structure,
    other: &Structure,
    names: &Names<'_>,
) -> Option<(String, bool)> {
    // The structures are nearly always equal, and the search below asks for each fact by its name.
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
