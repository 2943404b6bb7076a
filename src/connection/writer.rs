//! The writing side of a connection: its socket, what waits for it, and how far it is from its end.

use std::{
    io,
    task::{Context, Waker},
};

use bytes::Bytes;
use rustix::{
    io::Errno,
    net::{self, SendFlags, Shutdown},
};
use tokio::net::TcpStream;

use super::{batch::QueuePolicy, outbox::Outbox};
use crate::metrics::labels::Ended;

/// Slices given to one `writev`.
pub(super) const SLICES: usize = 32;

/// How far a connection is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Messages go both ways.
    Open,
    /// A close frame is on its way, or sent; the peer's is awaited.
    Closing,
    /// Nothing more will be sent after what waits. `linger` awaits the peer's FIN: to close a socket with unread
    /// bytes would reset it, and the peer might lose the close frame.
    Ending { linger: bool },
    /// FIN is sent; the peer's is awaited.
    Lingering,
    /// To be dropped at once.
    Dead,
}

#[derive(Debug)]
pub(super) struct Writer {
    /// `None` before the socket is attached, when everything waits, and once the connection's task has ended.
    ///
    /// Here and not behind an `Arc` that reading and writing share: each of a room's members is one more line of
    /// memory to fetch for a message, and these are fetched from afar once there are thousands of connections.
    pub(super) stream: Option<TcpStream>,
    /// `None` while nothing waits.
    pub(super) outbox: Option<Box<Outbox>>,
    pub(super) phase: Phase,
    /// How it has ended, once that is decided.
    pub(super) ended: Option<Ended>,
    /// Wakes the connection's task.
    pub(super) waker: Option<Waker>,
}

impl Writer {
    /// Writes to the socket what it takes; returns how much. 0 where something waits already, to keep the order.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.outbox.is_some() {
            return 0;
        }
        let Some(stream) = &self.stream else { return bytes.len() };
        // Not by tokio, which looks into its own record of the socket first: one more line of memory to fetch for each
        // member. Where the socket would block, `poll_flush` finds out the same by way of tokio, and waits.
        match send(stream, bytes) {
            Ok(written) => written,
            Err(Errno::WOULDBLOCK) => 0,
            Err(_) => {
                // The peer is gone. Its task learns it by reading, or here.
                self.phase = Phase::Dead;
                self.wake();
                bytes.len()
            }
        }
    }

    pub(super) fn send_last(&mut self, frame: Bytes) {
        let written = self.write(&frame);
        if written == 0 {
            self.outbox_mut().push(frame, None, QueuePolicy::Reliable);
        } else if written < frame.len() {
            self.outbox_mut().push_rest(frame.slice(written..));
        }
    }

    /// Writes what waits as far as the socket takes it; returns whether it took something.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        let Some(stream) = &self.stream else {
            self.outbox = None;
            return Ok(progress);
        };
        while let Some(outbox) = &mut self.outbox {
            if stream.poll_write_ready(cx)?.is_pending() {
                return Ok(progress);
            }
            let mut slices = [io::IoSlice::new(&[]); SLICES];
            let filled = outbox.slices(&mut slices);
            match stream.try_write_vectored(&slices[..filled]) {
                Ok(written) => {
                    outbox.advance(written);
                    progress = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if outbox.is_empty() {
                self.outbox = None;
            }
        }
        Ok(progress)
    }

    /// Sends FIN.
    pub(super) fn shut(&self) {
        if let Some(stream) = &self.stream {
            // Where it fails the peer is gone.
            let _ = net::shutdown(stream, Shutdown::Write);
        }
    }

    pub(super) fn outbox_mut(&mut self) -> &mut Outbox {
        self.outbox.get_or_insert_default()
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

#[cfg(any(target_vendor = "apple", windows))]
const FLAGS: SendFlags = SendFlags::empty();
#[cfg(not(any(target_vendor = "apple", windows)))]
const FLAGS: SendFlags = SendFlags::NOSIGNAL;

/// Not by the C library, whose `send` is prepared for being cancelled: 80 ns a call. A peer that is gone raises no SIGPIPE:
/// Node ignores that signal, and where a flag for it exists, whoever else embeds the hub need not.
// A function of its own because `npm run guard` counts its calls, as it counts the C library's.
#[inline(never)]
fn send(stream: &TcpStream, bytes: &[u8]) -> Result<usize, Errno> {
    net::send(stream, bytes, FLAGS)
}
