//! Replies to clients, and the bytes as which they leave the state machine.
//!
//! The bytes of a reply are a sequence of tokens in postcard's format. A list is a token with the number of elements,
//! followed by the elements. So the reader can limit the depth of arbitrary bytes, and need not copy texts.

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use paxos_node::machine::Answer;

/// One reply of the protocol. [`encode`](super::resp::encode) writes it in either version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A word that reports success.
    Simple(Bytes),
    /// An error: a code and a description.
    Error(Bytes),
    /// A number.
    Integer(i64),
    /// Any bytes.
    Bulk(Bytes),
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// Replies in order.
    Array(Vec<Reply>),
    /// Pairs of keys and values.
    Map(Vec<(Reply, Reply)>),
    /// Replies without an order.
    Set(Vec<Reply>),
}

/// The error of bytes that are no reply: [`Reply::to_bytes`] has not written them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("these bytes are no reply")]
pub struct NotAReply;

/// The highest depth of nested replies. No answer has so many.
const DEPTH_MAX: usize = 8;

impl Reply {
    /// The memory that a reply takes beside its text, in bytes.
    pub const HEAD_BYTES: usize = 48;

    /// Returns `OK`.
    pub const fn ok() -> Self {
        Self::simple("OK")
    }

    /// Returns a [`Reply::Simple`] of a constant.
    pub const fn simple(word: &'static str) -> Self {
        Self::Simple(Bytes::from_static(word.as_bytes()))
    }

    /// Returns a [`Reply::Error`] of a constant, which begins with the code.
    pub const fn error(text: &'static str) -> Self {
        Self::Error(Bytes::from_static(text.as_bytes()))
    }

    /// Returns a count as a [`Reply::Integer`].
    pub(crate) fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Returns a [`Reply::Bulk`], or [`Reply::Null`] if there is no text.
    pub(crate) fn bulk_or_null(text: Option<Bytes>) -> Self {
        text.map_or(Self::Null, Self::Bulk)
    }

    /// Returns the reply as bytes. The most frequent replies are constants and allocate nothing.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Simple(word) if word == "OK" => Bytes::from_static(&[0, 2, b'O', b'K']),
            Self::Integer(0) => Bytes::from_static(&[2, 0]),
            Self::Integer(1) => Bytes::from_static(&[2, 2]),
            Self::Null => Bytes::from_static(&[4]),
            _ => self.written(),
        }
    }

    fn written(&self) -> Bytes {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes.into()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let token = match self {
            Self::Simple(word) => Token::Simple(word),
            Self::Error(text) => Token::Error(text),
            Self::Integer(number) => Token::Integer(*number),
            Self::Bulk(text) => Token::Bulk(text),
            Self::Null => Token::Null,
            Self::Boolean(truth) => Token::Boolean(*truth),
            Self::Array(replies) => Token::Array(replies.len()),
            Self::Map(pairs) => Token::Map(pairs.len()),
            Self::Set(replies) => Token::Set(replies.len()),
        };
        postcard::to_io(&token, &mut *bytes).expect("any token can be written to memory");
        match self {
            Self::Array(replies) | Self::Set(replies) => {
                for reply in replies {
                    reply.write(bytes);
                }
            }
            Self::Map(pairs) => {
                for (key, value) in pairs {
                    key.write(bytes);
                    value.write(bytes);
                }
            }
            _ => {}
        }
    }

    /// Decodes a reply. Its texts share the memory of the bytes. No bytes make it panic.
    ///
    /// # Errors
    /// Fails if the bytes are not one reply.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, NotAReply> {
        let mut rest = &bytes[..];
        let reply = Self::read(bytes, &mut rest, DEPTH_MAX)?;
        if rest.is_empty() { Ok(reply) } else { Err(NotAReply) }
    }

    fn read(bytes: &Bytes, rest: &mut &[u8], depth: usize) -> Result<Self, NotAReply> {
        let depth = depth.checked_sub(1).ok_or(NotAReply)?;
        let token;
        (token, *rest) = postcard::take_from_bytes(rest).map_err(|_| NotAReply)?;
        // A vector grows with its elements, so a wrong length reserves no memory.
        Ok(match token {
            Token::Simple(word) => Self::Simple(bytes.slice_ref(word)),
            Token::Error(text) => Self::Error(bytes.slice_ref(text)),
            Token::Integer(number) => Self::Integer(number),
            Token::Bulk(text) => Self::Bulk(bytes.slice_ref(text)),
            Token::Null => Self::Null,
            Token::Boolean(truth) => Self::Boolean(truth),
            Token::Array(length) => Self::Array(Self::several(bytes, rest, depth, length)?),
            Token::Set(length) => Self::Set(Self::several(bytes, rest, depth, length)?),
            Token::Map(length) => {
                let mut pairs = Vec::new();
                for _ in 0..length {
                    let key = Self::read(bytes, rest, depth)?;
                    pairs.push((key, Self::read(bytes, rest, depth)?));
                }
                Self::Map(pairs)
            }
        })
    }

    fn several(
        bytes: &Bytes,
        rest: &mut &[u8],
        depth: usize,
        length: usize,
    ) -> Result<Vec<Self>, NotAReply> {
        let mut replies = Vec::new();
        for _ in 0..length {
            replies.push(Self::read(bytes, rest, depth)?);
        }
        Ok(replies)
    }
}

impl Answer for Reply {
    /// Returns the number of bytes of all texts, and [`HEAD_BYTES`](Self::HEAD_BYTES) for the reply and for each reply
    /// in it.
    fn size(&self) -> usize {
        let inside = match self {
            Self::Simple(text) | Self::Error(text) | Self::Bulk(text) => text.len(),
            Self::Integer(_) | Self::Null | Self::Boolean(_) => 0,
            Self::Array(replies) | Self::Set(replies) => replies.iter().map(Self::size).sum(),
            Self::Map(pairs) => pairs.iter().map(|(key, value)| key.size() + value.size()).sum(),
        };
        inside + Self::HEAD_BYTES
    }

    fn to_bytes(&self) -> Bytes {
        self.to_bytes()
    }

    fn from_bytes(bytes: Bytes) -> Option<Self> {
        Self::from_bytes(&bytes).ok()
    }
}

#[derive(Serialize, Deserialize)]
enum Token<'a> {
    #[serde(serialize_with = "raw")]
    Simple(&'a [u8]),
    #[serde(serialize_with = "raw")]
    Error(&'a [u8]),
    Integer(i64),
    #[serde(serialize_with = "raw")]
    Bulk(&'a [u8]),
    Null,
    Boolean(bool),
    Array(usize),
    Map(usize),
    Set(usize),
}

/// Serializes bytes as a whole. By default serde serializes a slice byte by byte.
fn raw<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    pub(crate) fn reply() -> impl Strategy<Value = Reply> {
        let text = || vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let leaf = prop_oneof![
            Just(Reply::ok()),
            Just(Reply::Null),
            text().prop_map(Reply::Simple),
            text().prop_map(Reply::Error),
            text().prop_map(Reply::Bulk),
            prop_oneof![any::<i64>(), -2..3_i64].prop_map(Reply::Integer),
            any::<bool>().prop_map(Reply::Boolean),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Reply::Array),
                vec(inner.clone(), 0..4).prop_map(Reply::Set),
                vec((inner.clone(), inner), 0..4).prop_map(Reply::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_reply_is_read_as_written(reply in reply()) {
            let bytes = reply.to_bytes();
            prop_assert_eq!(&bytes, &reply.written());
            prop_assert_eq!(Reply::from_bytes(&bytes), Ok(reply));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in vec(prop_oneof![0..10_u8, any::<u8>()], 0..100)) {
            let _ = Reply::from_bytes(&bytes.into());
        }
    }

    #[test]
    fn depth_is_bounded() {
        let array_of_one = [6, 1];
        let bytes = array_of_one.repeat(1 << 20);
        assert_eq!(Reply::from_bytes(&bytes.into()), Err(NotAReply));
    }
}
