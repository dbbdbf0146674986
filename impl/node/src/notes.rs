//! What a node notes in its store beside the records of the protocol: under which names, and how it is
//! written.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeOwned};

use super::introduction::{Lives, Members, Met};
use paxos::types::NodeId;
use paxos_store::{Storage, StorageError};

/// A fact by its name, and what it is written as.
pub(super) struct Note<T> {
    name: Cow<'static, str>,
    /// How the fact is told to people.
    tell: fn(T) -> String,
}

/// The lives of the node so far.
pub(super) const LIVES: Note<Lives> =
    Note { name: Cow::Borrowed("lives"), tell: |lives| lives.number().to_string() };
/// Why the node may not come back.
pub(super) const BANNED: Note<String> = Note { name: Cow::Borrowed("banned"), tell: |why| why };
/// Who the members are.
pub(super) const MEMBERS: Note<Members> =
    Note { name: Cow::Borrowed("members"), tell: |members| members.to_string() };
/// That all others know this store.
pub(super) const FORMED: Note<()> =
    Note { name: Cow::Borrowed("formed"), tell: |()| "all nodes have met".to_owned() };

const PEER: &str = "node ";

/// The last that was seen of a peer.
pub(super) fn peer(peer: NodeId) -> Note<Met> {
    Note {
        name: format!("{PEER}{peer}").into(),
        tell: |Met { store, number, .. }| format!("start {number} of store {store}"),
    }
}

impl<T: Serialize + DeserializeOwned> Note<T> {
    /// The fact, if it was noted.
    pub(super) fn read(&self, storage: &impl Storage) -> Result<Option<T>, StorageError> {
        let Some(fact) = storage.noted(&self.name)? else { return Ok(None) };
        let damaged = || StorageError::damaged(format!("`{}` is noted as {fact:?}", self.name));
        Ok(Some(decode(&fact).ok_or_else(damaged)?))
    }

    /// Notes it, durably.
    pub(super) fn write(&self, fact: &T, storage: &mut impl Storage) -> Result<(), StorageError> {
        let fact = postcard::to_allocvec(fact).expect("a fact can be written to memory");
        storage.note(&self.name, &fact)
    }

    fn told(&self, fact: &[u8]) -> Option<String> {
        decode(fact).map(self.tell)
    }
}

fn decode<T: DeserializeOwned>(fact: &[u8]) -> Option<T> {
    let (fact, rest) = postcard::take_from_bytes(fact).ok()?;
    rest.is_empty().then_some(fact)
}

/// A fact as it is told to people; nothing if no node has noted it.
pub fn told(name: &str, fact: &[u8]) -> Option<String> {
    match name {
        _ if name == LIVES.name => LIVES.told(fact),
        _ if name == BANNED.name => BANNED.told(fact),
        _ if name == MEMBERS.name => MEMBERS.told(fact),
        _ if name == FORMED.name => FORMED.told(fact),
        _ => peer(NodeId(name.strip_prefix(PEER)?.parse().ok()?)).told(fact),
    }
}
