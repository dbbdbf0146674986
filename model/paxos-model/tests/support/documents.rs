//! The code blocks of a document, tried in a folder of their own.
//!
//! - A line of a `sh` block that begins with `cargo` runs the binary that the test was built with. The comment
//!   `# exit code N` says that the command ends with another exit code than 0. Other lines run in a shell.
//! - The lines of a `text` block are in the output of the command before it, in this order. A line with nothing but `…`
//!   stands for any lines.
//! - A `mermaid` block is the picture that the command before it wrote with `--mermaid`. With `UPDATE_EXPECT=1` in the
//!   environment, the test writes the new picture into the document.
//! - A `lisp` block whose first line is `; FILE.epr` is written to that file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The root of the repository: both crates with tests of documents are two folders or one below it.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .find(|it| it.join("Cargo.lock").exists())
        .expect("the workspace has a lock file")
}

/// A code block: its language and its lines.
struct Block<'a> {
    language: &'a str,
    lines: Vec<&'a str>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let lines = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { language, lines });
        }
    }
    blocks
}

/// The commands of one binary.
pub(crate) struct Binary {
    /// The path of the binary.
    pub(crate) path: &'static str,
    /// The text with which its commands begin, and the argument that it stands for, if any.
    pub(crate) starts: &'static [(&'static str, &'static str)],
    /// Arguments of commands that are parsed and not run, and the reason.
    pub(crate) only_parsed: &'static [(&'static str, &'static str)],
}

impl Binary {
    /// The arguments of a command line, if it is one of this binary.
    fn arguments(&self, line: &str) -> Option<String> {
        let command = line.split(" #").next().unwrap_or_default().trim();
        let arguments = |(start, first): &(&str, &str)| {
            command
                .strip_prefix(start)
                .map(|rest| format!("{first} {}", rest.trim()).trim().to_owned())
        };
        self.starts.iter().find_map(arguments)
    }

    /// Runs the binary in a shell, which knows quotes.
    fn run(&self, arguments: &str, folder: &Path) -> Output {
        let line = format!("'{}' {arguments}", self.path);
        let output = Command::new("sh").args(["-c", &line]).current_dir(folder).output();
        output.expect("there is a shell")
    }

    /// Fails unless the arguments are accepted. With `--help` at their end the command does nothing else.
    pub(crate) fn parse(&self, arguments: &str) -> Result<(), String> {
        let output = self.run(&format!("{arguments} --help"), root());
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{arguments}: {complaint}")) }
    }
}

/// The lines of a document's `sh` blocks that begin with `cargo`.
#[allow(dead_code, reason = "one of the tests that share this file needs it")]
pub(crate) fn cargo_lines(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs").join(name)).expect("the document exists");
    let lines = blocks(&text)
        .into_iter()
        .filter(|block| block.language == "sh")
        .flat_map(|block| block.lines);
    lines.filter(|line| line.starts_with("cargo ")).map(str::to_owned).collect()
}

/// True if a package has a test of this name.
#[allow(dead_code, reason = "one of the tests that share this file needs it")]
pub(crate) fn has_test(package: &str, test: &str) -> bool {
    let folders = [
        "impl/paxos",
        "impl/store",
        "impl/node",
        "impl/kv",
        "impl/cli",
        "model/paxos-model",
        "model/epr-prover",
        "model/state-explorer",
        "conformance",
    ];
    folders.iter().map(|folder| root().join(folder)).any(|folder| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("it is a package");
        let tests = folder.join("tests");
        manifest.contains(&format!("name = \"{package}\""))
            && (tests.join(format!("{test}.rs")).exists()
                || tests.join(test).join("main.rs").exists())
    })
}

/// Tries a document, and returns the number of its commands that ran and that were only parsed.
pub(crate) fn try_document(name: &str, binary: &Binary) -> (usize, usize) {
    let path = root().join("docs").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let folder = folder(name, binary);
    let (mut ran, mut parsed) = (0, 0);
    let mut last: Option<(&str, Output)> = None;
    let mut drawn = text.clone();
    for block in blocks(&text) {
        match block.language {
            "sh" => {
                last = None;
                for line in block.lines {
                    let Some(arguments) = binary.arguments(line) else {
                        if !line.starts_with("cargo ") {
                            let done =
                                Command::new("sh").args(["-c", line]).current_dir(&folder).status();
                            assert!(done.expect("there is a shell").success(), "{name}: {line}");
                        }
                        last = None;
                        continue;
                    };
                    if let Some((_, reason)) =
                        binary.only_parsed.iter().find(|(start, _)| arguments.starts_with(start))
                    {
                        binary
                            .parse(&arguments)
                            .unwrap_or_else(|error| panic!("{name}: {error} ({reason})"));
                        parsed += 1;
                        continue;
                    }
                    let output = binary.run(&arguments, &folder);
                    let code = line.split_once("# exit code ").map_or(0, |(_, code)| {
                        code.trim().parse().unwrap_or_else(|_| panic!("{name}: {line}"))
                    });
                    assert_eq!(output.status.code(), Some(code), "{name}: {line}\n{output:?}");
                    ran += 1;
                    last = Some((line, output));
                }
            }
            "text" => {
                if let Some((line, output)) = &last {
                    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
                    let mut printed_lines = printed.lines().map(str::trim_end);
                    for expected in block.lines.iter().filter(|line| **line != "…") {
                        let found = printed_lines.any(|printed| printed == expected.trim_end());
                        assert!(found, "{name}: {line} does not print\n{expected}\nbut\n{printed}");
                    }
                }
            }
            "mermaid" => {
                if let Some((line, _)) = &last {
                    let file =
                        line.split_whitespace().skip_while(|word| *word != "--mermaid").nth(1);
                    let file = file.unwrap_or_else(|| panic!("{name}: {line} draws nothing"));
                    let picture = fs::read_to_string(folder.join(file)).expect("it was drawn");
                    let old = block.lines.join("\n") + "\n";
                    if std::env::var_os("UPDATE_EXPECT").is_some() {
                        let at = format!("{line}\n```\n\n```mermaid\n");
                        drawn = drawn.replace(&(at.clone() + &old), &(at + &picture));
                    } else {
                        assert_eq!(
                            old, picture,
                            "{name}: {line} draws another picture; UPDATE_EXPECT=1 updates it"
                        );
                    }
                }
            }
            "lisp" => {
                let file = block.lines[0].strip_prefix("; ");
                let file =
                    file.unwrap_or_else(|| panic!("{name}: no file in {:?}", block.lines[0]));
                fs::write(folder.join(file), block.lines.join("\n") + "\n").expect("there is room");
            }
            _ => {}
        }
    }
    if drawn != text {
        fs::write(&path, drawn).expect("the document can be written");
    }
    (ran, parsed)
}

/// A new folder that has what the commands read: specifications and traces.
fn folder(name: &str, binary: &Binary) -> PathBuf {
    let program = Path::new(binary.path).file_name().expect("a binary has a name");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join(program);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("an earlier run left it");
    }
    for from in ["model/specs", "conformance/traces"] {
        fs::create_dir_all(folder.join(from)).expect("there is room");
        for file in fs::read_dir(root().join(from)).expect("it is in the repository") {
            let file = file.expect("it can be read");
            fs::copy(file.path(), folder.join(from).join(file.file_name())).expect("there is room");
        }
    }
    folder
}
