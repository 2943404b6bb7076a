//! Promises that settle, whatever becomes of the hub.

use std::marker::PhantomData;

/// Tells `None` where it is dropped without a word, as when the hub ends: a promise that never settles would keep Node alive.
pub(super) struct Settles<T, F: FnOnce(Option<T>)> {
    tell: Option<F>,
    of: PhantomData<fn(T)>,
}

impl<T, F: FnOnce(Option<T>)> Settles<T, F> {
    pub(super) fn by(tell: F) -> Self {
        Self { tell: Some(tell), of: PhantomData }
    }

    pub(super) fn settle(mut self, value: Option<T>) {
        if let Some(tell) = self.tell.take() {
            tell(value);
        }
    }
}

impl<T, F: FnOnce(Option<T>)> Drop for Settles<T, F> {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(None);
        }
    }
}
