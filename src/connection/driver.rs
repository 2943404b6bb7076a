//! The task of a connection: reads, hands messages on, writes what had to wait, and sees it to its end.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio_tungstenite::tungstenite::Message;

use super::{
    Connection, Flushed,
    batch::QueuePolicy,
    endpoint::{Farewell, Handler, Permit, Tally},
    thread::{Scratch, Thread},
    throttle::Throttle,
};
use crate::{
    admission::{grant::Peer, notice::Notice, rate::Meter, security::Kind, users::CountedConnection},
    panics::guarded,
    sync::lock,
    websocket::{
        close::{self, Close},
        decoder::Decoder,
    },
};

/// Reads in one turn before the other connections of the thread get theirs.
const READS_PER_TURN: usize = 4;

pub(crate) struct Driver {
    connection: Arc<Connection>,
    thread: Arc<Thread>,
    decoder: Decoder,
    stage: Stage,
    /// Counted by the endpoint for as long as this is here.
    permit: Option<Permit>,
    /// Counted among the users for as long as this is here.
    counted: Option<Box<CountedConnection>>,
    meter: Meter,
    /// There while it sends more than it may.
    throttle: Option<Box<Throttle>>,
}

/// What is left of the endpoint's part.
enum Stage {
    /// Messages are handed on.
    Serving(Box<dyn Handler>),
    /// The connection is closing, and the endpoint wants to know how it ends.
    Leaving(Box<dyn Farewell>),
    /// The endpoint has no part in it any more.
    Left,
}

impl Driver {
    pub(crate) fn new(
        connection: Arc<Connection>,
        thread: Arc<Thread>,
        handler: Option<Box<dyn Handler>>,
        permit: Option<Permit>,
        counted: Option<Box<CountedConnection>>,
    ) -> Self {
        thread.add(Arc::clone(&connection));
        let stage = handler.map_or(Stage::Left, Stage::Serving);
        let (decoder, meter) = (Decoder::default(), Meter::default());
        if matches!(stage, Stage::Serving(_)) {
            connection.was_served.store(true, Ordering::Relaxed);
            thread.counters().opened(connection.kind()).add(1);
        }
        Self { connection, thread, decoder, stage, permit, counted, meter, throttle: None }
    }

    /// Whose task it is.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Hands over bytes that came with the upgrade.
    pub(crate) fn begin(&mut self, early: &[u8]) {
        // A user may have sent too much over connections before this one.
        self.charge(0, 0, Duration::ZERO);
        if !early.is_empty() {
            let thread = Arc::clone(&self.thread);
            self.guarded(|driver| driver.take(early, &mut lock(thread.scratch())));
        }
    }

    /// Does `work`, whose panic closes this connection and no other.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let done = guarded("serving a connection", || work(self));
        if done.is_none() {
            let (connection, document, user) = self.connection.about();
            log::error!(connection, document, user; "connection {} is closed after a panic", self.connection.id());
            self.leave();
            self.connection.fail(&Close::internal());
        }
        done
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_PER_TURN {
            match self.connection.flush(cx, self.thread.now()) {
                Flushed::Open if self.is_held(cx) => return Poll::Pending,
                Flushed::Open => {}
                Flushed::Closing => self.leave(),
                Flushed::Finished => return Poll::Ready(()),
            }
            if !self.may_read(cx) {
                return Poll::Pending;
            }
            let thread = Arc::clone(&self.thread);
            let mut scratch = lock(thread.scratch());
            let mut input = scratch.take_input();
            let mut buffer = ReadBuf::new(&mut input);
            let polled = self.connection.poll_read(cx, &mut buffer);
            let count = buffer.filled().len();
            if polled.is_ready() && count > 0 {
                self.take(&input[..count], &mut scratch);
            }
            scratch.put_input(input);
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if count > 0 => {}
                // FIN or RST. Without a close frame before it the peer is simply gone.
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether messages are handed on.
    fn is_serving(&self) -> bool {
        matches!(self.stage, Stage::Serving(_))
    }

    /// Whether the endpoint takes more. If not, its peer cannot be heard either, and is not to blame for its silence.
    fn may_read(&mut self, cx: &mut Context<'_>) -> bool {
        let Stage::Serving(handler) = &mut self.stage else { return true };
        let ready = handler.poll_ready(cx).is_ready();
        self.connection.set_reading_paused(!ready);
        ready
    }

    /// Decodes what came and hands it on.
    fn take(&mut self, input: &[u8], scratch: &mut Scratch) {
        let Scratch { codec, replies, .. } = scratch;
        let Self { connection, decoder, stage, .. } = self;
        connection.heard(self.thread.now());
        if connection.is_ending() {
            return;
        }
        replies.clear();
        let (mut closed, mut messages) = (None, 0);
        let outcome = decoder.decode(codec, input, replies, |message, replies| {
            messages += 1;
            match message {
                Message::Text(text) => {
                    send_replies(connection, replies);
                    deliver(stage, connection, text.as_bytes(), true);
                }
                Message::Binary(bytes) => {
                    send_replies(connection, replies);
                    deliver(stage, connection, &bytes, false);
                }
                Message::Close(frame) => closed = Some(frame),
                Message::Pong(payload) => {
                    if let Stage::Serving(handler) = stage {
                        handler.pong(&payload);
                    }
                }
                Message::Ping(_) | Message::Frame(_) => {}
            }
        });
        let mut wait = Duration::ZERO;
        let received = self.thread.counters().received(connection.kind());
        received.messages.add(messages);
        received.bytes.add(input.len() as u64);
        if messages > 0 {
            connection.active.store(self.thread.now(), Ordering::Relaxed);
        }
        if let Stage::Serving(handler) = stage {
            handler.read_end(connection);
            let Tally { uncounted, steps } = handler.tally();
            messages -= uncounted.min(messages);
            if let Some((count, own)) = steps {
                wait = self.thread.users().charge_steps(own, connection.grant(), count);
            }
        }
        if let Some(frame) = closed {
            self.leave();
            let (code, reason) = frame
                .as_ref()
                .map_or((close::NO_STATUS, ""), |frame| (frame.code.into(), frame.reason.as_str()));
            if let Stage::Leaving(farewell) = &mut self.stage {
                farewell.peer_closed(code, reason);
            }
            self.connection.peer_closed(code, Bytes::copy_from_slice(replies));
            return;
        }
        send_replies(&self.connection, replies);
        if let Err(fault) = outcome {
            let (connection, document, user) = self.connection.about();
            log::info!(
                connection, document, user;
                "connection {} broke the protocol: {fault:?}", self.connection.id()
            );
            self.connection.report(Kind::BadFrame, 1);
            self.leave();
            self.connection.fail(&Close::from(fault));
            return;
        }
        self.charge(messages, input.len() as u64, wait);
    }

    /// Counts what was read, and holds the client back where it was too much, or where it is to wait for its steps.
    fn charge(&mut self, messages: u64, bytes: u64, wait: Duration) {
        if !self.is_serving() {
            return;
        }
        let users = self.thread.users();
        let wait = wait.max(users.charge(&mut self.meter, self.connection.grant(), (messages, bytes)));
        if wait.is_zero() {
            self.throttle = None;
            return;
        }
        let held = Throttle::hold(&mut self.throttle, wait, users.limits().patience);
        let id = self.connection.id();
        if held.tells {
            self.connection.notify(Notice::RateLimited(wait));
        }
        if held.is_over {
            let (connection, document, user) = self.connection.about();
            log::info!(
                connection, document, user;
                "connection {id} goes on sending too much: closed with 1013"
            );
            self.connection.report(Kind::RateClosed, 1);
            self.leave();
            self.connection.close(&Close::limit("Too much was sent"));
            return;
        }
        // It cannot be heard meanwhile, and is not to blame for its silence.
        self.connection.set_reading_paused(true);
        if held.is_first {
            let (connection, document, user) = self.connection.about();
            log::info!(
                connection, document, user; "connection {id} sends too much: held back for {wait:?}"
            );
            self.connection.report(Kind::RateLimited, 1);
        }
    }

    /// Whether nothing is to be read now; then the task is woken when it is.
    fn is_held(&mut self, cx: &mut Context<'_>) -> bool {
        match self.throttle.as_mut().map(|throttle| throttle.poll_over(cx)) {
            None | Some(Poll::Ready(false)) => false,
            Some(Poll::Pending) => true,
            Some(Poll::Ready(true)) => {
                self.connection.set_reading_paused(false);
                false
            }
        }
    }

    /// Leaves the room and the counts.
    fn leave(&mut self) {
        if matches!(self.stage, Stage::Serving(_))
            && let Stage::Serving(handler) = std::mem::replace(&mut self.stage, Stage::Left)
        {
            self.stage = handler.leave().map_or(Stage::Left, Stage::Leaving);
        }
        self.permit = None;
        self.counted = None;
    }
}

/// Sends the pongs that wait, so that they are not behind the answer to a later message.
fn send_replies(connection: &Connection, replies: &mut Vec<u8>) {
    if !replies.is_empty() {
        connection.send(Bytes::copy_from_slice(replies), None, QueuePolicy::Reliable);
        replies.clear();
    }
}

fn deliver(stage: &mut Stage, connection: &Arc<Connection>, payload: &[u8], text: bool) {
    if let Stage::Serving(handler) = stage
        && connection.is_open()
    {
        handler.message(connection, payload, text);
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.guarded(|driver| driver.turn(cx)).unwrap_or_else(|| {
            // What is left, sending the close frame and awaiting FIN, runs none of the code that panicked.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Out of every count before the peer can see that it is closed.
        self.leave();
        let ended = self.connection.release();
        if self.connection.was_served.load(Ordering::Relaxed) {
            self.thread.counters().ended(ended);
        }
        // The endpoint is told now that the socket is closed.
        self.stage = Stage::Left;
        self.thread.remove(self.connection.id());
    }
}
