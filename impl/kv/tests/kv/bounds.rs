//! No request costs more than `docs/commands.md` says. For each command, a test tries to exceed its bounds.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use paxos_kv::{
    ANSWER_MAX, ENTRY_BYTES, Entry, KEYS_MAX, Kv, Query, Question, REQUEST_MAX, Reply, STEPS_MAX,
    Store, VALUE_MAX,
};
use paxos_node::{Answer as _, StateMachine as _};

use crate::session::{Session, snapshot};

/// The outcome of a request that tries to exceed a bound.
enum Outcome {
    /// An error that begins with these words, before anything is in the log.
    Refused(&'static str),
    /// An error that begins with these words. The state is unchanged.
    Error(&'static str),
    /// An answer of at most this number of bytes.
    Answer(usize),
}
use Outcome::{Answer, Error, Refused};

/// The length of the longest short answer, in bytes.
const SHORT: usize = 1 << 10;

type Attempt = (Vec<Bytes>, Outcome);

fn words<T: AsRef<[u8]>>(words: impl IntoIterator<Item = T>) -> Vec<Bytes> {
    words.into_iter().map(|word| Bytes::copy_from_slice(word.as_ref())).collect()
}

fn line(line: &str) -> Vec<Bytes> {
    words(line.split(' '))
}

/// Returns a command with more keys than it may name.
fn many(name: &str, for_each: usize) -> Attempt {
    let keys = (0..=KEYS_MAX).flat_map(|key| vec![key.to_string(); for_each]);
    (words([name.to_owned()].into_iter().chain(keys)), Refused("ERR too many keys: 25001;"))
}

/// Returns requests that try to exceed the bounds of a command, in a store where `big` has the longest value.
fn attempts(name: &str) -> Vec<Attempt> {
    let long = "x".repeat(VALUE_MAX);
    let name_of_1025 = "n".repeat(1025);
    match name {
        "append" => vec![(line("APPEND big x"), Error("ERR string exceeds maximum allowed size"))],
        "auth" => vec![(words(["AUTH", &long]), Answer(SHORT))],
        "client" => vec![
            (words(["CLIENT", "SETNAME", &name_of_1025]), Refused("ERR too many bytes in a name")),
            (
                words(["CLIENT", "SETINFO", "lib-name", &name_of_1025]),
                Refused("ERR too many bytes in a name"),
            ),
            (words(["CLIENT", "SETINFO", &long, "x"]), Answer(2 * SHORT)),
            (line("CLIENT INFO"), Answer(4 * SHORT)),
        ],
        "command" => vec![
            (
                words(["COMMAND", "INFO"].into_iter().chain(["get"; 1025])),
                Refused("ERR too many names"),
            ),
            (words(["COMMAND", "INFO"].into_iter().chain(["get"; 1024])), Answer(1 << 20)),
            (line("COMMAND"), Answer(1 << 20)),
        ],
        "decr" | "incr" => vec![(words([name, "most"]), Answer(SHORT))],
        "decrby" | "incrby" => {
            vec![(words([name, "most", &i64::MAX.to_string()]), Answer(SHORT))]
        }
        "del" | "unlink" | "exists" => vec![many(name, 1)],
        "echo" | "ping" => vec![(words([name, &long]), Answer(VALUE_MAX + SHORT))],
        "flushall" | "flushdb" | "dbsize" | "discard" | "multi" | "quit" | "reset" | "unwatch" => {
            vec![(words([name]), Answer(SHORT))]
        }
        "exec" => vec![(words([name]), Answer(SHORT))], // Transactions are below.
        "get" | "getdel" => vec![(words([name, "big"]), Answer(VALUE_MAX + SHORT))],
        "getrange" | "substr" => {
            vec![(words([name, "big", "0", "-1"]), Answer(VALUE_MAX + SHORT))]
        }
        "getset" => vec![(line("GETSET big x"), Answer(VALUE_MAX + SHORT))],
        "set" => vec![
            (line("SET big x GET"), Answer(VALUE_MAX + SHORT)),
            (line("SET big x NX GET"), Answer(VALUE_MAX + SHORT)),
        ],
        "hello" => vec![
            (
                words(["HELLO", "3", "SETNAME", &name_of_1025]),
                Refused("ERR too many bytes in a name"),
            ),
            (words(["HELLO", "3", &long]), Answer(2 * SHORT)),
            (line("HELLO 3"), Answer(SHORT)),
        ],
        "info" => vec![(words(["INFO"; 1026]), Refused("ERR too many sections"))],
        "keys" => vec![(
            words(["KEYS", &format!("*[{}]", "b".repeat(REQUEST_MAX / 2))]),
            Error("ERR the request takes too many"),
        )],
        "mget" => vec![
            many(name, 1),
            (words(["MGET", "big", "big", "big"]), Error("ERR the answer would have")),
        ],
        "mset" | "msetnx" => vec![many(name, 2)],
        "paxos" => {
            let (mut many, refused) = many("DEL", 1);
            many.splice(..0, line("PAXOS ONCE 1 1 1"));
            vec![(many, refused)]
        }
        "pttl" | "ttl" | "type" | "strlen" => vec![(words([name, "big"]), Answer(SHORT))],
        "scan" => vec![(line("SCAN 0 COUNT 9223372036854775807"), Answer(2 << 20))],
        "select" | "watch" => vec![(words([name, &long]), Answer(SHORT))],
        "setnx" => vec![(words([name, "big", "x"]), Answer(SHORT))],
        _ => panic!("no bound is tried of {name}"),
    }
}

/// Returns the commands in the first column of the documented table.
fn documented() -> BTreeSet<String> {
    let table =
        include_str!("../../../../docs/commands.md").split("| command |").nth(1).expect("a table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let firsts = rows.map(|row| row.split(" | ").next().expect("a column").to_owned());
    firsts
        .flat_map(|names| {
            names
                .split(", ")
                .map(|name| name.replace('`', "").to_ascii_lowercase())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn implemented() -> BTreeSet<String> {
    let Some(Reply::Array(names)) = Session::new().call(&line("COMMAND LIST")) else {
        panic!("a list")
    };
    let text = |name: &Reply| match name {
        Reply::Bulk(name) => String::from_utf8(name.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    names.iter().map(text).collect()
}

#[test]
fn every_command_has_its_bounds_in_the_documents() {
    assert_eq!(documented(), implemented());
}

#[test]
fn no_command_exceeds_its_bounds() {
    let mut session = Session::new();
    session.call(&words(["SET", "big", &"x".repeat(VALUE_MAX)]));
    session.call(&words(["SET", "most", &i64::MAX.to_string()]));
    let before = session.kv;
    for name in implemented() {
        for (request, outcome) in attempts(&name) {
            let mut session = Session::new();
            session.kv = before.clone();
            let reply = session.call(&request).expect("the server does not hang up");
            match outcome {
                Refused(words) | Error(words) => {
                    let Reply::Error(text) = reply else {
                        panic!("{name}: {} bytes", reply.size())
                    };
                    assert!(text.starts_with(words.as_bytes()), "{name}: {text:?}");
                    assert_eq!(session.kv, before, "{name}");
                    assert!(matches!(outcome, Error(_)) || session.log.is_empty(), "{name}");
                }
                Answer(most) => assert!(reply.size() <= most, "{name}: {} bytes", reply.size()),
            }
        }
    }
}

/// Returns a store with this number of keys.
fn filled(keys: usize) -> Kv {
    let mut kv = Kv::default();
    for first in (0..keys).step_by(KEYS_MAX / 2) {
        let pairs = (first..keys.min(first + KEYS_MAX / 2))
            .map(|key| (key.to_string().into(), Bytes::new()));
        let entry = Entry::One(paxos_kv::Command::SetAll { pairs: pairs.collect(), new: false });
        assert_eq!(kv.apply(&entry.to_bytes()), Reply::ok());
    }
    kv
}

#[test]
fn a_walk_through_all_keys_is_bounded() {
    let kv = filled(100_001);
    let keys = kv.answer(&Question::Query(Query::Keys("*".into())));
    assert!(matches!(keys, Reply::Error(text) if text.ends_with(b"use SCAN")));
    let scan = |cursor, pattern: Option<&'static str>| {
        let pattern = pattern.map(Bytes::from);
        let query = Query::Scan { cursor, count: u64::MAX, pattern, none: false };
        let Reply::Array(reply) = kv.answer(&Question::Query(query)) else { panic!("two parts") };
        let [Reply::Bulk(next), Reply::Array(keys)] = &reply[..] else { panic!("{reply:?}") };
        (str::from_utf8(next).unwrap().parse::<u64>().unwrap(), keys.len())
    };
    for pattern in [None, Some("*"), Some("*1*2*3*4*5*6*")] {
        let (mut cursor, mut found, mut rounds) = (0, 0, 0);
        loop {
            let (next, keys) = scan(cursor, pattern);
            assert!(next < 1 << 53, "a cursor is exact as a floating-point number");
            assert!(keys as u64 <= STEPS_MAX / 8, "{keys} keys at once");
            (cursor, found, rounds) = (next, found + keys, rounds + 1);
            if cursor == 0 {
                break;
            }
        }
        assert!(rounds > 5, "{rounds} rounds");
        assert!(pattern.is_some_and(|pattern| pattern != "*") || found == 100_001, "{found} keys");
    }
}

/// Sends a transaction, and returns the answer to `EXEC`.
fn transaction(session: &mut Session, steps: &[Vec<Bytes>]) -> Reply {
    session.call(&line("MULTI"));
    for step in steps {
        session.call(step);
    }
    session.call(&line("EXEC")).expect("the server does not hang up")
}

#[test]
fn a_transaction_executes_within_the_limits_or_not_at_all() {
    let big = "x".repeat(VALUE_MAX);
    let keys: Vec<String> = (0..1000).map(|key| key.to_string()).collect();
    let thousand = words(["EXISTS".to_owned()].into_iter().chain(keys));
    let set = || line("SET a 2");
    for (reason, steps) in [
        (
            "ERR the answer would have",
            vec![set(), line("GET big"), line("GET big"), line("GET big")],
        ),
        (
            "ERR the answer would have",
            vec![
                set(),
                line("FLUSHALL"),
                line("SET b 1"),
                words(["SET", "big", &big[1 << 20..]]),
                line("MGET big big big"),
            ],
        ),
        (
            "ERR the request takes too many",
            vec![set(), words(["KEYS", &format!("*[{}]", "x".repeat(REQUEST_MAX / 2))])],
        ),
        (
            "ERR the answer would have",
            (0..100).flat_map(|_| [line("GET big"), line("SETNX big x"), set()]).collect(),
        ),
        ("EXECABORT", vec![thousand; 30]),
        ("EXECABORT", vec![words(["SET", "a", &"x".repeat(REQUEST_MAX / 2)]); 3]),
    ] {
        let mut session = Session::new();
        session.call(&words(["SET", "big", &big]));
        session.call(&line("SET a 1"));
        let before = session.kv.clone();
        let Reply::Error(text) = transaction(&mut session, &steps) else { panic!("{reason}") };
        assert!(text.starts_with(reason.as_bytes()), "{text:?}");
        assert_eq!(session.kv, before, "{reason}");
    }
}

#[test]
fn a_transaction_that_only_reads_is_not_in_the_log() {
    let mut session = Session::new();
    session.call(&line("SET a 1"));
    let reads = ["GET a", "PING", "KEYS *", "SET a 1 EX 1", "DBSIZE"].map(line);
    let replies = transaction(&mut session, &reads);
    let one = || Reply::Bulk("1".into());
    assert_eq!(
        replies,
        Reply::Array(vec![
            one(),
            Reply::simple("PONG"),
            Reply::Array(vec![Reply::Bulk("a".into())]),
            Reply::error("ERR expiry is not supported"),
            Reply::Integer(1),
        ])
    );
    assert_eq!(session.log.len(), 1);
    transaction(&mut session, &["GET a", "INCR a"].map(line));
    assert_eq!(session.log.len(), 2);
}

/// A pipeline stops where a limit is reached, and has the answers until then. The rest goes into a further entry.
#[test]
fn a_pipeline_stops_at_the_limits() {
    let mut session = Session::new();
    session.call(&words(["SET", "big", &"x".repeat(VALUE_MAX)]));
    let read = || Entry::Read(Query::Get("big".into())).to_bytes();
    let add = || Entry::One(paxos_kv::Command::Add { key: "n".into(), by: 1 }).to_bytes();
    let keys = || {
        let pattern = format!("*[{}]", "x".repeat(REQUEST_MAX / 2));
        Entry::Read(Query::Keys(pattern.into())).to_bytes()
    };
    for (parts, answers, added) in [
        (vec![add(), read(), read(), add(), read(), add()], 4, 2),
        (vec![read(), read(), read(), add()], 2, 0),
        (vec![add(), keys(), add()], 1, 1),
        (vec![keys(), add()], 1, 0),
    ] {
        let mut kv = session.kv.clone();
        let reply = kv.apply(&Entry::Pipeline(parts).to_bytes());
        let Reply::Array(replies) = reply else { panic!("an answer for each part") };
        assert_eq!(replies.len(), answers);
        let number = kv.store().get(b"n").map_or("0", |value| str::from_utf8(value).unwrap());
        assert_eq!(number, added.to_string());
    }
}

#[test]
fn the_state_does_not_grow_beyond_its_limit() {
    let bytes = |key: &str, value: &str| (key.len() + value.len()) as u64 + ENTRY_BYTES;
    let state_max = bytes("a", "1") + bytes("b", "22");
    let mut session = Session::new();
    let mut kv = Kv::default();
    let mut ask = |request: &str| {
        session.kv = kv.clone();
        let asked = session.log.len();
        let reply = session.call(&line(request));
        let Some((entry, _)) = session.log.get(asked).cloned() else {
            return reply.expect("a reply");
        };
        kv.apply(&Entry::Within { state_max, entry }.to_bytes())
    };
    let full =
        |reply: Reply| matches!(reply, Reply::Error(text) if text.starts_with(b"OOM the state"));
    assert_eq!(ask("SET a 1"), Reply::ok());
    assert_eq!(ask("SET b 22"), Reply::ok());
    for request in [
        "SET c 1",
        "SET a 11",
        "APPEND a 1",
        "INCRBY a 98",
        "MSET b 2 a 1 c 1",
        "GETSET a 11",
        "SETNX c 1",
    ] {
        assert!(full(ask(request)), "{request}");
    }
    assert_eq!(
        ask("MGET a b"),
        Reply::Array(vec![Reply::Bulk("1".into()), Reply::Bulk("22".into())])
    );
    assert_eq!(ask("SET a 9"), Reply::ok(), "it does not grow");
    assert_eq!(ask("APPEND a "), Reply::Integer(1), "it does not grow");
    assert_eq!(ask("MSET b 2 a 98"), Reply::ok(), "it is as large as before");
    assert_eq!(ask("DEL b"), Reply::Integer(1));
    assert_eq!(ask("SET c 1"), Reply::ok(), "there is room again");
}

/// The limits are what the documents say.
#[test]
fn the_limits_are_documented() {
    let limits: BTreeMap<&str, u64> = [
        ("| `REQUEST_MAX` | 8 MiB |", REQUEST_MAX as u64 >> 20),
        ("| `VALUE_MAX` | 8 MiB |", VALUE_MAX as u64 >> 20),
        ("| `ANSWER_MAX` | 16 MiB + 64 KiB |", ANSWER_MAX as u64 >> 20),
        ("| `KEYS_MAX` | 25,000 |", KEYS_MAX as u64),
        ("| `STEPS_MAX` | 200,000 |", STEPS_MAX),
        ("and 256 bytes for each key |", ENTRY_BYTES),
    ]
    .into();
    let document = include_str!("../../../../docs/commands.md");
    for (row, limit) in limits {
        assert!(document.contains(row), "{row}");
        assert!(row.replace(',', "").contains(&limit.to_string()), "{row}: {limit}");
    }
}

/// A replica that still holds an answer copies a value that grows, and another replica does not. Both stop at the
/// same step.
#[test]
fn answers_that_a_replica_holds_change_nothing() {
    let mut session = Session::new();
    session.call(&words(["SET", "big", &"x".repeat(VALUE_MAX / 2)]));
    let append = |end: &str| {
        Entry::One(paxos_kv::Command::Append {
            key: "big".into(),
            value: Bytes::copy_from_slice(end.as_bytes()),
        })
        .to_bytes()
    };
    // With a copy of the value the entry exceeds the steps, and without a copy it does not.
    let exists = Entry::Read(Query::Exists(vec!["a".into(); 24_600])).to_bytes();
    for parts in [vec![append("x"), exists], vec![append("x"); 100]] {
        let pipeline = Entry::Pipeline(parts).to_bytes();
        let mut restored = Kv::default();
        let mut held = Kv::default();
        for kv in [&mut restored, &mut held] {
            kv.restore(&mut &snapshot(&session.kv)[..]).expect("a snapshot");
        }
        let answer = held.answer(&Question::Query(Query::Get("big".into())));
        assert_eq!(restored.apply(&pipeline), held.apply(&pipeline));
        assert_eq!(restored, held);
        drop(answer);
    }
}

/// While a snapshot is written, a change copies the handles of few keys, however many keys there are. So a put costs
/// about the same as at other times.
#[test]
fn a_change_beside_a_snapshot_copies_few_keys() {
    for keys in [1000, 100_000] {
        let mut store = Store::default();
        for key in 0..keys {
            store.insert(key.to_string().as_bytes(), "value".into());
        }
        let frozen = store.clone();
        let copied = |store: &Store| store.iter().filter(|(key, _)| !key.is_unique()).count();
        assert_eq!(copied(&store), 0, "a clone copies nothing");
        store.insert(b"0", "other".into());
        let few = copied(&store);
        assert!((1..=64).contains(&few), "{few} of {keys} keys were copied");
        assert_eq!(frozen.len(), store.len());
    }
}
