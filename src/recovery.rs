//! Coming back: what a room remembers for its clients, and what it answers to one that asks for what it missed.
//!
//! A client that was away gets everything it missed or nothing: [`Outcome`]. All of it is decided and queued in one
//! turn of the room's thread, together with joining, so that nothing can come between.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    Config, Error,
    config::HistoryLimits,
    handshake::Upgrade,
    history::{Budget, Epoch, History},
    lineage::{LineageId, Lineages},
    protocol::Id,
    token::{Claims, Signer},
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
}

impl Settings {
    /// `None` where nothing is to be remembered.
    pub(crate) fn of(config: &Config) -> Result<Option<Arc<Self>>, Error> {
        let Some(window) = config.recovery_window else { return Ok(None) };
        let signer = match &config.token_secret {
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
        })))
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// What a client that comes back shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What it was given when it connected.
    pub token: String,
    /// `None` where what it sent is none.
    pub epoch: Option<Epoch>,
    /// Up to where it has seen everything; `None` where what it sent is no offset.
    pub offset: Option<u64>,
}

impl Ask {
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

/// Why a client has to reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The hub remembers nothing.
    Off,
    /// The document has another history: the process has restarted, or nobody was there for longer than the window.
    OtherEpoch,
    /// The token was not given for this document, client and user.
    BadToken,
    /// The client was away for longer than the window, or its place was given up for want of memory.
    TokenExpired,
    /// The offset is none, or one that has not been.
    BadOffset,
    /// More was missed than is remembered.
    HistoryGone,
}

impl Reload {
    /// What the client is told.
    pub fn code(self) -> &'static str {
        match self {
            Self::Off => "RECOVERY_OFF",
            Self::OtherEpoch => "OTHER_EPOCH",
            Self::BadToken => "BAD_TOKEN",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::BadOffset => "BAD_OFFSET",
            Self::HistoryGone => "HISTORY_GONE",
        }
    }
}

/// What becomes of a client that asked for what it missed.
#[derive(Debug)]
pub enum Outcome {
    /// It gets all of it.
    Recovered {
        /// Up to where it had seen everything.
        from: u64,
        /// Up to where it has seen everything after this.
        to: u64,
        /// The number of its last message that was applied.
        up_to: u64,
        /// What it missed, in order, as frames.
        missed: Vec<Bytes>,
    },
    /// It gets none.
    Reload {
        /// Why.
        reason: Reload,
        /// The number of its last message that was applied, where its token was good.
        up_to: Option<u64>,
    },
}

/// Where a client stands that has joined, and how it can come back.
#[derive(Debug)]
pub struct Position {
    /// To be shown with the rest.
    pub token: String,
    /// The history's name.
    pub epoch: Epoch,
    /// The last publication before it joined.
    pub offset: u64,
}

/// Who joins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) document: &'a Id,
    pub(crate) client: &'a Id,
    pub(crate) user: Option<&'a str>,
}

/// What one room remembers. Only its thread uses it.
#[derive(Debug)]
pub(crate) struct Memory {
    settings: Arc<Settings>,
    epoch: Epoch,
    pub(crate) history: History,
    pub(crate) lineages: Lineages,
    /// The room's clock when its last member left, while it has none.
    empty_since: Option<u32>,
}

impl Memory {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            epoch: Epoch::random(),
            history: History::new(settings.limits, Arc::clone(&settings.budget)),
            lineages: Lineages::new(Arc::clone(&settings.away)),
            empty_since: None,
            settings,
        }
    }

    /// Bytes of what other members show that a connection may be given at once.
    pub(crate) fn max_shown_bytes(&self) -> usize {
        self.settings.max_shown_bytes
    }

    /// Somebody joins.
    pub(crate) fn wake(&mut self) {
        if self.empty_since.take().is_some() {
            self.settings.away.give_back(ROOM_BYTES);
        }
    }

    /// The last member has left.
    pub(crate) fn rest(&mut self, now: u32) {
        if self.empty_since.replace(now).is_none() {
            self.settings.away.charge(ROOM_BYTES);
        }
    }

    /// Forgets what is too old; answers whether that is the room itself.
    pub(crate) fn forget(&mut self, now: u32) -> bool {
        let window = self.settings.window;
        self.history.forget(now, window);
        self.lineages.forget(now, window);
        self.empty_since.is_some_and(|since| now.wrapping_sub(since) > self.settings.away.shortened(window))
    }

    /// Where a member of `lineage` stands now.
    pub(crate) fn position(&self, lineage: LineageId, who: Identity<'_>) -> Position {
        let token = self.settings.signer.sign(lineage, self.claims(who));
        Position { token, epoch: self.epoch, offset: self.history.last() }
    }

    /// Decides about a client that comes back. `replace` ends the lineage's connection that is still there, if there is
    /// one, and answers its last applied message. Answers the lineage that goes on, too.
    pub(crate) fn recover(
        &mut self,
        ask: &Ask,
        who: Identity<'_>,
        now: u32,
        replace: impl FnOnce(LineageId) -> Option<u64>,
    ) -> (Outcome, Option<LineageId>) {
        let reload = |reason| (Outcome::Reload { reason, up_to: None }, None);
        let lineage = match self.lineage_of(ask, who) {
            Ok(lineage) => lineage,
            Err(reason) => return reload(reason),
        };
        let window = self.settings.window;
        let Some(up_to) = replace(lineage).or_else(|| self.lineages.take(lineage, now, window)) else {
            return reload(Reload::TokenExpired);
        };
        let outcome = match self.missed(ask.offset, lineage, who.client) {
            Ok((from, missed)) => Outcome::Recovered { from, to: self.history.last(), up_to, missed },
            // The lineage goes on all the same: what of its own messages was applied is known.
            Err(reason) => Outcome::Reload { reason, up_to: Some(up_to) },
        };
        (outcome, Some(lineage))
    }

    /// The lineage that a client shows to be its own.
    pub(crate) fn lineage_of(&self, ask: &Ask, who: Identity<'_>) -> Result<LineageId, Reload> {
        if ask.epoch != Some(self.epoch) {
            return Err(Reload::OtherEpoch);
        }
        self.settings.signer.verify(&ask.token, self.claims(who)).ok_or(Reload::BadToken)
    }

    fn missed(
        &self,
        offset: Option<u64>,
        lineage: LineageId,
        client: &Id,
    ) -> Result<(u64, Vec<Bytes>), Reload> {
        let from = offset.filter(|offset| *offset <= self.history.last()).ok_or(Reload::BadOffset)?;
        let missed = self.history.since(from, lineage, client).ok_or(Reload::HistoryGone)?;
        Ok((from, missed))
    }

    fn claims<'a>(&self, who: Identity<'a>) -> Claims<'a> {
        let Identity { document, client, user } = who;
        Claims { epoch: self.epoch, document: document.text(), client: client.text(), user }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::Ask;
    use crate::{handshake::Upgrade, history::Epoch};

    fn ask(query: &str) -> Option<Ask> {
        Ask::of(&Upgrade::from_lines(&format!("GET\n/ws/fabric?documentId=d&{query}\n1.1")))
    }

    #[test]
    fn a_client_that_shows_nothing_asks_for_nothing() {
        assert_eq!(ask("clientID=a"), None);
        assert_eq!(ask("clientID=a#token=x"), None);
    }

    #[test]
    fn what_is_no_position_is_asked_for_all_the_same_so_that_it_is_answered() {
        let good = ask("token=t&epoch=00000000000000ff&offset=12").unwrap();
        assert_eq!(good, Ask { token: "t".into(), epoch: Some(Epoch::new(255)), offset: Some(12) });
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
