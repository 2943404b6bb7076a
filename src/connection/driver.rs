//! The task of a connection: reads, hands messages on, writes what had to wait, and sees it to its end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio_tungstenite::tungstenite::Message;

use super::{Connection, Flushed};
use crate::{
    batch::Keep,
    close::Close,
    decoder::Decoder,
    endpoint::Session,
    hub::Permit,
    shard::{Scratch, Shard},
    sync::lock,
};

/// Reads in one turn before the other connections of the thread get theirs.
const READS_PER_TURN: usize = 4;

pub(crate) struct Driver {
    connection: Arc<Connection>,
    shard: Arc<Shard>,
    decoder: Decoder,
    /// `None` once the connection is closing.
    session: Option<Box<dyn Session>>,
    /// Counted by the endpoint for as long as this is here.
    permit: Option<Permit>,
}

impl Driver {
    pub(crate) fn new(
        connection: Arc<Connection>,
        shard: Arc<Shard>,
        session: Option<Box<dyn Session>>,
        permit: Option<Permit>,
    ) -> Self {
        shard.add(Arc::clone(&connection));
        Self { connection, shard, decoder: Decoder::default(), session, permit }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Hands over bytes that came with the upgrade.
    pub(crate) fn begin(&mut self, early: &[u8]) {
        if !early.is_empty() {
            let shard = Arc::clone(&self.shard);
            self.take(early, &mut lock(shard.scratch()));
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_PER_TURN {
            match self.connection.flush(cx) {
                Flushed::Open => {}
                Flushed::Closing => self.leave(),
                Flushed::Finished => return Poll::Ready(()),
            }
            let shard = Arc::clone(&self.shard);
            let mut scratch = lock(shard.scratch());
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

    /// Decodes what came and hands it on.
    fn take(&mut self, input: &[u8], scratch: &mut Scratch) {
        let Scratch { codec, replies, .. } = scratch;
        let Self { connection, decoder, session, .. } = self;
        connection.heard(self.shard.now());
        if connection.is_ending() {
            return;
        }
        replies.clear();
        let mut closed = false;
        let outcome = decoder.decode(codec, input, replies, |message, replies| match message {
            Message::Text(text) => {
                send_replies(connection, replies);
                deliver(session, connection, text.as_bytes(), true);
            }
            Message::Binary(bytes) => {
                send_replies(connection, replies);
                deliver(session, connection, &bytes, false);
            }
            Message::Close(_) => closed = true,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        });
        if let Some(session) = session {
            session.read_end(connection);
        }
        if closed {
            self.leave();
            self.connection.peer_closed(Bytes::copy_from_slice(replies));
            return;
        }
        send_replies(&self.connection, replies);
        if let Err(fault) = outcome {
            log::info!("connection {} broke the protocol: {fault:?}", self.connection.id());
            self.leave();
            self.connection.fail(&Close::from(fault));
        }
    }

    /// Leaves the room and the counts.
    fn leave(&mut self) {
        self.session = None;
        self.permit = None;
    }
}

/// Sends the pongs that wait, so that they are not behind the answer to a later message.
fn send_replies(connection: &Connection, replies: &mut Vec<u8>) {
    if !replies.is_empty() {
        connection.send(Bytes::copy_from_slice(replies), None, Keep::Every);
        replies.clear();
    }
}

fn deliver(session: &mut Option<Box<dyn Session>>, connection: &Arc<Connection>, payload: &[u8], text: bool) {
    if let Some(session) = session
        && connection.is_open()
    {
        session.message(connection, payload, text);
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        match catch_unwind(AssertUnwindSafe(|| driver.turn(cx))) {
            Ok(poll) => poll,
            Err(panic) => {
                let what = crate::shard::panic_text(&*panic);
                log::error!("panic while serving connection {}: {what}", self.connection.id());
                self.leave();
                self.connection.fail(&Close::internal());
                // What is left, sending the close frame and awaiting FIN, runs none of the code that panicked.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Out of every count before the peer can see that it is closed.
        self.leave();
        self.connection.release();
        self.shard.remove(self.connection.id());
    }
}
