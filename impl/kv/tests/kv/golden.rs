//! Golden files: the exact answers of Redis, and the answers that only this store gives.
//!
//! The test sends a line `> …` as it is, with an end of line. It resolves the escapes of a line `>> …`, and sends it
//! without an end of line. The next line is the answer. Each headline begins a new connection with an empty store.

use std::{fmt::Write as _, io::Read as _, io::Write as _, net::TcpStream, time::Duration};

use bytes::Bytes;
use expect_test::expect_file;

use crate::session::Session;

const REDIS: &str = include_str!("redis.txt");

#[test]
fn answers_equal_those_of_redis() {
    let ours = replayed(REDIS, &mut Ours(Session::new()));
    let differ =
        ours.lines().zip(REDIS.lines()).enumerate().filter(|(_, (ours, redis))| ours != redis);
    let differ = differ.map(|(line, (ours, redis))| format!("{}\n  {ours}\n  {redis}", line + 1));
    assert_eq!(differ.collect::<Vec<_>>().join("\n"), "", "line, ours, theirs");
    assert_eq!(ours, REDIS);
}

#[test]
fn answers_that_redis_does_not_give() {
    let ours = replayed(include_str!("ours.txt"), &mut Ours(Session::new()));
    expect_file!["ours.txt"].assert_eq(&ours);
}

/// Records the answers of a Redis 7 that was started with `--databases 1`. It empties that Redis.
///
/// ```text
/// REDIS=127.0.0.1:6379 cargo test --test kv -- --ignored record
/// ```
#[test]
#[ignore = "needs a Redis, and writes redis.txt"]
fn record() {
    let address = std::env::var("REDIS").expect("REDIS=host:port");
    let answers = replayed(REDIS, &mut Theirs { stream: connect(&address), address });
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kv/redis.txt"), answers).unwrap();
}

/// A server that answers the requests of a golden file.
trait Server {
    /// Empties the store, and forgets the client.
    fn begin(&mut self);
    /// Sends bytes. Returns the answer, and true if the server has closed the connection.
    fn send(&mut self, bytes: &[u8]) -> (Vec<u8>, bool);
}

/// Returns the lines of a golden file with the answers of this server.
fn replayed(script: &str, server: &mut impl Server) -> String {
    let mut answers = String::new();
    for line in script.lines() {
        let bytes = if let Some(line) = line.strip_prefix(">> ") {
            unescaped(line)
        } else if let Some(line) = line.strip_prefix("> ") {
            format!("{line}\r\n").into()
        } else {
            if line.starts_with('#') {
                server.begin();
            }
            if line.starts_with('#') || line.is_empty() {
                writeln!(answers, "{line}").unwrap();
            }
            continue;
        };
        let (answer, closed) = server.send(&bytes);
        let closed = if closed { " closed" } else { "" };
        let answer = if answer.is_empty() { "nothing".into() } else { shown(&answer) };
        writeln!(answers, "{line}\n{answer}{closed}").unwrap();
    }
    answers
}

/// Escapes bytes into one line, and leaves quotes as they are.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let [byte, after @ ..] = rest {
        let (byte, after) = match (byte, after) {
            (b'\\', [b'r', after @ ..]) => (b'\r', after),
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [b'0', after @ ..]) => (0, after),
            (byte, after) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

struct Ours(Session);

impl Server for Ours {
    fn begin(&mut self) {
        self.0 = Session::new();
    }

    fn send(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let answer = self.0.send(bytes).to_vec();
        let closed = self.0.closed;
        if closed {
            // A client that is disconnected connects again, and finds the same store.
            let kv = std::mem::take(&mut self.0.kv);
            self.0 = Session::new();
            self.0.kv = kv;
        }
        (answer, closed)
    }
}

struct Theirs {
    address: String,
    stream: TcpStream,
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    stream
}

impl Server for Theirs {
    fn begin(&mut self) {
        self.stream = connect(&self.address);
        assert_eq!(self.send(b"FLUSHALL\r\n").0, b"+OK\r\n");
    }

    fn send(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        self.stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let closed = self.stream.read_to_end(&mut answer).is_ok();
        if closed {
            self.stream = connect(&self.address);
        }
        (answer, closed)
    }
}

/// Many requests in one piece are answered one by one.
#[test]
fn a_pipeline_is_answered_in_order() {
    let mut session = Session::new();
    let pipeline = "INCR n\r\n".repeat(1000);
    let answers: String =
        (1..=1000).flat_map(|number| [":".into(), number.to_string(), "\r\n".into()]).collect();
    assert_eq!(session.send(pipeline.as_bytes()), answers);
    let names: Vec<Bytes> = session.kv.store().iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(names, ["n"]);
}
