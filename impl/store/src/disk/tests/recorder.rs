//! Files in memory that record all operations in order, and that fail when a test says so.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::disk::{data_directory::Files, file::File};

/// The bytes of the five files: two segments of the log, two snapshots, and the watermark.
pub(super) type Image = [Vec<u8>; 5];

/// The index of the watermark in an image.
pub(super) const WATERMARK: usize = 4;

/// An operation on a file.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Write(usize, u64, Vec<u8>),
    Length(usize, u64),
    Sync(usize),
    /// The store acknowledged that everything so far is durable.
    Acknowledged,
}

impl Operation {
    fn file(&self) -> usize {
        match self {
            Self::Write(file, ..) | Self::Length(file, _) | Self::Sync(file) => *file,
            Self::Acknowledged => usize::MAX,
        }
    }
}

/// The files of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder(Arc<Mutex<Recording>>);

#[derive(Debug, Default)]
struct Recording {
    initial: Image,
    written: Image,
    synced: Image,
    /// The operations that were not synced.
    dirty: Vec<Operation>,
    operations: Vec<Operation>,
    fault: Option<Fault>,
}

/// A fault that begins after a number of operations. The next operation fails, or all later ones fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) after: usize,
    pub(super) lasting: bool,
}

impl Recorder {
    /// Returns files that begin with these bytes.
    pub(super) fn of(image: Image) -> Self {
        let (initial, written, synced) = (image.clone(), image.clone(), image);
        let recording = Recording { initial, written, synced, ..Recording::default() };
        Self(Arc::new(Mutex::new(recording)))
    }

    pub(super) fn files(&self) -> Files {
        let file = |number| Arc::new(RecordedFile { recording: self.clone(), number });
        Files {
            logs: [file(0), file(1)],
            snapshots: [file(2), file(3)],
            watermark: file(WATERMARK),
        }
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn initial(&self) -> Image {
        self.recording().initial.clone()
    }

    pub(super) fn written(&self) -> Image {
        self.recording().written.clone()
    }

    pub(super) fn synced(&self) -> Image {
        self.recording().synced.clone()
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        self.recording().operations.clone()
    }

    pub(super) fn syncs(&self) -> usize {
        self.recording()
            .operations
            .iter()
            .filter(|operation| matches!(operation, Operation::Sync(_)))
            .count()
    }

    pub(super) fn acknowledge(&self) {
        self.recording().operations.push(Operation::Acknowledged);
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.recording().fault = Some(fault);
    }

    pub(super) fn recover(&self) {
        self.recording().fault = None;
    }

    /// Returns true if the fault has not begun.
    pub(super) fn awaits_fault(&self) -> bool {
        self.recording().fault.is_some_and(|fault| fault.after > 0)
    }
}

impl Recording {
    fn perform(&mut self, operation: Operation) -> io::Result<()> {
        if let Some(fault) = &mut self.fault {
            if fault.after > 0 {
                fault.after -= 1;
            } else {
                if !fault.lasting {
                    self.fault = None;
                }
                if let Operation::Sync(file) = operation {
                    // As on Linux, bytes that could not be written count as written after the failed sync.
                    self.dirty.retain(|dirty| dirty.file() != file);
                }
                return Err(io::Error::other("the disk is on fire"));
            }
        }
        apply(&mut self.written, &operation);
        if let Operation::Sync(file) = operation {
            for dirty in self.dirty.extract_if(.., |dirty| dirty.file() == file) {
                apply(&mut self.synced, &dirty);
            }
        } else {
            self.dirty.push(operation.clone());
        }
        self.operations.push(operation);
        Ok(())
    }
}

/// Applies an operation to the files.
pub(super) fn apply(image: &mut Image, operation: &Operation) {
    match operation {
        Operation::Write(file, offset, bytes) => {
            let (file, offset) = (&mut image[*file], *offset as usize);
            file.resize(file.len().max(offset + bytes.len()), 0);
            file[offset..][..bytes.len()].copy_from_slice(bytes);
        }
        Operation::Length(file, length) => image[*file].resize(*length as usize, 0),
        Operation::Sync(_) | Operation::Acknowledged => {}
    }
}

#[derive(Debug)]
struct RecordedFile {
    recording: Recorder,
    number: usize,
}

impl File for RecordedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.recording.recording().written[self.number].len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let recording = self.recording.recording();
        let bytes = recording.written[self.number].get(offset as usize..);
        let bytes = bytes.and_then(|bytes| bytes.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.recording.recording().perform(Operation::Length(self.number, length))
    }

    fn sync(&self) -> io::Result<()> {
        self.recording.recording().perform(Operation::Sync(self.number))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.recording.recording().perform(Operation::Write(self.number, offset, bytes.to_vec()))
    }
}
