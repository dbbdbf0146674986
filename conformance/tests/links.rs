//! Every link, anchor and path in documents and comments leads somewhere.
//!
//! - A link of a document names a file or folder, and its anchor a heading, by the rules of GitHub.
//! - An anchor in rustdoc names a heading of a module in the same crate. rustdoc itself does not check anchors.
//! - A path that begins with a folder of the root is complete, or omits the rest of its last name, as docs/decisions/0001 does.
//! - Any other path in backticks, and any name of a file, is the end of a path of the repository.
//! - The code map of `ARCHITECTURE.md` names files that are in the folders above them.
//!
//! Web addresses are not tried, and code blocks with fences are not read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, iter,
    path::Path,
};

/// Files that a reader creates. They are not in the repository.
const EXAMPLES: [&str; 2] = ["mine.epr", "node.toml"];
const FILE_ENDINGS: [&str; 5] = [".rs", ".md", ".epr", ".pml", ".toml"];

/// Files and folders by their paths from the root, and the texts that have prose.
#[derive(Default)]
struct Tree {
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

impl Tree {
    fn of_repository() -> Self {
        let mut tree = Self::default();
        tree.add_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), "");
        tree
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str) {
        for entry in fs::read_dir(folder).expect("it is a folder") {
            let entry = entry.expect("it can be listed");
            let name = entry.file_name().into_string().expect("names are text");
            if [".git", "target"].contains(&name.as_str()) {
                continue;
            }
            let path = format!("{prefix}{name}");
            if entry.path().is_dir() {
                self.add_folder(&entry.path(), &format!("{path}/"));
            } else if comment_mark(&path).is_some() {
                let text = fs::read_to_string(entry.path()).expect("it is text");
                self.texts.insert(path.clone(), text);
            }
            self.paths.insert(path);
        }
    }

    /// Returns every link, anchor and path that leads nowhere, with its place.
    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (path, text) in &self.texts {
            for (mut line, paragraph) in paragraphs(path, text) {
                for (index, part) in paragraph.split('`').enumerate() {
                    let wrong: Vec<_> = if index % 2 == 1 {
                        self.wrong_code(part).into_iter().collect()
                    } else {
                        self.wrong_text(path, part)
                    };
                    broken.extend(wrong.into_iter().map(|it| format!("{path}:{line}: no {it}")));
                    line += part.matches('\n').count();
                }
            }
        }
        broken
    }

    /// Returns the links and paths in some text that lead nowhere.
    fn wrong_text(&self, from: &str, text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for (index, piece) in text.split("](").enumerate() {
            let (target, text) = match piece.split_once(')') {
                Some(parts) if index > 0 => parts,
                _ => ("", piece),
            };
            wrong.extend(self.wrong_link(from, target));
            let words = text.split(|c| !is_of_path(c)).map(|word| word.trim_end_matches('.'));
            wrong.extend(words.filter(|word| self.wrong_path(word)).map(str::to_owned));
        }
        wrong
    }

    /// Returns the path in a piece of code if it leads nowhere.
    fn wrong_code(&self, code: &str) -> Option<String> {
        let is_path = code.chars().all(is_of_path);
        let in_folder = code.split_once('/').is_some_and(|(first, _)| self.has_end("", first));
        let wrong = self.wrong_path(code) || in_folder && !self.has_end("", code);
        (is_path && wrong).then(|| code.to_owned())
    }

    /// Returns true if a word is a path that does not exist. Most words are no paths.
    fn wrong_path(&self, word: &str) -> bool {
        let begins = || self.paths.iter().any(|path| path.starts_with(word.trim_end_matches('/')));
        let in_root = word.split_once('/').is_some_and(|(first, _)| self.paths.contains(first));
        let is_foreign = || word.starts_with('/') || EXAMPLES.contains(&word);
        let is_missing = || !is_foreign() && !self.has_end("", word);
        in_root && !begins() || is_file_name(word) && is_missing()
    }

    /// Returns the target of a link if it leads nowhere.
    fn wrong_link(&self, from: &str, target: &str) -> Option<String> {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let there = if target.is_empty() || target.contains("://") {
            true
        } else if comment_mark(from) == Some("//") {
            // rustdoc checks the item itself.
            let mut modules = self.texts.iter().filter(|(path, _)| is_module(path, file, from));
            anchor.is_empty() || modules.any(|(_, text)| has_heading("a.rs", text, anchor))
        } else {
            let path = if file.is_empty() { Some(from.to_owned()) } else { beside(from, file) };
            let path = path.filter(|path| self.paths.contains(path));
            path.is_some_and(|path| {
                let text = self.texts.get(&path);
                anchor.is_empty() || text.is_some_and(|text| has_heading(&path, text, anchor))
            })
        };
        (!there).then(|| target.to_owned())
    }

    /// Returns true if a path that begins with the prefix has this end.
    fn has_end(&self, prefix: &str, end: &str) -> bool {
        let end = format!("/{}", end.trim_end_matches('/'));
        self.paths.iter().any(|path| path.starts_with(prefix) && format!("/{path}").ends_with(&end))
    }

    /// Returns the names in a code map that are not below the path that begins their part of the map.
    fn wrong_names(&self, map: &str) -> Vec<String> {
        let (mut wrong, mut folder) = (Vec::new(), "");
        for line in map.lines() {
            let indent = line.len() - line.trim_start().len();
            for (index, name) in
                line.split(|c| !is_of_path(c)).filter(|it| !it.is_empty()).enumerate()
            {
                let there = if indent == 4 && index == 0 {
                    folder = &name[..name.rfind('/').map_or(0, |at| at + 1)];
                    self.paths.contains(name.trim_end_matches('/'))
                } else {
                    let is_name = is_file_name(name) || name.len() > 1 && name.ends_with('/');
                    !is_name || self.has_end(folder, name)
                };
                if !there {
                    wrong.push(name.to_owned());
                }
            }
        }
        wrong
    }
}

fn is_of_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./".contains(c)
}

fn is_file_name(word: &str) -> bool {
    FILE_ENDINGS.iter().any(|end| word.len() > end.len() && word.ends_with(end))
}

/// Returns the path of a link's target from the root, unless it is outside.
fn beside(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns true if a file has the module of a path such as `super::safety`, in the crate of the file `from`. The empty path
/// means `from` itself.
fn is_module(path: &str, module: &str, from: &str) -> bool {
    let name = module.rsplit("::").next().unwrap_or_default();
    let in_crate = |it: &str| it.split_once("/src/").map(|(folder, _)| folder.to_owned());
    let names = [format!("/{name}.rs"), format!("/{name}/mod.rs")];
    if name.is_empty() {
        path == from
    } else {
        in_crate(path) == in_crate(from) && names.iter().any(|end| path.ends_with(end))
    }
}

/// Returns true if a text has a heading with this anchor. An anchor is a heading in lower case, without punctuation, and with
/// hyphens for spaces. The anchor of a repeated heading also has a number.
fn has_heading(path: &str, text: &str, anchor: &str) -> bool {
    let mut counts = BTreeMap::new();
    prose(path, text).into_iter().flatten().any(|line| {
        let title = line.trim_start_matches('#');
        if line == title || !title.starts_with(' ') {
            return false;
        }
        let of_anchor = |c: &char| c.is_alphanumeric() || "_- ".contains(*c);
        let title = title.trim().to_lowercase().chars().filter(of_anchor).collect::<String>();
        let title = title.replace(' ', "-");
        let count = counts.entry(title.clone()).and_modify(|count| *count += 1).or_insert(0);
        anchor == if *count == 0 { title } else { format!("{title}-{count}") }
    })
}

/// Returns the characters that begin a comment in a file: an empty text for a document, and `None` for a file without prose.
fn comment_mark(path: &str) -> Option<&'static str> {
    match path.rsplit('.').next()? {
        "md" => Some(""),
        "rs" => Some("//"),
        "epr" => Some(";"),
        "toml" | "yml" | "ci/run" | "ci/prose" => Some("#"),
        _ => None,
    }
}

/// Returns the prose of each line, or `None` for a line without prose.
fn prose<'a>(path: &str, text: &'a str) -> Vec<Option<&'a str>> {
    let mark = comment_mark(path).expect("it has prose");
    let behind = format!(" {mark} ");
    let comment = |line: &'a str| {
        if mark.is_empty() {
            return Some(line);
        }
        let comment = line.trim_start().strip_prefix(mark);
        let comment = comment.map(|it| it.trim_start_matches(['/', '!', ';']).trim_start());
        let after_code = || line.split_once(&behind).filter(|(code, _)| !code.contains('"'));
        comment.or_else(|| after_code().map(|(_, comment)| comment))
    };
    let mut fenced = false;
    let prose = text.lines().map(comment).map(|line| {
        let fence = line.is_some_and(|line| line.trim_start().starts_with("```"));
        fenced ^= fence;
        line.filter(|line| !fence && !fenced && !line.trim().is_empty())
    });
    prose.collect()
}

/// Returns each paragraph, with the number of its first line.
fn paragraphs(path: &str, text: &str) -> Vec<(usize, String)> {
    let mut paragraphs = Vec::new();
    let mut lines = Vec::new();
    for (index, line) in prose(path, text).into_iter().chain(iter::once(None)).enumerate() {
        if let Some(line) = line {
            lines.push(line);
        } else if !lines.is_empty() {
            paragraphs.push((index + 1 - lines.len(), lines.join("\n")));
            lines.clear();
        }
    }
    paragraphs
}

#[test]
fn everything_leads_somewhere() {
    let tree = Tree::of_repository();
    assert!(tree.texts.len() > 300, "{} files have prose", tree.texts.len());
    assert_eq!(tree.broken(), [""; 0]);
}

#[test]
fn the_code_map_leads_somewhere() {
    let tree = Tree::of_repository();
    let map = tree.texts["ARCHITECTURE.md"].split("\n## ").nth(1).expect("it begins with the map");
    assert!(map.starts_with("Code map\n"), "{map}");
    assert_eq!(tree.wrong_names(map), [""; 0]);
}

/// A small repository in which everything leads somewhere.
fn small(changed: &str, text: &str) -> Tree {
    let mut tree = Tree::default();
    for path in ["docs", "docs/decisions", "impl", "impl/src", "impl/src/node"] {
        tree.paths.insert(path.to_owned());
    }
    for (path, text) in [
        ("docs/a.md", "# Why, and `how`?\n## Twice\n## Twice\n"),
        ("docs/decisions/0001-cuts.md", ""),
        ("impl/src/safety.rs", "//! # Reads\n"),
        ("impl/src/node/mod.rs", ""),
        (changed, text),
    ] {
        tree.paths.insert(path.to_owned());
        tree.texts.insert(path.to_owned(), text.to_owned());
    }
    tree
}

#[test]
fn a_way_to_nowhere_is_noticed() {
    for (path, text, broken) in [
        // Links and anchors of documents.
        ("README.md", "[a](docs/a.md), [a](docs/a.md#why-and-how)", None),
        ("README.md", "[a](docs/b.md)", Some("1: no docs/b.md")),
        ("README.md", "An\n[a](docs/a.md#why)", Some("1: no docs/a.md#why")),
        ("docs/b.md", "[a](a.md#twice-1) [b](../README.md)", Some("1: no ../README.md")),
        ("docs/b.md", "# Own\n\n[a](#own) [a](a.md#twice-2)", Some("3: no a.md#twice-2")),
        ("docs/b.md", "[a](../../docs/a.md)", Some("1: no ../../docs/a.md")),
        ("docs/b.md", "[a](https://b.c/d.md#e)", None),
        // Anchors of rustdoc.
        ("impl/src/b.rs", "//! [a](super::safety#reads) [a](crate::B)", None),
        ("impl/src/b.rs", "//! [a](super::safety#writes)", Some("1: no super::safety#writes")),
        ("impl/src/b.rs", "//! # Own\n//!\n//! [a](#owner)", Some("3: no #owner")),
        ("model/src/b.rs", "//! [a](super::safety#reads)", Some("1: no super::safety#reads")),
        // Paths in text and in backticks.
        ("impl/src/b.rs", "let a = 1; // see docs/decisions/0001 and a.md.", None),
        ("impl/src/b.rs", "\n// see docs/decisions/0002.", Some("2: no docs/decisions/0002")),
        ("impl/src/b.rs", "/// In b.md.", Some("1: no b.md")),
        ("impl/src/b.rs", "let gone = \"docs/gone.md\";", None),
        ("README.md", "`src/node` `safety.rs` `mine.epr` `a/b` `node/mod.rs`", None),
        ("README.md", "`/etc/paxos/node.toml` and /etc/a.md", None),
        ("README.md", "`a\nb` `src/nodes`", Some("2: no src/nodes")),
        ("README.md", "`node/mods.rs`", Some("1: no node/mods.rs")),
        ("README.md", "`impl/safety.rs`", Some("1: no impl/safety.rs")),
        ("README.md", "```text\n`gone.rs` docs/gone\n```", None),
        ("Cargo.toml", "a = 1 # impl/node", Some("1: no impl/node")),
    ] {
        let broken: Vec<_> = broken.iter().map(|broken| format!("{path}:{broken}")).collect();
        assert_eq!(small(path, text).broken(), broken, "{text}");
    }
    let map =
        "    impl/src/   all\n      node/ safety.rs   gone.rs: was\n    docs/decision/   why\n";
    assert_eq!(small("a.md", "").wrong_names(map), ["gone.rs", "docs/decision/"]);
}
