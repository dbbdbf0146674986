//! A run resumes from its checkpoint, and a damaged checkpoint is refused.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "nothing is killed here")]
mod command;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use command::{Ended, Run};
use paxos_model::cluster::{Bounds, Cluster};
use state_explorer::{Checkpoint, Engine, Options, Report, explore};
use tempfile::TempDir;
use verdict::Verdict;

fn directory() -> TempDir {
    TempDir::new().expect("there is room")
}

fn run(directory: &Path, more: &[&str]) -> Ended {
    let directory = directory.display().to_string();
    Run::synod(&[&["--checkpoint", &directory], more].concat()).ended()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it is there").path()).collect();
    files.sort();
    files
}

#[test]
fn a_run_goes_on_where_a_limit_ended_it() {
    let directory = directory();
    let limited = run(directory.path(), &["--max-depth", "9"]);
    assert!(limited.why().contains("the depth limit of 9 was reached"), "{}", limited.why());
    // The directory has the last two levels, and nothing else.
    let names: Vec<_> = files(directory.path());
    assert!(names.iter().all(|path| path.extension().is_none()), "{names:?}");
    assert!(names.len() <= 2, "{names:?}");
    let limited = run(directory.path(), &["--max-states", "100000", "--resume", "--threads", "2"]);
    assert!(limited.why().contains("the limit of 100000 states was reached"), "{}", limited.why());
    let shallow = run(directory.path(), &["--max-depth", "5", "--resume"]);
    assert_eq!(shallow.code(), Some(2));
    assert!(shallow.complaint().contains("instead of 5"));
    assert_eq!(run(directory.path(), &["--resume"]).counts(), (185_369, 491_535, 25));
    // The last levels have no new findings. The earlier findings are remembered.
    let report = run(directory.path(), &["--resume"]).report();
    assert_eq!(report["properties"][3]["finding"], "seen", "{report}");
    assert_eq!(report["warnings"], serde_json::json!([]));
}

#[test]
fn a_run_up_to_symmetry_goes_on() {
    let directory = directory();
    run(directory.path(), &["--symmetry", "--max-depth", "12"]).why();
    let whole = run(directory.path(), &["--symmetry", "--resume", "--threads", "2"]);
    assert_eq!(whole.counts().0, 17_153);
    assert_eq!(whole.report()["symmetry"]["orbits"], 185_369);
    let other = run(directory.path(), &["--resume"]);
    assert_eq!(other.code(), Some(2));
    assert!(
        other
            .complaint()
            .contains("was made with --symmetry, this run has no --symmetry; give the same"),
        "{}",
        other.complaint()
    );
}

/// All levels are kept if a state may occur in several levels.
#[test]
fn a_cluster_goes_on() {
    let directory = directory();
    let cluster = Cluster::new(Bounds::of(3, 1, 2)).expect("the bounds are good").checked();
    let explored = |resume, max_depth: Option<usize>| -> Report {
        let directory = directory.path().to_owned();
        let options = Options {
            engine: Engine::Timely,
            max_depth: max_depth.and_then(std::num::NonZeroUsize::new),
            checkpoint: Some(Checkpoint { directory, resume }),
            ..Options::default()
        };
        explore(&cluster, &options)
    };
    let plain = explore(&cluster, &Options::default());
    assert!(matches!(explored(false, Some(7)).verdict, Verdict::Inconclusive { .. }));
    assert!(matches!(explored(true, Some(12)).verdict, Verdict::Inconclusive { .. }));
    let whole = explored(true, None);
    assert_eq!(whole.verdict, Verdict::Holds);
    assert_eq!(
        (whole.states, whole.transitions, whole.depth, &whole.actions),
        (plain.states, plain.transitions, plain.depth, &plain.actions)
    );
}

#[test]
fn what_is_not_right_is_refused() {
    let place = directory();
    let missing = run(&place.path().join("new"), &["--resume"]);
    assert_eq!(missing.code(), Some(2));
    assert!(
        missing.complaint().contains("holds no complete level to resume from; leave out --resume")
    );

    let kept = place.path().join("kept");
    run(&kept, &["--max-depth", "9"]).why();
    let occupied = run(&kept, &[]);
    assert_eq!(occupied.code(), Some(2));
    assert!(occupied.complaint().contains("holds a checkpoint of synod: 3 acceptors"));
    let other = run(&kept, &["--resume", "--ballots", "2"]);
    assert_eq!(other.code(), Some(2));
    assert!(
        other
            .complaint()
            .contains("was made with --ballots 3, this run has --ballots 2; give the same"),
        "{}",
        other.complaint()
    );
    let other =
        run(&kept, &["--resume", "--ballots", "4", "--values", "1", "--phase1-quorum", "3"]);
    assert_eq!(other.code(), Some(2));
    assert!(
        other.complaint().contains(
            "was made with --values 2 and --ballots 3 and --phase1-quorum 2, this run has --values 1 and \
             --ballots 4 and --phase1-quorum 3"
        ),
        "{}",
        other.complaint()
    );

    let last = files(&kept).pop().expect("there are levels");
    let whole = fs::read(&last).expect("it can be read");
    let mut flipped = whole.clone();
    let middle = flipped.len() - 40;
    flipped[middle] ^= 1;
    let longer = [&whole[..], b"more"].concat();
    for (bytes, what) in [
        (&flipped[..], "its checksum is wrong"),
        (&longer[..], "it is longer than its header says"),
        (&whole[..whole.len() - 5], "cannot be read"),
        (&whole[..whole.len() / 2], "it is shorter than its header says"),
        (&b"garbage"[..], "no header"),
        (&b"{\"format\":\"else\"}\n"[..], "no header"),
    ] {
        fs::write(&last, bytes).expect("there is room");
        let refused = run(&kept, &["--resume"]);
        assert_ne!(refused.code(), Some(0), "{what}");
        let said = refused.complaint().to_owned()
            + &if refused.code() == Some(3) { refused.why() } else { String::new() };
        assert!(said.contains(what), "{what}: {said}");
    }
    fs::write(&last, whole).expect("there is room");
    assert_eq!(run(&kept, &["--resume"]).counts(), (185_369, 491_535, 25));
}

/// A level with a missing part does not count: the run resumes from the level before it.
#[test]
fn a_level_that_is_not_whole_does_not_count() {
    let place = directory();
    run(place.path(), &["--max-depth", "9", "--threads", "2"]).why();
    let last = files(place.path()).pop().expect("there are levels");
    fs::remove_file(last).expect("it is there");
    assert_eq!(run(place.path(), &["--resume"]).counts(), (185_369, 491_535, 25));
}

/// The disk takes no more than a few kilobytes per file.
#[test]
fn a_full_disk_is_inconclusive() {
    let place = directory();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_paxos-model"), "check", "synod", "--quiet"])
        .args(["--engine", "timely", "--threads", "2", "--checkpoint"])
        .arg(place.path().join("levels"))
        .output()
        .expect("there is a shell");
    let text = String::from_utf8(output.stdout).expect("it writes UTF-8");
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("inconclusive: the checkpoint "), "{text}");
    assert!(text.contains(" cannot be written: "), "{text}");
    assert!(text.contains(" states, at depth "), "{text}");
    // The levels that were complete before are enough to resume.
    let levels = place.path().join("levels");
    assert_eq!(run(&levels, &["--resume"]).counts(), (185_369, 491_535, 25));
}

/// A signal ends a run with a report of its progress.
#[test]
fn a_signal_is_inconclusive() {
    for signal in ["INT", "TERM"] {
        let place = directory();
        let levels = place.path().join("levels");
        let arguments = ["--ballots", "5", "--checkpoint", levels.to_str().expect("UTF-8")];
        let run = Run::synod(&arguments);
        while !levels.is_dir() || files(&levels).is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let kill = Command::new("kill").args([format!("-{signal}"), run.id().to_string()]).status();
        assert!(kill.expect("there is kill").success());
        let why = run.ended().why();
        assert!(why.starts_with("a signal came, after "), "{why}");
    }
}

/// A checkpoint belongs to one model. A bug, another bound or another property makes another model.
#[test]
fn another_model_does_not_go_on_from_it() {
    let place = directory();
    let levels = place.path().display().to_string();
    let cluster = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paxos-model"));
        command.args(["check", "cluster", "--ballots", "2", "--engine", "timely", "--quiet"]);
        let output = command.args(["--checkpoint", &levels]).args(more).output();
        let output = output.expect("the command runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("it writes UTF-8"))
    };
    assert_eq!(cluster(&[]).0, Some(0));
    assert_eq!(cluster(&["--resume"]).0, Some(0));
    for (other, made, has) in [
        (&["--bug", "8"][..], "no --bug", "--bug 8"),
        (&["--bug", "4b"], "no --bug", "--bug 4b"),
        (&["--values", "3"], "--values 2", "--values 3"),
        (&["--values", "1"], "--values 2", "--values 1"),
        (&["--not-stuck"], "no --not-stuck", "--not-stuck"),
        (&["--crashes", "1"], "no --crashes", "--crashes 1"),
        (&["--no-nack"], "no --no-nack", "--no-nack"),
        (&["--snapshots"], "no --snapshots", "--snapshots"),
        (&["--reads", "1"], "--reads 0", "--reads 1"),
        (
            &["--symmetry", "--campaigners", "1"],
            "--campaigners 2 and no --symmetry",
            "--campaigners 1 and --symmetry",
        ),
    ] {
        let (code, said) = cluster(&[&["--resume"], other].concat());
        assert_eq!(code, Some(2), "{other:?}: {said}");
        let differs = format!(" was made with {made}, this run has {has}; give the same options");
        assert!(said.contains(&differs), "{said}");
    }
}

#[test]
fn what_was_found_is_found_again() {
    let place = directory();
    let levels = place.path().display().to_string();
    let cluster = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paxos-model"));
        command.args(["check", "cluster", "--ballots", "2", "--engine", "timely", "--quiet"]);
        command.args(["--bug", "8", "--json", "--checkpoint", &levels]).args(more);
        let output = command.output().expect("the command runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        report["properties"].clone()
    };
    let found = cluster(&[]);
    assert_eq!(cluster(&["--resume"]), found);
    assert_eq!(cluster(&["--resume", "--threads", "2"]), found);
}
