//! RESP, the protocol of Redis: requests are decoded, replies encoded.
//!
//! Own code, since `redis-protocol`, the crate that is kept best, has no limits on lengths, reads no
//! inline commands, and begins again at the first byte of a request whenever more of it arrives.

mod decode;
mod encode;
mod inline;

pub use decode::{Arguments, Decoder, Limits, ProtocolError};
pub use encode::{Protocol, Sink, encode};
