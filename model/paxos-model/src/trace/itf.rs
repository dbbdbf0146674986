//! Values of the Informal Trace Format, the JSON that Apalache and Quint write.
//!
//! Integers are `{"#bigint": "7"}`, tuples `{"#tup": […]}`, sets `{"#set": […]}`, maps
//! `{"#map": [[key, value], …]}`. Sequences, records, strings and truth values are plain JSON. A plain
//! number is also read as an integer if it is whole. Sets and maps have no order and no duplicates.
//!
//! A variant is a record of `tag` and `value`. A variant that holds nothing has the string `"U_OF_UNIT"` for its
//! value, as Apalache writes it. Quint writes an empty tuple there and itf-py writes null. Both are read as
//! the same unit.
//!
//! Other tools also write null, fractions, and `#unserializable` for values without a notation. These are read as
//! [`Value::Foreign`]. The reader of a trace ignores them in variables that it ignores, and refuses them with
//! their place elsewhere.
//!
//! This module does not depend on Paxos.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap as _,
};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond 64 bits: its decimal digits, without leading zeros.
    Large(String),
    /// A string.
    Str(String),
    /// A sequence.
    Seq(Vec<Value>),
    /// A tuple.
    Tup(Vec<Value>),
    /// A set.
    Set(BTreeSet<Value>),
    /// A map with keys of any kind.
    Map(BTreeMap<Value, Value>),
    /// A record.
    Record(BTreeMap<String, Value>),
    /// Null, a fraction, or `#unserializable`, as text for people. It is not a value of ITF.
    Foreign(String),
}

/// The value of a variant that holds nothing.
const UNIT: &str = "U_OF_UNIT";

/// The largest integer that every JSON reader reads exactly from a number.
const EXACT: f64 = 9_007_199_254_740_991.0;

impl Value {
    /// Returns a string.
    pub fn string(text: impl Into<String>) -> Self {
        Self::Str(text.into())
    }

    /// Returns a record.
    pub fn record<'n>(fields: impl IntoIterator<Item = (&'n str, Self)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self::Record(fields.collect())
    }

    /// Returns a variant, as Apalache and Quint write it.
    pub fn variant(tag: &str, value: Self) -> Self {
        Self::record([("tag", Self::string(tag)), ("value", value)])
    }

    /// Returns the value of a variant that holds nothing.
    pub fn unit() -> Self {
        Self::string(UNIT)
    }

    /// Returns the place and the text of the first [`Self::Foreign`] in a value. The place is relative to the value.
    pub fn foreign(&self) -> Option<(String, &str)> {
        match self {
            Self::Foreign(text) => Some((String::new(), text)),
            Self::Bool(_) | Self::Int(_) | Self::Large(_) | Self::Str(_) => None,
            Self::Seq(items) | Self::Tup(items) => first_foreign(items.iter().enumerate()),
            Self::Set(items) => first_foreign(items.iter().map(|it| ("element", it))),
            Self::Map(map) => {
                let key = first_foreign(map.keys().map(|key| ("key", key)));
                key.or_else(|| first_foreign(map))
            }
            Self::Record(fields) => fields.iter().find_map(|(name, it)| {
                let (at, text) = it.foreign()?;
                Some((format!(".{name}{at}"), text))
            }),
        }
    }

    /// Returns the value as plain JSON. Other readers expect this form in `#meta`.
    pub fn plain(&self) -> serde_json::Value {
        let all = |items: &mut dyn Iterator<Item = &Self>| items.map(Self::plain).collect();
        match self {
            Self::Bool(it) => (*it).into(),
            Self::Int(it) => (*it).into(),
            Self::Large(text) | Self::Str(text) | Self::Foreign(text) => text.as_str().into(),
            Self::Seq(items) | Self::Tup(items) => all(&mut items.iter()),
            Self::Set(items) => all(&mut items.iter()),
            Self::Map(map) => map.iter().map(|(k, v)| (k.to_string(), v.plain())).collect(),
            Self::Record(fields) => fields.iter().map(|(k, v)| (k.clone(), v.plain())).collect(),
        }
    }

    /// Returns the first difference of two values, or none if they are equal.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let mut at = String::new();
        let (left, right) = differ(self, other, &mut at)?;
        Some(Difference { at, left, right })
    }
}

fn first_foreign<'v, P: fmt::Display>(
    parts: impl IntoIterator<Item = (P, &'v Value)>,
) -> Option<(String, &'v str)> {
    parts.into_iter().find_map(|(part, it)| {
        let (at, text) = it.foreign()?;
        Some((format!("[{part}]{at}"), text))
    })
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Self::Int(i64::from(number))
    }
}

/// Converts a count. Every count of this crate is within the range of the integers.
impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// The first difference of two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The place, relative to the values.
    pub at: String,
    /// The part of the first value at that place.
    pub left: String,
    /// The part of the second value at that place.
    pub right: String,
}

const NOTHING: &str = "nothing";

fn differ(left: &Value, right: &Value, at: &mut String) -> Option<(String, String)> {
    if left == right {
        return None;
    }
    match (left, right) {
        (Value::Record(a), Value::Record(b)) => differ_in(a, b, at, |name| format!(".{name}")),
        (Value::Map(a), Value::Map(b)) => differ_in(a, b, at, |key| format!("[{key}]")),
        (Value::Seq(a), Value::Seq(b)) | (Value::Tup(a), Value::Tup(b)) => {
            let numbered =
                |items: &[Value]| items.iter().cloned().enumerate().collect::<BTreeMap<_, _>>();
            differ_in(&numbered(a), &numbered(b), at, |i| format!("[{i}]"))
        }
        (Value::Set(a), Value::Set(b)) => {
            let only = |a: &BTreeSet<_>, b| {
                a.difference(b).next().map_or(NOTHING.to_owned(), ToString::to_string)
            };
            Some((only(a, b), only(b, a)))
        }
        _ => Some((left.to_string(), right.to_string())),
    }
}

fn differ_in<K: Ord>(
    left: &BTreeMap<K, Value>,
    right: &BTreeMap<K, Value>,
    at: &mut String,
    name: impl Fn(&K) -> String,
) -> Option<(String, String)> {
    let keys: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let key = keys.into_iter().find(|key| left.get(key) != right.get(key))?;
    at.push_str(&name(key));
    match (left.get(key), right.get(key)) {
        (Some(a), Some(b)) => differ(a, b, at),
        (a, b) => {
            let show = |value: Option<&Value>| value.map_or(NOTHING.to_owned(), Value::to_string);
            Some((show(a), show(b)))
        }
    }
}

/// Returns the text of a value for an error. Cuts a long text, so that it does not hide the rest of the error.
pub fn brief(value: &Value) -> String {
    const LONGEST: usize = 200;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The text of a value for people, close to TLA+.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(
            f: &mut fmt::Formatter<'_>,
            open: &str,
            items: impl IntoIterator<Item = T>,
            close: &str,
        ) -> fmt::Result {
            f.write_str(open)?;
            for (i, item) in items.into_iter().enumerate() {
                write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str(close)
        }
        match self {
            Self::Bool(it) => write!(f, "{it}"),
            Self::Int(it) => write!(f, "{it}"),
            Self::Large(text) | Self::Str(text) | Self::Foreign(text) => f.write_str(text),
            Self::Seq(items) => list(f, "<", items, ">"),
            Self::Tup(items) => list(f, "(", items, ")"),
            Self::Set(items) => list(f, "{", items, "}"),
            Self::Map(map) => list(f, "(", map.iter().map(|(k, v)| format!("{k} -> {v}")), ")"),
            Self::Record(fields) => match (fields.get("tag"), fields.get("value")) {
                (Some(tag), Some(value)) if *value == Self::unit() => write!(f, "{tag}"),
                (Some(tag), Some(value)) => write!(f, "{tag} {value}"),
                _ => {
                    // The kind of a message of `Paxos.tla`.
                    let kind = fields.get("type");
                    if let Some(kind) = kind {
                        write!(f, "{kind} ")?;
                    }
                    let more = fields.iter().filter(|(name, _)| *name != "type");
                    list(f, "[", more.map(|(k, v)| format!("{k}: {v}")), "]")
                }
            },
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn marked<S: Serializer>(s: S, mark: &str, it: &impl Serialize) -> Result<S::Ok, S::Error> {
            let mut map = s.serialize_map(Some(1))?;
            map.serialize_entry(mark, it)?;
            map.end()
        }
        match self {
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::Int(it) => marked(serializer, "#bigint", &it.to_string()),
            Self::Large(digits) => marked(serializer, "#bigint", digits),
            Self::Foreign(text) => marked(serializer, "#unserializable", text),
            Self::Str(it) => serializer.serialize_str(it),
            Self::Seq(items) => items.serialize(serializer),
            Self::Tup(items) => marked(serializer, "#tup", items),
            Self::Set(items) => marked(serializer, "#set", items),
            Self::Map(map) => marked(serializer, "#map", &map.iter().collect::<Vec<_>>()),
            Self::Record(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of ITF: true, false, an integer, a string, a list or an object")
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Int(it))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(i64::try_from(it).map_or_else(|_| Value::Large(it.to_string()), Value::Int))
    }

    /// Reads a whole number such as `1.0` or `1e3` as an integer. Digits beyond [`EXACT`] are already lost here.
    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        let whole = it.fract() == 0.0 && it.abs() <= EXACT;
        Ok(if whole { Value::Int(it as i64) } else { Value::Foreign(it.to_string()) })
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Foreign("null".to_owned()))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(Value::string(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut seq = Vec::new();
        while let Some(item) = items.next_element()? {
            seq.push(item);
        }
        Ok(Value::Seq(seq))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if fields.contains_key(&name) {
                return Err(de::Error::custom(format!("the field {name:?} is there twice")));
            }
            fields.insert(name, value);
        }
        let marked = fields.len() == 1;
        match fields.pop_first() {
            Some((mark, value)) if marked && mark.starts_with('#') && mark != "#meta" => {
                unmark(&mark, value).map_err(de::Error::custom)
            }
            Some((name, value)) => {
                fields.insert(name, value);
                if fields.len() == 2
                    && fields.contains_key("tag")
                    && let Some(value) = fields.get_mut("value")
                    && is_nothing(value)
                {
                    *value = Value::unit();
                }
                Ok(Value::Record(fields))
            }
            None => Ok(Value::Record(fields)),
        }
    }
}

/// Returns true for each notation of tools for the value of a variant that holds nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Tup(items) => items.is_empty(),
        Value::Record(fields) => fields.is_empty(),
        Value::Foreign(text) => text == "null",
        _ => false,
    }
}

/// Reads an integer of any size, in decimal digits.
fn integer(text: &str) -> Option<Value> {
    if let Ok(small) = text.parse() {
        return Some(Value::Int(small));
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let large = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    large.then(|| Value::Large(format!("{sign}{}", digits.trim_start_matches('0'))))
}

/// Reads an object whose only field names its kind, such as `#set`.
fn unmark(mark: &str, value: Value) -> Result<Value, String> {
    match (mark, value) {
        ("#bigint", Value::Str(digits)) => {
            integer(&digits).ok_or_else(|| format!("{digits:?} is no integer in decimal digits"))
        }
        ("#unserializable", Value::Str(text)) => {
            Ok(Value::Foreign(format!("#unserializable {text:?}")))
        }
        ("#tup", Value::Seq(items)) => Ok(Value::Tup(items)),
        ("#set", Value::Seq(items)) => {
            let mut set = BTreeSet::new();
            for item in items {
                if set.contains(&item) {
                    return Err(format!("a set that has the element {} twice", brief(&item)));
                }
                set.insert(item);
            }
            Ok(Value::Set(set))
        }
        ("#map", Value::Seq(pairs)) => {
            let mut map = BTreeMap::new();
            for pair in pairs {
                let pair = match pair {
                    Value::Seq(pair) | Value::Tup(pair) => <[Value; 2]>::try_from(pair).ok(),
                    _ => None,
                };
                let Some([key, value]) = pair else {
                    return Err("a map is a list of pairs [key, value]".to_owned());
                };
                if map.contains_key(&key) {
                    return Err(format!("a map that has the key {} twice", brief(&key)));
                }
                map.insert(key, value);
            }
            Ok(Value::Map(map))
        }
        ("#bigint", other) => {
            Err(format!("\"#bigint\" takes a string of decimal digits, not {}", brief(&other)))
        }
        ("#unserializable", other) => {
            Err(format!("\"#unserializable\" takes a string, not {}", brief(&other)))
        }
        ("#tup" | "#set" | "#map", other) => {
            Err(format!("{mark:?} takes a list, not {}", brief(&other)))
        }
        _ => Err(format!(
            "{mark:?} is unknown; there are #bigint, #tup, #set, #map, #unserializable and #meta"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn values_survive_writing_and_reading() {
        let one = || Value::Int(1);
        let value = Value::record([
            ("bool", Value::Bool(true)),
            ("int", Value::Int(i64::MIN)),
            ("map", Value::Map([(one(), Value::string("a"))].into())),
            ("seq", Value::Seq(vec![one(), one()])),
            ("set", Value::Set([one(), Value::Int(2)].into())),
            ("variant", Value::variant("None", Value::unit())),
            ("large", Value::Large("-123456789012345678901234567890".to_owned())),
        ]);
        let text = serde_json::to_string(&value).expect("a value");
        assert_eq!(read(&text), Ok(value));
        assert_eq!(read("7"), Ok(Value::Int(7)));
    }

    #[test]
    fn text_that_is_no_value_is_refused() {
        for (text, why) in [
            (r#"{"a": 1, "a": 1}"#, r#"the field "a" is there twice"#),
            (r##"{"#set": [1, 1]}"##, "a set that has the element 1 twice"),
            (r##"{"#set": 1}"##, r##""#set" takes a list"##),
            (r##"{"#map": [1]}"##, "a map is a list of pairs"),
            (r##"{"#map": [[1, 1, 1]]}"##, "a map is a list of pairs"),
            (r##"{"#map": [[1, 1], [1, 2]]}"##, "a map that has the key 1 twice"),
            (r##"{"#bigint": 1}"##, r##""#bigint" takes a string of decimal digits, not 1"##),
            (r##"{"#bigint": "one"}"##, r#""one" is no integer"#),
            (r##"{"#bigint": "-"}"##, r#""-" is no integer"#),
            (r##"{"#unserializable": []}"##, r##""#unserializable" takes a string, not <>"##),
            (r##"{"#bag": []}"##, r##""#bag" is unknown"##),
            (&"[".repeat(100_000), "recursion limit exceeded"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn integers_have_any_size_and_any_notation() {
        let large = |text: &str| Ok(Value::Large(text.to_owned()));
        for (text, value) in [
            ("1.0", Ok(Value::Int(1))),
            ("2e3", Ok(Value::Int(2000))),
            (r##"{"#bigint": "007"}"##, Ok(Value::Int(7))),
            (r##"{"#bigint": "-9223372036854775808"}"##, Ok(Value::Int(i64::MIN))),
            (r##"{"#bigint": "9223372036854775808"}"##, large("9223372036854775808")),
            (r##"{"#bigint": "-009223372036854775809"}"##, large("-9223372036854775809")),
            ("18446744073709551615", large("18446744073709551615")),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
    }

    #[test]
    fn a_unit_is_read_as_each_tool_writes_it() {
        let unit = Ok(Value::variant("None", Value::unit()));
        for value in [r##"{"#tup": []}"##, "{}", "null", r#""U_OF_UNIT""#] {
            assert_eq!(read(&format!(r#"{{"tag": "None", "value": {value}}}"#)), unit, "{value}");
        }
        let one = read(r##"{"tag": "Some", "value": {"#tup": [1]}}"##);
        assert_eq!(one, Ok(Value::variant("Some", Value::Tup(vec![Value::Int(1)]))));
    }

    #[test]
    fn a_foreign_value_is_found_with_its_place() {
        for (text, at, what) in [
            ("null", "", "null"),
            ("[1, 1.5]", "[1]", "1.5"),
            ("1e20", "", "100000000000000000000"),
            (r##"{"a": {"#unserializable": "Nat"}, "b": 1}"##, ".a", r#"#unserializable "Nat""#),
            (r##"{"#set": [{"#tup": [null]}]}"##, "[element][0]", "null"),
            (r##"{"#map": [["x", 1], ["y", null]]}"##, "[y]", "null"),
            (r##"{"#map": [[null, 1]]}"##, "[key]", "null"),
        ] {
            let value = read(text).expect(text);
            assert_eq!(value.foreign(), Some((at.to_owned(), what)), "{text}");
        }
        assert_eq!(read("[1, true]").expect("a value").foreign(), None);
    }

    #[test]
    fn a_difference_has_its_place() {
        let node = |promised| Value::record([("promised", Value::Int(promised))]);
        let nodes = |promised| Value::Map([(Value::string("n1"), node(promised))].into());
        let difference = nodes(1).difference(&nodes(2)).expect("one");
        assert_eq!(
            (&*difference.at, &*difference.left, &*difference.right),
            ("[n1].promised", "1", "2")
        );
        assert_eq!(nodes(1).difference(&nodes(1)), None);
    }
}
