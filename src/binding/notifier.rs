//! The one callback of the process: it says that the event queue holds something, and carries nothing.

use napi::{
    Status,
    bindgen_prelude::Function,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};

use crate::handlers::Notifier;

/// Weak, so that it does not keep Node alive, and without the error argument.
type Callback = ThreadsafeFunction<(), (), (), Status, false, true>;

/// Calls JavaScript.
pub(super) struct NodeNotifier(Callback);

impl NodeNotifier {
    pub(super) fn new(callback: &Function<'_, (), ()>) -> napi::Result<Self> {
        Ok(Self(callback.build_threadsafe_function().weak::<true>().build()?))
    }
}

impl Notifier for NodeNotifier {
    fn notify(&self) {
        // The queue has no bound, but holds one call at a time: the next comes only after the events were taken. Once
        // the environment ends it is closed, and nobody is left to hear.
        let _: Status = self.0.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }
}
