//! The commands of `paxos` in all documents are accepted, and the simulations among them run. The README's cluster has a test
//! of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const STARTS: [&str; 3] =
    ["cargo run --release --bin paxos -- ", "target/release/paxos ", "paxos "];

/// Returns the documents in a folder, and in the folders below it. Leaves out the changelog, which has the commands of its time.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is a folder");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let documents = paths.flat_map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            documents(&path)
        } else {
            vec![path]
        }
    });
    let is_document = |path: &PathBuf| {
        path.extension().is_some_and(|it| it == "md") && !path.ends_with("CHANGELOG.md")
    };
    documents.filter(is_document).collect()
}

/// Returns the arguments of the commands of `paxos` in a text: in lines of their own, and in backticks. Words in capitals
/// stand for numbers, files and addresses.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.contains('`')).map(str::to_owned);
    let spans = text.split("\n\n").flat_map(|it| it.split('`').skip(1).step_by(2));
    let stands = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase());
    let word = |word| match word {
        "ADDR" | "ADDR..." => "127.0.0.1:7001",
        word if stands(word) => "1",
        word => word,
    };
    let spans = spans.map(|span| span.split_whitespace().map(word).collect::<Vec<_>>().join(" "));
    let arguments = |code: String| {
        let code = code.split(" #").next().unwrap_or_default().trim().trim_start_matches("$ ");
        STARTS.iter().find_map(|start| code.strip_prefix(start).map(str::to_owned))
    };
    // A manifest of cargo has lines that begin with the name of the crate `paxos`.
    let is_command = |arguments: &String| !arguments.starts_with("= ");
    lines.chain(spans).filter_map(arguments).filter(is_command).collect()
}

/// Runs `paxos` in a shell, which knows quotes.
fn paxos(arguments: &str, folder: &Path) -> Output {
    let line = format!("'{}' {arguments}", env!("CARGO_BIN_EXE_paxos"));
    Command::new("sh").args(["-c", &line]).current_dir(folder).output().expect("there is a shell")
}

/// Returns true if the arguments are accepted. With `--help` at their end the command does nothing else.
fn parses(arguments: &str) -> bool {
    paxos(&format!("{arguments} --help"), Path::new(".")).status.success()
}

#[test]
fn every_command_parses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().unwrap();
    let (mut parsed, mut ran) = (0, 0);
    for path in documents(&root) {
        for arguments in commands(&fs::read_to_string(&path).unwrap()) {
            assert!(parses(&arguments), "{}: paxos {arguments}", path.display());
            parsed += 1;
            if arguments.starts_with("vote ") {
                let output = paxos(&arguments, folder.path());
                assert!(output.status.success(), "{}: {arguments}: {output:?}", path.display());
                ran += 1;
            }
        }
    }
    assert!(parsed >= 10 && ran >= 2, "{parsed} were parsed, and {ran} ran");
}

#[test]
fn a_command_that_does_not_parse_is_noticed() {
    let text = "paxos = 1\nRun `paxos log DIR`, `paxos status ADDR...` or\n\n    paxos serve --id 1 \\\n      --data d # once\n";
    assert_eq!(commands(text), ["serve --id 1        --data d", "log 1", "status 127.0.0.1:7001"]);
    assert!(commands(text).iter().all(|arguments| parses(arguments)));
    for arguments in ["serve --ids 1", "sreve --id 1", "cluster --nodes many", "vote A=1 --los 1"] {
        assert!(!parses(arguments), "{arguments}");
    }
}
