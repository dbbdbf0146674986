//! A key-value store that speaks the protocol of Redis. [`serve`] has its sockets; the rest knows nothing of them.
//!
//! - `resp` and `request` read what a client sends; `client` says what is to be done for it.
//! - `entry`, `command` and `query` are what is written and read; `limits` and `execution` bound what that costs.
//! - `store` and `machine` are the state, replicated by `paxos-node`.
//! - `server` has the sockets, and `info` and `shown` say what there is, for operators.
//!
//! What a client sends takes this way; the two steps in brackets belong to whoever runs it:
//!
//! ```text
//! bytes -> resp::Decoder -> arguments -> Client -> Action::Reply ------------------+
//!                                              |-> Action::Read  -> [wait] -> Kv::answer
//!                                              `-> Action::Write -> [log] -> Kv::apply
//!                                                                                  |
//! bytes <- resp::encode  <- Reply <------------------------------------------------+
//! ```
//!
//! ```
//! use bytes::BytesMut;
//! use paxos_kv::{Action, Client, Kv, Reply, resp};
//! use paxos_node::StateMachine;
//!
//! let (mut decoder, mut client, mut kv) = (resp::Decoder::default(), Client::new(1), Kv::default());
//! let mut input = BytesMut::from("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\nGET k\r\n");
//! let mut output = BytesMut::new();
//! while let Some(arguments) = decoder.decode(&mut input)? {
//!     let reply = match client.handle(&arguments) {
//!         Action::Reply(reply) | Action::Close(reply) => reply,
//!         Action::HangUp => break,
//!         Action::Read(question) => kv.answer(&question),
//!         Action::Write { entry, .. } => kv.apply(&entry),
//!         Action::OpenSession | Action::Once(_) => Reply::error("ERR there is no log here"),
//!         Action::Info(_) => Reply::Bulk("# Server\r\n".into()),
//!     };
//!     resp::encode(&reply, client.protocol(), &mut output);
//! }
//! assert_eq!(output, "+OK\r\n$1\r\nv\r\n");
//! # Ok::<(), resp::ProtocolError>(())
//! ```
//!
//! There are strings only, in one database, and they do not expire: an expiry would need a clock
//! that all nodes share. Instead of `WATCH` there is `SET key value IFEQ old`, as in Valkey.
//!
//! A client that wants to ask again when an answer was lost opens a session with `PAXOS SESSION`, which any node
//! answers with a number. A write that is sent by `PAXOS ONCE session number heard-below command …` is applied at most once.
//! Each retry, to any node, gets the first answer. `number` is for this command alone. The answers to all
//! numbers below `heard-below` were heard, and are forgotten. After `MAYBE` the command may have been applied, and after
//! `CLUSTERDOWN` it was not asked for: retry both. After `NOANSWER` there is no use in a retry: the session has expired, or
//! the answer is not kept any more ([`session`](paxos_node::session) says when).

mod client;
mod command;
mod entry;
mod execution;
mod glob;
mod info;
mod limits;
mod machine;
mod number;
mod query;
mod reply;
pub mod request;
pub mod resp;
mod server;
mod shown;
mod store;

pub use client::{Action, Client};
pub use command::{Answer, Command, When};
pub use entry::{Entry, Step};
pub use limits::{ANSWER_MAX, Copies, KEYS_MAX, REQUEST_MAX, STEPS_MAX, VALUE_MAX};
pub use machine::{Kv, NoRoom};
pub use query::{Query, Question};
pub use reply::{NotAReply, Reply};
pub use server::{Limits, serve};
pub use shown::shown;
pub use store::{ENTRY_BYTES, Store};
