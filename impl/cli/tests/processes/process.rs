//! The command `paxos` as a process, which is killed at the end of its test.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// The time after which a wait fails. Any awaited event takes less, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The pause between two checks of an awaited condition.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// A process, and its output so far.
pub(crate) struct Process {
    child: Child,
    output: Arc<Lines>,
    log: Arc<Lines>,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended the process.
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) log: String,
}

impl Process {
    pub(crate) fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::start_after("true", arguments)
    }

    /// Starts the command in a shell after a script, which may set limits.
    pub(crate) fn start_after<A: AsRef<OsStr>>(
        script: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("{script} && exec \"$@\""),
            "sh",
            env!("CARGO_BIN_EXE_paxos"),
        ]);
        command.args(arguments);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command can be started");
        let output = Lines::of(child.stdout.take().expect("piped"));
        let log = Lines::of(child.stderr.take().expect("piped"));
        Self { child, output, log }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a child that was not waited for is there");
    }

    /// Waits for a line of the log that contains `wanted`. Returns the first one, or `None` if the log ends before.
    pub(crate) fn line(&self, wanted: &str) -> Option<String> {
        self.log.find(wanted)
    }

    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(mut self) -> Ended {
        eventually("the process ends", || self.has_ended());
        let code = self.child.wait().expect("a child can be waited for").code();
        self.output.wait_for_end();
        self.log.wait_for_end();
        Ended { code, output: self.output.text(), log: self.log.text() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that ends by itself.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ended {
    Process::start(arguments).wait()
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(PAUSE);
    }
}

/// The lines of a stream so far.
#[derive(Default)]
struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::<Self>::default();
        let filled = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                filled.change(|state| state.lines.push(line));
            }
            filled.change(|state| state.ended = true);
        });
        lines
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn find(&self, wanted: &str) -> Option<String> {
        let found = |state: &State| state.lines.iter().find(|line| line.contains(wanted)).cloned();
        let state = self.wait_until(|state| state.ended || found(state).is_some());
        found(&state)
    }

    fn wait_for_end(&self) {
        drop(self.wait_until(|state| state.ended));
    }

    fn wait_until(&self, is_so: impl Fn(&State) -> bool) -> std::sync::MutexGuard<'_, State> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| !is_so(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn text(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).lines.join("\n")
    }
}
