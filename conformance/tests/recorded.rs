//! The commands `validate`, `watch`, `stream` and `show`, on recordings of a replica.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use paxos::{Config, Event, Message, NodeId, Output as Steps, Replica, Slot, Timer};
use paxos_recording::{
    Body, FrameWriter, Recorder, RecordingOptions, StartedFrom,
    files::StartId,
    frame::{self, Departure},
};

/// A replica of one node that campaigns, and its recording.
struct Alone {
    replica: Replica,
    recorder: Recorder,
}

impl Alone {
    fn new(directory: &Path) -> Self {
        let replica = Replica::new(Config::new(NodeId(1), [NodeId(1)])).expect("a cluster of one");
        let from = StartedFrom { incarnation: 1, nonce: 7, snapshot: None };
        let options = RecordingOptions::new(directory);
        let recorder =
            Recorder::create(options, from, replica.parts()).expect("a directory that is new");
        Self { replica, recorder }
    }

    fn step(&mut self, event: Event) {
        let mut output = Steps::default();
        self.recorder.step(&mut self.replica, event, &mut output);
        self.recorder.write();
        self.recorder.durable();
        for envelope in &output.held().messages {
            let departure = self.recorder.departure(envelope.to, &envelope.message);
            self.recorder.push(&Body::Left(vec![departure]));
        }
        self.recorder.flush().expect("there is room");
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxos-conformance"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_run_is_validated_and_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mut alone = Alone::new(&directory.path().join("run"));
    alone.step(Event::Timer(Timer::Campaign));
    alone.step(Event::Timer(Timer::Heartbeat));
    alone.recorder.end().expect("there is room");
    let (json, itf) = (path("report.json"), path("run.itf.json"));
    let (code, text, _) = run(&["validate", &path("run"), "--json", &json]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("holds\n"), "{text}");
    assert!(text.contains("never: a node starts again"), "{text}");
    let reports = fs::read_to_string(json).expect("it was written");
    let reports: serde_json::Value = serde_json::from_str(&reports).expect("JSON");
    assert_eq!(reports[0]["verdict"], "holds");
    let (code, text, _) = run(&["show", &path("run"), "--itf", &itf]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.lines().any(|line| line.ends_with("Timer(Campaign)")), "{text}");
    let trace = fs::read_to_string(itf).expect("it was written");
    let trace: serde_json::Value = serde_json::from_str(&trace).expect("JSON");
    assert_eq!(trace["states"].as_array().expect("states").len(), 10, "{trace}");
}

/// A check that reads nothing does not pass.
#[test]
fn nothing_to_validate_is_bad_input() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().display().to_string();
    for subcommand in ["validate", "show"] {
        let (code, _, error) = run(&[subcommand, &empty]);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("has no recordings; their names end in .paxrec"), "{error}");
    }
    let missing = directory.path().join("missing").display().to_string();
    assert_eq!(run(&["validate", &missing]).0, Some(2));
}

fn watch(arguments: &[&str]) -> Child {
    command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs")
}

/// The watcher is started before the node, follows it, and ends at the first frame that the model does not have.
#[test]
fn a_watcher_raises_an_alarm() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let metrics = directory.path().join("watch.prom");
    let mut watcher = watch(&["watch", &path("run"), "--metrics", &path("watch.prom")]);
    let mut alone = Alone::new(&directory.path().join("run"));
    alone.step(Event::Timer(Timer::Campaign));
    // The start, the step, its write, its sync, and the Prepare message that leaves.
    while !fs::read_to_string(&metrics).is_ok_and(|text| text.contains("frames_total 5\n")) {
        assert_eq!(watcher.try_wait().expect("it can be asked"), None, "it has ended");
        thread::sleep(Duration::from_millis(20));
    }
    let invented = Departure::Message { to: frame::To::Peers, id: paxos_recording::MessageId(1) };
    alone.recorder.push(&Body::Left(vec![invented]));
    alone.recorder.flush().expect("there is room");
    let Output { status, stdout, .. } = watcher.wait_with_output().expect("it ends");
    let text = String::from_utf8(stdout).expect("text");
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(
        text.contains("a node sends only the messages that its replica has produced"),
        "{text}"
    );
    assert!(text.contains("sequenceDiagram"), "{text}");
    let metrics = fs::read_to_string(&metrics).expect("they were written");
    assert!(metrics.contains("paxos_watch_violated 1"), "{metrics}");
}

/// A message that no node has sent is noticed while the cluster runs, too.
#[test]
fn a_watcher_does_not_wait_for_a_message_that_never_comes() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = directory.path().join("run");
    let nodes = [NodeId(1), NodeId(2)];
    for node in nodes {
        let mut replica = Replica::new(Config::new(node, nodes)).expect("a cluster of two");
        let from = StartedFrom { incarnation: 1, nonce: 7, snapshot: None };
        let mut recorder = Recorder::create(RecordingOptions::new(&run), from, replica.parts())
            .expect("a new file");
        if node == NodeId(1) {
            let message = Message::Learn { from: Slot(0) };
            let event = Event::Message { from: NodeId(2), message };
            recorder.step(&mut replica, event, &mut Steps::default());
        }
        recorder.flush().expect("there is room");
    }
    let run = run.display().to_string();
    let watcher = watch(&["watch", &run]).wait_with_output().expect("it ends");
    let text = String::from_utf8(watcher.stdout).expect("text");
    assert_eq!(watcher.status.code(), Some(1), "{text}");
    assert!(text.contains("node 2 never sent it"), "{text}");
}

/// A watch that ends while a frame waits does not say that the run holds.
#[test]
fn a_watch_that_ends_too_early_is_inconclusive() {
    let directory = tempfile::tempdir().expect("a directory");
    let nodes = [NodeId(1), NodeId(2)];
    let mut replica = Replica::new(Config::new(NodeId(1), nodes)).expect("a cluster of two");
    let from = StartedFrom { incarnation: 1, nonce: 7, snapshot: None };
    let options = RecordingOptions::new(directory.path());
    let mut recorder = Recorder::create(options, from, replica.parts()).expect("a new file");
    let event = Event::Message { from: NodeId(2), message: Message::Learn { from: Slot(0) } };
    recorder.step(&mut replica, event, &mut Steps::default());
    recorder.flush().expect("there is room");
    // Node 2 has not recorded anything yet.
    let path = directory.path().display().to_string();
    let (code, text, _) = run(&["watch", &path, "--idle-ms", "0"]);
    assert_eq!(code, Some(3), "{text}");
}

/// A cluster that stops is watched to its end.
#[test]
fn a_watcher_ends_when_nothing_is_recorded() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = StartId { node: NodeId(1), incarnation: 1, nonce: 7 };
    let mut alone = Alone::new(directory.path());
    alone.step(Event::Timer(Timer::Campaign));
    alone.recorder.end().expect("there is room");
    let path = directory.path().display().to_string();
    let (code, text, _) = run(&["watch", &path, "--idle-ms", "200"]);
    assert_eq!(code, Some(0), "{text}");
    // A second recording of the same start is refused by the system, so that no recording is overwritten.
    assert!(FrameWriter::create(RecordingOptions::new(directory.path()), start).is_err());
}

/// A process that serves recordings. It ends when it is dropped.
struct Streaming {
    child: Child,
    address: String,
}

impl Streaming {
    fn new(directory: &str, listen: &str) -> Self {
        let arguments = ["stream", directory, "--listen", listen];
        let mut child = command(&arguments).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        out.read_line(&mut line).expect("it prints its address");
        let address = line.trim().rsplit(' ').next().expect("an address").to_owned();
        assert!(line.starts_with("serves the recordings in "), "{line}");
        Self { child, address }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        // It has ended if a test has stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The stream of a machine ends and begins again while its recordings are watched.
#[test]
fn a_watcher_follows_streams() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let metrics = path("watch.prom");
    let streams =
        [Streaming::new(&path("one"), "127.0.0.1:0"), Streaming::new(&path("two"), "127.0.0.1:0")];
    let [one, two] = streams;
    let arguments = ["watch", &path("copies"), "--from", &one.address, "--from", &two.address];
    let mut watcher = command(&[&arguments[..], &["--metrics", &metrics]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut shows = |part: &str| {
        while !fs::read_to_string(&metrics).is_ok_and(|text| text.contains(part)) {
            assert_eq!(watcher.try_wait().expect("it can be asked"), None, "it has ended");
            thread::sleep(Duration::from_millis(20));
        }
    };
    let mut alone = Alone::new(Path::new(&path("one")));
    alone.step(Event::Timer(Timer::Campaign));
    shows("frames_total 5\n");
    shows("paxos_watch_unreachable_addresses 0\n");
    let address = one.address.clone();
    drop(one);
    shows("paxos_watch_unreachable_addresses 1\n");
    let invented = Departure::Message { to: frame::To::Peers, id: paxos_recording::MessageId(1) };
    alone.recorder.push(&Body::Left(vec![invented]));
    alone.recorder.flush().expect("there is room");
    let _one = Streaming::new(&path("one"), &address);
    let Output { status, stdout, stderr } = watcher.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (text, progress) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(
        text.contains("a node sends only the messages that its replica has produced"),
        "{text}"
    );
    assert!(progress.contains(&format!("; {address} is not reached: ")), "{progress}");
}

#[test]
fn bad_addresses_and_directories_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    Alone::new(&directory.path().join("own"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = listener.local_addr().expect("it listens").to_string();
    let stream = Streaming::new(&path("own"), "127.0.0.1:0");
    let address = &*stream.address;
    let (own, copies, later) = (path("own"), path("copies"), path("later"));
    let cases: [(&[&str], &str); 7] = [
        (&["watch", &copies, "--from", "node-2"], "invalid socket address syntax"),
        (&["watch", &copies, "--from", "10.0.0.1"], "invalid socket address syntax"),
        (&["watch", &copies, "--from", "10.0.0.1:99999"], "invalid socket address syntax"),
        (&["watch", &copies, "--from", address, "--from", address], "is given twice"),
        (&["watch", &own, "--from", address], "has recordings that were not copied from streams"),
        (&["stream", &own, "--listen", "here"], "invalid socket address syntax"),
        (&["stream", &own, "--listen", address], "error: --listen "),
    ];
    for (arguments, expected) in cases {
        let (code, _, error) = run(arguments);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(expected), "{expected}: {error}");
    }
    // A pull notices a peer that sends something else.
    let garbage = garbage_peer();
    let (code, _, error) = run(&["watch", &later, "--from", &garbage]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("does not answer as `paxos-conformance stream` does"), "{error}");
    // A peer that does not answer is no reason for an alarm, and the run does not hold.
    let (code, text, _) =
        run(&["watch", &later, "--from", address, "--from", &silent, "--idle-ms", "300"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains(&format!("{silent} was not reached: ")), "{text}");
}

/// Answers each connection as a server of HTTP does.
fn garbage_peer() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            // The watcher closes the connection.
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    address
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_stream() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut stream = Streaming::new(&directory.path().display().to_string(), "127.0.0.1:0");
    let kill = Command::new("kill").args(["-TERM", &stream.child.id().to_string()]).status();
    assert!(kill.expect("there is a kill").success());
    assert_eq!(stream.child.wait().expect("it ends").code(), Some(0));
}
