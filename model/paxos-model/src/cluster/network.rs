//! The network: the set of all messages that ever left a node.
//!
//! A search copies, compares and hashes the network for each transition. So each message is one
//! [word](Message::to_word), and the set is a sorted list of words. The words have the order of the messages. An action
//! that sends nothing new leaves the list as it is, and both states share it.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use smallvec::SmallVec;

use super::{
    node::universe::SlotMap as _,
    parts::{Message, Vote},
    types::{Log, NodeId, Slot, Value},
};

/// The set of all messages that ever left a node.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The words of the messages, sorted.
    messages: Arc<[u64]>,
    /// The slots that some node has known to be chosen, so that news of them can arrive. No slot is marked in a cluster
    /// without reads: there it makes no difference if news arrives before a node knows.
    news: Log<bool>,
}

/// Hashes each message as a word, and all news as one. A derived hash would hash bytes.
impl Hash for Network {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let news = self.news.iter().fold(0, |news, known| news << 1 | u64::from(*known));
        state.write_u64(news << 32 | self.messages.len() as u64);
        self.messages.iter().for_each(|word| state.write_u64(*word));
    }
}

impl Network {
    /// Returns the network with these messages, and with news of these slots.
    pub fn of(messages: impl IntoIterator<Item = Message>, news: Log<bool>) -> Self {
        let mut words: SmallVec<[u64; 32]> = messages.into_iter().map(Message::to_word).collect();
        words.sort_unstable();
        words.dedup();
        Self { messages: Arc::from(&words[..]), news }
    }

    /// Returns the network with more messages.
    #[must_use]
    pub fn with(&self, messages: &[Message]) -> Self {
        if self.has_all(messages) {
            return self.clone();
        }
        let mut words: SmallVec<[u64; 32]> = SmallVec::from_slice(&self.messages);
        for message in messages {
            let word = message.to_word();
            if let Err(place) = words.binary_search(&word) {
                words.insert(place, word);
            }
        }
        Self { messages: Arc::from(&words[..]), news: self.news }
    }

    /// Returns true if all of these messages were sent.
    pub fn has_all(&self, messages: &[Message]) -> bool {
        messages.iter().all(|message| self.contains(*message))
    }

    /// Returns true if a message was ever sent.
    pub fn contains(&self, message: Message) -> bool {
        self.messages.binary_search(&message.to_word()).is_ok()
    }

    /// Returns true if `other` has every message of this network.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.messages.iter().all(|word| other.messages.binary_search(word).is_ok())
    }

    /// Returns the messages that `before` does not have. The caller must pass a `before` that is a subset of this network.
    pub fn sent_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Message> + 'a {
        let mut known = before.messages.iter().peekable();
        let none = self.messages.len() == before.messages.len();
        let all = if none { &[] } else { &self.messages[..] };
        let new = all.iter().filter(move |word| known.next_if_eq(word).is_none());
        new.map(|word| Message::from_word(*word))
    }

    /// Returns the messages, in order.
    pub fn iter(&self) -> impl Iterator<Item = Message> {
        self.messages.iter().map(|word| Message::from_word(*word))
    }

    /// Returns the [words](Message::to_word) of the messages, in order.
    pub(super) fn words(&self) -> &[u64] {
        &self.messages
    }

    /// Returns the votes that were sent, each with its slot and voter.
    pub fn votes(&self) -> impl Iterator<Item = (Slot, Vote, NodeId)> {
        let words = self.messages.iter().filter(|word| Message::is_vote(**word));
        words.filter_map(|word| match Message::from_word(*word) {
            Message::Accepted { ballot, slot, value, from } => {
                Some((slot, Vote { ballot, value }, from))
            }
            _ => None,
        })
    }

    /// Adds the news that the slots with a known value are chosen.
    pub fn add_news(&mut self, known: &Log<Option<Value>>) {
        for (slot, _) in known.filled() {
            self.news[usize::from(slot.0)] = true;
        }
    }

    /// Returns true for each slot with news that it is chosen.
    pub const fn news(&self) -> &Log<bool> {
        &self.news
    }
}
