//! Copies of the recordings of several servers, in one directory.
//!
//! A copy has a prefix of the bytes of its file, and grows only at its end. A reader of the directory must not take a file for
//! complete that is not. A node begins a file, or starts again, only once the file before is complete. So a pull copies the
//! files of a node in their order, and begins a copy only once the copy before it is complete.
//!
//! A copy that its server contradicts ends the watch with a [`CopyError`]: a server that has fewer bytes, or other bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions, TryLockError},
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
};

use paxos::NodeId;
use paxos_recording::FileName;

use super::{
    error::CopyError,
    remote::{FileCopy, Limits, Remote, Stop},
};

/// The name of the file that marks a directory of copies. The process that copies holds its lock.
const MARK: &str = "copied-from-streams";

/// The result of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The copies have everything that was recorded before the pull began.
    All,
    /// The copies have everything that these nodes recorded before the pull began.
    Only(BTreeSet<NodeId>),
}

impl Pulled {
    /// True if the copies have everything that a node recorded before the pull began.
    pub fn has(&self, node: NodeId) -> bool {
        match self {
            Self::All => true,
            Self::Only(nodes) => nodes.contains(&node),
        }
    }
}

/// Copies of the recordings of several servers.
#[derive(Debug)]
pub struct Copies {
    directory: PathBuf,
    servers: Vec<Remote>,
    /// The copies of earlier processes whose server is not known yet.
    unclaimed: BTreeMap<FileName, FileCopy>,
    /// The marked file, whose lock is held.
    _lock: File,
}

impl Copies {
    /// Opens a directory of copies, or creates it. The servers may be down still.
    ///
    /// # Errors
    /// The directory cannot be used, has other recordings, or is in use.
    pub fn open(
        directory: &Path,
        addresses: &[SocketAddr],
        limits: Limits,
    ) -> Result<Self, CopyError> {
        let failed = |error| CopyError::Io { path: directory.to_owned(), error };
        fs::create_dir_all(directory).map_err(failed)?;
        let mut unclaimed = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some((name, given_up)) = FileName::parse(&entry.path()) else { continue };
            let length = entry.metadata().map_err(failed)?.len();
            unclaimed.insert(name, FileCopy { length, given_up, ..FileCopy::default() });
        }
        let mark = directory.join(MARK);
        if !unclaimed.is_empty() && !mark.exists() {
            return Err(CopyError::NoCopies(directory.to_owned()));
        }
        let lock = OpenOptions::new().append(true).create(true).open(&mark);
        let lock = lock.map_err(|error| CopyError::Io { path: mark.clone(), error })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CopyError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(CopyError::Io { path: mark, error }),
        }
        let servers = addresses.iter().map(|&address| Remote::new(address, limits)).collect();
        Ok(Self { directory: directory.to_owned(), servers, unclaimed, _lock: lock })
    }

    /// Copies the bytes that are new. Returns the nodes of which the copies have everything that was recorded before.
    ///
    /// # Errors
    /// A server contradicts its copies, is no server of recordings, or the copies cannot be written.
    pub fn pull(&mut self) -> Result<Pulled, CopyError> {
        self.each(Remote::list)?;
        self.claim()?;
        let directory = self.directory.clone();
        self.each(|server| server.copy(&directory))?;
        if self.servers.iter().all(|server| server.current) {
            return Ok(Pulled::All);
        }
        let current = self.servers.iter().filter(|server| server.current);
        Ok(Pulled::Only(current.flat_map(Remote::nodes).collect()))
    }

    /// The servers that were not reached at the last pull, with the reasons.
    pub fn unreachable<'a>(&'a self) -> impl Iterator<Item = (SocketAddr, &'a str)> {
        let lost = |server: &'a Remote| Some((server.address, &*server.lost.as_ref()?.0));
        self.servers.iter().filter_map(lost)
    }

    /// The bytes of the last listings that were not copied.
    pub fn bytes_behind(&self) -> u64 {
        self.servers.iter().map(Remote::bytes_behind).sum()
    }

    /// The reasons for which the copies may not have everything that the nodes have recorded.
    pub fn doubts(&self) -> Vec<String> {
        let doubts = self.servers.iter().filter(|server| !server.current).map(|server| {
            let address = server.address;
            match &server.lost {
                Some((reason, _)) => format!("{address} was not reached: {reason}"),
                None => format!("{} bytes of {address} were not copied", server.bytes_behind()),
            }
        });
        doubts.collect()
    }

    /// Works with all servers at once, so that a server that does not answer holds up no other longer than its time limit.
    fn each(
        &mut self,
        work: impl Fn(&mut Remote) -> Result<(), Stop> + Sync,
    ) -> Result<(), CopyError> {
        let work = &work;
        let ends: Vec<_> = thread::scope(|scope| {
            let run = move |server: &mut Remote| match work(server) {
                Err(Stop::Lost(reason)) => {
                    server.lose(reason);
                    Ok(())
                }
                Err(Stop::Unusable(error)) => Err(error),
                Ok(()) => Ok(()),
            };
            let begin = |server| scope.spawn(move || run(server));
            let threads: Vec<_> = self.servers.iter_mut().map(begin).collect();
            threads.into_iter().map(|it| it.join().expect("a pull does not panic")).collect()
        });
        ends.into_iter().collect()
    }

    /// Gives each node to the server that has its recordings.
    fn claim(&mut self) -> Result<(), CopyError> {
        let mut owners = BTreeMap::new();
        for server in &self.servers {
            for node in server.nodes() {
                if let Some(first) = owners.insert(node, server.address) {
                    return Err(CopyError::TwoServers { node, first, second: server.address });
                }
            }
        }
        for server in &mut self.servers {
            let mine = self
                .unclaimed
                .extract_if(.., |name, _| owners.get(&name.start.node) == Some(&server.address));
            server.copies.extend(mine);
        }
        match self.unclaimed.keys().next() {
            Some(name) if self.servers.iter().all(|server| server.known) => {
                Err(CopyError::NoServer(name.start.node))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Duration};

    use bytes::Bytes;
    use paxos_recording::files::StartId;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;
    use crate::stream::{CHUNK_MAX, Connection, Listed, Reply, Request, hello, remote::PAGES_MAX};

    /// Answers the requests of one connection.
    fn scripted(mut answer: impl FnMut(Request) -> Reply + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            let mut connection = Connection::new(stream, Duration::from_mins(1)).expect("it works");
            connection.read_hello().expect("a greeting");
            connection.write(&hello()).expect("it waits");
            while let Ok(request) = connection.receive(1000) {
                connection.send(&answer(request)).expect("it waits");
            }
        });
        address
    }

    fn name(file: u32) -> FileName {
        FileName { start: StartId { node: NodeId(1), incarnation: 1, nonce: 0 }, file }
    }

    fn listed(file: u32, length: u64) -> Listed {
        Listed { name: name(file), length, given_up: false }
    }

    /// A node writes more and begins the next file after its server has looked at the length, and before it has listed all
    /// files. The copy must not have the next file without the last bytes of the file before.
    #[test]
    fn a_file_that_grows_while_its_directory_is_listed() {
        let folder = tempfile::tempdir().expect("a directory");
        let directory = folder.path().to_owned();
        let address = scripted(move |request| match request {
            Request::List { .. } => {
                Reply::Files { files: vec![listed(0, 4), listed(1, 3)], more: false }
            }
            Request::Read { name: FileName { file, .. }, offset, before, .. } => {
                let first = name(0).within(&directory);
                let bytes: &[u8] = if file == 0 { b"whole file" } else { b"next" };
                if file == 1 {
                    let first = fs::read(first).expect("it is copied");
                    assert_eq!(first, b"whole file", "the next file is begun too early");
                }
                let (copied, rest) = bytes.split_at(offset as usize);
                let before = xxh3_64(&copied[copied.len() - before as usize..]);
                Reply::Bytes { before, bytes: Bytes::copy_from_slice(&rest[..rest.len().min(4)]) }
            }
        });
        let mut copies = Copies::open(folder.path(), &[address], Limits::default()).expect("new");
        assert_eq!(copies.pull().expect("the server is right"), Pulled::All);
        assert_eq!(fs::read(name(0).within(folder.path())).expect("a copy"), b"whole file");
        assert_eq!(fs::read(name(1).within(folder.path())).expect("a copy"), b"next");
    }

    /// Returns the error of a pull from a server that gives these replies, one after the other.
    fn error(replies: Vec<Reply>) -> String {
        let folder = tempfile::tempdir().expect("a directory");
        let mut replies = replies.into_iter();
        let address = scripted(move |_| replies.next().expect("there is another reply"));
        let mut copies = Copies::open(folder.path(), &[address], Limits::default()).expect("new");
        copies.pull().expect_err("it is noticed").to_string()
    }

    #[test]
    fn replies_that_no_server_gives() {
        let files = |files: Vec<Listed>, more| Reply::Files { files, more };
        let bytes =
            |count| Reply::Bytes { before: xxh3_64(&[]), bytes: Bytes::from(vec![0; count]) };
        let one = || files(vec![listed(0, u64::MAX)], false);
        let large = CHUNK_MAX as usize + 1;
        for (replies, expected) in [
            (vec![one(), bytes(large)], "262145 bytes in place of 262144 at most"),
            (vec![one(), bytes(0)], "had 18446744073709551615 before: the recording has shrunk"),
            (vec![one(), Reply::Short { length: 1 }], "has 1 bytes"),
            (
                vec![one(), Reply::Missing],
                "does not have node-1-start-1-0000000000000000-00000.paxrec",
            ),
            (vec![one(), one()], "a reply has files, which was not asked for"),
            (vec![files(vec![listed(0, 0)], true), one()], "its files are in no order"),
            (vec![files(vec![], true); PAGES_MAX], "a listing has more than 1000 parts"),
        ] {
            let error = error(replies);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    /// A server that has closed an idle connection is reached by a new one, in the same pull.
    #[test]
    fn an_idle_connection_that_was_closed_is_made_again() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let connection = Connection::new(stream, Duration::from_mins(1));
                let mut connection = connection.expect("it works");
                connection.read_hello().expect("a greeting");
                connection.write(&hello()).expect("it waits");
                let request: Request = connection.receive(1000).expect("a request");
                assert_eq!(request, Request::List { after: None });
                let reply = Reply::Files { files: Vec::new(), more: false };
                connection.send(&reply).expect("it waits");
            }
        });
        let folder = tempfile::tempdir().expect("a directory");
        let mut copies = Copies::open(folder.path(), &[address], Limits::default()).expect("new");
        for _ in 0..3 {
            assert_eq!(copies.pull().expect("the server is right"), Pulled::All);
        }
    }

    /// A server that cannot read its directory is tried again.
    #[test]
    fn a_server_that_fails_is_shown() {
        let folder = tempfile::tempdir().expect("a directory");
        let address = scripted(|_| Reply::Failed { error: "the disk is broken".to_owned() });
        let mut copies = Copies::open(folder.path(), &[address], Limits::default()).expect("new");
        assert_eq!(copies.pull().expect("it is tried again"), Pulled::Only(BTreeSet::new()));
        let shown: Vec<_> = copies.unreachable().collect();
        assert_eq!(shown, [(address, "it reports: the disk is broken")]);
    }
}
