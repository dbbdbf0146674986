//! Integers in the form that Redis accepts. Redis writes each integer in this form, and accepts no other.

/// Parses a number of 64 bits. Accepts only the shortest form: no plus sign, no leading zero, no space. So each number
/// has one text, and a counter equals the text that a client stored.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        b"0" => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    // The sum is negative, because there is one more number below zero than above.
    let mut number = 0_i64;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        number = number.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative { Some(number) } else { number.checked_neg() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_is_one_way_to_write_a_number() {
        let others =
            ["", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1x", "0x1", "1.0", "--1", "00"];
        for text in others.into_iter().chain(["9223372036854775808", "-9223372036854775809"]) {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_read(number in prop_oneof![any::<i64>(), -20..20_i64, Just(i64::MIN), Just(i64::MAX)]) {
            prop_assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }

        #[test]
        fn only_the_shortest_form_is_read(text in "-?[0-9]{0,20}") {
            let expected = text.parse().ok().filter(|number: &i64| number.to_string() == text);
            prop_assert_eq!(integer(text.as_bytes()), expected);
        }
    }
}
