//! Requests that are as expensive as the limits allow. Clients that know the limits compose such requests at random, while
//! other clients measure the time that they wait for small requests.
//!
//! The nodes have little memory. No request may end a node. `PAXOS_EXPENSIVE_SECONDS` makes the run longer.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use super::{clients::Reply, cluster::Cluster, process::eventually, storm::seed};

/// The memory of a node, in bytes.
const MEMORY_MAX: u64 = 1 << 30;
/// The limit on the keys and values of a node, in bytes.
const STATE_MAX: u64 = 128 << 20;
/// The length of the longest value and of the longest request, in bytes.
const VALUE_MAX: usize = 8 << 20;
/// The number of clients with expensive requests.
const CLIENTS: u64 = 8;
/// The pause between two measurements.
const PROBE_PAUSE: Duration = Duration::from_millis(20);
fn duration() -> Duration {
    let seconds = env::var("PAXOS_EXPENSIVE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(8, |seconds| seconds.parse().expect("a number of seconds")))
}

/// Requests as bytes.
#[derive(Default)]
struct Requests(Vec<u8>);

impl Requests {
    fn push<T: AsRef<[u8]>>(&mut self, arguments: impl IntoIterator<Item = T>) {
        let arguments: Vec<_> = arguments.into_iter().collect();
        self.0.extend(format!("*{}\r\n", arguments.len()).into_bytes());
        for argument in &arguments {
            let argument = argument.as_ref();
            self.0.extend(format!("${}\r\n", argument.len()).into_bytes());
            self.0.extend(argument);
            self.0.extend(b"\r\n");
        }
    }
}

/// A client that composes expensive requests.
struct Attacker<'a> {
    random: ChaCha8Rng,
    addresses: &'a [SocketAddr],
    mix: Mix,
    goes_on: &'a AtomicBool,
    sent: &'a AtomicUsize,
}

/// The requests from which clients choose.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mix {
    /// All requests that are expensive in some way.
    All,
    /// Writes of large values, by clients that do not wait for the answer.
    LargeValues,
}

impl Attacker<'_> {
    fn run(mut self) {
        while self.goes_on.load(Ordering::Relaxed) {
            // A connection that breaks is expected: some requests are refused that way.
            let _ = self.attack();
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn attack(&mut self) -> io::Result<()> {
        let address = *self.addresses.choose(&mut self.random).expect("nodes");
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut requests = Requests::default();
        match self.random.random_range(0..6) {
            _ if self.mix == Mix::LargeValues => {
                requests.push([
                    b"SET".to_vec(),
                    self.key().into_bytes(),
                    vec![b'x'; VALUE_MAX / 2],
                ]);
            }
            0 => self.transaction(&mut requests),
            1 => (0..self.random.random_range(1..1000)).for_each(|_| self.cheap(&mut requests)),
            2 => (0..self.random.random_range(1..20)).for_each(|_| self.expensive(&mut requests)),
            3 => self.large(&mut requests),
            4 => {
                // The client sends a part of a request, and then nothing.
                self.large(&mut requests);
                let part = self.random.random_range(0..requests.0.len());
                requests.0.truncate(part);
            }
            _ => {
                for _ in 0..self.random.random_range(1..50) {
                    self.cheap(&mut requests);
                    self.expensive(&mut requests);
                }
            }
        }
        stream.write_all(&requests.0)?;
        let patience = Duration::from_millis(self.random.random_range(1..2000));
        thread::sleep(if self.random.random_ratio(1, 4) { patience } else { Duration::ZERO });
        // Some clients read all answers, others disconnect before.
        stream.set_read_timeout(Some(patience))?;
        let (mut piece, mut pieces) = (vec![0; 1 << 16], self.random.random_range(0..10_000));
        while pieces > 0 && self.goes_on.load(Ordering::Relaxed) && stream.read(&mut piece)? > 0 {
            pieces -= 1;
        }
        Ok(())
    }

    fn key(&mut self) -> String {
        format!("key:{}", self.random.random_range(0..20))
    }

    fn value(&mut self) -> Vec<u8> {
        let most = *[10, 1000, 100_000, 1 << 20, VALUE_MAX, VALUE_MAX + 10]
            .choose(&mut self.random)
            .expect("some");
        vec![b'x'; self.random.random_range(most / 2..=most)]
    }

    fn large(&mut self, requests: &mut Requests) {
        let (key, value) = (self.key().into_bytes(), self.value());
        let word =
            *["SET", "APPEND", "GETSET", "SETNX", "ECHO"].choose(&mut self.random).expect("some");
        requests.push(if word == "ECHO" {
            vec![word.into(), value]
        } else {
            vec![word.as_bytes().to_vec(), key, value]
        });
    }

    /// Adds a request that is short, with an answer that may be long.
    fn cheap(&mut self, requests: &mut Requests) {
        let key = self.key();
        let key = key.as_str();
        requests.push(match self.random.random_range(0..9) {
            0 => vec!["GET", key],
            1 => vec!["SET", key, "x", "NX", "GET"],
            2 => vec!["APPEND", key, "x"],
            3 => vec!["GETRANGE", key, "0", "-2"],
            4 => vec!["INCR", "number"],
            5 => vec!["SET", key, "short"],
            6 => vec!["STRLEN", key],
            7 => vec!["DEL", key],
            _ => vec!["GETDEL", key],
        });
    }

    fn expensive(&mut self, requests: &mut Requests) {
        match self.random.random_range(0..8) {
            0 => requests.push(["KEYS", "*"]),
            1 => requests
                .push(["KEYS".to_owned(), "*a?[b-z]".repeat(self.random.random_range(1..5000))]),
            2 => requests.push(["SCAN", "0", "COUNT", "1000000000", "MATCH", "*1*2*3*"]),
            3 => {
                let keys = self.random.random_range(1..30_000);
                let word = *["MGET", "DEL", "EXISTS"].choose(&mut self.random).expect("some");
                let keys = (0..keys).map(|key| format!("small:{key}"));
                requests.push([word.to_owned()].into_iter().chain(keys));
            }
            4 => {
                let (keys, first) =
                    (self.random.random_range(1..30_000), self.random.random_range(0..100_000));
                let pairs =
                    (first..first + keys).flat_map(|key| [format!("small:{key}"), key.to_string()]);
                requests.push(["MSET".to_owned()].into_iter().chain(pairs));
            }
            5 => {
                let keys: Vec<_> =
                    (0..self.random.random_range(1..30)).map(|_| self.key()).collect();
                requests.push(["MGET".to_owned()].into_iter().chain(keys));
            }
            6 if self.random.random_ratio(1, 20) => requests.push(["FLUSHALL"]),
            _ => self.large(requests),
        }
    }

    fn transaction(&mut self, requests: &mut Requests) {
        requests.push(["MULTI"]);
        let steps = self.random.random_range(1..3000);
        for _ in 0..steps {
            if self.random.random_ratio(1, 300) {
                self.expensive(requests);
            } else {
                self.cheap(requests);
            }
        }
        requests.push(["EXEC"]);
    }
}

/// Runs a client with small requests. Returns the time that each took.
fn probe(address: SocketAddr, goes_on: &AtomicBool) -> Vec<Duration> {
    let mut waits = Vec::new();
    let connect = || super::clients::Connection::open(address).expect("a place for a client");
    let mut connection = connect();
    while goes_on.load(Ordering::Relaxed) {
        let start = Instant::now();
        for request in [&["SET", "probe", "x"][..], &["GET", "probe"]] {
            match connection.ask(request) {
                // The state may be full, or a FLUSHALL may have removed the key.
                Ok(Reply::Simple(_) | Reply::Bulk(_) | Reply::Null) => {}
                Ok(reply) if reply.is("OOM") => {}
                other => panic!("after {} ms: {other:?}", start.elapsed().as_millis()),
            }
        }
        waits.push(start.elapsed());
        thread::sleep(PROBE_PAUSE);
    }
    waits
}

/// Returns the peak memory of a node in bytes.
fn memory_peak(cluster: &Cluster, id: u32) -> u64 {
    let process = cluster.info(id).expect("it answers")["process_id"].clone();
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    peak.and_then(|kib| kib.trim().parse::<u64>().ok()).expect("a number of KiB") << 10
}

#[test]
fn no_request_stops_a_node() {
    attack(Mix::All);
}

#[test]
fn no_flood_of_large_values_stops_a_node() {
    attack(Mix::LargeValues);
}

fn attack(mix: Mix) {
    let seed = seed();
    println!("seed {seed}");
    // A busy machine may take long. The timeout is high, so that no client is refused for that.
    let flags = ["--request-timeout-ms", "60000", "--state-max"].map(str::to_owned);
    let flags = [&flags[..], &[STATE_MAX.to_string()]].concat();
    let mut cluster = Cluster::formed(3, seed, |_| flags.clone());
    let addresses: Vec<_> = cluster.ids().map(|id| cluster.client_address(id)).collect();
    let (goes_on, sent) = (AtomicBool::new(true), AtomicUsize::new(0));
    let going = &goes_on;
    let mut waits: Vec<Duration> = thread::scope(|scope| {
        for client in 0..CLIENTS {
            let random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(client));
            let attacker =
                Attacker { random, addresses: &addresses, mix, goes_on: &goes_on, sent: &sent };
            scope.spawn(|| attacker.run());
        }
        let probes: Vec<_> =
            addresses.iter().map(|&address| scope.spawn(move || probe(address, going))).collect();
        let end = Instant::now() + duration();
        while Instant::now() < end
            && cluster.all_run()
            && !probes.iter().any(thread::ScopedJoinHandle::is_finished)
        {
            thread::sleep(Duration::from_millis(100));
        }
        goes_on.store(false, Ordering::Relaxed);
        probes.into_iter().flat_map(|probe| probe.join().expect("all are answered")).collect()
    });
    cluster.assert_no_node_has_ended();
    waits.sort_unstable();
    let at = |part: usize| waits[(waits.len() - 1) * part / 1000].as_millis();
    println!(
        "{} attacks; {} probes waited: median {} ms, 99 % {} ms, 99.9 % {} ms, longest {} ms",
        sent.load(Ordering::Relaxed),
        waits.len(),
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    for id in cluster.ids() {
        let peak = memory_peak(&cluster, id);
        println!("node {id}: at most {} MiB of memory", peak >> 20);
        assert!(peak < MEMORY_MAX);
        let number = |name: &str| cluster.info(id).and_then(|info| info[name].parse::<u64>().ok());
        assert!(number("paxos_state_bytes").is_some_and(|bytes| bytes <= STATE_MAX));
        assert_eq!(cluster.info(id).expect("it answers")["paxos_halted"], "no");
    }
    eventually("all have applied the same", || {
        let states = cluster.ids().map(|id| {
            cluster.info(id).map(|info| {
                (info["paxos_applied_below"].clone(), info["paxos_state_bytes"].clone())
            })
        });
        let states: Vec<_> = states.collect();
        states.iter().all(|state| state.is_some() && *state == states[0])
    });
}
