//! Rounds: a connection answers the requests of its client that arrived together with as few requests to the cluster as
//! possible, in their order.
//!
//! Successive reads become one read of the node. Successive writes become one entry of the log, which keeps their
//! order.
//!
//! A read between two writes would cost two more rounds. So a read that costs little becomes a part of the entry. Each
//! replica then computes the answer to that read. The answer shares the memory of the value.

use std::collections::VecDeque;

use bytes::Bytes;

use super::pool::OWN_BYTES;
use crate::{Copies, Entry, Question, resp::Protocol};

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: ClusterRequest,
    /// The version of the protocol for the answer.
    pub(super) protocol: Protocol,
}

/// A client's request that needs the cluster.
#[derive(Debug)]
pub(super) enum ClusterRequest {
    Read(Question),
    Write {
        entry: Bytes,
        /// The ways in which the answer may take further memory.
        copies: Copies,
    },
}

/// A request to the cluster that answers the first waiting requests.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// One read of the node: these questions about one state.
    Read(Vec<Question>),
    /// One entry of the log, for the first `requests` requests.
    Propose {
        entry: Bytes,
        requests: usize,
        /// The ways in which the answer may take further memory.
        copies: Copies,
    },
}

/// The highest number of requests that share an entry.
const REQUESTS_MAX: usize = 4096;

/// Returns the next round, or `None` if no request waits. The requests stay in `waiting` until they are answered.
///
/// If a write is an entry by itself, its bytes are moved out of `waiting`, because it is not proposed again. The bytes
/// of requests that share an entry are copied, because some of them may have to be proposed again. A long write never
/// shares an entry, so that it is not copied.
pub(super) fn next(waiting: &mut VecDeque<Waiting>) -> Option<Round> {
    if matches!(waiting.front()?.request, ClusterRequest::Read(_)) {
        let questions = waiting.iter().map_while(|waiting| match &waiting.request {
            ClusterRequest::Read(question) => Some(question.clone()),
            ClusterRequest::Write { .. } => None,
        });
        return Some(Round::Read(questions.collect()));
    }
    let (mut parts, mut bytes, mut copies) = (Vec::new(), 0, Copies::default());
    // The number of requests up to the last write, and their copies. Reads after that write need not be in the log.
    let mut end = (0, copies);
    for Waiting { request, .. } in waiting.iter().take(REQUESTS_MAX) {
        let (part, own) = match request {
            ClusterRequest::Write { entry, copies } => (entry.clone(), *copies),
            ClusterRequest::Read(Question::Query(query)) if query.is_light() => {
                (Entry::Read(query.clone()).to_bytes(), query.copies())
            }
            ClusterRequest::Read(_) => break,
        };
        bytes += part.len();
        if bytes > OWN_BYTES && !parts.is_empty() {
            break;
        }
        copies = copies.and(own);
        parts.push(part);
        if matches!(request, ClusterRequest::Write { .. }) {
            end = (parts.len(), copies);
        }
    }
    let (requests, copies) = end;
    parts.truncate(requests);
    let entry = match (&mut parts[..], waiting.front_mut()) {
        ([only], Some(Waiting { request: ClusterRequest::Write { entry, .. }, .. })) => {
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
        let request = |letter| match letter {
            'w' => ClusterRequest::Write { entry: "w".into(), copies: Copies::default() },
            'W' => {
                let entry = vec![b'w'; OWN_BYTES].into();
                ClusterRequest::Write { entry, copies: Copies::default() }
            }
            'r' => ClusterRequest::Read(Question::Query(Query::Get("key".into()))),
            'k' => ClusterRequest::Read(Question::Query(Query::Keys("*".into()))),
            't' => ClusterRequest::Read(Question::Transaction("transaction".into())),
            _ => unreachable!("{letter}"),
        };
        letters
            .chars()
            .map(|letter| Waiting { request: request(letter), protocol: Protocol::Resp2 })
            .collect()
    }

    /// Returns the kind of each round, and the number of its requests.
    fn rounds(letters: &str) -> String {
        let (mut waiting, mut rounds) = (waiting(letters), Vec::new());
        while let Some(round) = next(&mut waiting) {
            let (kind, requests) = match round {
                Round::Read(questions) => ("read", questions.len()),
                Round::Propose { requests, .. } => ("propose", requests),
            };
            rounds.push(format!("{kind} {requests}"));
            drop(waiting.drain(..requests));
        }
        rounds.join(", ")
    }

    #[test]
    fn reads_between_writes_share_their_entry() {
        for (letters, expected) in [
            ("", ""),
            ("w", "propose 1"),
            ("wwww", "propose 4"),
            ("rrrr", "read 4"),
            ("wrwrwr", "propose 5, read 1"),
            ("rrwrrwrr", "read 2, propose 4, read 2"),
            ("wkwrw", "propose 1, read 1, propose 3"),
            ("wrtw", "propose 1, read 2, propose 1"),
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
        let read = Entry::Read(Query::Get("key".into())).to_bytes();
        assert_eq!(entry, Entry::Pipeline(vec!["w".into(), read, "w".into()]).to_bytes());
    }
}
