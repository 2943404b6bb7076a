use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use ::redb::{Database, TableDefinition};

use super::{
    super::{Store, StoreError, Stored, redb::FileOptions, redb::RedbStore},
    Folder, append, create, id, load, open, put, snapshot,
};

/// A file with a store that holds something, and what that is.
fn written() -> (Folder, Stored) {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    put(&mut store, vec![create("a", 0, Some("begun"))]);
    for position in 0..50 {
        put(&mut store, vec![append("a", position, 1)]);
    }
    put(&mut store, vec![snapshot("a", 20)]);
    let stored = load(&mut store, "a");
    (folder, stored)
}

/// Why a file cannot be opened; and that it is as it was.
fn refused(folder: &Folder) -> StoreError {
    let before = fs::read(folder.file()).unwrap();
    let error = folder.open().err().unwrap();
    assert!(fs::read(folder.file()).unwrap() == before, "the file was written to: {error}");
    assert!(error.to_string().contains(folder.file().to_str().unwrap()), "{error}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "something was left beside it");
    error
}

#[test]
fn a_text_file_stays_what_it_is() {
    let folder = Folder::new();
    for text in ["x", "my own notes\n", &"long ".repeat(50_000)] {
        fs::write(folder.file(), text).unwrap();
        let error = refused(&folder);
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    }
}

#[test]
fn another_programs_database_stays_what_it_is() {
    const THEIRS: TableDefinition<u64, u64> = TableDefinition::new("theirs");
    let folder = Folder::new();
    let database = Database::create(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(THEIRS).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(&folder);
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
}

#[test]
fn a_store_of_a_newer_version_stays_what_it_is() {
    const OURS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("captify-hub");
    let (folder, _) = written();
    let database = Database::open(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    let format = 2_u64.to_be_bytes();
    transaction.open_table(OURS).unwrap().insert(b"format".as_slice(), format.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(&folder);
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[test]
fn an_empty_file_and_an_empty_database_become_a_store() {
    let folder = Folder::new();
    fs::write(folder.file(), "").unwrap();
    put(&mut folder.open().unwrap(), vec![create("a", 0, None)]);
    fs::remove_file(folder.file()).unwrap();
    drop(Database::create(folder.file()).unwrap());
    put(&mut folder.open().unwrap(), vec![create("a", 0, None)]);
}

#[test]
fn a_folder_in_the_place_of_the_file_is_named() {
    let folder = Folder::new();
    let error = open(&folder.0).err().unwrap();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("it is a folder"), "{error}");
}

#[test]
fn a_path_that_leads_through_a_file_is_named() {
    let folder = Folder::new();
    fs::write(folder.0.join("file"), "").unwrap();
    let path = folder.0.join("file/documents.redb");
    let error = open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn where_nothing_may_be_written_that_is_said() {
    // Nobody makes a folder there, root neither.
    let error = open(&PathBuf::from("/sys/hub/documents.redb")).err().unwrap();
    assert!(matches!(error, StoreError::Forbidden { .. }), "{error:?}");
    assert!(error.to_string().contains("/sys/hub/documents.redb"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_written_is_named_unless_the_user_may_do_everything() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _) = written();
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new().write(true).open(folder.file()).is_ok() {
        eprintln!("not tried: this user may write what nobody may");
        return;
    }
    let error = refused(&folder);
    assert!(matches!(error, StoreError::Forbidden { .. }), "{error:?}");
}

#[cfg(unix)]
#[test]
fn the_file_and_its_folders_are_the_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.0.join("made/also made/documents.redb");
    drop(open(&path).unwrap());
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.clone()), 0o600);
    assert_eq!((mode(folder.0.join("made")), mode(folder.0.join("made/also made"))), (0o700, 0o700));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "something was left beside it");
}

#[test]
fn a_file_that_was_cut_short_is_damaged() {
    let (folder, _) = written();
    let bytes = fs::read(folder.file()).unwrap();
    for length in [bytes.len() / 2, bytes.len() - 1, 4096, 400, 64] {
        fs::write(folder.file(), &bytes[..length]).unwrap();
        let error = refused(&folder);
        assert!(matches!(error, StoreError::Damaged { .. }), "{length} bytes of {}: {error:?}", bytes.len());
    }
}

#[test]
fn a_byte_that_is_another_is_found_or_does_not_matter() {
    let (folder, stored) = written();
    let bytes = fs::read(folder.file()).unwrap();
    let (mut found, mut does_not_matter) = (0, 0);
    // All of the header, and what comes behind it in steps that no page's size is a multiple of.
    for at in (0..320).chain((320..bytes.len()).step_by(211)) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x41;
        fs::write(folder.file(), &changed).unwrap();
        match folder.open() {
            Ok(mut store) => {
                assert_eq!(load(&mut store, "a"), stored, "byte {at}");
                does_not_matter += 1;
            }
            Err(StoreError::Damaged { .. } | StoreError::Foreign { .. }) => found += 1,
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    assert!(found > 30 && does_not_matter > 30, "{found} found, {does_not_matter} do not matter");
}

#[test]
fn the_file_is_made_once_though_several_want_it() {
    let folder = Folder::new();
    let all: Vec<_> = (0..8)
        .map(|number| {
            let options = FileOptions::new(folder.0.join("made/documents.redb"));
            thread::spawn(move || {
                put(
                    &mut RedbStore::open(options).unwrap(),
                    vec![create(&format!("document {number}"), 0, None)],
                );
            })
        })
        .collect();
    for opening in all {
        opening.join().unwrap();
    }
    let mut store = open(&folder.0.join("made/documents.redb")).unwrap();
    assert!((0..8).all(|number| store.load(&id(&format!("document {number}"))).unwrap().is_some()));
}

#[test]
fn two_stores_do_not_have_one_file() {
    let folder = Folder::new();
    let first = folder.open().unwrap();
    let error = folder.open().err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    drop(first);
    folder.open().unwrap();
}

/// A process that has the file open until it is killed.
struct Holder(Child);

impl Holder {
    fn of(folder: &Folder) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--nocapture", "--exact", "document::store::tests::file::hold"])
            .env("HUB_TEST_STORE", folder.file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("held")), "the process has not begun");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "what another test's process does"]
fn hold() {
    let mut store = open(&PathBuf::from(std::env::var_os("HUB_TEST_STORE").unwrap())).unwrap();
    put(&mut store, vec![create("a", 0, None), append("a", 0, 1)]);
    println!("held");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_process_that_still_has_the_file_is_waited_for() {
    let folder = Folder::new();
    let holder = Holder::of(&folder);
    let error = folder.open().err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    let options = FileOptions { lock_wait: Duration::from_mins(1), ..FileOptions::new(folder.file()) };
    let waiting =
        thread::spawn(move || RedbStore::open(options).map(|mut store| load(&mut store, "a").position()));
    // Killed while it has the file, so that it is repaired as well.
    drop(holder);
    assert_eq!(waiting.join().unwrap().unwrap(), 1);
}

#[test]
fn a_file_with_little_in_it_is_compacted_when_it_is_opened() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    let text = "x".repeat(1 << 20);
    for number in 0..8 {
        put(&mut store, vec![create(&format!("document {number}"), 0, Some(&text))]);
    }
    for number in 0..7 {
        put(&mut store, vec![super::forget(&format!("document {number}"))]);
    }
    let before = store.bytes();
    drop(store);
    let mut store = folder.open().unwrap();
    assert!(before > 8 << 20 && store.bytes() < 5 << 20, "{before} bytes, then {}", store.bytes());
    assert_eq!(load(&mut store, "document 7").snapshot.unwrap().len(), 1 << 20);
    assert_eq!(store.load(&id("document 6")).unwrap(), None);
}
