//! The catalogue: the known bugs of Paxos implementations that the model can have.
//!
//! Some numbers are missing: their bugs are in parts that the model does not have. Number 27, for example, is about commands
//! that are applied twice, and the model applies no commands. A letter after a number marks a variant: the same mistake, made
//! in another way. The variants of a number may need different bounds to show. A new variant stands behind the last one of
//! its number, so that the other labels stay. A new kind of mistake gets a number above all others.
//!
//! [`BEYOND`] lists the known bugs in parts that the model does not have, each with the check that detects it.
//!
//! A mutant is a model with one of these bugs. The broken rule stands beside the correct one, in
//! [`rules`](super::node::rules).

use std::fmt;

use itertools::Itertools as _;
use serde::Serialize;
use thiserror::Error;

macro_rules! bugs {
    ($($bug:ident = ($number:literal, $name:literal, $harm:ident) {
        $what:literal, $why:literal, $($note:literal,)?
    })+) => {
        /// A known bug of Paxos implementations. Production code has none of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Bug {
            $(#[doc = $what] #[doc = $why] $(#[doc = $note])? $bug),+
        }

        impl Bug {
            /// The catalogue, by number.
            pub const ALL: &'static [Self] = &[$(Self::$bug),+];

            /// Returns the number in the catalogue.
            pub const fn number(self) -> u8 {
                match self { $(Self::$bug => $number),+ }
            }

            /// Returns the name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),+ }
            }

            /// Returns the mistake in one sentence, and its consequence in another.
            pub const fn explanation(self) -> [&'static str; 2] {
                match self { $(Self::$bug => [$what, $why]),+ }
            }

            /// Returns the harm to users.
            pub const fn harm(self) -> Harm {
                match self { $(Self::$bug => Harm::$harm),+ }
            }
        }
    };
}

impl Bug {
    /// Returns the number, with a letter if another bug of that number comes before: `4`, `4b`.
    pub fn label(self) -> String {
        let earlier = Self::ALL.iter().take_while(|bug| **bug != self);
        let variant = earlier.filter(|bug| bug.number() == self.number()).count();
        let letter = (b'a'..).map(char::from).nth(variant).filter(|_| variant > 0);
        letter.map_or(self.number().to_string(), |letter| format!("{}{letter}", self.number()))
    }

    /// Returns the bug with a label.
    ///
    /// # Errors
    /// Fails if no bug has the label.
    pub fn labelled(label: &str) -> Result<Self, UnknownBug> {
        let bug = Self::ALL.iter().find(|bug| bug.label() == label);
        bug.copied().ok_or_else(|| UnknownBug { label: label.to_owned() })
    }
}

/// A label that names no bug, or a bug that the model cannot have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct UnknownBug {
    /// The label.
    pub label: String,
}

impl fmt::Display for UnknownBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = &self.label;
        match BEYOND.iter().find(|beyond| beyond.number.to_string() == *label) {
            Some(beyond) => write!(f, "the model cannot have bug {beyond}")?,
            None => write!(f, "there is no bug {label:?}")?,
        }
        write!(f, "; give one of {}", Bug::ALL.iter().map(|bug| bug.label()).join(", "))
    }
}

/// A known bug in a part that the model does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Beyond {
    /// Its number in the longer list.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// The mistake in one sentence, and its consequence in another.
    pub explanation: [&'static str; 2],
    /// The reason why the model and the lockstep cannot detect it.
    pub unseen: &'static str,
    /// The check that detects it.
    pub seen_by: &'static str,
    /// The file with the test that shows this.
    pub test: &'static str,
}

/// The known bugs that the model cannot have.
pub const BEYOND: &[Beyond] = &[
    Beyond {
        number: 40,
        name: "sends before the sync",
        explanation: [
            "The driver sends a message before the records on which it depends are durable.",
            "A crash then makes the node forget a promise or a vote on which other nodes rely.",
        ],
        unseen: "the proof, the model and the lockstep have no driver and no files",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 41,
        name: "recovers other records than were written",
        explanation: [
            "Recovery drops the last whole record, or takes a torn one for whole.",
            "The node then forgets a vote, or reports one that it has not cast.",
        ],
        unseen: "the proof, the model and the lockstep have no driver and no files",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 42,
        name: "believes a failed sync",
        explanation: [
            "A sync that has failed is tried again, and its success is believed.",
            "The system may have dropped the data of the first try, so that a vote is lost in a later crash.",
        ],
        unseen: "the proof, the model and the lockstep have no driver and no files",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 43,
        name: "trims before the snapshot is durable",
        explanation: [
            "The log is trimmed before the snapshot that replaces it is durable.",
            "After a crash the node has neither the log nor the snapshot.",
        ],
        unseen: "the proof, the model and the lockstep have no driver and no files",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 44,
        name: "trims what is not applied",
        explanation: [
            "A node trims log entries that are chosen, but that its state machine has not applied.",
            "After a restart its state lacks their effect, and its log no longer has them, so that its users are \
             told something else than those of other nodes.",
        ],
        unseen: "the proof, the model and the lockstep have no state machine, and to trim a chosen entry is a \
                 step that the protocol allows",
        seen_by: "the simulation of nodes with their stores and state machines",
        test: "impl/simulator/tests/nodes/faults.rs",
    },
    Beyond {
        number: 45,
        name: "takes a foreign frame",
        explanation: [
            "A node takes a frame of an earlier start of its peer, or of another cluster.",
            "It votes for a value that no member of its cluster has proposed.",
        ],
        unseen: "the proof, the model and the lockstep have no driver and no files",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 46,
        name: "mixes up answers",
        explanation: [
            "The answer to one command goes to the client of another.",
            "A client is told the result of a command that it has not asked for.",
        ],
        unseen: "the proof, the model and the lockstep have no state machine and no clients",
        seen_by: "the simulation of nodes with their stores and state machines",
        test: "impl/simulator/tests/nodes/faults.rs",
    },
    Beyond {
        number: 47,
        name: "forgets clients in a snapshot",
        explanation: [
            "A snapshot does not carry the table of clients.",
            "A command that is asked for again after the snapshot is applied again.",
        ],
        unseen: "the proof, the model and the lockstep have no state machine and no clients",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 48,
        name: "applies differently",
        explanation: [
            "The result of a command depends on more than the log, such as the time or the order of a hash map.",
            "The states of the nodes drift apart, and clients of different nodes are told different things.",
        ],
        unseen: "the proof, the model and the lockstep have no state machine and no clients",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 49,
        name: "applies what stops the process",
        explanation: [
            "An entry takes more memory or time to apply than the process has.",
            "Every replica stops at this entry, and again after each restart.",
        ],
        unseen: "the proof, the model and the lockstep have no state machine and no clients",
        seen_by: "the simulation of nodes with their stores and state machines",
        test: "impl/simulator/tests/nodes/faults.rs",
    },
    Beyond {
        number: 50,
        name: "reads before it has applied",
        explanation: [
            "A confirmed read runs before its node has applied the slots that the read must see.",
            "A client gets an old value.",
        ],
        unseen: "the proof, the model and the lockstep have no state machine and no clients",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 51,
        name: "counters wrap",
        explanation: [
            "A number near the limit of its type wraps, or is read as another type.",
            "A ballot that should be the highest becomes the lowest.",
        ],
        unseen: "the ballots of the proof and of the model have no limit that they could reach",
        seen_by: "the check of every step from any state, which has numbers at the limits of their types",
        test: "conformance/steps/tests/faults.rs",
    },
    Beyond {
        number: 52,
        name: "notes votes as chosen",
        explanation: [
            "A node notes durably that all its votes are for chosen values.",
            "After a restart it applies a value that was not chosen, and another value may be chosen in that slot.",
        ],
        unseen: "the proof, the model and the lockstep have no driver and no files",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
    Beyond {
        number: 53,
        name: "takes a part of a promise for the whole",
        explanation: [
            "A long promise goes in parts, and a candidate leads with the first part.",
            "It does not hear of the votes in the other parts, so it may replace a chosen value.",
        ],
        unseen: "the proof, the model and the lockstep have no packets: a promise is one message",
        seen_by: "the validation of recorded runs",
        test: "conformance/validation/tests/faults.rs",
    },
];

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, name, unseen, seen_by, test, .. } = self;
        write!(f, "{number} ({name}): {unseen}; {seen_by} sees it ({test})")
    }
}

/// The harm of a bug to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Harm {
    /// Two users get different values, or a user gets a value that may still change.
    Unsafe,
    /// No user gets a wrong value, but a state can be reached in which nothing can be chosen any more.
    Stuck,
    /// There is no harm as long as the other parts are correct.
    None,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unsafe => "unsafe",
            Self::Stuck => "stuck",
            Self::None => "none",
        })
    }
}

bugs! {
    RepliesBeforePersisting = (1, "replies before persisting", Unsafe) {
        "Messages leave before the records that they depend on are durable.",
        "A crash then makes a node forget a promise or vote that other nodes rely on, and a value that users \
         know is replaced.",
    }
    UnreadableIsEmpty = (2, "unreadable disk taken for empty", Unsafe) {
        "A node that cannot read its disk starts as if it were new.",
        "Its promises and votes are lost while other nodes rely on them, so a chosen value can be replaced.",
        "The client behind a ballot asks for one value only, so two values take two ballots.",
    }
    AcceptsBelowPromise = (3, "votes below its promise", Unsafe) {
        "An acceptor votes in a ballot below its promise.",
        "An old leader gets its value chosen after a new leader learned that no value could be, so two values are \
         chosen.",
    }
    PromisesBelowPromise = (4, "promises below its promise", Unsafe) {
        "An acceptor promises a ballot below its promise, and so lowers it.",
        "The promise of the higher ballot no longer holds, and both leaders get their values chosen.",
    }
    PromisesBelowKeptPromise = (4, "promises below what it keeps", None) {
        "An acceptor answers a ballot below its promise with a promise, but keeps the higher one.",
        "This is safe, because the acceptor keeps the higher promise. But it helps to elect a leader that it then \
         refuses.",
    }
    AcceptDoesNotPromise = (5, "a vote does not promise", Unsafe) {
        "An acceptor that votes in a ballot does not promise it.",
        "Later it votes in a lower ballot and forgets the higher vote, so a quorum no longer keeps a chosen value.",
    }
    PromiseClearsVotes = (6, "a promise clears the votes", Unsafe) {
        "A new promise clears the votes before they are reported.",
        "The next leader does not learn of a chosen value, and gets another one chosen.",
    }
    OneBallotVariable = (7, "one variable for two ballots", Unsafe) {
        "One variable holds both the ballot promised and the ballot of the vote, so that a \
         promise makes old votes look new.",
        "A value of an older ballot looks as new as the chosen one, and may be adopted in its place.",
    }
    IgnoresReports = (8, "ignores what is reported", Unsafe) {
        "A new leader ignores what the promises report.",
        "It proposes its own client's value where another value is already chosen, so two values are chosen.",
    }
    AdoptsLowest = (9, "adopts the lowest ballot", Unsafe) {
        "A new leader adopts the report of the lowest ballot.",
        "A higher ballot may have chosen another value, which this one then replaces.",
    }
    CountsOldPromise = (10, "counts an old promise", Unsafe) {
        "A promise for an earlier ballot of the same candidate is counted.",
        "The acceptor has not promised the present ballot and may have voted since, so a chosen value is overlooked.",
    }
    CountsPromiseTwice = (11, "counts a promise twice", Unsafe) {
        "A promise that arrives twice counts twice.",
        "A candidate leads without a quorum, does not learn of a chosen value, and replaces it.",
    }
    CountsVoteTwice = (12, "counts a vote twice", Unsafe) {
        "A vote that arrives twice counts twice.",
        "A leader tells its client that a value is chosen, although no quorum has voted for it and it may still change.",
    }
    AddsUpBallots = (13, "adds up ballots", Unsafe) {
        "Votes of different ballots are added up.",
        "A leader tells its client that a value is chosen, although no quorum has voted for it in one ballot and it \
         may still change.",
        "Votes go only to the owner of their ballot, so the bug adds up ballots of the same owner.",
    }
    MatchesByValue = (14, "adds up equal values", Unsafe) {
        "Votes for the same value are added up, whatever their ballots.",
        "Equal votes of two ballots are a quorum in neither, so a value that a leader reports as chosen may still \
         change.",
        "Votes go only to the owner of their ballot, so the bug adds up ballots of the same owner.",
    }
    ReusesBallot = (15, "reuses a ballot after a crash", Unsafe) {
        "A candidate does not store its own promise, and begins the same ballot again after a \
         crash.",
        "Promises and votes from before the crash count after it, and one ballot gets two values.",
    }
    ChangesValue = (16, "changes the value in a ballot", Unsafe) {
        "A leader whose value is not chosen yet puts another one in its place, in the same \
         ballot.",
        "Votes of one ballot are for two values, and both can be chosen.",
        "The client behind a ballot asks for one value only, so the leader adopted the value that it replaces.",
    }
    HalfIsQuorum = (17, "half is a quorum", Unsafe) {
        "Half of the nodes, rounded down, count as a quorum.",
        "Two such quorums need not share a node, so two leaders choose two values.",
    }
    ReportsNothing = (18, "reports nothing", Unsafe) {
        "A promise reports no votes, although there are some.",
        "The next leader does not learn of a chosen value, and gets another one chosen.",
    }
    HidesOvertakenVotes = (18, "hides votes below a promise", Unsafe) {
        "A promise hides the votes that are below an earlier promise.",
        "A chosen value stays chosen whatever is promised later, but the next leader does not learn of it and replaces \
         it.",
        "An acceptor answers a repeated Prepare message again, and the second answer hides the votes of the first one. \
         So two ballots are enough.",
    }
    HidesTrimmed = (18, "hides what is trimmed", Unsafe) {
        "A promise does not say that slots are trimmed, and reports nothing there.",
        "The next leader takes these slots for empty, and gets other values chosen than those in the snapshot.",
    }
    AsksBehindGap = (18, "asks for no votes in a gap", Unsafe) {
        "A candidate asks for the votes after the last slot that it knows to be chosen, and not for those in the gaps before.",
        "The new leader takes a gap for empty, and replaces the value that is chosen there by a no-op.",
    }
    AcceptsOnlyPromised = (19, "votes only where it promised", None) {
        "An acceptor votes only in the ballot that it has promised, and not in a higher one.",
        "This is safe, and values can still be chosen: a node that missed the first phase does not help in the second.",
    }
    AcceptsOnlyAbovePromise = (20, "votes only above its promise", Stuck) {
        "An acceptor votes only in ballots above its promise, and not in the one that it has \
         promised.",
        "This is safe, because no wrong value is chosen. But an acceptor that promises a ballot cannot vote in it, so \
         users wait for ever.",
    }
    PromisesAgain = (21, "promises again after voting", None) {
        "An acceptor that has voted in a ballot answers its Prepare once more, with that vote.",
        "This is safe as long as a ballot has one owner: it leads already, and ignores the answer.",
    }
    ClaimsVote = (22, "claims a vote it did not cast", Unsafe) {
        "An acceptor reports a vote that it has refused.",
        "The leader counts a vote that no promise will report, and the next leader replaces a value that users know.",
    }
    FillsGapUnasked = (23, "fills a gap unasked", Unsafe) {
        "A new leader fills each gap in its own votes with a no-op, whatever the promises report.",
        "A command that was chosen, and perhaps executed, is replaced by a no-op.",
    }
    AdoptsWholeLog = (24, "adopts a whole log", Unsafe) {
        "A new leader adopts the whole log of the acceptor that reports the highest ballot.",
        "The reports of other acceptors in other slots are lost, also those of chosen values.",
    }
    TrimsUnchosen = (25, "trims what is not chosen", Unsafe) {
        "A snapshot contains every value that its node has voted for, chosen or not.",
        "Users see the effect of a value that may still be replaced.",
    }
    LeadsBehind = (25, "leads without what is trimmed", Unsafe) {
        "A candidate leads although other nodes have trimmed slots that it does not know.",
        "It takes those slots for empty, and gets other values chosen there.",
    }
    ReadsUnconfirmed = (26, "answers reads unconfirmed", Unsafe) {
        "A leader answers a read without a confirmation that it still leads.",
        "If another node leads by now, users get an old value.",
    }
    ReadsBelowBarrier = (26, "reads below what was reported", Unsafe) {
        "A new leader answers a read without the values that were reported to it, until it knows that they are chosen.",
        "An earlier leader may have known them to be chosen, so users see a value disappear.",
    }
    CountsOldConfirmation = (26, "counts an old confirmation", Unsafe) {
        "A confirmation of one round of reads is counted in a later round.",
        "A leader that was replaced in between answers as if it still led.",
    }
    ReadsBelowGap = (26, "reads below a gap", Unsafe) {
        "A leader answers a read from the part of its log before the first gap, although it knows later values.",
        "Another node may know the value in the gap, so its users have seen more already.",
    }
    ProposesUnprepared = (28, "proposes unprepared", Unsafe) {
        "A leader proposes in a new ballot that it never prepared.",
        "No promise has reported what was chosen before, so it may be replaced.",
    }
    VotesOnlyOnce = (29, "votes only once", Stuck) {
        "An acceptor that has voted ignores every later proposal.",
        "This is safe, because no wrong value is chosen. But once votes are split no ballot can win, so users wait for \
         ever.",
    }
    ProposesTooEarly = (30, "proposes too early", Unsafe) {
        "An Accept message leaves before the promise of its ballot is durable.",
        "A crash then makes its node forget the ballot, begin it again and propose another value, so votes of one \
         ballot are for two values.",
        "A candidate that needs the promise of another node has made its own promise durable before its Prepare message \
         left. So the bug shows only if a node's own promise is a quorum.",
    }
    CountsOwnVoteEarly = (31, "counts its own vote too early", Unsafe) {
        "A leader's own vote counts before it is durable.",
        "Users learn that a value is chosen, and a crash then loses a vote that it needs, so it can be replaced.",
    }
}
