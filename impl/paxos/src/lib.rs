//! Multi-Paxos as a pure, deterministic state machine: an event goes in, records and messages come out.
//!
//! ```
//! use paxos::{Config, Event, NodeId, Output, Record, Replica, Timer};
//!
//! let nodes = [NodeId(1), NodeId(2), NodeId(3)];
//! let mut replica = Replica::new(Config::new(NodeId(1), nodes))?;
//! let mut output = Output::default();
//! replica.step(Event::Timer(Timer::Campaign), &mut output);
//! assert!(output.released().is_empty(), "the message waits for the promise of its ballot");
//!
//! let mut disk: Vec<Record> = Vec::new();
//! output.persist(|promise| {
//!     disk.extend_from_slice(promise); // A real driver writes and syncs here.
//!     Ok::<(), std::io::Error>(())
//! })?;
//! assert_eq!(output.released().messages.len(), 1, "Prepare to all peers");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! [`protocol`] has no clock, no randomness, no socket and no file. A timer that fires is an event. Messages to send,
//! records to store and timers to arm are output. The crates `paxos-store` and `paxos-node` add files, sockets and
//! clocks. Membership is fixed. Nodes may crash, and do not lie. The protocol does not look into commands or
//! snapshots.
//!
//! # The driver's contract
//!
//! The driver is the code that calls [`Replica::step`] and acts on the [`Output`]. It keeps four rules.
//!
//! 1. *Records before all else.* The records of a step are durable before the messages, chosen values and answers of this
//!    step or a later one leave. Only an Accept message may leave earlier, if the promise of its ballot is already durable
//!    ([`Output::take_early`]). The types keep this rule: an output gives up effects only once the driver has persisted their
//!    records ([`Output::persist`]), or against the token that a durable [`Write`] returns. The driver has to make writes
//!    durable in their order, and each as a whole. It may step many events before it persists their records (group commit),
//!    and step on while writes are under way.
//! 2. *A snapshot before its event.* The driver makes a snapshot durable before it sends [`Event::Snapshot`], because
//!    the replica then trims its log. After a crash between the two, the driver sends the event again. If the
//!    snapshot is a peer's ([`Effects::fetch`](event::Effects::fetch)), this step and later ones release only chosen values of the slots
//!    after it. The output of earlier steps may still contain values of slots in the snapshot, and the driver must
//!    not apply these ([`Output::drop_chosen`]).
//! 3. *The records after a crash.* The driver hands the durable records to [`Replica::recover`]. If it cannot read
//!    them, it must fail. It must not start with an empty replica, because an acceptor that forgets its promises breaks
//!    agreement.
//! 4. *A true note of votes.* A driver may note [`Replica::votes_chosen_below`], and send [`Event::VotesChosen`] with the
//!    slot after a crash. It must then renew the note with all records, so that both become durable in one step: a record
//!    of a vote can lower the note.
//!
//! # Modules, in reading order
//!
//! - [`types`], [`batch`], [`message`], [`config`]: ballots, slots and values; values of consecutive slots; the
//!   messages; the members and quorum sizes.
//! - [`event`]: the events that go in, and their effects.
//! - [`output`]: the effects that wait for records.
//! - [`opaque`]: the few things that the protocol knows of a ballot and of a value. The modules have types with
//!   parameters for both. The types of the same name at the root of the crate have [`Ballot`] and [`Value`].
//! - [`protocol`]: the replica. Its four roles come first ([`acceptor`](protocol::acceptor),
//!   [`proposer`](protocol::proposer), [`learner`](protocol::learner), [`reader`](protocol::reader)), then the
//!   handlers of events.
//! - [`protocol::safety`]: the arguments why the protocol is safe. The code refers to them by name.

pub mod batch;
pub mod config;
pub mod event;
pub mod message;
pub mod opaque;
pub mod output;
pub mod protocol;
pub mod types;

pub use config::{Config, ConfigError};
pub use event::{Proposal, ReadReady, Refusal, Refused, Taken, Timer, Token};
pub use message::To;
pub use types::{Ballot, NodeId, Slot, Value};

/// [`event::Event`] with [`Ballot`] and [`Value`].
pub type Event = event::Event<Ballot, Value>;
/// [`event::Effects`] with [`Ballot`] and [`Value`].
pub type Effects = event::Effects<Ballot, Value>;
/// [`output::Output`] with [`Ballot`] and [`Value`].
pub type Output = output::Output<Ballot, Value>;
/// [`output::Write`] with [`Ballot`] and [`Value`].
pub type Write = output::Write<Ballot, Value>;
/// [`output::Durable`] with [`Ballot`] and [`Value`].
pub type Durable = output::Durable<Ballot, Value>;
/// [`event::Record`] with [`Ballot`] and [`Value`].
pub type Record = event::Record<Ballot, Value>;
/// [`message::Envelope`] with [`Ballot`] and [`Value`].
pub type Envelope = message::Envelope<Ballot, Value>;
/// [`message::Message`] with [`Ballot`] and [`Value`].
pub type Message = message::Message<Ballot, Value>;
/// [`message::Report`] with [`Ballot`] and [`Value`].
pub type Report = message::Report<Ballot, Value>;
/// [`protocol::RecoverError`] with [`Ballot`] and [`Value`].
pub type RecoverError = protocol::RecoverError<Ballot, Value>;
/// [`protocol::Replica`] with [`Ballot`] and [`Value`].
pub type Replica = protocol::Replica<Ballot, Value>;
/// [`batch::Batch`] with [`Value`].
pub type Batch = batch::Batch<Value>;
