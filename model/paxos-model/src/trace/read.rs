//! Reads values of ITF as records, variants and numbers. An error names the place of the unexpected value.

use std::collections::BTreeMap;

use super::itf::{Value, brief};

/// A recorded value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The place of the value, relative to the value that was read.
    pub at: String,
    /// The value found, shortened for an error.
    pub found: String,
    /// The values that are accepted.
    pub accepted: String,
}

impl Unusable {
    pub(super) fn new(at: impl Into<String>, found: &Value, accepted: impl Into<String>) -> Self {
        Self { at: at.into(), found: brief(found), accepted: accepted.into() }
    }

    /// Returns the same error, with the place relative to an outer value.
    pub(super) fn within(self, outer: &str) -> Self {
        Self { at: format!("{outer}{}", self.at), ..self }
    }
}

/// A value that was read, or the reason why it cannot be used.
pub type Usable<T> = Result<T, Unusable>;

/// Returns the fields of a record. The record must have all fields of `needed`, may have those of `more`, and must have no
/// others.
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

/// Returns the fields of a record, in the order of `names`. The record must have exactly these fields.
pub(super) fn fields<'v, const N: usize>(
    value: &'v Value,
    names: [&str; N],
) -> Usable<[&'v Value; N]> {
    let record = record(value, &names, &[])?;
    Ok(names.map(|name| record[name]))
}

/// Returns the tag of a variant, and its value.
pub(super) fn variant(value: &Value) -> Usable<(&str, &Value)> {
    let [tag, value] = fields(value, ["tag", "value"])?;
    match tag {
        Value::Str(tag) => Ok((tag, value)),
        _ => Err(Unusable::new(".tag", tag, "a string")),
    }
}

/// Returns an integer from `least` to `most`, both included.
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
