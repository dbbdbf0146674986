//! The kinds of transitions that a run has exercised.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

macro_rules! kinds {
    ($($kind:ident: $text:literal,)*) => {
        /// A kind of transition of a recorded node.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the text of each kind describes it")]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The description of the kind.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }
        }
    };
}

kinds! {
    Start: "a node starts for the first time",
    RestartClean: "a node starts again, and nothing was unsynced when it ended",
    RestartKept: "a node starts again, and unsynced records had reached its disk",
    RestartLost: "a node starts again, and unsynced records are lost",
    Campaign: "a node begins a ballot",
    CampaignOfLeader: "the campaign timer of a leader fires",
    PreparePromises: "a Prepare message is answered by a new promise",
    PrepareAgain: "a Prepare message of the promised ballot is answered again",
    PrepareSilent: "a Prepare message of a ballot with votes is not answered",
    PrepareRefused: "a Prepare message is refused",
    PromiseCounts: "a promise is counted",
    PromiseLeads: "a promise makes a candidate the leader",
    PromiseLate: "a promise is repeated or late",
    PromiseTooFar: "a promise reports slots that are too far ahead",
    Propose: "a leader proposes commands",
    ProposeBusy: "a leader has no slot for a command",
    ProposeRefused: "a command is refused, because its node does not lead",
    AcceptVotes: "an Accept message gets new votes",
    AcceptAgain: "an Accept message is repeated",
    AcceptTrimmed: "an Accept message names trimmed slots",
    AcceptRefused: "an Accept message is refused",
    AcceptTooFar: "an Accept message names slots that are too far ahead",
    AcceptedCounts: "votes are counted",
    AcceptedChooses: "votes choose values",
    AcceptedLate: "votes arrive at a node that does not lead in their ballot",
    NackAbandons: "a refusal ends a ballot",
    NackLate: "a refusal of an earlier ballot arrives",
    Chosen: "a node hears of chosen slots",
    VotesChosen: "a node that starts finds a note that its votes are for chosen values",
    LearnAnswers: "a node is asked for chosen values",
    LearnTrimmed: "a node is asked for trimmed slots",
    Learned: "a node gets chosen values",
    LearnedTooFar: "a node gets chosen values that are too far ahead",
    TrimmedWants: "a node wants the snapshot of another",
    TrimmedKnown: "a node hears of trimmed slots that it knows",
    Read: "a leader takes reads",
    ReadRefused: "reads are refused, because their node does not lead",
    ConfirmConfirms: "a round of reads is confirmed",
    ConfirmRefused: "a round of reads is refused",
    Confirmed: "a confirmation is counted, or is late",
    ConfirmedByQuorum: "a quorum has confirmed a round of reads",
    Snapshot: "a node trims its log below its own snapshot",
    SnapshotOfPeer: "a node trims its log below the snapshot of another",
    SnapshotOld: "a snapshot covers only trimmed slots",
    Heartbeat: "a heartbeat arrives",
    HeartbeatRefused: "a heartbeat is refused",
    HeartbeatDue: "the heartbeat timer fires",
    Resend: "messages are sent again",
    ResendNothing: "the timer for repeated messages fires, and each message has its answer",
    OfStranger: "a message is ignored, because its sender may not send it",
    StepDuringWrite: "a replica steps while a write is under way",
    LeftEarly: "an Accept message leaves before the records of its step are durable",
    Applied: "a value is applied",
    Served: "a read is served",
    Saved: "a node takes a snapshot",
    Installed: "a node installs the snapshot of another",
    Ended: "a node stops by itself",
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// An object with the kinds that were exercised and their numbers, and the kinds that never were.
impl Serialize for Coverage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Coverage", 2)?;
        object.serialize_field("exercised", &self.exercised().collect::<BTreeMap<_, _>>())?;
        object.serialize_field("never", &self.never().collect::<Vec<_>>())?;
        object.end()
    }
}

/// The number of transitions of each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage(Vec<u64>);

impl Default for Coverage {
    fn default() -> Self {
        Self(vec![0; Kind::ALL.len()])
    }
}

impl Coverage {
    /// Counts a transition.
    pub fn add(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    /// Adds the transitions of another run.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(count, more)| *count += more);
    }

    /// The number of transitions of a kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// The kinds that were exercised, with their numbers.
    pub fn exercised(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.iter().map(|&kind| (kind, self.count(kind))).filter(|(_, count)| *count > 0)
    }

    /// The kinds that were never exercised.
    pub fn never(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.iter().copied().filter(|&kind| self.count(kind) == 0)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
