//! Commands about commands: `COMMAND` and the arguments of `INFO`.

use bytes::Bytes;

use super::{
    Request, errors,
    spec::{Access, CommandSpec, named},
};
use crate::{limits::NAMES_MAX, reply::Reply};

/// Describes the commands of the table with these names, or all commands if the list is empty.
pub(super) fn info(table: &'static [CommandSpec], names: &[Bytes]) -> Reply {
    if names.len() > NAMES_MAX {
        return errors::too_many("names", names.len(), NAMES_MAX);
    }
    let description = |name: &Bytes| named(table, name).map_or(Reply::Null, described);
    Reply::Array(if names.is_empty() {
        table.iter().map(described).collect()
    } else {
        names.iter().map(description).collect()
    })
}

/// Parses the sections that `INFO` asks for.
pub(super) fn sections(arguments: &[Bytes]) -> Request {
    match arguments.len() - 1 {
        names if names > NAMES_MAX => errors::too_many("sections", names, NAMES_MAX).into(),
        _ => Request::Info(arguments[1..].into()),
    }
}

/// Returns the names of all commands in the table.
pub(super) fn list(table: &[CommandSpec], arguments: &[Bytes]) -> Result<Reply, Reply> {
    if arguments.len() > 2 {
        return Err(errors::syntax());
    }
    let names = table.iter().map(|command| Reply::Bulk(command.name.into()));
    Ok(Reply::Array(names.collect()))
}

/// Describes a command as Redis 7 does. The lists of categories, tips, key specifications and subcommands are empty.
fn described(command: &CommandSpec) -> Reply {
    let flags = match command.access {
        Access::Reads => vec![Reply::simple("readonly")],
        Access::Writes => vec![Reply::simple("write")],
        Access::Neither => vec![],
    };
    let number = |number: i8| Reply::Integer(number.into());
    Reply::Array(vec![
        Reply::Bulk(command.name.into()),
        number(command.arity),
        Reply::Array(flags),
        number(command.keys.0),
        number(command.keys.1),
        number(command.keys.2),
        Reply::Array(vec![]),
        Reply::Array(vec![]),
        Reply::Array(vec![]),
        Reply::Array(vec![]),
    ])
}
