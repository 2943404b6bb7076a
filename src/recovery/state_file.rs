//! The file in which one process leaves to the next what its rooms remember: its form, and when it is refused.
//!
//! `HUBSTATE`, the form's number, the name of the key, the time, the length, the rooms, and a MAC over all of it. Whoever may
//! write such a file may have clients be sent whatever it says, so that only who has the key of the tokens can.

use std::{fmt, io, time::Duration};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::saved::{self, SavedRoom};
use crate::config::Secret;

const MAGIC: &[u8; 8] = b"HUBSTATE";

/// The form that is written, and the only one that is read.
const FORM: u32 = 1;

const HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 8;
const MAC_BYTES: usize = 32;

/// Most bytes of rooms that are written or read. What is remembered takes less (`historyTotalBytes` and 32 MiB for clients
/// that are away) unless clients show very much of themselves.
pub const MAX_BYTES: usize = 256 << 20;

/// Most bytes of a file.
pub const MAX_FILE_BYTES: usize = HEADER_BYTES + MAX_BYTES + MAC_BYTES;

/// Why a state file is not read. Clients that come back are told to reload then, as after a crash.
#[derive(Debug)]
pub enum StateError {
    /// It is cut, or other bytes than were written.
    Damaged,
    /// It is of a form that this version does not know.
    OtherForm(u32),
    /// It was written with another `tokenSecret`, or another key of the folder.
    OtherKey,
    /// It was written longer ago than clients are remembered.
    TooOld(Duration),
    /// Others than its owner may read or write it.
    Exposed,
    /// It is larger than any that is written.
    TooLarge(u64),
    /// The operating system refused it.
    Io(io::Error),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("it is damaged"),
            Self::OtherForm(form) => write!(f, "it is of form {form}, and this version knows {FORM}"),
            Self::OtherKey => f.write_str("it was written with another tokenSecret or key"),
            Self::TooOld(age) => {
                write!(f, "it is {} s old, and nobody is remembered for so long", age.as_secs())
            }
            Self::Exposed => f.write_str("others than its owner may read or write it"),
            Self::TooLarge(bytes) => write!(f, "it has {bytes} bytes, and none is so large"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Damaged
            | Self::OtherForm(_)
            | Self::OtherKey
            | Self::TooOld(_)
            | Self::Exposed
            | Self::TooLarge(_) => None,
        }
    }
}

impl From<io::Error> for StateError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What state files are signed with.
#[derive(Clone)]
pub struct StateKey(Hmac<Sha256>);

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(…)")
    }
}

impl StateKey {
    /// The key that goes with the key of tokens; a token tells nothing about it.
    pub fn of(secret: &Secret) -> Self {
        let key = hmac(secret.bytes()).chain_update(b"captify-hub state 1\0").finalize().into_bytes();
        Self(hmac(&key))
    }

    /// What tells it from other keys, and tells nothing else.
    fn name(&self) -> [u8; 8] {
        let name = self.0.clone().chain_update(b"name").finalize().into_bytes();
        std::array::from_fn(|index| name[index])
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length.
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("a key of any length"))
}

/// What a state file holds.
#[derive(Debug)]
pub struct State {
    /// What each room remembers.
    pub rooms: Vec<SavedRoom>,
    /// How long ago that was.
    pub age: Duration,
}

/// The file for rooms that were encoded at `now`, as the time since 1970: what stands before them and behind them.
pub fn seal(rooms: &[u8], key: &StateKey, now: Duration) -> (Vec<u8>, Vec<u8>) {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&FORM.to_le_bytes());
    header.extend_from_slice(&key.name());
    header.extend_from_slice(&milliseconds(now).to_le_bytes());
    header.extend_from_slice(&(rooms.len() as u64).to_le_bytes());
    let mac = key.0.clone().chain_update(&header).chain_update(rooms).finalize().into_bytes();
    (header, mac.to_vec())
}

/// Reads a file at `now`, as the time since 1970. What is older than `window` is of no use to anybody.
///
/// # Errors
///
/// [`StateError`]
pub fn open(file: &Bytes, key: &StateKey, now: Duration, window: Duration) -> Result<State, StateError> {
    let (header, rest) = file.split_at_checked(HEADER_BYTES).ok_or(StateError::Damaged)?;
    let mut header = Header(header);
    if header.take::<8>() != *MAGIC {
        return Err(StateError::Damaged);
    }
    let form = u32::from_le_bytes(header.take());
    if form != FORM {
        return Err(StateError::OtherForm(form));
    }
    if header.take() != key.name() {
        return Err(StateError::OtherKey);
    }
    let written = Duration::from_millis(u64::from_le_bytes(header.take()));
    let length = usize::try_from(u64::from_le_bytes(header.take())).map_err(|_| StateError::Damaged)?;
    if rest.len().checked_sub(MAC_BYTES) != Some(length) {
        return Err(StateError::Damaged);
    }
    let end = HEADER_BYTES + length;
    // Compares in constant time.
    let signed = key.0.clone().chain_update(&file[..end]);
    signed.verify_slice(&file[end..]).map_err(|_| StateError::Damaged)?;
    // A clock that was set back makes nothing younger than new.
    let age = now.saturating_sub(written);
    if age > window {
        return Err(StateError::TooOld(age));
    }
    let rooms = saved::decode(file.slice(HEADER_BYTES..end)).map_err(|_| StateError::Damaged)?;
    Ok(State { rooms, age })
}

/// The header, as it is read.
struct Header<'a>(&'a [u8]);

impl Header<'_> {
    /// The next bytes. No more are taken than there are.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_first_chunk().unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *bytes
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{HEADER_BYTES, State, StateError, StateKey, open, seal};
    use crate::{
        config::Secret,
        recovery::saved::{SavedRoom, encode, tests::rooms},
    };

    const NOW: Duration = Duration::from_secs(1_790_000_000);
    const WINDOW: Duration = Duration::from_mins(2);

    fn key(number: u8) -> StateKey {
        StateKey::of(&Secret::new([number; 32]))
    }

    fn written(rooms: &[SavedRoom]) -> Vec<u8> {
        let rooms = encode(rooms, usize::MAX).bytes;
        let (mut file, end) = seal(&rooms, &key(1), NOW);
        file.extend_from_slice(&rooms);
        file.extend_from_slice(&end);
        file
    }

    fn read(file: &[u8], now: Duration) -> Result<State, StateError> {
        open(&Bytes::copy_from_slice(file), &key(1), now, WINDOW)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_file_is_read_as_it_was_written(rooms in rooms(), later in 0..120_u64) {
            let state = read(&written(&rooms), NOW + Duration::from_secs(later)).unwrap();
            prop_assert_eq!(state.rooms, rooms);
            prop_assert_eq!(state.age, Duration::from_secs(later));
        }

        #[test]
        fn a_file_that_is_damaged_at_any_byte_or_cut_at_any_is_refused(rooms in rooms()) {
            let file = written(&rooms);
            for index in 0..file.len() {
                let mut damaged = file.clone();
                damaged[index] ^= 0x10;
                prop_assert!(read(&damaged, NOW).is_err(), "byte {}", index);
                prop_assert!(read(&file[..index], NOW).is_err(), "cut at {}", index);
            }
            let longer = [&file[..], &[0]].concat();
            prop_assert!(read(&longer, NOW).is_err());
        }

        #[test]
        fn bytes_of_strangers_are_no_file(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes, NOW).is_err());
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let file = written(&[]);
        assert_eq!(file.len(), HEADER_BYTES + 32);
        let mut newer = file.clone();
        newer[8] = 2;
        assert!(matches!(read(&newer, NOW), Err(StateError::OtherForm(2))));
        let of_another = open(&file.clone().into(), &key(2), NOW, WINDOW);
        assert!(matches!(of_another, Err(StateError::OtherKey)));
        let late = NOW + WINDOW + Duration::from_secs(1);
        assert!(matches!(read(&file, late), Err(StateError::TooOld(age)) if age.as_secs() == 121));
        assert!(matches!(read(b"", NOW), Err(StateError::Damaged)));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_a_file_new() {
        let state = read(&written(&[]), NOW.saturating_sub(Duration::from_hours(1))).unwrap();
        assert_eq!(state.age, Duration::ZERO);
    }

    #[test]
    fn keys_are_not_printed_and_are_not_those_of_tokens() {
        assert_eq!(format!("{:?}", key(1)), "StateKey(…)");
        assert_ne!(key(1).name(), key(2).name());
    }
}
