//! The one callback of the process: it says that the mailbox holds something, and carries nothing.

use napi::{
    Status,
    bindgen_prelude::Function,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};

use crate::scripted::Doorbell;

/// Weak, so that it does not keep Node alive, and without the error argument.
type Ring = ThreadsafeFunction<(), (), (), Status, false, true>;

/// Rings in JavaScript.
pub(super) struct Bell(Ring);

impl Bell {
    pub(super) fn new(ring: &Function<'_, (), ()>) -> napi::Result<Self> {
        Ok(Self(ring.build_threadsafe_function().weak::<true>().build()?))
    }
}

impl Doorbell for Bell {
    fn ring(&self) {
        // The queue has no bound, but holds one ring at a time: the next comes only after the mailbox was emptied. Once
        // the environment ends it is closed, and nobody is left to hear.
        let _: Status = self.0.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }
}
