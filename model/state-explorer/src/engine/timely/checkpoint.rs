//! Checkpoints: the levels of a search on disk, so that a run can resume after it was stopped.
//!
//! Each worker writes one file for each level: its states of that level, and the counts and findings of the levels
//! before. The worker writes the file under another name, syncs it and renames it, so a file is complete or absent. No
//! worker begins a level before all workers have finished the level before. A run resumes from the last level with all its
//! parts.
//!
//! A later run reads all parts. It may have another number of workers, because it sends each state to its owner again.
//!
//! For a graded model, the last complete level is enough. For any other model, all levels stay on disk, because the reached
//! states are those of all levels.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use itertools::Itertools as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::note::{Found, Totals};
use crate::{Checkpoint, Options, engine::Identity, limits::Limits, packing::Key};

const FORMAT: &str = "state-explorer checkpoint 2";
const PREFIX: &str = "level-";
/// The greatest length of a header, in bytes. A longer one is damaged.
const HEADER_MAX: u64 = 1 << 20;

/// The reason why a checkpoint cannot be written or resumed.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// An operation on a file or directory failed.
    #[error("the checkpoint {} cannot be {what}: {error}", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// The operation, as a participle.
        what: &'static str,
        /// The error of the system.
        error: io::Error,
    },
    /// The directory has a checkpoint, and the run was not told to resume.
    #[error(
        "{} holds a checkpoint of {model}; give --resume to go on from it, or another directory",
        directory.display()
    )]
    Occupied {
        /// The directory.
        directory: PathBuf,
        /// The model of the checkpoint.
        model: String,
    },
    /// No level has all its parts.
    #[error(
        "{} holds no complete level to resume from{}; leave out --resume to begin, or copy the files of all \
         processes there",
        directory.display(),
        if *parts == 0 { String::new() } else { format!(" (it has {parts} parts of levels)") }
    )]
    Missing {
        /// The directory.
        directory: PathBuf,
        /// The number of parts of incomplete levels.
        parts: usize,
    },
    /// The checkpoint was made with other options.
    #[error(
        "the checkpoint in {} was made with {found}, this run has {wanted}; give the same options, or another \
         directory",
        directory.display()
    )]
    Options {
        /// The directory.
        directory: PathBuf,
        /// The differing options of the checkpoint.
        found: String,
        /// The same options of this run.
        wanted: String,
    },
    /// The checkpoint is of another search, and no option says how they differ.
    #[error("{} is of {found}, not of {wanted}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// The search of the checkpoint.
        found: String,
        /// The search of this run.
        wanted: String,
    },
    /// The checkpoint is deeper than the depth limit of the run.
    #[error(
        "the checkpoint in {} is at depth {depth}; give a --max-depth of at least {depth} instead of {most}",
        directory.display()
    )]
    Deeper {
        /// The directory.
        directory: PathBuf,
        /// The depth of the checkpoint.
        depth: usize,
        /// The depth limit of the run.
        most: NonZeroUsize,
    },
    /// A limit was reached before the file was read.
    #[error("{} was not read: {limit}", path.display())]
    Limit {
        /// The file.
        path: PathBuf,
        /// The limit, in words.
        limit: String,
    },
    /// The contents of the file are not valid.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage, in words.
        what: String,
    },
}

/// The search that a checkpoint is of.
pub(super) struct Saved {
    /// The model, its bounds and its properties.
    pub(super) identity: Identity,
    /// The number of words of a state.
    pub(super) words: usize,
    /// True if the last complete level suffices to resume.
    pub(super) graded: bool,
}

/// One worker of a number of workers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) worker: usize,
    pub(super) workers: usize,
}

/// The data of one worker at the beginning of a level, beside its states.
pub(super) struct Level<'a> {
    pub(super) depth: usize,
    pub(super) part: Part,
    /// The counts of this worker in the levels before.
    pub(super) totals: &'a Totals,
    /// The findings of all workers in the levels before.
    pub(super) found: &'a [Found],
}

/// The part of a checkpoint that one process resumes from.
#[derive(Default)]
pub(super) struct Resumed<const N: usize> {
    /// The level to expand next.
    pub(super) level: usize,
    /// The number of states of that level, over all processes.
    pub(super) states: u64,
    pub(super) totals: Totals,
    pub(super) found: Vec<Found>,
    /// The states of all levels before. Empty for a graded model.
    pub(super) reached: Vec<Key<N>>,
    /// The states of that level.
    pub(super) frontier: Vec<Key<N>>,
}

/// The first line of a file, as JSON. The states follow, and then a CRC-32C of everything before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    model: String,
    /// The options of [`Identity::settings`]. Empty in files of earlier builds, which did not write them.
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
    /// Checks that the file is of the same search.
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

/// Checks that a run can begin a checkpoint, or resume from it.
///
/// # Errors
/// Returns the first reason why it cannot.
pub(crate) fn inspect(options: &Options, identity: &Identity) -> Result<()> {
    let Some(checkpoint) = &options.checkpoint else { return Ok(()) };
    let files = files(&checkpoint.directory)?;
    if !checkpoint.resume {
        let Some(file) = files.first() else { return Ok(()) };
        let model = header(&mut open(&file.path)?, &file.path)?.model;
        return Err(CheckpointError::Occupied { directory: checkpoint.directory.clone(), model });
    }
    for file in complete_level(&checkpoint.directory, &files)? {
        if let Some(most) = options.max_depth.filter(|most| most.get() < file.level) {
            let directory = checkpoint.directory.clone();
            return Err(CheckpointError::Deeper { directory, depth: file.level, most });
        }
        header(&mut open(&file.path)?, &file.path)?.is_of(identity, &file.path)?;
    }
    Ok(())
}

/// Reads this process's part of the checkpoint, if the run resumes. Otherwise checks that a new checkpoint can begin.
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
    let last = complete_level(directory, &files)?;
    let level = last[0].level;
    let mut resumed = Resumed { level, ..Resumed::default() };
    for file in &files {
        // Levels beyond the last complete one will be written again. Of a graded model, earlier levels are not needed.
        let counts = file.level < level && !saved.graded || last.contains(&file);
        if !counts || file.part.worker % processes != this {
            continue;
        }
        // The states are read into a list, and then inserted into a set, which may have just doubled.
        let states = header(&mut open(&file.path)?, &file.path)?.states as u64;
        let needed = states.saturating_mul(8 * N as u64).saturating_mul(5);
        if let Some(limit) = limits.reached(0, needed) {
            return Err(CheckpointError::Limit { path: file.path.clone(), limit });
        }
        let states = if file.level == level { &mut resumed.frontier } else { &mut resumed.reached };
        let header = read_file(&file.path, saved, states)?;
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
    write_file(&partial, &header, states).map_err(failed(&partial, "written"))?;
    fs::rename(&partial, &path).map_err(failed(&path, "renamed"))?;
    let directory = File::open(&checkpoint.directory).and_then(|directory| directory.sync_all());
    directory.map_err(failed(&checkpoint.directory, "synced"))?;
    if saved.graded {
        // All workers have written the level before this one, since no worker begins a level earlier.
        for file in files(&checkpoint.directory)?.iter().filter(|file| file.level + 1 < level) {
            remove(&file.path)?;
        }
    }
    Ok(())
}

fn write_file<const N: usize>(path: &Path, header: &Header, states: &[Key<N>]) -> io::Result<()> {
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
fn read_file<const N: usize>(
    path: &Path,
    saved: &Saved,
    states: &mut Vec<Key<N>>,
) -> Result<Header> {
    let damaged =
        |what: &str| CheckpointError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let mut file = open(path)?;
    let header = header(&mut file, path)?;
    header.is_of(&saved.identity, path)?;
    if header.words != saved.words {
        let what = format!("its states have {} words, not {}", header.words, saved.words);
        return Err(CheckpointError::Damaged { path: path.to_owned(), what });
    }
    let length = fs::metadata(path).map_err(failed(path, "read"))?.len();
    if (header.states as u64).saturating_mul(8 * N as u64) > length {
        return Err(damaged("it is shorter than its header says"));
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
        return Err(damaged("it is longer than its header says"));
    }
    Ok(header)
}

fn open(path: &Path) -> Result<Summed<BufReader<File>>> {
    let file = File::open(path).map_err(failed(path, "opened"))?;
    Ok(Summed { inner: BufReader::new(file), sum: 0 })
}

/// Reads the header, and leaves the file at its first state.
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

/// A reader or writer with the CRC-32C of all bytes that passed.
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

/// A file of a checkpoint, with the level and the part in its name.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Named {
    path: PathBuf,
    level: usize,
    part: Part,
}

/// Returns all complete files. Incomplete ones have another name.
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

/// Returns the parts of the last complete level.
fn complete_level<'a>(directory: &Path, files: &'a [Named]) -> Result<Vec<&'a Named>> {
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
        // Another process of the same run may have removed it already.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(path, "removed")(error))
        }
        _ => Ok(()),
    }
}
