//! What clients may know of commands.

use bytes::Bytes;

use super::{
    Request, errors,
    word::{Access, Word, named},
};
use crate::{limits::NAMES_MAX, reply::Reply};

/// Of these commands of the table, or of all.
pub(super) fn info(table: &'static [Word], names: &[Bytes]) -> Reply {
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

/// Of the server.
pub(super) fn sections(arguments: &[Bytes]) -> Request {
    match arguments.len() - 1 {
        names if names > NAMES_MAX => errors::too_many("sections", names, NAMES_MAX).into(),
        _ => Request::Info(arguments[1..].into()),
    }
}

/// The names of the table.
pub(super) fn list(table: &[Word], arguments: &[Bytes]) -> Result<Reply, Reply> {
    if arguments.len() > 2 {
        return Err(errors::syntax());
    }
    let names = table.iter().map(|word| Reply::Bulk(word.name.into()));
    Ok(Reply::Array(names.collect()))
}

/// What Redis 7 says of a command, but for categories, tips, specifications of keys and parts, of which there are
/// none.
fn described(word: &Word) -> Reply {
    let flags = match word.access {
        Access::Reads => vec![Reply::simple("readonly")],
        Access::Writes => vec![Reply::simple("write")],
        Access::Neither => vec![],
    };
    let number = |number: i8| Reply::Integer(number.into());
    Reply::Array(vec![
        Reply::Bulk(word.name.into()),
        number(word.arity),
        Reply::Array(flags),
        number(word.keys.0),
        number(word.keys.1),
        number(word.keys.2),
        Reply::Array(vec![]),
        Reply::Array(vec![]),
        Reply::Array(vec![]),
        Reply::Array(vec![]),
    ])
}
