//! The commands of an operator: `serve`, `log`, `status`, configuration files and metrics.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
};

use super::{
    clients::{Connection, Reply},
    cluster::Cluster,
    process::{Ended, PATIENCE, Process, eventually, run},
    storm::seed,
};

/// Returns the arguments for a cluster of one node.
fn alone(data: &Path) -> Vec<String> {
    let data = data.to_str().expect("text");
    let words = [
        "serve",
        "--id",
        "1",
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
        "--client",
        "127.0.0.1:0",
    ];
    words.map(str::to_owned).to_vec()
}

fn set(cluster: &Cluster, id: u32, key: &str, value: &str) {
    eventually("it is written", || {
        let reply = cluster.connect(id).map(|mut node| node.ask(&["SET", key, value]));
        matches!(reply, Some(Ok(Reply::Simple(_))))
    });
}

fn get(cluster: &Cluster, id: u32, key: &str) -> Option<Reply> {
    cluster.connect(id)?.ask(&["GET", key]).ok()
}

#[test]
fn a_node_that_is_stopped_keeps_its_data() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    set(&cluster, 1, "key", "value");
    for id in cluster.ids() {
        let ended = cluster.stop(id);
        assert_eq!(ended.code, Some(0), "{}", ended.log);
    }
    cluster.start_all();
    for id in cluster.ids() {
        let value = Some(Reply::Bulk("value".to_owned()));
        eventually("it is still there", || get(&cluster, id, "key") == value);
    }
}

/// The level of the log decides about the log and about nothing else.
#[test]
fn a_node_without_a_log_serves() {
    let directory = tempfile::tempdir().expect("a directory");
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let client = free.local_addr().expect("an address");
    let mut arguments = alone(directory.path());
    *arguments.last_mut().expect("the address for clients") = client.to_string();
    arguments.extend(["--log-level", "off"].map(str::to_owned));
    drop(free);
    let mut node = Process::start(&arguments);
    eventually("it serves", || {
        assert!(!node.has_ended(), "it has ended");
        let reply =
            Connection::open(client).ok().map(|mut node| node.ask(&["SET", "key", "value"]));
        matches!(reply, Some(Ok(Reply::Simple(_))))
    });
}

#[test]
fn a_node_that_is_stopped_answers_pending_requests() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    set(&cluster, 1, "key", "value");
    for id in [2, 3] {
        cluster.kill(id);
    }
    let mut client = cluster.connect(1).expect("it runs");
    let asking = thread::spawn(move || client.ask(&["SET", "key", "another"]));
    eventually("the command waits", || {
        cluster.info(1).is_some_and(|info| info["paxos_waiting_proposals"] == "1")
    });
    let ended = cluster.stop(1);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let answer = asking.join().expect("it does not panic").expect("an answer, not the end");
    assert!(matches!(&answer, Reply::Error(error) if error.starts_with("MAYBE")), "{answer:?}");
}

/// A node on a full disk answers each client with one error, and ends.
#[test]
fn a_full_disk_ends_a_node_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let start = || {
        // No file may be longer than 2 MiB. The signal is ignored, so that the write fails as it does on a full disk.
        let arguments = alone(&data).into_iter().chain(["--log", "json"].map(str::to_owned));
        Process::start_after("trap '' XFSZ && ulimit -f 4096", arguments)
    };
    // The second start finds a full disk. It has nothing to write before the first command.
    for _ in 0..2 {
        let mut process = start();
        let line = process.line("\"serving\"").expect("it serves");
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        let address = line["fields"]["client"].as_str().and_then(|address| address.parse().ok());
        let mut node = Connection::open(address.expect("an address")).expect("it serves");
        let mut refused = Vec::new();
        for number in 0..10_000 {
            match node.ask(&["SET", &number.to_string(), &"x".repeat(10_000)]) {
                Ok(Reply::Simple(_)) => {}
                Ok(error) => refused.push(error),
                Err(_) => break,
            }
        }
        assert!(refused.len() <= 1, "{refused:?}");
        eventually("it ends", || process.has_ended());
        let ended = process.wait();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.log.contains(&format!("{}: cannot", data.display())), "{}", ended.log);
    }
}

#[test]
fn a_log_is_printed_of_a_node_that_does_not_run() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    set(&cluster, 1, "a-key", "a-value");
    let data = cluster.data(1).clone();
    let log = || run([Path::new("log"), &data]);
    let running = log();
    assert_eq!(running.code, Some(2), "{running:?}");
    let reason = "is in use; stop the process that uses it first";
    assert!(running.log.contains(reason), "{}", running.log);
    cluster.stop(1);
    let stopped = log();
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    for part in [
        "node 1 of cluster `paxos`",
        "metadata: members: 1, 2, 3\n",
        "metadata: starts: 1\n",
        "metadata: node 2: start 1 of store ",
        "promised",
        "accepted",
        "SET \"a-key\" \"a-value\"",
    ] {
        assert!(stopped.output.contains(part), "{part} is missing in {}", stopped.output);
    }
    let missing = run(["log", "/nowhere/at/all"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    // The error names the data directory.
    fs::write(data.join("mark"), "x").expect("written");
    let damaged = log();
    assert_eq!(damaged.code, Some(1), "{damaged:?}");
    let refused = cluster.start_with(1, &[]).wait();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let damage = format!("{}: the store is damaged: the file", data.display());
    for ended in [damaged, refused] {
        for part in [damage.as_str(), "has length 1, not 1024"] {
            assert!(ended.log.contains(part), "{part} is missing in {}", ended.log);
        }
    }
}

#[test]
fn status_tells_whether_all_agree() {
    let mut cluster = Cluster::formed(3, seed(), |_| Vec::new());
    let addresses: Vec<_> =
        cluster.ids().map(|id| cluster.client_address(id).to_string()).collect();
    let status = || run(["status"].into_iter().chain(addresses.iter().map(String::as_str)));
    eventually("all agree on who leads", || status().code == Some(0));
    let table = status().output;
    assert!(
        table.contains("leader") && addresses.iter().all(|node| table.contains(node)),
        "{table}"
    );
    let fits = |table: &str| table.lines().all(|line| line.chars().count() <= 100);
    let all = run(["status", "--verbose"].into_iter().chain(addresses.iter().map(String::as_str)));
    assert!(all.output.contains("trimmed") && !table.contains("trimmed"), "{all:?}");
    assert!(fits(&table) && fits(&all.output), "{all:?}");
    cluster.kill(1);
    // The name is as long as a name can be, and has to be wrapped.
    let long = format!("{}.invalid:7001", ["node"; 12].join("."));
    let unknown = run(["status", &long]).output;
    let row = unknown.lines().take_while(|line| !line.starts_with(&long));
    assert!(
        row.clone().count() > 1 && row.clone().all(|line| line.chars().count() <= 100),
        "{unknown}"
    );
    let one_is_down = status();
    assert_eq!(one_is_down.code, Some(3), "{one_is_down:?}");
    let why = format!("\n{}: ", addresses[0]);
    assert!(one_is_down.output.contains("silent") && one_is_down.output.contains(&why));
    assert_eq!(run(["status"]).code, Some(2));
    for wrong in ["nowhere", ":80", "127.0.0.1", "127.0.0.1:http"] {
        let ended = run(["status", wrong]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.log.contains(&format!("`{wrong}` is not an address with a port")));
    }
}

/// A node that waits for others tells its clients and its operator at once.
#[test]
fn a_node_that_is_forming_names_the_nodes_that_are_missing() {
    let minutes = ["--request-timeout-ms", "600000"].map(str::to_owned);
    let mut cluster = Cluster::new(3, seed(), |_| minutes.to_vec());
    cluster.start(1);
    let reason = "the cluster is forming: waiting for nodes 2 and 3";
    let mut node = cluster.connect(1).expect("it serves");
    for request in [&["SET", "key", "value"][..], &["GET", "key"], &["PAXOS", "SESSION"]] {
        let reply = node.ask(request).expect("an answer long before the time is up");
        assert_eq!(reply, Reply::Error(format!("CLUSTERDOWN {reason}")), "{request:?}");
    }
    let address = cluster.client_address(1).to_string();
    let status = run(["status", &address]);
    assert!(status.output.contains(&format!("\n{address}: {reason}")), "{}", status.output);
    cluster.form();
    set(&cluster, 1, "key", "value");
}

#[test]
fn a_node_without_peers_says_that_it_is_a_cluster_of_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Process::start(alone(&directory.path().join("data")));
    let line = node.line("cluster of one").expect("it says so");
    assert!(line.contains("WARN") && line.contains("--peer ID=ADDR"), "{line}");
    let mut cluster = Cluster::new(2, seed(), |_| Vec::new());
    cluster.start(1);
    assert!(!cluster.process(1).log().contains("cluster of one"), "it has a peer");
}

#[test]
fn a_file_has_the_same_settings_as_flags() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let write = |file: &str, text: String| {
        let file = directory.path().join(file);
        fs::write(&file, text).expect("written");
        file
    };
    let usual = format!(
        "id = 1\ncluster = \"filed\"\ndata = {data:?}\nlisten = \"127.0.0.1:0\"\n\
         client = \"127.0.0.1:0\"\nlog = \"json\"\nelection-timeout-ms = 200\n"
    );
    let file = write("node.toml", usual.clone());
    let start = |arguments: &[&str]| Process::start([&["serve"], arguments].concat());
    let node = start(&["--config", file.to_str().expect("text")]);
    let line = node.line("\"serving\"").expect("it serves");
    let line: serde_json::Value = serde_json::from_str(&line).expect("as JSON, as the file says");
    let address = line["fields"]["client"].as_str().expect("an address").parse().expect("one");
    eventually("a cluster of one answers", || {
        let reply =
            Connection::open(address).and_then(|mut node| node.ask(&["SET", "key", "value"]));
        matches!(reply, Ok(Reply::Simple(_)))
    });
    drop(node);
    // A node with flags of the same names opens the store that was made with the file.
    let mut flags = alone(&data);
    flags.extend(["--cluster", "filed"].map(str::to_owned));
    let node = Process::start(&flags);
    assert!(node.line("serving").is_some(), "{}", node.log());
    drop(node);
    // Flags take precedence.
    let other = start(&["--config", file.to_str().expect("text"), "--cluster", "flagged"]).wait();
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.log.contains("filed") && other.log.contains("flagged"), "{}", other.log);

    for (text, wrong) in [
        (format!("{usual}colour = 1\n"), "colour"),
        (format!("{usual}[peers]\ntwo = \"127.0.0.1:1\"\n"), "two"),
        (usual.replace("id = 1", "id = \"one\""), "id"),
        (usual.replace("= 200", "= 0\nheartbeat-ms = 0"), "0 is not in 10..=600000"),
        (format!("{usual}request-timeout-ms = 0\n"), "0 is not in 1..=3600000"),
        (format!("{usual}snapshot-bytes = 5000000000\n"), "is not in 1024..=268435456"),
        ("id = ".to_owned(), "wrong.toml"),
    ] {
        let file = write("wrong.toml", text);
        let ended = start(&["--config", file.to_str().expect("text")]).wait();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.log.contains(wrong), "{wrong} is not named in {}", ended.log);
    }
}

#[test]
fn errors_name_the_wrong_argument() {
    let directory = tempfile::tempdir().expect("a directory");
    let usual = alone(&directory.path().join("data"));
    let with = |more: &[&str]| -> Ended {
        run(usual.iter().map(String::as_str).chain(more.iter().copied()))
    };
    let without = |flag: &str| -> Ended {
        let place = usual.iter().position(|word| word == flag).expect("a flag");
        run(usual[..place].iter().chain(&usual[place + 2..]))
    };
    let cases = [
        (without("--id"), "--id"),
        (without("--data"), "--data"),
        (without("--listen"), "--listen"),
        (without("--client"), "--client"),
        (with(&["--peer", "2"]), "ID=ADDR"),
        (with(&["--peer", "2=nowhere"]), "`nowhere` is not an address"),
        (with(&["--peer", "x=127.0.0.1:1"]), "`x` is not the number of a node"),
        (with(&["--peer", "1=127.0.0.1:1"]), "node 1 is given as its own peer"),
        (with(&["--peer", "2=127.0.0.1:1", "--peer", "2=127.0.0.1:2"]), "node 2 is given twice"),
        (with(&["--heartbeat-ms", "900"]), "900 ms"),
        (with(&["--election-timeout-ms", "0"]), "--election-timeout-ms"),
        (with(&["--log-level", "loud"]), "loud"),
        (with(&["--config", "/nowhere/at/all"]), "/nowhere/at/all"),
        (with(&["--colour"]), "--colour"),
    ];
    for (ended, wrong) in cases {
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.log.contains(wrong), "{wrong} is not named in {}", ended.log);
    }
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = busy.local_addr().expect("bound").to_string();
    let words =
        ["serve", "--id", "1", "--data", "unused", "--client", "127.0.0.1:0", "--listen", &address];
    let ended = run(words);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.log.contains(&format!("`--listen {address}`")), "{}", ended.log);
}

/// Reads the metrics that a node serves on this address.
pub(crate) fn scrape(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Each metric has a help text and plausible values, and the log has the events of the cluster.
#[test]
fn metrics_and_log_report_the_events() {
    let mut cluster = Cluster::formed(3, seed(), |id| {
        let metrics = ["--metrics", "127.0.0.1:0"].map(str::to_owned).to_vec();
        if id == 1 { metrics } else { Vec::new() }
    });
    let address = cluster.metrics_address(1);
    set(&cluster, 1, "key", "value");
    let value = |text: &str, name: &str| -> Option<f64> {
        let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        row.and_then(|number| number.parse().ok())
    };
    eventually("what was written is counted", || {
        let text = scrape(&address).unwrap_or_default();
        value(&text, "paxos_applied_total").is_some_and(|applied| applied >= 2.0)
    });
    let text = scrape(&address).expect("metrics");
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = name.split(' ').next().expect("a name");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} is not explained");
    }
    for (name, most) in [
        ("paxos_syncs_total", f64::MAX),
        ("paxos_apply_lag", 0.0),
        ("paxos_peer_queue_frames{peer=\"2\"}", 100.0),
        ("paxos_peer_queue_bytes{peer=\"3\"}", 100_000.0),
        ("paxos_sync_seconds_count", f64::MAX),
        ("paxos_packets_received_total{kind=\"heartbeat\"}", f64::MAX),
    ] {
        let value = value(&text, name).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!((0.0..=most).contains(&value), "{name} is {value}");
    }

    let leader = cluster.leader().expect("it has written");
    let rest: Vec<_> = cluster.ids().filter(|&id| id != leader).collect();
    assert!(cluster.process(leader).line("\"leads\"").is_some());
    for &id in &rest {
        let process = cluster.process(id);
        assert!(process.line("\"waits until it has met the others\"").is_some());
        assert!(process.line("\"has met all the others\"").is_some());
        let follows = process.line("\"follows\"").expect("a line");
        assert!(follows.contains(&format!("\"leader\":{leader}")), "{follows}");
    }
    cluster.kill(leader);
    cluster.wait_for_leader();
    let leader = cluster.leader().expect("it was waited for");
    let line = cluster.process(leader).line("\"asks for promises\"");
    assert!(line.is_some() && cluster.process(leader).line("\"leads\"").is_some());
}
