//! The input of a step of a replica, and its effects.

use bytes::Bytes;

use crate::{
    batch::Batch,
    message::{Envelope, Message, To},
    types::{Ballot, NodeId, Slot, Value},
};

/// An input of [`Replica::step`](crate::Replica::step).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<B = Ballot, V = Value> {
    /// A message arrived. Messages may be lost, late, repeated and out of order. The transport must detect and drop
    /// damaged messages.
    Message {
        /// The sender, as the transport knows it.
        from: NodeId,
        /// The message.
        message: Message<B, V>,
    },
    /// Clients propose these commands, one slot for each, in this order. The token of each proposal comes back in
    /// [`Effects::taken`] or [`Effects::refused`] of the same step.
    Propose(Vec<Proposal>),
    /// Clients ask to read. Each token comes back in [`Effects::reads`] or [`Effects::refused`] of this step or of a
    /// later one.
    Read(Vec<Token>),
    /// This node has a durable snapshot that holds the effect of every slot below `below`. The node took the
    /// snapshot itself, or got it from a peer. The replica then trims its log below `below`.
    Snapshot {
        /// The first slot whose effect the snapshot does not hold.
        below: Slot,
    },
    /// The driver has a durable note that each vote of this node in a slot below `below` is for the chosen value. After a
    /// start the replica then need not learn these values from other nodes. [`Replica::votes_chosen_below`] says what a
    /// driver may note, and when.
    ///
    /// [`Replica::votes_chosen_below`]: crate::Replica::votes_chosen_below
    VotesChosen {
        /// The first slot of which the note says nothing.
        below: Slot,
    },
    /// A timer fired.
    Timer(Timer),
}

/// A client's request for one slot of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The replica returns it in [`Taken`] or [`Refused`].
    pub token: Token,
    /// The command. The replica does not look into it.
    pub command: Bytes,
}

/// A number by which the driver recognises its own proposals and reads. The replica does not look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// The timers of a replica. Progress depends on them, and safety does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// The node has heard of no leader for too long. A replica that does not lead begins a ballot. The driver should
    /// randomise the delay.
    Campaign,
    /// A leader sends a heartbeat.
    Heartbeat,
    /// A candidate or leader sends messages again to the nodes that have not answered them.
    Resend,
}

/// A change of the acceptor that must be durable. The driver must store the records of one output atomically, so
/// that all or none of them survive a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Record<B = Ballot, V = Value> {
    /// The acceptor promised this ballot. From then on it accepts nothing in a lower ballot.
    Promised(B),
    /// The acceptor accepted these values in consecutive slots. With these votes it also promised `ballot`.
    Accepted {
        /// The ballot of the votes.
        ballot: B,
        /// The slot of the first value.
        first: Slot,
        /// One value per slot.
        values: Batch<V>,
    },
    /// Every slot below `below` is chosen, and its effect is in a durable snapshot. The store may drop the votes in
    /// these slots.
    Trimmed {
        /// The first slot that is not trimmed.
        below: Slot,
    },
}

/// The work that steps leave to the driver, apart from their records.
///
/// An [`Output`](crate::Output) holds the effects back until the records on which they depend are durable. The driver may
/// arm the `timers` at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects<B = Ballot, V = Value> {
    /// Messages to send.
    pub messages: Vec<Envelope<B, V>>,
    /// Chosen values to apply, in the order of the log: batches of consecutive slots, each with its first slot. Slots
    /// are left out only if a snapshot of [`Event::Snapshot`] has their effect.
    pub chosen: Vec<(Slot, Batch<V>)>,
    /// Proposals that got a slot. Another leader may still get another value chosen in that slot.
    pub taken: Vec<Taken>,
    /// Proposals and reads that the replica refused. The replica does not come back to them. A refused proposal gives its
    /// command back.
    pub refused: Vec<Refused>,
    /// Reads that the driver may answer.
    pub reads: Vec<ReadReady>,
    /// Peers that have trimmed slots that this node does not know to be chosen. The driver should install the
    /// snapshot of one of these peers.
    pub fetch: Vec<NodeId>,
    /// Timers to arm. A timer that is armed already begins again. A timer that fires without need does no harm.
    pub timers: Vec<Timer>,
}

/// A read that a quorum has confirmed ([reads](crate::protocol::safety#reads)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// The read.
    pub token: Token,
    /// The driver must answer the read from a state to which every slot below this one is applied.
    pub at: Slot,
}

/// A proposal and its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The proposal.
    pub token: Token,
    /// The slot in which this leader proposed it.
    pub slot: Slot,
}

/// A proposal or a read that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The proposal or read.
    pub token: Token,
    /// The command of the proposal, so that the driver can propose it elsewhere without a copy of its own. `None` for a
    /// read.
    pub command: Option<Bytes>,
    /// The reason.
    pub refusal: Refusal,
}

/// The reason why a proposal or a read was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This node does not lead.
    NotLeader {
        /// The owner of the promised ballot, which may lead. `None` if this node is the owner, or has promised nothing.
        leader: Option<NodeId>,
    },
    /// The log of the leader already ends `in_flight_max` slots, or more, after the first slot that it does not know
    /// to be chosen. No command gets a slot until that slot is chosen. Of one Propose event, a leader refuses only
    /// the commands for which no slot is left.
    Busy,
}

impl<B, V> Default for Effects<B, V> {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            chosen: Vec::new(),
            taken: Vec::new(),
            refused: Vec::new(),
            reads: Vec::new(),
            fetch: Vec::new(),
            timers: Vec::new(),
        }
    }
}

impl<B, V> Effects<B, V> {
    /// Returns true if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        let Self { messages, chosen, taken, refused, reads, fetch, timers } = self;
        messages.is_empty()
            && chosen.is_empty()
            && taken.is_empty()
            && refused.is_empty()
            && reads.is_empty()
            && fetch.is_empty()
            && timers.is_empty()
    }

    /// Empties the lists and keeps their allocations.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.chosen.clear();
        self.taken.clear();
        self.refused.clear();
        self.reads.clear();
        self.fetch.clear();
        self.timers.clear();
    }

    /// Moves the effects of later steps to the end of these.
    pub fn append(&mut self, later: &mut Self) {
        if later.is_empty() {
            return;
        }
        if self.is_empty() {
            // Spares the copies, and leaves the memory of these lists to `later`.
            return std::mem::swap(self, later);
        }
        self.messages.append(&mut later.messages);
        self.chosen.append(&mut later.chosen);
        self.taken.append(&mut later.taken);
        self.refused.append(&mut later.refused);
        self.reads.append(&mut later.reads);
        self.fetch.append(&mut later.fetch);
        self.timers.append(&mut later.timers);
    }

    /// Returns the chosen values to apply one by one, each with its slot.
    pub fn chosen_slots(&self) -> impl Iterator<Item = (Slot, &V)> {
        self.chosen.iter().flat_map(|(first, values)| values.with_slots(*first))
    }

    /// Removes the chosen values of the slots below `below`.
    pub(crate) fn drop_chosen(&mut self, below: Slot) {
        self.chosen.retain_mut(|(first, values)| {
            let dropped = below.0.saturating_sub(first.0).min(values.len() as u64);
            values.advance(dropped as usize);
            *first = first.plus(dropped);
            !values.is_empty()
        });
    }

    pub(crate) fn send(&mut self, to: NodeId, message: Message<B, V>) {
        self.messages.push(Envelope { to: To::Node(to), message });
    }

    pub(crate) fn broadcast(&mut self, message: Message<B, V>) {
        self.messages.push(Envelope { to: To::Peers, message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_of_any_kind_are_not_empty() {
        type Put = fn(&mut Effects<Ballot, u64>);
        let puts: [Put; 7] = [
            |effects| effects.broadcast(Message::Learn { from: Slot(0) }),
            |effects| effects.chosen.push((Slot(0), [1].into())),
            |effects| effects.taken.push(Taken { token: Token(0), slot: Slot(0) }),
            |effects| {
                let (token, refusal) = (Token(0), Refusal::Busy);
                effects.refused.push(Refused { token, command: None, refusal });
            },
            |effects| effects.reads.push(ReadReady { token: Token(0), at: Slot(0) }),
            |effects| effects.fetch.push(NodeId(1)),
            |effects| effects.timers.push(Timer::Resend),
        ];
        for put in puts {
            let mut effects = Effects::default();
            assert!(effects.is_empty());
            put(&mut effects);
            assert!(!effects.is_empty(), "{effects:?}");
        }
    }

    #[test]
    fn chosen_values_below_a_snapshot_are_dropped() {
        let batches = || vec![(Slot(2), [2, 3, 4].into()), (Slot(5), [5].into())];
        let left = |below| {
            let mut effects = Effects::<Ballot, u64> { chosen: batches(), ..Effects::default() };
            effects.drop_chosen(Slot(below));
            effects.chosen_slots().map(|(slot, value)| (slot.0, *value)).collect::<Vec<_>>()
        };
        for below in [0, 1, 2, 3, 4, 5, 6, 9] {
            let expected: Vec<_> =
                (2..6).filter(|slot| *slot >= below).map(|it| (it, it)).collect();
            assert_eq!(left(below), expected, "below {below}");
        }
    }
}
