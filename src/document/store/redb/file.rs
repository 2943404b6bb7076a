//! The file that a store is in.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ::redb::{Builder, Database, ReadableDatabase, backends::FileBackend};

use super::{failure::Failure, tables, write};
use crate::{document::store::StoreError, ids::Epoch};

/// Where the database is.
pub(in crate::document) trait Medium: Send + fmt::Debug {
    /// Opens the database, repairs it after a crash, and checks all of it. Waits for as long as `lock_wait` where somebody
    /// else has it.
    fn open(&self, lock_wait: Duration) -> Result<Database, StoreError>;

    /// Bytes it takes.
    fn bytes(&self) -> u64;

    /// Its file.
    fn path(&self) -> &Path;
}

/// Default of [`FileOptions::cache_bytes`]. redb's own is 1 GiB.
pub const DEFAULT_CACHE_BYTES: usize = 32 << 20;

/// Default of [`FileOptions::lock_wait`].
const DEFAULT_LOCK_WAIT: Duration = Duration::from_secs(15);

/// First and longest pause between two tries to lock the file.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Where a store is, and how it is opened.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// The file. It and the folders above it are made where there are none, for the process's user alone.
    pub path: PathBuf,
    /// Memory for what was read and for what is to be written, in bytes. Default 32 MiB.
    pub cache_bytes: usize,
    /// How long to wait for a process that still has the file, as one that ends while the next one starts. Default 15 s.
    pub lock_wait: Duration,
}

impl FileOptions {
    /// The defaults, for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), cache_bytes: DEFAULT_CACHE_BYTES, lock_wait: DEFAULT_LOCK_WAIT }
    }

    fn failed(&self, error: io::Error) -> StoreError {
        StoreError::of_io(&self.path, error)
    }

    /// Makes the file, with a store in it, where there is none.
    ///
    /// It gets its name when it is complete: a process that dies meanwhile leaves no file that is half a store. Not done
    /// when the file is opened again: one that was removed must not come back empty.
    pub(super) fn create_where_missing(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Whatever else is the matter, opening it says so.
            _ => return Ok(()),
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        make_folder(folder).map_err(|error| self.failed(error))?;
        let name = self.path.file_name().ok_or_else(|| self.failed(io::ErrorKind::IsADirectory.into()))?;
        let mut unfinished = name.to_owned();
        unfinished.push(format!(".{}.new", Epoch::random()));
        let unfinished = folder.join(unfinished);
        let made = self.make(&unfinished, folder);
        // Gone already, but where something failed.
        drop(fs::remove_file(&unfinished));
        made
    }

    fn make(&self, unfinished: &Path, folder: &Path) -> Result<(), StoreError> {
        let file = new_file(unfinished).map_err(|error| self.failed(error))?;
        self.open_in(file)
            .and_then(|database| {
                write::claim(&database)?;
                Ok(database.close()?)
            })
            .map_err(|failure| failure.at(&self.path))?;
        // Unlike a rename, a link never takes the place of what somebody else has put there meanwhile.
        match fs::hard_link(unfinished, &self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // A file system without links.
            Err(_) if !self.path.exists() => {
                fs::rename(unfinished, &self.path).map_err(|error| self.failed(error))?;
            }
            Err(error) => return Err(self.failed(error)),
        }
        // Else the file, or a folder that was made for it, may be gone after a loss of power.
        #[cfg(unix)]
        for folder in folder.ancestors().take(2).filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        // Without the check a file that was changed by others is trusted: what is read is wrong, or redb panics.
        builder.set_cache_size(self.cache_bytes).set_check_integrity_on_open(true);
        builder
    }

    fn open_in(&self, file: File) -> Result<Database, Failure> {
        Ok(self.builder().create_with_backend(backend(file)?)?)
    }

    /// Tries to open the file, once.
    fn try_open(&self) -> Result<Database, StoreError> {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_file() => {}
            Ok(found) => {
                let what = if found.is_dir() { "it is a folder" } else { "it is no file" };
                return Err(StoreError::Foreign { file: self.path.clone(), reason: what.to_owned() });
            }
            Err(error) => return Err(self.failed(error)),
        }
        self.look()?;
        let file =
            OpenOptions::new().read(true).write(true).open(&self.path).map_err(|error| self.failed(error))?;
        self.open_in(file).map_err(|failure| failure.at(&self.path))
    }

    /// Refuses somebody else's database without having written to it.
    ///
    /// One that was not closed well cannot be looked at; it is repaired first, as its owner would.
    fn look(&self) -> Result<(), StoreError> {
        let file = File::open(&self.path).map_err(|error| self.failed(error))?;
        if file.metadata().map_err(|error| self.failed(error))?.len() == 0 {
            return Ok(());
        }
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let database = self.builder().open_read_only_with_backend(backend(file)?)?;
            tables::is_ours(&database.begin_read()?)
        }));
        match looked {
            Ok(Err(Failure::Foreign(reason))) => Err(Failure::Foreign(reason).at(&self.path)),
            // Whatever else there is, the check of the whole file finds and names it.
            _ => Ok(()),
        }
    }
}

impl Medium for FileOptions {
    fn open(&self, lock_wait: Duration) -> Result<Database, StoreError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_open() {
                Err(StoreError::Locked { .. }) if started.elapsed() < lock_wait => {
                    if pause == FIRST_PAUSE {
                        log::info!("the store {} is in use; waiting for it", self.path.display());
                    }
                    // The system tells nobody when a lock is given up, short of blocking for it without end.
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Locks the file as a whole, against other processes and against other stores of this one.
fn backend(file: File) -> Result<FileBackend, Failure> {
    Ok(FileBackend::new(file)?)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
