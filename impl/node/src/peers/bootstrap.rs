//! Bootstrap: forms a cluster whose members agree on the members, and each have all of their memory.
//!
//! A node that has lost its disk has forgotten its promises, and must not return under its id. So each store has a
//! random identity, made with the store. A node with a new store takes no part until each other member has durably
//! noted that identity under the node's id. A member that has noted another identity refuses the node. All members must
//! meet once, when the cluster is formed. From then on a quorum is enough.
//!
//! An older copy of a store has forgotten promises as well. So each member notes the last
//! [incarnation](super::incarnations) that it has met of each peer, and refuses a store that does not remember that
//! incarnation. This finds most accidents, not all: a member that was away does not know the last incarnation, and a
//! copy remembers the incarnation in which it was made.
//!
//! A node notes the members and the sizes of quorums when it first meets a peer that was given the same ones. They stay
//! from then on, because quorums of different members need not share a node.

use super::{
    handshake::{Admission, Handshake, Members},
    incarnations::Incarnation,
    metadata::{self, BANNED, FORMED, MEMBERS},
    plausible::STARTS_AHEAD_MAX,
};
use crate::error::NodeError;
use paxos::{config::Config, types::NodeId};
use paxos_store::{Storage, StorageError};

/// The members of a cluster, and the peers that have not met this node yet.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    me: NodeId,
    members: Members,
    /// True once the store has noted the members.
    noted: bool,
    /// The peers that have not yet welcomed this node.
    missing: Vec<NodeId>,
}

impl Bootstrap {
    /// Restores the state from the store. Without `handshakes`, no peer is missing.
    ///
    /// # Errors
    /// The store fails, belongs to a node with other members, or may not take part again.
    pub(crate) fn recover(
        storage: &mut impl Storage,
        config: &Config,
        handshakes: bool,
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
        if !handshakes || FORMED.read(storage)?.is_some() {
            missing.clear();
        }
        let mut bootstrap = Self { me: config.id, members, noted: noted.is_some(), missing };
        if bootstrap.is_complete() {
            bootstrap.bind(storage)?;
        }
        Ok(bootstrap)
    }

    /// Returns true if no peer is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The peers that have not yet welcomed this node.
    pub(super) fn missing(&self) -> &[NodeId] {
        &self.missing
    }

    /// The members of the cluster.
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// Notes the members, if they are not noted yet. They stay from now on.
    fn bind(&mut self, storage: &mut impl Storage) -> Result<(), StorageError> {
        if !self.noted {
            MEMBERS.write(&self.members, storage)?;
            self.noted = true;
        }
        Ok(())
    }

    /// Notes that a peer has welcomed this node: the peer has noted this node's store, and was given the same members.
    pub(super) fn welcomed(
        &mut self,
        by: NodeId,
        storage: &mut impl Storage,
    ) -> Result<(), StorageError> {
        self.bind(storage)?;
        let before = self.missing.len();
        self.missing.retain(|&peer| peer != by);
        if before > 0 && self.is_complete() {
            FORMED.write(&(), storage)?;
        }
        Ok(())
    }

    /// Returns the answer to a peer's handshake. If the peer is welcome, notes its incarnation durably first.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn admit(
        &mut self,
        peer: NodeId,
        handshake: &Handshake,
        storage: &mut impl Storage,
    ) -> Result<Admission, StorageError> {
        let (me, mine, theirs) = (self.me, &self.members, &handshake.members);
        if theirs != mine {
            return Ok(Admission::Refused(format!(
                "node {peer} was told that the members are {theirs}, and node {me} that they are {mine}"
            )));
        }
        if !mine.contains(peer) {
            return Ok(Admission::Refused(format!("node {peer} is none of the members {mine}")));
        }
        let (incarnation, item) = (handshake.incarnation(), metadata::peer(peer));
        match item.read(storage)? {
            Some(met) if !handshake.remembers(&met) => {
                return Ok(refuse_forgetful(peer, &incarnation, &met));
            }
            Some(met) if met == incarnation => {}
            met => {
                // The number is going to be noted, so an absurd one would ban the real node for ever.
                let most = met.map_or(0, |met| met.number).saturating_add(STARTS_AHEAD_MAX);
                if incarnation.number > most {
                    return Ok(Admission::Refused(format!(
                        "node {peer} says that this is start {} of its store; node {me} expects {most} at most",
                        incarnation.number
                    )));
                }
                self.bind(storage)?;
                item.write(&incarnation, storage)?;
            }
        }
        Ok(Admission::Welcome)
    }
}

/// Notes that a peer has met an incarnation of this node that the store does not remember. The node will not start
/// again with this store.
pub(super) fn ban(
    by: NodeId,
    reason: &str,
    storage: &mut impl Storage,
) -> Result<(), StorageError> {
    BANNED.write(&format!("refused by node {by}: {reason}"), storage)
}

/// Returns the refusal of a store that does not remember the incarnation that was met.
fn refuse_forgetful(peer: NodeId, incarnation: &Incarnation, met: &Incarnation) -> Admission {
    let only = "It may not come back under this id. Start it with its own data, or not at all (replacing a node is not \
                offered yet)";
    if incarnation.store != met.store {
        return Admission::Replaced(format!(
            "node {peer} was here before with another store. Its disk was lost or replaced, and with it what it had \
             promised. {only}"
        ));
    }
    Admission::Banned(format!(
        "node {peer} was here before in start {} of its store, of which it does not know in start {}: this is an \
         older copy, and what it has promised since is not there. {only}",
        met.number, incarnation.number
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::incarnations::Incarnations;
    use paxos_store::{MemoryStore, StoreId};

    fn config(id: u32, nodes: &[u32]) -> Config {
        Config::new(NodeId(id), nodes.iter().copied().map(NodeId))
    }

    fn bootstrap(storage: &MemoryStore, config: &Config) -> Result<Bootstrap, NodeError> {
        Bootstrap::recover(&mut storage.reopen(), config, true)
    }

    /// A handshake of node 2 of three, with these incarnations of its store.
    fn handshake(store: u128, nonces: &[u64]) -> Handshake {
        let mut incarnations = Incarnations::default();
        for &nonce in nonces {
            incarnations.begin(nonce);
        }
        Handshake {
            store: StoreId(store),
            incarnations,
            members: Members::of(&config(2, &[1, 2, 3])),
        }
    }

    /// Returns true if node 1 bans the last of these handshakes of node 2.
    fn is_banned(handshakes: &[Handshake]) -> bool {
        let mut storage = MemoryStore::new(StoreId(1));
        let mut bootstrap = bootstrap(&storage, &config(1, &[1, 2, 3])).unwrap();
        let mut admit = |handshake| bootstrap.admit(NodeId(2), handshake, &mut storage).unwrap();
        let (last, before) = handshakes.split_last().unwrap();
        assert!(before.iter().all(|earlier| admit(earlier) == Admission::Welcome));
        match admit(last) {
            Admission::Welcome => false,
            Admission::Banned(_) => true,
            Admission::Replaced(_) => handshakes.iter().any(|other| other.store != last.store),
            answer @ Admission::Refused(_) => panic!("{answer:?}"),
        }
    }

    #[test]
    fn a_node_comes_back_with_its_memory_and_not_without() {
        let first = handshake(2, &[7]);
        assert!(!is_banned(&[first.clone(), first.clone()]), "the connection was lost");
        assert!(!is_banned(&[first.clone(), handshake(2, &[7, 8]), handshake(2, &[7, 8, 9])]));
        assert!(!is_banned(&[first.clone(), handshake(2, &[7, 8, 9])]), "one was not met");
        assert!(is_banned(&[first.clone(), handshake(3, &[8])]), "another store");
        assert!(is_banned(&[first, handshake(3, &[7, 8])]), "another store");
        let third = handshake(2, &[7, 8, 9]);
        for copy in [&[7, 10][..], &[7, 10, 11], &[7, 10, 11, 12], &[7, 8, 13]] {
            assert!(is_banned(&[third.clone(), handshake(2, copy)]), "an older copy: {copy:?}");
        }
        let nonces: Vec<_> = (0..1000).collect();
        assert!(!is_banned(&[third, handshake(2, &nonces)]), "no store remembers any more");
        let (long, longer) = (handshake(2, &nonces[..999]), handshake(2, &nonces));
        assert!(!is_banned(&[long.clone(), longer.clone()]));
        assert!(is_banned(&[longer, long]));
    }

    /// A peer may claim any number of incarnations. An impossible number is refused, and is not held against the
    /// real node afterwards.
    #[test]
    fn incarnations_that_cannot_be_are_not_noted() {
        let incarnations = |forgotten: u64, nonces: &[u64]| -> Incarnations {
            let bytes = postcard::to_stdvec(&(forgotten, nonces)).unwrap();
            postcard::from_bytes(&bytes).unwrap()
        };
        let first = handshake(2, &[7]);
        let (none, most) = (incarnations(0, &[]), incarnations(STARTS_AHEAD_MAX, &[]));
        for (incarnations, possible) in [
            (none, true),
            (most, true),
            (incarnations(STARTS_AHEAD_MAX, &[7]), false),
            (incarnations(u64::MAX - 1, &[7]), false),
            (incarnations(u64::MAX, &[]), false),
            (incarnations(u64::MAX, &[7, 8]), false),
        ] {
            let handshake = Handshake { incarnations, ..first.clone() };
            let mut storage = MemoryStore::new(StoreId(1));
            let mut bootstrap = bootstrap(&storage, &config(1, &[1, 2, 3])).unwrap();
            let mut admit =
                |handshake| bootstrap.admit(NodeId(2), handshake, &mut storage).unwrap();
            for _ in 0..2 {
                assert_eq!(admit(&handshake) == Admission::Welcome, possible, "{handshake:?}");
            }
            if !possible {
                let answer = admit(&handshake);
                assert!(matches!(answer, Admission::Refused(_)), "{answer:?}");
                assert_eq!(admit(&first), Admission::Welcome);
            }
        }
    }

    #[test]
    fn a_banned_node_does_not_start_again() {
        let storage = MemoryStore::new(StoreId(1));
        ban(NodeId(3), "it forgot", &mut storage.reopen()).unwrap();
        let error = bootstrap(&storage, &config(1, &[1, 2, 3])).unwrap_err().to_string();
        assert!(error.contains("refused by node 3: it forgot"), "{error}");
    }

    /// The members can be corrected until two nodes have agreed on them.
    #[test]
    fn members_stay_once_two_agree() {
        let storage = MemoryStore::new(StoreId(1));
        let told = |nodes: &[u32]| bootstrap(&storage, &config(1, nodes));
        let admit = |mine: &[u32], peer, theirs: &[u32]| {
            let members = Members::of(&config(peer, theirs));
            let handshake = Handshake { members, ..handshake(2, &[7]) };
            told(mine).unwrap().admit(NodeId(peer), &handshake, &mut storage.reopen()).unwrap()
        };
        assert_eq!(
            admit(&[1, 2], 2, &[1, 2, 3]),
            Admission::Refused(
                "node 2 was told that the members are 1, 2, 3, and node 1 that they are 1, 2"
                    .into()
            )
        );
        assert_eq!(admit(&[1, 2, 3], 2, &[3, 2, 1]), Admission::Welcome);
        assert_eq!(
            told(&[1]).unwrap_err().to_string(),
            "the store is of a cluster of nodes 1, 2, 3; this node was told that they are 1. Members \
             cannot be changed yet: start it with the peers that it had. (If that cluster was never formed, \
             empty the directories of all its nodes.)"
        );
        assert!(told(&[2, 3, 1]).is_ok());
        let flexible = config(1, &[1, 2, 3]).with_quorums(3, 1);
        let error = bootstrap(&storage, &flexible).unwrap_err().to_string();
        assert!(error.contains("1, 2, 3 with quorums of 3 (phase 1) and 1 (phase 2)"), "{error}");
    }

    /// A node without peers, or without handshakes, has no peer to agree with.
    #[test]
    fn members_stay_at_once_where_no_peer_is_met() {
        for (nodes, handshakes) in [(&[1][..], true), (&[1, 2], false)] {
            let storage = MemoryStore::new(StoreId(1));
            let recover =
                |nodes| Bootstrap::recover(&mut storage.reopen(), &config(1, nodes), handshakes);
            assert!(recover(nodes).unwrap().is_complete());
            assert!(matches!(recover(&[1, 2, 3]), Err(NodeError::Members { .. })));
            assert!(recover(nodes).is_ok());
        }
    }

    #[test]
    fn a_node_takes_part_when_all_others_know_it() {
        let storage = MemoryStore::new(StoreId(1));
        let config = config(1, &[1, 2, 3]);
        let mut first = bootstrap(&storage, &config).unwrap();
        first.welcomed(NodeId(3), &mut storage.reopen()).unwrap();
        assert_eq!(first.missing(), [NodeId(2)]);
        let mut second = bootstrap(&storage, &config).unwrap();
        assert_eq!(second.missing(), [NodeId(2), NodeId(3)], "it asks again after a crash");
        for peer in [2, 3] {
            second.welcomed(NodeId(peer), &mut storage.reopen()).unwrap();
        }
        assert!(second.is_complete());
        assert!(bootstrap(&storage, &config).unwrap().is_complete());
    }
}
