//! What rooms remember, as one process leaves it to the next.
//!
//! Numbers are little-endian, texts and frames stand behind their length. What is read is written in the very same bytes;
//! anything else is refused.

use bytes::{Buf, Bytes};

use super::shown::Shown;
use crate::ids::{ClientSessionId, Epoch, Id};

/// What one room remembers. Times are milliseconds before it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRoom {
    /// Its document.
    pub document: Id,
    /// The history's name.
    pub epoch: Epoch,
    /// The offset of the last publication; 0 before the first.
    pub last: u64,
    /// Where the log stood that orders the document elsewhere; `None` where the room gives the offsets itself.
    pub log_position: Option<u64>,
    /// For how long it has had no member.
    pub empty_for: u32,
    /// What was published last, up to `last` and without a gap.
    pub publications: Vec<SavedPublication>,
    /// The clients that may come back.
    pub client_sessions: Vec<SavedClientSession>,
}

/// One publication of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPublication {
    /// The whole frame.
    pub frame: Bytes,
    /// Whose own it is; `None` for a route handler's.
    pub from: Option<ClientSessionId>,
    /// The only client that gets it; `None` for all.
    pub to: Option<Id>,
    /// How old it is.
    pub age: u32,
}

/// A client that may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedClientSession {
    /// Its name.
    pub id: ClientSessionId,
    /// The number of its last message that was applied.
    pub applied: u64,
    /// For how long it has been away.
    pub age: u32,
    /// What it shows of itself.
    pub shown: Shown,
}

/// Bytes that hold no rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRooms;

/// Rooms as bytes.
#[derive(Debug, Default)]
pub struct Encoded {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Rooms that are in it without what was published: who missed something is to reload.
    pub without_history: usize,
    /// Rooms that are not in it.
    pub left_out: usize,
}

const HAS_AUTHOR: u8 = 1;
const HAS_RECEIVER: u8 = 2;

/// Rooms as `max_bytes` at most: histories give way first, then rooms. Those that come first are kept.
pub fn encode(rooms: &[SavedRoom], max_bytes: usize) -> Encoded {
    let mut out = Encoded::default();
    let mut one = Vec::new();
    for room in rooms {
        one.clear();
        put_room(&mut one, room, &room.publications);
        if out.bytes.len() + one.len() > max_bytes && !room.publications.is_empty() {
            one.clear();
            put_room(&mut one, room, &[]);
            out.without_history += 1;
        }
        if out.bytes.len() + one.len() > max_bytes {
            out.left_out += 1;
        } else {
            out.bytes.extend_from_slice(&one);
        }
    }
    out
}

fn put_room(out: &mut Vec<u8>, room: &SavedRoom, publications: &[SavedPublication]) {
    put_bytes(out, room.document.text().as_bytes());
    out.extend_from_slice(&room.epoch.number().to_le_bytes());
    out.extend_from_slice(&room.last.to_le_bytes());
    out.push(u8::from(room.log_position.is_some()));
    if let Some(position) = room.log_position {
        out.extend_from_slice(&position.to_le_bytes());
    }
    out.extend_from_slice(&room.empty_for.to_le_bytes());
    put_length(out, publications.len());
    for SavedPublication { frame, from, to, age } in publications {
        let has = |is_there, flag| if is_there { flag } else { 0 };
        out.push(has(from.is_some(), HAS_AUTHOR) | has(to.is_some(), HAS_RECEIVER));
        if let Some(from) = from {
            out.extend_from_slice(&from.number().to_le_bytes());
        }
        if let Some(to) = to {
            put_bytes(out, to.text().as_bytes());
        }
        out.extend_from_slice(&age.to_le_bytes());
        put_bytes(out, frame);
    }
    put_length(out, room.client_sessions.len());
    for SavedClientSession { id, applied, age, shown } in &room.client_sessions {
        out.extend_from_slice(&id.number().to_le_bytes());
        out.extend_from_slice(&applied.to_le_bytes());
        out.extend_from_slice(&age.to_le_bytes());
        for frame in shown.frames() {
            put_bytes(out, frame);
        }
    }
}

/// A length; what is too long for it does not fit into memory, and would be refused when it is read.
fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Rooms out of bytes, which frames of publications go on to share.
///
/// # Errors
///
/// [`NoRooms`]
pub fn decode(mut bytes: Bytes) -> Result<Vec<SavedRoom>, NoRooms> {
    let mut rooms = Vec::new();
    while !bytes.is_empty() {
        rooms.push(room(&mut bytes)?);
    }
    Ok(rooms)
}

fn room(bytes: &mut Bytes) -> Result<SavedRoom, NoRooms> {
    let document = id(bytes)?;
    let epoch = Epoch::new(u64(bytes)?);
    let last = u64(bytes)?;
    let log_position = match bytes.try_get_u8().map_err(|_| NoRooms)? {
        0 => None,
        1 => Some(u64(bytes)?),
        _ => return Err(NoRooms),
    };
    let empty_for = u32(bytes)?;
    let publications = list(bytes, publication)?;
    if publications.len() as u64 > last {
        return Err(NoRooms);
    }
    let client_sessions = list(bytes, client_session)?;
    Ok(SavedRoom { document, epoch, last, log_position, empty_for, publications, client_sessions })
}

fn publication(bytes: &mut Bytes) -> Result<SavedPublication, NoRooms> {
    let has = bytes.try_get_u8().map_err(|_| NoRooms)?;
    if has > HAS_AUTHOR | HAS_RECEIVER {
        return Err(NoRooms);
    }
    let from = if has & HAS_AUTHOR == 0 { None } else { Some(ClientSessionId::new(u64(bytes)?)) };
    let to = if has & HAS_RECEIVER == 0 { None } else { Some(id(bytes)?) };
    let age = u32(bytes)?;
    Ok(SavedPublication { frame: taken(bytes)?, from, to, age })
}

fn client_session(bytes: &mut Bytes) -> Result<SavedClientSession, NoRooms> {
    let id = ClientSessionId::new(u64(bytes)?);
    let (applied, age) = (u64(bytes)?, u32(bytes)?);
    let mut frame = || taken(bytes).map(|frame| frame.to_vec());
    let shown = Shown { awareness: frame()?, selection: frame()?, presence: frame()? };
    Ok(SavedClientSession { id, applied, age, shown })
}

/// As many of what `one` reads as are said to follow.
fn list<T>(bytes: &mut Bytes, one: impl Fn(&mut Bytes) -> Result<T, NoRooms>) -> Result<Vec<T>, NoRooms> {
    // Whoever lies about it finds the end of the bytes before any memory is taken for it.
    (0..u32(bytes)?).map(|_| one(bytes)).collect()
}

fn u32(bytes: &mut Bytes) -> Result<u32, NoRooms> {
    bytes.try_get_u32_le().map_err(|_| NoRooms)
}

fn u64(bytes: &mut Bytes) -> Result<u64, NoRooms> {
    bytes.try_get_u64_le().map_err(|_| NoRooms)
}

fn id(bytes: &mut Bytes) -> Result<Id, NoRooms> {
    let text = taken(bytes)?;
    std::str::from_utf8(&text).ok().and_then(Id::new).ok_or(NoRooms)
}

fn taken(bytes: &mut Bytes) -> Result<Bytes, NoRooms> {
    let length = u32(bytes)? as usize;
    if length > bytes.len() {
        return Err(NoRooms);
    }
    Ok(bytes.split_to(length))
}

#[cfg(test)]
pub mod tests {
    //! Rooms for tests.

    use bytes::Bytes;
    use proptest::{collection::vec, option, prelude::*};

    use super::{SavedClientSession, SavedPublication, SavedRoom, decode, encode};
    use crate::{
        ids::{ClientSessionId, Epoch, Id},
        recovery::shown::Shown,
    };

    fn ids() -> impl Strategy<Value = Id> {
        "[^\\p{Cc}]{1,12}".prop_map(|text| Id::new(&text).unwrap())
    }

    fn publications() -> impl Strategy<Value = SavedPublication> {
        (vec(any::<u8>(), 0..40), option::of(any::<u64>()), option::of(ids()), any::<u32>()).prop_map(
            |(frame, from, to, age)| SavedPublication {
                frame: frame.into(),
                from: from.map(ClientSessionId::new),
                to,
                age,
            },
        )
    }

    fn client_sessions() -> impl Strategy<Value = SavedClientSession> {
        let frame = || vec(any::<u8>(), 0..9);
        (any::<u64>(), any::<u64>(), any::<u32>(), frame(), frame(), frame()).prop_map(
            |(id, applied, age, awareness, selection, presence)| SavedClientSession {
                id: ClientSessionId::new(id),
                applied,
                age,
                shown: Shown { awareness, selection, presence },
            },
        )
    }

    /// Rooms as they may be.
    pub fn rooms() -> impl Strategy<Value = Vec<SavedRoom>> {
        let room = (
            ids(),
            any::<u64>(),
            8..u64::MAX,
            option::of(any::<u64>()),
            any::<u32>(),
            vec(publications(), 0..8),
            vec(client_sessions(), 0..8),
        );
        let room = room.prop_map(
            |(document, epoch, last, log_position, empty_for, publications, client_sessions)| SavedRoom {
                document,
                epoch: Epoch::new(epoch),
                last,
                log_position,
                empty_for,
                publications,
                client_sessions,
            },
        );
        vec(room, 0..5)
    }

    proptest! {
        #[test]
        fn what_rooms_remember_is_read_as_it_was_written(rooms in rooms()) {
            let encoded = encode(&rooms, usize::MAX);
            prop_assert_eq!((encoded.without_history, encoded.left_out), (0, 0));
            prop_assert_eq!(decode(encoded.bytes.into()), Ok(rooms));
        }

        #[test]
        fn bytes_that_are_cut_anywhere_are_rooms_that_are_whole_or_none(rooms in rooms(), cut in any::<prop::sample::Index>()) {
            let whole = encode(&rooms, usize::MAX).bytes;
            if !whole.is_empty() {
                let cut = cut.index(whole.len());
                if let Ok(some) = decode(Bytes::copy_from_slice(&whole[..cut])) {
                    prop_assert_eq!(&some[..], &rooms[..some.len()]);
                }
            }
        }

        #[test]
        fn bytes_of_strangers_are_refused_or_read_as_what_is_written_so(bytes in vec(any::<u8>(), 0..300)) {
            if let Ok(rooms) = decode(Bytes::copy_from_slice(&bytes)) {
                prop_assert_eq!(encode(&rooms, usize::MAX).bytes, bytes);
            }
        }

        #[test]
        fn no_more_is_written_than_may_be_and_histories_give_way_first(rooms in rooms(), max in 0..600_usize) {
            let encoded = encode(&rooms, max);
            prop_assert!(encoded.bytes.len() <= max);
            let read = decode(encoded.bytes.into()).unwrap();
            prop_assert_eq!(read.len() + encoded.left_out, rooms.len());
            for room in &read {
                let of = |room: &SavedRoom| (room.document.clone(), room.epoch, room.last, room.client_sessions.clone());
                let whole = rooms.iter().find(|other| of(other) == of(room)).unwrap();
                prop_assert!(room.publications == whole.publications || room.publications.is_empty());
            }
        }
    }
}
