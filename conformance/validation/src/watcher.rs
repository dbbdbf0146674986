//! A validator of recordings that grow.

use std::path::Path;

use paxos::NodeId;

use crate::order::{Halt, Validator};

/// Looks at the recordings of a running cluster again and again.
///
/// A message that arrives is in the recording of its sender already. So a message that two looks miss was not sent.
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
        loop {
            self.validator.advance()?;
            let waits = self.validator.waits();
            if !waits.iter().any(|wait| self.waited.contains(wait)) {
                self.waited = waits;
                return Ok(());
            }
            if !self.validator.assume_one()? {
                match self.validator.stuck() {
                    Some(violation) => return Err(Halt::Violated(violation)),
                    None => self.waited = waits,
                }
                return Ok(());
            }
        }
    }
}
