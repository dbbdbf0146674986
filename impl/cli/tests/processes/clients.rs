//! Clients: a connection with the protocol of Redis, and a workload of many clients.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use super::{
    cluster::Addresses,
    history::{Answer, Clock, Operation, Request},
    process,
};

/// The time that a client of a storm waits for an answer. The client then asks again, or asks another node, and does not read
/// the late answer.
const BRIEF: Duration = Duration::from_secs(3);

/// A reply of the kinds that these tests need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(u64),
    Bulk(String),
    Null,
    Array(Vec<Reply>),
}

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Returns a connection that waits for an answer for as long as one may take on a busy machine.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        Self::open_for(address, process::PATIENCE)
    }

    /// Returns a connection that gives up soon, because the node may be paused or cut off.
    fn open_briefly(address: SocketAddr) -> io::Result<Self> {
        Self::open_for(address, BRIEF)
    }

    fn open_for(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn ask<A: AsRef<str>>(&mut self, arguments: &[A]) -> io::Result<Reply> {
        self.send(arguments)?;
        self.read()
    }

    /// Sends several requests before it reads the first answer.
    pub(crate) fn ask_all(&mut self, requests: &[Vec<&str>]) -> io::Result<Vec<Reply>> {
        let all: String = requests.iter().map(|request| encoded(request)).collect();
        self.stream.get_mut().write_all(all.as_bytes())?;
        requests.iter().map(|_| self.read()).collect()
    }

    fn send<A: AsRef<str>>(&mut self, arguments: &[A]) -> io::Result<()> {
        self.stream.get_mut().write_all(encoded(arguments).as_bytes())
    }

    fn read(&mut self) -> io::Result<Reply> {
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "not a reply");
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
        let number = || rest.parse::<u64>().map_err(|_| odd());
        Ok(match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()?),
            "$" if rest == "-1" => Reply::Null,
            "$" => {
                let mut text = vec![0; number()? as usize + 2];
                self.stream.read_exact(&mut text)?;
                text.truncate(text.len() - 2);
                Reply::Bulk(String::from_utf8(text).map_err(|_| odd())?)
            }
            "*" => Reply::Array((0..number()?).map(|_| self.read()).collect::<Result<_, _>>()?),
            _ => return Err(odd()),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

fn encoded<A: AsRef<str>>(arguments: &[A]) -> String {
    let mut request = format!("*{}\r\n", arguments.len());
    for argument in arguments.iter().map(AsRef::as_ref) {
        write!(request, "${}\r\n{argument}\r\n", argument.len()).expect("memory");
    }
    request
}

impl Request {
    fn arguments<'a>(&'a self, key: &'a str) -> Vec<&'a str> {
        match self {
            Self::Get => vec!["GET", key],
            Self::Set(value) => vec!["SET", key, value],
            Self::Swap(value) => vec!["SET", key, value, "GET"],
            Self::Append(end) => vec!["APPEND", key, end],
            Self::Increment => vec!["INCR", key],
        }
    }
}

impl Reply {
    /// Returns true if this is an error that begins with `word`.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Error(text) if text.starts_with(word))
    }

    /// Returns the answer for a history, or `None` if the outcome of the request is unknown.
    pub(crate) fn answer(self) -> Option<Answer> {
        match self {
            Self::Simple(word) if word == "OK" => Some(Answer::Done),
            Self::Integer(number) => Some(Answer::Number(number)),
            Self::Bulk(text) => Some(Answer::Value(Some(text))),
            Self::Null => Some(Answer::Value(None)),
            Self::Error(_) if self.is("MAYBE ") || self.is("CLUSTERDOWN ") => None,
            other => panic!("no request of these clients is answered with {other:?}"),
        }
    }
}

/// The operations on each key.
pub(crate) type History = BTreeMap<String, Vec<Operation>>;

/// Clients that send one request after the other, to any node. Every other client has a session, and retries each
/// write until there is an answer.
pub(crate) struct Workload {
    pub(crate) clock: Clock,
    over: Arc<AtomicBool>,
    asked_again: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<(String, Operation)>>>,
}

impl Workload {
    pub(crate) fn start(addresses: &Addresses, clients: u64, seed: u64) -> Self {
        let (clock, over, keys) = (Clock::default(), Arc::default(), Arc::<Keys>::default());
        let asked_again = Arc::default();
        let client = |number| {
            let client = Client {
                number,
                addresses: Arc::clone(addresses),
                clock: clock.clone(),
                over: Arc::clone(&over),
                session: (number % 2 == 0).then(Session::default),
                asked_again: Arc::clone(&asked_again),
                keys: Arc::clone(&keys),
                random: ChaCha8Rng::seed_from_u64(seed.wrapping_add(number)),
                done: Vec::new(),
            };
            thread::spawn(move || client.work())
        };
        let clients = (1..=clients).map(client).collect();
        Self { clock, over, asked_again, clients }
    }

    /// Stops the clients, and returns the history of all.
    pub(crate) fn finish(mut self) -> History {
        self.over.store(true, Ordering::Relaxed);
        let mut history = History::new();
        for client in self.clients.drain(..) {
            for (key, operation) in client.join().expect("a client does not panic") {
                history.entry(key).or_default().push(operation);
            }
        }
        let asked_again = self.asked_again.load(Ordering::Relaxed);
        println!("clients retried {asked_again} times");
        assert!(asked_again > 0, "no client has retried");
        history
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A client's session with the cluster.
#[derive(Default)]
struct Session {
    /// `None` until the session is open.
    id: Option<String>,
    next: u64,
}

struct Client {
    number: u64,
    session: Option<Session>,
    asked_again: Arc<AtomicU64>,
    addresses: Addresses,
    clock: Clock,
    over: Arc<AtomicBool>,
    keys: Arc<Keys>,
    random: ChaCha8Rng,
    done: Vec<(String, Operation)>,
}

impl Client {
    fn work(mut self) -> Vec<(String, Operation)> {
        let mut connection = None;
        while !self.over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_micros(self.random.random_range(0..5000)));
            // The client changes its node now and then, so that the history compares answers of different nodes.
            if self.random.random_ratio(1, 8) {
                connection = None;
            }
            if connection.is_none() {
                let address = self.any_address();
                connection = address.and_then(|address| Connection::open_briefly(address).ok());
            }
            if let Some(open) = &mut connection
                && !self.ask_once(open)
            {
                connection = None;
            }
        }
        self.done
    }

    fn any_address(&mut self) -> Option<SocketAddr> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = addresses.values().copied().collect();
        drop(addresses);
        all.choose(&mut self.random).copied()
    }

    /// Sends a request, and records the operation. Returns true if there was an answer. Without a session, a
    /// request without an answer is not retried, because it may have taken effect.
    fn ask_once(&mut self, connection: &mut Connection) -> bool {
        let key = self.keys.any(&mut self.random);
        let request = self.request(&key);
        let invoked = self.clock.tick();
        let answer = if self.session.is_some() && request != Request::Get {
            Some(self.insist(connection, &request.arguments(&key)))
        } else {
            let reply = connection.ask(&request.arguments(&key));
            if reply.as_ref().is_ok_and(|reply| reply.is("CLUSTERDOWN ")) {
                return false; // Not recorded: it must have no effect. If it has one, the check finds a value without a request.
            }
            reply.ok().and_then(Reply::answer)
        };
        let returned = self.clock.tick();
        let answered = answer.is_some();
        if !answered {
            self.keys.has_doubt(&key);
        }
        if answered || request != Request::Get {
            let returned = answer.map(|answer| (returned, answer));
            self.done.push((key, Operation { request, invoked, returned }));
        }
        answered
    }

    /// Sends a write in the client's session, and retries it until there is an answer. Opens the session if it is
    /// not open.
    fn insist(&mut self, connection: &mut Connection, arguments: &[&str]) -> Answer {
        let Session { id, next } = self.session.take().unwrap_or_default();
        let id =
            id.unwrap_or_else(|| match self.until_answered(connection, &["PAXOS", "SESSION"]) {
                Answer::Number(id) => id.to_string(),
                other => panic!("a session is not called {other:?}"),
            });
        let number = next.to_string();
        let once = ["PAXOS", "ONCE", &id, &number, &number];
        let answer = self.until_answered(connection, &[&once, arguments].concat());
        self.session = Some(Session { id: Some(id), next: next + 1 });
        answer
    }

    /// Sends a request to this node and then to others, until there is an answer. Sometimes the client leaves a node
    /// without waiting for the answer.
    fn until_answered(&mut self, connection: &mut Connection, request: &[&str]) -> Answer {
        let begun = Instant::now();
        loop {
            let reply = if self.random.random_ratio(1, 4) {
                connection.send(request).map(|()| None)
            } else {
                connection.ask(request).map(Reply::answer)
            };
            if let Ok(Some(answer)) = reply {
                return answer;
            }
            self.asked_again.fetch_add(1, Ordering::Relaxed);
            // The old connection is dropped, because a late answer may come on it.
            *connection = loop {
                assert!(begun.elapsed() < process::PATIENCE * 2, "no answer to {request:?}");
                thread::sleep(Duration::from_millis(self.random.random_range(0..50)));
                if let Some(Ok(other)) = self.any_address().map(Connection::open_briefly) {
                    break other;
                }
            };
        }
    }

    /// Returns a random request that fits the kind of the key. Values are unique.
    fn request(&mut self, key: &str) -> Request {
        let value = format!("{}.{};", self.number, self.done.len());
        let choice = self.random.random_range(0..3);
        match (&key[..1], choice) {
            (_, 0) => Request::Get,
            ("n", _) => Request::Increment,
            ("t", _) => Request::Append(value),
            (_, 1) => Request::Swap(value),
            _ => Request::Set(value),
        }
    }
}

/// The keys in use. Each key is replaced after a number of operations, so that its history stays short enough to check.
#[derive(Default)]
struct Keys(Mutex<Window>);

#[derive(Default)]
struct Window {
    open: Vec<(String, Use)>,
    next: u64,
}

#[derive(Default)]
struct Use {
    operations: u32,
    /// The number of operations without an answer. The check has to try each such operation with and without its effect.
    doubts: u32,
}

impl Keys {
    const OPEN: usize = 4;
    const OPERATIONS_MAX: u32 = 48;
    const DOUBTS_MAX: u32 = 4;

    fn any(&self, random: &mut ChaCha8Rng) -> String {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.open.retain(|(_, used)| {
            used.operations < Self::OPERATIONS_MAX && used.doubts < Self::DOUBTS_MAX
        });
        while window.open.len() < Self::OPEN {
            let kind = ["number", "text", "register"][window.next as usize % 3];
            let key = format!("{kind}:{}", window.next);
            window.open.push((key, Use::default()));
            window.next += 1;
        }
        let (key, used) = &mut window.open[random.random_range(0..Self::OPEN)];
        used.operations += 1;
        key.clone()
    }

    fn has_doubt(&self, key: &str) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, used) in window.open.iter_mut().filter(|(open, _)| open == key) {
            used.doubts += 1;
        }
    }
}
