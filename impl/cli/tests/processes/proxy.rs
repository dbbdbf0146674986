//! The network between nodes: a proxy for each directed link, which can be cut and can damage bytes.
//!
//! A node sends on the connections that it has made, and receives on the connections that peers have made. Therefore the
//! proxy of a direction carries the packets of that direction, and the replies of the handshake.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::watch,
};

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// The link works.
    Fair,
    /// The link carries nothing and breaks no connection. Bytes wait.
    Silent,
    /// Connections break, and none can be made.
    Broken,
    /// One of `one_of` pieces on average has a flipped bit.
    Damaging { one_of: u32 },
}

/// The sending and the receiving node.
pub(crate) type Direction = (u32, u32);

/// All links between the nodes of a cluster.
pub(crate) struct Network {
    links: BTreeMap<Direction, Link>,
    targets: Targets,
    /// The runtime of all proxies. The proxies end when it is dropped.
    _runtime: Runtime,
}

struct Link {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
}

/// The addresses at which the nodes listen at present.
type Targets = Arc<Mutex<BTreeMap<u32, SocketAddr>>>;

impl Network {
    pub(crate) fn new(nodes: u32, seed: u64) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a thread");
        let targets = Targets::default();
        let mut links = BTreeMap::new();
        for from in 1..=nodes {
            for to in (1..=nodes).filter(|&to| to != from) {
                let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
                let address = listener.local_addr().expect("bound");
                let (weather, forecast) = watch::channel(Weather::Fair);
                let random = ChaCha8Rng::seed_from_u64(seed ^ u64::from(from << 16 | to));
                runtime.spawn(accept(listener, to, Arc::clone(&targets), forecast, random));
                links.insert((from, to), Link { address, weather });
            }
        }
        Self { links, targets, _runtime: runtime }
    }

    /// Returns the address at which `from` connects to `to`. It stays the same when `to` listens elsewhere.
    pub(crate) fn address(&self, direction: Direction) -> SocketAddr {
        self.links[&direction].address
    }

    /// Sets the address at which a node listens from now on.
    pub(crate) fn lead_to(&self, node: u32, address: SocketAddr) {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).insert(node, address);
    }

    pub(crate) fn set(&self, direction: Direction, weather: Weather) {
        self.links[&direction].weather.send_replace(weather);
    }

    /// Returns all directions.
    pub(crate) fn directions(&self) -> impl Iterator<Item = Direction> {
        self.links.keys().copied()
    }

    /// Returns all links between a node and its peers, in both directions.
    pub(crate) fn around(&self, node: u32) -> impl Iterator<Item = Direction> {
        self.directions().filter(move |&(from, to)| from == node || to == node)
    }

    pub(crate) fn heal(&self) {
        self.directions().for_each(|direction| self.set(direction, Weather::Fair));
    }
}

async fn accept(
    listener: TcpListener,
    to: u32,
    targets: Targets,
    weather: watch::Receiver<Weather>,
    mut random: ChaCha8Rng,
) {
    while let Ok((near, _)) = listener.accept().await {
        let target = targets.lock().unwrap_or_else(PoisonError::into_inner).get(&to).copied();
        if *weather.borrow() == Weather::Broken {
            continue;
        }
        let Some(target) = target else { continue };
        let random = ChaCha8Rng::seed_from_u64(random.random());
        tokio::spawn(carry(near, target, weather.clone(), random));
    }
}

/// Copies bytes until either end or the link breaks.
async fn carry(
    near: TcpStream,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    random: ChaCha8Rng,
) -> io::Result<()> {
    let far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_reads, near_writes), (far_reads, far_writes)) =
        (near.into_split(), far.into_split());
    tokio::select! {
        ended = pump(near_reads, far_writes, weather.clone(), random) => ended,
        ended = pump(far_reads, near_writes, weather, ChaCha8Rng::seed_from_u64(0)) => ended,
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    mut random: ChaCha8Rng,
) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let now = *weather.borrow_and_update();
        let arrived = tokio::select! {
            changed = weather.changed() => {
                changed.map_err(io::Error::other)?;
                continue;
            }
            arrived = from.read(&mut bytes), if now != Weather::Silent => arrived?,
        };
        match now {
            _ if arrived == 0 => return Ok(()),
            Weather::Broken => return Err(io::ErrorKind::ConnectionReset.into()),
            Weather::Damaging { one_of } if random.random_ratio(1, one_of) => {
                let place = random.random_range(0..arrived);
                bytes[place] ^= 1 << random.random_range(0..8);
            }
            _ => {}
        }
        to.write_all(&bytes[..arrived]).await?;
    }
}
