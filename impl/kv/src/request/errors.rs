//! Errors. Most have the text of Redis, because clients compare it.

use bytes::Bytes;

use crate::Reply;

/// Returns the error for an option that is unknown or contradicts another.
pub(crate) const fn syntax() -> Reply {
    Reply::error("ERR syntax error")
}

/// Returns the error for an argument that is not a number of 64 bits.
pub(crate) const fn not_an_integer() -> Reply {
    Reply::error("ERR value is not an integer or out of range")
}

/// Returns the error for too many or too few arguments.
pub(crate) fn arity(command: &str) -> Reply {
    Reply::Error(format!("ERR wrong number of arguments for '{command}' command").into())
}

/// Returns the error for a request with `found` of something, of which `most` are allowed.
pub(crate) fn too_many(what: &str, found: usize, most: usize) -> Reply {
    Reply::Error(format!("ERR too many {what}: {found}; at most {most} are allowed").into())
}

/// Returns the error for an unknown command. It repeats the first arguments.
pub(crate) fn unknown(arguments: &[Bytes]) -> Reply {
    const SHOWN_MAX: usize = 128;
    let mut shown = Vec::new();
    for argument in arguments.iter().skip(1) {
        let Some(rest) = SHOWN_MAX.checked_sub(shown.len()).filter(|rest| *rest > 0) else {
            break;
        };
        shown.extend([b"'", part(argument, rest), b"' "].concat());
    }
    let name = arguments.first().map_or(&b""[..], |name| part(name, SHOWN_MAX));
    let text = [b"ERR unknown command '", name, b"', with args beginning with: ", &shown[..]];
    Reply::Error(text.concat().into())
}

/// Returns the error for an unknown subcommand of a known command.
pub(crate) fn unknown_subcommand(command: &str, subcommand: &[u8]) -> Reply {
    let rest = format!("'. Try {} HELP.", command.to_ascii_uppercase());
    let text = [b"ERR unknown subcommand '", part(subcommand, 128), rest.as_bytes()];
    Reply::Error(text.concat().into())
}

/// Returns the part of a text that an error repeats: at most `most` bytes, up to the first zero byte.
pub(crate) fn part(text: &[u8], most: usize) -> &[u8] {
    let end = text.iter().take(most).position(|byte| *byte == 0);
    &text[..end.unwrap_or(most.min(text.len()))]
}
