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

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use console::Term;
use itertools::Itertools as _;
use paxos::NodeId;
use paxos_node::ReadError;
use serde_json::{Value, json};

use crate::{address::with_port, complain};

/// The longest time to wait for a connection to a node, and for its answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The width of the table, in columns, if standard output is not a terminal.
const WIDTH: u16 = 100;
/// The length of the longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 20;

/// Print the state of each node: its leader, the chosen and applied slots, and the size of its store
///
/// The command asks each node for its own state. Lag is the number of slots that a node still has to apply to reach the node
/// that has applied the most.
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
    /// Also print the ballot, the chosen slots and the trimmed slots
    #[arg(long, short, conflicts_with = "json")]
    verbose: bool,
}

/// The fields of `INFO` by name, or the text of an error.
type Answer = Result<BTreeMap<String, String>, String>;

/// Asks all nodes at once, prints their answers, and returns the exit code.
pub(crate) fn main(args: &Args) -> ExitCode {
    let ask_in_words = |node: &String| info(node, TIMEOUT).map_err(|error| error.to_string());
    let answers: Vec<(&String, Answer)> = thread::scope(|scope| {
        let asked = args.nodes.iter().map(|node| (node, scope.spawn(move || ask_in_words(node))));
        let asked: Vec<_> = asked.collect(); // All threads run before the first is joined.
        let answered = |(node, thread): (_, thread::ScopedJoinHandle<'_, Answer>)| {
            (node, thread.join().expect("asking does not panic"))
        };
        asked.into_iter().map(answered).collect()
    });
    let text = if args.json { as_json(&answers) } else { as_table(&answers, args.verbose) };
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

/// Sends `INFO` to a node, and returns the fields of its answer.
pub(crate) fn info(node: &str, patience: Duration) -> io::Result<BTreeMap<String, String>> {
    let text = ask(node, &["INFO"], patience, read_bulk)?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let pairs: BTreeMap<_, _> =
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if pairs.contains_key("paxos_node") { Ok(pairs) } else { Err(odd()) }
}

/// Sends a request to a node, and returns the answer. Each read and write waits at most for `patience`. `read` gets the first
/// line of the answer and reads the rest.
///
/// # Errors
/// Fails if the node cannot be reached, or answers with an error or in another form.
pub(crate) fn ask(
    node: &str,
    words: &[&str],
    patience: Duration,
    read: impl FnOnce(&str, &mut dyn io::Read) -> io::Result<String>,
) -> io::Result<String> {
    let mut stream = connect(node)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let words: Vec<_> = words.collect();
    stream.write_all(format!("*{}\r\n{}", words.len(), words.concat()).as_bytes())?;
    let mut reader = BufReader::new(stream.take(ANSWER_MAX));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.strip_prefix('-') {
        // An example is the error of a node that has as many clients as it allows.
        Some(error) => Err(io::Error::other(error.trim().to_owned())),
        None => read(line.trim(), &mut reader),
    }
}

fn connect(node: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "not an address");
    for address in node.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn odd() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not the answer of a node")
}

fn read_bulk(line: &str, rest: &mut dyn io::Read) -> io::Result<String> {
    let length = line.strip_prefix('$').and_then(|length| length.parse().ok());
    let length: usize = length.filter(|&length| length < ANSWER_MAX as usize).ok_or_else(odd)?;
    let mut text = vec![0; length];
    rest.read_exact(&mut text)?;
    String::from_utf8(text).map_err(|_| odd())
}

pub(crate) fn read_integer(line: &str, _: &mut dyn io::Read) -> io::Result<String> {
    line.strip_prefix(':').map(str::to_owned).ok_or_else(odd)
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

/// Returns a table that is at most as wide as the terminal, with notes below it. Wraps addresses, and no numbers.
fn as_table(answers: &[(&String, Answer)], verbose: bool) -> String {
    let number =
        |answer: &Answer, key| -> Option<u64> { answer.as_ref().ok()?.get(key)?.parse().ok() };
    let furthest = answers.iter().filter_map(|(_, answer)| number(answer, "paxos_applied_below"));
    let furthest = furthest.max().unwrap_or(0);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let mut header = vec!["address", "node", "role", "leader", "applied", "lag", "disk KiB"];
    if verbose {
        header.extend(["ballot", "chosen", "trimmed"]);
    }
    table.set_header(header);
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
        let mut row = vec![
            (*address).clone(),
            word("paxos_node"),
            word("paxos_role"),
            word("paxos_leader"),
            word("paxos_applied_below"),
            shown(lag),
            shown(disk),
        ];
        if verbose {
            row.extend(["paxos_ballot", "paxos_chosen_below", "paxos_trimmed_below"].map(word));
        }
        table.add_row(row);
    }
    table.set_content_arrangement(ContentArrangement::Dynamic);
    let width = Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| columns);
    table.set_width(width);
    for column in table.column_iter_mut().skip(1) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    let options = textwrap::Options::new(width.into()).subsequent_indent("  ").break_words(false);
    lines.chain(notes.lines().map(|note| textwrap::fill(note, &options))).join("\n")
}
