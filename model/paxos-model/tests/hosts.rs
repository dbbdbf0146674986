//! Several processes explore together over real connections. They have the counts of a single process, notice the
//! end of a process, and resume from their checkpoints.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "signals are for others")]
mod command;

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use command::Run;
use tempfile::TempDir;

/// A directory with a list of hosts on free ports.
struct Place {
    directory: TempDir,
    addresses: Vec<String>,
}

impl Place {
    fn of(processes: usize) -> Self {
        let directory = TempDir::new().expect("there is room");
        let listeners: Vec<_> = (0..processes)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("there is a free port"))
            .collect();
        let address =
            |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
        let addresses: Vec<_> = listeners.iter().map(address).collect();
        let hosts = format!("# where they are\n\n{}\n", addresses.join("  # one\n"));
        fs::write(directory.path().join("hosts"), hosts).expect("there is room");
        Self { directory, addresses }
    }

    fn hosts(&self) -> String {
        self.directory.path().join("hosts").display().to_string()
    }

    fn checkpoint(&self) -> PathBuf {
        self.directory.path().join("levels")
    }

    /// Starts one of the processes.
    fn begin(&self, process: usize, more: &[&str]) -> Run {
        let (hosts, process) = (self.hosts(), process.to_string());
        let mut arguments = vec!["--hosts", &hosts, "--process", &process];
        arguments.extend(more);
        Run::synod(&arguments)
    }
}

#[test]
fn processes_count_what_one_would() {
    for (processes, threads, ballots, counts) in
        [(2, "1", "3", (185_369, 491_535, 25)), (3, "2", "2", (3_921, 9_442, 17))]
    {
        let place = Place::of(processes);
        let runs: Vec<_> = (0..processes)
            .map(|process| place.begin(process, &["--threads", threads, "--ballots", ballots]))
            .collect();
        for run in runs {
            assert_eq!(run.ended().counts(), counts);
        }
    }
}

/// Waits until a level is being written.
fn level_is_there(directory: &Path, level: usize) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.into_iter().any(|name| {
        let at = name.strip_prefix("level-").and_then(|name| name.get(..4)?.parse().ok());
        at.is_some_and(|at: usize| at >= level)
    })
}

/// If one of two processes is killed, the other process ends and reports it. A resumed run with any number of workers counts
/// exactly the states of the space.
#[test]
fn a_run_goes_on_after_one_process_was_killed() {
    let place = Place::of(2);
    let levels = place.checkpoint().display().to_string();
    let arguments = ["--ballots", "4", "--checkpoint", &levels];
    let (first, second) = (place.begin(0, &arguments), place.begin(1, &arguments));
    let until = Instant::now() + Duration::from_mins(2);
    while !level_is_there(&place.checkpoint(), 14) {
        assert!(Instant::now() < until, "it does not come far");
        thread::sleep(Duration::from_millis(2));
    }
    second.kill();
    let why = first.ended().why();
    let lost = format!("process 1 at {} was lost, after ", place.addresses[1]);
    assert!(why.starts_with(&lost), "{why}");

    let resumed = Run::synod(&[&arguments[..], &["--resume", "--threads", "3"]].concat());
    assert_eq!(resumed.ended().counts(), (8_220_065, 23_340_612, 33));

    // A complete run stays complete: each resumed run reports the same counts.
    let again = [&arguments[..], &["--resume"]].concat();
    let (first, second) = (place.begin(0, &again), place.begin(1, &again));
    assert_eq!(first.ended().counts(), (8_220_065, 23_340_612, 33));
    assert_eq!(second.ended().counts(), (8_220_065, 23_340_612, 33));
}

#[test]
fn processes_that_would_do_something_else_are_refused() {
    for (arguments, complaint) in [
        (["--ballots", "2", "--threads", "1"], "another model: synod: 3 acceptors, 2 values, "),
        (["--ballots", "3", "--threads", "2"], "another threads: "),
        (["--ballots", "3", "--max-depth", "7"], "another depth limit: "),
    ] {
        let place = Place::of(2);
        let one = place.begin(0, &["--ballots", "3", "--threads", "1"]);
        let other = place.begin(1, &arguments);
        let why = other.ended().why();
        assert!(why.contains(complaint), "{why}");
        let why = one.ended().why();
        assert!(why.contains(complaint), "{why}");
    }
}

/// Connections from other programs are refused and do no harm.
#[test]
fn strangers_are_ignored() {
    let place = Place::of(2);
    let arguments = ["--ballots", "2"];
    let first = place.begin(0, &arguments);
    let until = Instant::now() + Duration::from_mins(1);
    let mut strangers = Vec::new();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0, 0, 0, 2, b'{', b'}'], &[]] {
        let stranger = loop {
            match TcpStream::connect(&place.addresses[0]) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
        };
        (&stranger).write_all(garbage).expect("it is listening");
        if !garbage.is_empty() {
            drop(stranger);
            continue;
        }
        // A silent connection is closed after a while.
        strangers.push(stranger);
    }
    let second = place.begin(1, &arguments);
    assert_eq!(first.ended().counts(), (3_921, 9_442, 17));
    assert_eq!(second.ended().counts(), (3_921, 9_442, 17));
}

#[test]
fn unusable_hosts_say_why() {
    let place = Place::of(2);
    let (hosts, missing) = (place.hosts(), place.hosts() + ".not");
    let bad = place.directory.path().join("bad").display().to_string();
    fs::write(&bad, "127.0.0.1\n").expect("there is room");
    let empty = place.directory.path().join("empty").display().to_string();
    fs::write(&empty, "# no host\n").expect("there is room");
    let twice = place.directory.path().join("twice").display().to_string();
    fs::write(&twice, "127.0.0.1:4\n127.0.0.1:4\n").expect("there is room");
    for (arguments, complaint) in [
        (["--hosts", &hosts, "--process", "2"], "there is no process 2 among 2"),
        (["--hosts", &missing, "--process", "0"], "cannot be read"),
        (["--hosts", &bad, "--process", "0"], "\"127.0.0.1\" is no address; give host:port"),
        (["--hosts", &empty, "--process", "0"], "names no process; give a line host:port"),
        (["--hosts", &twice, "--process", "0"], "127.0.0.1:4 stands there twice"),
        (["--hosts", &hosts, "--max-depth", "9"], "--process"),
    ] {
        let ended = Run::synod(&arguments).ended();
        assert_eq!(ended.code(), Some(2), "{}", ended.complaint());
        assert!(ended.complaint().contains(complaint), "{}", ended.complaint());
    }
}

/// Equal bounds are not enough: a process with a bug or another property explores another model.
#[test]
fn clusters_that_only_look_alike_are_refused() {
    for other in [&["--bug", "16"][..], &["--values", "3"], &["--not-stuck"]] {
        let place = Place::of(2);
        let begin = |process: &str, more: &[&str]| {
            Run::cluster(&[&["--hosts", &place.hosts(), "--process", process], more].concat())
        };
        let (one, two) = (begin("0", &[]), begin("1", other));
        assert!(one.ended().why().contains("process 1 has another model: "));
        assert!(two.ended().why().contains("process 0 has another model: "));
    }
}

#[test]
fn no_process_waits_longer_than_the_time_limit() {
    let place = Place::of(2);
    let why = place.begin(1, &["--timeout", "0.2"]).ended().why();
    assert!(
        why.contains("the time limit of 200ms was reached before all processes were connected")
    );
}
