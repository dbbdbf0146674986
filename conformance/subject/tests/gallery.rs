//! Each bug of the gallery gets the verdict that its line names.
//!
//! The gallery is `conformance/adapters/python/gallery.py`. Its last column but one is the headline. The tests need python3.

use std::{path::Path, process::Command, time::Duration};

use paxos_subject::{
    Apart, Options,
    claims::{Class, ONLY_DISK},
    judge::{judge, rerun},
    process::Limits,
    report::Report,
    schedule::File,
};
use verdict::{Interrupt, Verdict};

/// The time in which a bug has to be found. The slowest takes some seconds on an idle machine.
const TIME: Duration = Duration::from_mins(4);
/// The passes for a subject without a bug.
const PASSES: usize = 2;

fn adapter(name: &str, arguments: &[&str]) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/python").join(name);
    let path = path.to_str().expect("the path is text");
    ["python3", "-S", path].iter().chain(arguments).map(|it| (*it).to_owned()).collect()
}

fn options(command: Vec<String>, passes: Option<usize>, stop_at: Class) -> Options {
    // Other programs may take the machine for some seconds, so only a bug that hangs has little time for a reply.
    let hangs = command.last().is_some_and(|bug| bug == "hangs");
    let reply = Duration::from_secs(if hangs { 3 } else { 60 });
    let limits = Limits { reply, reply_bytes: 1 << 20, memory_bytes: 400 << 20 };
    Options { command, limits, time: TIME, seed: 1, stop_at, passes, schedules: Vec::new() }
}

fn judged(options: &Options) -> Report {
    judge(options, &Interrupt::default(), |_| ())
}

/// Returns false, and says so, if there is no Python.
fn has_python() -> bool {
    let found =
        Command::new("python3").arg("--version").output().is_ok_and(|it| it.status.success());
    if !found {
        println!("python3 is missing, so nothing was tried");
    }
    found
}

/// A bug, and the class that its headline names. A bug that is harmless has none.
struct Bug {
    name: String,
    expected: Option<Class>,
}

fn gallery() -> Vec<Bug> {
    let list = adapter("gallery.py", &["--list"]);
    let output = Command::new(&list[0]).args(&list[1..]).output().expect("python3 runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let bug = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let [name, _, headline, _] = fields[..] else { panic!("{line}") };
        let expected = match headline {
            "pass" => None,
            class => Some(serde_json::from_value(class.into()).expect("a class")),
        };
        Bug { name: name.to_owned(), expected }
    };
    text.lines().map(bug).collect()
}

/// Judges every second bug, from the first or from the second, so that two cores share the work.
fn judge_from(first: usize) {
    if !has_python() {
        return;
    }
    let bugs = gallery();
    assert!(bugs.len() >= 40, "{} bugs", bugs.len());
    for Bug { name, expected } in bugs.into_iter().skip(first).step_by(2) {
        let command = adapter("gallery.py", &[&name]);
        let options = match expected {
            Some(class) => options(command, None, class.max(Class::Safety)),
            None => options(command, Some(PASSES), Class::Safety),
        };
        let report = judged(&options);
        assert_eq!(report.unusable, None, "{name}");
        assert_eq!(report.class(), expected, "{name}: {report}");
        for finding in &report.findings {
            // A finding is no matter of the process that all nodes share.
            let apart = finding.apart.as_ref();
            assert!(apart.is_none_or(|it| matches!(it, Apart::Same { .. })), "{name}: {report}");
            // A finding of another class is about several runs, or about the process.
            let of_one_run = [Class::Safety, Class::Fault, Class::Contract]
                .contains(&finding.class)
                || finding.claim == ONLY_DISK.text;
            if let Some(schedule) = finding.schedule.as_ref().filter(|_| of_one_run) {
                let again =
                    rerun(schedule, &options.command, options.limits, &Interrupt::default())
                        .expect("a schedule");
                let found = again.findings.iter().any(|it| it.claim == finding.claim);
                assert!(found, "{name}: {again}");
                let is_confirmed = finding.apart.is_some() || finding.claim == ONLY_DISK.text;
                assert!(is_confirmed, "{name}: {report}");
            }
        }
    }
}

#[test]
fn the_bugs_with_even_numbers() {
    judge_from(0);
}

#[test]
fn the_bugs_with_odd_numbers() {
    judge_from(1);
}

/// The template has no bug, and the search has tried something.
#[test]
fn the_template_passes() {
    if !has_python() {
        return;
    }
    let report = judged(&options(adapter("template.py", &[]), Some(PASSES), Class::Liveness));
    assert_eq!(report.verdict(), Verdict::Holds, "{report}");
    assert!(report.searches.iter().any(|it| it.states > 100), "{report}");
    assert!(report.messages.votes_reported > 0, "{report}");
    let apart = report.apart.as_ref();
    assert!(matches!(apart, Some(Apart::Same { kills }) if *kills > 0), "{report}");
    // A claim that holds is a test case without a failure.
    let junit = report.junit(Duration::from_secs(1));
    assert!(junit.contains("failures=\"0\" errors=\"0\""), "{junit}");
}

/// An adapter need not host one node alone. The report says what was not tried.
#[test]
fn an_adapter_that_hosts_all_nodes_is_judged() {
    if !has_python() {
        return;
    }
    let command = adapter("gallery.py", &["hosts-all-or-none"]);
    let report = judged(&options(command, Some(1), Class::Liveness));
    assert_eq!(report.verdict(), Verdict::Holds, "{report}");
    let why = "not run with a process for each node: the adapter refused ";
    assert!(report.to_string().contains(why), "{report}");
}

/// A schedule of a bug shows nothing on a subject that does not have the bug.
#[test]
fn a_schedule_of_a_bug_is_harmless_for_a_correct_subject() {
    if !has_python() {
        return;
    }
    let options = options(adapter("gallery.py", &["votes-below-promise"]), None, Class::Safety);
    let report = judged(&options);
    let first = report.findings.first().expect("the bug is found");
    let junit = report.junit(Duration::from_secs(1));
    assert!(junit.contains("failures=\"1\" errors=\"0\""), "{junit}");
    let file = serde_json::to_string(first.schedule.as_ref().expect("it has a schedule"));
    let file = File::read(&file.expect("it is JSON")).expect("a schedule");
    let report = rerun(&file, &adapter("template.py", &[]), options.limits, &Interrupt::default())
        .expect("a schedule");
    assert!(report.findings.is_empty(), "{report}");
}
