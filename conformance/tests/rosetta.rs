//! `docs/rosetta.md` has the name of each step of the protocol in the text, the model, the replica and the traces. The tests
//! look for each name of the table in its place, and for each step of the places in the table.

use std::{collections::BTreeSet, fs, path::Path};

use paxos_model::{
    cluster::{BEYOND, Bug, Cluster},
    specifications::{SPECIFICATIONS, shipped},
};
use state_explorer::Explorable as _;

/// The names of the table, column by column.
struct Table {
    columns: Vec<(String, BTreeSet<String>)>,
}

impl Table {
    fn of(text: &str) -> Self {
        let mut rows = text.lines().filter(|line| line.starts_with('|')).map(|line| {
            let cells = line.trim().trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        });
        let head = rows.next().expect("the table has a head");
        let mut columns: Vec<_> = head.into_iter().map(|name| (name, BTreeSet::new())).collect();
        for row in rows.skip(1) {
            assert_eq!(row.len(), columns.len(), "{row:?}");
            for (cell, (_, names)) in row.iter().zip(&mut columns) {
                let parts = cell.split(", ").map(|part| part.trim_matches('`').to_owned());
                names.extend(parts.filter(|part| !part.is_empty()));
            }
        }
        Self { columns }
    }

    fn column(&self, name: &str) -> &BTreeSet<String> {
        let column = self.columns.iter().find(|(column, _)| column == name);
        &column.unwrap_or_else(|| panic!("there is no column {name}")).1
    }
}

/// Returns the differences between a column and its place, in words.
fn compare(column: &str, named: &BTreeSet<String>, there: &BTreeSet<String>) -> Vec<String> {
    let gone = named.difference(there).map(|name| format!("{column}: there is no {name}"));
    let missing =
        there.difference(named).map(|name| format!("{column}: {name} is not in the table"));
    gone.chain(missing).collect()
}

/// Returns all differences between a table and the code.
fn wrong(text: &str) -> Vec<String> {
    let table = Table::of(text);
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let actions = SPECIFICATIONS.iter().flat_map(|(name, _)| shipped(name).actions);
    let bugs = Bug::ALL.iter().map(|bug| bug.number());
    // Bugs of drivers, stores and services break no step of the protocol. One is in the table.
    let named = table.column("broken by");
    let beyond = BEYOND.iter().map(|beyond| beyond.number);
    let bugs = bugs.chain(beyond.filter(|number| named.contains(&number.to_string())));
    let protocol = code("impl/paxos/src/protocol");
    let mut all = vec![
        ("text", actions.map(|action| action.name).collect()),
        ("TLA+", strings(&["Phase1a", "Phase1b", "Phase2a", "Phase2b"])),
        ("trace", strings(Cluster::KINDS)),
        ("records", variants(&code("impl/paxos/src/event.rs"), "Record")),
        ("messages", variants(&code("impl/paxos/src/message.rs"), "Message")),
        ("broken by", bugs.map(|number| number.to_string()).collect()),
    ];
    // The handlers of inputs have to be in the table. Other functions may be in it.
    for (column, code) in [
        ("model", code("model/paxos-model/src/cluster")),
        ("replica", [protocol, code("impl/paxos/src/output.rs")].concat()),
    ] {
        let named = table.column(column);
        let functions = functions(&code);
        let expected =
            functions.iter().filter(|name| name.starts_with("on_") || named.contains(*name));
        all.push((column, expected.cloned().collect()));
    }
    all.iter().flat_map(|(column, there)| compare(column, table.column(column), there)).collect()
}

/// Returns the code of a file, or of all files in a folder.
fn code(path: &str) -> String {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path))
}

fn read(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).expect("it is text");
    }
    let files = fs::read_dir(path).expect("the folder is there");
    files.map(|file| read(&file.expect("it can be listed").path())).collect()
}

/// The names of the functions in some code.
fn functions(code: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.split(['(', '<']).next().map(str::to_owned);
    code.split("fn ").skip(1).filter_map(name).collect()
}

/// The names of the variants of an enum with parameters.
fn variants(code: &str, name: &str) -> BTreeSet<String> {
    let body = code.split(&format!("pub enum {name}<")).nth(1).expect("there is such an enum");
    let body = body.split("\n}\n").next().expect("it ends");
    let lines = body.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let named = lines.map(|line| line.trim().split([' ', '(', ',']).next().unwrap_or_default());
    let named = named.filter(|name| name.starts_with(char::is_uppercase));
    named.map(str::to_owned).collect()
}

const ROSETTA: &str = include_str!("../../docs/rosetta.md");

#[test]
fn each_step_is_named_everywhere() {
    assert_eq!(wrong(ROSETTA), [""; 0]);
}

/// The comparison notices a name that is changed on one side, and a step that is left out.
#[test]
fn what_is_renamed_is_noticed() {
    for (there, instead, column, complaints) in [
        ("| `withdraw` |", "| `give_up` |", "text", 2),
        ("| `campaign` |", "| `candidacy` |", "trace", 2),
        ("| `on_nack` | `on_nack` |", "| `on_refusal` | `on_nack` |", "model", 2),
        ("| `on_nack` | `on_nack` |", "| `on_nack` | `on_refusal` |", "replica", 2),
        (", `choose_if_voted`", ", `choose_if_heard`", "model", 1),
        ("| `Trimmed` | `Trimmed` |", "| | `Trimmed` |", "records", 1),
        ("| `Nack` |", "| `Refusal` |", "messages", 2),
        ("25, 44", "25, 99", "broken by", 1),
        ("`Phase1b`", "`Phase1c`", "TLA+", 2),
    ] {
        assert!(ROSETTA.contains(there), "{there}");
        let wrong = wrong(&ROSETTA.replace(there, instead));
        assert_eq!(wrong.len(), complaints, "{there}: {wrong:?}");
        assert!(wrong.iter().all(|it| it.starts_with(column)), "{there}: {wrong:?}");
    }
}
