//! A replicated key-value store that speaks the protocol of Redis. The crate `paxos-node` replicates the store.
//!
//! # Modules, in reading order
//!
//! - `resp`, `request`: the protocol of Redis, and the table of commands.
//! - `client`: the state of one connection's client, and the next action for each request.
//! - `command`, `query`, `entry`: a change of the store, a question about it, and an entry of the log.
//! - `limits`, `execution`: the bounds on the cost of a request, and a request that executes within them.
//! - `store`, `machine`: the keys and values, and the state machine that is replicated.
//! - `server`: the sockets ([`serve`]). No other module has any.
//! - `info`, `display`: the reply to `INFO`, and entries of the log as text, for operators.
//!
//! A request takes the following way. The server of this crate takes the two steps in brackets with `paxos-node`.
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
//!         Action::OpenSession | Action::Once(_) | Action::Transfer(_) => Reply::error("ERR there is no log here"),
//!         Action::Info(_) => Reply::Bulk("# Server\r\n".into()),
//!     };
//!     resp::encode(&reply, client.protocol(), &mut output);
//! }
//! assert_eq!(output, "+OK\r\n$1\r\nv\r\n");
//! # Ok::<(), resp::ProtocolError>(())
//! ```
//!
//! # Limits
//!
//! The store has only a part of Redis: strings, in one database. Keys do not expire, because that would need a
//! clock that all nodes share. Instead of `WATCH` there is `SET key value IFEQ old`, as in Valkey.
//!
//! # Retries
//!
//! `PAXOS SESSION` opens a session at any node, and returns its number. A write that is sent as `PAXOS ONCE session
//! number heard-below command …` is applied at most once. Each retry, at any node, gets the first answer. The client
//! must give each command of a session its own `number`. With `heard-below` it says that it has the answers to all
//! numbers below `heard-below`, and the cluster forgets these answers.
//!
//! - After `MAYBE` the command may have been applied. Retry.
//! - After `CLUSTERDOWN` the command was not proposed. Retry.
//! - After `NOANSWER` a retry is useless. The session has expired, or the cluster has forgotten the answer. See
//!   [`session`](paxos_node::session).

mod client;
mod command;
mod display;
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
mod store;

pub use client::{Action, Client};
pub use command::{Command, SetAnswer, When};
pub use display::describe;
pub use entry::{Entry, Step};
pub use limits::{ANSWER_MAX, Copies, KEYS_MAX, REQUEST_MAX, STEPS_MAX, VALUE_MAX};
pub use machine::{AnswerTooLong, Kv};
pub use query::{Query, Question};
pub use reply::{NotAReply, Reply};
pub use server::{Limits, serve};
pub use store::{ENTRY_BYTES, Store};
