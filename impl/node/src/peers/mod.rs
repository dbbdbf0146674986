//! The peers of a node: their admission, the check of their packets, and the packets for them.

mod bootstrap;
pub(super) mod handshake;
pub(super) mod incarnations;
pub(super) mod metadata;
mod plausible;

pub(super) use self::bootstrap::Bootstrap;
pub use self::{
    handshake::{Admission, Handshake, Members},
    metadata::describe_metadata,
};
use self::{incarnations::Incarnations, metadata::INCARNATIONS, plausible::Guard};
use super::{error::NodeError, packet::Packet, session::Sessions, timers::Now};
use crate::machine::StateMachine;
use paxos::{config::Config, message::To, protocol::Parts, types::NodeId};
use paxos_store::{Storage, StorageError, StoreId};

/// The peers as a node sees them: the members, the admission of each, the check of their packets, and a queue of packets to
/// them. Messages of the replica are not in this queue.
#[derive(Debug)]
pub(super) struct Peers {
    me: NodeId,
    /// All members, this node included, in the order of the configuration.
    members: Vec<NodeId>,
    store: StoreId,
    incarnations: Incarnations,
    bootstrap: Bootstrap,
    guard: Guard,
    /// Packets that report neither promises nor votes. So they may leave before the node has made any record durable.
    packets: Vec<(To, Packet)>,
}

/// Begins a new incarnation, and makes it durable. The node derives the numbers of its requests from the incarnation. So it
/// can tell an answer to an earlier incarnation from an answer to this one.
///
/// # Errors
/// The store fails, or the system has no random numbers.
pub(super) fn begin_incarnation(storage: &mut impl Storage) -> Result<Incarnations, StorageError> {
    let nonce = getrandom::u64();
    let nonce = nonce.map_err(|error| StorageError::io("find a random number")(error.into()))?;
    let mut incarnations = INCARNATIONS.read(storage)?.unwrap_or_default();
    incarnations.begin(nonce);
    INCARNATIONS.write(&incarnations, storage)?;
    Ok(incarnations)
}

impl Peers {
    pub(super) fn new(
        config: &Config,
        store: StoreId,
        incarnations: Incarnations,
        bootstrap: Bootstrap,
    ) -> Self {
        Self {
            me: config.id,
            members: config.nodes.clone(),
            store,
            incarnations,
            bootstrap,
            guard: Guard::default(),
            packets: Vec::new(),
        }
    }
}

/// Admission.
impl Peers {
    /// Returns true if this node takes part in the protocol. If the cluster uses handshakes, each other member must first have welcomed
    /// this node.
    pub(super) fn takes_part(&self) -> bool {
        self.bootstrap.is_complete()
    }

    /// The peers that must still welcome this node before it takes part.
    pub(super) fn missing(&self) -> &[NodeId] {
        self.bootstrap.missing()
    }

    /// This node's own handshake.
    pub(super) fn handshake(&self) -> Handshake {
        let (store, incarnations) = (self.store, self.incarnations.clone());
        Handshake { store, incarnations, members: self.bootstrap.members().clone() }
    }

    /// Returns the answer to a peer's handshake.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn admit(
        &mut self,
        peer: NodeId,
        handshake: &Handshake,
        storage: &mut impl Storage,
    ) -> Result<Admission, StorageError> {
        self.bootstrap.admit(peer, handshake, storage)
    }

    /// Takes a peer's answer to this node's handshake.
    ///
    /// # Errors
    /// The store fails, or the peer refuses this node for good.
    pub(super) fn admitted(
        &mut self,
        by: NodeId,
        admission: Admission,
        storage: &mut impl Storage,
    ) -> Result<(), NodeError> {
        match admission {
            Admission::Welcome => Ok(self.bootstrap.welcomed(by, storage)?),
            Admission::Refused(_) => Ok(()), // The peer may accept a later handshake.
            Admission::Replaced(reason) => Err(NodeError::Refused { by, reason }),
            Admission::Banned(reason) => {
                bootstrap::ban(by, &reason, storage)?;
                Err(NodeError::Refused { by, reason })
            }
        }
    }

    /// Returns the index of a peer in the configuration, if this node takes part and the peer is a member.
    pub(super) fn index(&self, peer: NodeId) -> Option<usize> {
        let index = self.members.iter().position(|&member| member == peer);
        index.filter(|_| self.takes_part() && peer != self.me)
    }

    /// Returns true if this node may take a packet. Returns false if the packet has an implausible number, such as a ballot far
    /// above those in `parts` and `sessions`. The check covers only the numbers that the node would store, and those from which its own numbers would go on.
    pub(super) fn accepts<M: StateMachine>(
        &mut self,
        from: NodeId,
        packet: &Packet,
        parts: Parts<'_>,
        sessions: Option<&Sessions<M>>,
        now: Now,
    ) -> bool {
        self.guard.accepts(from, packet, parts, sessions, now)
    }
}

/// Packets.
impl Peers {
    /// Queues a packet for one peer. The packet must report no promise and no vote whose record is not durable.
    pub(super) fn queue(&mut self, to: NodeId, packet: Packet) {
        self.packets.push((To::Node(to), packet));
    }

    /// Queues a packet for all peers. The packet must report no promise and no vote whose record is not durable.
    pub(super) fn queue_for_all(&mut self, packet: Packet) {
        self.packets.push((To::Peers, packet));
    }

    /// The packets that are queued.
    pub(super) fn packets(&self) -> &[(To, Packet)] {
        &self.packets
    }

    /// Removes and returns the packets, in the order in which they were queued.
    pub(super) fn take_packets(&mut self) -> std::vec::Drain<'_, (To, Packet)> {
        self.packets.drain(..)
    }
}
