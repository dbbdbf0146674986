//! Recordings of several machines, copied over loopback while they grow.
//!
//! - This file has whole storms. It also has the machines and servers of all tests.
//! - `written` has recordings that a test writes step by step, with the nodes of `recorded`.
//! - `peers` has bytes that change on the way, and servers and clients that send garbage.
//! - `copies` has copies that do not fit their servers any more.

mod copies;
mod peers;
mod recorded;
#[path = "../support/mod.rs"]
mod support;
mod written;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek as _, SeekFrom, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use paxos::{
    Config, Envelope, Event, Message, NodeId, Output, Proposal, Replica, Slot, Timer, Token,
};
use paxos_node::typed::{Typed, encode};
use paxos_recording::{
    Body, FileName, Recorder, RecordingOptions, StartedFrom,
    frame::{Departure, To},
    identity::MessageId,
};
use paxos_simulator::nodes::{Simulation, options};
use paxos_validation::{
    claims::{FORM, SENT_BEFORE},
    coverage::Kind,
    order::Halt,
    report::Report,
    stream::{Copies, CopyError, Limits, Pulled, Server},
    watcher::Watcher,
};
use support::{Sum, record, validate};
use verdict::Verdict;

/// Small chunks and few requests, so that one pull does not copy everything.
const SMALL: Limits = Limits {
    chunk: 400,
    requests: 4,
    time: Duration::from_mins(1),
    patience: Duration::from_secs(20),
    pause: Duration::ZERO,
};
/// The longest time that a test waits for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server on a thread. It ends when it is dropped.
struct Served {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn new(directory: &Path) -> Self {
        Self::at(directory, "127.0.0.1:0".parse().expect("an address"))
    }

    fn at(directory: &Path, address: SocketAddr) -> Self {
        let server = Server::bind(directory, address).expect("a free port");
        let (address, stop) =
            (server.address().expect("it listens"), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let serve = move || server.serve(|| stopped.load(Ordering::Relaxed));
        Self { address, stop, thread: Some(thread::spawn(serve)) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("it does not panic");
    }
}

/// A directory of recordings of all nodes, and a directory for each machine. Each node has its machine.
struct Machines {
    folder: tempfile::TempDir,
    count: u32,
}

impl Machines {
    fn new(count: u32) -> Self {
        Self { folder: tempfile::tempdir().expect("a directory"), count }
    }

    fn all(&self) -> PathBuf {
        self.folder.path().join("all")
    }

    fn copies(&self) -> PathBuf {
        self.folder.path().join("copies")
    }

    fn machine(&self, machine: u32) -> PathBuf {
        self.folder.path().join(format!("machine-{machine}"))
    }

    fn machines(&self) -> impl Iterator<Item = PathBuf> {
        (0..self.count).map(|machine| self.machine(machine))
    }

    /// Gives each machine what its nodes have recorded since the last call.
    fn distribute(&self) {
        for path in files(&self.all()) {
            let (name, _) = FileName::parse(&path).expect("a recording");
            let machine = self.machine(name.start.node.0 % self.count);
            fs::create_dir_all(&machine).expect("there is room");
            let mut to = OpenOptions::new()
                .append(true)
                .create(true)
                .open(name.within(&machine))
                .expect("there is room");
            let has = to.metadata().expect("a file").len();
            let mut from = File::open(path).expect("a file");
            from.seek(SeekFrom::Start(has)).expect("a file");
            std::io::copy(&mut from, &mut to).expect("there is room");
        }
    }

    fn serve(&self) -> Vec<Served> {
        self.machines().map(|machine| Served::new(&machine)).collect()
    }

    fn open(&self, servers: &[Served], limits: Limits) -> Copies {
        let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
        Copies::open(&self.copies(), &addresses, limits).expect("a new directory")
    }
}

/// Returns the files of a directory, sorted.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| FileName::parse(path).is_some());
    files.sort();
    files
}

/// Pulls and looks until everything was copied, and returns the report.
fn finish(mut copies: Copies, mut watcher: Watcher) -> Report {
    let begun = Instant::now();
    loop {
        let pulled = copies.pull().expect("the servers are right");
        watcher.look_after(&pulled).expect("no step contradicts a claim");
        if pulled == Pulled::All && watcher.validator().bytes_behind() == 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{copies:?}");
    }
    // A frame that waits for a message that was never sent would lead to an alarm now.
    watcher.look_after(&copies.pull().expect("the servers are right")).expect("no contradiction");
    assert_eq!(copies.doubts(), [""; 0]);
    watcher.into_validator().report(None)
}

#[track_caller]
fn same(found: &Report, expected: &Report) {
    let json = |report: &Report| serde_json::to_value(report).expect("JSON");
    assert_eq!(json(found), json(expected));
}

fn storm(directory: &Path) -> Simulation<Typed<Sum>> {
    let recording = RecordingOptions::new(directory).file_bytes_max(20_000);
    let options = options().recording(recording).build().expect("a node can work with them");
    let mut simulation = Simulation::with_options(21, 5, options, || Typed::new(Sum::default()));
    simulation.network.link.loss = 0.05;
    simulation.network.link.duplication = 0.05;
    simulation.stall = 0.01;
    simulation
}

fn command(number: u64) -> bytes::Bytes {
    encode::<Sum>(&number).expect("a number has bytes")
}

/// The copies grow between the events of a storm. Most pulls end before everything is copied.
#[test]
fn several_streams_give_the_report_of_the_files() {
    let machines = Machines::new(3);
    let mut simulation = storm(&machines.all());
    machines.distribute();
    let servers = machines.serve();
    let mut copies = machines.open(&servers, SMALL);
    let mut watcher = Watcher::new(&machines.copies());
    let (mut all, mut some) = (0, 0);
    for _ in 0..150 {
        simulation.storm(1, command);
        machines.distribute();
        let pulled = copies.pull().expect("the servers are right");
        watcher.look_after(&pulled).expect("no step contradicts a claim");
        *if pulled == Pulled::All { &mut all } else { &mut some } += 1;
    }
    assert!(all > 5 && some > 5, "{all} pulls copied everything, and {some} did not");
    simulation.settle();
    drop(simulation);
    machines.distribute();
    let report = finish(copies, watcher);
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
    same(&report, &validate(&machines.all()));
}

/// The nodes write while a pull reads, at any place of a frame or a file.
#[test]
fn a_recording_that_grows_during_a_pull() {
    let machines = Machines::new(1);
    let directory = machines.all();
    let server = Served::new(&directory);
    let mut copies = machines.open(std::slice::from_ref(&server), SMALL);
    let writer = thread::spawn(move || {
        let mut simulation = storm(&directory);
        simulation.storm(150, command);
        simulation.settle();
    });
    let mut watcher = Watcher::new(&machines.copies());
    while !writer.is_finished() {
        let pulled = copies.pull().expect("the server is right");
        watcher.look_after(&pulled).expect("no step contradicts a claim");
    }
    writer.join().expect("no check of the simulation fails");
    let report = finish(copies, watcher);
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
    same(&report, &validate(&machines.all()));
}

/// An address is down at the first looks, and later again. Frames wait for the messages of its nodes meanwhile.
#[test]
fn an_address_that_is_down_gives_no_alarm() {
    let machines = Machines::new(3);
    record(19, 5, &machines.all());
    machines.distribute();
    let mut servers = machines.serve();
    let mut copies = machines.open(&servers, SMALL);
    let mut watcher = Watcher::new(&machines.copies());
    let down = servers.pop().expect("there are three");
    let address = down.address;
    drop(down);
    let mut look = |copies: &mut Copies, times: u32| {
        for _ in 0..times {
            let pulled = copies.pull().expect("the servers are right");
            assert_ne!(pulled, Pulled::All);
            watcher.look_after(&pulled).expect("no step contradicts a claim");
        }
        watcher.validator().waits().len()
    };
    assert!(look(&mut copies, 100) > 0, "no frame waits");
    assert_eq!(copies.unreachable().map(|(address, _)| address).collect::<Vec<_>>(), [address]);
    let back = Served::at(&machines.machine(2), address);
    look(&mut copies, 2);
    assert_eq!(copies.unreachable().count(), 0);
    drop(back);
    assert!(look(&mut copies, 20) > 0, "no frame waits");
    servers.push(Served::at(&machines.machine(2), address));
    let report = finish(copies, watcher);
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
    same(&report, &validate(&machines.all()));
}

/// A watch that ends while an address is down does not hold.
#[test]
fn a_watch_without_an_address_is_inconclusive() {
    let machines = Machines::new(1);
    record(19, 1, &machines.all());
    machines.distribute();
    let servers = machines.serve();
    let mut copies = machines.open(&servers, Limits::default());
    let mut watcher = Watcher::new(&machines.copies());
    watcher.look_after(&copies.pull().expect("it is right")).expect("no contradiction");
    drop(servers);
    let pulled = copies.pull().expect("it is tried again");
    watcher.look_after(&pulled).expect("no contradiction");
    let mut validator = watcher.into_validator();
    copies.doubts().into_iter().for_each(|doubt| validator.doubt(doubt));
    let Verdict::Inconclusive { why } = validator.report(None).verdict else { panic!("it holds") };
    assert!(why.contains(" was not reached: "), "{why}");
}
