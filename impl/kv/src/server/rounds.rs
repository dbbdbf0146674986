//! Requests of one client that arrived together, and how few questions to the cluster answer all of them.
//!
//! Requests are answered in their order. Reads that stand together are one question to the node. Writes that stand
//! together are one entry of the log, so that nothing puts them into another order.
//!
//! A read between two writes would cost two more rounds. So a read that costs little becomes a part of the entry. Each
//! replica then makes its answer, which shares the memory of the value.

use std::collections::VecDeque;

use bytes::Bytes;

use super::pool::OWN_BYTES;
use crate::{Copies, Entry, Question, resp::Protocol};

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) asked: Asked,
    /// The version of the protocol for the answer.
    pub(super) protocol: Protocol,
}

/// A request to the cluster.
#[derive(Debug)]
pub(super) enum Asked {
    Read(Question),
    Write {
        entry: Bytes,
        /// The memory that the answer may take.
        copies: Copies,
    },
}

/// The first requests that wait, as far as one question answers them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Questions about one state.
    Look(Vec<Question>),
    /// One entry of the log for so many requests.
    Propose {
        entry: Bytes,
        requests: usize,
        /// The memory that the answer may take.
        copies: Copies,
    },
}

/// The most requests that share an entry.
const REQUESTS_MAX: usize = 4096;

/// The next round; `None` if nothing waits.
///
/// A write that is an entry by itself is moved out of `waiting`, because the entry answers it in any case. Requests that share
/// an entry are copied, and stay in `waiting`: they may have to be asked for again. So a long write never shares an entry.
pub(super) fn next(waiting: &mut VecDeque<Waiting>) -> Option<Round> {
    if matches!(waiting.front()?.asked, Asked::Read(_)) {
        let questions = waiting.iter().map_while(|waiting| match &waiting.asked {
            Asked::Read(question) => Some(question.clone()),
            Asked::Write { .. } => None,
        });
        return Some(Round::Look(questions.collect()));
    }
    let (mut parts, mut bytes, mut copies) = (Vec::new(), 0, Copies::default());
    // The length of the entry so far as its last part writes: reads behind it need not be in the log.
    let mut end = (0, copies);
    for Waiting { asked, .. } in waiting.iter().take(REQUESTS_MAX) {
        let (part, own) = match asked {
            Asked::Write { entry, copies } => (entry.clone(), *copies),
            Asked::Read(Question::Query(query)) if query.is_light() => {
                (Entry::Look(query.clone()).to_bytes(), query.copies())
            }
            Asked::Read(_) => break,
        };
        bytes += part.len();
        if bytes > OWN_BYTES && !parts.is_empty() {
            break;
        }
        copies = copies.and(own);
        parts.push(part);
        if matches!(asked, Asked::Write { .. }) {
            end = (parts.len(), copies);
        }
    }
    let (requests, copies) = end;
    parts.truncate(requests);
    let entry = match (&mut parts[..], waiting.front_mut()) {
        ([only], Some(Waiting { asked: Asked::Write { entry, .. }, .. })) => {
            *entry = Bytes::new();
            std::mem::take(only)
        }
        _ => Entry::Pipeline(parts).to_bytes(),
    };
    Some(Round::Propose { entry, requests, copies })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Query;

    fn waiting(letters: &str) -> VecDeque<Waiting> {
        let asked = |letter| match letter {
            'w' => Asked::Write { entry: "w".into(), copies: Copies::default() },
            'W' => {
                let entry = vec![b'w'; OWN_BYTES].into();
                Asked::Write { entry, copies: Copies::default() }
            }
            'r' => Asked::Read(Question::Query(Query::Get("key".into()))),
            'k' => Asked::Read(Question::Query(Query::Keys("*".into()))),
            't' => Asked::Read(Question::Transaction("transaction".into())),
            _ => unreachable!("{letter}"),
        };
        letters
            .chars()
            .map(|letter| Waiting { asked: asked(letter), protocol: Protocol::Resp2 })
            .collect()
    }

    /// The kind of each round, and the number of its requests.
    fn rounds(letters: &str) -> String {
        let (mut waiting, mut rounds) = (waiting(letters), Vec::new());
        while let Some(round) = next(&mut waiting) {
            let (kind, requests) = match round {
                Round::Look(questions) => ("look", questions.len()),
                Round::Propose { requests, .. } => ("propose", requests),
            };
            rounds.push(format!("{kind} {requests}"));
            drop(waiting.drain(..requests));
        }
        rounds.join(", ")
    }

    #[test]
    fn reads_ride_on_writes() {
        for (letters, expected) in [
            ("", ""),
            ("w", "propose 1"),
            ("wwww", "propose 4"),
            ("rrrr", "look 4"),
            ("wrwrwr", "propose 5, look 1"),
            ("rrwrrwrr", "look 2, propose 4, look 2"),
            ("wkwrw", "propose 1, look 1, propose 3"),
            ("wrtw", "propose 1, look 2, propose 1"),
            ("wWWw", "propose 1, propose 1, propose 1, propose 1"),
        ] {
            assert_eq!(rounds(letters), expected, "{letters}");
        }
        let many = "w".repeat(REQUESTS_MAX + 1);
        assert_eq!(rounds(&many), format!("propose {REQUESTS_MAX}, propose 1"));
    }

    #[test]
    fn one_write_is_an_entry_by_itself() {
        let Some(Round::Propose { entry, .. }) = next(&mut waiting("wr")) else {
            panic!("it writes")
        };
        assert_eq!(entry, "w");
        let mut long = waiting("W");
        let Some(Round::Propose { entry, .. }) = next(&mut long) else { panic!("it writes") };
        assert!(entry.len() == OWN_BYTES && entry.is_unique(), "it is moved");
        let Some(Round::Propose { entry, .. }) = next(&mut waiting("wrw")) else {
            panic!("it writes")
        };
        let look = Entry::Look(Query::Get("key".into())).to_bytes();
        assert_eq!(entry, Entry::Pipeline(vec!["w".into(), look, "w".into()]).to_bytes());
    }
}
