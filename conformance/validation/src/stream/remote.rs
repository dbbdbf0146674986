//! One server, and the copies of its files.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    net::{SocketAddr, TcpStream},
    ops::Bound,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use paxos::NodeId;
use paxos_recording::FileName;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    CHUNK_MAX, Connection, DIGEST_MAX, Listed, REPLY_MAX, Reply, Request, Unread, VERSION,
    error::CopyError, hello, version,
};

/// The bytes before a place whose digest is compared at each request.
const OVERLAP: u64 = 4096;
/// The most replies to one listing.
pub(super) const PAGES_MAX: usize = 1000;

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

/// The copy of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileCopy {
    pub(super) length: u64,
    /// The bytes from the beginning that were compared with those of the server.
    pub(super) compared: u64,
    pub(super) given_up: bool,
    /// True if the server had no more bytes after the next file of the node was there.
    pub(super) complete: bool,
}

/// A server, and the copies of its files.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) address: SocketAddr,
    pub(super) limits: Limits,
    pub(super) connection: Option<Connection>,
    /// The reason for which the server was not reached at the last try, and the moment of the next try.
    pub(super) lost: Option<(String, Instant)>,
    /// True if the server was reached before.
    pub(super) known: bool,
    /// The files of the last listing.
    pub(super) listed: BTreeMap<FileName, Listed>,
    pub(super) copies: BTreeMap<FileName, FileCopy>,
    /// True if the last pull has copied everything that was listed.
    pub(super) current: bool,
}

/// The end of the work with a server in a pull.
pub(super) enum Stop {
    /// The server is tried again later.
    Lost(String),
    Unusable(CopyError),
}

impl From<CopyError> for Stop {
    fn from(error: CopyError) -> Self {
        Self::Unusable(error)
    }
}

impl Remote {
    pub(super) fn new(address: SocketAddr, limits: Limits) -> Self {
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
    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        self.listed.keys().chain(self.copies.keys()).map(|name| name.start.node).collect()
    }

    pub(super) fn bytes_behind(&self) -> u64 {
        let copied = |name| self.copies.get(name).map_or(0, |copy| copy.length);
        let behind = |(name, listed): (_, &Listed)| listed.length.saturating_sub(copied(name));
        self.listed.iter().map(behind).sum()
    }

    pub(super) fn lose(&mut self, reason: String) {
        (self.connection, self.current) = (None, false);
        self.lost = Some((reason, Instant::now() + self.limits.pause));
    }

    /// Asks for the files of the server. Connects first, if there is no connection.
    pub(super) fn list(&mut self) -> Result<(), Stop> {
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
    pub(super) fn copy(&mut self, directory: &Path) -> Result<(), Stop> {
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
