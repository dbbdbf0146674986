//! The server of the recordings in one directory, beside a node. It reads, and never writes.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use bytes::Bytes;
use paxos_recording::FileName;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    CHUNK_MAX, Connection, DIGEST_MAX, LISTED_MAX, Listed, REQUEST_MAX, Reply, Request, hello,
    version,
};

/// The most connections at once. Each has a thread and the memory of one reply.
const CONNECTIONS_MAX: usize = 32;
/// The pause between two looks for new connections.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest time between two requests, and for a reply to leave.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connections that are open, by a number.
type Open = Arc<Mutex<HashMap<u64, TcpStream>>>;

/// Serves the recordings in a directory.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    listener: TcpListener,
    open: Open,
}

impl Server {
    /// Listens at an address. The directory may still be empty, or not exist yet.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub fn bind(directory: &Path, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { directory: directory.to_owned(), listener, open: Open::default() })
    }

    /// The address at which the server listens.
    ///
    /// # Errors
    /// The system does not know it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` returns true. Closes all connections then.
    pub fn serve(self, stop: impl Fn() -> bool) {
        let Self { directory, listener, open } = self;
        let (directory, mut number) = (Arc::new(directory), 0);
        let mut threads = Vec::new();
        while !stop() {
            // A connection that breaks before it is accepted, or a lack of file descriptors, is no reason to stop.
            let Ok((stream, _)) = listener.accept() else {
                threads.retain(|thread: &thread::JoinHandle<()>| !thread.is_finished());
                thread::sleep(PAUSE);
                continue;
            };
            let Ok(kept) = stream.try_clone() else { continue };
            let mut connections = open.lock().unwrap_or_else(PoisonError::into_inner);
            if connections.len() >= CONNECTIONS_MAX {
                continue; // The connection is closed. The client shows that, and tries again.
            }
            number += 1;
            connections.insert(number, kept);
            drop(connections);
            let (directory, opened) = (Arc::clone(&directory), Arc::clone(&open));
            let serve = move || {
                // The client notices a lost connection, and makes another.
                let _ = serve_connection(&directory, stream);
                opened.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            };
            match thread::Builder::new().name("stream".to_owned()).spawn(serve) {
                Ok(thread) => threads.push(thread),
                // The system has no further thread. The connection is closed, and the client tries again.
                Err(_) => drop(open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)),
            }
        }
        for stream in open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            // An error means that the connection is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        for thread in threads {
            thread.join().expect("a connection does not panic");
        }
    }
}

/// Answers the requests of a connection. Ends at the first message that has no meaning.
fn serve_connection(directory: &Path, stream: TcpStream) -> io::Result<()> {
    let mut connection = Connection::new(stream, PATIENCE)?;
    let theirs = connection.read_hello()?;
    if version(theirs).is_none() {
        return Ok(());
    }
    // A client of another version learns the version of this server.
    connection.write(&hello())?;
    while let Ok(request) = connection.receive(REQUEST_MAX) {
        let reply = answer(directory, request);
        let reply = reply.unwrap_or_else(|error| Reply::Failed { error: error.to_string() });
        connection.send(&reply)?;
    }
    Ok(())
}

fn answer(directory: &Path, request: Request) -> io::Result<Reply> {
    match request {
        Request::List { after } => list(directory, after),
        Request::Read { name, offset, before, most } => {
            let Some((path, _, length)) = find(directory, name)? else {
                return Ok(Reply::Missing);
            };
            if length < offset {
                return Ok(Reply::Short { length });
            }
            let mut file = File::open(path)?;
            let before = u64::from(before.min(DIGEST_MAX)).min(offset);
            file.seek(SeekFrom::Start(offset - before))?;
            let mut digested = Vec::new();
            (&mut file).take(before).read_to_end(&mut digested)?;
            let mut bytes = Vec::new();
            file.take(most.min(CHUNK_MAX).into()).read_to_end(&mut bytes)?;
            Ok(Reply::Bytes { before: xxh3_64(&digested), bytes: Bytes::from(bytes) })
        }
    }
}

/// Returns the path and the length of a recording, and true if its node has given it up.
fn find(directory: &Path, name: FileName) -> io::Result<Option<(PathBuf, bool, u64)>> {
    // A node renames a file that it gives up, and never renames it back.
    for (path, given_up) in
        [(name.within(directory), false), (name.given_up_within(directory), true)]
    {
        match fs::symlink_metadata(&path) {
            // A link could lead out of the directory, and a pipe would block.
            Ok(metadata) if metadata.is_file() => {
                return Ok(Some((path, given_up, metadata.len())));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn list(directory: &Path, after: Option<FileName>) -> io::Result<Reply> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Reply::Files { files: Vec::new(), more: false });
        }
        entries => entries?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let Some((name, _)) = FileName::parse(&entry?.path()) else { continue };
        if after < Some(name) {
            names.insert(name);
        }
    }
    let mut files = Vec::new();
    for name in names {
        let Some((_, given_up, length)) = find(directory, name)? else { continue };
        if files.len() == LISTED_MAX {
            return Ok(Reply::Files { files, more: true });
        }
        files.push(Listed { name, length, given_up });
    }
    Ok(Reply::Files { files, more: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request has no path, so that it can only name a recording in the directory. Links, folders and other files are not served.
    #[test]
    fn only_recordings_of_the_directory_are_served() {
        let folder = tempfile::tempdir().expect("a directory");
        let directory = folder.path().join("recordings");
        fs::create_dir(&directory).expect("there is room");
        let name = |file: &str| {
            let name = format!("node-1-start-1-0000000000000000-{file}.paxrec");
            (FileName::parse(Path::new(&name)).expect("a recording").0, directory.join(name))
        };
        let outside = folder.path().join("node-1-start-1-0000000000000000-00009.paxrec");
        for path in [&outside, &directory.join("notes.txt"), &name("00000").1] {
            fs::write(path, "text").expect("there is room");
        }
        fs::create_dir(name("00001").1).expect("there is room");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&outside, name("00002").1).expect("there is room");
        let read = |file| {
            let request = Request::Read { name: name(file).0, offset: 0, before: 0, most: 9 };
            answer(&directory, request).expect("the directory can be read")
        };
        let empty = xxh3_64(&[]);
        assert_eq!(read("00000"), Reply::Bytes { before: empty, bytes: "text".into() });
        for file in ["00001", "00002", "00009"] {
            assert_eq!(read(file), Reply::Missing, "{file}");
        }
        let listed = Listed { name: name("00000").0, length: 4, given_up: false };
        let list = Request::List { after: None };
        let all = Reply::Files { files: vec![listed], more: false };
        assert_eq!(answer(&directory, list).expect("it can be read"), all);
        let none = Reply::Files { files: Vec::new(), more: false };
        let later = Request::List { after: Some(listed.name) };
        assert_eq!(answer(&directory, later).expect("it can be read"), none);
        let missing = folder.path().join("missing");
        assert_eq!(answer(&missing, list).expect("it may be created later"), none);
    }

    /// Replies are bounded, whatever a request asks for.
    #[test]
    fn replies_are_bounded() {
        let folder = tempfile::tempdir().expect("a directory");
        let name = |number: usize| {
            let name = format!("node-1-start-1-0000000000000000-{number:05}.paxrec");
            FileName::parse(Path::new(&name)).expect("a recording").0
        };
        for number in 0..=LISTED_MAX {
            fs::write(name(number).within(folder.path()), "").expect("there is room");
        }
        let length = u64::from(2 * DIGEST_MAX);
        let file = File::create(name(0).within(folder.path())).expect("there is room");
        file.set_len(length).expect("there is room");
        let asked = |request| answer(folder.path(), request).expect("it can be read");
        let Reply::Files { files, more: true } = asked(Request::List { after: None }) else {
            panic!("there are more");
        };
        assert_eq!(files.len(), LISTED_MAX);
        let after = files.last().map(|file| file.name);
        let Reply::Files { files, more: false } = asked(Request::List { after }) else {
            panic!("there are no more");
        };
        assert_eq!(files.len(), 1);
        let most = u32::MAX;
        let read = |offset, before| asked(Request::Read { name: name(0), offset, before, most });
        let Reply::Bytes { bytes, .. } = read(0, most) else { panic!("it has bytes") };
        assert_eq!(bytes.len(), CHUNK_MAX as usize);
        let zeros = xxh3_64(&vec![0; DIGEST_MAX as usize]);
        assert_eq!(read(length, most), Reply::Bytes { before: zeros, bytes: Bytes::new() });
        assert_eq!(read(length + 1, 0), Reply::Short { length });
    }
}
