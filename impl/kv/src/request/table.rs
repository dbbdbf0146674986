//! The table of all commands.

use bytes::Bytes;

use super::{
    ClientRequest, Refusal, Request, connection, errors, introspection, keys, once,
    spec::{Access, CommandSpec, Keys, Parse, named},
    strings,
};
use crate::{command::Command, query::Query, reply::Reply};

const NONE: Keys = Keys(0, 0, 0);
const ONE: Keys = Keys(1, 1, 1);
const ALL: Keys = Keys(1, -1, 1);
const PAIRS: Keys = Keys(1, -1, 2);

const fn reads(name: &'static str, arity: i8, keys: Keys, parse: Parse) -> CommandSpec {
    CommandSpec { name, arity, access: Access::Reads, keys, subcommands: &[], parse }
}

const fn writes(name: &'static str, arity: i8, keys: Keys, parse: Parse) -> CommandSpec {
    CommandSpec { name, arity, access: Access::Writes, keys, subcommands: &[], parse }
}

const fn other(name: &'static str, arity: i8, parse: Parse) -> CommandSpec {
    CommandSpec { name, arity, access: Access::Neither, keys: NONE, subcommands: &[], parse }
}

const fn group(
    name: &'static str,
    arity: i8,
    subcommands: &'static [CommandSpec],
    parse: Parse,
) -> CommandSpec {
    CommandSpec { name, arity, access: Access::Neither, keys: NONE, subcommands, parse }
}

/// All commands by name.
pub(super) static COMMANDS: &[CommandSpec] = &[
    writes("append", 3, ONE, |given| strings::append(given).into()),
    other("auth", -2, |given| connection::auth(given).into()),
    group("client", -2, CLIENT, |_| errors::syntax().into()),
    group("command", -1, COMMAND, |_| introspection::info(COMMANDS, &[]).into()),
    reads("dbsize", 1, NONE, |_| Query::Size.into()),
    writes("decr", 2, ONE, |given| strings::add(given, -1).into()),
    writes("decrby", 3, ONE, |given| strings::decrease_by(given).into()),
    writes("del", -2, ALL, |given| strings::delete(given).into()),
    other("discard", 1, |_| Request::Discard),
    other("echo", 2, |given| Reply::Bulk(given[1].clone()).into()),
    other("exec", 1, |_| Request::Exec),
    reads("exists", -2, ALL, |given| Query::Exists(given[1..].into()).into()),
    writes("flushall", -1, NONE, |given| strings::flush(given).into()),
    writes("flushdb", -1, NONE, |given| strings::flush(given).into()),
    reads("get", 2, ONE, |given| Query::Get(given[1].clone()).into()),
    writes("getdel", 2, ONE, |given| Command::Take(given[1].clone()).into()),
    reads("getrange", 4, ONE, |given| keys::range(given).into()),
    writes("getset", 3, ONE, |given| strings::get_and_set(given).into()),
    other("hello", -1, |given| connection::hello(given).into()),
    writes("incr", 2, ONE, |given| strings::add(given, 1).into()),
    writes("incrby", 3, ONE, |given| strings::increase_by(given).into()),
    other("info", -1, introspection::sections),
    reads("keys", 2, NONE, |given| Query::Keys(given[1].clone()).into()),
    reads("mget", -2, ALL, |given| Query::GetAll(given[1..].into()).into()),
    writes("mset", -3, PAIRS, |given| strings::set_all("mset", given, false).into()),
    writes("msetnx", -3, PAIRS, |given| strings::set_all("msetnx", given, true).into()),
    other("multi", 1, |_| Request::Multi),
    group("paxos", -2, PAXOS, |_| errors::syntax().into()),
    other("ping", -1, |given| connection::ping(given).into()),
    reads("pttl", 2, ONE, |given| Query::TimeToLive(given[1].clone()).into()),
    other("quit", -1, |_| Request::Quit),
    other("reset", 1, |_| Request::Reset),
    reads("scan", -2, NONE, |given| keys::scan(given).into()),
    other("select", 2, |given| connection::select(given).into()),
    writes("set", -3, ONE, |given| strings::set(given).into()),
    writes("setnx", 3, ONE, |given| strings::set_all("setnx", given, true).into()),
    reads("strlen", 2, ONE, |given| Query::Length(given[1].clone()).into()),
    reads("substr", 4, ONE, |given| keys::range(given).into()),
    reads("ttl", 2, ONE, |given| Query::TimeToLive(given[1].clone()).into()),
    reads("type", 2, ONE, |given| Query::Type(given[1].clone()).into()),
    writes("unlink", -2, ALL, |given| strings::delete(given).into()),
    other("unwatch", 1, |_| Reply::ok().into()),
    other("watch", -2, |_| Request::Watch),
];

static CLIENT: &[CommandSpec] = &[
    other("getname", 2, |_| ClientRequest::GetName.into()),
    other("id", 2, |_| ClientRequest::Id.into()),
    other("info", 2, |_| ClientRequest::Info.into()),
    other("list", -2, |given| connection::list(given).into()),
    other("no-evict", 3, |given| connection::on_or_off(given).into()),
    other("no-touch", 3, |given| connection::on_or_off(given).into()),
    other("setinfo", 4, |given| connection::set_info(given).into()),
    other("setname", 3, |given| connection::set_name(given).into()),
];

static COMMAND: &[CommandSpec] = &[
    other("count", 2, |_| Reply::count(COMMANDS.len()).into()),
    other("docs", -2, |_| Reply::Map(Vec::new()).into()),
    other("info", -2, |given| introspection::info(COMMANDS, &given[2..]).into()),
    other("list", -2, |given| introspection::list(COMMANDS, given).into()),
];

static PAXOS: &[CommandSpec] = &[
    other("once", -6, |given| Request::Once(once::once(given))),
    other("session", 2, |_| Request::OpenSession),
    other("transfer", 3, connection::transfer),
];

/// Returns the command or subcommand with which these arguments begin.
///
/// # Errors
/// Fails if there is no such command, or if it does not take this number of arguments.
pub(super) fn find(arguments: &[Bytes]) -> Result<&'static CommandSpec, Refusal> {
    let refused = |reply| Refusal { reply, exec: false };
    let Some((name, rest)) = arguments.split_first() else {
        return Err(refused(errors::unknown(arguments)));
    };
    let command = named(COMMANDS, name).ok_or_else(|| refused(errors::unknown(arguments)))?;
    match rest.first() {
        Some(name) if !command.subcommands.is_empty() => {
            let part = named(command.subcommands, name)
                .ok_or_else(|| refused(errors::unknown_subcommand(command.name, name)))?;
            if part.takes(arguments.len()) {
                return Ok(part);
            }
            Err(refused(errors::arity(&format!("{}|{}", command.name, part.name))))
        }
        _ if command.takes(arguments.len()) => Ok(command),
        _ => Err(Refusal { reply: errors::arity(command.name), exec: command.name == "exec" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_order() {
        for table in [COMMANDS, CLIENT, COMMAND, PAXOS] {
            assert!(table.is_sorted_by(|one, next| one.name < next.name));
        }
    }
}
