//! Inline commands, which a user can type. Spaces separate the words, and a word with spaces is in quotes.

use bytes::Bytes;

use super::Arguments;

/// Splits a line into words. Returns `None` if a quote is not closed, or if neither a space nor the end of the line
/// follows the closing quote.
///
/// Between double quotes `\n`, `\r`, `\t`, `\a`, `\b` and `\x` with two hexadecimal digits stand for one byte, and `\`
/// before any other byte stands for that byte. Between single quotes only `\'` is special.
pub(super) fn words(line: &[u8]) -> Option<Arguments> {
    let mut rest = line;
    let mut words = Arguments::new();
    loop {
        let Some(start) = rest.iter().position(|byte| !is_space(*byte)) else {
            return Some(words);
        };
        let mut word = Vec::new();
        rest = take_word(&rest[start..], &mut word)?;
        words.push(Bytes::from(word));
    }
}

fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [quote @ (b'"' | b'\''), quoted @ ..] => {
                rest = take_quoted(*quote, quoted, word)?;
                return rest.first().is_none_or(|next| is_space(*next)).then_some(rest);
            }
            [byte, after @ ..] if !is_space(*byte) => {
                word.push(*byte);
                rest = after;
            }
            _ => return Some(rest),
        }
    }
}

fn take_quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let byte;
        (byte, rest) = match (quote, rest) {
            (_, []) => return None,
            (b'"', [b'\\', b'x', high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (16 * hex(*high) + hex(*low), after)
            }
            (b'"', [b'\\', escaped, after @ ..]) => (unescaped(*escaped), after),
            (b'\'', [b'\\', b'\'', after @ ..]) => (b'\'', after),
            (_, [byte, after @ ..]) if *byte == quote => return Some(after),
            (_, [byte, after @ ..]) => (*byte, after),
        };
        word.push(byte);
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Returns true for the bytes that are spaces in C. They include the vertical tab.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_their_words() {
        for (line, expected) in [
            (&b""[..], Some(&[][..])),
            (b" \t\r ", Some(&[])),
            (b"get a", Some(&[&b"get"[..], b"a"])),
            (b"  get\ta  ", Some(&[b"get", b"a"])),
            (br#""a b" 'c d'"#, Some(&[b"a b", b"c d"])),
            (br#""" ''"#, Some(&[b"", b""])),
            (br#"a"b c""#, Some(&[b"ab c"])),
            (br#""\n\r\t\b\a\x4f\q\"""#, Some(&[b"\n\r\t\x08\x07Oq\""])),
            (br#""\x4g""#, Some(&[b"x4g"])),
            (br"'\n\''", Some(&[br"\n'"])),
            (b"a\0b c", Some(&[b"a\0b", b"c"])),
            (br#""a"#, None),
            (br#""a"b"#, None),
            (br"'a\'", None),
            (br#""a\"#, None),
        ] {
            let expected = expected.map(<[_]>::to_vec);
            let words = words(line);
            let words = words.as_ref().map(|words| words.iter().map(|word| &word[..]).collect());
            assert_eq!(words, expected, "{}", line.escape_ascii());
        }
    }
}
