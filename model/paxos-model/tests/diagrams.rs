//! Pictures of behaviours: the drawing of each kind of step, and the red lines of violations.

#[path = "support/behaviours.rs"]
mod behaviours;
#[path = "support/labels.rs"]
mod labels;

use behaviours::{SNAPSHOTS_AND_READS, counterexample, told};
use expect_test::expect;
use labels::assert_readable;
use paxos_model::{
    cluster::{AGREEMENT, Bounds, Bug, Cluster, REFINES},
    diagrams::Drawn,
    synod::{self, Synod},
};
use state_explorer::{Options, explore_and_keep};
use stateright::Expectation;

fn synod() -> Synod {
    let bounds = synod::Bounds {
        acceptors: 3,
        values: 2,
        ballots: 3,
        phase1_quorum: None,
        phase2_quorum: None,
    };
    Synod::new(bounds).expect("bounds in range")
}

/// Writes a diagram to a file that people can view. No label covers another.
fn keep(name: &str, diagram: &space_time::Diagram) {
    assert!(assert_readable(&diagram.svg(), name) > 10);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join(format!("{name}.svg")), diagram.svg()).expect("writable");
    std::fs::write(folder.join(format!("{name}.mmd")), diagram.mermaid()).expect("writable");
}

#[test]
fn a_proposal_reads_the_promises_that_there_are() {
    let synod = synod();
    let behaviour = told(
        &synod,
        &[
            "prepare ballot 0",
            "acceptor 0 promises ballot 0",
            "acceptor 1 promises ballot 0",
            "propose value 1 in ballot 0",
            "acceptor 0 votes in ballot 0",
            "prepare ballot 2",
            "acceptor 2 promises ballot 2",
            "acceptor 0 promises ballot 2",
            "acceptor 1 votes in ballot 0",
            "propose value 1 in ballot 2",
            "acceptor 2 votes in ballot 2",
            "acceptor 0 votes in ballot 2",
        ],
    );
    let diagram = synod.diagram(&behaviour, "an adopted value");
    keep("synod", &diagram);
    expect![[r"
        sequenceDiagram
            title an adopted value
            participant L0 as ballot 0
            participant L1 as ballot 2
            participant L2 as acceptor 0
            participant L3 as acceptor 1
            participant L4 as acceptor 2
            Note over L0: 1 · prepares
            L0->>L2: 2 · 1a
            Note over L2: 2 · promises 0
            L0->>L3: 3 · 1a (sent at 1)
            Note over L3: 3 · promises 0
            L2->>L0: 4 · 1b: no vote (sent at 2)
            L3->>L0: 4 · 1b: no vote
            Note over L0: 4 · proposes v1
            L0->>L2: 5 · 2a: v1
            Note over L2: 5 · votes v1 in 0
            Note over L1: 6 · prepares
            L1->>L4: 7 · 1a
            Note over L4: 7 · promises 2
            L1->>L2: 8 · 1a (sent at 6)
            Note over L2: 8 · promises 2
            L0->>L3: 9 · 2a: v1 (sent at 4)
            Note over L3: 9 · votes v1 in 0
            rect rgb(220, 252, 231)
                Note over L0,L4: 9 · v1 is chosen in ballot 0
            end
            L2->>L1: 10 · 1b: voted v1 in 0 (sent at 8)
            L4->>L1: 10 · 1b: no vote (sent at 7)
            Note over L1: 10 · proposes v1
            L1->>L4: 11 · 2a: v1
            Note over L4: 11 · votes v1 in 2
            L1->>L2: 12 · 2a: v1 (sent at 10)
            Note over L2: 12 · votes v1 in 2
            Note over L0,L4: 12 · v1 is chosen again, in ballot 2
    "]]
    .assert_eq(&diagram.mermaid());
}

#[test]
fn nodes_say_what_they_do_and_what_was_lost() {
    let bounds = Bounds { unsynced: 1, ..Bounds::of(3, 1, 3) };
    let cluster = Cluster::new(bounds).expect("bounds in range").checked();
    let behaviour = told(
        &cluster,
        &[
            "n1 campaigns",
            "n1 syncs",
            "n2 gets Prepare b0",
            "n2 crashes and starts again",
            "n2 gets Prepare b0",
            "n2 syncs",
            "n1 gets Promise b0 from n2 reporting nothing",
            "n1 proposes in 1 slots",
            "n2 campaigns",
            "n2 syncs",
            "n1 syncs",
            "n3 gets Accept b0 s0=v0",
            "n3 syncs",
            "n2 hears that b0 got v0 chosen in s0",
            "n1 is refused: b1 was promised",
        ],
    );
    let diagram = cluster.diagram(&behaviour, "a step that was lost, and a leader that is deposed");
    keep("cluster", &diagram);
    expect![[r"
        sequenceDiagram
            title a step that was lost, and a leader that is deposed
            participant L0 as n1
            participant L1 as n2
            participant L2 as n3
            Note over L0: 1 · campaigns in b0<br/>not yet synced
            Note over L0: 2 · syncs
            L0->>L1: 3 · Prepare b0
            Note over L1: 3 · not yet synced
            Note over L1: 4 · crashes and starts again, unsynced steps lost
            L0->>L1: 5 · Prepare b0 (sent at 2)
            Note over L1: 5 · not yet synced
            Note over L1: 6 · syncs<br/>promises b0
            L1->>L0: 7 · Promise b0: no vote
            Note over L0: 7 · leads
            Note over L0: 8 · is asked to propose<br/>not yet synced
            Note over L1: 9 · campaigns in b1<br/>not yet synced
            Note over L1: 10 · syncs
            Note over L0: 11 · syncs<br/>votes v0 in b0
            L0->>L2: 12 · Accept b0: v0 (sent at 8)
            Note over L2: 12 · not yet synced
            Note over L2: 13 · syncs<br/>votes v0 in b0
            rect rgb(220, 252, 231)
                Note over L0,L2: 13 · v0 is chosen in b0
            end
            L0->>L1: 14 · Chosen b0 v0
            Note over L1: 14 · knows v0
            L1->>L0: 15 · Nack: b1 is promised (sent at 10)
            Note over L0: 15 · follows<br/>not yet synced
    "]]
    .assert_eq(&diagram.mermaid());
}

#[test]
fn snapshots_and_reads_are_told() {
    let bounds = Bounds { snapshots: true, reads: 1, ..Bounds::of(3, 1, 2) };
    let cluster = Cluster::new(bounds).expect("bounds in range").checked();
    let behaviour = told(&cluster, SNAPSHOTS_AND_READS);
    let diagram = cluster.diagram(&behaviour, "a read, and a new leader that waits for a snapshot");
    keep("snapshots", &diagram);
    expect![[r"
        sequenceDiagram
            title a read, and a new leader that waits for a snapshot
            participant L0 as n1
            participant L1 as n2
            participant L2 as n3
            Note over L0: 1 · campaigns in b0
            L0->>L1: 2 · Prepare b0
            Note over L1: 2 · promises b0
            L1->>L0: 3 · Promise b0: no vote
            Note over L0: 3 · leads
            Note over L0: 4 · is asked to propose<br/>votes v0 in b0
            L0->>L1: 5 · Accept b0: v0
            Note over L1: 5 · votes v0 in b0
            rect rgb(220, 252, 231)
                Note over L0,L2: 5 · v0 is chosen in b0
            end
            L1->>L0: 6 · Accepted b0: v0
            Note over L0: 6 · knows v0
            Note over L0: 7 · is asked to read
            L0->>L2: 8 · Confirm b0, round 1
            Note over L2: 8 · confirms b0
            L2->>L0: 9 · Confirmed b0, round 1
            Note over L0: 9 · reads all below s1
            Note over L0: 10 · has a snapshot below s1
            Note over L1: 11 · campaigns in b1
            L1->>L0: 12 · Prepare b1
            Note over L0: 12 · follows<br/>promises b1
            L0->>L1: 13 · Promise b1: trimmed below s1
            Note over L1: 14 · has a snapshot below s1<br/>leads
    "]]
    .assert_eq(&diagram.mermaid());
}

/// Draws a shortest path to each property that `--show` accepts.
fn assert_ways_are_readable<M: Drawn>(model: &M) {
    let properties = model.properties();
    let sought: Vec<_> =
        properties.iter().filter(|it| it.expectation == Expectation::Sometimes).collect();
    assert!(!sought.is_empty());
    for property in sought {
        let options = Options { show: Some(property.name.to_owned()), ..Options::default() };
        let explored = explore_and_keep(model, &options);
        let way = explored.behaviours.get(property.name).expect("it is seen in these bounds");
        let title = format!("{}: {}", property.name, model.title());
        assert_readable(&model.diagram(way, &title).svg(), &title);
    }
}

#[test]
fn the_labels_of_what_can_be_shown_are_readable() {
    let quiet = Bounds { crashes: Some(0), nacks: false, chosen: false, ..Bounds::of(3, 2, 2) };
    for bounds in [
        quiet,
        Bounds { snapshots: true, ..Bounds { slots: 1, ..quiet } },
        Bounds { reads: 1, ..Bounds { slots: 1, ..quiet } },
        Bounds::of(2, 1, 3),
    ] {
        assert_ways_are_readable(&Cluster::new(bounds).expect("bounds in range").checked());
    }
    assert_ways_are_readable(&synod());
}

#[test]
fn a_second_chosen_value_cannot_be_overlooked() {
    let bounds = Bounds {
        crashes: Some(0),
        nacks: false,
        chosen: false,
        phase1_quorum: 2,
        phase2_quorum: 1,
        ..Bounds::of(2, 1, 2)
    };
    let cluster =
        Cluster::new(bounds).expect("bounds in range").with_bug(Bug::IgnoresReports).checked();
    let diagram =
        cluster.diagram(&counterexample(&cluster, AGREEMENT), Bug::IgnoresReports.explanation()[0]);
    keep("alarm", &diagram);
    assert_eq!(diagram.svg().matches("<line class=\"alarm\"").count(), 1);
    expect![[r"
        sequenceDiagram
            title A new leader ignores what the promises report.
            participant L0 as n1
            participant L1 as n2
            Note over L0: 1 · campaigns in b0
            L0->>L1: 2 · Prepare b0
            Note over L1: 2 · promises b0
            Note over L1: 3 · campaigns in b1
            L1->>L0: 4 · Promise b0: no vote (sent at 2)
            Note over L0: 4 · leads
            Note over L0: 5 · is asked to propose<br/>votes v0 in b0<br/>knows v0
            rect rgb(220, 252, 231)
                Note over L0,L1: 5 · v0 is chosen in b0
            end
            L1->>L0: 6 · Prepare b1 (sent at 3)
            Note over L0: 6 · follows<br/>promises b1
            L0->>L1: 7 · Promise b1: v0 in b0
            Note over L1: 7 · leads
            Note over L1: 8 · is asked to propose<br/>votes v1 in b1<br/>knows v1
            rect rgb(254, 202, 202)
                Note over L0,L1: 8 · A SECOND VALUE IS CHOSEN: v1 in b1
            end
    "]]
    .assert_eq(&diagram.mermaid());
    // The specification detects it one step earlier, and the picture says so.
    let diagram = cluster.diagram(&counterexample(&cluster, REFINES), "");
    let alarm = "the specification does not allow this step: in s0, n2: may not propose v1 in b1";
    assert!(diagram.svg().contains(alarm), "{}", diagram.mermaid());
}
