//! Metadata: the data that a node notes in its store beside the records of the protocol.
//!
//! The names and the encoding (postcard) are part of the format on disk.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    handshake::Members,
    incarnations::{Incarnation, Incarnations},
};
use paxos::{
    event::Record,
    types::{NodeId, Slot},
};
use paxos_store::{Storage, StorageError};

/// An item of metadata: the name under which it is stored, and its type.
pub(crate) struct Item<T> {
    name: Cow<'static, str>,
    /// Describes the value for operators.
    describe: fn(T) -> String,
}

/// The incarnations of the node so far.
pub(super) const INCARNATIONS: Item<Incarnations> = Item {
    name: Cow::Borrowed("lives"),
    describe: |incarnations| incarnations.number().to_string(),
};
/// The reason for which the node may not take part again.
pub(super) const BANNED: Item<String> =
    Item { name: Cow::Borrowed("banned"), describe: |reason| reason };
/// The members of the cluster.
pub(super) const MEMBERS: Item<Members> =
    Item { name: Cow::Borrowed("members"), describe: |members| members.to_string() };
/// Present once every other member has met this node with this store.
pub(super) const FORMED: Item<()> =
    Item { name: Cow::Borrowed("formed"), describe: |()| "all nodes have met".to_owned() };

/// The votes that are for chosen values.
pub(crate) const VOTES_CHOSEN: Item<VotesChosen> = Item {
    name: Cow::Borrowed("chosen"),
    describe: |noted| format!("the votes below slot {} are for chosen values", noted.below),
};

/// A note about the votes of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VotesChosen {
    /// The number of the start that renews the note.
    pub(crate) start: u64,
    /// Each vote of the node in a slot below this one is for the chosen value.
    pub(crate) below: Slot,
}

const PEER: &str = "node ";

/// The last incarnation of a peer that this node has met.
pub(super) fn peer(peer: NodeId) -> Item<Incarnation> {
    Item {
        name: format!("{PEER}{peer}").into(),
        describe: |Incarnation { store, number, .. }| format!("start {number} of store {store}"),
    }
}

impl<T: Serialize + DeserializeOwned> Item<T> {
    /// Returns the value, if the store has one.
    ///
    /// # Errors
    /// The store cannot be read, or the value is damaged.
    pub(crate) fn read(&self, storage: &impl Storage) -> Result<Option<T>, StorageError> {
        let Some(value) = storage.noted(&self.name)? else { return Ok(None) };
        let damaged = || StorageError::damaged(format!("`{}` is noted as {value:?}", self.name));
        Ok(Some(decode(&value).ok_or_else(damaged)?))
    }

    /// Writes the value durably.
    pub(crate) fn write(&self, value: &T, storage: &mut impl Storage) -> Result<(), StorageError> {
        storage.note(&self.name, &Self::encode(value))
    }

    /// Writes records and the value durably, in one step.
    pub(crate) fn write_with(
        &self,
        value: &T,
        records: &[Record],
        storage: &mut impl Storage,
    ) -> Result<(), StorageError> {
        storage.persist_and_note(records, &self.name, &Self::encode(value))
    }

    fn encode(value: &T) -> Vec<u8> {
        postcard::to_allocvec(value).expect("a value can be written to memory")
    }

    fn describe(&self, value: &[u8]) -> Option<String> {
        decode(value).map(self.describe)
    }
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(value).ok()?;
    rest.is_empty().then_some(value)
}

/// Describes an item of a store's metadata for operators. Returns `None` if no node writes such an item.
pub fn describe_metadata(name: &str, value: &[u8]) -> Option<String> {
    match name {
        _ if name == INCARNATIONS.name => INCARNATIONS.describe(value),
        _ if name == BANNED.name => BANNED.describe(value),
        _ if name == MEMBERS.name => MEMBERS.describe(value),
        _ if name == FORMED.name => FORMED.describe(value),
        _ if name == VOTES_CHOSEN.name => VOTES_CHOSEN.describe(value),
        _ => peer(NodeId(name.strip_prefix(PEER)?.parse().ok()?)).describe(value),
    }
}
