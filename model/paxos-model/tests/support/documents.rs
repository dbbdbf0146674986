//! Tries the code blocks of a document, in a folder of their own.
//!
//! - A line of a `sh` block that begins with `cargo` runs the binary that the test was built with. The comment
//!   `# exit code N` says that the command ends with another exit code than 0. Other lines run in a shell.
//! - The lines of a `text` block are in the output of the command before it, in this order. A line with nothing but `…`
//!   stands for any lines.
//! - A `mermaid` block is the picture that the command before it wrote with `--mermaid`. With `UPDATE_EXPECT=1` in the
//!   environment, the test writes the new picture into the document.
//! - A `lisp` block whose first line is `; FILE.epr` is written to that file.
//!
//! Commands in other documents, and in backticks, are only parsed. `conformance/tests/blocks.rs` has a table of all documents.

#![allow(dead_code, reason = "each of the tests that share this file needs a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Returns the root of the repository. A crate with tests of documents is one or two folders below it.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .find(|it| it.join("Cargo.lock").exists())
        .expect("the workspace has a lock file")
}

/// A code block: its language, the number of its first line of code, and its lines. An indented block has the language
/// `indented`.
pub(crate) struct Block<'a> {
    pub(crate) language: &'a str,
    pub(crate) first: usize,
    pub(crate) lines: Vec<&'a str>,
}

pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    let mut after_empty = true;
    while let Some((index, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let lines = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            blocks.push(Block { language, first: index + 2, lines: lines.collect() });
        } else if let (true, Some(code)) = (after_empty, line.strip_prefix("    ")) {
            let mut block = Block { language: "indented", first: index + 1, lines: vec![code] };
            let is_code = |line: &str| line.starts_with("    ") || line.is_empty();
            while let Some((_, line)) = lines.next_if(|(_, line)| is_code(line)) {
                block.lines.push(line.strip_prefix("    ").unwrap_or(line));
            }
            blocks.push(block);
            after_empty = true;
            continue;
        }
        after_empty = line.is_empty();
    }
    blocks
}

/// Returns every document of the repository, by its path from the root. Leaves out the changelog, which has the commands of its
/// time.
pub(crate) fn documents() -> Vec<String> {
    let mut documents = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is a folder") {
            let path = entry.expect("it can be listed").path();
            let name = path.file_name().expect("it has a name").to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "md") && name != "CHANGELOG.md" {
                let path = path.strip_prefix(root()).expect("it is below the root");
                documents.push(path.to_str().expect("names are text").to_owned());
            }
        }
    }
    documents.sort();
    documents
}

/// The text of a document.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines of a block, with the number of each. A line that a backslash continues is one line, and a prompt is no part of it.
pub(crate) fn lines(block: &Block<'_>) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in block.lines.iter().enumerate() {
        match lines.last_mut().filter(|(_, last)| last.ends_with('\\')) {
            Some((_, last)) => {
                last.pop();
                last.push_str(line);
            }
            None => lines.push((block.first + index, line.trim_start_matches("$ ").to_owned())),
        }
    }
    lines
}

/// Returns the code of a text in backticks. Replaces words in capitals, which stand for numbers or files, by `1`.
pub(crate) fn spans(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let stands = word.chars().all(|c| c.is_ascii_uppercase()) && !word.is_empty();
        if stands { "1".to_owned() } else { word.to_owned() }
    };
    let code = text.split("\n\n").flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    code.map(|code| code.split_whitespace().map(word).collect::<Vec<_>>().join(" ")).collect()
}

/// The commands of one binary.
pub(crate) struct Binary {
    /// The path of the binary.
    pub(crate) path: &'static str,
    /// The text with which its commands begin, and the argument that it stands for, if any.
    pub(crate) starts: &'static [(&'static str, &'static str)],
    /// Starts of commands that are parsed and not run, and the reason. A command ends with a line break.
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
    pub(crate) fn run(&self, arguments: &str, folder: &Path) -> Output {
        let line = format!("'{}' {arguments}", self.path);
        let output = Command::new("sh").args(["-c", &line]).current_dir(folder).output();
        output.expect("there is a shell")
    }

    /// Fails unless the arguments are accepted. With `--help` the command does nothing else. Behind `--` are the arguments of
    /// another program.
    pub(crate) fn parse(&self, arguments: &str) -> Result<(), String> {
        let own = arguments.split_once(" -- ").map_or(arguments, |(own, _)| own);
        let output = self.run(&format!("{own} --help"), root());
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{arguments}: {complaint}")) }
    }

    /// Parses the commands of this binary in every document, and returns their number.
    pub(crate) fn parse_everywhere(&self) -> usize {
        let mut parsed = 0;
        for path in documents() {
            let text = read(&path);
            let lines = blocks(&text).iter().flat_map(lines).map(|(_, line)| line).collect();
            let all: Vec<String> = [lines, spans(&text)].concat();
            for arguments in all.iter().filter_map(|line| self.arguments(line)) {
                self.parse(&arguments).unwrap_or_else(|error| panic!("{path}: {error}"));
                parsed += 1;
            }
        }
        parsed
    }

    /// Runs the commands of this binary in the blocks of a document, and copies files as it says. Returns the number of
    /// commands.
    pub(crate) fn run_commands(&self, path: &str) -> usize {
        let (text, folder) = (read(path), folder(path, self));
        let mut ran = 0;
        for (_, line) in blocks(&text).iter().flat_map(lines) {
            let output = if let Some(arguments) = self.arguments(&line) {
                if self.is_only_parsed(&arguments) {
                    continue;
                }
                ran += 1;
                self.run(&arguments, &folder)
            } else if line.starts_with("cp ") {
                let output = Command::new("sh").args(["-c", &line]).current_dir(&folder).output();
                output.expect("there is a shell")
            } else {
                continue;
            };
            assert!(output.status.success(), "{path}: {line}\n{output:?}");
        }
        ran
    }

    fn is_only_parsed(&self, arguments: &str) -> bool {
        let arguments = format!("{arguments}\n");
        self.only_parsed.iter().any(|(start, _)| arguments.starts_with(start))
    }
}

/// Tries a document, and returns the number of its commands that ran and that were only parsed.
pub(crate) fn try_document(name: &str, binary: &Binary) -> (usize, usize) {
    let path = root().join("docs").join(name);
    let text = read(&format!("docs/{name}"));
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
                    if binary.is_only_parsed(&arguments) {
                        binary.parse(&arguments).unwrap_or_else(|error| panic!("{name}: {error}"));
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

/// A new folder that has what the commands read: specifications, traces and adapters.
fn folder(name: &str, binary: &Binary) -> PathBuf {
    let program = Path::new(binary.path).file_name().expect("a binary has a name");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join(program);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("an earlier run left it");
    }
    for from in ["model/specs", "conformance/traces", "conformance/adapters/python"] {
        fs::create_dir_all(folder.join(from)).expect("there is room");
        for file in fs::read_dir(root().join(from)).expect("it is in the repository") {
            let file = file.expect("it can be read");
            if file.path().is_dir() {
                continue;
            }
            fs::copy(file.path(), folder.join(from).join(file.file_name())).expect("there is room");
        }
    }
    folder
}
