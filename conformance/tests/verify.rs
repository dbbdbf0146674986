//! `cargo verify` holds for a small table, and reports a table that is wrong.

use paxos_conformance::{
    run::Run,
    spaces::{CLUSTER_REFINEMENTS, CLUSTER_REFINEMENTS_DEEP, KNOWN, Known, Table},
    verify::{Link, Verification, verify},
};
use paxos_lockstep::spaces::{DEEP, DEFAULT, MODEL_ONLY, Space};
use paxos_model::{cluster::Bounds, specifications::shipped};
use paxos_steps::spaces as steps;
use paxos_validation::coverage::{Coverage, Kind};
use verdict::{
    Interrupt, Verdict,
    layout::{WIDTH, laid_out},
};

const SMALL: Space =
    Space { bounds: Bounds::of(3, 1, 2), shows: "a test", states: 6_756, transitions: 37_367 };

/// Returns a table with only these spaces.
fn table(spaces: &[Space], known: &[Known]) -> Table {
    Table { spaces: spaces.to_vec(), known: known.to_vec(), ..Table::default() }
}

fn verified(table: &Table, threads: usize) -> Verification {
    verify(table, threads, &Interrupt::default())
}

#[test]
fn a_small_table_holds_link_by_link() {
    let verification = verified(&table(&[SMALL], &KNOWN[..2]), 2);
    assert_eq!(verification.verdict, Verdict::Holds, "{verification}");
    let links: Vec<_> = verification.rows.iter().map(|row| row.link).collect();
    let expected = [Link::Specification, Link::Specification, Link::Model, Link::Lockstep];
    assert_eq!(links, expected);
    let [.., model, lockstep] = &verification.rows[..] else { unreachable!() };
    let (states, pairs) = (model.explored().expect("it is"), lockstep.explored().expect("it is"));
    assert_eq!(states.states, pairs.states, "as many pairs as states");
    assert_eq!(states.actions, pairs.actions, "every transition of every kind");
    let compared = lockstep.compared.expect("a lockstep compares");
    assert!(compared.inputs > 0, "ignored inputs were compared");
    let (brief, full) =
        (laid_out(&verification, false, WIDTH), laid_out(&verification, true, WIDTH));
    for line in brief.lines().chain(full.lines()) {
        assert!(line.chars().count() <= WIDTH, "{full}");
    }
    for detail in ["shows: a test", "leaves out: unsynced steps", "transitions by kind"] {
        assert!(full.contains(detail) && !brief.contains(detail), "{full}");
    }
    assert!((1..pairs.transitions).contains(&compared.steps), "{compared:?}");
}

/// The production driver is held against the model as well.
#[test]
fn recorded_runs_hold() {
    let runs = vec![Run { nodes: 3, seed: 1 }, Run { nodes: 5, seed: 2 }];
    let verification = verified(&Table { runs, ..Table::default() }, 2);
    assert_eq!(verification.verdict, Verdict::Holds, "{verification}");
    for row in &verification.rows {
        let report = row.validated().expect("it is a run");
        assert!(row.link == Link::Runs && report.frames > 1000, "{report}");
    }
    let text = laid_out(&verification, false, WIDTH);
    assert!(text.contains("recorded runs of production nodes are behaviours of the model"));
}

/// The runs of the table exercise most kinds of transitions, and the missing ones are known.
#[test]
fn the_runs_of_the_table_exercise_most_kinds() {
    let runs = Table::quick().runs;
    let verification = verified(&Table { runs, ..Table::default() }, 2);
    assert_eq!(verification.verdict, Verdict::Holds, "{verification}");
    let mut coverage = Coverage::default();
    for row in &verification.rows {
        coverage.merge(&row.validated().expect("it is a run").coverage);
    }
    let never: Vec<_> = coverage.never().map(Kind::text).collect();
    assert!(coverage.exercised().count() > 40, "never: {never:#?}");
}

/// Two spaces that differ only in the parts that they leave out are not taken for each other.
#[test]
fn spaces_that_look_alike_are_told_apart() {
    let quiet = Bounds { chosen: false, ..Bounds::of(3, 1, 3) };
    let quiet = Space { bounds: quiet, shows: "a test", states: 31_696, transitions: 102_057 };
    let full =
        Space { bounds: Bounds::of(3, 1, 3), states: 162_522, transitions: 1_007_278, ..quiet };
    let verification = verified(&table(&[quiet, full], &[]), 2);
    assert_eq!(verification.verdict, Verdict::Holds, "{verification}");
}

#[test]
fn counts_that_differ_from_the_pinned_ones_are_a_failure() {
    let more_states = Space { states: 6_757, ..SMALL };
    let text = verified(&table(&[more_states], &[]), 1).to_string();
    assert!(text.contains("6756 states where 6757 are pinned"), "{text}");
    assert!(text.contains("verdict: violated"), "{text}");
    let fewer_transitions = Space { transitions: 1, ..SMALL };
    assert_eq!(verified(&table(&[fewer_transitions], &[]), 1).verdict, Verdict::Violated);
    let wrong_depth = Known { depth: 8, ..KNOWN[0] };
    assert_eq!(verified(&table(&[], &[wrong_depth]), 1).verdict, Verdict::Violated);
}

/// A small space for the refinement of the cluster, in which each action of the text occurs.
const FOLLOWS: Space =
    Space { bounds: Bounds::of(3, 1, 2), shows: "a test", states: 11_929, transitions: 62_580 };

#[test]
fn proof_and_refinement_are_links_like_the_others() {
    let known = KNOWN[1];
    let table = Table {
        specifications: vec![shipped("synod")],
        synod_refinements: vec![("synod", known)],
        cluster_refinements: vec![FOLLOWS],
        ..Table::default()
    };
    let verification = verified(&table, 2);
    assert_eq!(verification.verdict, Verdict::Holds, "{verification}");
    let text = verification.to_string();
    for line in [
        "proof          holds: agreement and validity, for any number of everything; 1 specifications, 92 obligations",
        "refinement     holds: what is explored is what is proved, step by step; 2 spaces, 15,850 states, 72,022 transitions",
    ] {
        assert!(text.lines().any(|printed| printed == line), "{text}");
    }
}

#[test]
fn a_proof_that_fails_fails_the_whole() {
    let mut broken = shipped("flexible");
    let accept = broken.action("accept").expect("it is there");
    broken.actions[accept].guards.truncate(1);
    let table = Table { specifications: vec![broken], ..Table::default() };
    let verification = verified(&table, 1);
    assert_eq!(verification.verdict, Verdict::Violated);
    let text = verification.to_string();
    assert!(text.contains("step    a1 votes for v1 in b1"), "{text}");
}

#[test]
fn a_refinement_with_other_counts_or_an_idle_text_is_a_failure() {
    let refined = |space| Table { cluster_refinements: vec![space], ..Table::default() };
    let verification = verified(&refined(Space { states: 1, ..FOLLOWS }), 1);
    assert!(verification.to_string().contains("11929 states where 1 are pinned"));
    // With a single ballot, no acceptor withdraws.
    let one = Space { bounds: Bounds::of(3, 2, 1), states: 5_217, transitions: 37_749, ..FOLLOWS };
    let text = verified(&refined(one), 1).to_string();
    assert!(text.contains("nothing that the cluster does is the action withdraw"), "{text}");
    // A refinement of a text that is not in the table is an error.
    let lost = Table { synod_refinements: vec![("synod", KNOWN[0])], ..Table::default() };
    assert!(std::panic::catch_unwind(|| verified(&lost, 1)).is_err());
}

#[test]
fn nothing_run_is_nothing_shown() {
    assert!(matches!(verified(&Table::default(), 1).verdict, Verdict::Inconclusive { .. }));
}

/// The parts that the spaces of the table must contain together.
#[test]
fn the_table_leaves_nothing_out_everywhere() {
    let has = |what: fn(&Bounds) -> bool| {
        DEFAULT.iter().chain(MODEL_ONLY).any(|space| what(&space.bounds))
    };
    assert!(has(|b| b.nacks && b.chosen && b.crashes.is_none() && b.ballots >= 3));
    assert!(has(|b| b.unsynced == 1 && b.slots > 1));
    assert!(has(|b| b.unsynced == 2));
    assert!(has(|b| b.unsynced > 0 && b.phase1_quorum == 1));
    assert!(has(|b| b.nodes == 3 && b.slots == 1 && b.ballots == 4));
    assert!(has(|b| b.nodes == 3 && b.slots == 2 && b.ballots == 3));
    assert!(has(|b| b.campaigners == 3 && b.ballots == 4));
    assert!(has(|b| b.nodes == 5));
    assert!(has(|b| (b.phase1_quorum, b.phase2_quorum) == (3, 1)));
    assert!(has(|b| (b.phase1_quorum, b.phase2_quorum) == (1, 3)));
    for space in DEFAULT
        .iter()
        .chain(MODEL_ONLY)
        .chain(DEEP)
        .chain(CLUSTER_REFINEMENTS)
        .chain(CLUSTER_REFINEMENTS_DEEP)
    {
        assert!(space.bounds.validate().is_ok());
        assert!(space.states > 0 && space.transitions > 0, "{} is not pinned", space.bounds);
    }
}

/// An interrupted search is inconclusive.
#[test]
fn what_is_called_off_is_inconclusive() {
    let interrupt = Interrupt::default();
    interrupt.request();
    let table = Table {
        specifications: vec![shipped("synod")],
        cluster_refinements: vec![FOLLOWS],
        ..table(&[SMALL], &KNOWN[..2])
    };
    let verification = verify(&table, 2, &interrupt);
    assert_eq!(verification.rows.len(), 6);
    for row in &verification.rows {
        assert!(matches!(row.verdict, Verdict::Inconclusive { .. }), "{row:?}");
        assert!(row.complaints.is_empty(), "{row:?}");
    }
    assert!(verification.to_string().contains("a signal came, after "), "{verification}");
}

/// The link of steps checks its pins, and shows a counterexample of a faulty pin as a violation.
#[test]
fn steps_from_any_state_are_a_link() {
    let small = steps::QUICK.iter().find(|space| space.shows == "a node alone");
    let small = *small.expect("the table has it");
    let checked = |space| verified(&Table { steps: vec![space], ..Table::default() }, 1);
    let verification = checked(small);
    assert_eq!(verification.verdict, Verdict::Holds, "{verification}");
    let text = verification.to_string();
    assert!(text.contains("164 states, 6,724 cases"), "{text}");
    let text = checked(steps::Space { pinned: (157, 6_724), ..small }).to_string();
    assert!(text.contains("164 states where 157 are pinned"), "{text}");
    assert!(text.contains("verdict: violated"), "{text}");
}
