//! Tests before a command begins that its output files and folders can be written, and writes the files at the end.
//!
//! A search may take hours, so the tests refuse a path that cannot be written before the search. A test changes no file. So
//! a command that fails before it writes leaves no new file or folder behind.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use itertools::Itertools as _;
use thiserror::Error;

/// An output cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// A file cannot be written.
    #[error(
        "{option} {} cannot be written: {error}; name a file in a folder that exists and can be written to",
        path.display()
    )]
    File {
        /// The option that names the file.
        option: &'static str,
        /// The path, as the user gave it.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A folder cannot be made or written to.
    #[error(
        "{option} {} cannot be written to: {error}; name a folder that can be written to, or one that can be \
         made",
        path.display()
    )]
    Folder {
        /// The option that names the folder.
        option: &'static str,
        /// The path, as the user gave it.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// Two options name the same file.
    #[error("{first} and {second} both name {}; give each a file of its own", path.display())]
    Twice {
        /// The first option.
        first: &'static str,
        /// The second option.
        second: &'static str,
        /// The file that both name.
        path: PathBuf,
    },
}

/// Tests that the files that options name can be written. Changes nothing.
///
/// # Errors
/// Fails if a file cannot be written, or if two options name the same file.
pub fn try_files<'a>(
    files: impl IntoIterator<Item = (&'static str, &'a Option<PathBuf>)>,
) -> Result<(), OutputError> {
    let named = |(option, path): (_, &'a Option<PathBuf>)| Some((option, path.as_deref()?));
    let named: Vec<(&'static str, &Path)> = files.into_iter().filter_map(named).collect();
    for [(first, one), (second, other)] in named.iter().array_combinations() {
        // A device or a pipe takes any number of results, one after the other.
        if one == other && !one.exists_and_is_special() {
            return Err(OutputError::Twice { first, second, path: one.to_path_buf() });
        }
    }
    for (option, path) in named {
        try_file(path).map_err(|error| {
            let path = path.to_owned();
            OutputError::File { option, path, error }
        })?;
    }
    Ok(())
}

fn try_file(path: &Path) -> io::Result<()> {
    if path.exists_and_is_special() {
        // Opening a pipe would wait for its reader.
        return Ok(());
    }
    if path.exists() {
        return OpenOptions::new().append(true).open(path).map(drop);
    }
    File::create_new(path)?;
    fs::remove_file(path)
}

trait Special {
    /// Returns true if the path exists and is neither a file nor a folder.
    fn exists_and_is_special(&self) -> bool;
}

impl Special for Path {
    fn exists_and_is_special(&self) -> bool {
        self.metadata().is_ok_and(|it| !it.is_file() && !it.is_dir())
    }
}

/// Tests that a folder can be written to, or can be made if it does not exist. Changes nothing.
///
/// # Errors
/// Fails if the folder cannot be made or written to.
pub fn try_folder(option: &'static str, path: &Path) -> Result<(), OutputError> {
    let there = path.ancestors().find(|folder| folder.exists()).filter(|it| *it != Path::new(""));
    // The temporary file has no name, and disappears when it is closed. The call also fails if the path is a file.
    tempfile::tempfile_in(there.unwrap_or(Path::new("."))).map(drop).map_err(|error| {
        let path = path.to_owned();
        OutputError::Folder { option, path, error }
    })
}

/// Writes a file. A new file is removed again if it cannot be written in full.
///
/// # Errors
/// Fails if the file cannot be written. An earlier file of that name may then be lost.
pub fn write(option: &'static str, path: &Path, text: &str) -> Result<(), OutputError> {
    let new = !path.exists();
    File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        if new {
            // The caller gets the error of the write, even if there is no file to remove or its removal fails.
            let _ = fs::remove_file(path);
        }
        OutputError::File { option, path: path.to_owned(), error }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(path: &Path) -> Result<(), String> {
        let path = Some(path.to_owned());
        try_files([("--svg", &path), ("--itf", &None)]).map_err(|error| error.to_string())
    }

    #[test]
    fn the_test_of_a_file_changes_nothing() {
        let place = tempfile::tempdir().expect("there is room");
        let (new, old) = (place.path().join("new.svg"), place.path().join("old.svg"));
        fs::write(&old, "old").expect("there is room");
        tried(&new).expect("it can be written");
        tried(&old).expect("it can be written");
        assert!(!new.exists());
        assert_eq!(fs::read_to_string(&old).expect("it is there"), "old");
        write("--svg", &old, "new").expect("it can be written");
        assert_eq!(fs::read_to_string(&old).expect("it is there"), "new");
        tried(Path::new("/dev/null")).expect("it can be written");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let place = tempfile::tempdir().expect("there is room");
        let folder = place.path().to_str().expect("UTF-8");
        for path in [folder, "/nowhere/x.svg", "/proc/x.svg"] {
            let said = tried(Path::new(path)).expect_err(path);
            assert!(said.starts_with(&format!("--svg {path} cannot be written: ")), "{said}");
            assert!(said.ends_with("name a file in a folder that exists and can be written to"));
        }
        let same = Some(place.path().join("same"));
        let twice = try_files([("--svg", &same), ("--itf", &same)]).expect_err("they clash");
        assert!(twice.to_string().starts_with("--svg and --itf both name "), "{twice}");
    }

    #[test]
    fn the_test_of_a_folder_does_not_create_it() {
        let place = tempfile::tempdir().expect("there is room");
        let new = place.path().join("a/b");
        try_folder("--out", &new).expect("it can be made");
        try_folder("--out", place.path()).expect("it is there");
        assert_eq!(fs::read_dir(place.path()).expect("it is there").count(), 0);
        let file = place.path().join("file");
        fs::write(&file, "").expect("there is room");
        for bad in [file.clone(), file.join("below"), PathBuf::from("/proc/traces")] {
            let said = try_folder("--out", &bad).expect_err("it is no folder").to_string();
            assert!(said.starts_with(&format!("--out {} cannot be", bad.display())), "{said}");
        }
        try_folder("--out", Path::new("relative")).expect("the current folder is there");
    }
}
