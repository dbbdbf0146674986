//! The catalogue: known bugs of Paxos implementations that the model can be given.
//!
//! The numbers are those of a longer list, so that there are holes in them. 27 is about commands that are
//! applied twice, which the model does not have. Some numbers have variants, where a bug can be made in several
//! ways that are seen in different bounds.
//!
//! A known bug in a part that the model does not have is listed apart ([`BEYOND`]), with the link of the chain
//! that sees it.
//!
//! What it is not: the bugs themselves. How a rule is broken stands beside the rule, in
//! [`rules`](super::rules).

use std::fmt;

use itertools::Itertools as _;
use serde::Serialize;
use thiserror::Error;

macro_rules! bugs {
    ($($bug:ident = ($number:literal, $name:literal, $harm:ident) {
        $what:literal, $why:literal, $($note:literal,)?
    })+) => {
        /// A way in which people got Paxos wrong. Never in production code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Bug {
            $(#[doc = $what] #[doc = $why] $(#[doc = $note])? $bug),+
        }

        impl Bug {
            /// The whole catalogue, by number.
            pub const ALL: &'static [Self] = &[$(Self::$bug),+];

            /// Its number in the catalogue.
            pub const fn number(self) -> u8 {
                match self { $(Self::$bug => $number),+ }
            }

            /// What people call it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),+ }
            }

            /// What it is, in a sentence; and why it matters, in another.
            pub const fn explanation(self) -> [&'static str; 2] {
                match self { $(Self::$bug => [$what, $why]),+ }
            }

            /// What users come to feel of it.
            pub const fn harm(self) -> Harm {
                match self { $(Self::$bug => Harm::$harm),+ }
            }
        }
    };
}

impl Bug {
    /// Its number, and a letter if it is not the first of that number: `4`, `4b`.
    pub fn label(self) -> String {
        let earlier = Self::ALL.iter().take_while(|bug| **bug != self);
        let variant = earlier.filter(|bug| bug.number() == self.number()).count();
        let letter = (b'a'..).map(char::from).nth(variant).filter(|_| variant > 0);
        letter.map_or(self.number().to_string(), |letter| format!("{}{letter}", self.number()))
    }

    /// The bug that has this label.
    ///
    /// # Errors
    /// A label that none has.
    pub fn labelled(label: &str) -> Result<Self, UnknownBug> {
        let bug = Self::ALL.iter().find(|bug| bug.label() == label);
        bug.copied().ok_or_else(|| UnknownBug { label: label.to_owned() })
    }
}

/// A label that none of the catalogue has, or a bug that the model cannot be given.
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

/// A known bug in a part that the model does not have, so that the model cannot be given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Beyond {
    /// Its number in the longer list.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// The bug, in a sentence; and why it matters, in another.
    pub explanation: [&'static str; 2],
    /// Why the model and the lockstep cannot see it.
    pub unseen: &'static str,
    /// What sees it.
    pub seen_by: &'static str,
    /// The file with the test that shows so.
    pub test: &'static str,
}

/// The known bugs that the model cannot be given.
pub const BEYOND: &[Beyond] = &[Beyond {
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
}];

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, name, unseen, seen_by, test, .. } = self;
        write!(f, "{number} ({name}): {unseen}; {seen_by} sees it ({test})")
    }
}

/// What users come to feel of a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Harm {
    /// Two of them are told different values, or one is told what may yet change.
    Unsafe,
    /// Nothing is ever wrong, but there may come a time when nothing is decided any more.
    Stuck,
    /// Nothing at all, as long as the rest is right: other parts make up for it.
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
        "A crash then makes a node forget what others have already acted upon, and a value that \
         users were told is replaced.",
    }
    UnreadableIsEmpty = (2, "unreadable disk taken for empty", Unsafe) {
        "A node that cannot read its disk starts as if it were new.",
        "Its promises and votes are gone while others still count on them, so that a chosen value \
         can be replaced.",
        "The client behind a ballot asks for one thing only, so that two values take two ballots.",
    }
    AcceptsBelowPromise = (3, "votes below its promise", Unsafe) {
        "An acceptor votes in a ballot below its promise.",
        "An old leader gets its value chosen after a new one was told that nothing could be, and \
         there are two.",
    }
    PromisesBelowPromise = (4, "promises below its promise", Unsafe) {
        "An acceptor promises a ballot below its promise, and so lowers it.",
        "What it promised to the higher ballot is void, and both leaders get their values chosen.",
    }
    PromisesBelowKeptPromise = (4, "promises below what it keeps", None) {
        "An acceptor answers a ballot below its promise with a promise, but keeps the higher one.",
        "It is safe, since more is kept than was said; but a leader is made that this acceptor \
         will refuse.",
    }
    AcceptDoesNotPromise = (5, "a vote does not promise", Unsafe) {
        "An acceptor that votes in a ballot does not promise it.",
        "Later it votes in a lower ballot and forgets the higher vote, so that a chosen value is \
         no longer held by a quorum.",
    }
    PromiseClearsVotes = (6, "a promise clears the votes", Unsafe) {
        "A new promise clears the votes before they are reported.",
        "The next leader does not hear of a value that is chosen, and gets another one chosen.",
    }
    OneBallotVariable = (7, "one variable for two ballots", Unsafe) {
        "One variable holds both the ballot promised and the ballot of the vote, so that a \
         promise makes old votes look new.",
        "A value that was overtaken ties with the one that is chosen, and may be adopted in its \
         place.",
    }
    IgnoresReports = (8, "ignores what is reported", Unsafe) {
        "A new leader ignores what the promises report.",
        "It proposes its own client's value where another is already chosen, and there are two.",
    }
    AdoptsLowest = (9, "adopts the lowest ballot", Unsafe) {
        "A new leader adopts the report of the lowest ballot.",
        "That value may have been overtaken by the one that is chosen, and replaces it.",
    }
    CountsOldPromise = (10, "counts an old promise", Unsafe) {
        "A promise for an earlier ballot of the same candidate is counted.",
        "Who gave it has not promised the present ballot and may since have voted, so that a \
         chosen value is overlooked.",
    }
    CountsPromiseTwice = (11, "counts a promise twice", Unsafe) {
        "A promise that arrives twice counts twice.",
        "A candidate leads without a quorum, does not hear of a chosen value, and replaces it.",
    }
    CountsVoteTwice = (12, "counts a vote twice", Unsafe) {
        "A vote that arrives twice counts twice.",
        "A leader tells its client that a value is chosen for which no quorum has voted, and \
         which may yet change.",
    }
    AddsUpBallots = (13, "adds up ballots", Unsafe) {
        "Votes of different ballots are added up.",
        "A leader tells its client that a value is chosen for which no quorum has voted in any \
         one ballot, and which may yet change.",
        "Votes go only to the owner of their ballot, so that it is about several ballots of one \
         node.",
    }
    MatchesByValue = (14, "adds up equal values", Unsafe) {
        "Votes for the same value are added up, whatever their ballots.",
        "Equal votes of two ballots are no quorum in either, so that what a leader tells its \
         client may yet change.",
        "Votes go only to the owner of their ballot, so that it is about several ballots of one \
         node.",
    }
    ReusesBallot = (15, "reuses a ballot after a crash", Unsafe) {
        "A candidate does not store its own promise, and begins the same ballot again after a \
         crash.",
        "Promises and votes of its first life count in its second, and one ballot comes to stand \
         for two values.",
    }
    ChangesValue = (16, "changes the value in a ballot", Unsafe) {
        "A leader whose value is not chosen yet puts another one in its place, in the same \
         ballot.",
        "Votes of one ballot no longer mean one value, and both can be chosen.",
        "The client behind a ballot asks for one thing only, so that the value replaced is an \
         adopted one.",
    }
    HalfIsQuorum = (17, "half is a quorum", Unsafe) {
        "Half of the nodes, rounded down, are taken for a quorum.",
        "Two such quorums need not share a node, so that two leaders choose two values.",
    }
    ReportsNothing = (18, "reports nothing", Unsafe) {
        "A promise reports no votes, although there are some.",
        "The next leader does not hear of a value that is chosen, and gets another one chosen.",
    }
    HidesOvertakenVotes = (18, "hides votes below a promise", Unsafe) {
        "A promise hides the votes that are below an earlier promise, as if that had made them \
         void.",
        "A value that is chosen stays chosen however much is promised later, and now the next \
         leader replaces it.",
        "A Prepare that arrives twice is answered twice, and the second answer hides what the first \
         reported, so that two ballots are enough.",
    }
    HidesTrimmed = (18, "hides what is trimmed", Unsafe) {
        "A promise does not say that slots are trimmed, and reports nothing there.",
        "The next leader takes them for empty, and gets other values chosen than those whose effect is in \
         a snapshot.",
    }
    AcceptsOnlyPromised = (19, "votes only where it promised", None) {
        "An acceptor votes only in the ballot that it has promised, and not in a higher one.",
        "It is safe, and not stuck either: a node that missed the first phase is of no use in the \
         second.",
    }
    AcceptsOnlyAbovePromise = (20, "votes only above its promise", Stuck) {
        "An acceptor votes only in ballots above its promise, and not in the one that it has \
         promised.",
        "It is safe, for nothing wrong is chosen; but who promises to a leader cannot vote for \
         it, and users wait for ever.",
    }
    PromisesAgain = (21, "promises again after voting", None) {
        "An acceptor that has voted in a ballot answers its Prepare once more, with that vote.",
        "It is safe as long as ballots have one owner, who then leads already and does not \
         listen.",
    }
    ClaimsVote = (22, "claims a vote it did not cast", Unsafe) {
        "An acceptor says that it has voted where it has refused to.",
        "The leader counts a vote that nobody will report, and the next one replaces the value \
         that users were told.",
    }
    FillsGapUnasked = (23, "fills a gap unasked", Unsafe) {
        "A new leader fills what it has no vote for itself with a no-op, whatever was reported.",
        "A command that was chosen, and perhaps carried out, turns into nothing.",
    }
    AdoptsWholeLog = (24, "adopts a whole log", Unsafe) {
        "A new leader takes over the whole log of whoever reports the highest ballot.",
        "What others report in other slots is lost, even where it is chosen.",
    }
    TrimsUnchosen = (25, "trims what is not chosen", Unsafe) {
        "A snapshot has everything in it that its node has voted for, chosen or not.",
        "Users are told what came of a value that may yet be replaced, and nobody can tell any more.",
    }
    LeadsBehind = (25, "leads without what is trimmed", Unsafe) {
        "A candidate leads although others have trimmed what it does not know.",
        "It takes those slots for empty, and gets other values chosen there.",
    }
    ReadsUnconfirmed = (26, "answers reads unconfirmed", Unsafe) {
        "A leader answers a read without asking whether it still leads.",
        "Where another leads by now, its users are told what is no longer so.",
    }
    ReadsBelowBarrier = (26, "reads below what was reported", Unsafe) {
        "A new leader answers a read without what was reported to it, as long as it does not know that to \
         be chosen.",
        "An earlier leader may have known it, so that users see it gone.",
    }
    CountsOldConfirmation = (26, "counts an old confirmation", Unsafe) {
        "What confirms a round of reads is counted in a later one.",
        "A leader that was overtaken in between answers as if it still led.",
    }
    ReadsBelowGap = (26, "reads below a gap", Unsafe) {
        "A leader answers a read from what it knows without a gap, although it knows of more.",
        "Another node may know what fills the gap, so that its users have seen more already.",
    }
    ProposesUnprepared = (28, "proposes unprepared", Unsafe) {
        "A value goes out under a fresh ballot that was never prepared.",
        "Nobody has asked what was chosen before, so that it may be replaced.",
    }
    VotesOnlyOnce = (29, "votes only once", Stuck) {
        "An acceptor that has voted ignores every later proposal.",
        "It is safe, for nothing wrong is chosen; but once votes are split no ballot can win, and \
         users wait for ever.",
    }
    ProposesTooEarly = (30, "proposes too early", Unsafe) {
        "A proposal leaves before the promise of its ballot is durable.",
        "A crash then makes its node forget the ballot, begin it again and propose something else, so that \
         votes of one ballot no longer mean one value.",
        "Who needs the promise of another has made its own durable, for it was asked for with a Prepare; so it \
         takes a node whose own promise is enough.",
    }
    CountsOwnVoteEarly = (31, "counts its own vote too early", Unsafe) {
        "A leader's own vote counts before it is durable.",
        "Users are told that a value is chosen for which a crash takes away a vote that it needs, so that it \
         can be replaced.",
    }
}
