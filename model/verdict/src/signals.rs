//! Signals that end a command. The first signal asks the command for its report, and the second ends the process.
//!
//! A command with a report takes the first SIGINT, SIGTERM or SIGHUP as an [`Interrupt`]. The signal handler itself ends the
//! process on the second signal, so this works even if the process is busy. The process also ends if the command still runs
//! [`GRACE`] after the first signal. A command without a report installs no handler, so the first signal ends it.

use std::io;
use std::sync::{Arc, atomic::AtomicBool, mpsc};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default, register_conditional_shutdown};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::{Interrupt, Verdict};

/// The longest time from the first signal to the end of the process.
pub const GRACE: Duration = Duration::from_secs(5);

const NONE: [i32; 0] = [];
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The size of the stack of the thread that waits for signals. The thread only sleeps, so a small stack is enough. A large
/// one would matter where memory is limited.
const STACK_BYTES: usize = 128 << 10;

/// Installs the handlers, and returns the request that the first signal makes.
///
/// # Errors
/// Fails if the handlers cannot be installed. Then the first signal ends the process without a report.
pub fn interrupt() -> io::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let requested = interrupt.flag();
    let (installed, done) = mpsc::sync_channel(1);
    // A signal whose handler is removed again is ignored from then on. So the thread is spawned first: afterwards, only
    // the installation itself can fail.
    let waiting = move || {
        let mut signals = match install(&requested) {
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

fn install(requested: &Arc<AtomicBool>) -> io::Result<Signals> {
    // First, since it may fail for lack of descriptors. Then no handler is left that would swallow a signal.
    let signals = Signals::new(NONE)?;
    for signal in ENDING {
        // Handlers run in the order of their registration. On the first signal the conditional handler finds the flag
        // unset, and the second handler sets it. On the second signal the conditional handler ends the process.
        register_conditional_default(signal, Arc::clone(requested))?;
        register(signal, Arc::clone(requested))?;
    }
    // Last, so that no signal is caught before it is a request.
    for signal in ENDING {
        signals.add_signal(signal)?;
    }
    Ok(signals)
}

/// Makes a process that aborts exit with the code of an inconclusive verdict.
///
/// Rust aborts when the system refuses memory, after a line on standard error with the number of bytes. Searches end
/// before that where they can (see [`memory`](crate::memory)), but they cannot see every limit.
///
/// # Errors
/// Fails if the handler cannot be installed. Then SIGABRT ends a process that aborts.
pub fn abort_is_inconclusive() -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    let code = Verdict::Inconclusive { why: String::new() }.exit_code();
    register_conditional_shutdown(SIGABRT, i32::from(code), always).map(drop)
}
