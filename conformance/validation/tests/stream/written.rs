//! When a watch decides that a message was never sent: recordings that the tests write step by step.

use super::{
    recorded::{FOUR, NODES, Others, Recorded, learn, look, prepare},
    *,
};

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
