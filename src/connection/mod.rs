//! One upgraded socket, from its handshake to its close.
//!
//! The writing half is shared: whoever has something for the peer writes it to the socket at once, so that nobody is
//! woken to write. Only where the socket would block does the rest wait in the [`Outbox`], and the connection's own
//! task, `driver`, is woken to write it when it can. All of it happens on the connection's thread.

pub mod batch;
mod driver;
pub mod endpoint;
// For benchmarks.
#[doc(hidden)]
pub mod outbox;
mod sending;
pub(crate) mod thread;
mod throttle;
mod watching;
mod writer;

use std::{
    io::{self, Write},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

pub(crate) use self::driver::Driver;
use self::writer::{Phase, SLICES, Writer};
use self::{
    batch::QueuePolicy,
    outbox::{Outbox, Watch},
};
use crate::{
    admission::{
        grant::{Grant, Peer},
        notice::Notice,
        security::{self, About, Kind},
    },
    ids::{ConnectionId, Id},
    metrics::labels::{Ended, EndpointKind},
    sync::lock,
    websocket::{close::Close, frame},
};

/// The frame of a [`Notice`] for the clients of an endpoint.
pub type EncodeNotice = fn(Notice) -> Bytes;

/// A connection as others see it.
#[derive(Debug)]
pub struct Connection {
    id: ConnectionId,
    /// The number of its endpoint; `None` where nobody serves its path.
    endpoint: Option<usize>,
    max_outbox_bytes: usize,
    writer: Mutex<Writer>,
    /// The thread's clock, in milliseconds, when bytes last came or the last ping left.
    heard: AtomicU32,
    /// The thread's clock when it was first seen closing; 0 before.
    closing_since: AtomicU32,
    /// Whether a ping is unanswered.
    pinged: AtomicBool,
    /// Whether its endpoint takes nothing more for now, so that nothing is read.
    reading_paused: AtomicBool,
    /// Whether its client has been sent what it begins with; nothing of the hub's own goes before that.
    has_begun: AtomicBool,
    /// Whether an endpoint has taken it. Kept here, because the task of a connection has no byte to spare.
    was_served: AtomicBool,
    /// How its client is told things; `None` where it would not understand them.
    notices: Option<EncodeNotice>,
    /// The client's, as whoever let it in knows it; `None` where nobody does.
    address: Option<IpAddr>,
    grant: Option<Arc<Grant>>,
    kind: EndpointKind,
    /// Milliseconds since 1970 when it was made.
    opened_at: u64,
    /// The thread's clock when a message last came.
    active: AtomicU32,
    /// The document and the client it is of, once it is a member.
    member: OnceLock<(Id, Id)>,
}

impl Connection {
    /// A connection without its socket. `response`, the answer to its handshake, goes out before anything else.
    pub(crate) fn new(
        id: ConnectionId,
        endpoint: Option<usize>,
        response: Vec<u8>,
        max_outbox_bytes: usize,
        now: u32,
    ) -> Self {
        let mut outbox = Box::<Outbox>::default();
        outbox.push_rest(response.into());
        let phase = Phase::Open;
        let writer = Writer { stream: None, outbox: Some(outbox), phase, ended: None, waker: None };
        Self {
            id,
            endpoint,
            max_outbox_bytes,
            writer: Mutex::new(writer),
            heard: AtomicU32::new(now),
            closing_since: AtomicU32::new(0),
            pinged: AtomicBool::new(false),
            reading_paused: AtomicBool::new(false),
            has_begun: AtomicBool::new(true),
            was_served: AtomicBool::new(false),
            notices: None,
            address: None,
            grant: None,
            kind: EndpointKind::default(),
            opened_at: epoch_milliseconds(),
            active: AtomicU32::new(now),
            member: OnceLock::new(),
        }
    }

    /// The connection with what it was let in with.
    pub(crate) fn admitted(
        self,
        grant: Option<Arc<Grant>>,
        address: Option<IpAddr>,
        notices: Option<EncodeNotice>,
        kind: EndpointKind,
    ) -> Self {
        Self { notices, address, grant, kind, ..self }
    }

    /// What it was let in with; `None` where nobody asked.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.grant.as_deref()
    }

    /// Its client's address, where anybody knows it.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What a line of the log says it is about: its number, and its document and user where they are known.
    fn about(&self) -> (u64, Option<&str>, Option<&str>) {
        let grant = self.grant();
        let document = grant.and_then(|grant| grant.document.as_deref());
        (self.id.number(), document, grant.and_then(|grant| grant.user.id()))
    }

    /// Reports what its client did, and how often.
    pub(crate) fn report(&self, kind: Kind, count: u64) {
        let (_, document, user) = self.about();
        let about = About { user, address: self.address, document, ..About::default() };
        security::report(kind, about, count);
    }

    /// Gives the connection its socket, and writes what waits: the whole handshake leaves at once, and before the
    /// runtime has to be asked whether a fresh socket can be written to.
    pub(crate) fn attach(&self, mut stream: std::net::TcpStream) -> io::Result<()> {
        let mut writer = lock(&self.writer);
        if let Some(mut outbox) = writer.outbox.take() {
            let mut slices = [io::IoSlice::new(&[]); SLICES];
            let filled = outbox.slices(&mut slices);
            match stream.write_vectored(&slices[..filled]) {
                Ok(written) => outbox.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            writer.outbox = (!outbox.is_empty()).then_some(outbox);
        }
        writer.stream = Some(TcpStream::from_std(stream)?);
        Ok(())
    }

    /// Reads what has come; nothing is the peer's end.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut writer = lock(&self.writer);
        let Some(stream) = &mut writer.stream else { return Poll::Ready(Ok(())) };
        Pin::new(stream).poll_read(cx, buffer)
    }

    /// Gives the socket back to the kernel. Nobody needs it once the connection's task has ended. Returns how that came.
    fn release(&self) -> Ended {
        let mut writer = lock(&self.writer);
        writer.phase = Phase::Dead;
        writer.stream = None;
        writer.outbox = None;
        writer.waker = None;
        writer.ended.unwrap_or(Ended::GONE)
    }

    /// The number of its endpoint.
    pub(crate) fn endpoint(&self) -> Option<usize> {
        self.endpoint
    }

    /// Its name.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether messages still go both ways.
    pub fn is_open(&self) -> bool {
        lock(&self.writer).phase == Phase::Open
    }

    /// Bytes that wait for the socket.
    pub fn buffered_bytes(&self) -> usize {
        lock(&self.writer).outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }

    /// Its client is sent nothing but what its handler sends until [`Connection::begin`].
    pub(crate) fn hold(&self) {
        self.has_begun.store(false, Ordering::Relaxed);
    }

    /// Whether it may be sent what is for every connection of its endpoint.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// Sends what the connection begins with. It does not count against what may wait, however much it is.
    pub(crate) fn begin(&self, frames: impl IntoIterator<Item = Bytes>) {
        let mut writer = lock(&self.writer);
        if writer.phase == Phase::Open {
            frames
                .into_iter()
                .filter(|frame| !frame.is_empty())
                .for_each(|frame| writer.outbox_mut().push_granted(frame));
            writer.wake();
        }
        drop(writer);
        if !self.has_begun.swap(true, Ordering::Relaxed)
            && let Some(grant) = self.grant()
        {
            grant.tell_again();
        }
    }

    /// Sends one frame, or several that are never dropped. A connection that is closing gets nothing more.
    pub fn send(&self, frame: Bytes, from: Option<ConnectionId>, keep: QueuePolicy) {
        self.send_as::<false>(frame, from, keep);
    }

    /// Sends what the client has asked for, such as a document: however large it is, that it waits is no sign of being slow.
    pub(crate) fn answer(&self, frames: Bytes) {
        self.send_as::<true>(frames, None, QueuePolicy::Reliable);
    }

    /// Of each kind there is one caller, and so no call.
    fn send_as<const IS_ANSWER: bool>(&self, frame: Bytes, from: Option<ConnectionId>, keep: QueuePolicy) {
        let mut writer = lock(&self.writer);
        if writer.phase != Phase::Open || frame.is_empty() {
            return;
        }
        match writer.write(&frame) {
            written if written == frame.len() => return,
            0 => writer.outbox_mut().push(frame, from, keep),
            written => writer.outbox_mut().push_rest(frame.slice(written..)),
        }
        if IS_ANSWER {
            writer.outbox_mut().grant_waiting();
        }
        self.waits(&mut writer);
    }

    /// Something waits now: closes the connection as slow where it is too much, and wakes its task.
    fn waits(&self, writer: &mut Writer) {
        let outbox = writer.outbox_mut();
        // A single message may be larger: a document's first one must get through.
        if outbox.counted_bytes() > self.max_outbox_bytes && outbox.has_several() {
            outbox.keep_begun();
            outbox.push(frame::close(&Close::slow()), None, QueuePolicy::Reliable);
            writer.phase = Phase::Ending { linger: true };
            writer.ended = Some(by_hub(&Close::slow()));
            let (connection, document, user) = self.about();
            log::warn!(
                connection, document, user; "connection {} reads too slowly: closed with 1013", self.id
            );
            self.report(Kind::TooSlow, 1);
        }
        writer.wake();
    }

    /// Begins the closing handshake, after what waits. Nothing happens where it has begun already.
    pub fn close(&self, close: &Close) {
        self.end(close, Phase::Closing);
    }

    /// Sends a close frame and awaits no answer: the peer broke the protocol, so nothing it sends can be read.
    pub(crate) fn fail(&self, close: &Close) {
        self.end(close, Phase::Ending { linger: true });
    }

    fn end(&self, close: &Close, phase: Phase) {
        let mut writer = lock(&self.writer);
        if writer.phase == Phase::Open {
            writer.send_last(frame::close(close));
            writer.phase = phase;
            writer.ended = Some(by_hub(close));
            writer.wake();
        }
    }

    /// The peer's close frame came: `reply` answers it, unless the hub's own was sent before.
    fn peer_closed(&self, code: u16, reply: Bytes) {
        let mut writer = lock(&self.writer);
        if writer.phase == Phase::Open {
            writer.ended = Some(Ended { code, by_hub: false, is_slow: false });
            writer.send_last(reply);
        }
        if writer.phase != Phase::Dead {
            writer.phase = Phase::Ending { linger: false };
        }
    }

    /// Keeps `watch` until at most as many bytes wait as it asks for, or the connection has ended; then drops it.
    /// Where that is so already, at once.
    pub fn watch(&self, watch: Watch) {
        let mut writer = lock(&self.writer);
        if let Some(outbox) = &mut writer.outbox {
            outbox.watch(watch);
        }
    }

    /// Drops the socket at once, with all that waits.
    pub fn terminate(&self) {
        let mut writer = lock(&self.writer);
        writer.ended.get_or_insert(Ended { by_hub: true, ..Ended::GONE });
        writer.phase = Phase::Dead;
        writer.wake();
    }

    /// Writes what waits as far as the socket takes it.
    fn flush(&self, cx: &mut Context<'_>, now: u32) -> Flushed {
        let mut writer = lock(&self.writer);
        if !writer.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            writer.waker = Some(cx.waker().clone());
        }
        if writer.phase == Phase::Dead {
            return Flushed::Finished;
        }
        match writer.poll_flush(cx) {
            Err(_) => return Flushed::Finished,
            // The socket has room again, so the peer has taken something: it is slow, and not gone.
            Ok(true) => self.heard(now),
            Ok(false) => {}
        }
        match writer.phase {
            Phase::Open => Flushed::Open,
            Phase::Ending { linger } if writer.outbox.is_none() => {
                writer.shut();
                if linger {
                    writer.phase = Phase::Lingering;
                    Flushed::Closing
                } else {
                    Flushed::Finished
                }
            }
            Phase::Closing | Phase::Ending { .. } | Phase::Lingering | Phase::Dead => Flushed::Closing,
        }
    }

    /// Bytes came from the peer.
    fn heard(&self, now: u32) {
        self.heard.store(now, Ordering::Relaxed);
        self.pinged.store(false, Ordering::Relaxed);
    }

    fn set_reading_paused(&self, reading_paused: bool) {
        self.reading_paused.store(reading_paused, Ordering::Relaxed);
    }

    /// Whether what the peer still sends is of no interest.
    fn is_ending(&self) -> bool {
        matches!(lock(&self.writer).phase, Phase::Ending { .. } | Phase::Lingering | Phase::Dead)
    }

    /// The thread was paused: what the peer did not do meanwhile counts for nothing.
    pub(crate) fn forgive(&self, now: u32) {
        self.heard(now);
        if self.closing_since.load(Ordering::Relaxed) != 0 {
            self.closing_since.store(now.max(1), Ordering::Relaxed);
        }
    }

    /// The thread's clock ticks: pings a silent peer, and drops one that stays silent or does not finish its close.
    pub(crate) fn tick(&self, now: u32, heartbeat: Option<u32>, close_timeout: u32) {
        if self.is_open() {
            let silent = now.wrapping_sub(self.heard.load(Ordering::Relaxed));
            if heartbeat.is_none_or(|interval| silent < interval) {
                return;
            }
            if self.pinged.swap(true, Ordering::Relaxed) && !self.reading_paused.load(Ordering::Relaxed) {
                let (connection, document, user) = self.about();
                log::info!(connection, document, user; "connection {} answers no ping: dropped", self.id);
                self.terminate();
            } else {
                self.heard.store(now, Ordering::Relaxed);
                // What waits for the peer asks as well as a ping behind it would, and a ping would be counted with it.
                if self.buffered_bytes() == 0 {
                    self.send(frame::PING, None, QueuePolicy::Reliable);
                }
            }
        } else {
            // The first tick that sees it closing starts its time: nothing that closes has to know the clock.
            let since = self.closing_since.load(Ordering::Relaxed);
            if since == 0 {
                self.closing_since.store(now.max(1), Ordering::Relaxed);
            } else if now.wrapping_sub(since) >= close_timeout {
                self.terminate();
            }
        }
    }
}

/// How a connection ends that the hub closes.
fn by_hub(close: &Close) -> Ended {
    let slow = Close::slow();
    Ended { code: close.code, by_hub: true, is_slow: close.code == slow.code && close.reason == slow.reason }
}

/// Milliseconds since 1970.
pub(crate) fn epoch_milliseconds() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Peer for Connection {
    fn close(&self, close: &Close) {
        self.close(close);
    }

    fn notify(&self, notice: Notice) {
        if let Some(encode) = self.notices.filter(|_| self.has_begun()) {
            self.send(encode(notice), None, QueuePolicy::Reliable);
        }
    }
}

/// What is left to do after a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flushed {
    Open,
    Closing,
    Finished,
}
