//! Signals that end a command: the first asks it for a report, the second ends it.
//!
//! A command that has something to report takes the first SIGINT, SIGTERM or SIGHUP as an [`Interrupt`]. The
//! second signal ends the process from within its handler, so it works however busy the process is. So does
//! the first one after [`GRACE`], if the command has not ended by then. A command that has nothing to report
//! installs no handler, and dies of the first signal.

use std::io;
use std::sync::{Arc, atomic::AtomicBool, mpsc};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default, register_conditional_shutdown};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::{Interrupt, Verdict};

/// The time that a command may take for its report after the first signal.
pub const GRACE: Duration = Duration::from_secs(5);

const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The thread only sleeps. A small stack leaves it room where memory is limited.
const STACK_BYTES: usize = 128 << 10;

/// Returns the wish that the first signal makes.
///
/// # Errors
/// If the handlers cannot be installed. Then the first signal ends the process without a report.
pub fn interrupt() -> io::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let asked = interrupt.flag();
    let (installed, done) = mpsc::sync_channel(1);
    // A handler that is removed leaves its signal ignored. So the thread comes first: once it runs, nothing
    // that is likely can fail.
    let waiting = move || {
        let mut signals = match install(&asked) {
            Ok(signals) => signals,
            Err(error) => return drop(installed.send(Err(error))),
        };
        let _ = installed.send(Ok(()));
        let Some(signal) = signals.forever().next() else { return };
        thread::sleep(GRACE);
        let _ = emulate_default_handler(signal);
    };
    thread::Builder::new().name("signals".to_owned()).stack_size(STACK_BYTES).spawn(waiting)?;
    done.recv().map_err(io::Error::other)??;
    Ok(interrupt)
}

fn install(asked: &Arc<AtomicBool>) -> io::Result<Signals> {
    let signals = Signals::new(ENDING)?;
    for signal in ENDING {
        // Handlers run in this order: the first signal finds the flag down and raises it.
        register_conditional_default(signal, Arc::clone(asked))?;
        register(signal, Arc::clone(asked))?;
    }
    Ok(signals)
}

/// From now on, a process that aborts exits as one that has decided nothing.
///
/// Rust aborts where the system refuses memory, after a line on standard error with the number of bytes. The
/// searches look how much memory is left and end before that (`explore`), but they cannot see every limit.
///
/// # Errors
/// If the handler cannot be installed. Then such a process dies of SIGABRT.
pub fn abort_is_inconclusive() -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    let code = Verdict::Inconclusive { why: String::new() }.exit_code();
    register_conditional_shutdown(SIGABRT, i32::from(code), always).map(drop)
}
