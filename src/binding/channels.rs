//! What handlers of several processes say to each other. `js/hub/channels.js` is the other side.

use std::time::Duration;

use napi::{Env, bindgen_prelude::Object};
use napi_derive::napi;

use super::{
    hub::{NativeHub, Result, invalid},
    settles,
};
use crate::{Error, cluster::RoomChannels};

/// A process, as JavaScript has it.
fn name(process: u64) -> String {
    format!("{process:016x}")
}

fn process(name: &str) -> Option<u64> {
    u64::from_str_radix(name, 16).ok()
}

#[napi]
impl NativeHub {
    fn channels(&self) -> Result<RoomChannels> {
        self.hub()?.room_channels().ok_or_else(|| Error::Closed.into())
    }

    /// Hears from now on what other processes say in a room. Resolves once it does, or with `false` where Redis is away.
    #[napi(catch_unwind)]
    pub fn listen<'env>(&self, env: &'env Env, path: String, room: String) -> Result<Object<'env>> {
        let channels = self.channels()?;
        let (done, promise) = settles::promise(env, |is_heard| is_heard == Some(true))?;
        channels.listen(&path, &room, move |is_heard| done.settle(Some(is_heard)));
        Ok(promise)
    }

    /// Hears it no more.
    #[napi(catch_unwind)]
    pub fn unlisten(&self, path: String, room: String) -> Result<()> {
        self.channels()?.leave(&path, &room);
        Ok(())
    }

    /// Says something to the processes that hear a room. Resolves with how many these are, this one among them; with -1 where
    /// nobody knows.
    #[napi(catch_unwind)]
    pub fn tell<'env>(
        &self,
        env: &'env Env,
        path: String,
        room: String,
        message: String,
    ) -> Result<Object<'env>> {
        let channels = self.channels()?;
        let (reached, promise) = settles::promise(env, |count: Option<u32>| count.map_or(-1.0, f64::from))?;
        channels.tell(&path, &room, message.as_bytes(), Box::new(move |count| reached.settle(count)));
        Ok(promise)
    }

    /// Whether another process was heard of lately.
    #[napi(catch_unwind)]
    pub fn is_there(&self, other: String) -> Result<bool> {
        let channels = self.channels()?;
        Ok(process(&other).is_some_and(|other| channels.is_there(other)))
    }

    /// This process, as others hear of it.
    #[napi(catch_unwind)]
    pub fn own_process(&self) -> Result<String> {
        Ok(name(self.channels()?.process()))
    }

    /// Claims something of a room for this process, also where the process `gone` has it. Resolves with who has it then; with
    /// nothing where Redis is away.
    #[napi(catch_unwind)]
    pub fn claim<'env>(
        &self,
        env: &'env Env,
        of: Vec<String>,
        kept_ms: f64,
        gone: Option<String>,
    ) -> Result<Object<'env>> {
        let channels = self.channels()?;
        let of: [String; 3] = of.try_into().map_err(|_| invalid("path, room and name"))?;
        let (done, promise) = settles::promise(env, |holder: Option<u64>| holder.map(name))?;
        let kept = Duration::from_secs_f64(kept_ms / 1000.0);
        channels.claim(of, kept, gone.as_deref().and_then(process), move |holder| done.settle(holder));
        Ok(promise)
    }

    /// Lets go of what this process has claimed. Resolves once it has, or could not.
    #[napi(catch_unwind)]
    pub fn release<'env>(
        &self,
        env: &'env Env,
        path: String,
        room: String,
        name: String,
    ) -> Result<Object<'env>> {
        let channels = self.channels()?;
        let (done, promise) = settles::promise(env, |_: Option<()>| ())?;
        channels.release(&path, &room, &name, move || done.settle(Some(())));
        Ok(promise)
    }
}
