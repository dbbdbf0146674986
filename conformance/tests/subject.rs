//! The commands `subject` and `replay --on subject`, on the adapters in Python.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// Runs `paxos-conformance` in the root of the repository. Returns exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_paxos-conformance"));
    let Output { status, stdout, stderr } =
        command.args(arguments).current_dir(root).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

const GALLERY: [&str; 3] = ["--", "python3", "conformance/adapters/python/gallery.py"];

/// Returns false, and says so, if there is no Python.
fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    if !found {
        println!("python3 is missing, so nothing was tried");
    }
    found
}

#[test]
fn a_finding_is_kept_and_repeated() {
    if !has_python() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (out, svg, json, junit) = (path("out"), path("svg"), path("json"), path("junit"));
    let files = ["--out", &out, "--svg", &svg, "--json", &json, "--junit", &junit];
    let bug = [&GALLERY[..], &["votes-below-promise"]].concat();
    let (code, text, error) = run(&[&["subject", "--time", "60"], &files[..], &bug].concat());
    assert_eq!(code, Some(1), "{text}{error}");
    assert!(text.starts_with("safety: votes-below-promise\n"), "{text}");
    assert!(text.contains("to see it again: paxos-conformance subject --schedule "), "{text}");
    let read = |path: &str| fs::read_to_string(path).expect("it was written");
    let report: serde_json::Value = serde_json::from_str(&read(&json)).expect("JSON");
    assert_eq!(report["findings"][0]["class"], "safety");
    assert!(read(&svg).starts_with("<svg") && read(&junit).contains("failures=\"1\""));
    let (code, again, _) = run(&[&["subject", "--schedule", &out], &bug[..]].concat());
    assert_eq!(code, Some(1), "{again}");
    let claim = text.lines().nth(1).expect("the claim");
    assert_eq!(again.lines().nth(1), Some(claim), "{again}");
}

#[test]
fn traces_of_the_model_find_bugs_of_others() {
    if !has_python() {
        return;
    }
    let replay = ["replay", "--on", "subject", "conformance/traces"];
    let template = ["--", "python3", "conformance/adapters/python/template.py"];
    let (code, text, error) = run(&[&replay[..], &template].concat());
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.starts_with("pass: template\n"), "{text}");
    for bug in ["reports-no-vote", "ignores-reported-votes", "adopts-lowest-vote"] {
        let (code, text, error) = run(&[&replay[..], &GALLERY, &[bug]].concat());
        assert_eq!(code, Some(1), "{bug}: {text}{error}");
        assert!(text.starts_with("safety: "), "{text}");
    }
}

#[test]
fn bad_input_is_refused() {
    for (arguments, complaint) in [
        (&["subject", "--", "./no-such-adapter"][..], "./no-such-adapter cannot be started"),
        (&["subject", "--schedule", "README.md", "--", "cat"], "--schedule README.md: "),
        (&["replay", "--on", "subject", "conformance/traces"], "--on subject needs the command"),
        (&["replay", "conformance/traces", "--", "cat"], "nothing else does"),
        (&["subject"], "required arguments were not provided"),
    ] {
        let (code, text, error) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {text}{error}");
        assert!(error.contains(complaint), "{arguments:?}: {error}");
    }
}
