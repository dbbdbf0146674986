//! The catalogue: known bugs of Paxos implementations that the model can be given.

use serde::Serialize;

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal),+ $(,)?) => {
        /// A way in which people got Paxos wrong. Never in production code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Bug { $($(#[doc = $doc])+ $name = $number),+ }

        impl Bug {
            /// The whole catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// What goes wrong, in a sentence.
            pub const fn story(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+)),+ }
            }
        }
    };
}

bugs! {
    /// Messages leave before the records that they depend on are durable.
    RepliesBeforePersisting = 1,
    /// An acceptor votes in a ballot below its promise.
    AcceptsBelowPromise = 3,
    /// An acceptor promises a ballot below its promise, and so lowers it.
    PromisesBelowPromise = 4,
    /// An acceptor that votes in a ballot does not promise it.
    AcceptDoesNotPromise = 5,
    /// A new promise clears the votes before they are reported.
    PromiseClearsVotes = 6,
    /// A new leader ignores what the promises report.
    IgnoresReports = 8,
    /// A new leader adopts the report of the lowest ballot.
    AdoptsLowest = 9,
    /// A promise for an earlier ballot of the same candidate is counted.
    CountsOldPromise = 10,
    /// A promise that arrives twice counts twice.
    CountsPromiseTwice = 11,
    /// A vote that arrives twice counts twice.
    CountsVoteTwice = 12,
    /// Votes of different ballots are added up.
    AddsUpBallots = 13,
    /// A candidate does not store its own promise, and begins the same ballot again after a crash.
    ReusesBallot = 15,
    /// Half of the nodes, rounded down, are taken for a quorum.
    HalfIsQuorum = 17,
    /// A new leader fills what it has no vote for itself with a no-op, whatever was reported.
    FillsGapUnasked = 23,
    /// A new leader takes over the whole log of whoever reports the highest ballot.
    AdoptsWholeLog = 24,
    /// A value goes out under a fresh ballot that was never prepared.
    ProposesUnprepared = 28,
    /// An acceptor that has voted ignores every later proposal.
    VotesOnlyOnce = 29,
}

impl Bug {
    /// Its number in the catalogue.
    pub const fn number(self) -> u8 {
        self as u8
    }
}
