//! What looks like an attack: counted, and told to whoever watches, in a bounded amount.
//!
//! Equal events are one event with a count until they are taken away, which happens about once a second, and only so
//! many different ones are kept meanwhile: an attacker can fill neither memory nor a log. An event holds no payload and
//! no secret.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{json::quoted, sync::lock};

/// Different events kept until they are taken away; more are counted as suppressed.
const MAX_EVENTS: usize = 128;

/// Longest id in an event, in bytes.
const MAX_ID_BYTES: usize = 128;

/// Longest hint in an event, in bytes: they are the hub's own, with what was compared in them.
const MAX_HINT_BYTES: usize = 1024;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// As many connections as there may be.
    Connections,
    /// As many connections as one user may have.
    ConnectionsPerUser,
    /// As many connections as one document may have.
    ConnectionsPerDocument,
    /// As many connections as one address may have.
    ConnectionsPerAddress,
    /// As many documents as one user may have open.
    DocumentsPerUser,
    /// A client was held back because it sent too much.
    RateLimited,
    /// A client was closed because it went on.
    RateClosed,
    /// A client without the right sent an update or steps.
    ReadOnly,
    /// A session ended while its connection was open.
    SessionExpired,
    /// A reconnection token was not signed with this hub's key, or not for this user, document and client. After a restart
    /// without `tokenSecret` honest clients show such tokens too.
    TokenRefused,
    /// Messages that are not what the protocol says.
    BadMessage,
    /// Frames against RFC 6455.
    BadFrame,
    /// More waited for a client that reads too slowly than may.
    TooSlow,
    /// A user wanted into a document without a right to it.
    AccessRefused,
    /// The app's `session` or `access` failed.
    AdmissionFailed,
    /// The app's `session` or `access` took too long.
    AdmissionTimeout,
    /// A request had more headers than Node reads, so what stood in the others is not known.
    HeadersCut,
    /// As many upgrades as may wait for `session` and `access`.
    Waiting,
    /// A page of another origin wanted in.
    OriginRefused,
    /// A session that nobody has sealed.
    SessionForged,
    /// No session at all.
    SessionMissing,
    /// Somebody who runs the hub has done something on its admin page.
    AdminAction,
    /// Somebody who may see the admin page has sent it an action from another page, so perhaps without knowing.
    AdminRefused,
}

const KINDS: [(Kind, &str); 23] = [
    (Kind::Connections, "LIMIT_CONNECTIONS"),
    (Kind::ConnectionsPerUser, "LIMIT_CONNECTIONS_PER_USER"),
    (Kind::ConnectionsPerDocument, "LIMIT_CONNECTIONS_PER_DOCUMENT"),
    (Kind::ConnectionsPerAddress, "LIMIT_CONNECTIONS_PER_ADDRESS"),
    (Kind::DocumentsPerUser, "LIMIT_DOCUMENTS_PER_USER"),
    (Kind::RateLimited, "RATE_LIMITED"),
    (Kind::RateClosed, "RATE_CLOSED"),
    (Kind::ReadOnly, "READ_ONLY"),
    (Kind::SessionExpired, "SESSION_EXPIRED"),
    (Kind::TokenRefused, "TOKEN_REFUSED"),
    (Kind::BadMessage, "BAD_MESSAGE"),
    (Kind::BadFrame, "BAD_FRAME"),
    (Kind::TooSlow, "TOO_SLOW"),
    (Kind::AccessRefused, "ACCESS_REFUSED"),
    (Kind::AdmissionFailed, "ADMISSION_FAILED"),
    (Kind::AdmissionTimeout, "ADMISSION_TIMEOUT"),
    (Kind::HeadersCut, "HEADERS_CUT"),
    (Kind::Waiting, "LIMIT_WAITING"),
    (Kind::OriginRefused, "ORIGIN_REFUSED"),
    (Kind::SessionForged, "SESSION_FORGED"),
    (Kind::SessionMissing, "SESSION_MISSING"),
    (Kind::AdminAction, "ADMIN_ACTION"),
    (Kind::AdminRefused, "ADMIN_REFUSED"),
];

impl Kind {
    /// The stable code that JavaScript sees.
    pub fn code(self) -> &'static str {
        KINDS[self as usize].1
    }

    /// The kind with this code.
    pub fn named(code: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known)| *known == code).map(|(kind, _)| *kind)
    }
}

/// What an event is about; whatever is not known is `None`. What a client wrote is cut.
#[derive(Debug, Default, Clone, Copy)]
pub struct About<'a> {
    /// Who has done it, where that is not the user it is about.
    pub by: Option<&'a str>,
    /// The user's id.
    pub user: Option<&'a str>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The document's id.
    pub document: Option<&'a str>,
    /// The origin of the page.
    pub origin: Option<&'a str>,
    /// What the origin was compared with.
    pub host: Option<&'a str>,
    /// What helps.
    pub hint: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Event {
    kind: Kind,
    by: Option<Box<str>>,
    user: Option<Box<str>>,
    address: Option<IpAddr>,
    document: Option<Box<str>>,
    origin: Option<Box<str>>,
    host: Option<Box<str>>,
    hint: Option<Box<str>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// How often each happened, and as the how-manieth it came first.
    events: HashMap<Event, (usize, u64)>,
    /// What found no place.
    suppressed: u64,
}

static QUEUE: LazyLock<Mutex<Queue>> = LazyLock::new(Mutex::default);
static TOTALS: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; KINDS.len()];

/// Reports `count` events of one kind. From any thread; it takes a short lock, so repeated offences of one connection
/// are better counted there and reported together.
pub fn report(kind: Kind, about: About<'_>, count: u64) {
    TOTALS[kind as usize].fetch_add(count, Ordering::Relaxed);
    let cut = |text: &str, bytes| text[..text.floor_char_boundary(bytes)].into();
    let id = |text| cut(text, MAX_ID_BYTES);
    let About { by, user, address, document, origin, host, hint } = about;
    let event = Event {
        kind,
        by: by.map(id),
        user: user.map(id),
        address,
        document: document.map(id),
        origin: origin.map(id),
        host: host.map(id),
        hint: hint.map(|text| cut(text, MAX_HINT_BYTES)),
    };
    let mut queue = lock(&QUEUE);
    let Queue { events, suppressed } = &mut *queue;
    let known = events.len();
    // What was done by somebody with the right to it has a place however many strangers knock.
    if known < MAX_EVENTS || kind == Kind::AdminAction || events.contains_key(&event) {
        events.entry(event).or_insert((known, 0)).1 += count;
    } else {
        *suppressed += count;
    }
}

/// How often each kind happened since the process began.
pub fn totals() -> impl Iterator<Item = (&'static str, u64)> {
    KINDS.iter().map(|(kind, code)| (*code, TOTALS[*kind as usize].load(Ordering::Relaxed)))
}

/// Takes what was reported, in the order in which each came first, as a JSON array of
/// `{"code","count","by","user","address","document","origin","host","hint"}`; `None` where nothing was.
/// What was suppressed is an event of its own, `SUPPRESSED`.
pub fn take() -> Option<String> {
    let Queue { events, suppressed } = std::mem::take(&mut *lock(&QUEUE));
    if events.is_empty() {
        return None;
    }
    let mut events: Vec<_> = events.into_iter().collect();
    events.sort_unstable_by_key(|(_, (first, _))| *first);
    let mut lines: Vec<String> = events.iter().map(|(event, (_, count))| event.to_json(*count)).collect();
    if suppressed > 0 {
        lines.push(format!(r#"{{"code":"SUPPRESSED","count":{suppressed}}}"#));
    }
    Some(format!("[{}]", lines.join(",")))
}

impl Event {
    fn to_json(&self, count: u64) -> String {
        let mut json = format!(r#"{{"code":"{}","count":{count}"#, self.kind.code());
        let address = self.address.map(|address| address.to_string());
        let named = [
            ("by", self.by.as_deref()),
            ("user", self.user.as_deref()),
            ("address", address.as_deref()),
            ("document", self.document.as_deref()),
            ("origin", self.origin.as_deref()),
            ("host", self.host.as_deref()),
            ("hint", self.hint.as_deref()),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                json.extend([r#",""#, name, r#"":"#, &quoted(value)]);
            }
        }
        json.push('}');
        json
    }
}

#[cfg(test)]
mod tests {
    use super::{About, KINDS, Kind, MAX_EVENTS, report, take, totals};

    /// One test, because what it looks at is the process's.
    #[test]
    fn equal_events_are_counted_and_different_ones_are_bounded() {
        for (index, (kind, _)) in KINDS.iter().enumerate() {
            assert_eq!((*kind as usize, Kind::named(kind.code())), (index, Some(*kind)));
        }
        let before = totals().find(|(code, _)| *code == "TOKEN_REFUSED").unwrap().1;
        take();
        for _ in 0..1000 {
            let address = Some("10.0.0.1".parse().unwrap());
            let about = About { user: Some("a\n\"b\""), address, document: Some("doc"), ..About::default() };
            report(Kind::TokenRefused, about, 2);
        }
        let expected = r#"{"code":"TOKEN_REFUSED","count":2000,"user":"a\n\"b\"","address":"10.0.0.1","document":"doc"}"#;
        assert_eq!(take().unwrap(), format!("[{expected}]"));
        assert_eq!(take(), None);
        for user in 0..10_000 {
            let user = format!("{user}{}", "é".repeat(1000));
            report(Kind::TokenRefused, About { user: Some(&user), ..About::default() }, 1);
        }
        let events = take().unwrap();
        assert_eq!(events.matches("TOKEN_REFUSED").count(), MAX_EVENTS);
        assert!(events.contains(&format!(r#"{{"code":"SUPPRESSED","count":{}}}"#, 10_000 - MAX_EVENTS)));
        assert!(events.len() < MAX_EVENTS * 256);
        for user in 0..MAX_EVENTS {
            report(Kind::TokenRefused, About { user: Some(&user.to_string()), ..About::default() }, 1);
        }
        report(
            Kind::AdminAction,
            About { by: Some("Ada"), hint: Some("saveDocument: saved"), ..About::default() },
            1,
        );
        let done = r#"{"code":"ADMIN_ACTION","count":1,"by":"Ada","hint":"saveDocument: saved"}"#;
        assert!(take().unwrap().ends_with(&format!("{done}]")));
        assert_eq!(
            totals().find(|(code, _)| *code == "TOKEN_REFUSED").unwrap().1,
            before + 12_000 + MAX_EVENTS as u64
        );
    }
}
