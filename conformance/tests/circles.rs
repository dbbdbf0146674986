//! No modules of a crate import each other in a circle. A reader can therefore read each module after its imports.
//!
//! The test reads the imports from the text: every `use` of `crate::` or `super::` outside of tests. It does not count imports
//! from a module that contains the importing module: a parent declares its parts and is their common ground.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The path of a module in its crate; the root has none.
type Module = Vec<String>;

/// Each module of a crate, with the modules from which it imports.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = [
        "benches/src",
        "conformance/src",
        "conformance/lockstep/src",
        "conformance/steps/src",
        "conformance/subject/src",
        "conformance/validation/src",
        "diagram/src",
    ];
    let mut sources: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    for folder in ["impl", "model"] {
        let crates = fs::read_dir(root.join(folder)).expect("it is there");
        sources.extend(crates.map(|entry| entry.expect("it is there").path().join("src")));
    }
    sources.retain(|folder| folder.is_dir());
    // Each binary has modules of its own.
    let binaries = sources.iter().map(|folder| folder.join("bin")).filter(|folder| folder.is_dir());
    let binaries = binaries.flat_map(|folder| fs::read_dir(folder).expect("it is there"));
    let binaries: Vec<_> = binaries.map(|entry| entry.expect("it is there").path()).collect();
    sources.extend(binaries);
    assert!(sources.len() > 10, "{sources:?}");
    for folder in sources {
        let imports = imports(&texts(&folder));
        assert!(!imports.is_empty(), "{}", folder.display());
        let circle = circle(&imports);
        assert_eq!(circle, None, "{}", folder.display());
    }
}

#[test]
fn a_circle_is_seen() {
    let texts = |last: &str| {
        let texts = [
            ("", "mod a;\nmod b;"),
            ("a", "//! use super::b;\nuse super::{\n    b::{self, Thing},\n    Other,\n};"),
            ("b", "use crate::b::part::Part;"),
            ("b::part", last),
        ];
        let module = |name: &str| -> Module {
            name.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let texts = texts.map(|(name, text)| (module(name), text.to_owned()));
        BTreeMap::<Module, String>::from(texts)
    };
    assert_eq!(circle(&imports(&texts("use super::Thing;"))), None);
    assert_eq!(circle(&imports(&texts("#[cfg(test)]\nmod tests {\nuse crate::a::A;\n}"))), None);
    let found = circle(&imports(&texts("    use crate::{a::A, b};"))).expect("a, b and the part");
    assert_eq!(found, ["a", "b", "b::part"]);
}

/// The text of each module below a folder.
fn texts(folder: &Path) -> BTreeMap<Module, String> {
    let (mut texts, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("it is there") {
            let path: PathBuf = entry.expect("it is there").path();
            if path.ends_with("src/bin") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(folder).expect("it is below").with_extension("");
                let names = inside.iter().map(|name| name.to_string_lossy().into_owned());
                let names = names.filter(|name| !["mod", "lib", "main"].contains(&name.as_str()));
                texts.insert(names.collect(), fs::read_to_string(&path).expect("it is text"));
            }
        }
    }
    texts
}

fn imports(texts: &BTreeMap<Module, String>) -> Imports {
    let of = |(module, text): (&Module, &String)| {
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
        let code = lines.collect::<Vec<_>>().join(" ");
        let mut found = BTreeSet::new();
        for statement in code.split("use ").skip(1) {
            let tree: String = statement.split(';').next().unwrap_or_default().split(' ').collect();
            for path in paths(&tree) {
                let target = resolve(module, &path).and_then(|path| nearest(texts, path));
                found.extend(target.filter(|target| !module.starts_with(target)));
            }
        }
        (module.clone(), found)
    };
    texts.iter().map(of).collect()
}

/// The paths of a tree of imports.
fn paths(tree: &str) -> Vec<Module> {
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![tree.split("::").map(str::to_owned).collect()];
    };
    let (mut all, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, letter) in rest.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let inner = paths(&rest[start..at]);
                let head = head.trim_end_matches("::").split("::").map(str::to_owned);
                let head: Module = head.collect();
                all.extend(inner.into_iter().map(|path| [head.clone(), path].concat()));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    all
}

/// Returns the path from the root of the crate, or `None` if it leads out of the crate.
fn resolve(module: &Module, path: &Module) -> Option<Module> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => {
            let above = module.len().checked_sub(supers)?;
            Some([&module[..above], &path[supers..]].concat())
        }
        "self" => Some([&module[..], &path[1..]].concat()),
        _ => None,
    }
}

/// Returns the module that contains the item with this path.
fn nearest(texts: &BTreeMap<Module, String>, mut path: Module) -> Option<Module> {
    while !texts.contains_key(&path) {
        path.pop()?;
    }
    Some(path)
}

/// Returns the modules of circles and between circles, if there are any. Repeatedly removes each module that imports from no
/// other module, or that no other module imports.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    let mut left = imports.clone();
    loop {
        let modules: BTreeSet<_> = left.keys().cloned().collect();
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        let before = left.len();
        left.retain(|module, imports| {
            imports.retain(|target| modules.contains(target) && target != module);
            !imports.is_empty() && imported.contains(module)
        });
        if left.len() == before {
            break;
        }
    }
    (!left.is_empty()).then(|| left.keys().map(|module| module.join("::")).collect())
}
