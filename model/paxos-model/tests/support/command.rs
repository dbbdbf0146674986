//! Runs the command `paxos-model` for tests.

use std::{
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A run of `paxos-model check` that has begun, with the engine timely.
pub(crate) struct Run(Option<Child>);

impl Run {
    /// Starts a run of Lamport's Paxos with these arguments.
    pub(crate) fn synod(arguments: &[&str]) -> Self {
        Self::of("synod", arguments)
    }

    /// Starts a run of a cluster with two ballots.
    pub(crate) fn cluster(arguments: &[&str]) -> Self {
        Self::of("cluster", &[&["--ballots", "2"], arguments].concat())
    }

    fn of(model: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paxos-model"));
        command.args(["check", model, "--engine", "timely", "--json", "--quiet"]);
        command.args(arguments).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self(Some(child.expect("the command runs")))
    }

    /// Returns the id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().expect("it runs").id()
    }

    /// Kills the process, as a power failure would.
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Waits for the end of the process, up to a limit.
    pub(crate) fn ended(mut self) -> Ended {
        let mut child = self.0.take().expect("it runs");
        let until = Instant::now() + Duration::from_mins(4);
        while child.try_wait().expect("it can be waited for").is_none() {
            if Instant::now() > until {
                child.kill().expect("it can be killed");
                panic!("it did not end: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ended(child.wait_with_output().expect("it has ended"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // A test has failed already, so errors are ignored here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A run that has ended.
pub(crate) struct Ended(Output);

impl Ended {
    /// The exit status.
    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// The text on standard error.
    pub(crate) fn complaint(&self) -> &str {
        std::str::from_utf8(&self.0.stderr).expect("it writes UTF-8")
    }

    /// Returns the report.
    pub(crate) fn report(&self) -> Value {
        let report = serde_json::from_slice(&self.0.stdout);
        report.unwrap_or_else(|error| panic!("no report: {error}\n{}", self.complaint()))
    }

    /// Returns the numbers of states and transitions, and the depth. The search must be complete.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let report = self.report();
        assert_eq!((self.code(), &report["verdict"]), (Some(0), &"holds".into()), "{report}");
        let count = |what: &str| report[what].as_u64().expect("a number");
        (count("states"), count("transitions"), count("depth"))
    }

    /// Returns the reason why the run is inconclusive.
    pub(crate) fn why(&self) -> String {
        let report = self.report();
        assert_eq!((self.code(), &report["verdict"]), (Some(3), &"inconclusive".into()));
        report["why"].as_str().expect("a reason").to_owned()
    }
}
