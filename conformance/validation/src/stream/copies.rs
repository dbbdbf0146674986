//! Copies of the recordings of several servers, in one directory.
//!
//! A copy has a prefix of the bytes of its file, and grows only at its end. A reader of the directory must not take a file for
//! complete that is not. A node begins a file, or starts again, only once the file before is complete. So a pull copies the
//! files of a node in their order, and begins a copy only once the copy before it is complete.
//!
//! A copy that its server contradicts ends the watch with a [`CopyError`]: a server that has fewer bytes, or other bytes.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    net::{SocketAddr, TcpStream},
    ops::Bound,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use paxos::NodeId;
use paxos_recording::FileName;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    CHUNK_MAX, Connection, DIGEST_MAX, Listed, REPLY_MAX, Reply, Request, Unread, VERSION, hello,
    version,
};

/// The name of the file that marks a directory of copies. The process that copies holds its lock.
const MARK: &str = "copied-from-streams";
/// The bytes before a place whose digest is compared at each request.
const OVERLAP: u64 = 4096;
/// The most replies to one listing.
const PAGES_MAX: usize = 1000;

/// The limits of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a file in a reply.
    pub chunk: u32,
    /// The most requests to each server in a pull, beside those for its listing.
    pub requests: usize,
    /// The longest time in which a pull begins further requests.
    pub time: Duration,
    /// The longest time for a connection, and for the reply to a request.
    pub patience: Duration,
    /// The pause after a server was not reached.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk: CHUNK_MAX,
            requests: 256,
            time: Duration::from_secs(1),
            patience: Duration::from_secs(3),
            pause: Duration::from_secs(2),
        }
    }
}

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

/// The copy of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FileCopy {
    length: u64,
    /// The bytes from the beginning that were compared with those of the server.
    compared: u64,
    given_up: bool,
    /// True if the server had no more bytes after the next file of the node was there.
    complete: bool,
}

/// A server, and the copies of its files.
#[derive(Debug)]
struct Remote {
    address: SocketAddr,
    limits: Limits,
    connection: Option<Connection>,
    /// The reason for which the server was not reached at the last try, and the moment of the next try.
    lost: Option<(String, Instant)>,
    /// True if the server was reached before.
    known: bool,
    /// The files of the last listing.
    listed: BTreeMap<FileName, Listed>,
    copies: BTreeMap<FileName, FileCopy>,
    /// True if the last pull has copied everything that was listed.
    current: bool,
}

/// The end of the work with a server in a pull.
enum Stop {
    /// The server is tried again later.
    Lost(String),
    Unusable(CopyError),
}

impl From<CopyError> for Stop {
    fn from(error: CopyError) -> Self {
        Self::Unusable(error)
    }
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

impl Remote {
    fn new(address: SocketAddr, limits: Limits) -> Self {
        Self {
            address,
            limits,
            connection: None,
            lost: None,
            known: false,
            listed: BTreeMap::new(),
            copies: BTreeMap::new(),
            current: false,
        }
    }

    /// The nodes that have recordings at the server, or had.
    fn nodes(&self) -> BTreeSet<NodeId> {
        self.listed.keys().chain(self.copies.keys()).map(|name| name.start.node).collect()
    }

    fn bytes_behind(&self) -> u64 {
        let copied = |name| self.copies.get(name).map_or(0, |copy| copy.length);
        let behind = |(name, listed): (_, &Listed)| listed.length.saturating_sub(copied(name));
        self.listed.iter().map(behind).sum()
    }

    fn lose(&mut self, reason: String) {
        (self.connection, self.current) = (None, false);
        self.lost = Some((reason, Instant::now() + self.limits.pause));
    }

    /// Asks for the files of the server. Connects first, if there is no connection.
    fn list(&mut self) -> Result<(), Stop> {
        self.current = false;
        if self.lost.as_ref().is_some_and(|(_, next)| Instant::now() < *next) {
            return Ok(());
        }
        let kept = self.connection.is_some();
        self.connect()?;
        let mut first = Some(match self.ask(Request::List { after: None }) {
            // A server closes a connection that is idle for long, as when a look takes long.
            Err(Stop::Lost(_)) if kept => {
                self.connection = None;
                self.connect()?;
                self.ask(Request::List { after: None })?
            }
            reply => reply?,
        });
        let (mut listed, mut after) = (BTreeMap::new(), None);
        for _ in 0..PAGES_MAX {
            let reply = match first.take() {
                Some(reply) => reply,
                None => self.ask(Request::List { after })?,
            };
            let (files, more) = match reply {
                Reply::Files { files, more } => (files, more),
                other => return Err(self.unexpected(&other)),
            };
            for file in files {
                if after >= Some(file.name) {
                    return Err(self.meaningless("its files are in no order".to_owned()));
                }
                after = Some(file.name);
                listed.insert(file.name, file);
            }
            if !more {
                (self.listed, self.lost, self.known) = (listed, None, true);
                return Ok(());
            }
        }
        Err(self.meaningless(format!("a listing has more than {PAGES_MAX} parts")))
    }

    fn connect(&mut self) -> Result<(), Stop> {
        if self.connection.is_some() {
            return Ok(());
        }
        let patience = self.limits.patience;
        let lost = |error: io::Error| Stop::Lost(error.to_string());
        let stream = TcpStream::connect_timeout(&self.address, patience).map_err(lost)?;
        let mut connection = Connection::new(stream, patience).map_err(lost)?;
        connection.write(&hello()).map_err(lost)?;
        let theirs = connection.read_hello().map_err(lost)?;
        match version(theirs) {
            Some(VERSION) => {
                self.connection = Some(connection);
                Ok(())
            }
            Some(found) => Err(CopyError::Version { address: self.address, found }.into()),
            None => Err(CopyError::NoStream(self.address).into()),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Reply, Stop> {
        let connection = self.connection.as_mut().expect("it is connected");
        let reply = match connection.send(&request) {
            Ok(()) => connection.receive(REPLY_MAX),
            Err(error) => Err(error.into()),
        };
        match reply {
            Ok(Reply::Failed { error }) => Err(Stop::Lost(format!("it reports: {error}"))),
            Ok(reply) => Ok(reply),
            Err(Unread::Lost(error)) => Err(Stop::Lost(error.to_string())),
            Err(Unread::Meaningless(what)) => Err(self.meaningless(what)),
        }
    }

    fn meaningless(&self, what: String) -> Stop {
        CopyError::Meaningless { address: self.address, what }.into()
    }

    fn unexpected(&self, reply: &Reply) -> Stop {
        let kind = match reply {
            Reply::Files { .. } => "files",
            Reply::Bytes { .. } => "bytes",
            Reply::Short { .. } => "a length",
            Reply::Missing => "that a file is missing",
            Reply::Failed { .. } => "an error",
        };
        self.meaningless(format!("a reply has {kind}, which was not asked for"))
    }

    /// Copies the files of the last listing, up to the listed lengths at least.
    fn copy(&mut self, directory: &Path) -> Result<(), Stop> {
        if self.lost.is_some() {
            return Ok(());
        }
        let mut work =
            Work { until: Instant::now() + self.limits.time, left: self.limits.requests };
        self.find_gone()?;
        let listed: Vec<_> = self.listed.values().copied().collect();
        for (place, file) in listed.iter().enumerate() {
            let next = listed.get(place + 1);
            let closed = next.is_some_and(|next| next.name.start.node == file.name.start.node);
            if !self.copy_file(directory, *file, closed, &mut work)? {
                return Ok(());
            }
        }
        self.current = true;
        Ok(())
    }

    /// Fails if the server does not have a file any more whose copy may not be complete.
    fn find_gone(&mut self) -> Result<(), Stop> {
        let gone = self.copies.keys().copied().filter(|name| {
            let mut later = self.copies.range((Bound::Excluded(name), Bound::Unbounded));
            let closed = later.next().is_some_and(|(next, _)| next.start.node == name.start.node);
            !closed && !self.listed.contains_key(name)
        });
        for name in gone.collect::<Vec<_>>() {
            // A file that is renamed while its directory is read may be missing in the listing.
            match self.ask(Request::Read { name, offset: 0, before: 0, most: 0 })? {
                Reply::Missing => {
                    let (address, file) = (self.address, name);
                    return Err(CopyError::Gone { address, file }.into());
                }
                Reply::Bytes { .. } => {}
                other => return Err(self.unexpected(&other)),
            }
        }
        Ok(())
    }

    /// Copies a file up to its listed length, or to its end if it is closed: a later file of the node was listed as well.
    /// Returns false if the work for this pull is done before.
    fn copy_file(
        &mut self,
        directory: &Path,
        listed: Listed,
        closed: bool,
        work: &mut Work,
    ) -> Result<bool, Stop> {
        let name = listed.name;
        let mut path = name.within(directory);
        let mut copy = match self.copies.entry(name) {
            Entry::Occupied(copy) => *copy.get(),
            Entry::Vacant(place) => {
                let created = OpenOptions::new().append(true).create_new(true).open(&path);
                created.map_err(|error| io_error(&path, error))?;
                *place.insert(FileCopy::default())
            }
        };
        if copy.given_up {
            path = name.given_up_within(directory);
        }
        let address = self.address;
        let shrunk = |found, before| CopyError::Shrunk { address, file: name, found, before };
        if listed.length < copy.length {
            return Err(shrunk(listed.length, copy.length).into());
        }
        while copy.compared < copy.length {
            let end = copy.length.min(copy.compared + u64::from(DIGEST_MAX));
            if !work.take() {
                return Ok(false);
            }
            self.read(&path, name, end, end - copy.compared, 0)?;
            copy.compared = end;
            self.copies.insert(name, copy);
        }
        while copy.length < listed.length || closed && !copy.complete {
            if !work.take() {
                return Ok(false);
            }
            let before = copy.length.min(OVERLAP);
            let bytes = self.read(&path, name, copy.length, before, self.limits.chunk)?;
            if bytes.is_empty() {
                if copy.length < listed.length {
                    return Err(shrunk(copy.length, listed.length).into());
                }
                copy.complete = true;
            }
            append(&path, &bytes).map_err(|error| CopyError::Io { path: path.clone(), error })?;
            copy.length += bytes.len() as u64;
            copy.compared = copy.length;
            self.copies.insert(name, copy);
        }
        if listed.given_up && !copy.given_up {
            let renamed = fs::rename(&path, name.given_up_within(directory));
            renamed.map_err(|error| CopyError::Io { path, error })?;
            copy.given_up = true;
            self.copies.insert(name, copy);
        }
        Ok(true)
    }

    /// Reads bytes of a file, and compares the bytes before them with those of the copy.
    fn read(
        &mut self,
        path: &Path,
        name: FileName,
        offset: u64,
        before: u64,
        most: u32,
    ) -> Result<Bytes, Stop> {
        let mut file = File::open(path).map_err(|error| io_error(path, error))?;
        let mut mine = Vec::new();
        file.seek(SeekFrom::Start(offset - before)).map_err(|error| io_error(path, error))?;
        file.take(before).read_to_end(&mut mine).map_err(|error| io_error(path, error))?;
        let request = Request::Read { name, offset, before: before as u32, most };
        let (address, file) = (self.address, name);
        match self.ask(request)? {
            Reply::Bytes { before, .. } if before != xxh3_64(&mine) => {
                Err(CopyError::Differs { address, file, before: offset }.into())
            }
            Reply::Bytes { bytes, .. } if bytes.len() > most as usize => {
                let what = format!("{} bytes in place of {most} at most", bytes.len());
                Err(self.meaningless(what))
            }
            Reply::Bytes { bytes, .. } => Ok(bytes),
            Reply::Short { length } => {
                Err(CopyError::Shrunk { address, file, found: length, before: offset }.into())
            }
            Reply::Missing => Err(CopyError::Gone { address, file }.into()),
            other => Err(self.unexpected(&other)),
        }
    }
}

/// The work that a pull may still do with a server.
struct Work {
    until: Instant,
    left: usize,
}

impl Work {
    /// Returns true if another request may begin.
    fn take(&mut self) -> bool {
        let may = self.left > 0 && Instant::now() < self.until;
        self.left = self.left.saturating_sub(1);
        may
    }
}

fn io_error(path: &Path, error: io::Error) -> CopyError {
    CopyError::Io { path: path.to_owned(), error }
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use paxos_recording::files::StartId;

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
