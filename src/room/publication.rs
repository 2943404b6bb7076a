//! One message on its way into a document's order, apart from the frame that is made of it.

use std::fmt;

use bytes::BytesMut;

use crate::{
    connection::batch::QueuePolicy,
    ids::{ClientSessionId, ConnectionId, Id, Topic},
    protocol,
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
    /// A route handler's message.
    Message(String),
}

/// Why a publication stands nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another publication stands where it was to stand.
    Stale {
        /// The last offset there is.
        current: u64,
    },
    /// The log cannot be reached.
    Unavailable,
}

/// Is told at which offset a publication stands, or why it stands nowhere. From any thread.
pub struct Answer(Box<dyn FnOnce(Result<u64, Refusal>) + Send>);

impl Answer {
    /// Calls `tell` at most once: never where the publication was given to no log, because there is no such room, it could
    /// not be opened, or the call was refused. It may be called under the room's lock, so it must not call the hub.
    pub fn new(tell: impl FnOnce(Result<u64, Refusal>) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    pub(super) fn tell(self, outcome: Result<u64, Refusal>) {
        (self.0)(outcome);
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
            Content::Message(message) => Text::Message(message),
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
    Message(&'a str),
}

impl<'a> Draft<'a> {
    /// A route handler's message, to all or to one client.
    pub(crate) fn of_route_handler(to: Option<&'a Id>, message: &'a str) -> Self {
        Self { author: None, to, text: Text::Message(message), number: None, after: None }
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
            Text::Message(message) => Content::Message(message.to_owned()),
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
        }
    }

    /// What becomes of it where it has to wait for a slow member.
    #[inline]
    pub(crate) fn policy(&self) -> QueuePolicy {
        match self.text {
            Text::Client { topic, .. } => topic.policy(),
            Text::Message(_) => QueuePolicy::Reliable,
        }
    }

    /// Bytes of what it says.
    pub(crate) fn bytes(&self) -> usize {
        match self.text {
            Text::Client { payload, version, .. } => payload.len() + version.len(),
            Text::Message(message) => message.len(),
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
        }
    }
}
