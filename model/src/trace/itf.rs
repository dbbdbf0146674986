//! Values of the Informal Trace Format, the JSON that Apalache and Quint write.
//!
//! Integers are `{"#bigint": "7"}`, tuples `{"#tup": […]}`, sets `{"#set": […]}`, maps
//! `{"#map": [[key, value], …]}`; sequences, records, strings and truth values are what they are in
//! JSON. A plain number is read as an integer, too, as long as it is one. Sets and maps have no order
//! here, and have nothing twice.
//!
//! What it is not: it knows nothing of Paxos.

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
}

impl Value {
    /// A string.
    pub fn string(text: impl Into<String>) -> Self {
        Self::Str(text.into())
    }

    /// A record.
    pub fn record<'n>(fields: impl IntoIterator<Item = (&'n str, Self)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self::Record(fields.collect())
    }

    /// One of several kinds of things, as Apalache and Quint have them.
    pub fn variant(tag: &str, value: Self) -> Self {
        Self::record([("tag", Self::string(tag)), ("value", value)])
    }

    /// What a variant without anything in it holds.
    pub const fn unit() -> Self {
        Self::Tup(Vec::new())
    }

    /// As it stands in `#meta`, where other readers expect plain JSON.
    pub fn plain(&self) -> serde_json::Value {
        let all = |items: &mut dyn Iterator<Item = &Self>| items.map(Self::plain).collect();
        match self {
            Self::Bool(it) => (*it).into(),
            Self::Int(it) => (*it).into(),
            Self::Str(it) => it.as_str().into(),
            Self::Seq(items) | Self::Tup(items) => all(&mut items.iter()),
            Self::Set(items) => all(&mut items.iter()),
            Self::Map(map) => map.iter().map(|(k, v)| (k.to_string(), v.plain())).collect(),
            Self::Record(fields) => fields.iter().map(|(k, v)| (k.clone(), v.plain())).collect(),
        }
    }

    /// Where two values first differ, and what stands there in each; nothing if they do not.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let mut at = String::new();
        let (left, right) = differ(self, other, &mut at)?;
        Some(Difference { at, left, right })
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Self::Int(i64::from(number))
    }
}

/// A count; nothing has so many that it would not fit.
impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// The first difference of two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where it is.
    pub at: String,
    /// What the one has there.
    pub left: String,
    /// What the other has there.
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

/// As people read it, near to TLA+.
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
            Self::Str(it) => f.write_str(it),
            Self::Seq(items) => list(f, "<", items, ">"),
            Self::Tup(items) => list(f, "(", items, ")"),
            Self::Set(items) => list(f, "{", items, "}"),
            Self::Map(map) => list(f, "(", map.iter().map(|(k, v)| format!("{k} -> {v}")), ")"),
            Self::Record(fields) => match (fields.get("tag"), fields.get("value")) {
                (Some(tag), Some(value)) if *value == Self::unit() => write!(f, "{tag}"),
                (Some(tag), Some(value)) => write!(f, "{tag} {value}"),
                _ => list(f, "[", fields.iter().map(|(k, v)| format!("{k}: {v}")), "]"),
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

    fn visit_u64<E: de::Error>(self, it: u64) -> Result<Value, E> {
        i64::try_from(it).map(Value::Int).map_err(|_| E::custom("an integer beyond 64 bits"))
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
                Ok(Value::Record(fields))
            }
            None => Ok(Value::Record(fields)),
        }
    }
}

/// Reads an object whose only field says what it is.
fn unmark(mark: &str, value: Value) -> Result<Value, String> {
    match (mark, value) {
        ("#bigint", Value::Str(digits)) => digits
            .parse()
            .map(Value::Int)
            .map_err(|_| format!("{digits:?} is no integer of 64 bits in decimal digits")),
        ("#tup", Value::Seq(items)) => Ok(Value::Tup(items)),
        ("#set", Value::Seq(items)) => {
            let count = items.len();
            let set: BTreeSet<_> = items.into_iter().collect();
            if set.len() < count {
                return Err("a set that has an element twice".to_owned());
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
                    return Err(format!("a map that has the key {key} twice"));
                }
                map.insert(key, value);
            }
            Ok(Value::Map(map))
        }
        ("#bigint", _) => Err("\"#bigint\" takes a string of decimal digits".to_owned()),
        ("#tup" | "#set" | "#map", _) => Err(format!("{mark:?} takes a list")),
        _ => Err(format!("{mark:?} is unknown; there are #bigint, #tup, #set, #map and #meta")),
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
        ]);
        let text = serde_json::to_string(&value).expect("a value");
        assert_eq!(read(&text), Ok(value));
        assert_eq!(read("7"), Ok(Value::Int(7)));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (text, why) in [
            ("null", "invalid type: null"),
            ("1.5", "invalid type: floating point"),
            ("18446744073709551615", "an integer beyond 64 bits"),
            (r#"{"a": 1, "a": 1}"#, r#"the field "a" is there twice"#),
            (r##"{"#set": [1, 1]}"##, "a set that has an element twice"),
            (r##"{"#set": 1}"##, r##""#set" takes a list"##),
            (r##"{"#map": [1]}"##, "a map is a list of pairs"),
            (r##"{"#map": [[1, 1, 1]]}"##, "a map is a list of pairs"),
            (r##"{"#map": [[1, 1], [1, 2]]}"##, "a map that has the key 1 twice"),
            (r##"{"#bigint": 1}"##, r##""#bigint" takes a string"##),
            (r##"{"#bigint": "one"}"##, r#""one" is no integer"#),
            (r##"{"#bag": []}"##, r##""#bag" is unknown"##),
            (&"[".repeat(100_000), "recursion limit exceeded"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_difference_says_where() {
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
