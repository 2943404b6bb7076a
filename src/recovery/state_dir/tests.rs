use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{KEY, STATE, StateDir, StateLock, UNFINISHED};
use crate::{
    config::Secret,
    ids::{ClientSessionId, Epoch, Id},
    recovery::{
        saved::{SavedClientSession, SavedRoom},
        shown::Shown,
        state_file::StateError,
    },
};

const WINDOW: Duration = Duration::from_mins(2);

/// A folder of a test, which ends with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hub-state-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// As a process opens it that is alone there.
    fn open(&self) -> (StateDir, StateLock) {
        let (folder, lock) = StateDir::open(&self.0, None).unwrap();
        (folder, lock.unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn rooms() -> Vec<SavedRoom> {
    let client_session =
        SavedClientSession { id: ClientSessionId::new(7), applied: 3, age: 10, shown: Shown::default() };
    vec![SavedRoom {
        document: Id::new("doc").unwrap(),
        epoch: Epoch::new(5),
        last: 9,
        log_position: None,
        empty_for: 0,
        publications: Vec::new(),
        client_sessions: vec![client_session],
    }]
}

#[test]
fn what_one_process_leaves_the_next_takes_once() {
    let folder = Folder::new("once");
    let secret = {
        let (first, lock) = folder.open();
        assert!(first.take(&lock, WINDOW).unwrap().is_none(), "nobody was there before");
        let left = first.leave(&lock, &rooms()).unwrap();
        assert_eq!((left.without_history, left.left_out), (0, 0));
        first.secret().clone()
    };
    let (second, lock) = folder.open();
    assert!(*second.secret() == secret, "tokens of the first are good");
    assert_eq!(second.take(&lock, WINDOW).unwrap().unwrap().rooms, rooms());
    assert!(second.take(&lock, WINDOW).unwrap().is_none());
    drop(lock);
    let (third, lock) = folder.open();
    assert!(third.take(&lock, WINDOW).unwrap().is_none(), "the second has ended without a word");
}

#[test]
fn two_processes_do_not_have_it_at_once() {
    let folder = Folder::new("two");
    let (first, lock) = folder.open();
    let (second, none) = StateDir::open(&folder.0, None).unwrap();
    assert!(none.is_none() && second.try_lock().unwrap().is_none());
    assert!(first.secret() == second.secret());
    first.leave(&lock, &rooms()).unwrap();
    drop(lock);
    let lock = second.try_lock().unwrap().unwrap();
    assert_eq!(second.take(&lock, WINDOW).unwrap().unwrap().rooms, rooms());
}

#[test]
fn an_apps_secret_needs_no_key_in_the_folder() {
    let folder = Folder::new("secret");
    let secret = Secret::new([3; 32]);
    {
        let (first, lock) = StateDir::open(&folder.0, Some(&secret)).unwrap();
        first.leave(&lock.unwrap(), &rooms()).unwrap();
    }
    assert!(!folder.0.join(KEY).exists());
    let (other, lock) = StateDir::open(&folder.0, Some(&Secret::new([4; 32]))).unwrap();
    assert!(matches!(other.take(&lock.unwrap(), WINDOW), Err(StateError::OtherKey)));
    assert!(!folder.0.join(STATE).exists(), "what is refused is not tried again");
}

#[test]
fn a_process_that_is_ended_while_it_writes_leaves_nothing() {
    let folder = Folder::new("unfinished");
    let (first, lock) = folder.open();
    fs::write(folder.0.join(UNFINISHED), b"half").unwrap();
    assert!(first.take(&lock, WINDOW).unwrap().is_none());
    first.leave(&lock, &rooms()).unwrap();
    assert!(!folder.0.join(UNFINISHED).exists());
    assert_eq!(first.take(&lock, WINDOW).unwrap().unwrap().rooms, rooms());
}

#[test]
fn a_state_that_is_too_large_is_not_read() {
    let folder = Folder::new("large");
    let (first, lock) = folder.open();
    first.leave(&lock, &rooms()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(folder.0.join(STATE)).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(first.take(&lock, WINDOW), Err(StateError::TooLarge(bytes)) if bytes == 1 << 40));
}

#[cfg(unix)]
mod rights {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{Folder, KEY, Path, STATE, StateDir, StateError, WINDOW, fs, rooms};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn expose(path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    #[test]
    fn all_of_it_is_for_its_owner_alone() {
        let folder = Folder::new("rights");
        let (first, lock) = folder.open();
        first.leave(&lock, &rooms()).unwrap();
        assert_eq!(mode(&folder.0), 0o700);
        for entry in fs::read_dir(&folder.0).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }

    #[test]
    fn a_state_or_a_key_that_others_may_read_is_refused() {
        let folder = Folder::new("exposed");
        {
            let (first, lock) = folder.open();
            first.leave(&lock, &rooms()).unwrap();
            expose(&folder.0.join(STATE));
            assert!(matches!(first.take(&lock, WINDOW), Err(StateError::Exposed)));
        }
        expose(&folder.0.join(KEY));
        assert!(matches!(StateDir::open(&folder.0, None), Err(StateError::Exposed)));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = Folder::new("link");
        let (first, lock) = folder.open();
        symlink("/dev/zero", folder.0.join(STATE)).unwrap();
        assert!(matches!(first.take(&lock, WINDOW), Err(StateError::Exposed)));
    }
}
