//! The two ends of a step: the events that go in, the output that comes out.

use bytes::Bytes;

use crate::{
    message::{Envelope, Message, To},
    types::{Ballot, Batch, NodeId, Slot, Value},
};

/// What can happen to a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message arrived. Messages may be lost, late, repeated and out of order, not altered: the
    /// transport detects damage and drops what is damaged.
    Message {
        /// Who sent it, as the transport knows it.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// Clients ask for these commands, one slot each, in this order.
    Propose(Vec<Proposal>),
    /// Clients ask to read. Each comes back in [`Output::reads`] or [`Output::refused`].
    Read(Vec<Token>),
    /// A snapshot is durable here that holds the effect of every slot below `below`, whether this
    /// node took it or got it from a peer. The log below it is of no more use.
    Snapshot {
        /// The first slot whose effect it does not hold.
        below: Slot,
    },
    /// A timer ran out.
    Timer(Timer),
}

/// A client's request for one slot of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Comes back in [`Taken`] or [`Refused`]; the replica does not look at it.
    pub token: Token,
    /// The command, opaque.
    pub command: Bytes,
}

/// Lets a driver recognise its own proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// The timers that a replica relies on for progress, and never for safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Nothing was heard of a leader for long enough: try to become it. Should be randomised.
    Campaign,
    /// The leader shows that it is alive.
    Heartbeat,
    /// What may have been lost is sent again.
    Resend,
}

/// What must be durable. Records of one output belong together: all or none survive a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Record {
    /// Nothing below this ballot will be accepted any more.
    Promised(Ballot),
    /// These values were accepted in consecutive slots, which is also a promise of `ballot`.
    Accepted {
        /// The ballot of the votes.
        ballot: Ballot,
        /// The slot of the first value.
        first: Slot,
        /// One value per slot.
        values: Batch,
    },
    /// Every slot below is chosen, and its effect is in a durable snapshot; its votes may be
    /// forgotten.
    Trimmed {
        /// The first slot that is kept.
        below: Slot,
    },
}

/// What a step asks of its driver. Reuse one and [`clear`](Output::clear) it: nothing is allocated
/// anew. Everything but `records` and `timers` waits until the records are durable, and those of every
/// earlier output; all that need not wait is what [`take_early`](Output::take_early) gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// To be made durable, in this order, before anything below leaves, but for what
    /// [`take_early`](Output::take_early) gives.
    pub records: Vec<Record>,
    /// To be sent.
    pub messages: Vec<Envelope>,
    /// Chosen values in the order of the log, without a gap: to be applied.
    pub chosen: Vec<(Slot, Value)>,
    /// Proposals that got a slot. Not yet chosen: another leader may still put something else there.
    pub taken: Vec<Taken>,
    /// Proposals that got none, and never will by themselves.
    pub refused: Vec<Refused>,
    /// Reads that may be answered.
    pub reads: Vec<ReadReady>,
    /// Peers that have trimmed what this node lacks: a snapshot of one of them is wanted.
    pub fetch: Vec<NodeId>,
    /// Timers to be armed, or armed again. A timer that fires without need does no harm.
    pub timers: Vec<Timer>,
}

/// A read that a quorum has confirmed: no other leader had got anything chosen when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// The read.
    pub token: Token,
    /// It is to be answered by a state to which every slot below this one was applied.
    pub at: Slot,
}

/// A proposal and its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The proposal.
    pub token: Token,
    /// Where it was proposed.
    pub slot: Slot,
}

/// A proposal or a read that was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The proposal or read.
    pub token: Token,
    /// Why.
    pub refusal: Refusal,
}

/// Why a proposal or a read was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This node does not lead; `leader` is the best guess who does.
    NotLeader {
        /// The owner of the ballot this node has promised, unless that is itself.
        leader: Option<NodeId>,
    },
    /// `in_flight_max` slots are waiting to be chosen; try again when some are.
    Busy,
}

impl Output {
    /// Empties it and keeps its memory.
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

    /// Moves all of `later` behind what is here. What has records must not be added to what is treated as durable.
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

    /// Takes out the messages that may leave before `records` are durable, so that their sync and those of the
    /// peers overlap: each [`Message::Accept`] whose ballot is not promised by these very records.
    ///
    /// That is safe because the promise of its ballot is durable then, and a ballot is not begun again once it is.
    /// So nothing else is ever proposed in it, even if a crash makes this node forget that it proposed, and
    /// that it voted. Its own vote is counted at once all the same; but all that follows from that waits for
    /// the records. What a ballot proposes before its promise is durable waits as well: where a single promise
    /// is enough to lead, a crash could forget the ballot, which would then be begun again, for another value.
    ///
    /// It holds for drivers to which `records` are all that is not yet durable: that make each output durable
    /// before they step on, or step on into the same output. No driver has to use it.
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
