//! itf-py reads the traces of this project, and this project reads the traces of itf-py.
//!
//! itf-py is a library for Python. No other test needs it. If it is not installed, the test prints this on standard error,
//! past the capture of the test runner, and checks nothing. The library makes a Python name out of each tag and each field,
//! so a tag such as `1a` and a field such as `from` are errors there.

use std::{
    io::{Write as _, stderr},
    process::{Command, Stdio},
};

use paxos_model::{
    cluster::{Bounds, Cluster},
    trace::{AnyTrace, write},
};

use crate::{
    behaviours::{SNAPSHOTS_AND_READS, told},
    cluster_text, synod_text,
};

/// A script that reads a trace and writes the values that it read. A named tuple equals any other with the same
/// fields, so a set that lost an element has merged two different ones.
const SCRIPT: &str = r##"
import json, sys
from itf_py import trace_from_json, trace_to_json

def sets(value):
    if isinstance(value, dict):
        here = [len(value["#set"])] if "#set" in value else []
        return here + [size for it in value.values() for size in sets(it)]
    if isinstance(value, list):
        return [size for it in value for size in sets(it)]
    return []

read = json.load(sys.stdin)
written = trace_to_json(trace_from_json(read))
assert sorted(sets(read["states"])) == sorted(sets(written["states"])), "a set has lost an element"
json.dump(written, sys.stdout)
"##;

/// The version of itf-py, or the reason why there is none.
fn version() -> Result<String, String> {
    let script = "import importlib.metadata, itf_py; print(importlib.metadata.version('itf-py'))";
    let output = Command::new("python3").args(["-c", script]).output();
    let output = output.map_err(|error| format!("python3 does not start: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.trim().lines().last().unwrap_or("python3 fails").to_owned())
}

fn understood(text: &str) -> String {
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 has started before");
    python.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it is read");
    let output = python.wait_with_output().expect("it ends by itself");
    assert!(output.status.success(), "itf-py does not read this: {text}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn itf_py_reads_what_we_write_and_we_read_what_it_writes() {
    let version = match version() {
        Ok(version) => version,
        Err(missing) => {
            writeln!(stderr(), "NOT read by itf-py: {missing}").expect("it can be said");
            return;
        }
    };
    let bounds = [
        Bounds { snapshots: true, reads: 1, ..Bounds::of(3, 1, 2) },
        Bounds { unsynced: 1, ..Bounds::of(3, 1, 1) },
    ];
    let [snapshots, unsynced] =
        bounds.map(|bounds| Cluster::new(bounds).expect("in range").checked());
    let written = [
        synod_text(),
        cluster_text(),
        write(&snapshots, &told(&snapshots, SNAPSHOTS_AND_READS), "snapshots and reads"),
        write(&unsynced, &told(&unsynced, &["n1 campaigns"]), "a step that is not synced"),
    ];
    for text in &written {
        let ours = AnyTrace::parse("ours", text).expect("a trace");
        let theirs = understood(text);
        assert_eq!(AnyTrace::parse("theirs", &theirs), Ok(ours), "{theirs}");
    }
    writeln!(stderr(), "read by itf-py {version}: {} traces", written.len())
        .expect("it can be said");
}
