//! The server, to whose sockets clients of Redis connect.
//!
//! The server answers requests that arrive together with as few requests to the cluster as possible, in their order
//! ([`rounds`]). If a write could not be confirmed, the reply is an error. It is `MAYBE` if the command may have been
//! applied or may yet be applied, and `CLUSTERDOWN` if the command was not proposed.
//!
//! The memory of the server is bounded. Each client has [`pool::OWN_BYTES`] in each direction. The long requests of all
//! clients share one [pool](pool), and their long answers another. The server disconnects a client that makes no
//! progress in reading its answers.

mod connection;
mod output;
mod pool;
mod rounds;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};

use self::{connection::Connection, output::Output, pool::Pool};
use super::{Client, Kv};
use paxos_node::ClientHandle;

/// The limits on the resources of a node that clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The highest number of clients that are connected at once. A further client gets an error and is disconnected.
    pub clients_max: usize,
    /// The highest number of bytes of the state ([`Store::bytes`](super::Store::bytes)). A write that would exceed it
    /// changes nothing, and is answered with an error.
    pub state_max: u64,
    /// The highest number of bytes of the long requests of all clients that are not answered yet. The limit for the
    /// long answers that are not written yet is the same.
    pub pool_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clients_max: 10_000, state_max: 1 << 30, pool_bytes: 128 << 20 }
    }
}

/// The answer to a client beyond `clients_max`, with the text of Redis.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// Serves clients until the node has stopped and each connection has answered its pending requests, or until this
/// future is dropped.
pub async fn serve(listener: TcpListener, node: ClientHandle<Kv>, limits: Limits) {
    let (mut connections, permits) = (JoinSet::new(), Arc::new(Semaphore::new(limits.clients_max)));
    let [incoming, outgoing] = [limits.pool_bytes; 2].map(Pool::new);
    for id in 1.. {
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            () = node.stopped() => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            // Only the part of the error that the socket takes at once is written. The server does not wait for such
            // a client.
            let _ = stream.try_write(TOO_MANY);
            continue;
        };
        let connection = Connection {
            stream,
            node: node.clone(),
            client: Client::new(id),
            state_max: limits.state_max,
            incoming: incoming.account(),
            outgoing: outgoing.account(),
            waiting: VecDeque::new(),
            has_long_buffer: false,
            output: Output::default(),
        };
        connections.spawn(async move {
            let _permit = permit;
            let nodelay = connection.stream.set_nodelay(true);
            if let Err(error) = async {
                nodelay?;
                connection.run().await
            }
            .await
            {
                tracing::debug!(%error, "a client's connection has ended");
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                // The likely cause is that too many files are open. Some may be closed soon.
                tracing::warn!(%error, "a client could not be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
