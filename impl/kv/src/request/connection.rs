//! Commands about the connection.

use bytes::Bytes;

use super::{ClientRequest, Hello, Request, errors};
use crate::{limits::NAME_MAX, number::integer, reply::Reply, resp::Protocol};
use paxos::types::NodeId;

pub(super) fn ping(arguments: &[Bytes]) -> Reply {
    match arguments {
        [_] => Reply::simple("PONG"),
        [_, text] => Reply::Bulk(text.clone()),
        _ => errors::arity("ping"),
    }
}

/// Parses `PAXOS TRANSFER node`.
pub(super) fn transfer(arguments: &[Bytes]) -> Request {
    match integer(&arguments[2]).map(u32::try_from) {
        Some(Ok(node)) => Request::Transfer(NodeId(node)),
        _ => errors::not_an_integer().into(),
    }
}

/// The highest number of bytes of an option that an error repeats.
const SHOWN_MAX: usize = 1 << 10;

/// Accepts only database 0.
pub(super) fn select(arguments: &[Bytes]) -> Reply {
    match integer(&arguments[1]).map(i32::try_from) {
        Some(Ok(0)) => Reply::ok(),
        Some(Ok(_)) => Reply::error("ERR DB index is out of range"),
        Some(Err(_)) => {
            Reply::error("ERR value is out of range, value must between -2147483648 and 2147483647")
        }
        None => errors::not_an_integer(),
    }
}

const WRONG_USER: Reply =
    Reply::error("WRONGPASS invalid username-password pair or user is disabled.");

/// Accepts any password together with the name of the only user, because no password is set. A password without a name
/// is an error, as in Redis.
pub(super) fn auth(arguments: &[Bytes]) -> Reply {
    match arguments {
        [_, _password] => Reply::error(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ),
        [_, user, _password] if user == "default" => Reply::ok(),
        [_, _, _] => WRONG_USER,
        _ => errors::syntax(),
    }
}

pub(super) fn hello(arguments: &[Bytes]) -> Result<Hello, Reply> {
    let mut hello = Hello::default();
    let Some((version, mut options)) = arguments[1..].split_first() else {
        return Ok(hello);
    };
    hello.protocol = match integer(version) {
        Some(2) => Some(Protocol::Resp2),
        Some(3) => Some(Protocol::Resp3),
        Some(_) => return Err(Reply::error("NOPROTO unsupported protocol version")),
        None => {
            return Err(Reply::error("ERR Protocol version is not an integer or out of range"));
        }
    };
    let mut unknown_user = false;
    while let [option, rest @ ..] = options {
        options = match rest {
            [user, _password, rest @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                unknown_user = user != "default";
                rest
            }
            [name, rest @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                hello.name = Some(Bytes::copy_from_slice(name));
                rest
            }
            _ => {
                let option = errors::part(option, SHOWN_MAX);
                let text = [b"ERR Syntax error in HELLO option '", option, b"'"];
                return Err(Reply::Error(text.concat().into()));
            }
        };
    }
    // Any password is right for the only user.
    if unknown_user {
        return Err(WRONG_USER);
    }
    if let Some(name) = &hello.name {
        check_name("Client names", name)?;
    }
    Ok(hello)
}

pub(super) fn set_name(arguments: &[Bytes]) -> Result<ClientRequest, Reply> {
    check_name("Client names", &arguments[2])?;
    Ok(ClientRequest::SetName(Bytes::copy_from_slice(&arguments[2])))
}

pub(super) fn set_info(arguments: &[Bytes]) -> Result<ClientRequest, Reply> {
    let (attribute, value) = (&arguments[2], &arguments[3]);
    if attribute.eq_ignore_ascii_case(b"lib-name") {
        check_name("lib-name", value)?;
        Ok(ClientRequest::SetLibraryName(Bytes::copy_from_slice(value)))
    } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
        check_name("lib-ver", value)?;
        Ok(ClientRequest::SetLibraryVersion(Bytes::copy_from_slice(value)))
    } else {
        let attribute = errors::part(attribute, SHOWN_MAX);
        Err(Reply::Error([b"ERR Unrecognized option '", attribute, b"'"].concat().into()))
    }
}

pub(super) fn list(arguments: &[Bytes]) -> Result<ClientRequest, Reply> {
    if arguments.len() > 2 { Err(errors::syntax()) } else { Ok(ClientRequest::List) }
}

/// Accepts `on` and `off` for options about memory that have no effect here.
pub(super) fn on_or_off(arguments: &[Bytes]) -> Reply {
    let known = ["on", "off"].iter().any(|word| arguments[2].eq_ignore_ascii_case(word.as_bytes()));
    if known { Reply::ok() } else { errors::syntax() }
}

/// Fails if a name is too long, or has characters that do not fit into a list with spaces between its items.
fn check_name(what: &str, name: &[u8]) -> Result<(), Reply> {
    if name.len() > NAME_MAX {
        return Err(errors::too_many("bytes in a name", name.len(), NAME_MAX));
    }
    if name.iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    let text = format!("ERR {what} cannot contain spaces, newlines or special characters.");
    Err(Reply::Error(text.into()))
}
