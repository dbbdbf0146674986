//! Acknowledgements, by which both ends of a connection notice that nothing passes any more.
//!
//! A network that drops packets in silence breaks no connection, and TCP sends again after longer and longer pauses, up
//! to two minutes. So the receiver sends a byte back after something has arrived, at most ten times a second. The
//! sender closes a connection on which it hears nothing for [`Addresses::ack_timeout`](super::Addresses::ack_timeout).
//! The receiver acknowledges parts of a frame, too, so that a large frame on a slow link does not seem a cut. A sender
//! that has nothing to send sends an empty frame as a beat. A receiver closes a connection that is silent for too long.
//!
//! Time in which this process does not run, because its disk is slow or because it was stopped, must not count as
//! silence of the other end. So each end measures the time in several steps, and reads in each of them.

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
    time::{sleep, timeout},
};

use crate::wire;

/// The longest time in which a sender sends nothing.
const BEAT: Duration = Duration::from_millis(500);
/// The least time between two acknowledgements.
const ACK_PAUSE: Duration = Duration::from_millis(100);
/// The time after which a receiver closes a silent connection. No peer waits for that: it makes a new connection, which
/// supersedes the silent one. The time is long, so that a sender with a slow disk is not cut off.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The number of steps in which time is measured.
const STEPS: u32 = 4;

/// Returns the longest time in which a sender sends nothing. Several beats fit into `ack_timeout`.
pub(super) fn beat(ack_timeout: Duration) -> Duration {
    (ack_timeout / STEPS).min(BEAT)
}

/// A frame without a message.
pub(super) fn empty_frame() -> Bytes {
    let mut frame = Vec::new();
    wire::encode(&(), &mut frame).expect("nothing is short enough");
    frame.into()
}

/// Returns true for a frame without a message.
pub(super) fn is_empty(frame: &[u8]) -> bool {
    frame.len() == wire::HEADER
}

/// Reads acknowledgements until the connection ends, or until none has come for `ack_timeout`. Returns the reason.
pub(super) async fn await_acks(
    mut reader: impl AsyncRead + Unpin,
    ack_timeout: Duration,
) -> io::Error {
    let (mut bytes, mut silent) = ([0; 64], 0);
    while silent < STEPS {
        match timeout(ack_timeout / STEPS, reader.read(&mut bytes)).await {
            Ok(Ok(0)) => return io::ErrorKind::ConnectionAborted.into(),
            Ok(Ok(_)) => silent = 0,
            Ok(Err(error)) => return error,
            Err(_) => silent += 1,
        }
    }
    io::ErrorKind::TimedOut.into()
}

/// Sends an acknowledgement when `arrived` is notified, until the connection breaks or is silent for too long. Returns
/// the reason.
pub(super) async fn send_acks(mut writer: impl AsyncWrite + Unpin, arrived: &Notify) -> io::Error {
    let mut silent = 0;
    while silent < STEPS {
        if timeout(SILENCE_MAX / STEPS, arrived.notified()).await.is_err() {
            silent += 1;
            continue;
        }
        silent = 0;
        if let Err(error) = writer.write_all(&[0]).await {
            return error;
        }
        sleep(ACK_PAUSE).await;
    }
    io::ErrorKind::TimedOut.into()
}

/// Waits until a node has taken a frame. Notifies `arrived` meanwhile, so that the peer gets acknowledgements and does
/// not take a node that is behind for a cut.
pub(super) async fn while_waiting(arrived: &Notify, taken_in: impl Future<Output = ()>) {
    let mut taken_in = std::pin::pin!(taken_in);
    while timeout(BEAT, &mut taken_in).await.is_err() {
        arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::duplex,
        spawn,
        time::{Instant, advance},
    };

    use super::*;

    const ACK_TIMEOUT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_sender_has_patience_as_long_as_something_is_acknowledged() {
        let (near, mut far) = duplex(64);
        let ended = spawn(await_acks(near, ACK_TIMEOUT));
        for _ in 0..10 {
            sleep(ACK_TIMEOUT * 9 / 10).await;
            far.write_all(&[0]).await.unwrap();
        }
        let last = Instant::now();
        assert_eq!(ended.await.unwrap().kind(), io::ErrorKind::TimedOut);
        let waited = last.elapsed();
        assert!(waited >= ACK_TIMEOUT && waited < ACK_TIMEOUT * 2, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_notices_the_end() {
        let (near, far) = duplex(64);
        drop(far);
        let ended = await_acks(near, ACK_TIMEOUT).await;
        assert_eq!(ended.kind(), io::ErrorKind::ConnectionAborted);
    }

    /// Time passes in which the process does not run, and so reads no acknowledgements.
    #[tokio::test(start_paused = true)]
    async fn a_sender_that_was_stopped_does_not_blame_the_other_end() {
        let (near, mut far) = duplex(64);
        let ended = spawn(await_acks(near, ACK_TIMEOUT));
        for _ in 0..10 {
            tokio::task::yield_now().await;
            advance(Duration::from_mins(1)).await;
            tokio::task::yield_now().await;
            far.write_all(&[0]).await.unwrap();
        }
        assert!(!ended.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_acknowledges_now_and_then_and_closes_what_is_silent() {
        let (near, mut far) = duplex(64);
        let arrived = Notify::new();
        let frames = async {
            for _ in 0..100 {
                arrived.notify_one();
                sleep(ACK_PAUSE / 10).await;
            }
            Instant::now()
        };
        let (ended, last) = tokio::join!(send_acks(near, &arrived), frames);
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        let waited = last.elapsed();
        assert!(waited >= SILENCE_MAX && waited < SILENCE_MAX * 2, "{waited:?}");
        let mut acks = Vec::new();
        far.read_to_end(&mut acks).await.unwrap();
        assert!((9..=11).contains(&acks.len()), "{} acknowledgements", acks.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_behind_is_no_cut() {
        let (near, far) = duplex(64);
        let arrived = Notify::new();
        let behind = while_waiting(&arrived, sleep(Duration::from_mins(1)));
        tokio::select! {
            () = behind => {}
            error = await_acks(far, Duration::from_secs(1)) => panic!("cut: {error}"),
            error = send_acks(near, &arrived) => panic!("closed: {error}"),
        }
    }

    #[test]
    fn a_beat_is_told_from_every_packet() {
        assert!(is_empty(&empty_frame()));
        let mut frame = Vec::new();
        wire::encode(&crate::Packet::PreVote, &mut frame).unwrap();
        assert!(!is_empty(&frame));
        assert!(beat(Duration::from_secs(1)) * STEPS <= Duration::from_secs(1));
    }
}
