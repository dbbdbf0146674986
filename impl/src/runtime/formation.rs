//! Who may take part: the members that were agreed on, each with all of its memory.
//!
//! A node that has lost its disk has forgotten its promises, and must not come back under its id. So
//! each store has an identity, made at random with it. A node whose store is new takes no part until
//! every other node has durably noted that identity under its id; and a node that has noted another one
//! refuses. All of them have to meet once, when a cluster is formed; from then on any quorum will do.
//!
//! An older copy of a store has forgotten as well. So its starts are counted in it, and each peer notes the last
//! one it has seen: none that has met a later life of a node listens to an earlier one, or to another one with the
//! same number. Those that were away meanwhile do not know, so this finds most accidents, and not all.
//!
//! Which the members are, and how many make a quorum, is noted with the first of them that says the same, and
//! stays: quorums of different members need not meet.

use super::{
    introduction::{Answer, Introduction, Life, Members},
    node::NodeError,
    notes::{self, FORMED, MEMBERS},
};
use crate::{
    config::Config,
    storage::{Storage, StorageError},
    types::NodeId,
};

/// What a node knows of the others, and they of it.
#[derive(Debug)]
pub(super) struct Formation {
    members: Members,
    /// Whether the store has noted them.
    noted: bool,
    /// Peers that have not yet said that they know this node's store.
    missing: Vec<NodeId>,
}

impl Formation {
    /// As the store remembers it. Without introductions nobody has to be met.
    ///
    /// # Errors
    /// The store is that of a node with other members.
    pub(super) fn recover(
        storage: &mut impl Storage,
        config: &Config,
        introduced: bool,
    ) -> Result<Self, NodeError> {
        let members = Members::of(config);
        let noted = MEMBERS.read(storage)?;
        if let Some(noted) = noted.clone().filter(|noted| *noted != members) {
            return Err(NodeError::Members { noted, given: members });
        }
        let mut missing = config.nodes.clone();
        missing.retain(|&node| node != config.id);
        if !introduced || FORMED.read(storage)?.is_some() {
            missing.clear();
        }
        let mut formation = Self { members, noted: noted.is_some(), missing };
        if formation.complete() {
            formation.bind(storage)?;
        }
        Ok(formation)
    }

    /// Whether this node may take part.
    pub(super) fn complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Who has still to be met.
    pub(super) fn missing(&self) -> &[NodeId] {
        &self.missing
    }

    /// Who takes part.
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// From now on the members stay.
    fn bind(&mut self, storage: &mut impl Storage) -> Result<(), StorageError> {
        if !self.noted {
            MEMBERS.write(&self.members, storage)?;
            self.noted = true;
        }
        Ok(())
    }

    /// A peer says that it knows this node's store, and has the same members.
    pub(super) fn welcomed(
        &mut self,
        by: NodeId,
        storage: &mut impl Storage,
    ) -> Result<(), StorageError> {
        self.bind(storage)?;
        let before = self.missing.len();
        self.missing.retain(|&peer| peer != by);
        if before > 0 && self.complete() {
            FORMED.write(&(), storage)?;
        }
        Ok(())
    }

    /// A peer introduces itself. Noted for ever, or refused with the reason.
    pub(super) fn introduce(
        &mut self,
        peer: NodeId,
        introduction: &Introduction,
        storage: &mut impl Storage,
    ) -> Result<Answer, StorageError> {
        let Introduction { life, members } = introduction;
        if *members != self.members || !members.contains(peer) {
            return Ok(Answer::Refused(format!(
                "node {peer} was told that the members are {members}, and this one that they are {}",
                self.members
            )));
        }
        let note = notes::peer(peer);
        match note.read(storage)? {
            Some(known) if !life.continues(&known) => {
                return Ok(Answer::Banned(forgetful(peer, life, &known)));
            }
            Some(known) if *life == known => {}
            _ => {
                self.bind(storage)?;
                note.write(life, storage)?;
            }
        }
        Ok(Answer::Welcome)
    }
}

/// Why a node must not come back.
fn forgetful(peer: NodeId, life: &Life, known: &Life) -> String {
    let found = if life.store == known.store {
        format!(
            "in start {} of its store, and comes back in start {}, of an older copy of it: what it has promised \
             since is not there",
            known.number, life.number
        )
    } else {
        "with another store. Its disk was lost or replaced, and with it what it had promised".into()
    };
    format!(
        "node {peer} was here before {found}. It may not come back under this id. Start it with its own data, or \
         not at all (replacing a node is not offered yet)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{MemoryStore, StoreId};

    fn config(id: u32, nodes: &[u32]) -> Config {
        Config::new(NodeId(id), nodes.iter().copied().map(NodeId))
    }

    fn formation(storage: &MemoryStore, config: &Config) -> Result<Formation, NodeError> {
        Formation::recover(&mut storage.reopen(), config, true)
    }

    fn life(store: u128, number: u64, nonce: u64) -> Life {
        Life { store: StoreId(store), number, nonce }
    }

    /// What node 1 of three says to lives of node 2 that introduce themselves one after the other.
    fn answers(lives: &[Life]) -> Vec<Answer> {
        let config = config(1, &[1, 2, 3]);
        let mut storage = MemoryStore::new(StoreId(1));
        let mut formation = formation(&storage, &config).unwrap();
        let introduce = |life: &Life| {
            let introduction = Introduction { life: *life, members: Members::of(&config) };
            formation.introduce(NodeId(2), &introduction, &mut storage).unwrap()
        };
        lives.iter().map(introduce).collect()
    }

    fn is_banned(lives: &[Life]) -> bool {
        let mut answers = answers(lives);
        let last = answers.pop().unwrap();
        assert!(answers.iter().all(|answer| *answer == Answer::Welcome), "{answers:?}");
        matches!(last, Answer::Banned(_))
    }

    #[test]
    fn a_node_comes_back_with_its_memory_and_not_without() {
        assert!(!is_banned(&[life(2, 1, 7)]));
        assert!(!is_banned(&[life(2, 1, 7), life(2, 1, 7)]), "the connection was lost");
        assert!(!is_banned(&[life(2, 1, 7), life(2, 2, 8), life(2, 5, 9)]));
        assert!(is_banned(&[life(2, 1, 7), life(3, 1, 8)]), "another store");
        assert!(is_banned(&[life(2, 1, 7), life(3, 2, 8)]), "another store");
        assert!(is_banned(&[life(2, 5, 7), life(2, 4, 8)]), "an older copy");
        assert!(
            is_banned(&[life(2, 5, 7), life(2, 5, 8)]),
            "a copy from just before the last start"
        );
    }

    /// Until two have agreed on them, members can be corrected.
    #[test]
    fn members_stay_once_two_agree() {
        let storage = MemoryStore::new(StoreId(1));
        let told = |nodes: &[u32]| formation(&storage, &config(1, nodes));
        let introduce = |mine: &[u32], peer, theirs: &[u32]| {
            let members = Members::of(&config(peer, theirs));
            let introduction = Introduction { life: life(2, 1, 7), members };
            told(mine)
                .unwrap()
                .introduce(NodeId(peer), &introduction, &mut storage.reopen())
                .unwrap()
        };
        assert_eq!(
            introduce(&[1, 2], 2, &[1, 2, 3]),
            Answer::Refused(
                "node 2 was told that the members are 1, 2, 3, and this one that they are 1, 2"
                    .into()
            )
        );
        assert_eq!(introduce(&[1, 2, 3], 2, &[3, 2, 1]), Answer::Welcome);
        assert_eq!(
            told(&[1]).unwrap_err().to_string(),
            "the store is of a cluster of nodes 1, 2, 3; this node was told that they are 1. Members \
             cannot be changed yet: start it with the peers that it had"
        );
        assert!(told(&[2, 3, 1]).is_ok());
        let flexible = config(1, &[1, 2, 3]).with_quorums(3, 1);
        let error = formation(&storage, &flexible).unwrap_err().to_string();
        assert!(error.contains("1, 2, 3 with quorums of 3 (phase 1) and 1 (phase 2)"), "{error}");
    }

    /// A node that leads alone, or that nobody introduces, has no peer to agree with.
    #[test]
    fn members_stay_at_once_where_nobody_is_met() {
        for (nodes, introduced) in [(&[1][..], true), (&[1, 2], false)] {
            let storage = MemoryStore::new(StoreId(1));
            let recover =
                |nodes| Formation::recover(&mut storage.reopen(), &config(1, nodes), introduced);
            assert!(recover(nodes).unwrap().complete());
            assert!(matches!(recover(&[1, 2, 3]), Err(NodeError::Members { .. })));
            assert!(recover(nodes).is_ok());
        }
    }

    #[test]
    fn a_node_takes_part_when_all_others_know_it() {
        let storage = MemoryStore::new(StoreId(1));
        let config = config(1, &[1, 2, 3]);
        let mut first = formation(&storage, &config).unwrap();
        first.welcomed(NodeId(3), &mut storage.reopen()).unwrap();
        assert_eq!(first.missing(), [NodeId(2)]);
        let mut second = formation(&storage, &config).unwrap();
        assert_eq!(second.missing(), [NodeId(2), NodeId(3)], "it asks again after a crash");
        for peer in [2, 3] {
            second.welcomed(NodeId(peer), &mut storage.reopen()).unwrap();
        }
        assert!(second.complete());
        assert!(formation(&storage, &config).unwrap().complete());
    }
}
