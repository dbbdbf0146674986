//! Waiting for a change of leader: work that one node at a time should do, such as a clean-up every hour.
//!
//! Three nodes run in this process. The leader leaves, and another node notices the next leader.
//!
//! `cargo run -p paxos-node --example leader_change`

#[allow(dead_code)] // Its `main`.
#[path = "counter.rs"]
pub(crate) mod counter;

use std::{collections::BTreeMap, error::Error, path::Path};

use counter::Counter;
use paxos::NodeId;
use paxos_node::{ClientHandle, Running, typed::Typed};
use tokio::net::TcpListener;

/// Starts three nodes with directories below this one.
pub(crate) async fn three_nodes(
    directory: &Path,
) -> Result<Vec<Running<Typed<Counter>>>, Box<dyn Error>> {
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(TcpListener::bind("127.0.0.1:0").await?);
    }
    let addresses = listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
    let addresses: Vec<_> = addresses.collect::<Result<_, std::io::Error>>()?;
    let node = |(id, listener)| {
        counter::start(id, &directory.join(format!("node-{id}")), listener, &addresses)
    };
    (1..).map(NodeId).zip(listeners).map(node).collect()
}

/// Waits until a node other than `before` leads, as this node knows it. Returns `None` if this node stops.
pub(crate) async fn next_leader(
    node: &ClientHandle<Typed<Counter>>,
    before: Option<NodeId>,
) -> Option<NodeId> {
    let mut leadership = node.leadership();
    let changed = leadership.wait_for(|now| now.leader.is_some() && now.leader != before).await;
    changed.ok()?.leader
}

/// Runs the example.
#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let nodes = three_nodes(directory.path()).await?;
    let mut nodes: BTreeMap<_, _> = (1..).map(NodeId).zip(nodes).collect();
    let mut leader = None;
    for _ in 0..2 {
        let watching = nodes.values().next().ok_or("no node is left")?;
        leader = next_leader(&watching.clients, leader).await;
        let id = leader.ok_or("the node has stopped")?;
        let leading = nodes.remove(&id).ok_or("a node that has left leads")?;
        println!("node {id} leads");
        // A node starts the work when it sees that it leads, and stops the work when it sees that it does not lead. Two nodes
        // may do the work for a moment, so each piece of the work is a command that may be applied twice without harm.
        leading.clients.leave().await;
        println!("node {id} has left");
    }
    Ok(())
}
