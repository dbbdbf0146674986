//! A replicated counter on three nodes. Each node is a process with a directory of its own. The nodes are connected by TCP.
//!
//! ```sh
//! cargo run -p paxos-node --example counter -- 1 /tmp/counter-1 127.0.0.1:7101 127.0.0.1:7102 127.0.0.1:7103
//! cargo run -p paxos-node --example counter -- 2 /tmp/counter-2 127.0.0.1:7101 127.0.0.1:7102 127.0.0.1:7103
//! cargo run -p paxos-node --example counter -- 3 /tmp/counter-3 127.0.0.1:7101 127.0.0.1:7102 127.0.0.1:7103
//! ```
//!
//! Then type a number at any node. The node adds it to the counter, and prints the sum. Any other line prints the sum.

use std::{env, error::Error, path::Path};

use paxos::NodeId;
use paxos_node::{
    Options, Running,
    tcp::{self, Addresses},
    typed::{Typed, TypedClient, TypedMachine},
};
use paxos_store::{Disk, Identity};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, stdin},
    net::TcpListener,
};

/// The replicated state.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Counter(pub(crate) i64);

impl TypedMachine for Counter {
    /// The number to add.
    type Command = i64;
    /// The sum.
    type Answer = i64;

    fn apply(&mut self, number: i64) -> i64 {
        self.0 = self.0.wrapping_add(number);
        self.0
    }
}

/// Starts node `id`. `addresses` has the addresses of the nodes 1, 2, 3 and so on, in this order.
pub(crate) fn start(
    id: NodeId,
    directory: &Path,
    listener: TcpListener,
    addresses: &[String],
) -> Result<Running<Typed<Counter>>, Box<dyn Error>> {
    let identity = Identity { cluster: "counter".into(), node: id };
    let store = Disk::open_or_create(directory, &identity)?;
    let nodes = (1..).map(NodeId).zip(addresses.iter().cloned());
    let peers = nodes.filter(|(node, _)| *node != id);
    let addresses = Addresses::new("counter", id, peers);
    Ok(tcp::start(addresses, listener, Options::default(), Typed::new(Counter(0)), store)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [id, directory, addresses @ ..] = &arguments[..] else {
        return Err("usage: counter ID DIRECTORY ADDRESS...".into());
    };
    let id: u32 = id.parse()?;
    let own =
        addresses.get((id as usize).wrapping_sub(1)).ok_or("ID counts the addresses from 1")?;
    let listener = TcpListener::bind(own).await?;
    let mut running = start(NodeId(id), Path::new(directory), listener, addresses)?;
    let counter = TypedClient::from(running.clients.clone());
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        let line = tokio::select! {
            ended = &mut running.stopped => return Ok(ended??),
            line = lines.next_line() => line?,
        };
        match line.as_deref().map(str::parse) {
            None => break,
            Some(Ok(number)) => match counter.propose(&number).await {
                Ok(sum) => println!("{sum}"),
                Err(error) => println!("not added: {error}"),
            },
            Some(Err(_)) => match counter.read(|counter| counter.0).await {
                Ok(sum) => println!("{sum}"),
                Err(error) => println!("not read: {error}"),
            },
        }
    }
    running.clients.leave().await; // If it leads, another node takes over first.
    Ok(running.stopped.await??)
}
