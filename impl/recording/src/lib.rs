//! Recordings: the steps that a node of Paxos has taken, in files that a validator reads.
//!
//! A node that records writes a [`Frame`] for each thing that it does: each start with the state that it recovered, each
//! step of its replica with the event and all output, the moments at which a write begins and is durable, each message that left,
//! each value that was applied, and each read that was served. The frames of a node are in the order in which these things
//! happened. There is no clock in a recording. A validator orders the frames of different nodes by their messages.
//!
//! ```
//! use paxos::{Config, Event, NodeId, Output, Replica, Timer};
//! use paxos_recording::{Body, Recorder, RecordingOptions, StartRecording, StartedFrom, starts};
//!
//! let folder = tempfile::tempdir()?;
//! let mut replica = Replica::new(Config::new(NodeId(1), [NodeId(1), NodeId(2), NodeId(3)]))?;
//! let from = StartedFrom { incarnation: 1, nonce: 7, snapshot: None };
//! let mut recorder = Recorder::create(RecordingOptions::new(folder.path()), from, replica.parts())?;
//! recorder.step(&mut replica, Event::Timer(Timer::Campaign), &mut Output::default());
//! recorder.end()?;
//!
//! let start = *starts(folder.path())?.first().expect("there is one");
//! let frames: Vec<_> = StartRecording::new(folder.path(), start).collect::<Result<_, _>>()?;
//! assert!(matches!(frames[0].body, Body::Start(_)));
//! assert!(matches!(frames[1].body, Body::Step(_)));
//! assert!(matches!(frames[2].body, Body::End));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a recording promises
//!
//! - The frame of a step is handed to the operating system before the messages of the step leave and before its records are
//!   written to the store. So a process that is killed has recorded everything that other nodes can have seen.
//! - Recordings are not synced. After a power cut the end of a recording may be missing.
//! - Each frame carries a checksum over its content and the checksum of the frame before it. A frame that is changed, dropped,
//!   moved or added breaks this chain. The chain protects against accidents, and not against an author who computes it anew.
//! - A recording has the digest of each command and not the command, unless the node is told otherwise
//!   ([`RecordingOptions::with_values`]). The digest is XXH3 with 128 bits. It is not a cryptographic digest: a client that
//!   constructs two commands with the same digest can hide that one replaced the other.
//!
//! # Modules, in reading order
//!
//! - [`frame`]: the content of a recording.
//! - [`identity`]: digests of values, and the identity by which a message that left is found again where it arrives.
//! - [`options`]: the place and the form of a recording.
//! - [`conversion`]: a step of a replica in the terms of a recording.
//! - [`recorder`]: records a node, which calls it. [`writer`]: writes frames.
//! - [`files`]: names of files, frames on disk, the chain, rotation.
//! - [`reader`]: a recording that is read, also while it grows.
//!
//! This crate judges nothing. It does not know the rules of Paxos.

pub mod conversion;
mod digest;
pub mod files;
pub mod frame;
pub mod identity;
pub mod options;
pub mod reader;
pub mod recorder;
pub mod writer;

pub use files::{FileName, Placed};
pub use frame::{Body, Frame, Step};
pub use identity::{Digest, MessageId};
pub use options::RecordingOptions;
pub use reader::{Damage, ReadError, StartRecording, starts};
pub use recorder::{Recorder, StartedFrom};
pub use writer::FrameWriter;
