//! The reasons for which recordings cannot be copied.

use std::{io, net::SocketAddr, path::PathBuf};

use paxos::NodeId;
use paxos_recording::FileName;
use thiserror::Error;

use super::VERSION;

/// The reason for which recordings cannot be copied.
#[derive(Debug, Error)]
pub enum CopyError {
    /// A directory or file of the copies cannot be used.
    #[error("{}: {error}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The directory has recordings that are no copies.
    #[error(
        "{} has recordings that were not copied from streams; give a new directory for the copies",
        .0.display()
    )]
    NoCopies(PathBuf),
    /// Another process copies to the directory.
    #[error("{} is in use by another process; give each watch a directory of its own", .0.display())]
    InUse(PathBuf),
    /// The peer is no server of recordings.
    #[error("{0} does not answer as `paxos-conformance stream` does; give the address of a stream")]
    NoStream(SocketAddr),
    /// The server has another version of the protocol.
    #[error("{address} has version {found} of the protocol; this program has version {VERSION}")]
    Version {
        /// The server.
        address: SocketAddr,
        /// Its version.
        found: u16,
    },
    /// A reply has no meaning.
    #[error("{address} sends what no stream sends: {what}")]
    Meaningless {
        /// The server.
        address: SocketAddr,
        /// The fault of the reply.
        what: String,
    },
    /// The server has fewer bytes than before.
    #[error(
        "{file} has {found} bytes at {address}, and had {before} before: the recording has shrunk, so its copy cannot be \
         continued"
    )]
    Shrunk {
        /// The server.
        address: SocketAddr,
        /// The file.
        file: FileName,
        /// The bytes at the server.
        found: u64,
        /// The bytes that were listed or copied before.
        before: u64,
    },
    /// The server has other bytes than the copy.
    #[error(
        "{file} at {address} is not the file that was copied: bytes before byte {before} differ, so the copy cannot be \
         continued"
    )]
    Differs {
        /// The server.
        address: SocketAddr,
        /// The file.
        file: FileName,
        /// The place before which bytes differ.
        before: u64,
    },
    /// The server does not have a file any more that may not be complete.
    #[error("{address} does not have {file} any more, and its copy may not be complete")]
    Gone {
        /// The server.
        address: SocketAddr,
        /// The file.
        file: FileName,
    },
    /// Two servers have recordings of one node.
    #[error(
        "{first} and {second} both have recordings of node {node}; serve all recordings of a node at one address"
    )]
    TwoServers {
        /// The node.
        node: NodeId,
        /// One server.
        first: SocketAddr,
        /// Another server.
        second: SocketAddr,
    },
    /// No server has recordings of a node.
    #[error(
        "the copies have recordings of node {0}, and no address has; give the address of its stream"
    )]
    NoServer(NodeId),
}
