//! The data directory of a store: the names of its files, its lock, and its creation.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{file::SharedFile, log::START, watermark};
use crate::StorageError;

/// The two files of the log. A directory has a store if it has the first of them.
const LOGS: [&str; 2] = ["log.0", "log.1"];
/// The name of the first file of the log during creation. The file is renamed when all files are complete.
const UNFINISHED: &str = "log.new";
/// The durable snapshot, and the one before it or the next one.
const SNAPSHOTS: [&str; 2] = ["snapshot.0", "snapshot.1"];
/// The commit watermark.
const WATERMARK: &str = "mark";
/// Locked by the process that uses the store.
const LOCK: &str = "lock";

/// The files of a store.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) logs: [SharedFile; 2],
    pub(super) snapshots: [SharedFile; 2],
    pub(super) watermark: SharedFile,
}

/// A data directory with its lock. No other process writes to it while this value exists.
#[derive(Debug)]
pub(super) struct DataDirectory {
    dir: PathBuf,
    /// The system releases the lock when the file is closed, however the process ends.
    _lock: File,
}

impl DataDirectory {
    /// Locks a directory for a new store. Makes the directory if it does not exist.
    ///
    /// # Errors
    /// Fails if the directory is in use, has a store, or has files of a store whose log is gone.
    pub(super) fn make(dir: &Path) -> Result<Self, StorageError> {
        let made = fs::create_dir_all(dir).and_then(|()| sync_above(dir));
        made.map_err(StorageError::io(doing("make", dir)))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(LOCK));
        let lock = lock.map_err(StorageError::io(doing("make a lock in", dir)))?;
        let held = Self::hold(dir, lock, File::try_lock)?;
        if held.has(LOGS[0])? {
            return Err(StorageError::Exists { dir: dir.into() });
        }
        held.was_never_used()?;
        Ok(held)
    }

    /// Locks a directory with a store, to write to it.
    pub(super) fn take(dir: &Path) -> Result<Self, StorageError> {
        Self::existing(dir, OpenOptions::new().write(true), File::try_lock)
    }

    /// Locks a directory with a store, to read it. Other processes may read it as well.
    pub(super) fn share(dir: &Path) -> Result<Self, StorageError> {
        Self::existing(dir, OpenOptions::new().read(true), File::try_lock_shared)
    }

    fn existing(
        dir: &Path,
        how: &OpenOptions,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, StorageError> {
        let missing = |found| Err(StorageError::Missing { dir: dir.into(), found });
        if !dir.is_dir() {
            return missing(if dir.exists() {
                "it is no directory"
            } else {
                "there is no such directory"
            });
        }
        let held = match how.open(dir.join(LOCK)) {
            Ok(file) => Self::hold(dir, file, lock)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return if dir.join(LOGS[0]).exists() {
                    Err(StorageError::damaged(format!("the file \"{LOCK}\" is missing")))
                } else {
                    missing("the directory has none of its files")
                };
            }
            Err(cause) => return Err(StorageError::io(doing("open the lock in", dir))(cause)),
        };
        if held.has(LOGS[0])? {
            return Ok(held);
        }
        held.was_never_used()?;
        missing("its creation did not finish, and has to be done again")
    }

    fn has(&self, name: &str) -> Result<bool, StorageError> {
        fs::exists(self.dir.join(name)).map_err(StorageError::io(doing("look into", &self.dir)))
    }

    /// Checks that a directory without a log never had a store. An unfinished creation leaves a watermark that is 0
    /// or torn, the preamble of a log, and empty snapshot files. Any other content belongs to a store whose log is
    /// gone.
    fn was_never_used(&self) -> Result<(), StorageError> {
        let missing = |and: String| {
            Err(StorageError::damaged(format!("the file \"{}\" is missing; {and}", LOGS[0])))
        };
        if let Some(watermark) = self.find(WATERMARK)? {
            match watermark::read(&*watermark) {
                Ok((0, _)) | Err(StorageError::Damaged { .. }) => {}
                Ok((commit, id)) => {
                    return missing(format!("commit {commit} of store {id} was acknowledged"));
                }
                Err(error) => return Err(error),
            }
        }
        for (name, most) in [(LOGS[1], START), (SNAPSHOTS[0], 0), (SNAPSHOTS[1], 0)] {
            let length = self.find(name)?.map_or(Ok(0), |file| file.length());
            let length = length.map_err(StorageError::io(format!("look at \"{name}\"")))?;
            if length > most {
                return missing(format!("\"{name}\" has length {length}"));
            }
        }
        Ok(())
    }

    /// Opens a file, if it exists.
    fn find(&self, name: &str) -> Result<Option<SharedFile>, StorageError> {
        match shared(File::open(self.dir.join(name))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).map_err(StorageError::io(format!("open \"{name}\""))),
        }
    }

    /// Makes the names of the files durable. The process that created the files may have ended before it did so.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        sync(&self.dir).map_err(StorageError::io(doing("sync", &self.dir)))
    }

    fn hold(
        dir: &Path,
        file: File,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self, StorageError> {
        match lock(&file) {
            Ok(()) => Ok(Self { dir: dir.into(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse { dir: dir.into() }),
            Err(TryLockError::Error(cause)) => Err(StorageError::io(doing("lock", dir))(cause)),
        }
    }

    /// Makes the files of a store. `build` must fill the files and make them durable. In the last step the log gets its
    /// name. This step is atomic, and after it the store exists. The caller must make the name durable with
    /// [`sync`](Self::sync).
    pub(super) fn build(
        &self,
        build: impl FnOnce(&Files) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let failed = || StorageError::io(doing("make a store in", &self.dir));
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(true);
        let open = |name| shared(how.open(self.dir.join(name))).map_err(failed());
        build(&Files {
            logs: [open(UNFINISHED)?, open(LOGS[1])?],
            snapshots: [open(SNAPSHOTS[0])?, open(SNAPSHOTS[1])?],
            watermark: open(WATERMARK)?,
        })?;
        self.sync()?;
        fs::rename(self.dir.join(UNFINISHED), self.dir.join(LOGS[0])).map_err(failed())
    }

    /// Opens the files of an existing store.
    ///
    /// # Errors
    /// Fails if one of them is missing.
    pub(super) fn files(&self, how: &OpenOptions) -> Result<Files, StorageError> {
        let open = |name| match shared(how.open(self.dir.join(name))) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(StorageError::damaged(format!("the file \"{name}\" is missing")))
            }
            opened => opened.map_err(StorageError::io(format!("open \"{name}\""))),
        };
        Ok(Files {
            logs: [open(LOGS[0])?, open(LOGS[1])?],
            snapshots: [open(SNAPSHOTS[0])?, open(SNAPSHOTS[1])?],
            watermark: open(WATERMARK)?,
        })
    }
}

fn shared(file: io::Result<File>) -> io::Result<SharedFile> {
    Ok(Arc::new(file?))
}

/// Makes the entry of a directory durable, and the entries of all directories above it, because any of them may be
/// new.
fn sync_above(dir: &Path) -> io::Result<()> {
    for above in fs::canonicalize(dir)?.ancestors().skip(1) {
        match sync(above) {
            // This process cannot have made that directory.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Makes the entries of a directory durable.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn doing(what: &str, dir: &Path) -> String {
    format!("{what} {}", dir.display())
}
