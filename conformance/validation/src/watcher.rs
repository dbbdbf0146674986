//! A validator of recordings that grow.

use std::path::Path;

use paxos::NodeId;

use crate::{
    order::{Halt, Validator},
    stream::Pulled,
};

/// Looks at the recordings of a running cluster again and again.
///
/// A message that arrives is in the recording of its sender already. So a message that two looks miss was not sent: the second
/// look begins after the frame of the arrival was read. If the second look did not have everything that the sender had recorded
/// by then, the frame waits for another look.
#[derive(Debug)]
pub struct Watcher {
    validator: Validator,
    /// The frames that waited for a message at the last look.
    waited: Vec<(NodeId, u64)>,
}

impl Watcher {
    /// Returns a watcher of a directory, which may still be empty.
    pub fn new(directory: &Path) -> Self {
        Self { validator: Validator::new(directory), waited: Vec::new() }
    }

    /// The validator, with all frames that the last look has taken.
    pub fn validator(&self) -> &Validator {
        &self.validator
    }

    /// Ends the watch.
    pub fn into_validator(self) -> Validator {
        self.validator
    }

    /// Takes the frames that were recorded since the last look.
    ///
    /// # Errors
    /// A frame contradicts a claim, or the directory cannot be read.
    pub fn look(&mut self) -> Result<(), Halt> {
        self.look_after(&Pulled::All)
    }

    /// Takes the frames that were recorded or copied since the last look. `pulled` is the result of a pull that began after the
    /// last look.
    ///
    /// # Errors
    /// A frame contradicts a claim, or the directory cannot be read.
    pub fn look_after(&mut self, pulled: &Pulled) -> Result<(), Halt> {
        loop {
            self.validator.advance()?;
            if !self.validator.is_stuck(pulled, &self.waited) {
                break;
            }
            if !self.validator.assume_one(pulled)? {
                match self.validator.stuck(pulled, &self.waited) {
                    Some(violation) => return Err(Halt::Violated(violation)),
                    None => break,
                }
            }
        }
        self.waited = self.validator.waits();
        Ok(())
    }
}
