//! Large requests, many requests at once, requests of another protocol, and the limit on clients.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use super::{
    clients::{Connection, Reply},
    cluster::Cluster,
    process::{PATIENCE, eventually, run},
    storm::seed,
};

fn cluster(nodes: u32, flags: &[&str]) -> Cluster {
    Cluster::formed(nodes, seed(), |_| flags.iter().copied().map(str::to_owned).collect())
}

/// Sends bytes at once, and returns all that comes back until the server ends the connection.
fn conversation(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the node listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(bytes).expect("the server reads all of it");
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).expect("the server ends the connection");
    answers
}

/// The answers to a pipeline are the same as if the client sent each request after the answer to the previous request. Reads
/// between writes cost no round of their own.
#[test]
fn a_pipeline_is_answered_like_its_requests_one_by_one() {
    let cluster = cluster(1, &[]);
    let requests = [
        "FLUSHALL",
        "SET a 1",
        "GET a",
        "INCR a",
        "GET a",
        "MGET a b",
        "PING",
        "APPEND a 0",
        "GET a",
        "STRLEN a",
        "KEYS *",
        "DEL a",
        "GET a",
        "MULTI",
        "SET a 5",
        "GET a",
        "EXEC",
        "GET a",
        "MULTI",
        "GET a",
        "EXEC",
        "SET a 6 GET",
        "GETRANGE a 0 0",
        "INCRBY a x",
        "GET a",
        "NOPE",
        "SET b 1",
        "EXISTS a b",
        "FLUSHALL",
        "GET a",
        "DBSIZE",
    ];
    let requests = requests.map(|request| request.split(' ').collect::<Vec<_>>());
    let mut node = cluster.connect(1).expect("it serves");
    let one_by_one: Vec<_> =
        requests.iter().map(|request| node.ask(request).expect("an answer")).collect();
    assert_eq!(node.ask_all(&requests).expect("answers"), one_by_one);

    let applied = || {
        cluster.info(1).expect("it answers")["paxos_applied_below"]
            .parse::<u64>()
            .expect("a number")
    };
    let (before, pairs) = (applied(), 1000);
    let alternating: Vec<_> =
        (0..pairs).flat_map(|_| [vec!["INCR", "n"], vec!["GET", "n"]]).collect();
    let answers = node.ask_all(&alternating).expect("answers");
    for (number, pair) in (1..).zip(answers.chunks(2)) {
        assert_eq!(pair, [Reply::Integer(number), Reply::Bulk(number.to_string())]);
    }
    let entries = applied() - before;
    assert!(entries <= pairs / 10, "{entries} entries for {pairs} pairs");
}

/// Answers that together exceed the memory of a connection are computed and written one after the other.
#[test]
fn long_answers_take_little_memory() {
    let cluster = cluster(1, &[]);
    let mut node = cluster.connect(1).expect("it serves");
    let value = "x".repeat(4 << 20);
    node.ask(&["SET", "big", &value]).expect("an answer");
    let answers = node.ask_all(&vec![vec!["GET", "big"]; 50]).expect("answers");
    assert!(answers.iter().all(|answer| *answer == Reply::Bulk(value.clone())));
    let answers = node.ask_all(&vec![vec!["SET", "big", "x", "NX", "GET"]; 50]).expect("answers");
    assert!(answers.iter().all(|answer| *answer == Reply::Bulk(value.clone())));
    let process = cluster.info(1).expect("it answers")["process_id"].clone();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    let peak: u64 = peak.and_then(|kib| kib.trim().parse().ok()).expect("a number of KiB");
    assert!(peak < 150 << 10, "{peak} KiB");
}

/// The client of a request that is too long gets the error, although it sends the whole request before it reads.
#[test]
fn a_request_that_is_too_long_is_answered() {
    let cluster = cluster(1, &[]);
    let value = "x".repeat((8 << 20) + 1);
    let request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len());
    let answer = conversation(cluster.client_address(1), request.as_bytes());
    assert_eq!(
        answer,
        b"-ERR Protocol error: invalid bulk length\r\n",
        "{}",
        answer.escape_ascii()
    );
}

/// A web page can make a browser send a request to any port. No line of such a request runs as a command.
#[test]
fn an_http_request_runs_no_commands() {
    let cluster = cluster(1, &[]);
    let mut node = cluster.connect(1).expect("it serves");
    node.ask(&["SET", "a", "1"]).expect("an answer");
    for request in [
        "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nFLUSHALL\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nFLUSHALL\r\n",
        "SET a 2\r\nPOST / HTTP/1.1\r\nFLUSHALL\r\n",
    ] {
        let answer = conversation(cluster.client_address(1), request.as_bytes());
        assert_eq!(answer, b"", "{}", answer.escape_ascii());
        assert_eq!(node.ask(&["GET", "a"]).expect("an answer"), Reply::Bulk("1".to_owned()));
    }
}

#[test]
fn a_client_beyond_the_limit_gets_an_error() {
    let cluster = cluster(1, &["--clients-max", "3"]);
    let address = cluster.client_address(1);
    let mut clients: Vec<_> = (0..3).map(|_| Connection::open(address).expect("a place")).collect();
    eventually("the connections before have ended", || {
        clients.iter_mut().all(|client| {
            let has_place = matches!(client.ask(&["PING"]), Ok(Reply::Simple(_)));
            if !has_place {
                *client = Connection::open(address).expect("the node listens");
            }
            has_place
        })
    });
    let status = run(["status", &address.to_string()]);
    assert_eq!(status.code, Some(3), "{status:?}");
    assert!(status.output.contains("ERR max number of clients reached"), "{status:?}");
    drop(clients.pop());
    eventually("a further client is accepted again", || {
        let reply = Connection::open(address).and_then(|mut client| client.ask(&["PING"]));
        matches!(reply, Ok(Reply::Simple(_)))
    });
}

/// Idle clients take no descriptors that peers need.
#[test]
fn idle_clients_do_not_disconnect_peers() {
    let mut cluster = Cluster::new(3, seed(), |_| Vec::new());
    cluster.before = "ulimit -n 64";
    cluster.start_all();
    cluster.wait_for_leader();
    let mut old: Vec<_> = cluster.ids().map(|id| cluster.connect(id).expect("a place")).collect();
    for client in &mut old {
        eventually("it writes", || matches!(client.ask(&["SET", "k", "1"]), Ok(Reply::Simple(_))));
    }
    let idle: Vec<_> = cluster
        .ids()
        .flat_map(|id| vec![cluster.client_address(id); 100])
        .map(|address| TcpStream::connect(address).expect("it listens"))
        .collect();
    assert!(cluster.ids().all(|id| cluster.process(id).log().contains("allows fewer clients")));
    // Each node has to connect to its peers again, one after the other.
    for id in cluster.ids() {
        cluster.kill(id);
        cluster.start(id);
        let other = &mut old[(id % 3) as usize];
        eventually("a client of another node writes", || {
            matches!(other.ask(&["SET", "k", "2"]), Ok(Reply::Simple(_)))
        });
        let mut own = cluster.connect(id).expect("it has places");
        eventually("it takes part", || matches!(own.ask(&["SET", "k", "3"]), Ok(Reply::Simple(_))));
        old[id as usize - 1] = own;
    }
    drop(idle);
}
