//! The command line: verdicts, exit codes, and the complaints about bad input.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paxos-conformance")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The report and the complaints of a run.
fn text_of(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn lockstep_prints_one_json_object() {
    let output = run(&["lockstep", "--ballots", "2", "--json", "--quiet"]);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "holds");
    assert_eq!((&report["states"], &report["transitions"]), (&6_756.into(), &37_367.into()));
    assert_eq!(report["depth"], 18);
}

#[test]
fn a_limit_makes_it_inconclusive() {
    let output = run(&["lockstep", "--ballots", "4", "--max-states", "1000", "--quiet"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
}

#[test]
fn bad_input_is_refused_with_what_would_be_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let cases: &[(&[&str], &str)] = &[
        (&["lockstep", "--nodes", "9"], "9 is not in 1..=5"),
        (&["lockstep", "--phase1-quorum", "1"], "their sum must be at least 4"),
        (&["lockstep", "--engine", "timely"], "use --engine bfs or dfs"),
        (&["lockstep", "--engine", "dfs", "--max-depth", "3"], "use --engine bfs or timely"),
        (
            &["verify", "--json", "/nowhere/report.json"],
            "--json /nowhere/report.json cannot be written: ",
        ),
        (&["verify", "--threads", "0"], "give a number from 1 to 256"),
        (&["traces", "--out", "/proc/traces"], "--out /proc/traces cannot be written to: "),
        (&["verify", "--quick", "--deep"], "cannot be used with"),
        (&["replay", "/nowhere/trace.itf.json"], "/nowhere/trace.itf.json"),
        (&["replay", folder], folder),
        (&["replay"], "required"),
        (&["traces", "--out", "/tmp", "--slots", "7"], "7 is not in 1..=3"),
    ];
    for (args, expected) in cases {
        let output = run(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

#[test]
fn standard_input_is_replayed() {
    let replay = |text: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_paxos-conformance"))
            .args(["replay", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), text_of(&output))
    };
    let kept = include_bytes!("../traces/happy-path.itf.json");
    let (code, said) = replay(kept);
    assert_eq!((code, said.starts_with("holds: 1 traces, 8 steps")), (Some(0), true), "{said}");
    let marked = [&b"\xEF\xBB\xBF"[..], kept].concat();
    assert_eq!(replay(&marked).0, Some(0));
    let (code, said) = replay(&kept[..kept.len() / 2]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("error: standard input: it is no ITF"), "{said}");
    let bare: Vec<&str> = str::from_utf8(kept).unwrap().lines().collect();
    let bare: Vec<&str> = bare.into_iter().filter(|line| !line.contains("\"action\":")).collect();
    let (code, said) = replay(bare.join("\n").replacen("\"action\",", "", 1).as_bytes());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("standard input: state 1 does not say what led to it"), "{said}");
}

#[test]
fn a_space_that_is_too_large_leaves_no_folder() {
    let folder = std::env::temp_dir().join(format!("paxos-too-large-{}", std::process::id()));
    let output = run(&["traces", "--slots", "2", "--out", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("choose smaller bounds"), "{}", text(&output.stderr));
    assert!(!folder.exists());
}

#[test]
fn the_kept_traces_replay() {
    let output = run(&["replay", concat!(env!("CARGO_MANIFEST_DIR"), "/traces")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("holds: 24 traces"), "{}", text(&output.stdout));
}

#[cfg(unix)]
#[path = "../../model/paxos-model/tests/support/signals.rs"]
mod support;

#[cfg(unix)]
mod unix {
    use std::{
        fs,
        os::unix::process::ExitStatusExt as _,
        process::{Child, Command, Output, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use super::{support::until_signals_are_caught, text};

    fn begin(args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paxos-conformance"));
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Sends a signal, and waits for the end of the process. The wait is shorter than the time that a command has for its
    /// report.
    fn signalled(mut child: Child, signal: &str) -> Output {
        let kill =
            Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let until = Instant::now() + Duration::from_secs(4);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                child.kill().unwrap();
                panic!("it did not end: {:?}", child.wait_with_output());
            }
            thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().unwrap()
    }

    #[test]
    fn a_signal_ends_a_search_with_a_report() {
        let lockstep = begin(&["lockstep", "--nodes", "5", "--quiet"]);
        until_signals_are_caught(&lockstep);
        let output = signalled(lockstep, "TERM");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(text(&output.stdout).contains("inconclusive: a signal came, after "), "{output:?}");

        let report = std::env::temp_dir().join(format!("paxos-verify-{}.json", std::process::id()));
        fs::write(&report, "old").unwrap();
        let verify = begin(&["verify", "--deep", "--json", report.to_str().unwrap()]);
        until_signals_are_caught(&verify);
        assert_eq!(fs::read_to_string(&report).unwrap(), "old");
        let output = signalled(verify, "INT");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(text(&output.stdout).contains("a signal came, after "), "{output:?}");
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
        assert_eq!(json["verdict"], "inconclusive");
        fs::remove_file(report).unwrap();
    }

    #[test]
    fn a_signal_ends_what_has_no_report() {
        let folder = std::env::temp_dir().join(format!("paxos-traces-{}", std::process::id()));
        let traces = begin(&["traces", "--slots", "2", "--out", folder.to_str().unwrap()]);
        assert_eq!(signalled(traces, "TERM").status.signal(), Some(15));
        // The command may have created the folder already.
        let _ = fs::remove_dir_all(folder);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn too_little_memory_is_inconclusive() {
        let limited = |kib: u32, args: &[&str]| {
            let script = format!("ulimit -v {kib}; exec \"$0\" \"$@\"");
            let mut command = Command::new("sh");
            command.args(["-c", &script, env!("CARGO_BIN_EXE_paxos-conformance")]).args(args);
            command.output().unwrap()
        };
        let output = limited(293_000, &["lockstep", "--nodes", "5", "--quiet"]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let why =
            "inconclusive: too little memory is left: the address space of a process is limited";
        assert!(text(&output.stdout).contains(why), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        // With so little memory, a link may end before it can report. The run is inconclusive all the same, and says why.
        let output = limited(36_000, &["verify", "--threads", "8"]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(text(&output.stderr).contains("too little memory"), "{output:?}");
    }
}
