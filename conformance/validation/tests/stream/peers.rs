//! Bytes that change on the way, and peers that send garbage.

use super::{recorded::Recorded, *};

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
