//! The input and the output of a step: the events that go into a replica, and the output that comes out.

use bytes::Bytes;

use crate::{
    message::{Envelope, Message, To},
    types::{Ballot, Batch, NodeId, Slot, Value},
};

/// An input of [`Replica::step`](crate::Replica::step).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message arrived. Messages may be lost, late, repeated and out of order. They are not altered: the
    /// transport detects damage and drops the damaged message.
    Message {
        /// The sender, as the transport knows it.
        from: NodeId,
        /// The message.
        message: Message,
    },
    /// Clients ask for these commands, one slot each, in this order. Each comes back in [`Output::taken`] or
    /// [`Output::refused`].
    Propose(Vec<Proposal>),
    /// Clients ask to read. Each read comes back in [`Output::reads`] or [`Output::refused`].
    Read(Vec<Token>),
    /// This node has a durable snapshot that holds the effect of every slot below `below`. The node took it itself,
    /// or got it from a peer. The replica trims its log.
    Snapshot {
        /// The first slot whose effect the snapshot does not hold.
        below: Slot,
    },
    /// A timer ran out.
    Timer(Timer),
}

/// A client's request for one slot of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Comes back in [`Taken`] or [`Refused`].
    pub token: Token,
    /// The command. The replica does not look into it.
    pub command: Bytes,
}

/// A number by which the driver recognises its own proposals and reads. The replica does not look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// The timers of a replica. They are needed for progress, and never for safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// No leader was heard of for long enough: the replica begins a ballot. The driver should randomise the delay.
    Campaign,
    /// The leader sends a heartbeat.
    Heartbeat,
    /// A candidate or leader sends messages again that were not answered.
    Resend,
}

/// A change of the acceptor that must be durable. The records of one output are atomic: all or none of them survive
/// a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Record {
    /// The acceptor promised this ballot, and accepts nothing below it any more.
    Promised(Ballot),
    /// The acceptor accepted these values in consecutive slots, which also promises `ballot`.
    Accepted {
        /// The ballot of the votes.
        ballot: Ballot,
        /// The slot of the first value.
        first: Slot,
        /// One value per slot.
        values: Batch,
    },
    /// Every slot below is chosen, and its effect is in a durable snapshot. The votes below may be forgotten.
    Trimmed {
        /// The first slot that is kept.
        below: Slot,
    },
}

/// The work that steps leave to the driver. A driver that reuses an output and [clears](Output::clear) it allocates
/// no new memory.
///
/// Everything but `records` and `timers` waits until the records of this and of every earlier output are durable.
/// The messages that [`take_early`](Output::take_early) returns are the exception.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Records to make durable, in this order.
    pub records: Vec<Record>,
    /// Messages to send.
    pub messages: Vec<Envelope>,
    /// Chosen values to apply, in the order of the log and without a gap.
    pub chosen: Vec<(Slot, Value)>,
    /// Proposals that got a slot. They are not chosen yet: another leader may still get another value chosen there.
    pub taken: Vec<Taken>,
    /// Proposals and reads that the replica refused. It has forgotten them.
    pub refused: Vec<Refused>,
    /// Reads that may be answered.
    pub reads: Vec<ReadReady>,
    /// Peers that have trimmed slots that this node lacks. The driver should install the snapshot of one of them.
    pub fetch: Vec<NodeId>,
    /// Timers to arm, or to arm again. A timer that fires without need does no harm.
    pub timers: Vec<Timer>,
}

/// A read that a quorum has confirmed ([reads](crate::protocol::safety#reads)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// The read.
    pub token: Token,
    /// The driver answers the read from a state to which every slot below this one is applied.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The proposal or read.
    pub token: Token,
    /// The reason.
    pub refusal: Refusal,
}

/// The reason why a proposal or a read was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This node does not lead.
    NotLeader {
        /// The owner of the ballot this node has promised, unless that is itself. It may lead.
        leader: Option<NodeId>,
    },
    /// `in_flight_max` slots are waiting to be chosen. A client can ask again when some are.
    Busy,
}

impl Output {
    /// Empties the output and keeps its allocations.
    pub fn clear(&mut self) {
        self.records.clear();
        self.messages.clear();
        self.chosen.clear();
        self.taken.clear();
        self.refused.clear();
        self.reads.clear();
        self.fetch.clear();
        self.timers.clear();
    }

    /// Moves the content of `later` to the end of this output. If `later` has records that are not durable, nothing
    /// of the combined output may leave before they are.
    pub fn append(&mut self, later: &mut Self) {
        self.records.append(&mut later.records);
        self.messages.append(&mut later.messages);
        self.chosen.append(&mut later.chosen);
        self.taken.append(&mut later.taken);
        self.refused.append(&mut later.refused);
        self.reads.append(&mut later.reads);
        self.fetch.append(&mut later.fetch);
        self.timers.append(&mut later.timers);
    }

    /// Removes and returns the messages that may leave before `records` are durable. These are the
    /// [`Message::Accept`] messages whose ballot was promised in an earlier, durable output. The sync of this node
    /// then overlaps with those of its peers.
    ///
    /// [Early Accepts](crate::protocol::safety#early-accepts) has the reason why this is safe. It takes for granted
    /// that `records` holds every record of this node that is not yet durable. So a driver makes each output
    /// durable before the next step, or steps on into the same output. No driver has to call this.
    pub fn take_early(&mut self) -> impl Iterator<Item = Envelope> {
        let Self { records, messages, .. } = self;
        messages.extract_if(.., |envelope| match envelope.message {
            Message::Accept { ballot, .. } => !records.contains(&Record::Promised(ballot)),
            _ => false,
        })
    }

    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        self.messages.push(Envelope { to: To::Node(to), message });
    }

    pub(crate) fn broadcast(&mut self, message: Message) {
        self.messages.push(Envelope { to: To::Peers, message });
    }
}
