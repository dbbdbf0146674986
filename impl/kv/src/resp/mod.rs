//! RESP, the protocol of Redis: decodes requests and encodes replies.
//!
//! The crate `redis-protocol` is not used: it has no limits on lengths and reads no inline commands. It also reads
//! a request again from its first byte whenever more of it arrives.

mod decode;
mod encode;
mod inline;

pub use decode::{Arguments, Decoder, Limits, ProtocolError};
pub use encode::{Protocol, Sink, encode};
