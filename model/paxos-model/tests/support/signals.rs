//! The signals of a process, as the system tells them.

use std::{
    fs,
    process::Child,
    thread,
    time::{Duration, Instant},
};

/// Returns a set of signals that the system tells about a process. Only Linux does.
pub(crate) fn mask(process: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Waits until the process has its handlers. The handler of SIGHUP, the signal with the number 1, is the last.
pub(crate) fn until_signals_are_caught(child: &Child) {
    let id = child.id().to_string();
    let until = Instant::now() + Duration::from_mins(2);
    while mask(&id, "SigCgt:").is_none_or(|caught| caught & 1 == 0) {
        if mask("self", "SigCgt:").is_none() {
            // This system does not tell.
            return thread::sleep(Duration::from_secs(2));
        }
        assert!(Instant::now() < until, "it installs no handlers");
        thread::sleep(Duration::from_millis(5));
    }
}
