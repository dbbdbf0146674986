//! A wish to end a check early.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A wish to end a check early, from a signal for instance. Clones share the wish.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks the check to end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag that a signal handler raises.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// True if the check was asked to end.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
