//! Changes of recordings are found.
//!
//! The first tests change bytes or files, which breaks the chain. The others change frames and compute the chain anew, as an
//! author of a false recording would. Then the contradiction with other frames gives the change away.

mod support;

use std::{convert::Infallible, fs, path::Path};

use paxos::{Ballot, Config, NodeId, Output, Proposal, Replica, Slot, Token};
use paxos_recording::{
    Body, ReadError, Recorder, RecordingOptions, StartedFrom,
    files::FileName,
    frame::{
        BatchRef, ChosenValues, Departure, Event, Message, Record, Report, Run as Slots, Step, To,
        Value,
    },
    identity::{AnswerId, Digest, MessageId, StateId, ValueId},
};
use paxos_validation::{
    claims::{AFTER_RECORDS, FITS, FORM, STATE},
    order::Validator,
};
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use support::{Run, read, record, record_storm, validate, write};
use verdict::Verdict;

/// A seed whose run has snapshots, restarts with unsynced records, reads, and snapshots of peers.
const SEED: u64 = 19;
/// The number of places at which each change is tried.
const PLACES: usize = 25;

fn recorded(directory: &Path) -> Run {
    record(SEED, 5, directory);
    let run = read(directory);
    write(&run, directory);
    let report = validate(directory);
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
    run
}

/// Changes frames, one at a time, and asserts that each change is found. `change` returns false if it does not apply to a
/// frame.
fn each_is_found(name: &str, change: impl Fn(&mut Body, &mut ChaCha8Rng) -> bool) {
    let directory = tempfile::tempdir().expect("a directory");
    let run = recorded(directory.path());
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut places = Vec::new();
    for (start, frames) in &run {
        for (place, body) in frames.iter().enumerate() {
            if change(&mut body.clone(), &mut random) {
                places.push((*start, place));
            }
        }
    }
    assert!(!places.is_empty(), "{name}: the run has no such frame");
    let tried: Vec<_> = places.sample(&mut random, PLACES).copied().collect();
    for (start, place) in tried {
        let mut changed = run.clone();
        let body = &mut changed.get_mut(&start).expect("it is there")[place];
        let before = body.clone();
        assert!(change(body, &mut random));
        assert_ne!(before, *body, "{name}");
        let after = body.clone();
        write(&changed, directory.path());
        let report = validate(directory.path());
        assert_ne!(
            report.verdict,
            Verdict::Holds,
            "{name} at frame {place} of {start}:\n{before:?}\n{after:?}"
        );
    }
}

fn step(body: &mut Body) -> Option<&mut Step> {
    match body {
        Body::Step(step) => Some(step),
        _ => None,
    }
}

fn message(body: &mut Body) -> Option<(&mut NodeId, &mut Message<BatchRef>)> {
    match &mut step(body)?.event {
        Event::Message { from, message } => Some((from, message)),
        _ => None,
    }
}

fn raise(ballot: &mut Ballot) {
    *ballot = Ballot::new(ballot.round.get() + 1, ballot.node).expect("not zero");
}

/// Changes the ballot of a message. Returns false if it has none.
fn raise_ballot<B>(message: &mut Message<B>) -> bool {
    match message {
        Message::Prepare { ballot, .. }
        | Message::Promise { ballot, .. }
        | Message::Accept { ballot, .. }
        | Message::Accepted { ballot, .. }
        | Message::Nack { ballot, .. }
        | Message::Chosen { ballot, .. }
        | Message::Confirm { ballot, .. }
        | Message::Confirmed { ballot, .. }
        | Message::Heartbeat { ballot, .. } => raise(ballot),
        Message::Learn { .. } | Message::Learned { .. } | Message::Trimmed { .. } => return false,
    }
    true
}

/// Changes the slot of a message. Returns false if it has none.
fn shift_slot<B>(message: &mut Message<B>) -> bool {
    let slot = match message {
        Message::Prepare { first, .. }
        | Message::Accept { first, .. }
        | Message::Accepted { first, .. }
        | Message::Chosen { first, .. }
        | Message::Learned { first, .. } => first,
        Message::Heartbeat { chosen_below, .. } => chosen_below,
        Message::Learn { from } => from,
        Message::Trimmed { below } => below,
        Message::Promise { trimmed, .. } => trimmed,
        _ => return false,
    };
    slot.0 += 100_000;
    true
}

fn other(value: &mut Value) {
    *value = Value::Digest(Digest([7; 16]));
}

/// A node of this storm is killed after it has recorded its first snapshot, and before the store has adopted it. It starts again
/// without a snapshot, which is no fault.
#[test]
fn a_kill_before_the_first_snapshot_is_adopted() {
    let directory = tempfile::tempdir().expect("there is room");
    record_storm(7, 3, 3000, directory.path());
    let report = validate(directory.path());
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
}

#[test]
fn the_ballot_of_a_received_message() {
    each_is_found("ballot", |body, _| message(body).is_some_and(|(_, it)| raise_ballot(it)));
}

#[test]
fn the_slot_of_a_received_message() {
    each_is_found("slot", |body, _| message(body).is_some_and(|(_, it)| shift_slot(it)));
}

#[test]
fn the_sender_of_a_message() {
    each_is_found("sender", |body, random| {
        let Some((from, message)) = message(body) else { return false };
        // Several nodes may send the same answer. The other messages are those of the owner of a ballot.
        let answers = matches!(
            message,
            Message::Promise { .. }
                | Message::Accepted { .. }
                | Message::Confirmed { .. }
                | Message::Nack { .. }
                | Message::Learn { .. }
                | Message::Learned { .. }
                | Message::Trimmed { .. }
        );
        if answers {
            return false;
        }
        let before = *from;
        while *from == before {
            *from = NodeId(random.random_range(1..=5));
        }
        true
    });
}

#[test]
fn a_value() {
    each_is_found("value", |body, random| {
        let Some(step) = step(body) else { return false };
        let Some(batch) = step.batches.last_mut() else { return false };
        let mut values = batch.to_vec();
        let place = random.random_range(0..values.len());
        other(&mut values[place]);
        *batch = values.into();
        true
    });
}

#[test]
fn a_reported_vote() {
    let report = |body: &mut Body, change: fn(&mut Report)| match message(body) {
        Some((_, Message::Promise { reports, .. })) => reports.first_mut().map(change).is_some(),
        _ => false,
    };
    each_is_found("reported value", |body, _| report(body, |it| other(&mut it.value)));
    each_is_found("reported ballot", |body, _| report(body, |it| raise(&mut it.ballot)));
    each_is_found("reported slot", |body, _| report(body, |it| it.slot.0 += 1000));
}

#[test]
fn a_record() {
    let record = |body: &mut Body, change: fn(&mut Record) -> bool| {
        step(body).and_then(|step| step.records.first_mut()).is_some_and(change)
    };
    each_is_found("ballot of a record", |body, _| {
        record(body, |it| match it {
            Record::Promised(ballot) | Record::Accepted { ballot, .. } => {
                raise(ballot);
                true
            }
            Record::Trimmed { .. } => false,
        })
    });
    each_is_found("slot of a record", |body, _| {
        record(body, |it| match it {
            Record::Accepted { first: slot, .. } | Record::Trimmed { below: slot } => {
                slot.0 += 1;
                true
            }
            Record::Promised(_) => false,
        })
    });
    each_is_found("a record is dropped", |body, _| {
        step(body).is_some_and(|step| step.records.pop().is_some())
    });
    each_is_found("a record is invented", |body, _| {
        step(body).is_some_and(|step| {
            step.records.push(Record::Trimmed { below: Slot(1 << 40) });
            true
        })
    });
}

#[test]
fn a_sent_message() {
    let sent = |body: &mut Body, change: fn(&mut Message<BatchRef>) -> bool| {
        step(body).and_then(|step| step.messages.first_mut()).is_some_and(|(_, it)| change(it))
    };
    each_is_found("ballot of a sent message", |body, _| sent(body, raise_ballot));
    each_is_found("slot of a sent message", |body, _| sent(body, shift_slot));
    each_is_found("a sent message is dropped", |body, _| {
        step(body).is_some_and(|step| step.messages.pop().is_some())
    });
    each_is_found("a sent message is invented", |body, _| {
        step(body).is_some_and(|step| {
            step.messages.push((To::Peers, Message::Learn { from: Slot(0) }));
            true
        })
    });
    each_is_found("a departure is invented", |body, _| match body {
        Body::Left(departures) => {
            departures.push(Departure::Message { to: To::Peers, id: MessageId(1) });
            true
        }
        _ => false,
    });
}

#[test]
fn other_output() {
    let on_step = |body: &mut Body, change: fn(&mut Step) -> bool| step(body).is_some_and(change);
    each_is_found("chosen slot", |body, _| {
        on_step(body, |step| step.chosen.first_mut().map(|chosen| chosen.first.0 += 1).is_some())
    });
    each_is_found("number of chosen values", |body, _| {
        on_step(body, |step| match step.chosen.first_mut().map(|chosen| &mut chosen.values) {
            Some(ChosenValues::Voted { count }) => {
                *count += 1;
                true
            }
            _ => false,
        })
    });
    each_is_found("taken slot", |body, _| {
        on_step(body, |step| {
            step.taken.first_mut().map(|run: &mut Slots| run.first.0 += 1).is_some()
        })
    });
    each_is_found("confirmed read", |body, _| {
        on_step(body, |step| step.reads.first_mut().map(|(_, at)| at.0 += 1).is_some())
    });
    each_is_found("wanted snapshot", |body, _| {
        on_step(body, |step| {
            step.fetch.push(NodeId(1));
            true
        })
    });
}

#[test]
fn what_is_applied_read_and_saved() {
    each_is_found("applied value", |body, _| match body {
        Body::Applied { applications, .. } => {
            applications[0].value = ValueId(1);
            true
        }
        _ => false,
    });
    each_is_found("applied slot", |body, _| match body {
        Body::Applied { first, .. } => {
            first.0 += 1;
            true
        }
        _ => false,
    });
    each_is_found("result", |body, _| match body {
        Body::Applied { applications, .. } => {
            applications[0].answer = AnswerId(1);
            true
        }
        _ => false,
    });
    each_is_found("served read", |body, _| match body {
        Body::Served { at, .. } => {
            at.0 += 1;
            true
        }
        _ => false,
    });
    each_is_found("answer about reads", |body, _| match body {
        Body::Answer { at, .. } => {
            at.0 += 1000;
            true
        }
        _ => false,
    });
    each_is_found("end of a snapshot", |body, _| match body {
        Body::Saved { below, .. } => {
            below.0 += 1000;
            true
        }
        _ => false,
    });
}

/// A snapshot that no other node has at the same slot cannot be compared. So only the snapshots of peers are changed.
#[test]
fn the_bytes_of_an_installed_snapshot() {
    each_is_found("bytes of a snapshot", |body, _| match body {
        Body::Saved { state, is_peers: true, .. } => {
            *state = StateId(1);
            true
        }
        _ => false,
    });
}

#[test]
fn a_recovered_state() {
    each_is_found("recovered promise", |body, _| match body {
        Body::Start(start) => start.promised.as_mut().map(raise).is_some(),
        _ => false,
    });
    each_is_found("a recovered vote is lost", |body, _| match body {
        Body::Start(start) => start.votes.pop().is_some(),
        _ => false,
    });
    each_is_found("recovered value", |body, _| match body {
        Body::Start(start) => start.votes.first_mut().map(|it| other(&mut it.value)).is_some(),
        _ => false,
    });
    each_is_found("number of a start", |body, _| match body {
        Body::Start(start) => {
            start.incarnation += 1;
            true
        }
        _ => false,
    });
    each_is_found("members", |body, _| match body {
        Body::Start(start) => {
            start.nodes.pop();
            true
        }
        _ => false,
    });
}

type Change = fn(&mut Vec<Body>, usize);

/// A step with an effect and the frame after it change places, or the step is dropped, or it happens twice.
#[test]
fn the_order_of_frames() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = recorded(directory.path());
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    // A message that may not leave early depends on the records of its step.
    let has_effect = |body: &Body| match body {
        Body::Step(step) => {
            let early = |message: &Message<_>| matches!(message, Message::Accept { .. });
            !step.records.is_empty() && !step.messages.iter().all(|(_, message)| early(message))
        }
        _ => false,
    };
    let mut places = Vec::new();
    for (start, frames) in &run {
        for place in 0..frames.len() - 1 {
            let leaves = matches!(
                frames[place + 1..],
                [Body::Write, Body::Durable, Body::Left(_), ..] | [Body::Left(_), ..]
            );
            if has_effect(&frames[place]) && leaves {
                places.push((*start, place));
            }
        }
    }
    let changes: [(&str, Change); 3] = [
        ("moved", |frames, place| frames.swap(place, place + 1)),
        ("dropped", |frames, place| drop(frames.remove(place))),
        ("repeated", |frames, place| frames.insert(place, frames[place].clone())),
    ];
    for (name, change) in changes {
        for (start, place) in places.sample(&mut random, PLACES) {
            let mut changed = run.clone();
            change(changed.get_mut(start).expect("it is there"), *place);
            write(&changed, directory.path());
            let report = validate(directory.path());
            let frames = &run[start][*place..*place + 2];
            assert_ne!(
                report.verdict,
                Verdict::Holds,
                "{name} at frame {place} of {start}: {frames:?}"
            );
        }
    }
}

/// A frame that leaves before the records on which it depends are durable.
#[test]
fn a_departure_before_the_sync() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = recorded(directory.path());
    let mut found = 0;
    for (start, frames) in &run {
        let places = (2..frames.len() - 1).filter(|&place| {
            let promises = |body: &Body| match body {
                Body::Step(step) => {
                    step.messages.iter().any(|(_, it)| matches!(it, Message::Accepted { .. }))
                        && !step.records.is_empty()
                }
                _ => false,
            };
            promises(&frames[place - 2])
                && frames[place - 1] == Body::Write
                && frames[place] == Body::Durable
                && matches!(frames[place + 1], Body::Left(_))
        });
        for place in places.take(3) {
            let mut changed = run.clone();
            changed.get_mut(start).expect("it is there").swap(place, place + 1);
            write(&changed, directory.path());
            let report = validate(directory.path());
            contradicts(&report, AFTER_RECORDS);
            found += 1;
        }
    }
    assert!(found > 0);
}

/// A write that is durable before it begins.
#[test]
fn a_sync_without_a_write() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = recorded(directory.path());
    for (start, frames) in &run {
        let mut writes = (0..frames.len()).filter(|&place| frames[place] == Body::Write);
        let place = writes.next().expect("the node writes");
        let mut changed = run.clone();
        changed.get_mut(start).expect("it is there").remove(place);
        write(&changed, directory.path());
        let report = validate(directory.path());
        contradicts(&report, FORM);
    }
}

/// A node is killed after a write has reached its disk, and before it could record that. The votes of the write count.
#[test]
fn a_write_that_survives_its_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = || Config::new(NodeId(1), [NodeId(1)]);
    let recorder = |incarnation, replica: &Replica| {
        let from = StartedFrom { incarnation, nonce: incarnation, snapshot: None };
        let options = RecordingOptions::new(directory.path());
        Recorder::create(options, from, replica.parts()).expect("a new file")
    };
    let (mut replica, mut output) = (Replica::new(config()).expect("one node"), Output::default());
    let mut recording = recorder(1, &replica);
    let mut disk = Vec::new();
    let mut write = |output: &mut Output, recording: &mut Recorder| {
        recording.write();
        let persisted = output.persist(|records| {
            disk.extend_from_slice(records);
            Ok::<(), Infallible>(())
        });
        let Ok(()) = persisted;
        disk.clone()
    };
    recording.step(&mut replica, paxos::Event::Timer(paxos::Timer::Campaign), &mut output);
    write(&mut output, &mut recording);
    recording.durable();
    let proposal = Proposal { token: Token(0), command: "x".into() };
    recording.step(&mut replica, paxos::Event::Propose(vec![proposal]), &mut output);
    let disk = write(&mut output, &mut recording);
    recording.flush().expect("there is room");
    drop(recording);

    let mut replica = Replica::recover(config(), disk).expect("its own records");
    let mut recording = recorder(2, &replica);
    let noted = paxos::Event::VotesChosen { below: Slot(1) };
    recording.step(&mut replica, noted, &mut Output::default());
    recording.end().expect("there is room");
    let report = validate(directory.path());
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
}

/// A node that stops by itself has made all its records durable.
#[test]
fn an_end_before_the_last_sync() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = recorded(directory.path());
    for (start, frames) in run.iter().filter(|(start, _)| start.incarnation == 1) {
        // The other nodes are missing, so that nothing waits for what this node no longer sends.
        let first = frames.iter().position(|body| *body == Body::Durable).expect("it syncs");
        let mut alone = Run::from([(*start, frames[..first].to_vec())]);
        alone.get_mut(start).expect("it is there").push(Body::End);
        write(&alone, directory.path());
        let report = validate(directory.path());
        contradicts(&report, FORM);
    }
}

#[track_caller]
fn contradicts(report: &paxos_validation::report::Report, claim: &str) {
    let found = report.violation.as_ref().map(|violation| violation.contradiction.claim);
    assert_eq!(found, Some(claim), "{report}");
}

/// Returns the files of a directory, sorted.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// Every bit is covered by the chain. There is one exception: the last frame of a node that was killed and started again may
/// look torn, as if the node had been killed earlier. The run without that frame is then judged.
#[test]
fn one_bit_anywhere() {
    let directory = tempfile::tempdir().expect("a directory");
    record(SEED, 5, directory.path());
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let files = files(directory.path());
    let mut looked_torn = 0;
    for _ in 0..200 {
        let file = files.choose(&mut random).expect("there are files");
        let whole = fs::read(file).expect("a file");
        if whole.is_empty() {
            continue; // A file that was begun and not written.
        }
        let mut changed = whole.clone();
        let place = random.random_range(0..changed.len());
        changed[place] ^= 1 << random.random_range(0..8);
        fs::write(file, &changed).expect("a file");
        if validate(directory.path()).verdict == Verdict::Holds {
            fs::write(file, &whole[..place]).expect("a file");
            let cut = validate(directory.path());
            assert_eq!(cut.verdict, Verdict::Holds, "byte {place} of {}", file.display());
            looked_torn += 1;
        }
        fs::write(file, whole).expect("a file");
    }
    assert!(looked_torn <= 4, "{looked_torn} of 200 changes were not found");
}

/// Files that are exchanged, dropped or cut.
#[test]
fn whole_files() {
    let directory = tempfile::tempdir().expect("a directory");
    record(SEED, 5, directory.path());
    let files = files(directory.path());
    let of = |node: u32| {
        let named = files.iter().filter_map(|file| Some((FileName::parse(file)?.0, file)));
        let mut named = named.filter(move |(name, _)| name.start.node == NodeId(node));
        named.next().expect("the node has a file").1
    };
    let (one, two) = (of(1), of(2));
    let (first, second) = (fs::read(one).expect("a file"), fs::read(two).expect("a file"));
    fs::write(one, &second).expect("a file");
    fs::write(two, &first).expect("a file");
    let report = validate(directory.path());
    assert_ne!(report.verdict, Verdict::Holds, "the files of two nodes are exchanged");
    fs::write(one, &first).expect("a file");
    fs::write(two, &second).expect("a file");
    assert_eq!(validate(directory.path()).verdict, Verdict::Holds, "all is as it was");
    for file in &files {
        let whole = fs::read(file).expect("a file");
        if whole.is_empty() {
            continue;
        }
        fs::remove_file(file).expect("a file");
        // The last file of a node that was killed may have nothing that other frames depend on.
        let name = FileName::parse(file).expect("a recording").0;
        let next = FileName { file: name.file + 1, ..name }.within(directory.path());
        if next.exists() {
            let report = validate(directory.path());
            assert_ne!(report.verdict, Verdict::Holds, "{} is missing", file.display());
        }
        fs::write(file, &whole[..whole.len() / 2]).expect("a file");
        let report = validate(directory.path());
        assert_ne!(report.verdict, Verdict::Holds, "{} is cut", file.display());
        fs::write(file, whole).expect("a file");
    }
}

/// The recordings of all nodes are needed.
#[test]
fn a_missing_node_is_no_violation() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = recorded(directory.path());
    for missing in 1..=5 {
        let mut run = run.clone();
        run.retain(|start, _| start.node != NodeId(missing));
        write(&run, directory.path());
        let report = validate(directory.path());
        assert_eq!(report.violation.map(|it| it.to_string()), None);
        let Verdict::Inconclusive { why } = report.verdict else { panic!("{:?}", report.verdict) };
        assert_eq!(why, format!("node {missing} has no recording"));
    }
}

/// A node without a recording is believed to have sent each message that arrives. The receiver has done nothing that these
/// messages could answer.
#[test]
fn an_answer_that_nothing_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut run = recorded(directory.path());
    run.retain(|start, _| start.node != NodeId(5));
    let mut found = 0;
    for (start, frames) in &run {
        let place = frames.iter().position(|body| match body {
            Body::Step(step) => matches!(
                &step.event,
                Event::Message { from: NodeId(5), message: Message::Accepted { .. } }
            ),
            _ => false,
        });
        let Some(place) = place else { continue };
        let mut changed = run.clone();
        let body = &mut changed.get_mut(start).expect("it is there")[place];
        let Some((_, Message::Accepted { ballot, .. })) = message(body) else { continue };
        *ballot = Ballot::new(1 << 40, ballot.node).expect("not zero");
        write(&changed, directory.path());
        let report = validate(directory.path());
        contradicts(&report, FITS);
        found += 1;
    }
    assert!(found > 0, "some node counts a vote of the missing node");
}

/// Without the frames before, a recovered state is believed. It must still be one that a node can reach.
#[test]
fn a_first_state_that_no_node_reaches() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut run = recorded(directory.path());
    let frames = run.values_mut().next().expect("there is a start");
    let Body::Start(start) = &mut frames[0] else { panic!("a recording begins with a start") };
    let ballot = Ballot::new(1, start.node).expect("not zero");
    start.votes.push(Report { slot: Slot(0), ballot, value: Value::Noop });
    write(&run, directory.path());
    let report = validate(directory.path());
    contradicts(&report, STATE);
}

#[test]
fn nothing_is_not_enough() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = Validator::new(directory.path()).finish(|_| ()).expect_err("there is nothing");
    assert!(matches!(error, ReadError::Empty { .. }), "{error}");
}
