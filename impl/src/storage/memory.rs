//! A store that forgets nothing but the process it lives in.

use crate::{
    event::Record,
    protocol::{RecoverError, acceptor::Acceptor},
};

/// What is durable, folded: the promise, and of every slot the last accepted entry. That is exactly
/// an acceptor, so it is kept as one; an older entry of the same slot is of no use to anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    image: Acceptor,
}

impl Memory {
    /// Makes records durable.
    ///
    /// # Errors
    /// Records that contradict what is stored are refused; nothing that follows them is stored.
    pub fn append(&mut self, records: &[Record]) -> Result<(), RecoverError> {
        records.iter().try_for_each(|record| self.image.replay(record))
    }

    /// All that is stored, as records for [`Replica::recover`](crate::Replica::recover).
    pub fn records(&self) -> Vec<Record> {
        self.image.records()
    }

    /// What is stored, to be looked at.
    pub fn image(&self) -> &Acceptor {
        &self.image
    }
}
