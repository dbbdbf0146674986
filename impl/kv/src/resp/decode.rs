//! Decodes requests that arrive in pieces.
//!
//! The decoder removes complete parts from the front of a buffer and keeps its state. So it reads each byte once, for
//! any division of a request into pieces. The arguments share the memory of the buffer, so that an argument needs no
//! allocation of its own. Only the words of an inline command are copied.
//!
//! The decoder checks every announced length against its limit before it waits for more bytes.

use bytes::{Buf as _, Bytes, BytesMut};
use smallvec::SmallVec;
use thiserror::Error;

use super::inline;
use crate::{KEYS_MAX, REQUEST_MAX, Reply, number::integer};

/// A command: its name and its arguments. A [`Decoder`] never returns an empty one.
pub type Arguments = SmallVec<[Bytes; 4]>;

/// The highest lengths in requests. An inline command has only the limit of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of arguments of one request.
    pub arguments: usize,
    /// The bytes of one argument.
    pub argument: usize,
    /// The bytes of all arguments of one request.
    pub request: usize,
    /// The bytes of one line: an inline command, or an announced length.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Keys and values of the largest command, with the arguments of `PAXOS ONCE`.
            arguments: 2 * KEYS_MAX + 64,
            argument: REQUEST_MAX,
            request: REQUEST_MAX,
            line: 1 << 16,
        }
    }
}

/// The reason why bytes are not a request, or exceed a limit. The later bytes have no meaning, so the connection must
/// be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The line with the number of arguments is too long.
    #[error("Protocol error: too big mbulk count string")]
    CountTooLong,
    /// The number of arguments is not a number, or is too large.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// The line with the length of an argument is too long.
    #[error("Protocol error: too big bulk count string")]
    LengthTooLong,
    /// An argument does not begin with `$` and its length.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    NoLength(u8),
    /// The length of an argument is not a number, or is too large.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// The arguments together are too large.
    #[error("Protocol error: too big request")]
    Request,
    /// An inline command is too long.
    #[error("Protocol error: too big inline request")]
    LineTooLong,
    /// The quotes of an inline command are unbalanced.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
}

impl ProtocolError {
    /// Returns the answer that is sent before the connection is closed.
    pub fn reply(&self) -> Reply {
        Reply::Error(match self {
            // The byte is repeated as it is, even if it is not a character.
            Self::NoLength(byte) => {
                [b"ERR Protocol error: expected '$', got '", &[*byte][..], b"'"].concat().into()
            }
            other => format!("ERR {other}").into(),
        })
    }
}

/// The memory that an argument takes beside its own bytes, including the bytes that announce it.
const ARGUMENT_BYTES: usize = 64;

/// The decoder for the requests of one client.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    /// The number of bytes in which the decoder has looked for the end of the first line.
    searched: usize,
    /// The number of arguments that were announced and have not arrived.
    missing: usize,
    /// The length of the next argument, once it is known.
    length: Option<usize>,
    /// The bytes of the arguments so far, including an announced argument that has not arrived.
    size: usize,
    arguments: Arguments,
}

impl Decoder {
    /// Returns a decoder with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Returns an upper bound on the bytes of all arguments of the incomplete request, or 0 if the number of its
    /// arguments has not arrived.
    pub fn expects(&self) -> usize {
        match (self.missing, self.length) {
            (0, _) => 0,
            (1, Some(_)) => self.size,
            _ => self.limits.request,
        }
    }

    /// Returns the memory of the arguments that have arrived for the incomplete request.
    pub fn collected(&self) -> usize {
        if self.missing == 0 {
            return 0;
        }
        self.size - self.length.unwrap_or(0) + self.arguments.len() * ARGUMENT_BYTES
    }

    /// Copies the arguments of the incomplete request, so that they do not share the memory of the buffer in which
    /// they arrived.
    pub fn release_buffer(&mut self) {
        for argument in &mut self.arguments {
            *argument = Bytes::copy_from_slice(argument);
        }
    }

    /// Removes the next request from the buffer and returns it. Returns `None` if the request is not complete. Between
    /// calls the caller may append to the buffer, and must not change it otherwise.
    ///
    /// # Errors
    /// Fails if the bytes are not a request or exceed a limit. After an error the decoder must not be used again.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Arguments>, ProtocolError> {
        while self.missing > 0 || !input.is_empty() {
            let done = if self.missing > 0 {
                self.argument(input)?
            } else if input[0] == b'*' {
                self.count(input)?
            } else {
                self.inline(input)?
            };
            match done {
                None => return Ok(None),
                Some(()) if self.missing > 0 || self.arguments.is_empty() => {}
                Some(()) => return Ok(Some(std::mem::take(&mut self.arguments))),
            }
        }
        Ok(None)
    }

    /// Decodes the number of arguments: `*2\r\n`. Zero arguments are no request and no error.
    fn count(&mut self, input: &mut BytesMut) -> Result<Option<()>, ProtocolError> {
        let Some(end) = self.line(input, b'\r', ProtocolError::CountTooLong)? else {
            return Ok(None);
        };
        let count = integer(&input[1..end]).ok_or(ProtocolError::Count)?;
        // A negative number counts as zero.
        let count = usize::try_from(count).unwrap_or(0);
        if count > self.limits.arguments {
            return Err(ProtocolError::Count);
        }
        self.pass(end + 2, input);
        self.missing = count;
        self.size = 0;
        Ok(Some(()))
    }

    /// Decodes an argument: `$3\r\nGET\r\n`.
    fn argument(&mut self, input: &mut BytesMut) -> Result<Option<()>, ProtocolError> {
        let length = match self.length {
            Some(length) => length,
            None => match self.length(input)? {
                Some(length) => *self.length.insert(length),
                None => return Ok(None),
            },
        };
        // The two bytes after the argument are not checked, because its length is known.
        if input.len() < length + 2 {
            return Ok(None);
        }
        self.arguments.push(input.split_to(length).freeze());
        self.pass(2, input);
        self.length = None;
        self.missing -= 1;
        Ok(Some(()))
    }

    fn length(&mut self, input: &mut BytesMut) -> Result<Option<usize>, ProtocolError> {
        let Some(end) = self.line(input, b'\r', ProtocolError::LengthTooLong)? else {
            return Ok(None);
        };
        if input[0] != b'$' {
            return Err(ProtocolError::NoLength(input[0]));
        }
        let length = integer(&input[1..end]).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= self.limits.argument);
        let length = length.ok_or(ProtocolError::Length)?;
        self.size = self.size.saturating_add(length);
        if self.size > self.limits.request {
            return Err(ProtocolError::Request);
        }
        self.pass(end + 2, input);
        Ok(Some(length))
    }

    /// Decodes an inline command: `GET a\n`. An empty line is no request and no error.
    fn inline(&mut self, input: &mut BytesMut) -> Result<Option<()>, ProtocolError> {
        let Some(end) = self.line(input, b'\n', ProtocolError::LineTooLong)? else {
            return Ok(None);
        };
        self.arguments = inline::words(&input[..end]).ok_or(ProtocolError::Quotes)?;
        self.pass(end + 1, input);
        Ok(Some(()))
    }

    /// Returns the offset of the end of the first line, or `None` if the line is not complete. A line that ends with a
    /// carriage return is complete only with the byte after it.
    fn line(
        &mut self,
        input: &BytesMut,
        end: u8,
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        // The search stops after the longest line, so that the result does not depend on later bytes.
        let within = input.len().min(self.limits.line + 1);
        let found = input[self.searched..within].iter().position(|byte| *byte == end);
        match found {
            Some(found) => {
                self.searched += found;
                let complete = end == b'\n' || self.searched + 1 < input.len();
                Ok(complete.then_some(self.searched))
            }
            None if input.len() > self.limits.line => Err(too_long),
            None => {
                self.searched = within;
                Ok(None)
            }
        }
    }

    /// Removes bytes from the buffer.
    fn pass(&mut self, bytes: usize, input: &mut BytesMut) {
        input.advance(bytes);
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    const LIMITS: Limits = Limits { arguments: 4, argument: 30, request: 50, line: 20 };

    /// All requests, and the error that ended them.
    type Decoded = (Vec<Vec<Bytes>>, Option<ProtocolError>);

    fn decode_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
        let (mut decoder, mut input) = (Decoder::new(LIMITS), BytesMut::new());
        let mut requests = Vec::new();
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(arguments)) => requests.push(arguments.to_vec()),
                    Ok(None) => break,
                    Err(error) => return (requests, Some(error)),
                }
            }
        }
        (requests, None)
    }

    fn decode(bytes: &[u8]) -> Decoded {
        decode_pieces([bytes])
    }

    fn as_arrays(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for request in requests {
            bytes.extend(format!("*{}\r\n", request.len()).into_bytes());
            for argument in request {
                bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
                bytes.extend(argument);
                bytes.extend(b"\r\n");
            }
        }
        bytes
    }

    fn requests() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        vec(vec(vec(any::<u8>(), 0..12), 1..=4), 0..5)
    }

    /// Arbitrary bytes that often resemble requests.
    fn noise() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            6 => prop::sample::select(vec![
                &b"*"[..], b"$", b"\r\n", b"\r", b"\n", b"1", b"2", b"-1", b"\"", b"'", b"\\", b" ", b"0",
                b"*1\r\n$1\r\na\r\n", b"*2\r\n", b"$3\r\nabc\r\n", b"get a\r\n", b"\0", b"99", b"$31\r\n",
            ]).prop_map(<[u8]>::to_vec),
            1 => vec(any::<u8>(), 0..25),
        ];
        vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn requests_are_decoded(requests in requests()) {
            let expected: Vec<Vec<Bytes>> = requests
                .iter()
                .map(|request| request.iter().cloned().map(Bytes::from).collect())
                .collect();
            prop_assert_eq!(decode(&as_arrays(&requests)), (expected, None));
        }

        #[test]
        fn the_division_into_pieces_makes_no_difference(
            bytes in prop_oneof![noise(), requests().prop_map(|requests| as_arrays(&requests))],
            cuts in vec(any::<Index>(), 0..10),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let whole = decode(&bytes);
            prop_assert_eq!(&decode_pieces(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]])), &whole);
            prop_assert_eq!(&decode_pieces(bytes.chunks(1)), &whole);
        }

        #[test]
        fn no_request_exceeds_its_limits(bytes in noise()) {
            let (requests, _) = decode(&bytes);
            for request in requests {
                prop_assert!(!request.is_empty());
                let size: usize = request.iter().map(Bytes::len).sum();
                prop_assert!(size <= LIMITS.request);
                prop_assert!(request.len() <= LIMITS.arguments.max(LIMITS.line / 2 + 1));
            }
        }
    }

    #[test]
    fn refused_bytes_and_their_errors() {
        for (bytes, error, words) in [
            ("*x\r\n", ProtocolError::Count, "invalid multibulk length"),
            ("*5\r\n", ProtocolError::Count, "invalid multibulk length"),
            ("*\r\n", ProtocolError::Count, "invalid multibulk length"),
            ("*1111111111111111111111", ProtocolError::CountTooLong, "too big mbulk count string"),
            ("*1\r\nx\r\n", ProtocolError::NoLength(b'x'), "expected '$', got 'x'"),
            ("*1\r\n$x\r\n", ProtocolError::Length, "invalid bulk length"),
            ("*1\r\n$-1\r\n", ProtocolError::Length, "invalid bulk length"),
            ("*1\r\n$31\r\n", ProtocolError::Length, "invalid bulk length"),
            ("*1\r\n$9223372036854775807\r\n", ProtocolError::Length, "invalid bulk length"),
            (
                "*1\r\n$1111111111111111111111",
                ProtocolError::LengthTooLong,
                "too big bulk count string",
            ),
            (
                "*2\r\n$30\r\n012345678901234567890123456789\r\n$21\r\n",
                ProtocolError::Request,
                "too big request",
            ),
            ("set a bbbbbbbbbbbbbbbbbbbbbb", ProtocolError::LineTooLong, "too big inline request"),
            ("set \"a\r\n", ProtocolError::Quotes, "unbalanced quotes in request"),
        ] {
            assert_eq!(decode(bytes.as_bytes()), (vec![], Some(error)), "{bytes}");
            let reply = Reply::Error(format!("ERR Protocol error: {words}").into());
            assert_eq!(error.reply(), reply);
            assert_eq!(format!("ERR {error}"), format!("ERR Protocol error: {words}"));
        }
    }

    #[test]
    fn empty_requests_are_skipped() {
        assert_eq!(decode(b"\r\n\n*0\r\n*-1\r\n  \r\n"), (vec![], None));
        assert_eq!(decode(b"*0\r\nping\n"), (vec![vec!["ping".into()]], None));
    }

    /// Short arguments take more memory than their bytes, and keep the buffer in which they arrived.
    #[test]
    fn arguments_of_an_unfinished_request_are_counted() {
        let mut input = BytesMut::from("*9\r\n$1\r\na\r\n$0\r\n\r\n$0\r\n\r\n$7\r\nabc");
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(&mut input), Ok(None));
        assert_eq!(decoder.collected(), 1 + 3 * ARGUMENT_BYTES);
        assert_eq!(decoder.expects(), REQUEST_MAX);
        let before = decoder.arguments[0].as_ptr();
        decoder.release_buffer();
        assert_ne!(decoder.arguments[0].as_ptr(), before);
        assert_eq!(decoder.arguments[0], "a");
    }

    /// Arguments share the memory of the input.
    #[test]
    fn arguments_are_not_copied() {
        let mut input = BytesMut::from("*2\r\n$3\r\nget\r\n$1\r\na\r\n");
        let start = input.as_ptr() as usize;
        let arguments = Decoder::default().decode(&mut input).unwrap().unwrap();
        let offsets: Vec<usize> =
            arguments.iter().map(|text| text.as_ptr() as usize - start).collect();
        assert_eq!(offsets, [8, 17]);
    }
}
