//! Snapshots of a state machine with its sessions.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Sessions, entry::SessionId, table::Session};
use crate::{
    faults::Fault,
    machine::{Answer as _, Frozen, RestoreError, StateMachine},
};
use paxos::types::Slot;

/// The version of the format that is written, and the only one that is read.
const VERSION: u8 = 4;

/// The beginning of a snapshot. The sessions follow, and then the state of the machine.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u8,
    applied: Slot,
    sessions: u64,
}

/// The longest session in a snapshot, in bytes.
const SESSION_BYTES_MAX: u64 = 1 << 30;

impl<M: StateMachine> Sessions<M> {
    /// Returns the present state, for a snapshot.
    pub fn snapshot(&self) -> Frozen {
        self.snapshot_with(None)
    }

    pub(crate) fn snapshot_with(&self, fault: Option<Fault>) -> Frozen {
        let mut sessions = self.table.sessions().clone();
        if fault == Some(Fault::ForgetsClients) {
            sessions.clear();
        }
        let head =
            Head { version: VERSION, applied: self.applied, sessions: sessions.len() as u64 };
        let machine = self.machine.snapshot();
        Box::new(move |file| {
            write(&head, file)?;
            for (id, session) in sessions {
                let in_bytes = session.map(|answer| Some(answer.to_bytes()));
                write(&(id, in_bytes.expect("every answer has bytes")), file)?;
            }
            machine(file)
        })
    }

    /// Replaces the state by a snapshot that has the effect of every slot below `below`.
    ///
    /// # Errors
    /// The bytes are no snapshot, or a snapshot that ends at another slot. The state is as it was.
    pub fn restore(&mut self, below: Slot, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let head: Head = read(snapshot)?;
        if head.version != VERSION {
            let reason = format!("it is of version {}, not {VERSION}", head.version);
            return Err(RestoreError::new(reason));
        }
        if head.applied != below {
            let reason = format!("it ends at slot {}, not {below}", head.applied);
            return Err(RestoreError::new(reason));
        }
        let mut by_id = BTreeMap::new();
        for _ in 0..head.sessions {
            let (id, session): (SessionId, Session) = read(snapshot)?;
            let session = session.map(|bytes| M::Answer::from_bytes(bytes.clone()));
            let unreadable = || RestoreError::new("an answer that it keeps is unreadable");
            by_id.insert(id, Arc::new(session.ok_or_else(unreadable)?));
        }
        self.machine.restore(snapshot)?;
        self.applied = head.applied;
        self.table.replace(by_id);
        Ok(())
    }
}

/// Writes a value behind its length.
fn write(value: &impl Serialize, file: &mut dyn Write) -> io::Result<()> {
    let bytes = postcard::to_stdvec(value).map_err(io::Error::other)?;
    file.write_all(&(bytes.len() as u64).to_le_bytes())?;
    file.write_all(&bytes)
}

/// Reads a value that [`write`] has written.
fn read<T: DeserializeOwned>(file: &mut dyn Read) -> Result<T, RestoreError> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > SESSION_BYTES_MAX {
        return Err(RestoreError::new(format!(
            "a part of {length} bytes is too long; a part has at most {SESSION_BYTES_MAX}"
        )));
    }
    // The buffer takes no more memory than there are bytes, whatever length they claim.
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes)
        .map_err(|error| RestoreError::new(format!("its sessions are unreadable: {error}")))
}
