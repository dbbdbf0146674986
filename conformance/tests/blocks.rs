//! A test tries every code block of every document. The table [`OWNERS`] says which test, document by document.
//!
//! Each line of a block belongs to an owner of its document. A line without an owner fails, and so does an owner without a
//! line. **A new document with code needs a row here.**
//!
//! This file tries two kinds of blocks itself. Commands of cargo must name packages, tests, benches and examples that exist,
//! and a filter must be in the name of a test. An excerpt must be in the file that it is from.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[path = "../../model/paxos-model/tests/support/documents.rs"]
mod support;

use support::{Block, blocks, documents, lines, read, root, spans};

/// The code that tries a line of a document.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// The test in this file runs or parses the commands with these beginnings, in every document.
    Commands(&'static str, &'static [&'static str]),
    /// The test in this file tries whole documents, and names them. It compares outputs and pictures, and runs other programs.
    Outputs(&'static str),
    /// The documentation of a crate, which begins in this file, includes the document. The doctests of the crate therefore
    /// compile and run its Rust.
    Rustdoc(&'static str),
    /// The tests of this file check the names in commands of cargo, and do not run the commands.
    Cargo,
    /// A block with this beginning is an excerpt of this file.
    Excerpt(&'static str, &'static str),
    /// A block with this beginning is for readers only. No test tries it.
    Drawing(&'static str),
    /// The tests in this folder try all blocks of the document. One of the tests names the document.
    All(&'static str),
}
use Owner::{All, Cargo, Commands, Drawing, Excerpt, Outputs, Rustdoc};

const MODEL: Owner = Commands(
    "model/paxos-model/tests/documents.rs",
    &["cargo run --release --bin paxos-model -- ", "paxos-model ", "cp model/specs/"],
);
const MODEL_OUTPUTS: Owner = Outputs("model/paxos-model/tests/documents.rs");
const CONFORMANCE: Owner = Commands(
    "conformance/tests/documents.rs",
    &["cargo run --release --bin paxos-conformance -- ", "paxos-conformance ", "cargo verify"],
);
const CLI: Owner = Commands(
    "impl/cli/tests/documents.rs",
    &["cargo run --release --bin paxos -- ", "target/release/paxos ", "paxos "],
);
/// The tests that start a cluster run the commands of the README on it.
const CLUSTER: Owner = Commands("impl/cli/tests", &["redis-cli -p ", "kill -9 PROCESS"]);
/// The test of the documents runs every line of the page.
const GALLERY: Owner = Commands(
    "conformance/tests/documents.rs",
    &["python3 conformance/adapters/python/gallery.py --list"],
);
const BENCHES: Owner = Commands(
    "benches/tests/documents.rs",
    &[
        "cargo run --profile dist -p paxos-benches --bin ",
        "target/dist/beside-",
        "target/dist/snapshot-pause ",
        "target/dist/catch-up ",
    ],
);
const RACE: Owner = Commands(
    "benches/tests/race.rs",
    &[
        "cargo run --release -p paxos-benches --features peers --bin race ",
        "cargo run --profile dist -p paxos-benches --features peers --bin race ",
    ],
);

/// Each document with code, and the owners of its lines.
const OWNERS: &[(&str, &[Owner])] = &[
    ("ARCHITECTURE.md", &[Drawing("model/specs/*.epr"), Drawing("event -> ")]),
    (
        "README.md",
        &[
            MODEL,
            CONFORMANCE,
            CLI,
            CLUSTER,
            Cargo,
            Excerpt("proof          holds", "conformance/src/verify/mod.rs"),
            Drawing("flowchart LR"),
        ],
    ),
    ("benches/README.md", &[RACE, Cargo]),
    ("benches/RESULTS.md", &[BENCHES, RACE, MODEL, Cargo]),
    (
        "docs/checking.md",
        &[
            MODEL,
            MODEL_OUTPUTS,
            CONFORMANCE,
            Cargo,
            Drawing("to see it again: "),
            Excerpt("model and replica differ: ", "conformance/steps/tests/faults.rs"),
        ],
    ),
    ("docs/claims.md", &[MODEL, MODEL_OUTPUTS, Cargo]),
    ("docs/embedding.md", &[Rustdoc("impl/node/src/lib.rs"), Cargo, Drawing("[dependencies]")]),
    ("docs/learning.md", &[MODEL, MODEL_OUTPUTS]),
    ("docs/recording.md", &[CLI, CONFORMANCE, Drawing("- run: target/release/paxos serve")]),
    ("docs/server.md", &[All("impl/cli/tests")]),
    ("docs/subject-protocol.md", &[Drawing("> {"), Drawing("{")]),
    ("docs/subjects.md", &[CONFORMANCE, GALLERY, Drawing("- run: cargo install")]),
    (
        "impl/simulator/README.md",
        &[Excerpt("let mut simulation", "impl/simulator/examples/bank.rs")],
    ),
    (
        "model/epr-prover/README.md",
        &[Cargo, Excerpt("(declare-relation", "model/epr-prover/examples/lock.epr")],
    ),
    ("model/paxos-model/README.md", &[MODEL, Rustdoc("model/paxos-model/src/lib.rs")]),
    ("model/state-explorer/README.md", &[Cargo]),
];

impl Owner {
    /// True if the owner tries a line of a block of a document.
    fn tries(self, document: &str, block: &Block<'_>, line: &str) -> bool {
        match self {
            Commands(_, starts) => starts.iter().any(|start| format!("{line} ").starts_with(start)),
            Outputs(test) => {
                let name = document.rsplit('/').next().unwrap_or_default();
                ["sh", "text", "mermaid", "lisp"].contains(&block.language)
                    && !line.starts_with("cargo ")
                    && read(test).contains(&format!("try_document(\"{name}\""))
            }
            Rustdoc(library) => {
                let name = document.rsplit('/').next().unwrap_or_default();
                let includes = |line: &str| line.contains("include_str!(") && line.contains(name);
                block.language == "rust" && read(library).lines().any(includes)
            }
            Cargo => line.starts_with("cargo ") || line.starts_with("sudo apt-get install "),
            Excerpt(start, _) | Drawing(start) => block.lines[0].trim().starts_with(start),
            All(_) => true,
        }
    }
}

/// Returns the lines of a document that no owner tries, the owners that try none, and the code that is wrong.
fn wrong(document: &str, text: &str, owners: &[Owner]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut tried = vec![false; owners.len()];
    for block in blocks(text) {
        for (number, line) in lines(&block).iter().filter(|(_, line)| !line.is_empty()) {
            let owner = owners.iter().position(|owner| owner.tries(document, &block, line.trim()));
            match owner {
                None => wrong.push(format!("{document}:{number}: no test tries `{line}`")),
                Some(index) => tried[index] = true,
            }
            if let Some(Excerpt(_, file)) = owner.map(|index| owners[index]) {
                let part = line.split_once(" holds: ").map_or(line.trim(), |(_, claim)| claim);
                if !read(file).contains(part) {
                    wrong.push(format!("{document}:{number}: `{part}` is not in {file}"));
                }
            }
            wrong.extend(wrong_command(line).map(|it| format!("{document}:{number}: {it}")));
        }
    }
    for code in spans(text) {
        wrong.extend(wrong_command(&code).map(|it| format!("{document}: {it} in `{code}`")));
    }
    for (owner, _) in owners.iter().zip(tried).filter(|(_, tried)| !tried) {
        wrong.push(format!("{document}: there is nothing for {owner:?}"));
    }
    for owner in owners {
        let (Commands(place, _) | Outputs(place) | Excerpt(_, place) | All(place)) = owner else {
            continue;
        };
        let names =
            |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains(document));
        if !root().join(place).exists()
            || matches!(owner, All(_)) && !sources(&root().join(place)).iter().any(names)
        {
            wrong.push(format!("{document}: {place} does not try it"));
        }
    }
    wrong
}

/// Returns the first thing that a command of cargo names and that does not exist. Returns `None` for other commands.
fn wrong_command(line: &str) -> Option<String> {
    let command = line.split(" # ").next().unwrap_or_default();
    // An environment variable may come first.
    let mut words = command.split_whitespace().skip_while(|word| word.contains('=')).peekable();
    if words.next() != Some("cargo") {
        return None;
    }
    let verb = words.next()?;
    if ["install", "mutants"].contains(&verb) {
        return None; // A program that cargo does not bring along.
    }
    if !["bench", "build", "clippy", "doc", "fmt", "run", "test", "verify"].contains(&verb) {
        return Some(format!("no command `cargo {verb}`"));
    }
    let (mut named, mut folders) = (Vec::new(), packages());
    let mut files: Option<Vec<PathBuf>> = None;
    while let Some(word) = words.next().filter(|word| *word != "--" && verb != "verify") {
        let target = |folder: &str, name: &str| {
            let places = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/main.rs")];
            let places = folders.iter().flat_map(|(at, _)| places.iter().map(|it| at.join(it)));
            places.filter(|place| place.exists()).collect::<Vec<_>>()
        };
        let manifest = |at: &Path| fs::read_to_string(at.join("Cargo.toml"));
        let exists = match word {
            "--all" | "--all-targets" | "--open" | "--release" | "--workspace" => true,
            "-p" | "--package" => {
                named.push(words.next()?);
                folders = packages();
                folders.retain(|(_, package)| named.contains(&package.as_str()));
                folders.len() == named.len()
            }
            "--profile" => {
                let name = words.next()?;
                read("Cargo.toml").contains(&format!("[profile.{name}]"))
            }
            "--features" => {
                let feature = format!("\n{} = [", words.next()?);
                let features = |text: String| {
                    text.split_once("\n[features]").is_some_and(|(_, it)| it.contains(&feature))
                };
                folders.iter().any(|(at, _)| manifest(at).is_ok_and(features))
            }
            "--bin" => {
                let name = words.next()?;
                let is_bin = format!("[[bin]]\nname = \"{name}\"");
                !target("src/bin", name).is_empty()
                    || folders
                        .iter()
                        .any(|(at, _)| manifest(at).is_ok_and(|it| it.contains(&is_bin)))
            }
            "--example" => !target("examples", words.next()?).is_empty(),
            "--bench" => !target("benches", words.next()?).is_empty(),
            "--test" => {
                let found = target("tests", words.next()?);
                let of = |file: &PathBuf| {
                    let folder = if file.ends_with("main.rs") {
                        file.parent().map(Path::to_owned)
                    } else {
                        Some(file.with_extension(""))
                    };
                    [vec![file.clone()], folder.map(|it| sources(&it)).unwrap_or_default()].concat()
                };
                files = Some(found.iter().flat_map(of).collect());
                !found.is_empty()
            }
            filter if verb == "test" && !filter.starts_with('-') => {
                let all = || folders.iter().flat_map(|(at, _)| sources(at)).collect();
                files.get_or_insert_with(all).iter().any(|file| has_test(file, filter))
            }
            _ => false,
        };
        if !exists {
            return Some(format!("`{word}` names nothing in `{}`", command.trim()));
        }
    }
    None
}

/// Returns true if a file has a function or module whose name contains the filter.
fn has_test(file: &Path, filter: &str) -> bool {
    let text = fs::read_to_string(file).expect("it is text");
    let names = ["fn ", "mod "].into_iter().flat_map(|word| text.split(word).skip(1));
    names
        .map(|rest| rest.split(|c: char| c != '_' && !c.is_alphanumeric()).next())
        .any(|name| name.is_some_and(|name| name.contains(filter)))
}

/// Returns the folder and the name of each package.
fn packages() -> Vec<(PathBuf, String)> {
    let manifest = read("Cargo.toml");
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let folders = members.expect("there are members").split('"').skip(1).step_by(2);
    folders
        .map(|folder| {
            let manifest = read(&format!("{folder}/Cargo.toml"));
            let name = manifest.split('"').nth(1).expect("the name comes first").to_owned();
            (root().join(folder), name)
        })
        .collect()
}

/// Returns the Rust files in a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .collect()
}

fn owners(document: &str) -> &'static [Owner] {
    OWNERS.iter().find(|(name, _)| *name == document).map_or(&[], |(_, owners)| owners)
}

#[test]
fn every_block_is_tried() {
    let documents = documents();
    let wrong: Vec<_> = documents.iter().flat_map(|it| wrong(it, &read(it), owners(it))).collect();
    assert_eq!(wrong, [""; 0]);
    let gone = OWNERS.iter().filter(|(name, _)| !documents.iter().any(|it| it == name));
    assert_eq!(gone.count(), 0, "a row of the table is about a document that is gone");
}

#[test]
fn what_no_test_tries_is_noticed() {
    let new = "# New\n\n```sh\ncargo verify\nmake \\\n  all\n```\n\nIt is\n\n    indented\n";
    assert_eq!(
        wrong("new.md", new, &[CONFORMANCE]),
        ["new.md:5: no test tries `make   all`", "new.md:11: no test tries `indented`",]
    );
    assert_eq!(
        wrong("new.md", "```sh\ncargo verify\n```\n", &[]),
        ["new.md:2: no test tries `cargo verify`"]
    );
    let idle = wrong("new.md", "No code.\n", &[Cargo]);
    assert_eq!(idle, ["new.md: there is nothing for Cargo"]);
    let output = wrong("new.md", "```text\nprinted\n```\n", &[MODEL_OUTPUTS]);
    assert!(output[0].contains("no test tries `printed`"), "{output:?}");
    let excerpt =
        wrong("new.md", "    [workspace]\n    gone = 1\n", &[Excerpt("[workspace]", "Cargo.toml")]);
    assert_eq!(excerpt, ["new.md:2: `gone = 1` is not in Cargo.toml"]);
    let all = wrong("new.md", "    any\n", &[All("impl/cli/tests")]);
    assert_eq!(all, ["new.md: impl/cli/tests does not try it"]);
}

#[test]
fn a_command_that_names_nothing_is_noticed() {
    for command in [
        "cargo test -p paxos-kv --test kv bounds # a comment",
        "PAXOS_STORM_SECONDS=60 cargo test --test processes storms -- --nocapture",
        "cargo test -p paxos-simulator",
        "cargo bench -p paxos-benches --bench protocol -- '16 B'",
        "cargo run --release --bin paxos -- vote A=1",
        "cargo run --release -p paxos-benches --features peers --bin race -- --runs 1",
        "cargo verify --deep",
        "not cargo",
    ] {
        assert_eq!(wrong_command(command), None);
    }
    for (command, name) in [
        ("cargo test -p paxos-kvs", "-p"),
        ("cargo test -p paxos --test kv", "--test"),
        ("cargo test --test kv boundaries", "boundaries"),
        ("cargo test -p paxos-store storms", "storms"),
        ("cargo test --all-target", "--all-target"),
        ("cargo run -p paxos-simulator --example banks", "--example"),
        ("cargo bench -p paxos-benches --bench net", "--bench"),
        ("cargo test -p paxos-benches --features peer", "--features"),
        ("cargo run --bin pax", "--bin"),
        ("cargo build --profile fast", "--profile"),
        ("cargo verfy", "cargo verfy"),
    ] {
        let wrong = wrong_command(command).unwrap_or_default();
        assert!(wrong.contains(&format!("`{name}`")), "{command}: {wrong}");
    }
}
