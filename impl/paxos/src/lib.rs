//! Multi-Paxos as a pure, deterministic state machine: an event goes in, records and messages
//! come out.
//!
//! ```
//! use paxos::{Config, Event, NodeId, Output, Replica, Timer};
//!
//! let nodes = [NodeId(1), NodeId(2), NodeId(3)];
//! let mut replica = Replica::new(Config::new(NodeId(1), nodes))?;
//! let mut output = Output::default();
//! replica.step(Event::Timer(Timer::Campaign), &mut output);
//! assert_eq!(output.records.len(), 1, "the promise to oneself, to be made durable first");
//! assert_eq!(output.messages.len(), 1, "Prepare to all peers, only after that");
//! # Ok::<(), paxos::ConfigError>(())
//! ```
//!
//! # The one contract with whoever drives it
//!
//! *Messages, chosen values and answers leave only after the records of the same and of every
//! earlier output are durable.* A driver may step many events into one [`Output`], write and sync
//! its records once, and then release the rest (group commit). One thing need not wait: an Accept message may leave
//! before the sync if the promise of its ballot is durable already ([`Output::take_early`]). The leader's own vote has to
//! wait. After a crash the driver hands the durable records to [`Replica::recover`]. Records that cannot be read are an
//! error, never a fresh start, for an acceptor that forgets its promises breaks agreement.
//!
//! *A snapshot is durable before its replica hears of it* ([`Event::Snapshot`]), because the replica then trims the log. After
//! a crash in between the driver sends the event again. When the snapshot of a peer ([`Output::fetch`]) is installed, the
//! replica does not release the chosen values below it.
//!
//! # Modules, in reading order
//!
//! - [`types`], [`message`], [`config`]: ballots, slots and values; what nodes say; who they are.
//! - [`event`]: what goes in, and what comes out.
//! - [`protocol`]: the replica. Its roles come first ([`acceptor`](protocol::acceptor),
//!   [`proposer`](protocol::proposer), [`learner`](protocol::learner), [`reader`](protocol::reader)), then how an event moves
//!   through them.
//!
//! # What it is not
//!
//! There is no clock, no randomness, no socket and no file in [`protocol`]: a timer that fires is an
//! event, and what should be sent, stored or awaited is output. Membership is fixed, faults are
//! crashes (nodes do not lie), and what a snapshot looks like is nothing to the protocol. The crates `paxos-store` and
//! `paxos-node` have files, sockets and clocks.

pub mod config;
pub mod event;
pub mod message;
pub mod protocol;
pub mod types;

pub use config::{Config, ConfigError};
pub use event::{
    Event, Output, Proposal, ReadReady, Record, Refusal, Refused, Taken, Timer, Token,
};
pub use message::{Envelope, Message, Report, To};
pub use protocol::{RecoverError, Replica};
pub use types::{Ballot, Batch, NodeId, Slot, Value};
