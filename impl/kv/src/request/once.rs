//! `PAXOS ONCE`, a command of a session. Redis does not have it. If the answer is lost, the client can retry the
//! command at any node, and the command is applied at most once.

use bytes::Bytes;

use super::{Request, errors, parse};
use crate::{entry::Entry, number::integer, reply::Reply};
use paxos::types::Slot;
use paxos_node::session;

/// Parses `PAXOS ONCE session number heard-below command …`.
pub(super) fn once(arguments: &[Bytes]) -> Result<session::Request, Reply> {
    let number = |at: usize| -> Result<u64, Reply> {
        let number = integer(&arguments[at]).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(errors::not_an_integer)
    };
    let (opened, sequence, heard_below) = (Slot(number(2)?), number(3)?, number(4)?);
    let refused = Reply::error("ERR PAXOS ONCE is for single commands that write");
    if arguments[5].eq_ignore_ascii_case(b"paxos") {
        return Err(refused); // A nested `PAXOS ONCE` is not parsed, so that it cannot recurse.
    }
    let command = match parse(&arguments[5..]).map_err(|refusal| refusal.reply)? {
        Request::Write(command) => Entry::One(command).to_bytes(),
        Request::Local(reply @ Reply::Error(_)) => return Err(reply),
        _ => return Err(refused),
    };
    session::Request::new(opened, sequence, heard_below, command).ok_or(Reply::error(
        "ERR the answer to this number was heard, as PAXOS ONCE says: it is not asked for again",
    ))
}
