//! A minimal client of etcd for puts, in gRPC over HTTP/2.
//!
//! Each client has its own connection and sends one put at a time, like a client of redis-benchmark. The request has
//! two fields. Only the status of the answer is read.

use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderValue, Request};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{Load, Unusable};

/// Puts `requests` values, shared equally among the clients of the load. Returns the total time, and the time of each
/// put.
pub(crate) async fn load(
    address: &str,
    Load { clients, keys, .. }: Load,
    requests: u32,
    value: usize,
) -> Result<(Duration, Vec<Duration>), Unusable> {
    let mut connected = Vec::new();
    for client in 0..clients {
        let mut connection = connect(address).await?;
        put(&mut connection, address, client % keys, value).await?; // Warms up the connection, and checks it.
        connected.push(connection);
    }
    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for (client, mut connection) in (0..clients).zip(connected) {
        let (address, share) = (address.to_owned(), requests / clients);
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(share as usize);
            for number in 0..share {
                let asked = Instant::now();
                put(&mut connection, &address, scattered(client ^ number << 8) % keys, value)
                    .await?;
                latencies.push(asked.elapsed());
            }
            Ok::<_, Unusable>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(finished) = tasks.join_next().await {
        latencies.extend(finished.map_err(|error| Unusable::Load(error.to_string()))??);
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

async fn put(
    connection: &mut SendRequest<Bytes>,
    address: &str,
    key: u32,
    value: usize,
) -> Result<(), Unusable> {
    let request = Request::post(format!("http://{address}/etcdserverpb.KV/Put"))
        .header("content-type", HeaderValue::from_static("application/grpc"))
        .header("te", HeaderValue::from_static("trailers"))
        .body(())
        .map_err(|error| Unusable::Load(error.to_string()))?;
    *connection = connection.clone().ready().await?;
    let (response, mut body) = connection.send_request(request, false)?;
    body.send_data(message(key, value), true)?;
    let mut answer = response.await?.into_body();
    while let Some(part) = answer.data().await {
        let part = part?;
        answer.flow_control().release_capacity(part.len())?;
    }
    let trailers = answer.trailers().await?;
    let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    match status {
        Some(status) if status == "0" => Ok(()),
        status => Err(Unusable::Load(format!("etcd answered a put with status {status:?}"))),
    }
}

/// Permutes the numbers, so that the puts are spread over all keys instead of the first ones.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1).rotate_left(16).wrapping_mul(0x9e37_79b1)
}

/// Returns a `PutRequest` with its key (field 1) and value (field 2), in a gRPC frame.
fn message(key: u32, value: usize) -> Bytes {
    let key = format!("key:{key:012}");
    let mut fields = BytesMut::new();
    for (field, bytes) in [(1, key.as_bytes()), (2, &vec![b'x'; value])] {
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
