//! The handle by which a transport gives a node what its peers send.

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    node::Input,
    packet::Packet,
    peers::{Admission, Handshake},
};
use crate::machine::StateMachine;
use paxos::types::NodeId;

/// Gives a node the packets and handshakes of its peers, from any thread. Cheap to clone.
pub struct PeerHandle<M: StateMachine> {
    pub(super) inputs: mpsc::Sender<Input<M>>,
}

impl<M: StateMachine> Clone for PeerHandle<M> {
    fn clone(&self) -> Self {
        Self { inputs: self.inputs.clone() }
    }
}

impl<M: StateMachine> PeerHandle<M> {
    /// Gives the node a packet that the transport has carried. Waits while the node is behind.
    pub async fn deliver(&self, from: NodeId, packet: Packet) {
        let _ = self.inputs.send(Input::Packet { from, packet, room: None }).await; // It may have stopped.
    }

    /// Gives the node a packet, and the permit for its memory until the node has taken it.
    pub(super) async fn deliver_metered(
        &self,
        from: NodeId,
        packet: Packet,
        room: OwnedSemaphorePermit,
    ) {
        let input = Input::Packet { from, packet, room: Some(room) };
        let _ = self.inputs.send(input).await; // It may have stopped.
    }

    /// Gives the node a peer's handshake. Returns the answer for the peer, or `None` once the node has stopped.
    ///
    /// The transport may deliver packets of a peer only after [`Admission::Welcome`], and none any more from a
    /// connection that the peer made earlier.
    pub async fn admit(&self, peer: NodeId, handshake: Handshake) -> Option<Admission> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Handshake { peer, handshake, reply }).await.ok()?;
        answer.await.ok()
    }

    /// Gives the node a peer's answer to its own handshake. The node stops if the answer is [`Admission::Banned`] or
    /// [`Admission::Replaced`].
    pub async fn admitted(&self, by: NodeId, admission: Admission) {
        let _ = self.inputs.send(Input::Admitted { by, admission }).await; // It may have stopped.
    }

    /// Resolves once the node has stopped.
    pub async fn stopped(&self) {
        self.inputs.closed().await;
    }
}
