//! The proved specifications: the texts in `specs/`.

use epr_prover::language::Specification;

/// The names of the specifications, and their texts.
pub const SPECIFICATIONS: [(&str, &str); 3] = [
    ("synod", include_str!("../../specs/synod.epr")),
    ("multipaxos", include_str!("../../specs/multipaxos.epr")),
    ("flexible", include_str!("../../specs/flexible.epr")),
];

/// Returns one of the specifications.
///
/// # Panics
/// Panics if no specification has this name.
pub fn shipped(name: &str) -> Specification {
    let text = SPECIFICATIONS.iter().find(|(known, _)| *known == name);
    let (name, text) = text.unwrap_or_else(|| panic!("there is no specification {name}"));
    epr_prover::read(&format!("{name}.epr"), text)
        .expect("the specifications of this crate are sound")
}
