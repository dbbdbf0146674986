//! Reading recordings, also while they grow.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    ops::Range,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    files::{
        Chain, EXTENSION, FRAME_BYTES, FileName, Header, MAGIC, PAYLOAD_MAX, PREAMBLE, Placed,
        StartId, VERSION,
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
    /// Frames are missing at the end of the file before.
    #[error("its header says that {claimed} frames come before it; {found} were found")]
    Gap {
        /// The number in the header.
        claimed: u64,
        /// The number of frames that were found.
        found: u64,
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

/// Returns the starts that have files in a directory, which may be empty or not exist yet: those of each node one after the
/// other, in their order.
///
/// # Errors
/// The directory cannot be read.
pub fn starts(directory: &Path) -> Result<BTreeSet<StartId>, ReadError> {
    let failed = |error| ReadError::Io { path: directory.to_owned(), error };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.map_err(failed)?,
    };
    let mut starts = BTreeSet::new();
    for entry in entries {
        if let Some((name, _)) = FileName::parse(&entry.map_err(failed)?.path()) {
            starts.insert(name.start);
        }
    }
    Ok(starts)
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
    buffer: Vec<u8>,
    /// The bytes of the buffer that were taken.
    taken: usize,
    /// The bytes of the file before the buffer.
    before: u64,
    /// True until the header of the file was read.
    at_header: bool,
    chain: Chain,
    frames: u64,
}

impl StartRecording {
    /// Returns the recording of a start in a directory, from its beginning.
    pub fn new(directory: &Path, start: StartId) -> Self {
        Self {
            directory: directory.to_owned(),
            name: FileName { start, file: 0 },
            open: None,
            buffer: Vec::new(),
            taken: 0,
            before: 0,
            at_header: true,
            chain: Chain::new(start),
            frames: 0,
        }
    }

    /// The start.
    pub fn start(&self) -> StartId {
        self.name.start
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

    /// The state of the recording at the end of the bytes that were read so far. A node may be killed right after it has begun
    /// a further file, so an empty one is no sign of a torn frame.
    pub fn tail(&self) -> Tail {
        let begun = self.taken < self.buffer.len();
        if self.name.given_up_within(&self.directory).exists() {
            Tail::GivenUp
        } else if begun || self.at_header && self.name.file == 0 {
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
                    self.read_header(payload)?;
                    continue;
                }
                let number = self.frames;
                let body = postcard::take_from_bytes(&self.buffer[payload]);
                let body = body.ok().filter(|(_, rest)| rest.is_empty()).map(|(body, _)| body);
                let is_whole = |body: &Body| match body {
                    Body::Step(step) => step.is_whole(),
                    _ => true,
                };
                let body = body.filter(is_whole);
                let body =
                    body.ok_or_else(|| self.damaged(Damage::Meaningless { frame: number }))?;
                self.frames += 1;
                return Ok(Some(Frame { number, body }));
            }
            if self.fill()? {
                continue;
            }
            // The node writes to the next file only once this one is complete.
            let next = FileName { file: self.name.file + 1, ..self.name };
            let torn = self.taken < self.buffer.len() || self.at_header;
            if torn || !next.within(&self.directory).exists() {
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
        let names = [self.name.within(&self.directory), self.name.given_up_within(&self.directory)];
        for path in names {
            match File::open(&path) {
                Ok(file) => {
                    self.open = Some((path, file));
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
        Ok(count > 0)
    }

    /// Takes the next frame, if the buffer has all of it, and returns the place of its payload in the buffer.
    fn payload(&mut self) -> Result<Option<Range<usize>>, ReadError> {
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
        self.chain = chained;
        let begin = self.taken + skipped + size_of::<u32>();
        let place = begin..begin + payload.len();
        self.taken += skipped + FRAME_BYTES + payload.len();
        Ok(Some(place))
    }

    fn read_header(&mut self, payload: Range<usize>) -> Result<(), ReadError> {
        let header = postcard::from_bytes(&self.buffer[payload]);
        let Ok(Header { start, file, frames_before }) = header else {
            return Err(self.damaged(Damage::Meaningless { frame: self.frames }));
        };
        if (FileName { start, file }) != self.name {
            let damage = Damage::Misnamed { named: self.name, found: start, found_file: file };
            return Err(self.damaged(damage));
        }
        if frames_before != self.frames {
            let damage = Damage::Gap { claimed: frames_before, found: self.frames };
            return Err(self.damaged(damage));
        }
        self.at_header = false;
        Ok(())
    }

    fn damaged(&self, damage: Damage) -> ReadError {
        ReadError::Damaged { place: self.place(), damage }
    }
}

/// The frames, up to the end of the bytes that are there.
impl Iterator for StartRecording {
    type Item = Result<Frame, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}
