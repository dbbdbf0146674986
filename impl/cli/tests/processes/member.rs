//! A member of a cluster inside the test process. The member does the handshake with its peers as a node does, and then sends
//! only the packets of the test.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use paxos::{Config, NodeId, To};
use paxos_kv::Kv;
use paxos_node::{
    self, ClientHandle, Handshakes, Options, Packet, Transport,
    tcp::{self, Addresses, Tcp, Traffic},
};
use paxos_store::{MemoryStore, StoreId};
use tokio::runtime::Runtime;

pub(crate) struct Member {
    pub(crate) transport: Tcp,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) handle: ClientHandle<Kv>,
    pub(crate) runtime: Runtime,
}

/// A transport that sends nothing.
struct Mute;

impl Transport for Mute {
    fn send(&mut self, _: To, _: Packet) {}
}

/// Binds a port on the loopback interface for a member.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

impl Member {
    /// Starts the member. It is connected with its peers until it is dropped.
    pub(crate) fn start(addresses: Addresses, listener: TcpListener) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a thread");
        listener.set_nonblocking(true).expect("a socket");
        let (transport, queues) = Tcp::new(&addresses);
        let (id, traffic) = (addresses.id, queues.traffic());
        let nodes = addresses.peers.keys().copied().chain([id]);
        let (config, store) = (Config::new(id, nodes), MemoryStore::new(StoreId(id.0.into())));
        let (options, handshakes) = (Options::default(), Handshakes::Made);
        let node = paxos_node::ready(config, options, handshakes, Kv::default(), store, Mute);
        let (running, node) = node.expect("a new node");
        let handle = running.clients.clone();
        runtime.spawn(node);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
            tcp::run(addresses, listener, queues, &running.peers, &running.handshake).await;
        });
        Self { transport, traffic, handle, runtime }
    }
}

/// Returns the name of the cluster and the addresses of the members, as node `id` has them.
pub(crate) fn addresses(id: u32, peers: impl IntoIterator<Item = (u32, SocketAddr)>) -> Addresses {
    let peers = peers.into_iter().map(|(peer, address)| (NodeId(peer), address.to_string()));
    Addresses::new("paxos", NodeId(id), peers)
}
