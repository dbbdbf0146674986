//! The page for operators, `docs/server.md`. Its commands run, and its tables have all flags, keys and metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use serde_json::Value;

use super::{
    clients::{Connection, Reply},
    cluster::Cluster,
    commands::scrape,
    document::{Document, code, server_page},
    process::{Process, eventually, run},
    storm::seed,
    trying::{PAXOS, Trying, has_redis_cli},
};

/// Runs a script in a directory, where `paxos` is the binary of this test. Returns its output.
fn shell(script: &str, directory: &Path) -> String {
    let mut path =
        Path::new(PAXOS).parent().expect("a file is in a directory").as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(directory).env("PATH", path);
    let output = command.output().expect("there is a shell");
    assert!(output.status.success(), "{script}\n{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the words of a command after `paxos`, or `None` for a command of another program.
fn arguments(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line).expect("a line for a shell");
    let (first, rest) = words.split_first()?;
    first.ends_with("paxos").then(|| rest.to_vec())
}

/// Writes the ports of running clusters into a script of the page.
fn with_ports(script: &str, cluster: &Trying, new: Option<&Trying>) -> String {
    let places = (1..=3).map(|node| (format!("700{node}"), cluster.port(node)));
    let places = places.chain(new.map(|new| ("8001".to_owned(), new.port(1))));
    let places: Vec<_> = places.collect();
    // A port may contain the digits of another place.
    let named = places.iter().enumerate().fold(script.to_owned(), |script, (index, (place, _))| {
        script.replace(place, &format!("{{{index}}}"))
    });
    places
        .iter()
        .enumerate()
        .fold(named, |script, (index, (_, port))| script.replace(&format!("{{{index}}}"), port))
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn the_first_cluster_of_the_page_runs() {
    let (text, has_redis_cli) = (server_page(), has_redis_cli());
    let page = Document::new(&text);
    let directory = tempfile::tempdir().expect("a directory");
    let first = page.section("A first cluster on one machine");
    let [_build, start, ask] = &first.blocks("sh")[..] else { panic!("three blocks") };
    let mut start = arguments(start).expect("a command");
    let data = start.iter_mut().find(|word| *word == "trying").expect("a directory");
    *data = directory.path().join("trying").display().to_string();
    let cluster = Trying::with(3, &start);
    cluster.status(&[1, 2, 3]);

    let (redis, status): (Vec<_>, Vec<_>) =
        ask.lines().partition(|line| line.starts_with("redis-cli "));
    if has_redis_cli {
        let answer = shell(&with_ports(&redis.join("\n"), &cluster, None), directory.path());
        assert_eq!(answer.trim(), "OK");
    }
    let status = shell(&with_ports(&status.join("\n"), &cluster, None), directory.path());
    let shown = first.blocks("text").concat();
    let shapes = [&status, &shown].map(|table| {
        let mut lines = table.lines().map(words);
        (lines.next(), lines.map(|row| row.len()).collect::<Vec<_>>())
    });
    assert_eq!(shapes[0], shapes[1], "{status}");

    if has_redis_cli {
        retry_in_a_session(page, &cluster, directory.path());
        copy_to_a_new_cluster(page, &cluster, directory.path());
    }
    drop(cluster);
    let [look] = &page.section("Looking into a data directory").blocks("sh")[..] else {
        panic!("one block")
    };
    let log = shell(look, directory.path());
    assert!(log.starts_with("node 1 of cluster `paxos`"), "{log}");
}

fn retry_in_a_session(page: Document<'_>, cluster: &Trying, directory: &Path) {
    let block = page.section("Clients").blocks("sh").concat();
    let mut lines = block.lines().map(|line| with_ports(line, cluster, None));
    let open = lines.next().expect("a line");
    let session = shell(&format!("{open}; echo $SESSION"), directory);
    let answers = lines.map(|line| {
        shell(&format!("SESSION={}; {line}", session.trim()), directory).trim().to_owned()
    });
    assert_eq!(answers.collect::<Vec<_>>(), ["1", "1", "2"], "the second line is a retry");
}

fn copy_to_a_new_cluster(page: Document<'_>, cluster: &Trying, directory: &Path) {
    let new = Trying::start(1, &directory.join("new"));
    new.status(&[1]);
    assert_eq!(cluster.redis(1, &["set", "a key", "two  words"]), "OK");
    let section = page.section("A lost disk, a damaged one, or an older copy");
    shell(&with_ports(&section.blocks("sh").concat(), cluster, Some(&new)), directory);
    for (key, value) in [("greeting", "hello"), ("a key", "two  words"), ("hits", "2")] {
        assert_eq!(new.redis(1, &["get", key]), value);
    }
}

/// The flags, the file and the unit start the same node, which waits for two other nodes.
#[test]
fn the_settings_of_the_page_start_a_node() {
    let text = server_page();
    let page = Document::new(&text);
    let section = page.section("A cluster across machines");
    let directory = tempfile::tempdir().expect("a directory");
    let (data, file) = (directory.path().join("data"), directory.path().join("node.toml"));
    let here = |text: &str| {
        let own = ["10.0.0.1:7100", "10.0.0.1:7000", "127.0.0.1:9100"];
        let text = own.iter().fold(text.to_owned(), |text, own| text.replace(own, "127.0.0.1:0"));
        let peers = ["10.0.0.2:7100", "10.0.0.3:7100"];
        let text = peers.iter().fold(text, |text, peer| text.replace(peer, "127.0.0.1:1"));
        text.replace("/var/lib/paxos", &data.display().to_string())
            .replace("/etc/paxos/node.toml", &file.display().to_string())
    };
    let settings = section.blocks("toml").concat();
    fs::write(&file, here(&settings)).expect("written");
    let unit = section.blocks("ini").concat();
    let unit = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    for (command, form) in [(section.blocks("sh").concat().as_str(), "text"), (unit, "json")] {
        let node = Process::start(arguments(&here(command)).expect("a command"));
        let missing = if form == "text" { "missing=\"2,3\"" } else { "\"missing\":\"2,3\"" };
        assert!(node.line(missing).is_some(), "{}", node.log());
        assert!(node.line("serving metrics").is_some(), "{}", node.log());
        let serving = node.line("client").expect("it serves");
        if form == "json" {
            let serving: Value = serde_json::from_str(&serving).expect("a line of JSON");
            let address = serving["fields"]["client"].as_str().expect("an address");
            let mut client =
                Connection::open(address.parse().expect("an address")).expect("it runs");
            let reply = client.ask(&["GET", "key"]).expect("an answer");
            let shown = page.section("Bootstrap").blocks("text").concat();
            assert_eq!(reply, Reply::Error(shown));
        }
        node.signal(Signal::TERM);
        let ended = node.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
    }
}

/// Tests above run `cluster` and `serve`. This test tries the other commands at addresses without a node.
#[test]
fn every_command_of_the_page_is_accepted() {
    let text = server_page();
    let lines = Document::new(&text).blocks("sh").join("\n");
    let mut commands = BTreeSet::new();
    for words in lines.lines().filter_map(arguments) {
        commands.insert(words[0].clone());
        if ["cluster", "serve"].contains(&words[0].as_str()) {
            continue;
        }
        let elsewhere =
            |word: String| if word.contains(":7") { "127.0.0.1:1".to_owned() } else { word };
        let ended = run(words.iter().cloned().map(elsewhere));
        assert!(!ended.log.contains("Usage"), "{words:?}: {}", ended.log);
        let expected = if words[0] == "log" { 2 } else { 3 };
        assert_eq!(ended.code, Some(expected), "{words:?}: {}", ended.log);
    }
    let all = ["cluster", "log", "serve", "status", "transfer"].map(str::to_owned);
    assert_eq!(commands, BTreeSet::from(all));
}

/// Returns the flags in the help of `paxos serve`, each with its default.
fn flags() -> BTreeMap<String, Option<String>> {
    let help = run(["serve", "--help"]).output;
    let mut flags = BTreeMap::new();
    let mut flag = String::new();
    for line in help.lines().map(str::trim) {
        if line.starts_with("--") {
            words(line)[0].clone_into(&mut flag);
            flags.insert(flag.clone(), None);
        } else if let Some((_, rest)) = line.split_once("[default: ") {
            let default = rest.strip_suffix(']').expect("the end of the line");
            flags.insert(flag.clone(), Some(default.to_owned()));
        }
    }
    flags
}

#[test]
fn the_table_of_settings_is_complete() {
    let text = server_page();
    let rows = Document::new(&text).section("Settings").table("flag");
    let default = |row: &[String]| match row[1].as_str() {
        "required" | "none" => None,
        default => Some(default.to_owned()),
    };
    let flag = |row: &[String]| code(&row[0]).collect::<String>();
    let table: BTreeMap<_, _> = rows.iter().map(|row| (flag(row), default(row))).collect();
    assert_eq!(table, flags());

    let required: Vec<_> =
        rows.iter().filter(|row| row[1] == "required").map(|row| flag(row)).collect();
    for missing in &required {
        let rest = required.iter().filter(|flag| flag != &missing);
        let given = rest.flat_map(|flag| [flag.as_str(), "1"]);
        let ended = run(["serve"].into_iter().chain(given));
        assert!(ended.log.contains(&format!("`{missing}` is missing")), "{}", ended.log);
    }

    // A key that does not exist makes the reader of the file list all keys.
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("node.toml");
    fs::write(&file, "colour = 1\n").expect("written");
    let ended = run([Path::new("serve"), "--config".as_ref(), &file]);
    let (_, expected) = ended.log.split_once("expected one of ").expect("the keys");
    let keys: BTreeSet<_> = code(expected).map(|key| format!("--{key}")).collect();
    let own_table_or_none = ["--peer", "--config"];
    let in_file = table.keys().filter(|flag| !own_table_or_none.contains(&flag.as_str()));
    assert_eq!(keys, in_file.cloned().collect());
}

#[test]
fn the_table_of_metrics_is_complete() {
    let text = server_page();
    let rows = Document::new(&text).section("Watching it").table("metric");
    let metric = |row: &Vec<String>| (code(&row[0]).collect::<String>(), row[1].clone());
    let table: BTreeMap<_, _> = rows.iter().map(metric).collect();
    let cluster =
        Cluster::formed(3, seed(), |_| ["--metrics", "127.0.0.1:0"].map(str::to_owned).to_vec());
    let address = cluster.metrics_address(1);
    let mut metrics = String::new();
    eventually("all kinds of metrics were published", || {
        metrics = scrape(&address).unwrap_or_default();
        ["paxos_sync_seconds_count", "paxos_peer_queue_bytes{"]
            .iter()
            .all(|name| metrics.contains(name))
    });
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<_, _> =
        types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    assert_eq!(table, types);
}

/// Returns the text of all sources in a directory.
fn sources(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let texts = paths.map(|path: PathBuf| {
        if path.is_dir() { sources(&path) } else { fs::read_to_string(path).expect("text") }
    });
    texts.collect()
}

#[test]
fn the_events_of_the_page_are_those_of_the_sources() {
    let text = server_page();
    let rows = Document::new(&text).section("Watching it").table("event");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources: String =
        ["cli", "kv", "node"].map(|name| sources(&root.join(name).join("src"))).concat();
    for event in rows.iter().flat_map(|row| code(&row[0])) {
        let start = format!("\"{event}");
        assert!(sources.contains(&start), "no source logs `{event}`");
    }
}
