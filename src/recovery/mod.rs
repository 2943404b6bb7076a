//! Coming back: what a room remembers for its clients, and what it answers to one that asks for what it missed.
//!
//! A client that was away gets everything it missed or nothing: [`RecoveryResult`]. All of it is decided and queued in one
//! turn of the room's thread, together with joining, so that nothing can come between.

pub mod budget;
pub mod client_session;
pub mod history;
pub mod saved;
pub mod shown;
pub mod state_dir;
pub mod state_file;
pub mod token;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use self::{
    budget::Budget,
    client_session::{DetachedSessions, Returned},
    history::History,
    saved::{SavedClientSession, SavedRoom},
    shown::Shown,
    token::{Claims, Signer},
};
use crate::{
    Config, Error,
    admission::upgrade::Upgrade,
    config::{HistoryLimits, Secret},
    ids::{ClientSessionId, Epoch, Id},
    protocol::recovery::{Position, RecoveryResult, Reload},
};

/// What a room without members costs of the budget while it is remembered.
const ROOM_BYTES: usize = 1 << 10;

/// What rooms without members and clients that are away may take before they are remembered for a shorter time: some
/// 350,000 clients. Apart from the histories, so that nobody's messages can cost those anything who missed nothing.
const AWAY_BYTES: usize = 32 << 20;

/// What the rooms of a hub share to remember.
#[derive(Debug)]
pub(crate) struct Settings {
    signer: Signer,
    /// For histories.
    budget: Arc<Budget>,
    /// For clients that are away, and rooms without members.
    away: Arc<Budget>,
    limits: HistoryLimits,
    /// In milliseconds.
    window: u32,
    /// Bytes of what others show that a client is given at once.
    max_shown_bytes: usize,
    /// Whether what clients show is remembered when they leave: the next process will have them back.
    keeps_shown: AtomicBool,
}

impl Settings {
    /// `None` where nothing is to be remembered. Tokens are signed with `secret`; without one, with a key that nobody has.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] where there are no random bytes for it.
    pub(crate) fn of(config: &Config, secret: Option<&Secret>) -> Result<Option<Arc<Self>>, Error> {
        let Some(window) = config.recovery_window else { return Ok(None) };
        let signer = match secret {
            Some(secret) => Signer::new(secret),
            None => Signer::random().map_err(Error::Start)?,
        };
        let mut limits = config.history;
        if limits.total_bytes == 0 {
            limits.messages = 0;
        }
        Ok(Some(Arc::new(Self {
            signer,
            budget: Arc::new(Budget::new(limits.total_bytes)),
            away: Arc::new(Budget::new(AWAY_BYTES)),
            limits,
            window: milliseconds(window),
            max_shown_bytes: config.max_outbox_bytes / 4,
            keeps_shown: AtomicBool::new(false),
        })))
    }

    /// How long clients are remembered, in milliseconds.
    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// Whether a client shows a token that is its own, of whatever process. Whether anything of it is remembered is not asked.
    pub(crate) fn knows(&self, who: Identity<'_>, ask: &RecoveryRequest) -> bool {
        let Identity { document, client, user } = who;
        ask.epoch.is_some_and(|epoch| {
            let claims = Claims { epoch, document: document.text(), client: client.text(), user };
            self.signer.verify(&ask.token, claims).is_some()
        })
    }

    /// From now on what clients show is remembered when they leave.
    pub(crate) fn keep_shown(&self) {
        self.keeps_shown.store(true, Ordering::Relaxed);
    }
}

impl Settings {
    /// Bytes of histories, and how many there may be.
    pub(crate) fn history_bytes(&self) -> (usize, usize) {
        (self.budget.used(), self.limits.total_bytes)
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// What a client that comes back shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// What it was given when it connected.
    pub token: String,
    /// `None` where what it sent is none.
    pub epoch: Option<Epoch>,
    /// Up to where it has seen everything; `None` where what it sent is no offset.
    pub offset: Option<u64>,
}

impl RecoveryRequest {
    /// The client session that the token names, which it may or may not be good for.
    pub(crate) fn client_session(&self) -> Option<ClientSessionId> {
        token::named(&self.token)
    }

    /// What the query of a request asks for; `None` where it asks for nothing.
    pub fn of(upgrade: &Upgrade) -> Option<Self> {
        let [token, epoch, offset] = ["token", "epoch", "offset"].map(|name| upgrade.parameter(name));
        if token.is_none() && epoch.is_none() && offset.is_none() {
            return None;
        }
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            token: token.unwrap_or_default().into_owned(),
            epoch: epoch.and_then(|text| text.parse().ok()),
            offset: offset.filter(|text| is_number(text)).and_then(|text| text.parse().ok()),
        })
    }
}

/// What a log knows of a client session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recalled {
    /// The number of its last message that was applied; `None` where nobody knows the client session.
    pub applied: Option<u64>,
    /// Where it was asked that nothing more is applied: whether that holds whatever becomes of the log's server.
    pub is_final: bool,
}

/// Who remembers the client sessions of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// Its room alone.
    Here,
    /// Its log, for all processes: the number of the last message that was applied, `None` where nobody knows the client
    /// session.
    InLog(Option<u64>),
    /// Its log, and nothing more of the client session is applied: it has to begin anew.
    Fenced(Recalled),
}

/// Who joins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) document: &'a Id,
    pub(crate) client: &'a Id,
    pub(crate) user: Option<&'a str>,
}

/// A client that comes back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComesBack<'a> {
    pub(crate) ask: &'a RecoveryRequest,
    pub(crate) who: Identity<'a>,
    pub(crate) remembered: Remembered,
    /// Its client session where it does not go on with the one that it had.
    pub(crate) begun: ClientSessionId,
    pub(crate) now: u32,
}

/// A client session that goes on over another connection.
#[derive(Debug)]
pub(crate) struct GoesOn {
    pub(crate) client_session: ClientSessionId,
    /// What it goes on to show; `None` where that is not known.
    pub(crate) shown: Option<Box<Shown>>,
    /// The one whose place it takes, where that is over.
    pub(crate) ended: Option<ClientSessionId>,
}

/// What one room remembers. Only its thread uses it.
#[derive(Debug)]
pub(crate) struct RoomRecovery {
    settings: Arc<Settings>,
    epoch: Epoch,
    pub(crate) history: History,
    pub(crate) detached: DetachedSessions,
    /// The room's clock when its last member left, while it has none.
    empty_since: Option<u32>,
}

impl RoomRecovery {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            epoch: Epoch::random(),
            history: History::new(settings.limits, Arc::clone(&settings.budget)),
            detached: DetachedSessions::new(Arc::clone(&settings.away)),
            empty_since: None,
            settings,
        }
    }

    /// What an earlier process remembered of the same room, `elapsed` milliseconds ago.
    pub(crate) fn restored(settings: Arc<Settings>, saved: SavedRoom, elapsed: u32, now: u32) -> Self {
        let mut restored = Self::new(settings);
        let at = |age: u32| now.wrapping_sub(age.saturating_add(elapsed));
        restored.epoch = saved.epoch;
        restored.history.go_on(saved.last, saved.publications, elapsed, now);
        for SavedClientSession { id, applied, age, shown } in saved.client_sessions {
            let shown = (!shown.is_empty()).then(|| Box::new(shown));
            restored.detached.leave(id, applied, shown, at(age));
        }
        restored.mark_empty(at(saved.empty_for));
        restored
    }

    /// What is remembered, for the next process. `log_position` is where the log stood, where the order is given elsewhere.
    pub(crate) fn save(&self, document: &Id, log_position: Option<u64>, now: u32) -> SavedRoom {
        SavedRoom {
            document: document.clone(),
            epoch: self.epoch,
            last: self.history.last(),
            log_position,
            empty_for: self.empty_since.map_or(0, |since| now.wrapping_sub(since)),
            publications: self.history.save(now),
            client_sessions: self.detached.save(now),
        }
    }

    /// Nothing of what is remembered is true any more: everybody who comes back is to reload.
    pub(crate) fn begin_anew(&mut self) {
        let mut anew = Self::new(Arc::clone(&self.settings));
        anew.empty_since = self.empty_since.take();
        *self = anew;
    }

    /// A member has left. `shown` is what it has shown of itself.
    pub(crate) fn leave(
        &mut self,
        client_session: ClientSessionId,
        applied: u64,
        shown: Option<Box<Shown>>,
        now: u32,
    ) {
        let shown = shown.filter(|_| self.settings.keeps_shown.load(Ordering::Relaxed));
        self.detached.leave(client_session, applied, shown, now);
    }

    /// Goes on with another history, of which nothing is known up to `offset`.
    pub(crate) fn begin(&mut self, epoch: Epoch, offset: u64) {
        self.epoch = epoch;
        self.history.restart(offset);
    }

    /// Bytes of what other members show that a connection may be given at once.
    pub(crate) fn max_shown_bytes(&self) -> usize {
        self.settings.max_shown_bytes
    }

    /// The history's name.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Somebody joins.
    pub(crate) fn mark_used(&mut self) {
        if self.empty_since.take().is_some() {
            self.settings.away.give_back(ROOM_BYTES);
        }
    }

    /// The last member has left.
    pub(crate) fn mark_empty(&mut self, now: u32) {
        if self.empty_since.replace(now).is_none() {
            self.settings.away.charge(ROOM_BYTES);
        }
    }

    /// Forgets what is too old; returns whether that is the room itself.
    pub(crate) fn forget(&mut self, now: u32) -> bool {
        let window = self.settings.window;
        self.history.forget(now, window);
        self.detached.forget(now, window);
        self.empty_since.is_some_and(|since| now.wrapping_sub(since) > self.settings.away.shortened(window))
    }

    /// Where a member of `client session` stands now.
    pub(crate) fn position(&self, client_session: ClientSessionId, who: Identity<'_>) -> Position {
        let token = self.settings.signer.sign(client_session, self.claims(who));
        Position { token, epoch: self.epoch, offset: self.history.last() }
    }

    /// Decides about a client that comes back. `replace` ends the client session's connection that is still there, if there is
    /// one, and answers its last applied message; `in_log` answers the same from the log, for one that is not remembered. Returns
    /// the client session that goes on, too, with what it goes on to show: `begun` where the other is over. What was applied of
    /// one that has to reload is said where that is all there will be, which `is_settled` answers of what this process has.
    pub(crate) fn recover(
        &mut self,
        comes_back: ComesBack<'_>,
        replace: impl FnOnce(ClientSessionId) -> Option<u64>,
        in_log: impl FnOnce(ClientSessionId) -> Option<u64>,
        is_settled: impl FnOnce(ClientSessionId) -> bool,
    ) -> (RecoveryResult, Option<GoesOn>) {
        let ComesBack { ask, who, remembered, begun, now } = comes_back;
        let reload = |reason| (RecoveryResult::Reload { reason, up_to: None }, None);
        let client_session = match self.client_session_of(ask, who) {
            Ok(client_session) => client_session,
            Err(reason) => return reload(reason),
        };
        let window = self.settings.window;
        let here = replace(client_session)
            .map(|applied| Returned { applied, shown: None })
            .or_else(|| self.detached.take(client_session, now, window));
        let returned = match remembered {
            Remembered::Here => {
                here.or_else(|| in_log(client_session).map(|applied| Returned { applied, shown: None }))
            }
            // It may have been in another process meanwhile.
            Remembered::InLog(applied) | Remembered::Fenced(Recalled { applied, .. }) => {
                applied.map(|applied| Returned { applied, shown: None })
            }
        };
        let missed = self.missed(ask.offset, client_session, who.client);
        let Some(Returned { applied: up_to, shown }) = returned else {
            // Who has seen what is lost is told so, however long it was away.
            let is_lost = matches!(missed, Err(Reload::BadOffset));
            return reload(if is_lost { Reload::BadOffset } else { Reload::TokenExpired });
        };
        if let Remembered::Fenced(Recalled { is_final, .. }) = remembered {
            // What it missed may be there again: another has published behind what it had seen and Redis had not.
            let reason = missed.err().unwrap_or(Reload::BadOffset);
            let goes_on = GoesOn { client_session: begun, shown, ended: Some(client_session) };
            let up_to = is_final.then_some(up_to);
            return (RecoveryResult::Reload { reason, up_to }, Some(goes_on));
        }
        let outcome = match missed {
            Ok((from, missed)) => RecoveryResult::Recovered { from, to: self.history.last(), up_to, missed },
            // The client session goes on all the same: what of its own messages was applied is known, unless there may be more.
            Err(reason) => {
                let is_all = remembered == Remembered::Here && is_settled(client_session);
                RecoveryResult::Reload { reason, up_to: is_all.then_some(up_to) }
            }
        };
        (outcome, Some(GoesOn { client_session, shown, ended: None }))
    }

    /// Whether a client that comes back has to reload because what it missed is not there.
    pub(crate) fn has_gone(&self, ask: &RecoveryRequest, who: Identity<'_>) -> bool {
        self.client_session_of(ask, who)
            .is_ok_and(|client_session| self.missed(ask.offset, client_session, who.client).is_err())
    }

    /// The client session that a client shows to be its own.
    pub(crate) fn client_session_of(
        &self,
        ask: &RecoveryRequest,
        who: Identity<'_>,
    ) -> Result<ClientSessionId, Reload> {
        if ask.epoch != Some(self.epoch) {
            return Err(Reload::OtherEpoch);
        }
        self.settings.signer.verify(&ask.token, self.claims(who)).ok_or(Reload::BadToken)
    }

    fn missed(
        &self,
        offset: Option<u64>,
        client_session: ClientSessionId,
        client: &Id,
    ) -> Result<(u64, Vec<Bytes>), Reload> {
        let from = offset.filter(|offset| *offset <= self.history.last()).ok_or(Reload::BadOffset)?;
        if self.history.has_leapt_over(from) {
            return Err(Reload::BadOffset);
        }
        let missed = self.history.since(from, client_session, client).ok_or(Reload::HistoryGone)?;
        Ok((from, missed))
    }

    fn claims<'a>(&self, who: Identity<'a>) -> Claims<'a> {
        let Identity { document, client, user } = who;
        Claims { epoch: self.epoch, document: document.text(), client: client.text(), user }
    }
}

impl Drop for RoomRecovery {
    fn drop(&mut self) {
        self.mark_used();
    }
}

#[cfg(test)]
mod tests {
    use super::RecoveryRequest;
    use crate::{ids::Epoch, websocket::handshake::Request};

    fn ask(query: &str) -> Option<RecoveryRequest> {
        RecoveryRequest::of(
            &Request::from_lines(&format!("GET\n/ws/fabric?documentId=d&{query}\n1.1")).into(),
        )
    }

    #[test]
    fn a_client_that_shows_nothing_asks_for_nothing() {
        assert_eq!(ask("clientID=a"), None);
        assert_eq!(ask("clientID=a#token=x"), None);
    }

    #[test]
    fn what_is_no_position_is_asked_for_all_the_same_so_that_it_is_answered() {
        let good = ask("token=t&epoch=00000000000000ff&offset=12").unwrap();
        assert_eq!(
            good,
            RecoveryRequest { token: "t".into(), epoch: Some(Epoch::new(255)), offset: Some(12) }
        );
        for query in ["token=", "token=t", "epoch=x", "offset=", "offset=-1", "offset=%2B1", "offset=1e3"] {
            let asked = ask(query).unwrap();
            assert_eq!((asked.epoch, asked.offset), (None, None), "{query}");
        }
        for query in
            ["epoch=ff", "epoch=%2B0000000000000ff", "epoch=000000000000000000ff", "epoch=gggggggggggggggg"]
        {
            assert_eq!(ask(query).unwrap().epoch, None, "{query}");
        }
        assert_eq!(ask("offset=99999999999999999999").unwrap().offset, None);
    }
}
