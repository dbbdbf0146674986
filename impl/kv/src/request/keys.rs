//! The arguments of queries: ranges, and the options of `SCAN`.

use bytes::Bytes;

use super::errors;
use crate::{number::integer, query::Query, reply::Reply};

/// The default for `COUNT` in `SCAN`.
const SCAN_COUNT: u64 = 10;

pub(super) fn range(arguments: &[Bytes]) -> Result<Query, Reply> {
    let position = |index: usize| integer(&arguments[index]).ok_or(errors::not_an_integer());
    let (first, last) = (position(2)?, position(3)?);
    Ok(Query::Range { key: arguments[1].clone(), first, last })
}

pub(super) fn scan(arguments: &[Bytes]) -> Result<Query, Reply> {
    let cursor = cursor(&arguments[1]).ok_or(Reply::error("ERR invalid cursor"))?;
    let (mut count, mut pattern, mut none) = (SCAN_COUNT, None, false);
    for option in arguments[2..].chunks(2) {
        let [option, value] = option else {
            return Err(errors::syntax());
        };
        if option.eq_ignore_ascii_case(b"count") {
            let number = integer(value).ok_or(errors::not_an_integer())?;
            count = u64::try_from(number).ok().filter(|count| *count > 0).ok_or(errors::syntax())?;
        } else if option.eq_ignore_ascii_case(b"match") {
            pattern = Some(value.clone());
        } else if option.eq_ignore_ascii_case(b"type") {
            none = !value.eq_ignore_ascii_case(b"string");
        } else {
            return Err(errors::syntax());
        }
    }
    Ok(Query::Scan { cursor, count, pattern, none })
}

/// Parses a number without a sign. Leading zeros are allowed, and an empty text is 0.
fn cursor(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |cursor, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        cursor.checked_mul(10)?.checked_add(digit)
    })
}
