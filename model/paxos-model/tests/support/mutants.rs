//! Ways to get the protocol wrong, as edits of the text of its specification.

use epr_prover::{self, language::Specification};
use paxos_model::specifications::SPECIFICATIONS;

/// A specification with one place of its text changed.
pub(crate) fn edited(name: &str, old: &str, new: &str) -> Specification {
    let (_, text) = SPECIFICATIONS.iter().find(|(known, _)| *known == name).expect("it is there");
    assert_eq!(text.matches(old).count(), 1, "{name} has one `{old}`");
    epr_prover::read(name, &text.replace(old, new)).unwrap_or_else(|error| panic!("{error}"))
}

const PROMISE_TWICE: &str = "  (require (not (reached a b)))\n";
const BELOW_PROMISE: &str = "  (require (not (left a b)))\n";
const CLIENTS: &str = "        (proposed_by_client v)\n";

/// The name of a mutant, the replaced text, and the new text.
const MUTANTS: [(&str, &str, &str); 11] = [
    (
        "any value may be proposed",
        "          (promise_reports a b m v)\n",
        "          (exists ((u value)) (promise_reports a b m u))\n          (proposed_by_client v)\n",
    ),
    (
        "quorums need not intersect",
        "(exists ((a acceptor)) (and (member a p) (member a q)))",
        "true",
    ),
    ("accept below the promise", BELOW_PROMISE, ""),
    (
        "promise not kept",
        "  (forall ((x ballot)) (set (reached a x) (or (reached a x) (le x b))))
  (forall ((x ballot)) (set (left a x) (or (left a x) (lt x b)))))

; Phase 2a.",
        ")\n\n; Phase 2a.",
    ),
    ("ballot reused", "  (require (forall ((w value)) (not (proposal b w))))\n", ""),
    (
        "lowest reported ballot wins",
        "          (forall ((c acceptor) (n ballot))
            (=> (member c q) (promise_reports_ge c b n) (le n m)))))))",
        "          (forall ((c acceptor) (n ballot) (u value))
            (=> (member c q) (promise_reports c b n u) (le m n)))))))",
    ),
    (
        "accepting does not raise the promise",
        "  (forall ((x ballot)) (set (reached a x) (or (reached a x) (le x b))))
  (forall ((x ballot)) (set (left a x) (or (left a x) (lt x b)))))

; A value is chosen",
        ")\n\n; A value is chosen",
    ),
    (
        "one vote is enough to learn",
        "  (require (forall ((a acceptor)) (=> (member a q) (vote a b v))))\n",
        "  (require (exists ((a acceptor)) (and (member a q) (vote a b v))))\n",
    ),
    (
        "crash forgets the promise",
        "; ---- the invariant",
        "(action crash ((a acceptor)) \"{a} crashes\"
  (forall ((x ballot)) (set (reached a x) false))
  (forall ((x ballot)) (set (left a x) false)))
; ---- the invariant",
    ),
    ("a promise may be sent twice", PROMISE_TWICE, BELOW_PROMISE),
    ("clients need not ask", CLIENTS, ""),
];

pub(crate) fn mutants() -> Vec<(&'static str, Specification)> {
    MUTANTS.iter().map(|(name, old, new)| (*name, edited("synod", old, new))).collect()
}
