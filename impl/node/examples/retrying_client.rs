//! A client that retries safely. It sends a command to one node after the other until a node answers. The cluster applies the
//! command once, however often the client sends it.
//!
//! Three nodes run in this process. One of them stops while the client works.
//!
//! `cargo run -p paxos-node --example retrying_client`

#[allow(dead_code)] // Its `main`.
#[path = "leader_change.rs"]
pub(crate) mod cluster;

use std::{error::Error, time::Duration};

use cluster::counter::Counter;
use paxos_node::{
    ProposeError,
    session::ClientSession,
    typed::{TypedClient, TypedError, encode},
};

/// The pause before the client asks the next node.
const PAUSE: Duration = Duration::from_millis(50);

/// A client of a cluster, with a session of its own.
pub(crate) struct Client {
    nodes: Vec<TypedClient<Counter>>,
    /// The index of the node that the client asks next.
    next: usize,
    session: ClientSession,
}

impl Client {
    /// Opens a session. If an answer is lost, a session stays open that no client uses. The cluster forgets such a session
    /// when there are too many.
    ///
    /// # Errors
    /// Fails if there are no nodes, or if retrying cannot help.
    pub(crate) async fn connect(nodes: Vec<TypedClient<Counter>>) -> Result<Self, TypedError> {
        for (next, node) in nodes.iter().enumerate().cycle() {
            match node.handle().open_session().await {
                Ok(session) => return Ok(Self { nodes, next, session }),
                Err(error) if error.is_final() => return Err(error.into()),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(ProposeError::StoppedBefore.into()) // There are no nodes.
    }

    /// Adds a number once, and returns the sum.
    ///
    /// # Errors
    /// Fails if retrying cannot help: the session has expired, or no node can read the command.
    pub(crate) async fn add(&mut self, number: i64) -> Result<i64, TypedError> {
        let request = self.session.request(encode::<Counter>(&number)?);
        // A client that survives its own crashes writes the session and the request to its disk here.
        loop {
            match self.nodes[self.next].request(request.clone()).await {
                Ok(sum) => {
                    self.session.heard(&request);
                    return Ok(sum);
                }
                Err(error) if error.is_final() => return Err(error),
                Err(error) => println!("node {}: {error}", self.next + 1),
            }
            self.next = (self.next + 1) % self.nodes.len();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Runs the example.
#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let nodes = cluster::three_nodes(directory.path()).await?;
    let handles = nodes.iter().map(|node| TypedClient::from(node.clients.clone())).collect();
    let mut client = Client::connect(handles).await?;
    for number in 1..=100 {
        if number == 50 {
            let stopping = nodes[0].clients.clone();
            tokio::spawn(async move { stopping.stop().await });
        }
        client.add(number).await?;
    }
    let sum = client.add(0).await?;
    println!("the sum is {sum}");
    assert_eq!(sum, (1..=100).sum::<i64>(), "each number counts once");
    Ok(())
}
