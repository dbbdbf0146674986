//! The arguments of changes, and the options of `SET`.

use bytes::Bytes;

use super::errors;
use crate::{
    command::{Command, SetAnswer, When},
    number::integer,
    reply::Reply,
};

pub(super) fn set(arguments: &[Bytes]) -> Result<Command, Reply> {
    let (key, value) = (arguments[1].clone(), arguments[2].clone());
    let (mut when, mut answer) = (When::Always, SetAnswer::Done);
    let (mut keep, mut expiry) = (false, None);
    let mut options = &arguments[3..];
    while let [option, rest @ ..] = options {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let expires = || ["ex", "px", "exat", "pxat"].into_iter().find(|name| is(name));
        options = if is("nx") && matches!(when, When::Always | When::Missing) {
            when = When::Missing;
            rest
        } else if is("xx") && matches!(when, When::Always | When::Present) {
            when = When::Present;
            rest
        } else if is("get") {
            answer = SetAnswer::Old;
            rest
        } else if is("keepttl") && expiry.is_none() {
            // No key expires, so this has no effect.
            keep = true;
            rest
        } else if is("ifeq")
            && matches!(when, When::Always)
            && let [expected, rest @ ..] = rest
        {
            when = When::Equal(expected.clone());
            rest
        } else if let Some(kind) = expires()
            && !keep
            && expiry.is_none_or(|other| other == kind)
            && let [_, rest @ ..] = rest
        {
            expiry = Some(kind);
            rest
        } else {
            return Err(errors::syntax());
        };
    }
    if expiry.is_some() {
        return Err(Reply::error("ERR expiry is not supported"));
    }
    Ok(Command::Set { key, value, when, answer })
}

pub(super) fn get_and_set(arguments: &[Bytes]) -> Command {
    let (key, value) = (arguments[1].clone(), arguments[2].clone());
    Command::Set { key, value, when: When::Always, answer: SetAnswer::Old }
}

pub(super) fn set_all(name: &str, arguments: &[Bytes], new: bool) -> Result<Command, Reply> {
    let pairs = arguments[1..].chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(errors::arity(name));
    }
    let pairs = pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    Ok(Command::SetAll { pairs, new })
}

pub(super) fn append(arguments: &[Bytes]) -> Command {
    Command::Append { key: arguments[1].clone(), value: arguments[2].clone() }
}

pub(super) fn delete(arguments: &[Bytes]) -> Command {
    Command::Delete(arguments[1..].into())
}

pub(super) fn add(arguments: &[Bytes], by: i64) -> Command {
    Command::Add { key: arguments[1].clone(), by }
}

pub(super) fn increase_by(arguments: &[Bytes]) -> Result<Command, Reply> {
    let by = integer(&arguments[2]).ok_or(errors::not_an_integer())?;
    Ok(add(arguments, by))
}

pub(super) fn decrease_by(arguments: &[Bytes]) -> Result<Command, Reply> {
    let by = integer(&arguments[2]).ok_or(errors::not_an_integer())?;
    Ok(add(arguments, by.checked_neg().ok_or(Reply::error("ERR decrement would overflow"))?))
}

/// Accepts `SYNC` and `ASYNC`, which make no difference here.
pub(super) fn flush(arguments: &[Bytes]) -> Result<Command, Reply> {
    let known =
        |mode: &Bytes| [&b"sync"[..], b"async"].iter().any(|word| mode.eq_ignore_ascii_case(word));
    match arguments {
        [_] => Ok(Command::Clear),
        [_, mode] if known(mode) => Ok(Command::Clear),
        _ => Err(errors::syntax()),
    }
}
