//! Multi-Paxos as a pure, deterministic state machine: an event goes in, records and messages come out.
//!
//! ```
//! use paxos::{Config, Event, NodeId, Output, Replica, Timer};
//!
//! let nodes = [NodeId(1), NodeId(2), NodeId(3)];
//! let mut replica = Replica::new(Config::new(NodeId(1), nodes))?;
//! let mut output = Output::default();
//! replica.step(Event::Timer(Timer::Campaign), &mut output);
//! assert_eq!(output.records.len(), 1, "its own promise, to be made durable first");
//! assert_eq!(output.messages.len(), 1, "Prepare to all peers, only after that");
//! # Ok::<(), paxos::ConfigError>(())
//! ```
//!
//! # What it is not
//!
//! [`protocol`] has no clock, no randomness, no socket and no file. A timer that fires is an event, and everything
//! that has to be sent, stored or awaited is output. The crates `paxos-store` and `paxos-node` have files, sockets
//! and clocks. Membership is fixed. Nodes crash and do not lie. The protocol does not look into commands or
//! snapshots.
//!
//! # The driver's contract
//!
//! The driver is the code that calls [`Replica::step`] and acts on the [`Output`]. It keeps three rules.
//!
//! 1. *Messages, chosen values and answers leave only after the records of the same and of every earlier output are
//!    durable.* A driver may step many events into one [`Output`], write and sync its records once, and then
//!    release the rest (group commit). The one exception is an Accept message, which may leave before the sync if
//!    the promise of its ballot is already durable ([`Output::take_early`]).
//! 2. *A snapshot is durable before its replica is told of it* ([`Event::Snapshot`]), because the replica then
//!    trims the log. If a crash comes between the two, the driver sends the event again. After the driver has
//!    installed a peer's snapshot ([`Output::fetch`]) and sent the event, the replica releases no chosen value
//!    below it.
//! 3. *After a crash the driver hands the durable records to [`Replica::recover`].* Records that cannot be read are
//!    an error and never a fresh start: an acceptor that forgets its promises breaks agreement.
//!
//! # Modules, in reading order
//!
//! - [`types`], [`message`], [`config`]: ballots, slots and values; the messages; the members and quorum sizes.
//! - [`event`]: the events that go in, and the output that comes out.
//! - [`protocol`]: the replica. Its four roles come first ([`acceptor`](protocol::acceptor), [`proposer`](protocol::proposer),
//!   [`learner`](protocol::learner), [`reader`](protocol::reader)), then the handlers of events.
//! - [`protocol::safety`]: the arguments why it is safe. The code refers to them by name.

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
