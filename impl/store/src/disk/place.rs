//! The directory of a store: what its files are called, whose it is meanwhile, and how it comes
//! into being.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{log::START, mark, medium::Medium};
use crate::StorageError;

/// The two files of the log. A store exists when it has the first.
const LOGS: [&str; 2] = ["log.0", "log.1"];
/// What becomes the first when everything else is whole.
const UNFINISHED: &str = "log.new";
/// The last snapshot, and the one before or the next.
const SNAPSHOTS: [&str; 2] = ["snapshot.0", "snapshot.1"];
/// How far the log is known to have come.
const MARK: &str = "mark";
/// Locked by whoever uses the store.
const LOCK: &str = "lock";

/// The files that a store is made of.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) logs: [Medium; 2],
    pub(super) snapshots: [Medium; 2],
    pub(super) mark: Medium,
}

/// A directory that nobody else uses for as long as this is there.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    /// Unlocked by the system when it is closed, however the process ends.
    _lock: File,
}

impl Place {
    /// Takes hold of a directory for a new store, and makes it if need be.
    pub(super) fn make(dir: &Path) -> Result<Self, StorageError> {
        let made = fs::create_dir_all(dir).and_then(|()| sync_above(dir));
        made.map_err(StorageError::io(doing("make", dir)))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(LOCK));
        let lock = lock.map_err(StorageError::io(doing("make a lock in", dir)))?;
        let place = Self::hold(dir, lock, File::try_lock)?;
        if place.has(LOGS[0])? {
            return Err(StorageError::Exists { dir: dir.into() });
        }
        place.was_never_used()?;
        Ok(place)
    }

    /// Takes hold of a directory with a store, to write to it.
    pub(super) fn take(dir: &Path) -> Result<Self, StorageError> {
        Self::existing(dir, OpenOptions::new().write(true), File::try_lock)
    }

    /// Takes hold of a directory with a store, together with others that only read.
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
        let place = match how.open(dir.join(LOCK)) {
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
        if place.has(LOGS[0])? {
            return Ok(place);
        }
        place.was_never_used()?;
        missing("its creation did not finish, and has to be done again")
    }

    fn has(&self, name: &str) -> Result<bool, StorageError> {
        fs::exists(self.dir.join(name)).map_err(StorageError::io(doing("look into", &self.dir)))
    }

    /// Without a log there never was a store here, unless something else remembers one: a creation that did
    /// not finish leaves a mark that is torn or says nothing, a beginning of a log, and no snapshot.
    fn was_never_used(&self) -> Result<(), StorageError> {
        let missing = |and: String| {
            Err(StorageError::damaged(format!("the file \"{}\" is missing; {and}", LOGS[0])))
        };
        if let Some(mark) = self.find(MARK)? {
            match mark::read(&*mark) {
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
                return missing(format!("\"{name}\" has {length} bytes"));
            }
        }
        Ok(())
    }

    /// A file, if it is there.
    fn find(&self, name: &str) -> Result<Option<Medium>, StorageError> {
        match medium(File::open(self.dir.join(name))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).map_err(StorageError::io(format!("open \"{name}\""))),
        }
    }

    /// Makes sure that the store is not only seen to be there: whoever made it may have been killed before
    /// its name was durable.
    pub(super) fn settle(&self) -> Result<(), StorageError> {
        sync(&self.dir).map_err(StorageError::io(doing("settle", &self.dir)))
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

    /// Makes the files of a store: `build` fills them and makes them durable. The store is there
    /// when its log gets its name, which happens at once and last; [`settle`](Self::settle) makes it stay.
    pub(super) fn build(
        &self,
        build: impl FnOnce(&Files) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let failed = || StorageError::io(doing("make a store in", &self.dir));
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(true);
        let open = |name| medium(how.open(self.dir.join(name))).map_err(failed());
        build(&Files {
            logs: [open(UNFINISHED)?, open(LOGS[1])?],
            snapshots: [open(SNAPSHOTS[0])?, open(SNAPSHOTS[1])?],
            mark: open(MARK)?,
        })?;
        self.settle()?;
        fs::rename(self.dir.join(UNFINISHED), self.dir.join(LOGS[0])).map_err(failed())
    }

    /// The files of a store that is there.
    pub(super) fn files(&self, how: &OpenOptions) -> Result<Files, StorageError> {
        let open = |name| match medium(how.open(self.dir.join(name))) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(StorageError::damaged(format!("the file \"{name}\" is missing")))
            }
            opened => opened.map_err(StorageError::io(format!("open \"{name}\""))),
        };
        Ok(Files {
            logs: [open(LOGS[0])?, open(LOGS[1])?],
            snapshots: [open(SNAPSHOTS[0])?, open(SNAPSHOTS[1])?],
            mark: open(MARK)?,
        })
    }
}

fn medium(file: io::Result<File>) -> io::Result<Medium> {
    Ok(Arc::new(file?))
}

/// Makes a directory's own entry durable, and those of all above it: any of them may be new.
fn sync_above(dir: &Path) -> io::Result<()> {
    for above in fs::canonicalize(dir)?.ancestors().skip(1) {
        match sync(above) {
            // Not made by this process then.
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
