//! Every command there is, and with how many arguments.

use bytes::Bytes;

use super::{
    ClientRequest, Refusal, Request, connection, errors, introspection, keys, once, strings,
    word::{Access, Keys, Parse, Word, named},
};
use crate::{command::Command, query::Query, reply::Reply};

const NONE: Keys = Keys(0, 0, 0);
const ONE: Keys = Keys(1, 1, 1);
const ALL: Keys = Keys(1, -1, 1);
const PAIRS: Keys = Keys(1, -1, 2);

const fn reads(name: &'static str, arity: i8, keys: Keys, parse: Parse) -> Word {
    Word { name, arity, access: Access::Reads, keys, parts: &[], parse }
}

const fn writes(name: &'static str, arity: i8, keys: Keys, parse: Parse) -> Word {
    Word { name, arity, access: Access::Writes, keys, parts: &[], parse }
}

const fn word(name: &'static str, arity: i8, parse: Parse) -> Word {
    Word { name, arity, access: Access::Neither, keys: NONE, parts: &[], parse }
}

const fn words(name: &'static str, arity: i8, parts: &'static [Word], parse: Parse) -> Word {
    Word { name, arity, access: Access::Neither, keys: NONE, parts, parse }
}

/// All commands by name.
pub(super) static WORDS: &[Word] = &[
    writes("append", 3, ONE, |given| strings::append(given).into()),
    word("auth", -2, |given| connection::auth(given).into()),
    words("client", -2, CLIENT, |_| errors::syntax().into()),
    words("command", -1, COMMAND, |_| introspection::info(WORDS, &[]).into()),
    reads("dbsize", 1, NONE, |_| Query::Size.into()),
    writes("decr", 2, ONE, |given| strings::add(given, -1).into()),
    writes("decrby", 3, ONE, |given| strings::decrease_by(given).into()),
    writes("del", -2, ALL, |given| strings::delete(given).into()),
    word("discard", 1, |_| Request::Discard),
    word("echo", 2, |given| Reply::Bulk(given[1].clone()).into()),
    word("exec", 1, |_| Request::Exec),
    reads("exists", -2, ALL, |given| Query::Exists(given[1..].into()).into()),
    writes("flushall", -1, NONE, |given| strings::flush(given).into()),
    writes("flushdb", -1, NONE, |given| strings::flush(given).into()),
    reads("get", 2, ONE, |given| Query::Get(given[1].clone()).into()),
    writes("getdel", 2, ONE, |given| Command::Take(given[1].clone()).into()),
    reads("getrange", 4, ONE, |given| keys::range(given).into()),
    writes("getset", 3, ONE, |given| strings::get_and_set(given).into()),
    word("hello", -1, |given| connection::hello(given).into()),
    writes("incr", 2, ONE, |given| strings::add(given, 1).into()),
    writes("incrby", 3, ONE, |given| strings::increase_by(given).into()),
    word("info", -1, introspection::sections),
    reads("keys", 2, NONE, |given| Query::Keys(given[1].clone()).into()),
    reads("mget", -2, ALL, |given| Query::GetAll(given[1..].into()).into()),
    writes("mset", -3, PAIRS, |given| strings::set_all("mset", given, false).into()),
    writes("msetnx", -3, PAIRS, |given| strings::set_all("msetnx", given, true).into()),
    word("multi", 1, |_| Request::Multi),
    words("paxos", -2, PAXOS, |_| errors::syntax().into()),
    word("ping", -1, |given| connection::ping(given).into()),
    reads("pttl", 2, ONE, |given| Query::TimeToLive(given[1].clone()).into()),
    word("quit", -1, |_| Request::Quit),
    word("reset", 1, |_| Request::Reset),
    reads("scan", -2, NONE, |given| keys::scan(given).into()),
    word("select", 2, |given| connection::select(given).into()),
    writes("set", -3, ONE, |given| strings::set(given).into()),
    writes("setnx", 3, ONE, |given| strings::set_all("setnx", given, true).into()),
    reads("strlen", 2, ONE, |given| Query::Length(given[1].clone()).into()),
    reads("substr", 4, ONE, |given| keys::range(given).into()),
    reads("ttl", 2, ONE, |given| Query::TimeToLive(given[1].clone()).into()),
    reads("type", 2, ONE, |given| Query::Type(given[1].clone()).into()),
    writes("unlink", -2, ALL, |given| strings::delete(given).into()),
    word("unwatch", 1, |_| Reply::ok().into()),
    word("watch", -2, |_| Request::Watch),
];

static CLIENT: &[Word] = &[
    word("getname", 2, |_| ClientRequest::GetName.into()),
    word("id", 2, |_| ClientRequest::Id.into()),
    word("info", 2, |_| ClientRequest::Info.into()),
    word("list", -2, |given| connection::list(given).into()),
    word("no-evict", 3, |given| connection::on_or_off(given).into()),
    word("no-touch", 3, |given| connection::on_or_off(given).into()),
    word("setinfo", 4, |given| connection::set_info(given).into()),
    word("setname", 3, |given| connection::set_name(given).into()),
];

static COMMAND: &[Word] = &[
    word("count", 2, |_| Reply::count(WORDS.len()).into()),
    word("docs", -2, |_| Reply::Map(Vec::new()).into()),
    word("info", -2, |given| introspection::info(WORDS, &given[2..]).into()),
    word("list", -2, |given| introspection::list(WORDS, given).into()),
];

static PAXOS: &[Word] = &[
    word("once", -6, |given| Request::Once(once::once(given))),
    word("session", 2, |_| Request::OpenSession),
];

/// The command that these arguments begin with, if they are as many as it takes.
pub(super) fn find(arguments: &[Bytes]) -> Result<&'static Word, Refusal> {
    let refused = |reply| Refusal { reply, exec: false };
    let Some((name, rest)) = arguments.split_first() else {
        return Err(refused(errors::unknown(arguments)));
    };
    let word = named(WORDS, name).ok_or_else(|| refused(errors::unknown(arguments)))?;
    match rest.first() {
        Some(name) if !word.parts.is_empty() => {
            let part = named(word.parts, name)
                .ok_or_else(|| refused(errors::unknown_subcommand(word.name, name)))?;
            if part.takes(arguments.len()) {
                return Ok(part);
            }
            Err(refused(errors::arity(&format!("{}|{}", word.name, part.name))))
        }
        _ if word.takes(arguments.len()) => Ok(word),
        _ => Err(Refusal { reply: errors::arity(word.name), exec: word.name == "exec" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_order() {
        for table in [WORDS, CLIENT, COMMAND, PAXOS] {
            assert!(table.is_sorted_by(|one, next| one.name < next.name));
        }
    }
}
