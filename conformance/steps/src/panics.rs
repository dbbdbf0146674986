//! Steps that panic: a finding, and not the end of the check.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    /// True while a replica takes a step in this thread.
    static STEPS: Cell<bool> = const { Cell::new(false) };
}

/// Lets a replica take a step. Does not print a panic, and returns its message.
///
/// # Errors
/// Fails with the message of the panic.
pub fn silently<T>(step: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !STEPS.get() {
                usual(panic);
            }
        }));
    });
    STEPS.set(true);
    let taken = panic::catch_unwind(AssertUnwindSafe(step));
    STEPS.set(false);
    taken.map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or(panic.downcast_ref::<&str>().copied());
        message.unwrap_or("panics").to_owned()
    })
}
