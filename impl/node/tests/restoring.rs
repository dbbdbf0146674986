//! A cluster of three nodes on threads of their own, of which one restores the snapshot of another for as long as the
//! test wants.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use paxos::{Config, NodeId, Slot, To};
use paxos_node::{
    ClientHandle, Frozen, Handshakes, Options, Packet, PeerHandle, ReadError, RestoreError,
    Running, StateMachine, Transport, ready, start,
};
use paxos_store::{MemoryStore, StoreId};
use tokio::{
    runtime::Handle,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, error::TryRecvError, unbounded_channel},
};

/// Answers each command with the number of commands so far. Waits for a signal before it is restored.
struct Counter {
    count: u64,
    gate: Option<Gate>,
}

/// Says that a machine is to be restored, and waits until the other end is dropped.
struct Gate {
    reached: UnboundedSender<()>,
    open: mpsc::Receiver<()>,
}

impl StateMachine for Counter {
    type Answer = Bytes;

    fn apply(&mut self, _: &[u8]) -> Bytes {
        self.count += 1;
        self.count.to_string().into()
    }

    fn snapshot(&self) -> Frozen {
        let count = self.count;
        Box::new(move |file| file.write_all(&count.to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        if let Some(Gate { reached, open }) = &self.gate {
            let _ = reached.send(()); // The test may have ended.
            let _ = open.recv();
        }
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.count = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// The network: the handles of all nodes, and a task for each packet.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<BTreeMap<NodeId, PeerHandle<Counter>>>>);

struct Link {
    me: NodeId,
    network: Network,
    runtime: Handle,
}

impl Transport for Link {
    fn send(&mut self, to: To, packet: Packet) {
        for (&node, handle) in self.network.0.lock().expect("no thread panics").iter() {
            if node != self.me && (to == To::Peers || to == To::Node(node)) {
                let (me, handle, packet) = (self.me, handle.clone(), packet.clone());
                self.runtime.spawn(async move { handle.deliver(me, packet).await });
            }
        }
    }
}

impl Network {
    /// Starts a node with an empty store. It takes a snapshot every ten slots.
    fn start(&self, me: u32, gate: Option<Gate>) -> Running<Counter> {
        let (network, runtime) = (self.clone(), Handle::current());
        let link = Link { me: NodeId(me), network, runtime };
        let options = Options::builder()
            .election_timeout(Duration::from_millis(200))
            .heartbeat(Duration::from_millis(20))
            .resend(Duration::from_millis(50))
            .request_timeout(Duration::from_mins(1))
            .snapshot_slots(10)
            .build()
            .expect("options with which a node can work");
        let config = Config::new(NodeId(me), [1, 2, 3].map(NodeId));
        let store = MemoryStore::new(StoreId(me.into()));
        let machine = Counter { count: 0, gate };
        let node = ready(config, options, Handshakes::Omitted, machine, store, link);
        let (running, node) = node.expect("an empty store");
        start(node).expect("there are threads");
        let mut nodes = self.0.lock().expect("no thread panics");
        nodes.insert(NodeId(me), running.peers.clone());
        running
    }

    /// Starts nodes 1 and 2, and node 3 once they have trimmed the beginning of the log. Returns when node 3 restores a
    /// snapshot.
    async fn restoring(&self) -> Restoring {
        let [one, two] = [1, 2].map(|me| self.start(me, None).clients);
        while trimmed(&one).await.min(trimmed(&two).await) == Slot(0) {
            one.propose("").await.expect("two nodes are a majority");
        }
        let (reached, mut restores) = unbounded_channel();
        let (closed, open) = mpsc::channel();
        let three = self.start(3, Some(Gate { reached, open }));
        restores.recv().await.expect("it gets a snapshot");
        Restoring { one, two, three, restores, closed }
    }
}

/// A cluster whose node 3 restores a snapshot.
struct Restoring {
    one: ClientHandle<Counter>,
    two: ClientHandle<Counter>,
    three: Running<Counter>,
    /// Hears of each restore of node 3. Is disconnected once the machine of node 3 is dropped.
    restores: UnboundedReceiver<()>,
    /// Node 3 goes on with the restore when this is dropped.
    closed: mpsc::Sender<()>,
}

async fn trimmed(clients: &ClientHandle<Counter>) -> Slot {
    clients.status().await.expect("the node runs").trimmed_below
}

async fn count(clients: &ClientHandle<Counter>) -> u64 {
    clients.read(|counter| counter.count).await.expect("there is a leader")
}

/// The leader needs the vote of the node that restores, because the third node is down. The restored node then applies
/// the values that were chosen meanwhile, and answers.
#[tokio::test]
async fn a_cluster_goes_on_while_a_node_restores_a_snapshot() {
    let network = Network::default();
    let Restoring { one, two, three, closed, .. } = network.restoring().await;
    let three = three.clients;
    network.0.lock().expect("no thread panics").remove(&NodeId(2));
    two.stop().await;
    one.propose("").await.expect("two nodes are a majority");
    let chosen = count(&one).await;
    let (mut read, mut answer) = (Box::pin(count(&three)), Box::pin(three.propose("")));
    let status = tokio::select! {
        biased;
        count = &mut read => panic!("the node reads {count} while it restores"),
        answer = &mut answer => panic!("the node answers {answer:?} while it restores"),
        status = three.status() => status.expect("the node runs"),
    };
    assert_eq!((status.applied_below, status.counts.installed), (Slot(0), 0));
    assert!(status.waiting_proposals > 0 && status.waiting_reads == 1);

    drop(closed);
    assert!(read.await >= chosen);
    assert_eq!(answer.await.expect("it is applied"), (chosen + 1).to_string());
    assert!(three.status().await.expect("the node runs").counts.installed > 0);
}

/// A node that is told to stop while it restores a snapshot answers its clients at once, and ends with the restore.
#[tokio::test]
async fn a_node_stops_while_it_restores_a_snapshot() {
    let Restoring { three, mut restores, closed, .. } = Network::default().restoring().await;
    let Running { clients, mut stopped, .. } = three;
    let mut read = Box::pin(clients.read(|_| ()));
    let status = tokio::select! {
        biased;
        read = &mut read => panic!("the node answers {read:?} while it restores"),
        status = clients.status() => status.expect("the node runs"),
    };
    assert_eq!(status.waiting_reads, 1);
    let stopping = clients.clone();
    tokio::spawn(async move { stopping.stop().await });
    assert_eq!(read.await, Err(ReadError::Stopped));
    stopped.try_recv().expect_err("the thread of the restore has not ended");
    drop(closed);
    stopped.await.expect("no thread panics").expect("the store works");
    assert_eq!(restores.try_recv(), Err(TryRecvError::Disconnected), "the thread has ended");
}
