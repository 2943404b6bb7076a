//! The folder of the state file: its key, its lock, and how it is written and taken.
//!
//! It has at most three files: `rooms.state`, which one process leaves and the next takes; `rooms.key`, where the app gave no
//! `tokenSecret`, so that tokens outlive the process, too; and `rooms.lock`, which the process holds that will write the
//! state. All are for the process's user alone.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    saved::{SavedRoom, encode},
    state_file::{self, MAX_BYTES, MAX_FILE_BYTES, State, StateError, StateKey},
};
use crate::config::Secret;

const STATE: &str = "rooms.state";
const UNFINISHED: &str = "rooms.state.new";
const KEY: &str = "rooms.key";
const UNFINISHED_KEY: &str = "rooms.key.new";
const LOCK: &str = "rooms.lock";

const KEY_BYTES: usize = 32;

/// How long to wait for the key that another process is about to write.
const KEY_PATIENCE: Duration = Duration::from_secs(1);

/// How often to look for it.
const KEY_ROUND: Duration = Duration::from_millis(10);

/// The folder of the state file, and the key that goes with it.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
    key: StateKey,
    /// What tokens are signed with.
    secret: Secret,
}

/// Being the process that may take and write the state. Dropped, another may.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// What was left for the next process.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Bytes of the file.
    pub bytes: usize,
    /// Rooms whose publications did not fit in.
    pub without_history: usize,
    /// Rooms that did not fit in.
    pub left_out: usize,
}

impl StateDir {
    /// Opens the folder, which is made where there is none. With the lock, where no other process has it.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`]; [`StateError::Exposed`] where others may read the key.
    pub fn open(path: &Path, secret: Option<&Secret>) -> Result<(Self, Option<StateLock>), StateError> {
        make_folder(path)?;
        let lock = try_lock(path)?;
        let secret = match (secret, &lock) {
            (Some(secret), _) => secret.clone(),
            (None, Some(lock)) => own_key(path, lock)?,
            (None, None) => key_of_another(path)?,
        };
        Ok((Self { path: path.to_owned(), key: StateKey::of(&secret), secret }, lock))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tokens are to be signed with, so that the next process knows them.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The lock, where no other process has it.
    ///
    /// # Errors
    ///
    /// Where the system has no locks there.
    pub fn try_lock(&self) -> io::Result<Option<StateLock>> {
        try_lock(&self.path)
    }

    /// Takes the state that an earlier process has left; `None` where it has left none. Nobody can take it again, whether it
    /// was of use or not.
    ///
    /// # Errors
    ///
    /// [`StateError`]
    pub fn take(&self, _lock: &StateLock, window: Duration) -> Result<Option<State>, StateError> {
        let path = self.path.join(STATE);
        let read = match File::open(&path) {
            Ok(file) => read(file, MAX_FILE_BYTES),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error.into()),
        };
        // What is read again later would take back what clients have been told meanwhile. So it is gone for good first.
        fs::remove_file(&path)?;
        sync_folder(&self.path)?;
        state_file::open(&read?.into(), &self.key, now(), window).map(Some)
    }

    /// Leaves what rooms remember to the next process, in the place of what was left before.
    ///
    /// # Errors
    ///
    /// Where it cannot be written. Then nothing is left.
    pub fn leave(&self, _lock: &StateLock, rooms: &[SavedRoom]) -> io::Result<Left> {
        let encoded = encode(rooms, MAX_BYTES);
        let (header, end) = state_file::seal(&encoded.bytes, &self.key, now());
        let parts = [&header[..], &encoded.bytes, &end];
        write(&self.path, UNFINISHED, STATE, &parts)?;
        Ok(Left {
            bytes: parts.iter().map(|part| part.len()).sum(),
            without_history: encoded.without_history,
            left_out: encoded.left_out,
        })
    }
}

/// The time since 1970: the only clock that two processes have in common.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn try_lock(folder: &Path) -> io::Result<Option<StateLock>> {
    let file = private().read(true).write(true).create(true).open(folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(StateLock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The key of the folder, which is made where there is none.
fn own_key(folder: &Path, _lock: &StateLock) -> Result<Secret, StateError> {
    if let Some(key) = read_key(folder)? {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    write(folder, UNFINISHED_KEY, KEY, &[&key])?;
    Ok(Secret::new(key))
}

/// The key of the folder, which the process with the lock may be about to make.
fn key_of_another(folder: &Path) -> Result<Secret, StateError> {
    let begin = std::time::Instant::now();
    loop {
        if let Some(key) = read_key(folder)? {
            return Ok(key);
        }
        if begin.elapsed() > KEY_PATIENCE {
            return Err(
                io::Error::new(io::ErrorKind::NotFound, "another process has it, and no key in it").into()
            );
        }
        std::thread::sleep(KEY_ROUND);
    }
}

fn read_key(folder: &Path) -> Result<Option<Secret>, StateError> {
    let file = match File::open(folder.join(KEY)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let key = read(file, KEY_BYTES)?;
    if key.len() != KEY_BYTES {
        return Err(StateError::Damaged);
    }
    Ok(Some(Secret::new(key)))
}

/// All of a file that is its owner's alone.
fn read(file: File, max_bytes: usize) -> Result<Vec<u8>, StateError> {
    let metadata = file.metadata()?;
    if !is_private(&metadata) {
        return Err(StateError::Exposed);
    }
    if metadata.len() > max_bytes as u64 {
        return Err(StateError::TooLarge(metadata.len()));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file that is whole or not there, whatever happens meanwhile.
fn write(folder: &Path, unfinished: &str, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let unfinished = folder.join(unfinished);
    // What a process has left that was ended while it wrote may have other rights.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().write(true).create_new(true).open(&unfinished)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    drop(file);
    fs::rename(&unfinished, folder.join(name))?;
    sync_folder(folder)
}

#[cfg(unix)]
fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// How files are made that are for the process's user alone.
#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// How files are made. Here the folder says for whom they are.
#[cfg(not(unix))]
fn private() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(unix)]
fn is_private(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    metadata.is_file() && (metadata.permissions().mode() & 0o777) | 0o700 == 0o700
}

#[cfg(not(unix))]
fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.is_file()
}

/// Names of files are kept by their folder, which is written apart from them.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
