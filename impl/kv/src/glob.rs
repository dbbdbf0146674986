//! Patterns for keys: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a character that stands for itself.
//!
//! This module uses no crate. Crates for globs support paths, braces or UTF-8, and keys are bytes.

use super::limits::{Exceeded, Meter, cost};

/// Returns true if the pattern matches the whole text. The number of comparisons grows at most with the product of the
/// lengths of pattern and text.
///
/// # Errors
/// Fails if the meter allows no more comparisons.
pub(crate) fn matches(pattern: &[u8], text: &[u8], meter: &mut Meter) -> Result<bool, Exceeded> {
    let mut comparisons = 0;
    let most = meter.steps().saturating_mul(cost::COMPARISONS);
    let matched = compare(pattern, text, &mut comparisons, most);
    meter.spend(comparisons / cost::COMPARISONS)?;
    matched.ok_or_else(|| meter.exceed(Exceeded::Steps))
}

/// Returns true if the pattern matches the text, or `None` if more than `most` comparisons are needed.
fn compare(pattern: &[u8], text: &[u8], comparisons: &mut u64, most: u64) -> Option<bool> {
    let (mut pattern, mut text) = (pattern, text);
    // Every element except a star takes exactly one byte. So only the last star has to be tried with more bytes. It
    // can also take the bytes that an earlier star could take.
    let mut last_star = None;
    loop {
        *comparisons += 1;
        if *comparisons > most {
            return None;
        }
        if let [b'*', rest @ ..] = pattern {
            pattern = rest;
            last_star = Some((pattern, text));
            continue;
        }
        let [byte, after @ ..] = text else {
            return Some(pattern.is_empty());
        };
        if let Some(rest) = one(pattern, *byte, comparisons) {
            (pattern, text) = (rest, after);
        } else if let Some((rest, [_, longer @ ..])) = last_star {
            last_star = Some((rest, longer));
            (pattern, text) = (rest, longer);
        } else {
            return Some(false);
        }
    }
}

/// Returns the rest of the pattern if its first element matches this byte.
fn one<'a>(pattern: &'a [u8], byte: u8, comparisons: &mut u64) -> Option<&'a [u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', b'^', class @ ..] => class_of(class, byte, false, comparisons),
        [b'[', class @ ..] => class_of(class, byte, true, comparisons),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == byte).then_some(rest),
    }
}

/// Returns the rest of the pattern after a class, if the class has this byte, or for a negated class if it does not.
/// `class` begins after the opening bracket. A class without a closing bracket ends with the pattern.
fn class_of<'a>(
    mut class: &'a [u8],
    byte: u8,
    wanted: bool,
    comparisons: &mut u64,
) -> Option<&'a [u8]> {
    let mut found = false;
    loop {
        *comparisons += 1;
        class = match class {
            [] => break,
            [b']', rest @ ..] => {
                class = rest;
                break;
            }
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [from, b'-', to, rest @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
    (found == wanted).then_some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        super::matches(pattern, text, &mut Meter::default()).unwrap()
    }

    #[test]
    fn patterns_of_every_kind() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("*", &["", "a", "ab"], &[]),
            ("a?c", &["abc", "a?c"], &["ac", "abbc"]),
            ("a*c*e", &["ace", "abcde", "accee"], &["abd", "aec"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x"]),
            ("[c-a]", &["b"], &["d"]),
            ("[^a-c]x", &["dx"], &["bx", "x"]),
            ("[]x", &[], &["x", "]x"]),
            (r"[\]]", &["]"], &[r"\"]),
            ("[ab", &["a", "b"], &["c", ""]),
            (r"\*", &["*"], &["a", r"\*"]),
            (r"\", &[r"\"], &[""]),
            ("**a**", &["a", "bab"], &["", "b"]),
        ] {
            for text in yes {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
            for text in no {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
    }

    /// A matcher that tried every division of the text between the stars would take for ever.
    #[test]
    fn many_stars_take_few_comparisons() {
        assert!(!matches(&b"a*".repeat(50), &[b'a'; 10_000].map(|a| a + 1)));
        assert!(!matches(&[&b"*a".repeat(50)[..], b"b"].concat(), &[b'a'; 10_000]));
    }

    #[test]
    fn comparisons_are_bounded() {
        let stars = [&b"*"[..], &b"a".repeat(100_000), b"b"].concat();
        let class = [&b"*["[..], &b"b".repeat(100_000), b"]"].concat();
        for pattern in [stars, class] {
            let mut meter = Meter::default();
            let matched = super::matches(&pattern, &b"a".repeat(200_000), &mut meter);
            assert_eq!(matched, Err(Exceeded::Steps));
        }
    }
}
