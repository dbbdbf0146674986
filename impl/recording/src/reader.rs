//! Reading recordings, also while they grow.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    files::{
        Chain, EXTENSION, FRAME_BYTES, FileName, GIVEN_UP, Header, MAGIC, PAYLOAD_MAX, PREAMBLE,
        Placed, StartId, VERSION,
    },
    frame::{Body, Frame},
};

/// The bytes that are read from a file at once.
const READ_BYTES: usize = 1 << 16;

/// A recording that cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A file or the directory cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// There is no recording in the directory.
    #[error("{} has no recordings; their names end in .{EXTENSION}", .0.display())]
    Empty(PathBuf),
    /// A file is not as its node wrote it.
    #[error("{place}: {damage}")]
    Damaged {
        /// The place.
        place: Placed,
        /// The damage.
        damage: Damage,
    },
}

/// The way in which a file is not as its node wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// The file does not begin as a recording does.
    #[error("it is no recording: it does not begin with PAXREC")]
    NoRecording,
    /// The format has another version.
    #[error("the format has version {0}; this program reads version {VERSION}")]
    Version(u16),
    /// The header names another start or another file.
    #[error("its name says file {} of {}, and its header says file {found_file} of {found}", named.file, named.start)]
    Misnamed {
        /// The name of the file.
        named: FileName,
        /// The start in the header.
        found: StartId,
        /// The number of the file in the header.
        found_file: u32,
    },
    /// The chain is broken: a frame was changed, dropped, moved or added.
    #[error("the chain is broken at frame {frame}: a frame was changed, dropped, moved or added")]
    Chain {
        /// The number of the frame.
        frame: u64,
    },
    /// The payload of a frame has no meaning.
    #[error("frame {frame} has no meaning")]
    Meaningless {
        /// The number of the frame.
        frame: u64,
    },
    /// A length is impossible.
    #[error("frame {frame} claims {length} bytes")]
    Length {
        /// The number of the frame.
        frame: u64,
        /// The length.
        length: u32,
    },
}

/// The recordings in a directory.
#[derive(Debug)]
pub struct Directory;

impl Directory {
    /// Returns the recordings of all starts in a directory: those of each node one after the other, in the order of the
    /// starts.
    ///
    /// # Errors
    /// The directory cannot be read, or has no recordings.
    pub fn read(directory: &Path) -> Result<Vec<StartRecording>, ReadError> {
        let starts = Self::scan(directory)?;
        if starts.is_empty() {
            return Err(ReadError::Empty(directory.to_owned()));
        }
        Ok(starts.into_iter().map(|start| StartRecording::new(directory, start)).collect())
    }

    /// Returns the starts that have files in a directory, which may be empty or not exist yet.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn scan(directory: &Path) -> Result<Vec<StartId>, ReadError> {
        let failed = |error| ReadError::Io { path: directory.to_owned(), error };
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut starts = BTreeSet::new();
        for entry in entries {
            if let Some((name, _)) = FileName::parse(&entry.map_err(failed)?.path()) {
                starts.insert(name.start);
            }
        }
        Ok(starts.into_iter().collect())
    }
}

/// The state of a recording at the end of the bytes that were read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The last frame is whole.
    Whole,
    /// The last frame is not whole yet. If the node does not run any more, the frame is torn.
    Torn,
    /// The node could not write any more, and has given up the recording.
    GivenUp,
}

/// The recording of one start, which is read frame by frame.
#[derive(Debug)]
pub struct StartRecording {
    directory: PathBuf,
    name: FileName,
    /// The file that is being read, with its path. `None` before the first file exists.
    open: Option<(PathBuf, File)>,
    given_up: bool,
    buffer: Vec<u8>,
    /// The bytes of the buffer that were taken.
    taken: usize,
    /// The bytes of the file before the buffer.
    before: u64,
    /// True until the header of the file was read.
    at_header: bool,
    chain: Chain,
    frames: u64,
    bytes: u64,
}

impl StartRecording {
    /// Returns the recording of a start in a directory, from its beginning.
    pub fn new(directory: &Path, start: StartId) -> Self {
        Self {
            directory: directory.to_owned(),
            name: FileName { start, file: 0 },
            open: None,
            given_up: false,
            buffer: Vec::new(),
            taken: 0,
            before: 0,
            at_header: true,
            chain: Chain::new(start),
            frames: 0,
            bytes: 0,
        }
    }

    /// The start.
    pub fn start(&self) -> StartId {
        self.name.start
    }

    /// The bytes that were read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes of the file that were not read yet.
    pub fn bytes_behind(&self) -> u64 {
        let length = self.open.as_ref().and_then(|(_, file)| file.metadata().ok());
        let read = self.before + self.buffer.len() as u64;
        length.map_or(0, |metadata| metadata.len().saturating_sub(read))
    }

    /// The place of the next frame.
    pub fn place(&self) -> Placed {
        let file = self.name.within(&self.directory);
        Placed { file, offset: self.before + self.taken as u64 }
    }

    /// The state of the recording at the end of the bytes that were read so far.
    pub fn tail(&self) -> Tail {
        if self.given_up {
            Tail::GivenUp
        } else if self.taken < self.buffer.len() || self.at_header {
            Tail::Torn
        } else {
            Tail::Whole
        }
    }

    /// Returns the path of the first file that is missing: there are later ones.
    pub fn missing_file(&self) -> Option<PathBuf> {
        let missing = if self.open.is_none() { self.name.file } else { self.name.file + 1 };
        let entries = fs::read_dir(&self.directory).ok()?;
        let mut names = entries.filter_map(|entry| FileName::parse(&entry.ok()?.path()));
        let later = names.any(|(name, _)| name.start == self.name.start && name.file > missing);
        later.then(|| FileName { file: missing, ..self.name }.within(&self.directory))
    }

    /// Returns the frames, up to the end of the bytes that are there.
    pub fn frames(&self) -> impl Iterator<Item = Result<Frame, ReadError>> + use<> {
        let mut reader = Self::new(&self.directory, self.start());
        std::iter::from_fn(move || reader.read_next().transpose())
    }

    /// Returns the next frame, or `None` if the files have no further whole frame yet.
    ///
    /// # Errors
    /// A file cannot be read, or is damaged.
    pub fn read_next(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            if self.open.is_none() && !self.open()? {
                return Ok(None);
            }
            if let Some(payload) = self.payload()? {
                if self.at_header {
                    self.read_header(&payload)?;
                    continue;
                }
                let number = self.frames;
                let meaningless = || Damage::Meaningless { frame: number };
                let (body, rest) =
                    postcard::take_from_bytes(&payload).map_err(|_| self.damaged(meaningless()))?;
                let is_whole = match &body {
                    Body::Step(step) => step.is_whole(),
                    _ => true,
                };
                if !rest.is_empty() || !is_whole {
                    return Err(self.damaged(meaningless()));
                }
                self.frames += 1;
                return Ok(Some(Frame { number, body }));
            }
            if self.fill()? {
                continue;
            }
            // The node writes to the next file only once this one is complete.
            let next = FileName { file: self.name.file + 1, ..self.name };
            if self.tail() != Tail::Whole || !next.within(&self.directory).exists() {
                return Ok(None);
            }
            if self.fill()? {
                continue; // The node has written more before it began the next file.
            }
            (self.name, self.open, self.at_header) = (next, None, true);
            (self.taken, self.before) = (0, 0);
            self.buffer.clear();
        }
    }

    /// Opens the file, if it exists.
    fn open(&mut self) -> Result<bool, ReadError> {
        let path = self.name.within(&self.directory);
        let mut given_up = path.clone().into_os_string();
        given_up.push(".");
        given_up.push(GIVEN_UP);
        for (path, given_up) in [(path, false), (PathBuf::from(given_up), true)] {
            match File::open(&path) {
                Ok(file) => {
                    (self.open, self.given_up) = (Some((path, file)), given_up);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(ReadError::Io { path, error }),
            }
        }
        Ok(false)
    }

    /// Reads more bytes. Returns false if there are none.
    fn fill(&mut self) -> Result<bool, ReadError> {
        let Some((path, file)) = &mut self.open else { return Ok(false) };
        self.before += self.taken as u64;
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let begin = self.buffer.len();
        self.buffer.resize(begin + READ_BYTES, 0);
        let count = file
            .read(&mut self.buffer[begin..])
            .map_err(|error| ReadError::Io { path: path.clone(), error })?;
        self.buffer.truncate(begin + count);
        self.bytes += count as u64;
        Ok(count > 0)
    }

    /// Returns the payload of the next frame, if the buffer has all of it.
    fn payload(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let mut rest = &self.buffer[self.taken..];
        let mut skipped = 0;
        if self.at_header && self.before == 0 && self.taken == 0 {
            let Some((preamble, after)) = rest.split_at_checked(PREAMBLE) else { return Ok(None) };
            let (magic, version) = preamble.split_at(MAGIC.len());
            if magic != MAGIC {
                return Err(self.damaged(Damage::NoRecording));
            }
            let version = u16::from_le_bytes(version.try_into().expect("two bytes"));
            if version != VERSION {
                return Err(self.damaged(Damage::Version(version)));
            }
            (rest, skipped) = (after, PREAMBLE);
        }
        let Some((length, after)) = rest.split_first_chunk() else { return Ok(None) };
        let length = u32::from_le_bytes(*length);
        if length as usize > PAYLOAD_MAX {
            return Err(self.damaged(Damage::Length { frame: self.frames, length }));
        }
        let Some((payload, after)) = after.split_at_checked(length as usize) else {
            return Ok(None);
        };
        let Some((chain, _)) = after.split_first_chunk() else { return Ok(None) };
        let chained = self.chain.after(payload);
        if u64::from_le_bytes(*chain) != chained.0 {
            return Err(self.damaged(Damage::Chain { frame: self.frames }));
        }
        let payload = payload.to_vec();
        self.chain = chained;
        self.taken += skipped + FRAME_BYTES + payload.len();
        Ok(Some(payload))
    }

    fn read_header(&mut self, payload: &[u8]) -> Result<(), ReadError> {
        let Ok(Header { start, file, frames_before }) = postcard::from_bytes(payload) else {
            return Err(self.damaged(Damage::Meaningless { frame: self.frames }));
        };
        if (FileName { start, file }) != self.name || frames_before != self.frames {
            let damage = Damage::Misnamed { named: self.name, found: start, found_file: file };
            return Err(self.damaged(damage));
        }
        self.at_header = false;
        Ok(())
    }

    fn damaged(&self, damage: Damage) -> ReadError {
        ReadError::Damaged { place: self.place(), damage }
    }
}
