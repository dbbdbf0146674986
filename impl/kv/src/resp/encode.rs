//! Encodes replies, in both versions of the protocol.

use bytes::{Bytes, BytesMut};

use crate::Reply;

/// The version of the protocol for replies. Requests are the same in both versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Version 2. It has no maps, sets or booleans.
    #[default]
    Resp2,
    /// Version 3.
    Resp3,
}

/// A receiver for the bytes of replies.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Appends bytes whose memory may be shared instead of copied.
    fn put_shared(&mut self, bytes: &Bytes) {
        self.put(bytes);
    }
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Encodes a reply into a sink.
pub fn encode(reply: &Reply, protocol: Protocol, output: &mut impl Sink) {
    let resp3 = protocol == Protocol::Resp3;
    match reply {
        Reply::Simple(word) => line(b'+', word, output),
        Reply::Error(text) => line(b'-', text, output),
        Reply::Integer(number) => header(b':', *number, output),
        Reply::Bulk(text) => {
            header(b'$', text.len(), output);
            output.put_shared(text);
            output.put(b"\r\n");
        }
        Reply::Null => output.put(if resp3 { b"_\r\n" } else { b"$-1\r\n" }),
        Reply::Boolean(truth) if resp3 => {
            output.put(if *truth { b"#t\r\n" } else { b"#f\r\n" });
        }
        Reply::Boolean(truth) => header(b':', u8::from(*truth), output),
        Reply::Array(replies) => list(b'*', replies, protocol, output),
        Reply::Set(replies) => list(if resp3 { b'~' } else { b'*' }, replies, protocol, output),
        Reply::Map(pairs) => {
            let (sign, length) = if resp3 { (b'%', pairs.len()) } else { (b'*', 2 * pairs.len()) };
            header(sign, length, output);
            for (key, value) in pairs {
                encode(key, protocol, output);
                encode(value, protocol, output);
            }
        }
    }
}

fn list(sign: u8, replies: &[Reply], protocol: Protocol, output: &mut impl Sink) {
    header(sign, replies.len(), output);
    for reply in replies {
        encode(reply, protocol, output);
    }
}

fn header(sign: u8, number: impl itoa::Integer, output: &mut impl Sink) {
    output.put(&[sign]);
    output.put(itoa::Buffer::new().format(number).as_bytes());
    output.put(b"\r\n");
}

/// Writes a line. Writes spaces for line breaks in the text, because an error may repeat arbitrary bytes of a client.
fn line(sign: u8, text: &[u8], output: &mut impl Sink) {
    output.put(&[sign]);
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        output.put(&rest[..end]);
        output.put(b" ");
        rest = &rest[end + 1..];
    }
    output.put(rest);
    output.put(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(reply: &Reply) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut output = BytesMut::new();
            encode(reply, protocol, &mut output);
            output.escape_ascii().to_string()
        })
    }

    #[test]
    fn every_kind_in_both_versions() {
        let one = || Reply::Integer(1);
        for (reply, resp2, resp3) in [
            (Reply::ok(), r"+OK\r\n", r"+OK\r\n"),
            (Reply::error("ERR a\r\nb"), r"-ERR a  b\r\n", r"-ERR a  b\r\n"),
            (Reply::Integer(i64::MIN), r":-9223372036854775808\r\n", r":-9223372036854775808\r\n"),
            (Reply::Bulk("a\r\nb".into()), r"$4\r\na\r\nb\r\n", r"$4\r\na\r\nb\r\n"),
            (Reply::Bulk("".into()), r"$0\r\n\r\n", r"$0\r\n\r\n"),
            (Reply::Null, r"$-1\r\n", r"_\r\n"),
            (Reply::Boolean(true), r":1\r\n", r"#t\r\n"),
            (Reply::Boolean(false), r":0\r\n", r"#f\r\n"),
            (Reply::Array(vec![one(), Reply::Null]), r"*2\r\n:1\r\n$-1\r\n", r"*2\r\n:1\r\n_\r\n"),
            (Reply::Set(vec![one()]), r"*1\r\n:1\r\n", r"~1\r\n:1\r\n"),
            (Reply::Map(vec![(one(), one())]), r"*2\r\n:1\r\n:1\r\n", r"%1\r\n:1\r\n:1\r\n"),
        ] {
            assert_eq!(both(&reply), [resp2, resp3], "{reply:?}");
        }
    }
}
