//! Recordings of several machines, copied over loopback while they grow.

mod support;

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
    let mut simulation = Simulation::with_options(19, 5, options, || Typed::new(Sum::default()));
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

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const FOUR: [NodeId; 4] = [NodeId(1), NodeId(2), NodeId(3), NodeId(4)];

/// A node that records without taking part.
struct Recorded {
    replica: Replica,
    recorder: Recorder,
}

impl Recorded {
    fn new(machines: &Machines, id: NodeId) -> Self {
        Self::of(machines, id, &NODES)
    }

    fn of(machines: &Machines, id: NodeId, members: &[NodeId]) -> Self {
        let config = Config::new(id, members.iter().copied());
        let replica = Replica::new(config).expect("a cluster");
        let from = StartedFrom { incarnation: 1, nonce: 7, snapshot: None };
        let directory = machines.machine(id.0 - 1);
        let options = RecordingOptions::new(directory).file_bytes_max(20_000);
        let recorder = Recorder::create(options, from, replica.parts()).expect("a new directory");
        Self { replica, recorder }
    }

    /// Takes a step, and records it and the messages that leave. Returns these messages.
    fn step(&mut self, event: Event) -> Vec<Envelope> {
        let mut output = Output::default();
        self.recorder.step(&mut self.replica, event, &mut output);
        self.recorder.durable();
        for envelope in &output.messages {
            let departure = self.recorder.departure(envelope.to, &envelope.message);
            self.recorder.push(&Body::Left(vec![departure]));
        }
        self.recorder.flush().expect("there is room");
        output.messages
    }

    /// Records that a message arrives.
    fn receives(&mut self, from: NodeId, message: Message) {
        self.step(Event::Message { from, message });
    }

    /// Records a campaign, and its Prepare message that leaves.
    fn campaigns(&mut self) {
        assert!(!self.step(Event::Timer(Timer::Campaign)).is_empty());
    }

    /// Takes steps beside the other nodes, until `stop` is true. Sends what leaves to the other nodes.
    fn runs(mut self, stop: &AtomicBool, inbox: &Receiver<(NodeId, Message)>, others: &Others) {
        let (me, mut idle) = (self.replica.parts().config.id, 0);
        while !stop.load(Ordering::Relaxed) {
            let event = if let Ok((from, message)) = inbox.recv_timeout(Duration::from_millis(2)) {
                Event::Message { from, message }
            } else {
                idle += 1;
                match idle % 50 {
                    number if number == 10 * u64::from(me.0) => Event::Timer(Timer::Campaign),
                    5 | 45 => Event::Timer(Timer::Resend),
                    _ => {
                        let command = bytes::Bytes::from(format!("{idle} of {me}"));
                        Event::Propose(vec![Proposal { token: Token(idle), command }])
                    }
                }
            };
            for Envelope { to, message } in self.step(event) {
                for (id, outbox) in others {
                    if *id != me && (to == paxos::To::Peers || to == paxos::To::Node(*id)) {
                        // A node that has ended has dropped its inbox.
                        let _ = outbox.send((me, message.clone()));
                    }
                }
            }
        }
    }
}

/// The inboxes of all nodes.
type Others = BTreeMap<NodeId, Sender<(NodeId, Message)>>;

fn learn() -> Message {
    Message::Learn { from: Slot(0) }
}

fn prepare(node: u32) -> Message {
    Message::Prepare { ballot: paxos::Ballot::new(1, NodeId(node)).expect("not zero") }
}

/// Pulls and looks some times.
fn look(copies: &mut Copies, watcher: &mut Watcher) -> Result<(), Halt> {
    (0..5).try_for_each(|_| watcher.look_after(&copies.pull().expect("the servers are right")))
}

#[track_caller]
fn is_never_sent(end: Result<(), Halt>, node: u32) {
    let Err(Halt::Violated(violation)) = end else { panic!("no alarm: {end:?}") };
    assert_eq!((violation.contradiction.claim, violation.node), (SENT_BEFORE, Some(NodeId(node))));
}

/// Three nodes send messages to each other while their recordings are copied, each from an address of its own. One address is
/// down now and then.
#[test]
fn nodes_that_run_while_their_recordings_are_copied() {
    let machines = Machines::new(3);
    let nodes = NODES.map(|id| Recorded::new(&machines, id));
    let mut servers = machines.serve();
    let limits = Limits { chunk: 4000, requests: 50, ..SMALL };
    let mut copies = machines.open(&servers, limits);
    let mut watcher = Watcher::new(&machines.copies());
    let (others, inboxes): (Others, Vec<_>) = NODES
        .map(|id| {
            let (outbox, inbox) = channel();
            ((id, outbox), inbox)
        })
        .into_iter()
        .unzip();
    let (mut looks, begun, stop) = (0, Instant::now(), AtomicBool::new(false));
    thread::scope(|scope| {
        let (others, stop) = (&others, &stop);
        for (node, inbox) in nodes.into_iter().zip(inboxes) {
            scope.spawn(move || node.runs(stop, &inbox, others));
        }
        let votes =
            |watcher: &Watcher| watcher.validator().shared().coverage.count(Kind::AcceptedChooses);
        while looks < 60 || votes(&watcher) < 20 {
            let pulled = copies.pull().expect("the servers are right");
            let looked = watcher.look_after(&pulled);
            if looked.is_err() || begun.elapsed() > PATIENCE {
                stop.store(true, Ordering::Relaxed);
                panic!("after {looks} looks: {looked:?}");
            }
            looks += 1;
            if looks % 5 == 0 {
                let address = servers.pop().expect("there are three").address;
                assert_ne!(copies.pull().expect("the servers are right"), Pulled::All);
                servers.push(Served::at(&machines.machine(2), address));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let report = finish(copies, watcher);
    for machine in machines.machines() {
        for file in files(&machine) {
            fs::create_dir_all(machines.all()).expect("there is room");
            let copy = machines.all().join(file.file_name().expect("a name"));
            fs::copy(file, copy).expect("there is room");
        }
    }
    println!("{looks} looks: {report}");
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
    same(&report, &validate(&machines.all()));
}

/// A message of a node whose address was reached, and that it never sent. Another address is down.
#[test]
fn a_contradiction_is_found_while_another_address_is_down() {
    let machines = Machines::new(3);
    let mut nodes = NODES.map(|id| Recorded::new(&machines, id));
    let servers = machines.serve();
    let mut copies = machines.open(&servers, Limits { pause: Duration::ZERO, ..Limits::default() });
    let mut watcher = Watcher::new(&machines.copies());
    let [one, two, three] = <[_; 3]>::try_from(servers).unwrap_or_else(|_| panic!("three"));
    drop(three);
    look(&mut copies, &mut watcher).expect("nothing has happened");
    // Node 1 waits for node 3, whose address is down.
    nodes[0].receives(NodeId(3), learn());
    look(&mut copies, &mut watcher).expect("node 3 may have sent it");
    // Node 2 waits for node 1, which may go on when the address of node 3 is back.
    nodes[1].receives(NodeId(1), learn());
    look(&mut copies, &mut watcher).expect("node 1 may send it after its wait");
    assert_eq!(watcher.validator().waits().len(), 2);
    drop((one, two));
    look(&mut copies, &mut watcher).expect("no address is reached");

    let machines = Machines::new(3);
    let mut nodes = NODES.map(|id| Recorded::new(&machines, id));
    let mut servers = machines.serve();
    let mut copies = machines.open(&servers, Limits { pause: Duration::ZERO, ..Limits::default() });
    let mut watcher = Watcher::new(&machines.copies());
    servers.pop();
    nodes[0].receives(NodeId(2), learn());
    is_never_sent(look(&mut copies, &mut watcher), 1);
}

/// A message that waits for an address that is down is taken, or found to be missing, when the address is back.
#[test]
fn a_wait_is_decided_when_the_address_is_back() {
    for sends in [true, false] {
        let machines = Machines::new(3);
        let mut nodes = NODES.map(|id| Recorded::new(&machines, id));
        let mut servers = machines.serve();
        let limits = Limits { pause: Duration::ZERO, ..Limits::default() };
        let mut copies = machines.open(&servers, limits);
        let mut watcher = Watcher::new(&machines.copies());
        let address = servers.pop().expect("there are three").address;
        nodes[0].receives(NodeId(3), prepare(3));
        look(&mut copies, &mut watcher).expect("node 3 may have sent it");
        if sends {
            nodes[2].campaigns();
        }
        servers.push(Served::at(&machines.machine(2), address));
        let end = look(&mut copies, &mut watcher);
        if sends {
            end.expect("it was sent");
            assert_eq!(watcher.validator().waits(), []);
        } else {
            is_never_sent(end, 1);
        }
    }
}

/// A message of a node that has given up its recording is taken as sent. A message of a node whose address is down is not.
#[test]
fn only_messages_of_recordings_with_gaps_are_assumed() {
    let machines = Machines::new(4);
    let [mut one, mut two, _, four] = FOUR.map(|id| Recorded::of(&machines, id, &FOUR));
    let mut servers = machines.serve();
    let limits = Limits { pause: Duration::ZERO, ..Limits::default() };
    let mut copies = machines.open(&servers, limits);
    let mut watcher = Watcher::new(&machines.copies());
    drop(servers.remove(2));
    four.recorder.give_up();
    one.receives(NodeId(3), learn());
    two.receives(NodeId(4), learn());
    look(&mut copies, &mut watcher).expect("nothing is contradicted");
    assert_eq!(watcher.validator().waits(), [(NodeId(1), 1)]);
    servers.push(Served::at(&machines.machine(2), down(&copies)));
    is_never_sent(look(&mut copies, &mut watcher), 1);
}

/// The address that is not reached.
fn down(copies: &Copies) -> SocketAddr {
    copies.unreachable().next().expect("an address is down").0
}

/// A message was taken as sent while its sender had no recording. The recording that comes later does not undo that.
#[test]
fn a_recording_that_comes_too_late_is_inconclusive() {
    let (machines, members) = (Machines::new(2), [NodeId(1), NodeId(2)]);
    let mut one = Recorded::of(&machines, NodeId(1), &members);
    one.receives(NodeId(2), prepare(2));
    let servers = machines.machines().map(|machine| Served::new(&machine)).collect::<Vec<_>>();
    let mut copies = machines.open(&servers, Limits::default());
    let mut watcher = Watcher::new(&machines.copies());
    look(&mut copies, &mut watcher).expect("node 2 does not record");
    assert_eq!(watcher.validator().waits(), []);
    Recorded::of(&machines, NodeId(2), &members).campaigns();
    look(&mut copies, &mut watcher).expect("nothing is contradicted");
    let report = watcher.into_validator().report(None);
    let why = "a message of node 2 was taken as sent before its recording was there".to_owned();
    assert_eq!(report.verdict, Verdict::Inconclusive { why });
}

/// A restored copy of a store starts with a number that was used before. Its recording is found later, and its name comes first.
#[test]
fn a_second_start_with_the_same_number_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut watcher = Watcher::new(directory.path());
    let mut begin = |nonce| {
        let replica = Replica::new(Config::new(NodeId(1), NODES)).expect("a cluster of three");
        let from = StartedFrom { incarnation: 1, nonce, snapshot: None };
        let options = RecordingOptions::new(directory.path());
        Recorder::create(options, from, replica.parts()).expect("a new file");
        watcher.look()
    };
    begin(9).expect("one start");
    let Err(Halt::Violated(violation)) = begin(5) else { panic!("no alarm") };
    assert_eq!(violation.contradiction.claim, FORM);
}

/// A frame that contradicts its own recording needs no other address.
#[test]
fn a_contradiction_within_one_recording_is_found_at_once() {
    let machines = Machines::new(3);
    let mut nodes = NODES.map(|id| Recorded::new(&machines, id));
    let mut servers = machines.serve();
    let mut copies = machines.open(&servers, Limits { pause: Duration::ZERO, ..Limits::default() });
    let mut watcher = Watcher::new(&machines.copies());
    servers.truncate(1);
    nodes[0]
        .recorder
        .push(&Body::Left(vec![Departure::Message { to: To::Peers, id: MessageId(1) }]));
    nodes[0].recorder.flush().expect("there is room");
    let end = look(&mut copies, &mut watcher);
    assert!(matches!(end, Err(Halt::Violated(_))), "{end:?}");
}

fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn write_message(stream: &mut TcpStream, bytes: &[u8]) {
    let length = (bytes.len() as u32).to_le_bytes();
    // The other side may have closed the connection.
    let _ = stream.write_all(&[&length, bytes].concat());
}

/// Forwards one connection to a server. Changes the last byte of each reply with a certain number.
fn changing(server: SocketAddr, changed: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let large = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&large);
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("the copies connect");
        let mut server = TcpStream::connect(server).expect("it listens");
        let mut hello = [0; 8];
        client.read_exact(&mut hello).expect("a greeting");
        server.write_all(&hello).expect("it listens");
        server.read_exact(&mut hello).expect("a greeting");
        client.write_all(&hello).expect("the client waits");
        while let Some(request) = read_message(&mut client) {
            write_message(&mut server, &request);
            let Some(mut reply) = read_message(&mut server) else { return };
            // A reply of this size has bytes of a file.
            if reply.len() > 500 && seen.fetch_add(1, Ordering::Relaxed) == changed {
                let last = reply.len() - 1;
                reply[last] ^= 1;
            }
            write_message(&mut client, &reply);
        }
    });
    (address, large)
}

/// The next request compares the bytes before it. If there is none, the chain of the recording is broken.
#[test]
fn a_changed_byte_in_the_stream_is_found() {
    let (mut differ, mut broken) = (0, 0);
    for (chunk, places) in [(700, 0..20), (200_000, 0..1)] {
        for changed in places {
            let machines = Machines::new(1);
            let mut node = Recorded::new(&machines, NodeId(1));
            (0..200).for_each(|_| node.campaigns());
            let server = Served::new(&machines.machine(0));
            let (address, large) = changing(server.address, changed);
            let limits = Limits { chunk, requests: 10_000, ..SMALL };
            let copies = Copies::open(&machines.copies(), &[address], limits);
            let (mut copies, mut watcher) =
                (copies.expect("new"), Watcher::new(&machines.copies()));
            let mut end = Ok(());
            for _ in 0..3 {
                end = copies.pull().map(|pulled| {
                    watcher.look_after(&pulled).expect("a changed frame is not taken");
                });
                if end.is_err() {
                    break;
                }
            }
            assert!(large.load(Ordering::Relaxed) > changed, "no byte was changed");
            match end {
                Err(CopyError::Differs { .. }) => differ += 1,
                Err(error) => panic!("{error}"),
                Ok(()) => {
                    let verdict = watcher.into_validator().report(None).verdict;
                    let Verdict::Inconclusive { why } = verdict else { panic!("it holds") };
                    assert!(why.contains("the chain is broken"), "{why}");
                    broken += 1;
                }
            }
        }
    }
    assert!(differ > 0 && broken > 0, "{differ} differ, {broken} are broken");
}

/// Answers each connection with these bytes, and then keeps it open.
fn peer(bytes: Vec<u8>, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            // The copies may have closed the connection.
            let _ = stream.write_all(&bytes);
            if !closes {
                open.push(stream);
            }
        }
    });
    address
}

#[test]
fn garbage_peers_are_named() {
    let hello = *b"PAXSTR\x01\x00";
    let reply = |bytes: &[u8]| [&hello[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let listing = |names: [u8; 2]| {
        // Two files of node 1, start 1, nonce 0: the number of the file, the length 0, and not given up.
        let file = |name| [1, 1, 0, name, 0, 0];
        reply(&[&[0, 2][..], &file(names[0]), &file(names[1]), &[0]].concat())
    };
    let cases: [(Vec<u8>, &str); 8] = [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "does not answer as `paxos-conformance stream`",
        ),
        (b"PAXSTR\x09\x00".to_vec(), "has version 9 of the protocol; this program has version 1"),
        ([&hello[..], &[0xff; 4]].concat(), "claims 4294967295 bytes; the most is 1048576"),
        (reply(&[9; 30]), "a message of 30 bytes has no meaning"),
        (reply(&[]), "a message of 0 bytes has no meaning"),
        (reply(&[3]), "a reply has that a file is missing, which was not asked for"),
        (listing([1, 0]), "its files are in no order"),
        (listing([0, 0]), "its files are in no order"),
    ];
    for (bytes, expected) in cases {
        let directory = tempfile::tempdir().expect("a directory");
        let mut copies =
            Copies::open(directory.path(), &[peer(bytes, false)], SMALL).expect("it is new");
        let error = copies.pull().expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A peer that is silent, that stops in the middle, or that closes the connection is tried again.
#[test]
fn silent_peers_do_not_hold_up_a_watch() {
    let cases: [(&[u8], bool); 5] = [
        (b"", false),
        (b"PAX", false),
        (b"PAXSTR\x01\x00", false),
        (b"PAXSTR\x01\x00\x09\x00", true),
        (b"", true),
    ];
    for (bytes, closes) in cases {
        let directory = tempfile::tempdir().expect("a directory");
        let limits = Limits { patience: Duration::from_millis(100), ..SMALL };
        let address = peer(bytes.to_vec(), closes);
        let mut copies = Copies::open(directory.path(), &[address], limits).expect("it is new");
        for _ in 0..2 {
            assert_eq!(copies.pull().expect("it is tried again"), Pulled::Only([].into()));
            let (lost, reason) = copies.unreachable().next().expect("it is not reached");
            assert!(lost == address && !reason.is_empty(), "{bytes:?}");
        }
    }
}

/// Clients that send garbage lose their connection. Other clients are served.
#[test]
fn garbage_clients_are_dropped() {
    let machines = Machines::new(1);
    record(19, 1, &machines.all());
    let server = Served::new(&machines.all());
    let oversized = [&b"PAXSTR\x01\x00"[..], &[0xff; 4]].concat();
    let meaningless = [&b"PAXSTR\x01\x00"[..], &[1, 0, 0, 0, 77]].concat();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &oversized, &meaningless] {
        let mut stream = TcpStream::connect(server.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(bytes).expect("it listens");
        let mut answer = Vec::new();
        // The server closes the connection. It may have unread bytes, so that the system resets the connection.
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    let copies = machines.open(std::slice::from_ref(&server), Limits::default());
    let report = finish(copies, Watcher::new(&machines.copies()));
    assert_eq!(report.verdict, Verdict::Holds, "{report}");
}

/// A process that copies ends, and another one goes on with its copies.
#[test]
fn copies_are_continued() {
    let machines = Machines::new(2);
    record(19, 3, &machines.all());
    machines.distribute();
    let servers = machines.serve();
    let mut copies = machines.open(&servers, SMALL);
    assert_ne!(copies.pull().expect("the servers are right"), Pulled::All);
    let busy = Copies::open(&machines.copies(), &[servers[0].address], SMALL);
    assert!(matches!(busy, Err(CopyError::InUse(_))), "{busy:?}");
    drop(copies);
    let copies = machines.open(&servers, SMALL);
    let report = finish(copies, Watcher::new(&machines.copies()));
    same(&report, &validate(&machines.all()));
}

/// Copies the recordings of two machines, changes something, and returns the error of the next process.
fn error_after(change: impl FnOnce(&Machines, &mut Vec<Served>)) -> String {
    let machines = Machines::new(2);
    record(19, 3, &machines.all());
    machines.distribute();
    let mut servers = machines.serve();
    let copies = machines.open(&servers, Limits::default());
    finish(copies, Watcher::new(&machines.copies()));
    change(&machines, &mut servers);
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let copies = Copies::open(&machines.copies(), &addresses, Limits::default());
    let error = copies.and_then(|mut copies| copies.pull()).expect_err("it is noticed");
    error.to_string()
}

fn change_byte(path: &Path, place: usize) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[place] ^= 1;
    fs::write(path, bytes).expect("there is room");
}

type Change = fn(&Machines);

fn first(directory: &Path) -> PathBuf {
    files(directory).into_iter().next().expect("a file")
}

fn last(directory: &Path) -> PathBuf {
    files(directory).into_iter().next_back().expect("a file")
}

#[test]
fn copies_that_do_not_fit_their_servers_are_refused() {
    let cases: [(&str, Change); 7] = [
        ("bytes before byte", |machines| change_byte(&first(&machines.copies()), 100)),
        ("bytes before byte", |machines| change_byte(&first(&machines.machine(1)), 100)),
        ("the recording has shrunk", |machines| {
            let file = OpenOptions::new().write(true).open(first(&machines.machine(0)));
            file.expect("a file").set_len(100).expect("a file");
        }),
        ("any more, and its copy may not be complete", |machines| {
            fs::remove_file(last(&machines.machine(0))).expect("a file");
        }),
        ("both have recordings of node", |machines| {
            let file = last(&machines.machine(0));
            let name = file.file_name().expect("a name");
            fs::copy(&file, machines.machine(1).join(name)).expect("there is room");
        }),
        ("and no address has", |machines| {
            fs::remove_dir_all(machines.machine(0)).expect("a directory");
        }),
        ("that were not copied from streams", |machines| {
            fs::remove_file(machines.copies().join("copied-from-streams")).expect("a file");
        }),
    ];
    for (expected, change) in cases {
        let error = error_after(|machines, _| change(machines));
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let error = error_after(|_, servers| drop(servers.pop()));
    assert!(error.contains("and no address has"), "{error}");
}

/// The same, while the process that copies runs.
#[test]
fn a_recording_that_changes_while_it_is_copied_is_refused() {
    for shrinks in [true, false] {
        let machines = Machines::new(1);
        record(19, 1, &machines.all());
        machines.distribute();
        let servers = machines.serve();
        let mut copies = machines.open(&servers, Limits::default());
        assert_eq!(copies.pull().expect("the server is right"), Pulled::All);
        let file = files(&machines.machine(0)).pop().expect("a file");
        let length = fs::metadata(&file).expect("a file").len();
        if shrinks {
            let opened = OpenOptions::new().write(true).open(&file).expect("a file");
            opened.set_len(length - 1).expect("a file");
        } else {
            change_byte(&file, length as usize - 1);
            let mut opened = OpenOptions::new().append(true).open(&file).expect("a file");
            opened.write_all(b"more").expect("there is room");
        }
        let error = copies.pull().expect_err("it is noticed").to_string();
        let expected = if shrinks { "has shrunk" } else { "bytes before byte" };
        assert!(error.contains(expected), "{error}");
    }
}

/// A node gives up its recording, which its copy shows as well.
#[test]
fn a_recording_that_is_given_up() {
    let machines = Machines::new(1);
    let mut node = Recorded::new(&machines, NodeId(1));
    node.campaigns();
    let servers = machines.serve();
    let mut copies = machines.open(&servers, SMALL);
    let mut watcher = Watcher::new(&machines.copies());
    look(&mut copies, &mut watcher).expect("no contradiction");
    node.recorder.give_up();
    look(&mut copies, &mut watcher).expect("no contradiction");
    let report = watcher.into_validator().report(None);
    assert!(report.doubts[0].contains("could not write its recording any more"), "{report}");
    same(&report, &validate(&machines.machine(0)));
    drop(copies);
    let mut copies = machines.open(&servers, SMALL);
    assert_eq!(copies.pull().expect("the copy is complete"), Pulled::All);
    let lengths = |directory: &Path| -> BTreeMap<_, _> {
        let entry = |path: PathBuf| {
            let length = fs::metadata(&path).expect("a file").len();
            (path.file_name().expect("a name").to_owned(), length)
        };
        files(directory).into_iter().map(entry).collect()
    };
    assert_eq!(lengths(&machines.copies()), lengths(&machines.machine(0)));
}
