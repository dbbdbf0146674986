//! RESP, the protocol of Redis: decodes requests and encodes replies.
//!
//! This module does not use the crate `redis-protocol`, which has no limits on lengths and reads no inline commands.
//! That crate also reads a request again from its first byte each time that more of it arrives.

mod decode;
mod encode;
mod inline;

pub use decode::{Arguments, Decoder, Limits, ProtocolError};
pub use encode::{Protocol, Sink, encode};
