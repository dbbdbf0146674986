//! The output of a node, compared with the contents of its disk at that moment.

use crate::{Packet, node::Transport};
use paxos::message::{Message, To};
use paxos_simulator::disk::Disk;

/// The packets that leave a node in a turn. The disk must hold the records that each of them depends on.
pub(super) struct Outbox {
    disk: Disk,
    pub(super) sent: Vec<(To, Packet)>,
}

impl Outbox {
    pub(super) fn of(disk: &Disk) -> Self {
        Self { disk: disk.clone(), sent: Vec::new() }
    }
}

impl Transport for Outbox {
    fn send(&mut self, to: To, packet: Packet) {
        let backed = match &packet {
            Packet::Message(message) => self.disk.backs(message),
            Packet::Chunk { below, .. } => self.disk.backs_snapshot(*below),
            &Packet::PromisePart { ballot, trimmed, .. } => {
                self.disk.backs(&Message::Promise { ballot, trimmed, reports: Vec::new() })
            }
            &Packet::PromiseFrom { ballot, first, .. } => {
                self.disk.backs(&Message::Prepare { ballot, first })
            }
            _ => true,
        };
        assert!(backed, "{packet:?} left before it was durable");
        self.sent.push((to, packet));
    }
}

/// Returns true if a packet is a proposal.
pub(super) fn proposes(packet: &Packet) -> bool {
    matches!(packet, Packet::Message(Message::Accept { .. }))
}
