//! A request to a node that the caller polls instead of awaiting it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// A request that waits for its answer. It makes progress only when it is polled.
pub struct Call<T>(Pin<Box<dyn Future<Output = T>>>);

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

impl<T> Call<T> {
    pub(super) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self(Box::pin(future))
    }

    /// Returns the answer once it is there.
    ///
    /// # Panics
    /// Panics if it has returned the answer before.
    pub fn poll(&mut self) -> Option<T> {
        match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }
}
