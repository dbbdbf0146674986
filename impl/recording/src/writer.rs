//! The writer of frames: the chain, the buffer and the rotation of files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use crate::{
    files::{Chain, FileName, Header, MAGIC, StartId, VERSION},
    frame::Body,
    options::RecordingOptions,
};

/// Writes frames to the files of one start.
#[derive(Debug)]
pub struct FrameWriter {
    options: RecordingOptions,
    name: FileName,
    file: File,
    /// The bytes of the file, without those in the buffer.
    length: u64,
    /// The number of frames so far, without headers.
    frames: u64,
    chain: Chain,
    buffer: Vec<u8>,
}

impl FrameWriter {
    /// Creates the first file of a start, and its directory if that does not exist.
    ///
    /// # Errors
    /// The directory or the file cannot be created. A file of the same start exists already.
    pub fn create(options: RecordingOptions, start: StartId) -> io::Result<Self> {
        fs::create_dir_all(&options.directory)?;
        let name = FileName { start, file: 0 };
        let file = create(&name.within(&options.directory))?;
        let (chain, buffer) = (Chain::new(start), Vec::new());
        let mut writer = Self { options, name, file, length: 0, frames: 0, chain, buffer };
        writer.header();
        Ok(writer)
    }

    fn header(&mut self) {
        let FileName { start, file } = self.name;
        self.buffer.extend(MAGIC);
        self.buffer.extend(VERSION.to_le_bytes());
        self.frame(&Header { start, file, frames_before: self.frames });
    }

    /// Adds a frame. It stays in memory until [`flush`](Self::flush).
    pub fn push(&mut self, body: &Body) {
        self.frame(body);
        self.frames += 1;
    }

    fn frame(&mut self, payload: &impl serde::Serialize) {
        let begin = self.buffer.len();
        self.buffer.extend([0; size_of::<u32>()]);
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(payload, buffer).expect("there is memory");
        let content = begin + size_of::<u32>();
        let length = (self.buffer.len() - content) as u32;
        self.buffer[begin..content].copy_from_slice(&length.to_le_bytes());
        self.chain = self.chain.after(&self.buffer[content..]);
        self.buffer.extend(self.chain.0.to_le_bytes());
    }

    /// Hands all frames so far to the operating system.
    ///
    /// # Errors
    /// The file cannot be written. The caller must [give it up](Self::give_up).
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.buffer)?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        if self.length >= self.options.file_bytes_max {
            let next = FileName { file: self.name.file + 1, ..self.name };
            self.file = create(&next.within(&self.options.directory))?;
            (self.name, self.length) = (next, 0);
            self.header();
        }
        Ok(())
    }

    /// Renames the last file, so that a reader learns that its node records no more.
    pub fn give_up(self) {
        let (name, directory) = (self.name, &self.options.directory);
        // A rename needs no room on the disk. If it fails, the reader can only find a torn frame.
        let _ = fs::rename(name.within(directory), name.given_up_within(directory));
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(path)
}
