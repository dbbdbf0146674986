//! `paxos status`: the state of each node of a cluster, in a table.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use comfy_table::{Table, presets};
use itertools::Itertools as _;
use paxos::NodeId;
use paxos_node::ReadError;
use serde_json::{Value, json};

use crate::{address::with_port, complain};

/// The time that a node has to connect, and to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The length of the longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 20;

/// Print the state of each node: its leader, the chosen and applied slots, and the size of its store
///
/// Each node is asked and answers for itself. Lag is the number of slots that a node has to apply to reach the node
/// that has applied most.
///
/// Exit codes: 0 all nodes answered, agree on the leader, and none has halted; 3 otherwise; 2 bad input.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  paxos status 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003")]
pub(crate) struct Args {
    /// The addresses at which the nodes listen for clients
    #[arg(required = true, value_name = "ADDR", value_parser = with_port)]
    nodes: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// The fields of `INFO` by name, or the text of an error.
type Answer = Result<BTreeMap<String, String>, String>;

/// Asks all nodes at once, prints their answers, and returns the exit code.
pub(crate) fn main(args: &Args) -> ExitCode {
    let ask_in_words = |node: &String| ask(node).map_err(|error| error.to_string());
    let answers: Vec<(&String, Answer)> = thread::scope(|scope| {
        let asked = args.nodes.iter().map(|node| (node, scope.spawn(move || ask_in_words(node))));
        let asked: Vec<_> = asked.collect(); // All threads run before the first is joined.
        let answered = |(node, thread): (_, thread::ScopedJoinHandle<'_, Answer>)| {
            (node, thread.join().expect("asking does not panic"))
        };
        asked.into_iter().map(answered).collect()
    });
    let text = if args.json { as_json(&answers) } else { as_table(&answers) };
    if let Err(error) = writeln!(io::stdout(), "{text}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(format_args!("error: {error}"));
        return ExitCode::from(2);
    }
    if healthy(&answers) { ExitCode::SUCCESS } else { ExitCode::from(3) }
}

fn healthy(answers: &[(&String, Answer)]) -> bool {
    let mut leaders = answers.iter().map(|(_, answer)| leader(answer));
    let first = leaders.next().flatten();
    let halted = |(_, answer): &(&String, Answer)| halted(answer).is_some();
    first.is_some() && leaders.all(|leader| leader == first) && !answers.iter().any(halted)
}

/// Returns the slot at which the state machine of a node has halted.
fn halted(answer: &Answer) -> Option<&str> {
    let halted = answer.as_ref().ok()?.get("paxos_halted")?;
    (halted != "no").then_some(halted)
}

fn leader(answer: &Answer) -> Option<&str> {
    let leader = answer.as_ref().ok()?.get("paxos_leader")?;
    (leader != "unknown").then_some(leader)
}

/// Sends `INFO` to a node and returns the fields of its answer.
fn ask(node: &str) -> io::Result<BTreeMap<String, String>> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "not an address");
    for address in node.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return info(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn info(mut stream: TcpStream) -> io::Result<BTreeMap<String, String>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"*1\r\n$4\r\nINFO\r\n")?;
    let mut reader = BufReader::new(stream.take(ANSWER_MAX));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if let Some(error) = line.strip_prefix('-') {
        // For example, the node has as many clients as it allows.
        return Err(io::Error::other(error.trim().to_owned()));
    }
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "not the answer of a node");
    let length = line.strip_prefix('$').and_then(|length| length.trim().parse().ok());
    let length: usize = length.filter(|&length| length < ANSWER_MAX as usize).ok_or_else(odd)?;
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    let text = String::from_utf8(text).map_err(|_| odd())?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let pairs: BTreeMap<_, _> =
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if pairs.contains_key("paxos_node") { Ok(pairs) } else { Err(odd()) }
}

fn as_json(answers: &[(&String, Answer)]) -> String {
    let node = |(address, answer): &(&String, Answer)| match answer {
        Ok(said) => {
            let said = said.iter().map(|(key, value)| {
                let value =
                    value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
                (key.strip_prefix("paxos_").unwrap_or(key).to_owned(), value)
            });
            let mut said: serde_json::Map<String, Value> = said.collect();
            said.insert("address".to_owned(), json!(address));
            Value::Object(said)
        }
        Err(error) => json!({ "address": address, "error": error }),
    };
    let nodes: Vec<_> = answers.iter().map(node).collect();
    json!({ "verdict": if healthy(answers) { "holds" } else { "inconclusive" }, "nodes": nodes })
        .to_string()
}

fn as_table(answers: &[(&String, Answer)]) -> String {
    let number =
        |answer: &Answer, key| -> Option<u64> { answer.as_ref().ok()?.get(key)?.parse().ok() };
    let furthest = answers.iter().filter_map(|(_, answer)| number(answer, "paxos_applied_below"));
    let furthest = furthest.max().unwrap_or(0);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "address", "node", "role", "leader", "ballot", "chosen", "applied", "lag", "trimmed",
        "disk KiB",
    ]);
    let mut notes = String::new();
    for (address, answer) in answers {
        let said = match answer {
            Ok(said) => said,
            Err(error) => {
                writeln!(notes, "{address}: {error}").expect("memory");
                table.add_row([address.as_str(), "-", "silent"]);
                continue;
            }
        };
        if let Some(missing) = said.get("paxos_missing").filter(|missing| !missing.is_empty()) {
            let missing = missing.split(',').filter_map(|node| Some(NodeId(node.parse().ok()?)));
            // A client of this node is told the same.
            let error = ReadError::Forming(missing.collect());
            writeln!(notes, "{address}: {error}").expect("memory");
        }
        if let Some(slot) = halted(answer) {
            writeln!(
                notes,
                "{address}: its state machine has panicked at slot {slot}; see its log"
            )
            .expect("memory");
        }
        let word = |key| said.get(key).map_or("-", String::as_str).to_owned();
        let lag = number(answer, "paxos_applied_below").map(|applied| furthest - applied);
        let disk = number(answer, "paxos_disk_bytes").map(|bytes| bytes / 1024);
        let shown =
            |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        table.add_row([
            (*address).clone(),
            word("paxos_node"),
            word("paxos_role"),
            word("paxos_leader"),
            word("paxos_ballot"),
            word("paxos_chosen_below"),
            word("paxos_applied_below"),
            shown(lag),
            word("paxos_trimmed_below"),
            shown(disk),
        ]);
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.chain(notes.lines().map(str::to_owned)).join("\n")
}
