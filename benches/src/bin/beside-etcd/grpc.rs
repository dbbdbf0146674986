//! A minimal client of etcd for puts and linearizable reads, in gRPC over HTTP/2.
//!
//! Each client has its own connection and sends one request at a time, like a client of redis-benchmark. Only the status of the answer is read.

use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderValue, Request};
use tokio::{net::TcpStream, task::JoinSet};

use paxos_benches::redis_benchmark::{Kind, Load};

use crate::Unusable;

/// Sends `requests` requests, shared equally among the clients of the load. Returns the total time, and the time of each
/// request.
pub(crate) async fn load(
    address: &str,
    kind: Kind,
    Load { clients, keys, .. }: Load,
    requests: u32,
    value: usize,
) -> Result<(Duration, Vec<Duration>), Unusable> {
    let mut connected = Vec::new();
    for client in 0..clients {
        let mut connection = connect(address).await?;
        // Warms up the connection, checks it, and sets a key that reads can find.
        request(&mut connection, address, Kind::Put, client % keys, value).await?;
        connected.push(connection);
    }
    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for (client, mut connection) in (0..clients).zip(connected) {
        let (address, share) = (address.to_owned(), requests / clients);
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(share as usize);
            for number in 0..share {
                let asked = Instant::now();
                let key = scattered(client ^ number << 8) % keys;
                request(&mut connection, &address, kind, key, value).await?;
                latencies.push(asked.elapsed());
            }
            Ok::<_, Unusable>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(finished) = tasks.join_next().await {
        latencies.extend(finished.map_err(|error| Unusable::Answer(error.to_string()))??);
    }
    Ok((begun.elapsed(), latencies))
}

async fn connect(address: &str) -> Result<SendRequest<Bytes>, Unusable> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender.ready().await?)
}

async fn request(
    connection: &mut SendRequest<Bytes>,
    address: &str,
    kind: Kind,
    key: u32,
    value: usize,
) -> Result<(), Unusable> {
    let method = match kind {
        Kind::Put => "Put",
        Kind::Read => "Range",
    };
    let request = Request::post(format!("http://{address}/etcdserverpb.KV/{method}"))
        .header("content-type", HeaderValue::from_static("application/grpc"))
        .header("te", HeaderValue::from_static("trailers"))
        .body(())
        .map_err(|error| Unusable::Answer(error.to_string()))?;
    *connection = connection.clone().ready().await?;
    let (response, mut body) = connection.send_request(request, false)?;
    body.send_data(message(kind, key, value), true)?;
    let mut answer = response.await?.into_body();
    while let Some(part) = answer.data().await {
        let part = part?;
        answer.flow_control().release_capacity(part.len())?;
    }
    let trailers = answer.trailers().await?;
    let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    match status {
        Some(status) if status == "0" => Ok(()),
        status => Err(Unusable::Answer(format!("etcd answered with status {status:?}"))),
    }
}

/// Permutes the numbers, so that the requests are spread over all keys instead of the first ones.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1).rotate_left(16).wrapping_mul(0x9e37_79b1)
}

/// Returns a `PutRequest` with its key (field 1) and value (field 2), or a `RangeRequest` with its key (field 1), in a
/// gRPC frame. A range without further fields is one key, and is read linearizably.
fn message(kind: Kind, key: u32, value: usize) -> Bytes {
    let (key, value) = (format!("key:{key:012}"), vec![b'x'; value]);
    let parts = match kind {
        Kind::Put => &[(1, key.as_bytes()), (2, &value)][..],
        Kind::Read => &[(1, key.as_bytes())],
    };
    let mut fields = BytesMut::new();
    for (field, bytes) in parts {
        fields.put_u8(field << 3 | 2);
        // Lengths below 128 are one byte.
        fields.put_u8(u8::try_from(bytes.len()).expect("short") & 0x7f);
        fields.put_slice(bytes);
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(fields.len() as u32);
    frame.put(fields);
    frame.freeze()
}
