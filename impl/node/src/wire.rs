//! Frames: the bytes that nodes send to each other, with checksums.
//!
//! A frame is a version byte, the length of the payload, a CRC-32C of these two, a CRC-32C of the payload, and the
//! payload in postcard's format. Any one, two or three flipped bits are detected for certain, because CRC-32C has a
//! Hamming distance of at least four at every length allowed here. More flipped bits are detected with a probability of
//! 1 - 2⁻³². The protocol tolerates lost messages, but no damaged ones. So a frame that cannot be read counts as a lost
//! message.
//!
//! The length has a checksum of its own, because a reader relies on the length before the payload has arrived. A reader
//! with a damaged length would take later frames for a part of the payload. A quiet connection could then seem to work,
//! and deliver nothing, for hours.

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u8 = 6;
/// The bytes of the header, which precedes the payload.
pub const HEADER: usize = 13;
/// The longest payload in bytes. Both ends refuse longer ones. Only a packet with a single command is longer than a few
/// MiB: batches, promises and snapshots go in parts.
pub const PAYLOAD_MAX: usize = 1 << 30;
/// The longest payload of a handshake, in bytes. It is short, because the sender is not known yet.
pub const HANDSHAKE_MAX: usize = 1 << 13;

/// A message could not be written, or a frame could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The frame is shorter than a header.
    #[error("the frame has {found} bytes; the header alone has {HEADER}")]
    NoHeader {
        /// The bytes of the frame.
        found: usize,
    },
    /// The version is unknown, or damaged.
    #[error("the frame is of version {found}; only {VERSION} is understood")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// The payload is longer than allowed.
    #[error("the payload has {length} bytes; at most {most} are allowed")]
    TooLong {
        /// The length in the header, or of the message.
        length: usize,
        /// The longest payload that is allowed here.
        most: usize,
    },
    /// The frame has fewer or more bytes than its header announces.
    #[error("the header announces {announced} bytes of payload; there are {found}")]
    Length {
        /// The length in the header.
        announced: usize,
        /// The bytes of the payload.
        found: usize,
    },
    /// The bytes are damaged.
    #[error("the checksum is {found:08x}; the frame says {announced:08x}")]
    Checksum {
        /// The checksum in the frame.
        announced: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// The bytes are undamaged, but are no message.
    #[error("the payload is no message: {0}")]
    NoMessage(postcard::Error),
    /// The payload has bytes after the message.
    #[error("{0} bytes follow the message")]
    Rest(usize),
}

/// Appends the frame of a message.
///
/// # Errors
/// [`FrameError::TooLong`] if the message is too long. `frames` is then as it was.
pub fn encode(message: &impl Serialize, frames: &mut Vec<u8>) -> Result<(), FrameError> {
    encode_within(PAYLOAD_MAX, message, frames)
}

fn encode_within(
    most: usize,
    message: &impl Serialize,
    frames: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let start = frames.len();
    frames.resize(start + HEADER, 0);
    postcard::to_io(message, &mut *frames).expect("any message can be written to memory");
    let frame = &mut frames[start..];
    let length = frame.len() - HEADER;
    if length > most {
        frames.truncate(start);
        return Err(FrameError::TooLong { length, most });
    }
    let header = header(&frame[HEADER..]);
    frame[..HEADER].copy_from_slice(&header);
    Ok(())
}

/// The header of a payload.
fn header(payload: &[u8]) -> [u8; HEADER] {
    let mut header = [VERSION; HEADER];
    header[1..5].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    let of_length = crc32c::crc32c(&header[..5]);
    header[5..9].copy_from_slice(&of_length.to_le_bytes());
    header[9..].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    header
}

/// Returns the number of bytes of payload that follow this header.
///
/// # Errors
/// The version is unknown, the header is damaged, or the length is not allowed.
pub fn payload_length(header: &[u8; HEADER], most: usize) -> Result<usize, FrameError> {
    if header[0] != VERSION {
        return Err(FrameError::Version { found: header[0] });
    }
    check(word(header, 5), &header[..5])?;
    let length = word(header, 1) as usize;
    if length > most {
        return Err(FrameError::TooLong { length, most });
    }
    Ok(length)
}

/// Takes one whole frame from the front of a stream. Returns `None` if the frame is not complete yet.
///
/// # Errors
/// Fails as [`payload_length`] does. Nothing more can then be read from the stream.
pub fn split(stream: &mut BytesMut, most: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(header) = stream.first_chunk::<HEADER>() else { return Ok(None) };
    let length = HEADER + payload_length(header, most)?;
    Ok((stream.len() >= length).then(|| stream.split_to(length).freeze()))
}

/// Reads exactly one frame.
///
/// # Errors
/// The bytes are not a frame that [`encode`] has written.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, FrameError> {
    let Some((header, payload)) = frame.split_first_chunk::<HEADER>() else {
        return Err(FrameError::NoHeader { found: frame.len() });
    };
    let length = payload_length(header, PAYLOAD_MAX)?;
    if length != payload.len() {
        return Err(FrameError::Length { announced: length, found: payload.len() });
    }
    check(word(header, 9), payload)?;
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(FrameError::Rest(rest.len())),
        Err(error) => Err(FrameError::NoMessage(error)),
    }
}

fn check(announced: u32, bytes: &[u8]) -> Result<(), FrameError> {
    let found = crc32c::crc32c(bytes);
    if announced == found { Ok(()) } else { Err(FrameError::Checksum { announced, found }) }
}

fn word(header: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;
    use paxos::{Ballot, Batch, Message, NodeId, Report, Slot, Value};

    fn decode(frame: &[u8]) -> Result<Message, FrameError> {
        super::decode(frame)
    }

    fn ballot() -> impl Strategy<Value = Ballot> {
        (1..=u64::MAX, any::<u32>())
            .prop_map(|(round, node)| Ballot::new(round, NodeId(node)).expect("not round 0"))
    }

    fn slot() -> impl Strategy<Value = Slot> {
        any::<u64>().prop_map(Slot)
    }

    fn value() -> impl Strategy<Value = Value> {
        let command = vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Command(Bytes::from(bytes)));
        prop_oneof![Just(Value::Noop), command]
    }

    fn batch() -> impl Strategy<Value = Batch> {
        vec(value(), 0..5).prop_map(Into::into)
    }

    fn report() -> impl Strategy<Value = Report> {
        (slot(), ballot(), value()).prop_map(|(slot, ballot, value)| Report { slot, ballot, value })
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            (ballot(), slot()).prop_map(|(ballot, first)| Message::Prepare { ballot, first }),
            (ballot(), slot(), vec(report(), 0..4)).prop_map(|(ballot, trimmed, reports)| {
                Message::Promise { ballot, trimmed, reports }
            }),
            (ballot(), slot(), batch()).prop_map(|(ballot, first, values)| Message::Accept {
                ballot,
                first,
                values
            }),
            (ballot(), slot(), any::<u64>()).prop_map(|(ballot, first, count)| Message::Accepted {
                ballot,
                first,
                count
            }),
            (ballot(), ballot()).prop_map(|(ballot, promised)| Message::Nack { ballot, promised }),
            (ballot(), slot(), any::<u64>()).prop_map(|(ballot, first, count)| Message::Chosen {
                ballot,
                first,
                count
            }),
            (ballot(), slot())
                .prop_map(|(ballot, chosen_below)| Message::Heartbeat { ballot, chosen_below }),
            (ballot(), any::<u64>()).prop_map(|(ballot, round)| Message::Confirm { ballot, round }),
            (ballot(), any::<u64>())
                .prop_map(|(ballot, round)| Message::Confirmed { ballot, round }),
            slot().prop_map(|from| Message::Learn { from }),
            slot().prop_map(|below| Message::Trimmed { below }),
            (slot(), batch(), any::<bool>()).prop_map(|(first, values, more)| Message::Learned {
                first,
                values,
                more
            }),
        ]
    }

    fn frame(message: &Message) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(message, &mut frame).expect("short");
        frame
    }

    fn flip(frame: &mut [u8], bit: usize) {
        frame[bit / 8] ^= 1 << (bit % 8);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in message()) {
            prop_assert_eq!(decode(&frame(&message)), Ok(message));
        }

        #[test]
        fn every_single_flipped_bit_is_noticed(message in message()) {
            let mut frame = frame(&message);
            for bit in 0..frame.len() * 8 {
                flip(&mut frame, bit);
                prop_assert!(decode(&frame).is_err(), "bit {}", bit);
                flip(&mut frame, bit);
            }
        }

        #[test]
        fn two_or_three_flipped_bits_are_noticed(
            message in message(),
            bits in vec(any::<Index>(), 2..=3),
        ) {
            let mut frame = frame(&message);
            let length = frame.len() * 8;
            let bits: BTreeSet<usize> = bits.iter().map(|bit| bit.index(length)).collect();
            for bit in bits {
                flip(&mut frame, bit);
            }
            prop_assert!(decode(&frame).is_err());
        }

        #[test]
        fn a_frame_with_missing_or_further_bytes_is_no_frame(message in message(), more in vec(any::<u8>(), 1..20)) {
            let mut frame = frame(&message);
            for length in 0..frame.len() {
                prop_assert!(decode(&frame[..length]).is_err());
            }
            frame.extend(more);
            prop_assert!(decode(&frame).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        /// The checksum is right, so that the payload itself is read.
        #[test]
        fn no_payload_makes_it_panic(payload in vec(any::<u8>(), 0..200)) {
            let _ = decode(&sealed(&payload));
        }
    }

    fn sealed(payload: &[u8]) -> Vec<u8> {
        [&header(payload), payload].concat()
    }

    /// The header is checked before the payload has arrived, so that no reader waits for bytes that were never sent.
    #[test]
    fn a_damaged_length_is_noticed_at_once() {
        let frame = frame(&Message::Learn { from: Slot(7) });
        for bit in 0..9 * 8 {
            let mut header = BytesMut::from(&frame[..HEADER]);
            flip(&mut header, bit);
            assert!(split(&mut header, PAYLOAD_MAX).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn errors_name_what_was_found() {
        let good = frame(&Message::Learn { from: Slot(7) });
        let mut old = good.clone();
        old[0] = 9;
        assert_eq!(decode(&old), Err(FrameError::Version { found: 9 }));
        let mut long = good.clone();
        long[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        let checksum = crc32c::crc32c(&long[..5]);
        long[5..9].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(
            decode(&long),
            Err(FrameError::TooLong { length: u32::MAX as usize, most: PAYLOAD_MAX })
        );
        assert_eq!(decode(&[1, 2]), Err(FrameError::NoHeader { found: 2 }));
        assert_eq!(
            decode(&good[..good.len() - 1]),
            Err(FrameError::Length {
                announced: good.len() - HEADER,
                found: good.len() - HEADER - 1
            })
        );
        let mut rest = good[HEADER..].to_vec();
        rest.push(0);
        assert_eq!(decode(&sealed(&rest)), Err(FrameError::Rest(1)));
        // Round 0 does not exist: a Prepare of it is no message, however good its checksum.
        assert!(matches!(decode(&sealed(&[0, 0, 1])), Err(FrameError::NoMessage(_))));
    }

    /// A batch that claims to be enormous is refused before memory is allocated for it.
    #[test]
    fn a_claimed_length_reserves_nothing() {
        let learned = 10;
        let payload = [learned, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert!(matches!(decode(&sealed(&payload)), Err(FrameError::NoMessage(_))));
    }

    #[test]
    fn a_message_that_is_too_long_leaves_nothing_behind() {
        let command = Value::Command(Bytes::from(vec![0; 100]));
        let message = Message::Learned { first: Slot(0), values: [command].into(), more: false };
        let mut frames = vec![42];
        let encoded = encode_within(100, &message, &mut frames);
        assert!(matches!(encoded, Err(FrameError::TooLong { most: 100, .. })));
        assert_eq!(frames, [42]);
    }
}
