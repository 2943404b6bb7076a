//! One message on its way into a document's order, apart from the frame that is made of it.

use std::{fmt, sync::Arc};

use bytes::BytesMut;

use crate::{
    connection::batch::QueuePolicy,
    ids::{ClientSessionId, ConnectionId, Id, Topic},
    protocol::{
        self,
        recovery::Reload,
        steps::{ClientsOf, SentSteps, put_steps, reload},
    },
};

/// One message on its way into a document's order. It owns what it says, so it can wait for its place.
#[derive(Debug)]
pub struct Publication {
    /// Who published it; `None` for a route handler.
    pub author: Option<Author>,
    /// The only client that gets it; `None` for all.
    pub to: Option<Id>,
    /// What it says.
    pub content: Content,
    /// The author's own number of it.
    pub number: Option<u64>,
    /// The offset directly behind which it may stand, and nowhere else; `None` for anywhere.
    pub after: Option<u64>,
    /// Is told what became of it, where somebody wants to know.
    pub answer: Option<Answer>,
}

/// The member that published something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Author {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its client session, which survives the connection.
    pub client_session: ClientSessionId,
}

/// What a publication says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A client's message.
    Client {
        /// The id that the client gave itself.
        client: Id,
        /// What kind of message.
        topic: Topic,
        /// The value of the key that has the topic's name, as the text it came in.
        payload: String,
        /// The value of `version`; empty unless `topic` is [`Topic::Steps`].
        version: String,
    },
    /// Steps for one version of a document with an authority. Its author gets them, too.
    Steps(Steps),
    /// An update of a document that keeps them.
    Update {
        /// The id of the client it is by.
        client: Id,
        /// The user, where a session says who that is.
        user: Option<Arc<str>>,
        /// The update as the text it came in.
        update: String,
    },
    /// A document with an authority goes on as another one.
    Replaced(Replaced),
    /// A route handler's message.
    Message(String),
    /// What is true now and stands in no order, to all who are there.
    Notice(String),
}

/// Steps for one version of a document with an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// The id of the client they are by.
    pub client: Id,
    /// The user, where a session says who that is.
    pub user: Option<Arc<str>>,
    /// The version they were made for.
    pub version: u64,
    /// How many they are.
    pub count: u32,
    /// The array as the text it came in.
    pub steps: Arc<str>,
    /// A JSON string that names the change they are part of.
    pub change_id: Option<String>,
}

impl Steps {
    /// The version behind them.
    pub fn after(&self) -> u64 {
        self.version + u64::from(self.count)
    }
}

/// A document with an authority that goes on as another one, behind everything it was: what was not saved did not fit, or gave
/// way to what the app has. Its members are told to reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The version of it, which nothing had before.
    pub version: u64,
    /// The version that the app has.
    pub saved: u64,
    /// The document as JSON.
    pub doc: Arc<str>,
}

/// Why a publication stands nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another publication stands where it was to stand.
    Stale {
        /// The last offset or version there is.
        current: u64,
        /// When it may be tried again, in milliseconds, where somebody else has the turn until then.
        retry_in_ms: Option<u32>,
    },
    /// It was made for a version that there is not yet.
    Ahead,
    /// It stands in the log already.
    Duplicate,
    /// The document has no place for more.
    Full,
    /// The log cannot be reached.
    Unavailable,
}

/// Is told at which offset a publication stands, or why it stands nowhere. From any thread.
pub struct Answer(Option<Tell>);

/// Is called with an offset, or with why there is none.
type Tell = Box<dyn FnOnce(Result<u64, Refusal>) + Send>;

impl Answer {
    /// Calls `tell` once: with [`Refusal::Unavailable`] where the publication was given to no log, because there is no such
    /// room, it could not be opened, or the call was refused. It may be called under the room's lock, so it must not call the
    /// hub.
    pub fn new(tell: impl FnOnce(Result<u64, Refusal>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    pub(super) fn tell(mut self, outcome: Result<u64, Refusal>) {
        self.tell_once(outcome);
    }

    fn tell_once(&mut self, outcome: Result<u64, Refusal>) {
        if let Some(tell) = self.0.take() {
            tell(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.tell_once(Err(Refusal::Unavailable));
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(…)")
    }
}

impl Publication {
    /// A route handler's message, to all or to one client.
    pub fn of_route_handler(to: Option<Id>, message: impl Into<String>) -> Self {
        let content = Content::Message(message.into());
        Self { author: None, to, content, number: None, after: None, answer: None }
    }

    /// Bytes of what it says.
    pub fn bytes(&self) -> usize {
        self.draft().bytes()
    }

    /// The publication without its answer, as what it borrows.
    pub(crate) fn draft(&self) -> Draft<'_> {
        let text = match &self.content {
            Content::Client { client, topic, payload, version } => {
                Text::Client { client, topic: *topic, payload, version }
            }
            Content::Steps(steps) => Text::Steps(steps),
            Content::Update { client, user, update } => Text::Update { client, user: user.as_ref(), update },
            Content::Replaced(replaced) => Text::Replaced(replaced),
            Content::Message(message) => Text::Message(message),
            Content::Notice(message) => Text::Notice(message),
        };
        Draft { author: self.author, to: self.to.as_ref(), text, number: self.number, after: self.after }
    }
}

/// A publication that need not wait: it borrows all that it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) author: Option<Author>,
    pub(crate) to: Option<&'a Id>,
    pub(crate) text: Text<'a>,
    pub(crate) number: Option<u64>,
    pub(crate) after: Option<u64>,
}

/// [`Content`], borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text<'a> {
    Client { client: &'a Id, topic: Topic, payload: &'a str, version: &'a str },
    Steps(&'a Steps),
    Update { client: &'a Id, user: Option<&'a Arc<str>>, update: &'a str },
    Replaced(&'a Replaced),
    Message(&'a str),
    Notice(&'a str),
}

impl<'a> Draft<'a> {
    /// A route handler's message, to all or to one client.
    pub(crate) fn of_route_handler(to: Option<&'a Id>, message: &'a str) -> Self {
        Self { author: None, to, text: Text::Message(message), number: None, after: None }
    }

    /// A message to all who are there, or to those of one client, which stands in no order.
    pub(crate) fn notice(to: Option<&'a Id>, message: &'a str) -> Self {
        Self { author: None, to, text: Text::Notice(message), number: None, after: None }
    }

    /// The publication that owns what this says.
    pub(crate) fn into_publication(self, answer: Option<Answer>) -> Publication {
        let Self { author, to, text, number, after } = self;
        let content = match text {
            Text::Client { client, topic, payload, version } => Content::Client {
                client: client.clone(),
                topic,
                payload: payload.to_owned(),
                version: version.to_owned(),
            },
            Text::Steps(steps) => Content::Steps(steps.clone()),
            Text::Update { client, user, update } => {
                Content::Update { client: client.clone(), user: user.cloned(), update: update.to_owned() }
            }
            Text::Replaced(replaced) => Content::Replaced(replaced.clone()),
            Text::Message(message) => Content::Message(message.to_owned()),
            Text::Notice(message) => Content::Notice(message.to_owned()),
        };
        Publication { author, to: to.cloned(), content, number, after, answer }
    }

    /// Whether it takes a place in the document's order. What says only what is true now takes none, and a route handler's
    /// message that is no JSON object has nowhere to carry it.
    #[inline]
    pub(crate) fn is_ordered(&self) -> bool {
        match self.text {
            Text::Client { topic, .. } => topic.policy() == QueuePolicy::Reliable,
            Text::Message(message) => protocol::has_offset(message),
            Text::Steps(_) | Text::Update { .. } | Text::Replaced(_) => true,
            Text::Notice(_) => false,
        }
    }

    /// Who does not get it, now or when it comes back: its author, but for steps, by which that learns that they stand.
    #[inline]
    pub(crate) fn left_out(&self) -> Option<Author> {
        if matches!(self.text, Text::Steps(_)) { None } else { self.author }
    }

    /// What becomes of it where it has to wait for a slow member.
    #[inline]
    pub(crate) fn policy(&self) -> QueuePolicy {
        match self.text {
            Text::Client { topic, .. } => topic.policy(),
            Text::Steps(_) | Text::Update { .. } | Text::Replaced(_) | Text::Message(_) | Text::Notice(_) => {
                QueuePolicy::Reliable
            }
        }
    }

    /// Bytes of what it says.
    pub(crate) fn bytes(&self) -> usize {
        match self.text {
            Text::Client { payload, version, .. } => payload.len() + version.len(),
            Text::Steps(steps) => steps.steps.len(),
            Text::Update { update, .. } => update.len(),
            Text::Replaced(replaced) => replaced.doc.len(),
            Text::Message(message) | Text::Notice(message) => message.len(),
        }
    }

    /// Appends its frame.
    #[inline]
    pub(crate) fn put(&self, out: &mut BytesMut, document: &Id, offset: Option<u64>) {
        match self.text {
            Text::Client { client, topic, payload, version } => {
                protocol::put_publication(out, document, client, topic, payload, version, offset);
            }
            Text::Message(message) => protocol::put_message(out, message, offset),
            Text::Steps(Steps { client, version, count, steps, change_id, .. }) => {
                let sent = SentSteps {
                    version: *version,
                    steps,
                    clients: ClientsOf::One(client, *count),
                    change_id: change_id.as_deref(),
                    offset,
                };
                put_steps(out, document, &sent);
            }
            Text::Update { client, update, .. } => {
                protocol::put_publication(out, document, client, Topic::Update, update, "", offset);
            }
            Text::Replaced(_) => protocol::put_message(out, &reload(Reload::StepsSetAside), offset),
            Text::Notice(message) => protocol::put_message(out, message, None),
        }
    }
}
