//! Levels on disk, so that a run can go on after it was stopped.
//!
//! Each worker writes a file per level: its states of that level, and what had been done and found
//! before. A file is written under another name, synced and renamed, so that it is whole or not there; and
//! since no worker goes on to the next level before all are done with this one, a level of which all parts
//! are there is where the run was. A later run reads all parts, with however many workers it has: states
//! find their owners anew.
//!
//! Of a graded model the last whole level is enough. Of any other all levels are kept, since they are all the
//! states that were met.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use itertools::Itertools as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::note::{Found, Totals};
use crate::{Checkpoint, Options, engine::Identity, limits::Limits, packing::Key};

const FORMAT: &str = "state-explorer checkpoint 1";
const PREFIX: &str = "level-";
/// No header is as long as this.
const HEADER_MAX: u64 = 1 << 20;

/// Why a run cannot be kept, or cannot go on.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The disk does not do what it should.
    #[error("the checkpoint {} cannot be {what}: {error}", path.display())]
    Disk {
        /// Which file or directory.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// There is something already.
    #[error(
        "{} holds a checkpoint of {model}; give --resume to go on from it, or another directory",
        directory.display()
    )]
    Occupied {
        /// Where.
        directory: PathBuf,
        /// Of what.
        model: String,
    },
    /// There is nothing to go on from.
    #[error(
        "{} holds no whole level to go on from{}; leave out --resume to begin, or copy there the files of \
         all processes",
        directory.display(),
        if *parts == 0 { String::new() } else { format!(" ({parts} parts of one are there)") }
    )]
    Missing {
        /// Where.
        directory: PathBuf,
        /// How many parts of levels that are not whole are there.
        parts: usize,
    },
    /// It was made with other options.
    #[error(
        "the checkpoint in {} was made with {found}, this run has {wanted}; give the same options, or another \
         directory",
        directory.display()
    )]
    Options {
        /// Where.
        directory: PathBuf,
        /// The options that differ, as they were.
        found: String,
        /// As they are.
        wanted: String,
    },
    /// It is of another run in some way that no option tells.
    #[error("{} is of {found}, not of {wanted}", path.display())]
    Other {
        /// Which file.
        path: PathBuf,
        /// What it is of.
        found: String,
        /// What is explored.
        wanted: String,
    },
    /// It has come further than the run may go.
    #[error(
        "{} is at depth {depth} already; --max-depth {most} would have to be at least that",
        directory.display()
    )]
    Deeper {
        /// Where.
        directory: PathBuf,
        /// How deep it is.
        depth: usize,
        /// How deep the run may go.
        most: NonZeroUsize,
    },
    /// A limit was reached before it was read.
    #[error("{} was not read: {limit}", path.display())]
    Limit {
        /// Which file.
        path: PathBuf,
        /// The limit, in words.
        limit: String,
    },
    /// A file that says what cannot be.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// What a checkpoint is of.
pub(super) struct Saved {
    /// The model and its bounds.
    pub(super) identity: Identity,
    /// How many words a state takes.
    pub(super) words: usize,
    /// Whether the last level is enough.
    pub(super) graded: bool,
}

/// Which worker of how many.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) worker: usize,
    pub(super) workers: usize,
}

/// What one worker knows when it begins a level.
pub(super) struct Level<'a> {
    pub(super) depth: usize,
    pub(super) part: Part,
    /// What it has done in the levels before.
    pub(super) totals: &'a Totals,
    /// What all have found in the levels before.
    pub(super) found: &'a [Found],
}

/// Where an earlier run was, as far as this process takes it over.
#[derive(Default)]
pub(super) struct Resumed<const N: usize> {
    /// The level that comes next.
    pub(super) level: usize,
    /// How many states it has, those of other processes included.
    pub(super) states: u64,
    pub(super) totals: Totals,
    pub(super) found: Vec<Found>,
    /// The states of all levels before, if they matter.
    pub(super) met: Vec<Key<N>>,
    /// The states of the level.
    pub(super) frontier: Vec<Key<N>>,
}

/// The first line of a file; the states follow, then a checksum of all of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    model: String,
    /// The options that make the model so. Earlier builds did not write them.
    #[serde(default)]
    settings: Vec<(String, String)>,
    words: usize,
    level: usize,
    part: Part,
    totals: Totals,
    found: Vec<Found>,
    states: usize,
}

impl Header {
    /// Makes sure that a file is of a run that does the same.
    fn is_of(&self, identity: &Identity, path: &Path) -> Result<()> {
        if self.model == identity.words {
            return Ok(());
        }
        let theirs = |name: &String| self.settings.iter().find(|(theirs, _)| theirs == name);
        let pairs = identity.settings.iter().filter_map(|(name, mine)| {
            let (_, theirs) = theirs(name)?;
            (theirs != mine).then(|| (theirs.clone(), mine.clone()))
        });
        let (found, wanted): (Vec<_>, Vec<_>) = pairs.unzip();
        if found.is_empty() {
            let (found, wanted) = (self.model.clone(), identity.words.clone());
            return Err(CheckpointError::Other { path: path.to_owned(), found, wanted });
        }
        let directory = path.parent().unwrap_or(path).to_owned();
        let (found, wanted) = (found.join(" and "), wanted.join(" and "));
        Err(CheckpointError::Options { directory, found, wanted })
    }
}

type Result<T> = std::result::Result<T, CheckpointError>;

fn failed<'a>(
    path: &'a Path,
    what: &'static str,
) -> impl FnOnce(io::Error) -> CheckpointError + 'a {
    move |error| CheckpointError::Disk { path: path.to_owned(), what, error }
}

/// Whether a run can begin with its checkpoint, or go on from it.
///
/// # Errors
/// What is in the way.
pub(crate) fn inspect(options: &Options, identity: &Identity) -> Result<()> {
    let Some(checkpoint) = &options.checkpoint else { return Ok(()) };
    let files = files(&checkpoint.directory)?;
    if !checkpoint.resume {
        let Some(file) = files.first() else { return Ok(()) };
        let model = header(&mut open(&file.path)?, &file.path)?.model;
        return Err(CheckpointError::Occupied { directory: checkpoint.directory.clone(), model });
    }
    for file in whole_level(&checkpoint.directory, &files)? {
        if let Some(most) = options.max_depth.filter(|most| most.get() < file.level) {
            let directory = checkpoint.directory.clone();
            return Err(CheckpointError::Deeper { directory, depth: file.level, most });
        }
        header(&mut open(&file.path)?, &file.path)?.is_of(identity, &file.path)?;
    }
    Ok(())
}

/// Takes over what is there, if the run is to go on; otherwise makes sure that it can begin.
pub(super) fn resume<const N: usize>(
    options: &Options,
    saved: &Saved,
    limits: &Limits,
) -> Result<Option<Resumed<N>>> {
    let Some(checkpoint) = &options.checkpoint else { return Ok(None) };
    let directory = &checkpoint.directory;
    fs::create_dir_all(directory).map_err(failed(directory, "created"))?;
    inspect(options, &saved.identity)?;
    if !checkpoint.resume {
        return Ok(None);
    }
    let this = options.cluster.as_ref().map_or(0, |cluster| cluster.this);
    let processes = options.processes();
    let files = files(directory)?;
    let last = whole_level(directory, &files)?;
    let level = last[0].level;
    let mut resumed = Resumed { level, ..Resumed::default() };
    for file in &files {
        // What is beyond the last whole level will be written anew; and of all others only whole ones count.
        let counts = file.level < level && !saved.graded || last.contains(&file);
        if !counts || file.part.worker % processes != this {
            continue;
        }
        // States are read into a list, and then put into a set that may have just doubled.
        let states = header(&mut open(&file.path)?, &file.path)?.states as u64;
        let needed = states.saturating_mul(8 * N as u64).saturating_mul(5);
        if let Some(limit) = limits.reached(0, needed) {
            return Err(CheckpointError::Limit { path: file.path.clone(), limit });
        }
        let states = if file.level == level { &mut resumed.frontier } else { &mut resumed.met };
        let header = read(&file.path, saved, states)?;
        if file.level == level {
            if resumed.totals.actions.is_empty() {
                resumed.totals = Totals::nothing(header.totals.actions.len());
            }
            resumed.totals.add(&header.totals);
        }
    }
    for file in &last {
        let header = header(&mut open(&file.path)?, &file.path)?;
        resumed.states += header.states as u64;
        resumed.found = header.found;
    }
    for file in files.iter().filter(|file| file.level >= level && !last.contains(file)) {
        remove(&file.path)?;
    }
    Ok(Some(resumed))
}

/// Writes a worker's part of a level.
pub(super) fn write<const N: usize>(
    checkpoint: &Checkpoint,
    saved: &Saved,
    level: &Level<'_>,
    states: &[Key<N>],
) -> Result<()> {
    let &Level { depth: level, part, totals, found } = level;
    let name = format!("{PREFIX}{level:04}-part-{}-of-{}", part.worker, part.workers);
    let path = checkpoint.directory.join(name);
    let partial = path.with_extension("partial");
    let header = Header {
        format: FORMAT.to_owned(),
        model: saved.identity.words.clone(),
        settings: saved.identity.settings.clone(),
        words: N,
        level,
        part,
        totals: totals.clone(),
        found: found.to_vec(),
        states: states.len(),
    };
    put(&partial, &header, states).map_err(failed(&partial, "written"))?;
    fs::rename(&partial, &path).map_err(failed(&path, "renamed"))?;
    let directory = File::open(&checkpoint.directory).and_then(|directory| directory.sync_all());
    directory.map_err(failed(&checkpoint.directory, "synced"))?;
    if saved.graded {
        // All workers have written the level before this one, or they could not be here.
        for file in files(&checkpoint.directory)?.iter().filter(|file| file.level + 1 < level) {
            remove(&file.path)?;
        }
    }
    Ok(())
}

fn put<const N: usize>(path: &Path, header: &Header, states: &[Key<N>]) -> io::Result<()> {
    let mut out = Summed { inner: BufWriter::new(File::create(path)?), sum: 0 };
    serde_json::to_writer(&mut out, header)?;
    out.write_all(b"\n")?;
    for word in states.iter().flat_map(|key| key.0) {
        out.write_all(&word.to_le_bytes())?;
    }
    let sum = out.sum;
    out.write_all(&sum.to_le_bytes())?;
    out.inner.into_inner()?.sync_all()
}

/// Reads a file, and adds its states to `states`.
fn read<const N: usize>(path: &Path, saved: &Saved, states: &mut Vec<Key<N>>) -> Result<Header> {
    let damaged =
        |what: &str| CheckpointError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let mut file = open(path)?;
    let header = header(&mut file, path)?;
    header.is_of(&saved.identity, path)?;
    if header.words != saved.words {
        let what = format!("its states have {} words, and not {}", header.words, saved.words);
        return Err(CheckpointError::Damaged { path: path.to_owned(), what });
    }
    let length = fs::metadata(path).map_err(failed(path, "read"))?.len();
    if (header.states as u64).saturating_mul(8 * N as u64) > length {
        return Err(damaged("it is shorter than it says"));
    }
    states.reserve(header.states);
    for _ in 0..header.states {
        let mut key = Key([0; N]);
        for word in &mut key.0 {
            let mut bytes = [0; 8];
            file.read_exact(&mut bytes).map_err(failed(path, "read"))?;
            *word = u64::from_le_bytes(bytes);
        }
        states.push(key);
    }
    let sum = file.sum;
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes).map_err(failed(path, "read"))?;
    if u32::from_le_bytes(bytes) != sum {
        return Err(damaged("its checksum is wrong"));
    }
    if file.read(&mut [0]).map_err(failed(path, "read"))? > 0 {
        return Err(damaged("it is longer than it says"));
    }
    Ok(header)
}

fn open(path: &Path) -> Result<Summed<BufReader<File>>> {
    let file = File::open(path).map_err(failed(path, "opened"))?;
    Ok(Summed { inner: BufReader::new(file), sum: 0 })
}

/// The first line of a file.
fn header(file: &mut Summed<BufReader<File>>, path: &Path) -> Result<Header> {
    let damaged = |what: String| CheckpointError::Damaged { path: path.to_owned(), what };
    let mut line = Vec::new();
    let mut start = (&mut file.inner).take(HEADER_MAX);
    start.read_until(b'\n', &mut line).map_err(failed(path, "read"))?;
    file.sum = crc32c::crc32c_append(file.sum, &line);
    let header: Header =
        serde_json::from_slice(&line).map_err(|error| damaged(format!("no header: {error}")))?;
    if header.format != FORMAT {
        return Err(damaged(format!("it is a {:?}, not a {FORMAT:?}", header.format)));
    }
    Ok(header)
}

/// Reads or writes, and sums up what passes.
struct Summed<I> {
    inner: I,
    sum: u32,
}

impl<W: io::Write> io::Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: io::Read> io::Read for Summed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes[..read]);
        Ok(read)
    }
}

/// A file of a checkpoint, by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Named {
    path: PathBuf,
    level: usize,
    part: Part,
}

/// All whole files; what is only partial has another name.
fn files(directory: &Path) -> Result<Vec<Named>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(directory, "read")(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(directory, "read"))?.path();
        files.extend(named(&path));
    }
    files.sort_by_key(|file| (file.level, file.part.workers, file.part.worker));
    Ok(files)
}

fn named(path: &Path) -> Option<Named> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    let (level, part) = name.split_once("-part-")?;
    let (worker, workers) = part.split_once("-of-")?;
    let part = Part { worker: worker.parse().ok()?, workers: workers.parse().ok()? };
    Some(Named { path: path.to_owned(), level: level.parse().ok()?, part })
}

/// The parts of the last level that is whole.
fn whole_level<'a>(directory: &Path, files: &'a [Named]) -> Result<Vec<&'a Named>> {
    let levels = files.iter().chunk_by(|file| (file.level, file.part.workers));
    let levels = levels.into_iter().map(|(_, files)| files.collect_vec());
    let whole = levels.filter(|parts| parts.len() == parts[0].part.workers).last();
    whole.ok_or_else(|| CheckpointError::Missing {
        directory: directory.to_owned(),
        parts: files.len(),
    })
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        // Another process of the same run may have been faster.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(path, "removed")(error))
        }
        _ => Ok(()),
    }
}
