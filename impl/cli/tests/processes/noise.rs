//! Arbitrary bytes on the ports for peers and for clients.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    clients::Reply,
    cluster::Cluster,
    process::{PATIENCE, eventually},
    storm::seed,
};

/// Sends bytes, and returns everything that is received until the other end closes the connection.
fn send(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the node listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // The other end may close the connection before all bytes are sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return answer,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return answer,
            Err(error) => panic!("the connection stays: {error}"),
        }
    }
}

#[test]
fn noise_ends_a_connection_and_nothing_else() {
    let seed = seed();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut cluster = Cluster::formed(3, seed, |_| Vec::new());
    let (peers, clients) = (cluster.peer_address(1), cluster.client_address(1));
    for _ in 0..50 {
        let mut bytes = vec![0; random.random_range(1..2000)];
        random.fill_bytes(&mut bytes);
        send(peers, &bytes);
    }
    let refused = [
        &b"*1\r\n$-5\r\nGET\r\n"[..],
        b"*99999999999\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$99999999999\r\n",
    ];
    for bytes in refused {
        let answer = send(clients, bytes);
        assert!(answer.starts_with(b"-ERR Protocol error"), "{}", answer.escape_ascii());
    }
    cluster.assert_no_node_has_ended();
    eventually("the node still serves", || {
        let reply = cluster.connect(1).map(|mut node| node.ask(&["SET", "key", "value"]));
        matches!(reply, Some(Ok(Reply::Simple(_))))
    });
}
