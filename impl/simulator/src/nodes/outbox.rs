//! The packets that leave a node, each checked against the disk of the node at that moment.

use paxos::{Message, To};
use paxos_node::{Packet, Transport};

use crate::disk::Disk;

/// The packets that leave a node in half a turn.
#[derive(Debug)]
pub(super) struct Outbox {
    disk: Disk,
    pub(super) sent: Vec<(To, Packet)>,
    /// The first packet that left before the disk had what it depends on.
    pub(super) early: Option<Packet>,
}

impl Outbox {
    pub(super) fn of(disk: &Disk) -> Self {
        Self { disk: disk.clone(), sent: Vec::new(), early: None }
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
        if !backed {
            self.early.get_or_insert(packet.clone());
        }
        self.sent.push((to, packet));
    }
}
