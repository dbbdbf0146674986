//! Files in memory that remember everything that was done to them, in order, and that can be told
//! to fail.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::disk::{medium::File, place::Files};

/// The bytes of the two files of the log, of the two for snapshots, and of the mark.
pub(super) type Image = [Vec<u8>; 5];

/// The place of the mark in an image.
pub(super) const MARK: usize = 4;

/// What was done to which file.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Write(usize, u64, Vec<u8>),
    Length(usize, u64),
    Sync(usize),
    /// Somebody was told that all of this is durable.
    Acknowledged,
}

impl Deed {
    fn file(&self) -> usize {
        match self {
            Self::Write(file, ..) | Self::Length(file, _) | Self::Sync(file) => *file,
            Self::Acknowledged => usize::MAX,
        }
    }
}

/// The files of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder(Arc<Mutex<Tape>>);

#[derive(Debug, Default)]
struct Tape {
    began: Image,
    written: Image,
    synced: Image,
    /// What the system still has to write to the disk.
    dirty: Vec<Deed>,
    deeds: Vec<Deed>,
    fault: Option<Fault>,
}

/// After so many deeds more, one fails, or all from then on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) after: usize,
    pub(super) lasting: bool,
}

impl Recorder {
    /// Files that begin with these bytes.
    pub(super) fn of(image: Image) -> Self {
        let (began, written, synced) = (image.clone(), image.clone(), image);
        let tape = Tape { began, written, synced, ..Tape::default() };
        Self(Arc::new(Mutex::new(tape)))
    }

    pub(super) fn files(&self) -> Files {
        let file = |number| Arc::new(RecordedFile { tape: self.clone(), number });
        Files { logs: [file(0), file(1)], snapshots: [file(2), file(3)], mark: file(MARK) }
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn began(&self) -> Image {
        self.tape().began.clone()
    }

    pub(super) fn written(&self) -> Image {
        self.tape().written.clone()
    }

    pub(super) fn synced(&self) -> Image {
        self.tape().synced.clone()
    }

    pub(super) fn deeds(&self) -> Vec<Deed> {
        self.tape().deeds.clone()
    }

    pub(super) fn syncs(&self) -> usize {
        self.tape().deeds.iter().filter(|deed| matches!(deed, Deed::Sync(_))).count()
    }

    pub(super) fn acknowledge(&self) {
        self.tape().deeds.push(Deed::Acknowledged);
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.tape().fault = Some(fault);
    }

    pub(super) fn recover(&self) {
        self.tape().fault = None;
    }

    /// Whether the fault is still to come.
    pub(super) fn awaits_fault(&self) -> bool {
        self.tape().fault.is_some_and(|fault| fault.after > 0)
    }
}

impl Tape {
    fn perform(&mut self, deed: Deed) -> io::Result<()> {
        if let Some(fault) = &mut self.fault {
            if fault.after > 0 {
                fault.after -= 1;
            } else {
                if !fault.lasting {
                    self.fault = None;
                }
                if let Deed::Sync(file) = deed {
                    // As Linux does: what could not be written counts as written from now on.
                    self.dirty.retain(|dirty| dirty.file() != file);
                }
                return Err(io::Error::other("the disk is on fire"));
            }
        }
        apply(&mut self.written, &deed);
        if let Deed::Sync(file) = deed {
            for dirty in self.dirty.extract_if(.., |dirty| dirty.file() == file) {
                apply(&mut self.synced, &dirty);
            }
        } else {
            self.dirty.push(deed.clone());
        }
        self.deeds.push(deed);
        Ok(())
    }
}

/// What a deed makes of the files.
pub(super) fn apply(image: &mut Image, deed: &Deed) {
    match deed {
        Deed::Write(file, offset, bytes) => {
            let (file, offset) = (&mut image[*file], *offset as usize);
            file.resize(file.len().max(offset + bytes.len()), 0);
            file[offset..][..bytes.len()].copy_from_slice(bytes);
        }
        Deed::Length(file, length) => image[*file].resize(*length as usize, 0),
        Deed::Sync(_) | Deed::Acknowledged => {}
    }
}

#[derive(Debug)]
struct RecordedFile {
    tape: Recorder,
    number: usize,
}

impl File for RecordedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.tape.tape().written[self.number].len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let tape = self.tape.tape();
        let bytes = tape.written[self.number].get(offset as usize..);
        let bytes = bytes.and_then(|bytes| bytes.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.tape.tape().perform(Deed::Length(self.number, length))
    }

    fn sync(&self) -> io::Result<()> {
        self.tape.tape().perform(Deed::Sync(self.number))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.tape.tape().perform(Deed::Write(self.number, offset, bytes.to_vec()))
    }
}
