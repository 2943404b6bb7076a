//! Rooms of handlers: one call a publication, however many members it has. `js/hub/handlers.js` is the other side.

use napi_derive::napi;

use super::{
    hub::{NativeHub, Result, count},
    numbers::{bytes, id},
};
use crate::Error;

#[napi]
impl NativeHub {
    /// Makes a connection a member of a room of its endpoint; returns whether it is one. An event of that connection says
    /// once that more than `slow_above_bytes` wait for it after a publication.
    #[napi(catch_unwind)]
    pub fn join(&self, connection: f64, room: String, slow_above_bytes: f64) -> Result<bool> {
        let Some(found) = self.connection_of(connection) else { return Ok(false) };
        Ok(found.join(&room, bytes(slow_above_bytes))?)
    }

    /// Ends that; returns whether it was a member.
    #[napi(catch_unwind)]
    pub fn leave(&self, connection: f64, room: String) -> bool {
        self.connection_of(connection).is_some_and(|found| found.leave(&room))
    }

    /// Publishes a text message to a room, with what is sent in this turn. Returns how many members it is for.
    #[napi(catch_unwind)]
    pub fn publish_text(
        &self,
        path: String,
        room: String,
        message: String,
        except: Option<f64>,
    ) -> Result<u32> {
        self.check_open()?;
        Ok(count(self.queue.publish_text(&path, &room, &message, except.map(id))?))
    }

    /// Publishes a binary message; otherwise as [`NativeHub::publish_text`].
    #[napi(catch_unwind)]
    pub fn publish_binary(
        &self,
        path: String,
        room: String,
        message: &[u8],
        except: Option<f64>,
    ) -> Result<u32> {
        self.check_open()?;
        Ok(count(self.queue.publish_binary(&path, &room, message, except.map(id))?))
    }

    /// Asks for an event of no connection, with `number`, once what was published to a room so far has been sent.
    #[napi(catch_unwind)]
    pub fn when_sent(&self, path: String, room: String, number: u32) {
        self.queue.when_sent(&path, &room, number);
    }

    /// Refuses what comes once the hub is closed, or drains.
    fn check_open(&self) -> Result<()> {
        if self.hub()?.is_sealed() { Err(Error::Closed.into()) } else { Ok(()) }
    }
}
