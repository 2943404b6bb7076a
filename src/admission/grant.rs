//! What one connection was let in with. Only connections with a user, an end of session or a decided access have one.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, Ordering, fence},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Access,
    notice::Notice,
    security::{self, About, Kind},
    user::User,
};
use crate::{sync::lock, websocket::close::Close};

/// A connection, as far as what it was let in with may change under it. From any thread.
pub(crate) trait Peer: Send + Sync + fmt::Debug {
    /// Begins the closing handshake.
    fn close(&self, close: &Close);

    /// Tells the client, where it would understand it.
    fn notify(&self, notice: Notice);
}

/// What one connection was let in with. Made before the connection is, so that a change of access in between is not
/// lost.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Names it among those of its user.
    pub(crate) serial: u64,
    pub(crate) user: Arc<User>,
    /// The session among those of the user.
    pub(crate) session: Option<Arc<str>>,
    pub(crate) document: Option<Box<str>>,
    pub(crate) client: Option<Box<str>>,
    /// The user as JSON.
    pub(crate) profile: Option<Arc<str>>,
    pub(crate) address: Option<IpAddr>,
    read_only: AtomicBool,
    session_end: Mutex<SessionEnd>,
    peer: OnceLock<Weak<dyn Peer>>,
    /// Why it must end, where that was decided before there was a connection to close.
    ended: OnceLock<Box<Close>>,
}

#[derive(Debug, Default)]
struct SessionEnd {
    /// `None` never.
    at: Option<Instant>,
    /// The client knows.
    warned: bool,
    /// When it will be looked at.
    due: Option<Instant>,
}

impl Grant {
    pub(crate) fn new(serial: u64, user: Arc<User>, access: Option<Access>, ends: Option<Instant>) -> Self {
        Self {
            serial,
            user,
            session: None,
            document: None,
            client: None,
            profile: None,
            address: None,
            read_only: AtomicBool::new(access == Some(Access::Read)),
            session_end: Mutex::new(SessionEnd { at: ends, ..SessionEnd::default() }),
            peer: OnceLock::new(),
            ended: OnceLock::new(),
        }
    }

    /// There is a connection now; its client is told where it may only read.
    pub(crate) fn attach(&self, peer: &Arc<dyn Peer>) {
        // Set once, by the connection's own thread.
        let _ = self.peer.set(Arc::downgrade(peer));
        // Both sides store, fence and load: this one the peer and then what was decided, the others in the opposite order. So
        // one of the two sees both, and no change is lost in between.
        fence(Ordering::SeqCst);
        if let Some(close) = self.ended.get() {
            peer.close(close);
        } else if self.is_read_only() {
            peer.notify(Notice::Access(Access::Read));
        }
    }

    /// Closes the connection, also one that is still to come.
    pub(crate) fn end(&self, close: &Close) {
        let _ = self.ended.set(Box::new(close.clone()));
        fence(Ordering::SeqCst);
        if let Some(peer) = self.peer() {
            peer.close(close);
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Changes what it may do, and tells the client where that is something else; `None` closes it with 4403.
    pub(crate) fn set_access(&self, access: Option<Access>) {
        let Some(access) = access else { return self.end(&Close::forbidden()) };
        let read_only = access == Access::Read;
        let was_read_only = self.read_only.swap(read_only, Ordering::Relaxed);
        // As in `end`: whoever attaches a connection meanwhile sees the change, or is seen here.
        fence(Ordering::SeqCst);
        if was_read_only != read_only {
            self.notify(Notice::Access(access));
        }
    }

    /// Tells the client again what it may not have been told, since it was told nothing until now.
    pub(crate) fn tell_again(&self) {
        if self.is_read_only() {
            self.notify(Notice::Access(Access::Read));
        }
        let end = lock(&self.session_end);
        if let Some(at) = end.at.filter(|_| end.warned) {
            drop(end);
            self.notify(Notice::SessionExpiring(at.saturating_duration_since(Instant::now())));
        }
    }

    /// When the session ends; `None` never.
    pub(crate) fn session_end(&self) -> Option<Instant> {
        lock(&self.session_end).at
    }

    /// What is left of the session; `None` where it does not end.
    pub(crate) fn session_left(&self) -> Option<Duration> {
        self.session_end().map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Lets the session last until `at`. One that lasts longer already is left as it is: a request with an old cookie
    /// may come late.
    pub(crate) fn renew(&self, at: Instant) -> bool {
        let mut end = lock(&self.session_end);
        let later = end.at.is_some_and(|old| old < at);
        if later {
            end.at = Some(at);
            end.warned = false;
        }
        later
    }

    /// Warns the client, or ends the connection, where it is time to; returns when to look again.
    pub(crate) fn look_at_session(&self, now: Instant, warning: Duration) -> Option<Instant> {
        let mut end = lock(&self.session_end);
        let at = end.at?;
        if at <= now {
            drop(end);
            let (user, document) = (self.user.id(), self.document.as_deref());
            let about = About { user, address: self.address, document, ..About::default() };
            security::report(Kind::SessionExpired, about, 1);
            self.end(&Close::unauthorized());
            return None;
        }
        let left = at - now;
        if left > warning {
            return Some(at.checked_sub(warning).unwrap_or(at));
        }
        if !std::mem::replace(&mut end.warned, true) {
            drop(end);
            self.notify(Notice::SessionExpiring(left));
        }
        Some(at)
    }

    /// Notes when it will be looked at; returns what was noted before.
    pub(crate) fn set_due(&self, due: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut lock(&self.session_end).due, due)
    }

    fn notify(&self, notice: Notice) {
        if let Some(peer) = self.peer() {
            peer.notify(notice);
        }
    }

    fn peer(&self) -> Option<Arc<dyn Peer>> {
        self.peer.get().and_then(Weak::upgrade)
    }
}
