//! Promises that settle, whatever becomes of the hub.

use napi::{
    Env,
    bindgen_prelude::{Object, ToNapiValue},
};

use super::hub::{Result, invalid};

/// Settles a promise once, from any thread: with `None` where it is dropped without a word, as when the hub ends. One that never
/// settles would keep Node alive.
pub(super) struct Settles<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Settles<T> {
    pub(super) fn settle(mut self, answer: Option<T>) {
        self.tell(answer);
    }

    fn tell(&mut self, answer: Option<T>) {
        if let Some(tell) = self.0.take() {
            tell(answer);
        }
    }
}

impl<T> Drop for Settles<T> {
    fn drop(&mut self) {
        self.tell(None);
    }
}

/// A promise, and what settles it: with what `value` makes of the answer, or of none.
pub(super) fn promise<T, V: ToNapiValue + Send + 'static>(
    env: &Env,
    value: impl FnOnce(Option<T>) -> V + Send + 'static,
) -> Result<(Settles<T>, Object<'_>)> {
    let (deferred, promise) = env.create_deferred().map_err(|error| invalid(&error.to_string()))?;
    let tell = move |answer: Option<T>| {
        let value = value(answer);
        deferred.resolve(move |_| Ok(value));
    };
    Ok((Settles(Some(Box::new(tell))), promise))
}
