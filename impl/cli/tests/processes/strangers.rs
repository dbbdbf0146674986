//! Silent connections of strangers to the ports for peers and for metrics.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    cluster::Cluster,
    commands::scrape,
    process::{PATIENCE, eventually},
    storm::seed,
};

/// The number of connections that strangers keep open on the port for peers. It is far above the number of handshakes that a
/// node allows at once. If each connection stayed open until its timeout, a peer would wait too long.
const KEPT: usize = 600;

/// The number of connections that strangers keep open on the port for metrics.
const KEPT_METRICS: usize = 50;

/// The pause before strangers replace the connections that the node has closed.
const PAUSE: Duration = Duration::from_millis(100);

/// Keeps `count` silent connections open until `over` is true.
fn pester(address: SocketAddr, count: usize, over: &AtomicBool, made: &AtomicUsize) {
    let mut kept: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
    while !over.load(Ordering::Relaxed) {
        for connection in &mut kept {
            if connection.as_ref().is_some_and(is_open) {
                continue;
            }
            let timeout = Duration::from_millis(100);
            *connection = TcpStream::connect_timeout(&address, timeout).ok().filter(|connection| {
                made.fetch_add(1, Ordering::Relaxed);
                connection.set_nonblocking(true).is_ok()
            });
        }
        thread::sleep(PAUSE);
    }
}

/// Returns true if the connection is open. The node sends nothing, so a read can only return the end of the connection.
fn is_open(connection: &TcpStream) -> bool {
    let nothing = connection.peek(&mut [0]);
    nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Sets a flag when it is dropped, so that the threads of a test that fails end.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A node is started again while strangers hold all connections that a peer accepts. It is connected at once.
#[test]
fn strangers_do_not_keep_peers_out() {
    // The strangers need many descriptors, and all tests of this program share them.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum");
    let mut cluster = Cluster::formed(3, seed(), |id| match id {
        1 => vec!["--metrics".to_owned(), "127.0.0.1:0".to_owned()],
        2 => vec!["--log-level".to_owned(), "debug".to_owned()],
        _ => Vec::new(),
    });
    let metrics = cluster.metrics_address(1);
    cluster.kill(2);
    let (over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let peers = cluster.peer_address(1);
    let time = thread::scope(|scope| {
        let _end = End(&over);
        let metrics = metrics.parse().expect("an address");
        for (address, count) in [(peers, KEPT), (metrics, KEPT_METRICS)] {
            let (over, made) = (&over, &made);
            scope.spawn(move || pester(address, count, over, made));
        }
        eventually("strangers hold all connections", || {
            made.load(Ordering::Relaxed) >= KEPT + KEPT_METRICS
        });
        let start = Instant::now();
        cluster.start(2);
        let connected = cluster.process(2).line(r#""message":"connected","peer":1"#);
        assert!(connected.is_some(), "{}", cluster.process(2).log());
        let time = start.elapsed();
        let scrape = || scrape(&metrics.to_string()).is_ok_and(|text| text.contains("paxos_leads"));
        eventually("the metrics are served", scrape);
        time
    });
    println!("connected after {time:.2?}, while strangers made {} connections", made.into_inner());
    // It takes much less than 2 seconds; a machine that is busy with other tests gets more.
    assert!(time < PATIENCE / 4, "it took {time:.2?}");
    eventually("closed connections of strangers are counted", || {
        let text = scrape(&metrics).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("paxos_crowded_out_total "));
        count.is_some_and(|count| count != "0")
    });
    cluster.assert_no_node_has_ended();
}
