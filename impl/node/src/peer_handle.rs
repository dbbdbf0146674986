//! The handle by which a transport passes the packets and handshakes of peers to a node.

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    node::Input,
    packet::Packet,
    peers::{Admission, Handshake},
};
use crate::machine::StateMachine;
use paxos::types::NodeId;

/// Passes the packets and handshakes of its peers to a node, from any thread. Cheap to clone.
pub struct PeerHandle<M: StateMachine> {
    pub(super) inputs: mpsc::Sender<Input<M>>,
}

impl<M: StateMachine> Clone for PeerHandle<M> {
    fn clone(&self) -> Self {
        Self { inputs: self.inputs.clone() }
    }
}

impl<M: StateMachine> PeerHandle<M> {
    /// Passes to the node a packet that the transport has carried. Waits while the queue of the node is full.
    pub async fn deliver(&self, from: NodeId, packet: Packet) {
        let _ = self.inputs.send(Input::Packet { from, packet, room: None }).await; // It may have stopped.
    }

    /// Passes a packet to the node. `room` is the permit for the memory of the packet. The node releases it once it has
    /// taken the packet.
    pub(super) async fn deliver_metered(
        &self,
        from: NodeId,
        packet: Packet,
        room: OwnedSemaphorePermit,
    ) {
        let input = Input::Packet { from, packet, room: Some(room) };
        let _ = self.inputs.send(input).await; // It may have stopped.
    }

    /// Passes a peer's handshake to the node. Returns the answer for the peer, or `None` once the node has stopped.
    ///
    /// The transport must not deliver packets of a peer before the answer [`Admission::Welcome`]. After it, the
    /// transport must not deliver packets from an earlier connection of that peer.
    pub async fn admit(&self, peer: NodeId, handshake: Handshake) -> Option<Admission> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Handshake { peer, handshake, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Passes to the node a peer's answer to the handshake of the node. The node stops if the answer is
    /// [`Admission::Banned`] or [`Admission::Replaced`].
    pub async fn admitted(&self, by: NodeId, admission: Admission) {
        let _ = self.inputs.send(Input::Admitted { by, admission }).await; // It may have stopped.
    }

    /// Resolves once the node has stopped.
    pub async fn stopped(&self) {
        self.inputs.closed().await;
    }
}
