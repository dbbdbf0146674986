//! The store against a model: a map with the most obvious implementation of each command.

use std::collections::BTreeMap;

use bytes::Bytes;
use itertools::Itertools as _;
use paxos_kv::{Entry, Kv, Reply, Step};
use paxos_node::StateMachine as _;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::session::{Session, snapshot};

/// The model: the keys and values as a map.
#[derive(Default)]
struct Model(BTreeMap<String, String>);

impl Model {
    fn call(&mut self, words: &[&str]) -> Reply {
        let map = &mut self.0;
        let bulk = |text: Option<String>| text.map_or(Reply::Null, |text| Reply::Bulk(text.into()));
        let number = |number: usize| Reply::Integer(number.try_into().unwrap());
        match words {
            ["GET", key] => bulk(map.get(*key).cloned()),
            ["MGET", keys @ ..] => {
                Reply::Array(keys.iter().map(|key| bulk(map.get(*key).cloned())).collect())
            }
            ["EXISTS", keys @ ..] => {
                number(keys.iter().filter(|key| map.contains_key(**key)).count())
            }
            ["STRLEN", key] => number(map.get(*key).map_or(0, String::len)),
            ["DBSIZE"] => number(map.len()),
            ["TYPE", key] if map.contains_key(*key) => Reply::simple("string"),
            ["TYPE", _] => Reply::simple("none"),
            ["TTL", key] => Reply::Integer(if map.contains_key(*key) { -1 } else { -2 }),
            ["KEYS", "*"] => {
                Reply::Array(map.keys().map(|key| Reply::Bulk(key.clone().into())).collect())
            }
            ["GETRANGE", key, first, last] => {
                let value = map.get(*key).cloned().unwrap_or_default();
                let [first, last] = [first, last].map(|position| position.parse::<i128>().unwrap());
                let at = |position| position + if position < 0 { value.len() as i128 } else { 0 };
                // If both positions are before the beginning, the part is the first byte, unless they are in the
                // wrong order.
                let (first, last) = if first < 0 && last < first {
                    (1, 0)
                } else {
                    (at(first).max(0), at(last).max(0))
                };
                let inside = value.chars().zip(0..).filter(|(_, at)| (first..=last).contains(at));
                Reply::Bulk(inside.map(|(letter, _)| letter).collect::<String>().into())
            }
            ["SET", key, value, options @ ..] => {
                let old = map.get(*key).cloned();
                let met = match options {
                    ["NX", ..] => old.is_none(),
                    ["XX", ..] => old.is_some(),
                    ["IFEQ", expected, ..] => old.as_deref() == Some(*expected),
                    _ => true,
                };
                if met {
                    map.insert((*key).into(), (*value).into());
                }
                match (options.last() == Some(&"GET"), met) {
                    (true, _) => bulk(old),
                    (false, true) => Reply::ok(),
                    (false, false) => Reply::Null,
                }
            }
            ["SETNX", key, value] => {
                let set = !map.contains_key(*key);
                if set {
                    map.insert((*key).into(), (*value).into());
                }
                number(set.into())
            }
            ["GETSET", key, value] => bulk(map.insert((*key).into(), (*value).into())),
            ["GETDEL", key] => bulk(map.remove(*key)),
            ["MSET", pairs @ ..] => {
                map.extend(pairs.iter().map(ToString::to_string).tuples::<(_, _)>());
                Reply::ok()
            }
            ["MSETNX", pairs @ ..] => {
                let new = pairs.iter().step_by(2).all(|key| !map.contains_key(*key));
                if new {
                    map.extend(pairs.iter().map(ToString::to_string).tuples::<(_, _)>());
                }
                number(new.into())
            }
            ["DEL" | "UNLINK", keys @ ..] => {
                let before = map.len();
                map.retain(|key, _| !keys.contains(&key.as_str()));
                number(before - map.len())
            }
            ["APPEND", key, end] => {
                let value = map.entry((*key).into()).or_default();
                value.push_str(end);
                number(value.len())
            }
            ["INCR", key] => self.add(key, 1),
            ["DECR", key] => self.add(key, -1),
            ["INCRBY", key, by] => self.add(key, by.parse().unwrap()),
            ["DECRBY", _, "-9223372036854775808"] => Reply::error("ERR decrement would overflow"),
            ["DECRBY", key, by] => self.add(key, -by.parse::<i128>().unwrap()),
            ["FLUSHALL"] => {
                map.clear();
                Reply::ok()
            }
            ["PING"] => Reply::simple("PONG"),
            ["SELECT", _] => Reply::error("ERR DB index is out of range"),
            _ => unreachable!("{words:?}"),
        }
    }

    fn add(&mut self, key: &str, by: i128) -> Reply {
        let value = self.0.get(key).map_or("0", String::as_str);
        let number = value.parse::<i64>().ok().filter(|number| number.to_string() == *value);
        let Some(number) = number else {
            return Reply::error("ERR value is not an integer or out of range");
        };
        let Ok(sum) = i64::try_from(i128::from(number) + by) else {
            return Reply::error("ERR increment or decrement would overflow");
        };
        self.0.insert(key.into(), sum.to_string());
        Reply::Integer(sum)
    }
}

type Words = Vec<&'static str>;

fn command() -> impl Strategy<Value = Words> {
    let key = || select(vec!["a", "b", "c", "key", ""]);
    let value = || {
        select(vec![
            "",
            "x",
            "yz",
            "0",
            "1",
            "-1",
            "07",
            "9223372036854775807",
            "-9223372036854775808",
        ])
    };
    let number =
        || select(vec!["0", "1", "-1", "3", "-3", "9223372036854775807", "-9223372036854775808"]);
    let keys = || vec(key(), 1..4);
    let pairs = || vec((key(), value()), 1..4);
    let simple = select(vec!["DBSIZE", "FLUSHALL", "PING"]).prop_map(|name| vec![name]);
    let of_key = (select(vec!["GET", "STRLEN", "TYPE", "TTL", "GETDEL", "INCR", "DECR"]), key());
    let of_keys = (select(vec!["MGET", "EXISTS", "DEL", "UNLINK"]), keys());
    let of_value = (select(vec!["SETNX", "GETSET", "APPEND"]), key(), value());
    let of_pairs = (select(vec!["MSET", "MSETNX"]), pairs());
    let conditions = prop_oneof![
        Just(vec![]),
        Just(vec!["NX"]),
        Just(vec!["XX"]),
        value().prop_map(|expected| vec!["IFEQ", expected])
    ];
    let set = (key(), value(), conditions, select(vec![&[][..], &["GET"]]));
    prop_oneof![
        1 => simple,
        1 => Just(vec!["KEYS", "*"]),
        1 => Just(vec!["SELECT", "5"]),
        7 => of_key.prop_map(|(name, key)| vec![name, key]),
        4 => of_keys.prop_map(|(name, keys)| [vec![name], keys].concat()),
        3 => of_value.prop_map(|(name, key, value)| vec![name, key, value]),
        3 => of_pairs.prop_map(|(name, pairs)| {
            [name].into_iter().chain(pairs.into_iter().flat_map(|(key, value)| [key, value])).collect()
        }),
        5 => set.prop_map(|(key, value, condition, get)| {
            [vec!["SET", key, value], condition, get.to_vec()].concat()
        }),
        2 => (select(vec!["INCRBY", "DECRBY"]), key(), number()).prop_map(|(name, key, by)| vec![name, key, by]),
        2 => (key(), number(), number()).prop_map(|(key, first, last)| vec!["GETRANGE", key, first, last]),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    Call(Words),
    Transaction(Vec<Words>),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => command().prop_map(Event::Call),
        1 => vec(command(), 0..6).prop_map(Event::Transaction),
        1 => Just(Event::Restart),
    ]
}

fn call(session: &mut Session, words: &[&'static str]) -> Reply {
    let arguments = words.iter().map(|word| Bytes::from(*word)).collect_vec();
    session.call(&arguments).expect("the server does not hang up")
}

proptest! {
    /// Commands behave as in the model, and a transaction behaves like its commands in order. A snapshot has the
    /// whole state. A replica that applies the same log has the same state and the same answers.
    #[test]
    fn the_store_is_a_map(events in vec(event(), 0..60)) {
        let (mut session, mut model) = (Session::new(), Model::default());
        for event in events {
            match event {
                Event::Call(words) => {
                    prop_assert_eq!(call(&mut session, &words), model.call(&words), "{:?}", words);
                }
                Event::Transaction(commands) => {
                    let entries = session.log.len();
                    prop_assert_eq!(call(&mut session, &["MULTI"]), Reply::ok());
                    for words in &commands {
                        prop_assert_eq!(call(&mut session, words), Reply::simple("QUEUED"));
                    }
                    let expected = commands.iter().map(|words| model.call(words)).collect_vec();
                    prop_assert_eq!(call(&mut session, &["EXEC"]), Reply::Array(expected));
                    prop_assert!(session.log.len() <= entries + 1, "one entry of the log");
                }
                Event::Restart => {
                    let mut restored = Kv::default();
                    restored.restore(&mut &snapshot(&session.kv)[..]).unwrap();
                    prop_assert_eq!(&restored, &session.kv);
                    session.kv = restored;
                }
            }
            let texts = |(key, value): (&Bytes, &Bytes)| [key, value].map(|text| String::from_utf8(text.to_vec()).unwrap());
            let pairs = session.kv.store().iter().map(texts).map(|[key, value]| (key, value));
            prop_assert_eq!(&pairs.collect::<BTreeMap<_, _>>(), &model.0);
        }
        let mut replica = Kv::default();
        for (entry, answer) in &session.log {
            prop_assert_eq!(&replica.apply(entry), answer);
        }
        prop_assert_eq!(snapshot(&replica), snapshot(&session.kv));
    }

    /// Equal states have the same snapshot, whatever the commands that led to them.
    #[test]
    fn equal_stores_have_equal_snapshots(pairs in vec((vec(any::<u8>(), 0..3), vec(any::<u8>(), 0..3)), 0..40)) {
        let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
        let all = |pairs: Vec<(Vec<u8>, Vec<u8>)>| {
            let mut session = Session::new();
            for (key, value) in pairs {
                session.call(&["SET".into(), key.into(), value.into()]);
            }
            snapshot(&session.kv)
        };
        prop_assert_eq!(all(pairs), all(map.into_iter().rev().collect()));
    }

    /// No entry of a log makes a replica panic. Bytes that are not an entry change nothing.
    #[test]
    fn no_entry_makes_a_replica_panic(
        bytes in vec(prop_oneof![0..8_u8, any::<u8>()], 0..40),
        words in command(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut session = Session::new();
        call(&mut session, &["SET", "a", "1"]);
        let mut kv = session.kv.clone();
        let malformed = Reply::error("ERR malformed entry in the log");
        let answer = kv.apply(&bytes);
        prop_assert!(answer != malformed || kv == session.kv);
        prop_assert_eq!(answer, session.kv.apply(&bytes));

        call(&mut session, &words);
        if let Some((entry, _)) = session.log.last() {
            let before = kv.clone();
            prop_assert_eq!(kv.apply(&entry[..cut.index(entry.len())]), malformed.clone());
            prop_assert_eq!(kv.apply(&[entry, &b"\0"[..]].concat()), malformed);
            prop_assert_eq!(kv, before);
        }
    }
}

#[test]
fn a_malformed_snapshot_is_refused_and_changes_nothing() {
    let mut session = Session::new();
    call(&mut session, &["MSET", "a", "1", "b", "2"]);
    let mut kv = session.kv;
    let before = snapshot(&kv);
    // The version, the number of keys, and two keys and values with their lengths.
    let (head, pairs) = before.split_at(9);
    let twice = [head, &pairs[..10], &pairs[..10]].concat();
    let long = [head, &[0xff; 8]].concat();
    let short = "it ends too early";
    for (bytes, reason) in [
        (&b""[..], short),
        (b"\x09", "version 9 is not 2"),
        (&before[..before.len() - 1], short),
        (&twice, "a key is there twice"),
        (&long, "a key of 4294967295 bytes with a value of 4294967295 bytes is too long"),
    ] {
        let error = kv.restore(&mut &*bytes).unwrap_err();
        assert!(error.reason().starts_with(reason), "{error}");
        assert_eq!(snapshot(&kv), before);
    }
}

/// A malformed reply within a transaction is answered as an error, and the other steps are answered as usual.
#[test]
fn a_malformed_step_is_one_error() {
    let entry = Entry::Transaction(vec![
        Step::Known("no reply".into()),
        Step::Known(Reply::Null.to_bytes()),
    ]);
    let answer = Kv::default().apply(&entry.to_bytes());
    let error = Reply::error("ERR malformed reply in a transaction");
    assert_eq!(answer, Reply::Array(vec![error, Reply::Null]));
}
