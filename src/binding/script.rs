//! Connections that JavaScript serves: batches out, calls in. `js/hub/handlers.js` is the other side.

use std::sync::Arc;

use napi::{
    Env,
    bindgen_prelude::{Array, BufferSlice},
};
use napi_derive::napi;

use super::{
    hub::{NativeHub, Result},
    numbers::{Taken, bytes, id, number},
};
use crate::{
    handlers::{Event, HandlerConnection, HandlerEndpoint, Heard},
    sync::lock,
    websocket::close::Close,
};

/// Events given to JavaScript at once; then its other work gets a turn.
const EVENTS: usize = 256;

/// Bytes of payload after which no further event is given at once.
const EVENT_BYTES: usize = 1 << 20;

/// Fields of an event in the array of [`NativeHub::take`].
const FIELDS: usize = 3;

#[napi]
impl NativeHub {
    /// Serves a path by JavaScript. Nothing happens where it is served already.
    #[napi(catch_unwind)]
    pub fn serve(&self, path: String) -> Result<()> {
        let hub = self.hub()?;
        if !hub.paths().contains(&path) {
            hub.serve(Arc::new(HandlerEndpoint::new(path, Arc::clone(&self.queue))));
        }
        Ok(())
    }

    /// What has happened: whether there is more, then for each event its kind, the connection's number and a value.
    #[napi(catch_unwind)]
    pub fn take<'env>(&self, env: &'env Env) -> napi::Result<Array<'env>> {
        let mut taken = lock(&self.taken);
        let Taken { events, next } = &mut *taken;
        if events.is_empty() {
            self.queue.take(events);
        }
        let begin = *next;
        let mut bytes = 0;
        while *next < events.len() && *next - begin < EVENTS && bytes < EVENT_BYTES {
            let (id, event) = &events[*next];
            bytes += self.queue.seen(*id, event);
            *next += 1;
        }
        let given = &events[begin..*next];
        // At most `EVENTS` of them, so every index fits.
        let more = *next < events.len();
        let mut array = env.create_array(u32::try_from(1 + FIELDS * given.len()).unwrap_or(0))?;
        array.set(0, more)?;
        for ((id, event), at) in given.iter().zip((1..).step_by(FIELDS)) {
            array.set(at + 1, number(*id))?;
            match event {
                Event::Open => array.set(at, 0)?,
                Event::Refused => array.set(at, 1)?,
                Event::Text(text) => {
                    array.set(at, 2)?;
                    array.set(at + 2, std::str::from_utf8(text).unwrap_or_default())?;
                }
                Event::Binary(bytes) => {
                    array.set(at, 3)?;
                    array.set(at + 2, BufferSlice::copy_from(env, bytes)?)?;
                }
                Event::Pong(bytes) => {
                    array.set(at, 4)?;
                    array.set(at + 2, BufferSlice::copy_from(env, bytes)?)?;
                }
                Event::Flushed(number) => {
                    array.set(at, 5)?;
                    array.set(at + 2, *number)?;
                }
                Event::Slow(room) => {
                    array.set(at, 8)?;
                    array.set(at + 2, &**room)?;
                }
                Event::Sent(number) => {
                    array.set(at, 9)?;
                    array.set(at + 2, *number)?;
                }
                Event::Heard(heard) => {
                    array.set(at, 10)?;
                    let Heard { path, room, process, message } = &**heard;
                    let mut value = env.create_array(4)?;
                    value.set(0, &**path)?;
                    value.set(1, &**room)?;
                    value.set(2, process.map(|process| format!("{process:016x}")))?;
                    value.set(3, std::str::from_utf8(message).unwrap_or_default())?;
                    array.set(at + 2, value)?;
                }
                Event::Closing => array.set(at, 6)?,
                Event::Closed { code, reason } => {
                    array.set(at, 7)?;
                    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
                    array.set(at + 2, BufferSlice::copy_from(env, payload)?)?;
                }
            }
        }
        if *next == events.len() {
            // Not kept until there is something new: a message may be large.
            events.clear();
            *next = 0;
        }
        Ok(array)
    }

    /// Messages of this connection may come: what was taken for it so far has been seen.
    #[napi(catch_unwind)]
    pub fn ready(&self, connection: f64) {
        if let Some(found) = self.connection_of(connection) {
            found.ready();
        }
    }

    /// Sends a text message at the end of this turn, which [`NativeHub::flush`] is. Returns whether it can be sent.
    #[napi(catch_unwind)]
    pub fn send_text(&self, connection: f64, message: String) -> bool {
        self.queue.send_text(id(connection), &message)
    }

    /// Sends a binary message; otherwise as [`NativeHub::send_text`].
    #[napi(catch_unwind)]
    pub fn send_binary(&self, connection: f64, message: &[u8]) -> bool {
        self.queue.send_binary(id(connection), message)
    }

    /// Writes what was sent in this turn.
    #[napi(catch_unwind)]
    pub fn flush(&self) {
        self.queue.flush();
    }

    /// Bytes that were sent to this connection and wait for its socket.
    #[napi(catch_unwind)]
    pub fn buffered_bytes(&self, connection: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "memory has fewer than 2^53 bytes")]
        self.connection_of(connection).map_or(0.0, |found| found.buffered_bytes() as f64)
    }

    /// Asks for an event with `number` once at most `below_bytes` wait.
    #[napi(catch_unwind)]
    pub fn when_flushed(&self, connection: f64, below_bytes: f64, number: u32) {
        if let Some(found) = self.connection_of(connection) {
            self.queue.when_flushed(&found, bytes(below_bytes), number);
        }
    }

    /// Sends a ping, with at most 125 bytes.
    #[napi(catch_unwind)]
    pub fn ping(&self, connection: f64, payload: &[u8]) {
        if let Some(found) = self.connection_of(connection) {
            found.ping(payload);
        }
    }

    /// Messages of this connection may not come: what is taken for it counts as unread until it is ready again.
    #[napi(catch_unwind)]
    pub fn hold(&self, connection: f64) {
        if let Some(found) = self.connection_of(connection) {
            found.hold();
        }
    }

    /// Sends a pong that nobody asked for.
    #[napi(catch_unwind)]
    pub fn pong(&self, connection: f64, payload: &[u8]) {
        if let Some(found) = self.connection_of(connection) {
            found.pong(payload);
        }
    }

    /// Begins the closing handshake; 1005 sends no code.
    #[napi(catch_unwind)]
    pub fn close_connection(&self, connection: f64, code: u16, reason: String) {
        if let Some(found) = self.connection_of(connection) {
            found.close(&Close::new(code, reason));
        }
    }

    /// Drops the connection's socket.
    #[napi(catch_unwind)]
    pub fn terminate(&self, connection: f64) {
        if let Some(found) = self.connection_of(connection) {
            found.terminate();
        }
    }

    pub(super) fn connection_of(&self, connection: f64) -> Option<Arc<HandlerConnection>> {
        self.queue.connection(id(connection))
    }
}
