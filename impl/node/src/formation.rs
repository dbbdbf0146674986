//! Who may take part: the members that were agreed on, each with all of its memory.
//!
//! A node that has lost its disk has forgotten its promises, and must not come back under its id. So
//! each store has an identity, made at random with it. A node whose store is new takes no part until
//! every other node has durably noted that identity under its id; and a node that has noted another one
//! refuses. All of them have to meet once, when a cluster is formed; from then on any quorum will do.
//!
//! An older copy of a store has forgotten as well. So a store remembers the lives of its node, and each peer notes
//! the last one it has met: whoever does not remember that one is not let in, and may never come back. Peers that
//! were away meanwhile do not know, and a copy remembers the life in which it was made; so this finds most
//! accidents, and not all.
//!
//! Which the members are, and how many make a quorum, is noted with the first of them that says the same, and
//! stays: quorums of different members need not meet.

use super::{
    error::NodeError,
    introduction::{Admission, Introduction, Members, Met},
    notes::{self, BANNED, FORMED, MEMBERS},
    plausible::STARTS_AHEAD_MAX,
};
use paxos::{config::Config, types::NodeId};
use paxos_store::{Storage, StorageError};

/// What a node knows of the others, and they of it.
#[derive(Debug)]
pub(super) struct Formation {
    me: NodeId,
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
    /// The store is that of a node with other members, or of one that may not come back.
    pub(super) fn recover(
        storage: &mut impl Storage,
        config: &Config,
        introduced: bool,
    ) -> Result<Self, NodeError> {
        let members = Members::of(config);
        if let Some(reason) = BANNED.read(storage)? {
            return Err(NodeError::Banned { reason });
        }
        let noted = MEMBERS.read(storage)?;
        if let Some(noted) = noted.clone().filter(|noted| *noted != members) {
            return Err(NodeError::Members { noted, given: members });
        }
        let mut missing = config.nodes.clone();
        missing.retain(|&node| node != config.id);
        if !introduced || FORMED.read(storage)?.is_some() {
            missing.clear();
        }
        let mut formation = Self { me: config.id, members, noted: noted.is_some(), missing };
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
    ) -> Result<Admission, StorageError> {
        let (me, mine, theirs) = (self.me, &self.members, &introduction.members);
        if theirs != mine {
            return Ok(Admission::Refused(format!(
                "node {peer} was told that the members are {theirs}, and node {me} that they are {mine}"
            )));
        }
        if !mine.contains(peer) {
            return Ok(Admission::Refused(format!("node {peer} is none of the members {mine}")));
        }
        let (life, note) = (introduction.life(), notes::peer(peer));
        match note.read(storage)? {
            Some(met) if !introduction.remembers(&met) => {
                return Ok(forgetful(peer, &life, &met));
            }
            Some(met) if met == life => {}
            met => {
                // The number is noted: an absurd one would ban the real node for ever.
                let most = met.map_or(0, |met| met.number).saturating_add(STARTS_AHEAD_MAX);
                if life.number > most {
                    return Ok(Admission::Refused(format!(
                        "node {peer} says that this is start {} of its store; node {me} expects {most} at most",
                        life.number
                    )));
                }
                self.bind(storage)?;
                note.write(&life, storage)?;
            }
        }
        Ok(Admission::Welcome)
    }

    /// A peer has met a life of this node that its store does not remember. It does not start again.
    pub(super) fn banned(
        by: NodeId,
        reason: &str,
        storage: &mut impl Storage,
    ) -> Result<(), StorageError> {
        BANNED.write(&format!("refused by node {by}: {reason}"), storage)
    }
}

/// Why a node must not come back.
fn forgetful(peer: NodeId, life: &Met, met: &Met) -> Admission {
    let only = "It may not come back under this id. Start it with its own data, or not at all (replacing a node is not \
                offered yet)";
    if life.store != met.store {
        return Admission::Replaced(format!(
            "node {peer} was here before with another store. Its disk was lost or replaced, and with it what it had \
             promised. {only}"
        ));
    }
    Admission::Banned(format!(
        "node {peer} was here before in start {} of its store, of which it does not know in start {}: this is an \
         older copy, and what it has promised since is not there. {only}",
        met.number, life.number
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::introduction::Lives;
    use paxos_store::{MemoryStore, StoreId};

    fn config(id: u32, nodes: &[u32]) -> Config {
        Config::new(NodeId(id), nodes.iter().copied().map(NodeId))
    }

    fn formation(storage: &MemoryStore, config: &Config) -> Result<Formation, NodeError> {
        Formation::recover(&mut storage.reopen(), config, true)
    }

    /// An introduction of node 2 of three, with these lives of its store.
    fn introduction(store: u128, nonces: &[u64]) -> Introduction {
        let mut lives = Lives::default();
        for &nonce in nonces {
            lives.begin(nonce);
        }
        Introduction { store: StoreId(store), lives, members: Members::of(&config(2, &[1, 2, 3])) }
    }

    /// Whether node 1 bans the last of those that introduce themselves as node 2.
    fn is_banned(introductions: &[Introduction]) -> bool {
        let mut storage = MemoryStore::new(StoreId(1));
        let mut formation = formation(&storage, &config(1, &[1, 2, 3])).unwrap();
        let mut introduce =
            |introduction| formation.introduce(NodeId(2), introduction, &mut storage).unwrap();
        let (last, before) = introductions.split_last().unwrap();
        assert!(before.iter().all(|earlier| introduce(earlier) == Admission::Welcome));
        match introduce(last) {
            Admission::Welcome => false,
            Admission::Banned(_) => true,
            Admission::Replaced(_) => introductions.iter().any(|other| other.store != last.store),
            answer @ Admission::Refused(_) => panic!("{answer:?}"),
        }
    }

    #[test]
    fn a_node_comes_back_with_its_memory_and_not_without() {
        let first = introduction(2, &[7]);
        assert!(!is_banned(&[first.clone(), first.clone()]), "the connection was lost");
        assert!(!is_banned(&[
            first.clone(),
            introduction(2, &[7, 8]),
            introduction(2, &[7, 8, 9])
        ]));
        assert!(!is_banned(&[first.clone(), introduction(2, &[7, 8, 9])]), "one was not met");
        assert!(is_banned(&[first.clone(), introduction(3, &[8])]), "another store");
        assert!(is_banned(&[first, introduction(3, &[7, 8])]), "another store");
        let third = introduction(2, &[7, 8, 9]);
        for copy in [&[7, 10][..], &[7, 10, 11], &[7, 10, 11, 12], &[7, 8, 13]] {
            assert!(is_banned(&[third.clone(), introduction(2, copy)]), "an older copy: {copy:?}");
        }
        let nonces: Vec<_> = (0..1000).collect();
        assert!(!is_banned(&[third, introduction(2, &nonces)]), "nobody remembers any more");
        let (long, longer) = (introduction(2, &nonces[..999]), introduction(2, &nonces));
        assert!(!is_banned(&[long.clone(), longer.clone()]));
        assert!(is_banned(&[longer, long]));
    }

    /// A peer may say what it likes of its lives. An impossible number of lives is refused, and is not held against the
    /// real node afterwards.
    #[test]
    fn lives_that_cannot_be_are_not_noted() {
        let lives = |forgotten: u64, nonces: &[u64]| -> Lives {
            let bytes = postcard::to_stdvec(&(forgotten, nonces)).unwrap();
            postcard::from_bytes(&bytes).unwrap()
        };
        let first = introduction(2, &[7]);
        let (none, most) = (lives(0, &[]), lives(STARTS_AHEAD_MAX, &[]));
        for (lives, possible) in [
            (none, true),
            (most, true),
            (lives(STARTS_AHEAD_MAX, &[7]), false),
            (lives(u64::MAX - 1, &[7]), false),
            (lives(u64::MAX, &[]), false),
            (lives(u64::MAX, &[7, 8]), false),
        ] {
            let introduction = Introduction { lives, ..first.clone() };
            let mut storage = MemoryStore::new(StoreId(1));
            let mut formation = formation(&storage, &config(1, &[1, 2, 3])).unwrap();
            let mut introduce =
                |introduction| formation.introduce(NodeId(2), introduction, &mut storage).unwrap();
            for _ in 0..2 {
                assert_eq!(
                    introduce(&introduction) == Admission::Welcome,
                    possible,
                    "{introduction:?}"
                );
            }
            if !possible {
                let answer = introduce(&introduction);
                assert!(matches!(answer, Admission::Refused(_)), "{answer:?}");
                assert_eq!(introduce(&first), Admission::Welcome);
            }
        }
    }

    #[test]
    fn whoever_was_banned_does_not_start_again() {
        let storage = MemoryStore::new(StoreId(1));
        Formation::banned(NodeId(3), "it forgot", &mut storage.reopen()).unwrap();
        let error = formation(&storage, &config(1, &[1, 2, 3])).unwrap_err().to_string();
        assert!(error.contains("refused by node 3: it forgot"), "{error}");
    }

    /// Until two have agreed on them, members can be corrected.
    #[test]
    fn members_stay_once_two_agree() {
        let storage = MemoryStore::new(StoreId(1));
        let told = |nodes: &[u32]| formation(&storage, &config(1, nodes));
        let introduce = |mine: &[u32], peer, theirs: &[u32]| {
            let members = Members::of(&config(peer, theirs));
            let introduction = Introduction { members, ..introduction(2, &[7]) };
            told(mine)
                .unwrap()
                .introduce(NodeId(peer), &introduction, &mut storage.reopen())
                .unwrap()
        };
        assert_eq!(
            introduce(&[1, 2], 2, &[1, 2, 3]),
            Admission::Refused(
                "node 2 was told that the members are 1, 2, 3, and node 1 that they are 1, 2"
                    .into()
            )
        );
        assert_eq!(introduce(&[1, 2, 3], 2, &[3, 2, 1]), Admission::Welcome);
        assert_eq!(
            told(&[1]).unwrap_err().to_string(),
            "the store is of a cluster of nodes 1, 2, 3; this node was told that they are 1. Members \
             cannot be changed yet: start it with the peers that it had. (If that cluster was never formed, \
             empty the directories of all its nodes.)"
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
