//! A disk in memory that a test can fill, and whose power it can cut.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use ::redb::{Builder, Database, StorageBackend};

use super::super::{
    StoreError,
    redb::{failure::Failure, file::Medium},
};
use crate::sync::lock;

/// What a disk loses at most of a write that was not synced, at a time.
const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct State {
    /// What a process reads.
    live: Vec<u8>,
    /// What was there at the last sync.
    synced: Vec<u8>,
    /// What was done since.
    unsynced: Vec<Change>,
    /// Bytes that the disk has.
    capacity: Option<usize>,
    /// How many more writes and syncs there are until the power is cut, or the disk fails once.
    until_cut: Option<usize>,
    until_failure: Option<usize>,
    /// Whether what fails was done all the same.
    fails_after: bool,
    syncs: usize,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    Length(usize),
}

impl Change {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write { at, data } => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl State {
    /// Counts something that is done to the disk. An error where it is not.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.until_cut {
            Some(0) => return Err(io::Error::other("the power is cut")),
            Some(left) => *left -= 1,
            None => {}
        }
        match &mut self.until_failure {
            Some(0) => {
                self.until_failure = None;
                Err(io::Error::other("the disk failed once"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        let end = match &change {
            Change::Length(length) => *length,
            Change::Write { at, data } => at + data.len(),
        };
        if self.capacity.is_some_and(|capacity| end > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let stepped = self.step();
        if stepped.is_ok() || self.fails_after {
            change.put(&mut self.live);
            self.unsynced.push(change);
        }
        stepped
    }
}

/// A disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(in crate::document) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// A disk that holds `bytes`.
    pub(in crate::document) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { live: bytes.clone(), synced: bytes, ..State::default() })))
    }

    pub(in crate::document) fn has_room_for(&self, bytes: Option<usize>) {
        lock(&self.0).capacity = bytes;
    }

    pub(in crate::document) fn len(&self) -> usize {
        lock(&self.0).live.len()
    }

    pub(in crate::document) fn syncs(&self) -> usize {
        lock(&self.0).syncs
    }

    /// Nothing is done any more once `steps` writes and syncs were.
    pub(in crate::document) fn cut_power_after(&self, steps: usize) {
        lock(&self.0).until_cut = Some(steps);
    }

    /// The write or sync behind the next `steps` fails, done or not.
    pub(in crate::document) fn fail_once_after(&self, steps: usize, is_done: bool) {
        let mut state = lock(&self.0);
        (state.until_failure, state.fails_after) = (Some(steps), is_done);
    }

    pub(in crate::document) fn is_emptied(&self) {
        lock(&self.0).live.clear();
    }

    pub(in crate::document) fn works_from_now_on(&self) {
        lock(&self.0).until_failure = None;
    }

    /// Whether the failure is still to come.
    pub(in crate::document) fn will_fail(&self) -> bool {
        lock(&self.0).until_failure.is_some()
    }

    /// What may be on the disk after the power was cut: all that was synced, and of what came after it whatever `random`
    /// picks, the last write of it perhaps in part.
    pub(in crate::document) fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        let state = lock(&self.0);
        let mut bytes = state.synced.clone();
        // Three kinds of disk: one that writes in order and stops, one that loses some, one that tears some.
        let (all, mode) = (state.unsynced.len(), random.below(3));
        let kept = if random.below(2) == 0 { all } else { random.below(all + 1) };
        for change in &state.unsynced[..kept] {
            match (mode, change) {
                (1, _) if random.below(3) == 0 => {}
                (2, Change::Write { at, data }) if random.below(3) == 0 => {
                    for (number, sector) in data.chunks(SECTOR).enumerate() {
                        if random.below(2) == 0 {
                            Change::Write { at: at + number * SECTOR, data: sector.to_vec() }.put(&mut bytes);
                        }
                    }
                }
                _ => change.put(&mut bytes),
            }
        }
        bytes
    }
}

/// A process's way to the disk.
#[derive(Debug)]
struct Backend(Disk);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = lock(&self.0.0);
        let at = usize::try_from(offset).unwrap();
        let bytes = state.live.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.0.0).change(Change::Length(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = lock(&self.0.0);
        let stepped = state.step();
        if stepped.is_ok() || state.fails_after {
            state.synced = state.live.clone();
            state.unsynced.clear();
            state.syncs += 1;
        }
        stepped
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        lock(&self.0.0).change(Change::Write { at: usize::try_from(offset).unwrap(), data: data.to_vec() })
    }
}

impl Medium for Disk {
    fn open(&self, _lock_wait: Duration) -> Result<Database, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(1 << 20).set_check_integrity_on_open(true);
        builder
            .create_with_backend(Backend(self.clone()))
            .map_err(|error| Failure::from(error).at(self.path()))
    }

    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn path(&self) -> &Path {
        Path::new("a disk of a test")
    }
}

/// The same numbers for the same seed.
pub(in crate::document) struct Random(pub(in crate::document) u64);

impl Random {
    /// From 0 to below `limit`.
    pub(in crate::document) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}
