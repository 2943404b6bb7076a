//! What is true now and stands in no order: what members show, and whose place they have taken. It is told on a document's
//! channel beside what is appended, and where it is lost it comes with the next.

use bytes::{Buf, BufMut, Bytes};

use super::topics::{number_of, topic_of};
use crate::ids::{ClientSessionId, Topic};

/// What such a message begins with; what is appended begins with a digit.
pub(super) const MARK: u8 = b'!';

const SHOW: u8 = 0;
const HIDE: u8 = 1;
const ASK: u8 = 2;
const TAKE: u8 = 3;
const SAVED: u8 = 4;
const SAVE: u8 = 5;
const WAITS: u8 = 6;
const SERVED: u8 = 7;

/// One thing that is true now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// A member shows this, a whole frame.
    Show(ClientSessionId, Topic, Bytes),
    /// A member has left.
    Hide(ClientSessionId),
    /// Somebody wants to know what all members show.
    Ask,
    /// A client has come back, and goes on where it is now.
    Take(ClientSessionId),
    /// The document is saved at this version.
    Saved(u64),
    /// Whoever looks after the document is to save it now.
    Save,
    /// A client, or the route handlers of a process, wait for their turn to write, and take so many milliseconds to come again.
    Waits(ClientSessionId, u32),
    /// Route handlers of a process have had theirs: of a client it is seen by what it has written.
    Served(ClientSessionId),
}

/// What one process tells the others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) process: u64,
    pub(super) records: Vec<Record>,
}

impl Told {
    /// The message that says so.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut out = vec![MARK];
        out.put_u64(self.process);
        for record in &self.records {
            match record {
                Record::Show(client_session, topic, frame) => {
                    out.put_u8(SHOW);
                    out.put_u64(client_session.number());
                    out.put_u8(number_of(*topic));
                    out.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
                    out.put_slice(frame);
                }
                Record::Hide(client_session) => {
                    out.put_u8(HIDE);
                    out.put_u64(client_session.number());
                }
                Record::Ask => out.put_u8(ASK),
                Record::Saved(version) => {
                    out.put_u8(SAVED);
                    out.put_u64(*version);
                }
                Record::Save => out.put_u8(SAVE),
                Record::Waits(client_session, round_trip) => {
                    out.put_u8(WAITS);
                    out.put_u64(client_session.number());
                    out.put_u32(*round_trip);
                }
                Record::Served(writer) => {
                    out.put_u8(SERVED);
                    out.put_u64(writer.number());
                }
                Record::Take(client_session) => {
                    out.put_u8(TAKE);
                    out.put_u64(client_session.number());
                }
            }
        }
        out
    }

    /// Takes a message apart.
    pub(super) fn parse(message: Vec<u8>) -> Option<Self> {
        let mut from = Bytes::from(message);
        if from.try_get_u8().ok()? != MARK {
            return None;
        }
        let process = from.try_get_u64().ok()?;
        let mut records = Vec::new();
        while let Ok(kind) = from.try_get_u8() {
            let mut client_session = || from.try_get_u64().ok().map(ClientSessionId::new);
            records.push(match kind {
                SHOW => {
                    let client_session = client_session()?;
                    let topic = topic_of(from.try_get_u8().ok()?)?;
                    let length = usize::try_from(from.try_get_u32().ok()?).ok()?;
                    if from.len() < length {
                        return None;
                    }
                    Record::Show(client_session, topic, from.split_to(length))
                }
                HIDE => Record::Hide(client_session()?),
                ASK => Record::Ask,
                TAKE => Record::Take(client_session()?),
                SAVED => Record::Saved(from.try_get_u64().ok()?),
                SAVE => Record::Save,
                WAITS => Record::Waits(client_session()?, from.try_get_u32().ok()?),
                SERVED => Record::Served(client_session()?),
                _ => return None,
            });
        }
        Some(Self { process, records })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Record, Told};
    use crate::ids::{ClientSessionId, Topic};

    #[test]
    fn what_one_process_tells_another_understands_whole_or_not_at_all() {
        let client_session = ClientSessionId::new(u64::MAX);
        let records = vec![
            Record::Show(client_session, Topic::Awareness, Bytes::from_static(b"\x81\x02hi")),
            Record::Hide(client_session),
            Record::Ask,
            Record::Take(client_session),
            Record::Saved(1 << 40),
            Record::Save,
            Record::Waits(client_session, 7),
            Record::Served(client_session),
        ];
        let told = Told { process: 7, records };
        let message = told.message();
        for length in 0..message.len() {
            assert_ne!(
                Told::parse(message[..length].to_vec()),
                Some(Told { process: 7, records: told.records.clone() })
            );
        }
        assert_eq!(Told::parse(message), Some(told));
        assert_eq!(Told::parse(b"0000000000000007 1".to_vec()), None);
    }
}
