//! What a hub over a Redis does that one by itself does not. `js/hub/hub.js` is the other side.

use napi::{Env, bindgen_prelude::Object};
use napi_derive::napi;

use super::{
    documents::NativeSubmitted,
    hub::{NativeHub, Result, count, invalid},
    settles,
};
use crate::{Hub, ids::Id, room::publication::Refusal};

/// Whether the hub can publish.
#[napi(object)]
#[derive(Debug)]
pub struct NativeClusterState {
    /// Whether Redis is there, and everything has caught up.
    pub ready: bool,
    /// Why not.
    pub reason: Option<String>,
}

#[cfg(feature = "redis")]
fn state(hub: &Hub) -> Option<NativeClusterState> {
    use crate::cluster::State;

    hub.cluster_state().map(|state| match state {
        State::Ready => NativeClusterState { ready: true, reason: None },
        State::Away(reason) => NativeClusterState { ready: false, reason: Some(reason) },
    })
}

/// What became of what was published.
#[napi(object)]
#[derive(Debug)]
pub(super) struct NativeDelivered {
    /// The code of the error; `None` where it has its place.
    pub code: Option<String>,
    /// Connections that got it, of all processes.
    pub count: u32,
}

impl From<std::result::Result<usize, Refusal>> for NativeDelivered {
    fn from(outcome: std::result::Result<usize, Refusal>) -> Self {
        match outcome {
            Ok(connections) => Self { code: None, count: count(connections) },
            Err(refusal) => Self { code: NativeSubmitted::from(Err(refusal)).code, count: 0 },
        }
    }
}

#[cfg(feature = "redis")]
fn publish(
    hub: &Hub,
    document: Id,
    to: Option<Id>,
    message: String,
    tell: impl FnOnce(std::result::Result<usize, Refusal>) + Send + 'static,
) -> Result<()> {
    Ok(hub.publish_everywhere(document, to, message, tell)?)
}

#[cfg(not(feature = "redis"))]
fn publish(
    hub: &Hub,
    document: Id,
    to: Option<Id>,
    message: String,
    tell: impl FnOnce(std::result::Result<usize, Refusal>) + Send + 'static,
) -> Result<()> {
    tell(Ok(hub.publish(document.text(), to.as_ref().map(Id::text), &message)?));
    Ok(())
}

#[cfg(feature = "redis")]
fn say(hub: &Hub, call: String) {
    hub.say(call);
}

#[cfg(not(feature = "redis"))]
fn say(_: &Hub, _: String) {}

#[cfg(not(feature = "redis"))]
fn state(_: &Hub) -> Option<NativeClusterState> {
    None
}

#[napi]
impl NativeHub {
    /// Publishes to the members of a document in all processes, or to those of one client. Resolves once it is known how many
    /// got it, or it was refused.
    #[napi(catch_unwind)]
    pub fn publish_everywhere<'env>(
        &self,
        env: &'env Env,
        document: String,
        client: Option<String>,
        message: String,
    ) -> Result<Object<'env>> {
        let document = Id::new(&document).ok_or_else(|| invalid("no id"))?;
        let to = client.map(|client| Id::new(&client).ok_or_else(|| invalid("no id"))).transpose()?;
        let (told, promise) =
            settles::promise(env, |outcome: Option<std::result::Result<usize, Refusal>>| {
                NativeDelivered::from(outcome.unwrap_or(Err(Refusal::Unavailable)))
            })?;
        publish(&*self.hub()?, document, to, message, move |outcome| told.settle(Some(outcome)))?;
        Ok(promise)
    }

    /// What other processes want done since the last time, as they have said it.
    #[napi(catch_unwind)]
    pub fn take_calls(&self) -> Vec<String> {
        self.calls.take()
    }

    /// Has every other process do something; nothing where there are none.
    #[napi(catch_unwind)]
    pub fn say(&self, call: String) -> Result<()> {
        let hub = self.hub()?;
        say(&hub, call);
        Ok(())
    }

    /// Whether the hub can publish; nothing where it orders by itself.
    #[napi(catch_unwind)]
    pub fn cluster_state(&self) -> Option<NativeClusterState> {
        self.hub().ok().and_then(|hub| state(&hub))
    }
}
