//! The language of specifications: a text that is no specification is refused with the place of the error and the
//! forms that are accepted.

use expect_test::{Expect, expect};
use paxos_model::specifications::SPECIFICATIONS;
use proptest::prelude::*;

/// Returns a small specification with this form and this formula in it.
fn text(form: &str, formula: &str) -> String {
    format!(
        r#"(specification small "for tests")
(declare-sort node "n")
(declare-sort color "c")
(declare-rigid next (node node) "{{1}} is next to {{0}}")
(declare-relation has (node color) "{{0}} has {{1}}")
(define bare ((x node)) (forall ((c color)) (not (has x c))))
{form}
(action paint ((x node) (c color)) "{{x}} is painted {{c}}"
  (require (bare x))
  (set (has x c) true))
(safety one "a node has one color"
  {formula})
"#
    )
}

const GOOD: &str = "(forall ((x node) (c color) (d color)) (=> (has x c) (has x d) (= c d)))";

/// Asserts that a text is refused. The expected text is the line, the column, the error and the accepted forms.
fn refused(text: &str, expected: &Expect) {
    let error = epr_prover::read("small.epr", text).expect_err("it is refused");
    let (line, column) = error.position();
    let wanted = error.expected().unwrap_or("nothing");
    expected.assert_eq(&format!("{line}:{column} {} | {wanted}", error.message()));
    // The whole message shows the place.
    let shown = error.to_string();
    assert!(shown.contains(&format!("small.epr:{line}:{column}")), "{shown}");
}

#[test]
fn the_small_one_is_good() {
    let specification = epr_prover::read("small.epr", &text("", GOOD)).expect("it is one");
    assert_eq!((specification.sorts.len(), specification.relations.len()), (2, 2));
    assert_eq!(specification.actions[0].parameters.len(), 2);
}

#[test]
fn formulas_that_are_none_are_refused() {
    let refused = |formula: &str, expected| refused(&text("", formula), &expected);
    refused(
        "(forall ((x node) (c color)) (hsa x c))",
        expect!["12:33 there is no relation `hsa` | `has`, perhaps"],
    );
    refused(
        "(forall ((x node)) (has x x))",
        expect!["12:29 `x` is a node, but `has` takes a color here | a variable of sort `color`"],
    );
    refused(
        "(forall ((x node)) (has x))",
        expect!["12:22 `has` takes 2 arguments, but 1 is given | `(has node color)`"],
    );
    refused(
        "(forall ((x node) (c color)) (has x d))",
        expect![
            "12:39 there is no variable `d` here | `x`, `c`, or a `forall` or `exists` around it"
        ],
    );
    refused(
        "(forall ((x nod) (c color)) (has x c))",
        expect!["12:15 there is no sort `nod` | `node`, perhaps"],
    );
    refused(
        "(forall ((x node) (c color)) (= x c))",
        expect!["12:32 a node is never a color | two variables of one sort"],
    );
    refused(
        "(forall ((x node) (x color)) (has x x))",
        expect!["12:22 `x` is already in use | another name"],
    );
    refused(
        "(forall (x node) (bare x))",
        expect![
            "12:12 this is not a pair | variables and their sorts, as in `((x client) (y client))`"
        ],
    );
    refused(
        "(forall ((x node)) (bare x) (bare x))",
        expect![
            "12:3 `forall` is used in the wrong form | a formula: `true`, `false`, `(RELATION x …)`, `(= x y)`, `(distinct x y)`, `(not F)`, `(and F …)`, `(or F …)`, `(=> F G)`, `(= F G)`, `(forall ((x sort) …) F)` or `(exists ((x sort) …) F)`"
        ],
    );
    refused(
        "(forall ((x node)) (not (bare x) (bare x)))",
        expect![
            "12:22 `not` is used in the wrong form | a formula: `true`, `false`, `(RELATION x …)`, `(= x y)`, `(distinct x y)`, `(not F)`, `(and F …)`, `(or F …)`, `(=> F G)`, `(= F G)`, `(forall ((x sort) …) F)` or `(exists ((x sort) …) F)`"
        ],
    );
    refused(
        "(forall ((x node)) (bare (next x)))",
        expect!["12:28 the language has no terms other than variables | the name of a variable"],
    );
    refused(
        "bare",
        expect![
            "12:3 this is not a formula | a formula: `true`, `false`, `(RELATION x …)`, `(= x y)`, `(distinct x y)`, `(not F)`, `(and F …)`, `(or F …)`, `(=> F G)`, `(= F G)`, `(forall ((x sort) …) F)` or `(exists ((x sort) …) F)`"
        ],
    );
    refused(
        "()",
        expect![
            "12:3 this is not a formula | a formula: `true`, `false`, `(RELATION x …)`, `(= x y)`, `(distinct x y)`, `(not F)`, `(and F …)`, `(or F …)`, `(=> F G)`, `(= F G)`, `(forall ((x sort) …) F)` or `(exists ((x sort) …) F)`"
        ],
    );
    refused(
        "((bare x))",
        expect![
            "12:4 a formula begins with a word | a formula: `true`, `false`, `(RELATION x …)`, `(= x y)`, `(distinct x y)`, `(not F)`, `(and F …)`, `(or F …)`, `(=> F G)`, `(= F G)`, `(forall ((x sort) …) F)` or `(exists ((x sort) …) F)`"
        ],
    );
    // The quantifiers lead from nodes to colors and back.
    refused(
        "(and (forall ((x node)) (exists ((c color)) (has x c)))
       (forall ((c color)) (exists ((x node)) (has x c))))",
        expect![
            "13:28 this is outside the decidable fragment: in the proof of `one` after `paint`, a `node` depends on a `color`, which in turn depends on a `node` | quantifiers whose dependencies between sorts form no cycle"
        ],
    );
    refused(
        "(forall ((x node)) (exists ((y node)) (next x y)))",
        expect![
            "12:22 this is outside the decidable fragment: in the proof of `one` after `paint`, a `node` depends on a `node` | quantifiers whose dependencies between sorts form no cycle"
        ],
    );
}

#[test]
fn forms_that_are_none_are_refused() {
    let refused = |form: &str, expected| refused(&text(form, GOOD), &expected);
    refused(
        "(declare-thing x)",
        expect![
            "7:2 `declare-thing` is not a form | one of `specification`, `declare-sort`, `declare-rigid`, `declare-relation`, `define`, `axiom`, `action`, `invariant` and `safety`"
        ],
    );
    refused(
        "(declare-sort node \"m\")",
        expect!["7:15 there is a sort `node` already | another name"],
    );
    refused(
        "(declare-sort other)",
        expect![[r#"7:1 this form has the wrong shape | `(declare-sort NAME "PREFIX")`"#]],
    );
    refused(
        "(declare-sort forall \"f\")",
        expect!["7:15 `forall` is a word of the language | another name"],
    );
    refused(
        "(declare-relation has (node) \"{0}\")",
        expect!["7:19 there is a relation `has` already | another name"],
    );
    refused(
        "(declare-relation is (node) \"{1} is\")",
        expect!["7:29 this placeholder names no argument | `{0}`"],
    );
    refused(
        "(declare-relation is (knot) \"{0} is\")",
        expect!["7:23 there is no sort `knot` | `node`, `color`, or a sort that is declared above"],
    );
    refused(
        "(axiom a \"b\" (forall ((x node)) (bare x)))",
        expect![
            "7:14 an axiom is about rigid relations only, and this formula contains another relation | relations declared with `declare-rigid`"
        ],
    );
    refused(
        "(invariant one \"b\" true)",
        expect!["11:9 there is a statement `one` already | another name"],
    );
    refused(
        "(invariant i true)",
        expect![[r#"7:1 this form has the wrong shape | `(invariant NAME "in words" FORMULA)`"#]],
    );
    refused(
        "(specification other \"b\")",
        expect!["7:2 a text holds one specification | the next form"],
    );
    refused(
        "(action a ((x node)) \"{y}\")",
        expect!["7:22 this placeholder names no argument | `{x}`"],
    );
    refused(
        "(action a ((x node)) \"{x}\" (bare x))",
        expect![
            "7:28 this is not part of an action | `(require FORMULA)`, `(set (R x …) FORMULA)` or `(forall ((y SORT) …) (set (R x y …) FORMULA))`"
        ],
    );
    refused(
        "(action a ((x node)) \"{x}\" (set (next x x) true))",
        expect!["7:33 `next` is rigid: it never changes | a relation of `declare-relation`"],
    );
    refused(
        "(action a ((x node)) \"{x}\" (set (has x c) true))",
        expect!["7:40 there is no variable `c` here | `x`, or a `forall` or `exists` around it"],
    );
    refused(
        "(action a ((x node) (c color)) \"\" (set (has x c) true) (set (has x c) false))",
        expect![
            "7:61 this action sets `has` twice | one `set` for each relation; to set several tuples, `(forall ((y SORT)) (set (R y) FORMULA))` with a formula that distinguishes them"
        ],
    );
    refused(
        "(action a ((x node) (c color)) \"\" (forall ((y node)) (set (has x c) true)))",
        expect![
            "7:59 `y`, bound by the `forall`, must occur here exactly once | each variable of the `forall` once"
        ],
    );
    refused(
        "(action a ((x node)) \"\" (forall ((c color)) (require (has x c))))",
        expect![
            "7:45 this is not a `set` | `(require FORMULA)`, `(set (R x …) FORMULA)` or `(forall ((y SORT) …) (set (R x y …) FORMULA))`"
        ],
    );
    refused(
        "\"floating\"",
        expect![
            "7:1 this is not a form | one of `specification`, `declare-sort`, `declare-rigid`, `declare-relation`, `define`, `axiom`, `action`, `invariant` and `safety`"
        ],
    );
}

#[test]
fn texts_that_are_none_are_refused() {
    let refused = |text: &str, expected| refused(text, &expected);
    refused(
        "",
        expect![[
            r#"1:1 the text is empty | `(specification NAME "what it is")` at the beginning"#
        ]],
    );
    refused(
        "; only a comment",
        expect![[
            r#"1:1 the text is empty | `(specification NAME "what it is")` at the beginning"#
        ]],
    );
    refused(
        "(declare-sort node \"n\")",
        expect![[
            r#"1:1 this is not the first form of a specification | `(specification NAME "what it is")` at the beginning"#
        ]],
    );
    refused(
        "(specification a \"b\")",
        expect![[
            r#"1:1 the specification has no action | `(action NAME (PARAMETER …) "in words" …)`"#
        ]],
    );
    refused(
        "(specification a \"b\")\n(action x () \"y\")",
        expect![[
            r#"1:1 the specification has no safety property | `(safety NAME "in words" FORMULA)`"#
        ]],
    );
    refused("(specification a \"b\"", expect!["1:1 this parenthesis is never closed | a `)`"]);
    refused(
        "(specification a \"b\"))",
        expect!["1:22 this parenthesis closes nothing | a `(` before it"],
    );
    refused(
        &"(".repeat(1_000_000),
        expect!["1:101 this is nested too deeply | at most 100 lists in each other"],
    );
    refused("(specification a \"b)", expect![[r#"1:18 this string never ends | a `"`"#]]);
}

#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
fn the_place_is_shown() {
    let error = epr_prover::read("small.epr", &text("", "(forall ((x node)) (bear x))"));
    expect![[r#"
        error: there is no relation `bear`
          --> small.epr:12:23
           |
        12 |   (forall ((x node)) (bear x)))
           |                       ^^^^
           |
           = expected: `bare`, perhaps"#]]
    .assert_eq(&error.expect_err("it is refused").to_string());
}

proptest! {
    /// Any altered text is read or refused, without a panic.
    #[test]
    fn no_text_panics(cut in 0_usize..4000, length in 0_usize..40, put in "[()\" a-z;{}=é]{0,12}") {
        for (name, whole) in SPECIFICATIONS {
            let boundary = |at: usize| (at..=whole.len()).find(|at| whole.is_char_boundary(*at));
            let start = boundary(cut.min(whole.len())).expect("the end is one");
            let end = boundary((start + length).min(whole.len())).expect("the end is one");
            let text = format!("{}{put}{}", &whole[..start], &whole[end..]);
            if let Err(error) = epr_prover::read(name, &text) {
                prop_assert!(!error.to_string().is_empty());
                let (line, column) = error.position();
                prop_assert!(line >= 1 && column >= 1);
            }
        }
    }
}
