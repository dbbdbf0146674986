//! Reading values of ITF as what they should be, and saying where they are not.

use std::collections::BTreeMap;

use super::itf::{Value, brief};

/// What makes a recorded thing unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Where, from the thing that was to be read.
    pub at: String,
    /// What is there.
    pub found: String,
    /// What would be accepted.
    pub accepted: String,
}

impl Unusable {
    /// That `found` stands at a place.
    pub(super) fn new(at: impl Into<String>, found: &Value, accepted: impl Into<String>) -> Self {
        Self { at: at.into(), found: brief(found), accepted: accepted.into() }
    }

    /// The same, seen from what it is in.
    pub(super) fn within(self, outer: &str) -> Self {
        Self { at: format!("{outer}{}", self.at), ..self }
    }
}

/// Something that was read, or why it was not.
pub type Usable<T> = Result<T, Unusable>;

/// The fields of a record: all that are needed, and beside them only those that may be there.
pub(super) fn record<'v>(
    value: &'v Value,
    needed: &[&str],
    more: &[&str],
) -> Usable<BTreeMap<&'v str, &'v Value>> {
    let accepted = || format!("a record of {}", needed.join(", "));
    let Value::Record(record) = value else {
        return Err(Unusable::new("", value, accepted()));
    };
    if let Some(missing) = needed.iter().find(|name| !record.contains_key(**name)) {
        return Err(Unusable {
            at: format!(".{missing}"),
            found: "nothing".into(),
            accepted: accepted(),
        });
    }
    let known = |name: &str| needed.contains(&name) || more.contains(&name);
    if let Some((name, value)) = record.iter().find(|(name, _)| !known(name)) {
        return Err(Unusable::new(format!(".{name}"), value, accepted()));
    }
    Ok(record.iter().map(|(name, value)| (name.as_str(), value)).collect())
}

/// The fields of a record: exactly those named, in that order.
pub(super) fn fields<'v, const N: usize>(
    value: &'v Value,
    names: [&str; N],
) -> Usable<[&'v Value; N]> {
    let record = record(value, &names, &[])?;
    Ok(names.map(|name| record[name]))
}

/// The tag of a variant, and what is in it.
pub(super) fn variant(value: &Value) -> Usable<(&str, &Value)> {
    let [tag, value] = fields(value, ["tag", "value"])?;
    match tag {
        Value::Str(tag) => Ok((tag, value)),
        _ => Err(Unusable::new(".tag", tag, "a string")),
    }
}

/// An integer in a range, both ends included.
pub(super) fn number(value: &Value, least: u8, most: u8) -> Usable<u8> {
    let in_range = match value {
        Value::Int(number) => u8::try_from(*number).ok(),
        _ => None,
    };
    in_range.filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        let range =
            if least == most { format!("{least} only") } else { format!("{least} to {most}") };
        Unusable::new("", value, format!("an integer, {range}"))
    })
}
