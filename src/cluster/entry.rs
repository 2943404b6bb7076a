//! A publication as it stands in the log: written by one process, read by the others.

use std::sync::Arc;

use bytes::{Buf, BufMut};

use super::{
    text::{put_text, take_text},
    topics::{number_of, topic_of},
};
use crate::{
    ids::{ClientSessionId, ConnectionId, Id},
    room::publication::{Author, Content, Publication, Replaced, Steps},
};

/// Processes of another version that do not know this one pass over what it begins.
const VERSION: u8 = 1;

/// Nobody's connection in this process.
const ELSEWHERE: ConnectionId = ConnectionId::new(0);

const CLIENT: u8 = 0;
const MESSAGE: u8 = 1;
const STEPS: u8 = 2;
const UPDATE: u8 = 3;
const REPLACED: u8 = 4;

/// What stands in the log of a publication; `None` for what belongs into no log.
pub(super) fn encode(publication: &Publication) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(publication.bytes() + 64);
    out.put_u8(VERSION);
    let kind = match &publication.content {
        Content::Client { .. } => CLIENT,
        Content::Message(_) => MESSAGE,
        Content::Steps(_) => STEPS,
        Content::Update { .. } => UPDATE,
        Content::Replaced(_) => REPLACED,
        Content::Notice(_) => return None,
    };
    out.put_u8(kind);
    out.put_u64(publication.author.map_or(0, |author| author.client_session.number()));
    out.put_u64(publication.number.unwrap_or(0));
    put_text(&mut out, publication.to.as_ref().map_or("", Id::text));
    match &publication.content {
        Content::Client { client, topic, payload, version } => {
            out.put_u8(number_of(*topic));
            for text in [client.text(), payload, version] {
                put_text(&mut out, text);
            }
        }
        Content::Message(message) => put_text(&mut out, message),
        Content::Steps(Steps { client, user, version, count, steps, change_id }) => {
            out.put_u64(*version);
            out.put_u32(*count);
            let user = user.as_deref().unwrap_or("");
            for text in [client.text(), user, steps, change_id.as_deref().unwrap_or("")] {
                put_text(&mut out, text);
            }
        }
        Content::Update { client, user, update } => {
            for text in [client.text(), user.as_deref().unwrap_or(""), update] {
                put_text(&mut out, text);
            }
        }
        Content::Replaced(Replaced { version, saved, doc }) => {
            out.put_u64(*version);
            out.put_u64(*saved);
            put_text(&mut out, doc);
        }
        Content::Notice(_) => {}
    }
    Some(out)
}

/// Whether a route handler's message stands there: the one thing of which is told how many connections got it.
pub(super) fn is_message(said: &[u8]) -> bool {
    said.starts_with(&[VERSION, MESSAGE])
}

/// The publication that another process has written; `None` where this version cannot read it.
pub(super) fn decode(mut from: &[u8]) -> Option<Publication> {
    if from.try_get_u8().ok()? != VERSION {
        return None;
    }
    let kind = from.try_get_u8().ok()?;
    let client_session = from.try_get_u64().ok()?;
    let number = from.try_get_u64().ok()?;
    let to = take_text(&mut from)?;
    let content = match kind {
        CLIENT => Content::Client {
            topic: topic_of(from.try_get_u8().ok()?)?,
            client: Id::new(take_text(&mut from)?)?,
            payload: take_text(&mut from)?.to_owned(),
            version: take_text(&mut from)?.to_owned(),
        },
        MESSAGE => Content::Message(take_text(&mut from)?.to_owned()),
        STEPS => {
            let (version, count) = (from.try_get_u64().ok()?, from.try_get_u32().ok()?);
            let client = Id::new(take_text(&mut from)?)?;
            let user = some(take_text(&mut from)?).map(Arc::from);
            let steps = take_text(&mut from)?.into();
            let change_id = some(take_text(&mut from)?).map(str::to_owned);
            Content::Steps(Steps { client, user, version, count, steps, change_id })
        }
        UPDATE => Content::Update {
            client: Id::new(take_text(&mut from)?)?,
            user: some(take_text(&mut from)?).map(Arc::from),
            update: take_text(&mut from)?.to_owned(),
        },
        REPLACED => Content::Replaced(Replaced {
            version: from.try_get_u64().ok()?,
            saved: from.try_get_u64().ok()?,
            doc: take_text(&mut from)?.into(),
        }),
        _ => return None,
    };
    let author = (client_session != 0)
        .then(|| Author { connection: ELSEWHERE, client_session: ClientSessionId::new(client_session) });
    Some(Publication {
        author,
        to: if to.is_empty() { None } else { Some(Id::new(to)?) },
        content,
        number: (number != 0).then_some(number),
        after: None,
        answer: None,
    })
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use crate::{
        ids::{ClientSessionId, ConnectionId, Id, Topic},
        room::publication::{Author, Content, Publication, Replaced, Steps},
    };

    #[test]
    fn what_one_process_writes_another_reads_but_for_the_connection() {
        let written = Publication {
            author: Some(Author {
                connection: ConnectionId::new(7),
                client_session: ClientSessionId::new(u64::MAX),
            }),
            number: Some(1 << 53),
            content: Content::Client {
                client: Id::new("ünï \"code\"").unwrap(),
                topic: Topic::Steps,
                payload: "[{\"stepType\":\"x\"}]".to_owned(),
                version: "3".to_owned(),
            },
            ..Publication::of_route_handler(None, "")
        };
        let read = decode(&encode(&written).unwrap()).unwrap();
        assert_eq!(read.content, written.content);
        assert_eq!((read.number, read.to), (written.number, None));
        let author = read.author.unwrap();
        assert_eq!((author.connection.number(), author.client_session.number()), (0, u64::MAX));

        let message = Publication::of_route_handler(Some(Id::new("me").unwrap()), "{\"a\":1}");
        let read = decode(&encode(&message).unwrap()).unwrap();
        assert_eq!((read.to, read.content), (message.to, message.content));
        assert!(read.author.is_none() && read.number.is_none());
    }

    #[test]
    fn what_documents_with_an_authority_say_is_read_as_it_was_written() {
        let client = Id::new("me").unwrap();
        let steps = |user: Option<&str>, change_id: Option<&str>| {
            Content::Steps(Steps {
                client: client.clone(),
                user: user.map(Into::into),
                version: 1 << 50,
                count: 2,
                steps: r#"[{"stepType":"a"},{"stepType":"b"}]"#.into(),
                change_id: change_id.map(str::to_owned),
            })
        };
        let update = Content::Update { client: client.clone(), user: None, update: "\"AAE=\"".to_owned() };
        let replaced = Content::Replaced(Replaced { version: 7, saved: 3, doc: r#"{"a":1}"#.into() });
        for content in [steps(None, None), steps(Some("u"), Some("\"c\"")), update, replaced] {
            let written = Publication { content, ..Publication::of_route_handler(None, "") };
            assert_eq!(decode(&encode(&written).unwrap()).unwrap().content, written.content);
        }
    }

    #[test]
    fn what_is_cut_or_of_another_version_is_not_read() {
        let whole = encode(&Publication::of_route_handler(None, "{\"a\":1}")).unwrap();
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_none(), "{length}");
        }
        let mut other = whole;
        other[0] = 2;
        assert!(decode(&other).is_none());
    }
}
