//! What a hub leaves to the next process, and takes from the one before.

use std::{
    sync::{
        Mutex,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use crate::{
    Config,
    config::Secret,
    recovery::{
        saved::SavedRoom,
        state_dir::{Left, StateDir, StateLock},
    },
    room::Rooms,
    sync::lock,
};

/// How often to look whether the process before has ended.
const LOCK_ROUND: Duration = Duration::from_millis(10);

/// Keeps what rooms remember from one process to the next.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: StateDir,
    /// For how long anybody is remembered.
    window: Duration,
    /// `None` while another process has it, and once the state was left.
    lock: Mutex<Option<StateLock>>,
}

impl Keeper {
    /// Opens the folder; `None` where there is none to be, or it cannot be used, which the log says.
    pub(crate) fn open(config: &Config) -> Option<Self> {
        let (path, window) = (config.state_dir.as_ref()?, config.recovery_window?);
        match StateDir::open(path, config.token_secret.as_ref()) {
            Ok((folder, lock)) => Some(Self { folder, window, lock: Mutex::new(lock) }),
            Err(error) => {
                log::warn!(
                    "a restart will have clients reload: the folder {} cannot be used: {error}",
                    path.display()
                );
                None
            }
        }
    }

    /// What tokens are to be signed with.
    pub(crate) fn secret(&self) -> &Secret {
        self.folder.secret()
    }

    /// Whether it is this process that takes and leaves the state.
    pub(crate) fn is_owner(&self) -> bool {
        lock(&self.lock).is_some()
    }

    /// Has rooms go on from what the process before has left, if this one may take that.
    pub(crate) fn take(&self, rooms: &Rooms) {
        let state = match &*lock(&self.lock) {
            Some(lock) => self.folder.take(lock, self.window),
            None => return,
        };
        match state {
            Ok(None) => {}
            Ok(Some(state)) => {
                let age = u32::try_from(state.age.as_millis()).unwrap_or(u32::MAX);
                log::info!("{} documents go on from {age} ms ago", state.rooms.len());
                rooms.restore(state.rooms, age);
            }
            Err(error) => {
                let path = self.folder.path().display();
                log::warn!(
                    "clients are to reload: what the process before left in {path} is not used: {error}"
                );
            }
        }
    }

    /// Waits until the process before has ended, or for as long as `patience`, and takes what that has left. Returns whether
    /// it is this one's now. Blocks.
    pub(crate) fn wait(&self, rooms: &Rooms, patience: Duration, is_over: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while !self.is_owner() {
            match self.folder.try_lock() {
                Ok(None) if Instant::now() < deadline && !is_over() => std::thread::sleep(LOCK_ROUND),
                Ok(None) => return false,
                Ok(found) => {
                    *lock(&self.lock) = found;
                    self.take(rooms);
                }
                Err(error) => {
                    log::warn!("the folder {} cannot be locked: {error}", self.folder.path().display());
                    return false;
                }
            }
        }
        true
    }

    /// Where what is remembered is kept, for the log.
    pub(crate) fn path(&self) -> std::path::Display<'_> {
        self.folder.path().display()
    }

    /// Leaves what rooms remember to the next process. Returns at the deadline at the latest, and the lock as soon as the next
    /// process may have it: once that is dropped, and what was left is whole or not there. Blocks.
    pub(crate) fn leave(&self, saved: Vec<SavedRoom>, deadline: Instant) -> Option<StateLock> {
        let owned = lock(&self.lock).take()?;
        let folder = self.folder.clone();
        let (tell, told) = sync_channel(1);
        // A disk may take any time.
        let writing = std::thread::Builder::new().name("hub-state".to_owned()).spawn(move || {
            let left = folder.leave(&owned, &saved);
            // Where nobody waits any more, the lock is given up here.
            drop(tell.send((left, owned)));
        });
        if let Err(error) = writing {
            log::warn!("clients are to reload: nothing was left for the next process: {error}");
            return None;
        }
        match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((Ok(Left { bytes, without_history, left_out }), owned)) => {
                log::info!("left {bytes} bytes for the next process");
                if without_history + left_out > 0 {
                    log::warn!(
                        "clients of {left_out} documents are to reload, and of {without_history} those that miss \
                         something: more is remembered than is left for the next process"
                    );
                }
                Some(owned)
            }
            Ok((Err(error), owned)) => {
                let path = self.path();
                log::warn!("clients are to reload: nothing was left for the next process in {path}: {error}");
                Some(owned)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                log::warn!("clients are to reload: {} took too long for what was to be left", self.path());
                None
            }
        }
    }
}
