use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use super::{
    super::{
        Outcomes, SetAside, Store, StoreError, Stored, Write,
        redb::{FileOptions, RedbStore},
        thread::{Rejected, StoreHandle},
    },
    Folder, append, create,
    disk::Disk,
    forget, id, open,
};
use crate::{ids::Id, sync::lock};

/// Longer than anything takes here.
const LONG: Duration = Duration::from_mins(1);

/// What a commit comes to.
#[derive(Debug)]
enum Ends {
    Well,
    Failing,
    Panicking,
}

/// A store whose commits end when a test says so, and how.
struct Scripted {
    ends: Receiver<Ends>,
    begun: Sender<usize>,
    /// What was done, in order.
    done: Arc<Mutex<Vec<String>>>,
}

struct Script {
    ends: Sender<Ends>,
    /// How many lists a commit has that begins.
    begun: Receiver<usize>,
    done: Arc<Mutex<Vec<String>>>,
}

fn scripted() -> (Scripted, Script) {
    let (say, ends) = channel();
    let (begun, see) = channel();
    let done = Arc::default();
    (Scripted { ends, begun, done: Arc::clone(&done) }, Script { ends: say, begun: see, done })
}

impl Store for Scripted {
    fn load(&mut self, document: &Id) -> Result<Option<Stored>, StoreError> {
        lock(&self.done).push(format!("load {}", document.text()));
        Ok(None)
    }

    fn commit(&mut self, lists: &[Vec<Write>]) -> Result<Outcomes, StoreError> {
        self.begun.send(lists.len()).unwrap();
        match self.ends.recv().unwrap() {
            Ends::Well => {
                lock(&self.done).push(format!("commit {}", lists.len()));
                Ok(lists.iter().map(|_| Ok(())).collect())
            }
            Ends::Failing => Err(StoreError::Full { file: "full".into() }),
            Ends::Panicking => panic!("a panic that the test asked for"),
        }
    }

    fn unsaved(&mut self) -> Result<Vec<Id>, StoreError> {
        panic!("a panic that the test asked for")
    }

    fn set_aside(&mut self, _: Option<&Id>) -> Result<Vec<SetAside>, StoreError> {
        Ok(vec![])
    }

    fn meta(&mut self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn bytes(&self) -> u64 {
        42
    }

    fn compact(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

fn start<S: Store + 'static>(open: impl FnOnce() -> Result<S, StoreError> + Send + 'static) -> StoreHandle {
    StoreHandle::start(1 << 20, open, |_| {}).unwrap()
}

/// What is told of calls, with the number of the call.
type Answers = Receiver<(u64, Result<(), Arc<StoreError>>)>;

fn write(
    handle: &StoreHandle,
    answers: &Sender<(u64, Result<(), Arc<StoreError>>)>,
    number: u64,
    write: Write,
) {
    let answers = answers.clone();
    handle.write(vec![write], move |_, outcome| answers.send((number, outcome)).unwrap()).unwrap();
}

fn next(answers: &Answers) -> (u64, Result<(), Arc<StoreError>>) {
    answers.recv_timeout(LONG).unwrap()
}

#[test]
fn what_comes_while_a_commit_runs_is_committed_together_and_answered_in_order() {
    let (store, script) = scripted();
    let handle = start(|| Ok(store));
    let (answer, answers) = channel();
    write(&handle, &answer, 0, forget("a"));
    assert_eq!(script.begun.recv_timeout(LONG).unwrap(), 1);
    for number in 1..=100 {
        write(&handle, &answer, number, forget(&format!("document {number}")));
    }
    script.ends.send(Ends::Well).unwrap();
    assert_eq!(script.begun.recv_timeout(LONG).unwrap(), 100);
    assert_eq!(next(&answers).0, 0);
    assert!(answers.try_recv().is_err(), "answered before it was stored");
    script.ends.send(Ends::Well).unwrap();
    for number in 1..=100 {
        let (found, outcome) = next(&answers);
        assert_eq!((found, outcome.is_ok()), (number, true));
    }
    assert!(handle.waiting_bytes() == 0 && handle.file_bytes() == 42);
}

#[test]
fn writes_are_given_back() {
    let (store, script) = scripted();
    let handle = start(|| Ok(store));
    let (answer, answers) = channel();
    let writes = vec![create("a", 0, Some("text")), append("a", 0, 1)];
    handle.write(writes.clone(), move |writes, _| answer.send(writes).unwrap()).unwrap();
    script.ends.send(Ends::Well).unwrap();
    assert_eq!(answers.recv_timeout(LONG).unwrap(), writes);
}

#[test]
fn a_commit_that_fails_or_panics_is_answered_and_the_next_is_tried() {
    let (store, script) = scripted();
    let handle = start(|| Ok(store));
    let (answer, answers) = channel();
    let commit = |ends| {
        write(&handle, &answer, 0, forget("a"));
        script.ends.send(ends).unwrap();
        next(&answers).1
    };
    assert!(matches!(*commit(Ends::Failing).unwrap_err(), StoreError::Full { .. }));
    assert!(matches!(*commit(Ends::Panicking).unwrap_err(), StoreError::Panicked));
    commit(Ends::Well).unwrap();
}

#[test]
fn a_panic_in_a_read_or_in_an_answer_ends_nothing_else() {
    let (store, script) = scripted();
    let handle = start(|| Ok(store));
    let (answer, answers) = channel();
    handle.write(vec![forget("a")], |_, _| panic!("a panic that the test asked for")).unwrap();
    script.ends.send(Ends::Well).unwrap();
    handle.unsaved(move |outcome| answer.send(outcome.map(drop)).unwrap()).unwrap();
    assert!(matches!(*answers.recv_timeout(LONG).unwrap().unwrap_err(), StoreError::Panicked));
    assert!(handle.close(LONG));
}

#[test]
fn a_read_waits_for_the_writes_of_its_own_document_alone() {
    let (store, script) = scripted();
    let handle = start(|| Ok(store));
    let (answer, _answers) = channel();
    write(&handle, &answer, 0, forget("first"));
    script.begun.recv_timeout(LONG).unwrap();
    write(&handle, &answer, 1, forget("a"));
    handle.load(id("b"), |_| {}).unwrap();
    handle.load(id("a"), |_| {}).unwrap();
    write(&handle, &answer, 2, forget("c"));
    for _ in 0..3 {
        script.ends.send(Ends::Well).unwrap();
    }
    assert!(handle.close(LONG));
    assert_eq!(*lock(&script.done), ["commit 1", "load b", "commit 1", "load a", "commit 1"]);
}

#[test]
fn more_than_may_wait_is_given_back_but_a_single_large_write_is_taken() {
    let (store, script) = scripted();
    let handle = StoreHandle::start(1000, || Ok(store), |_| {}).unwrap();
    let (answer, answers) = channel();
    write(&handle, &answer, 0, create("a", 0, Some(&"x".repeat(10_000))));
    let Rejected { writes, error } = handle.write(vec![forget("b")], |_, _| {}).unwrap_err();
    assert!(matches!((writes.as_slice(), error), ([Write::Forget { .. }], StoreError::Overloaded)));
    script.ends.send(Ends::Well).unwrap();
    next(&answers).1.unwrap();
    write(&handle, &answer, 1, forget("b"));
    script.ends.send(Ends::Well).unwrap();
    next(&answers).1.unwrap();
}

#[test]
fn a_store_that_cannot_be_opened_answers_everything_with_why() {
    let (tell, told) = channel();
    let folder = Folder::new();
    let path = folder.0.clone();
    let handle =
        StoreHandle::start(1000, move || open(&path), move |outcome| tell.send(outcome).unwrap()).unwrap();
    assert!(matches!(*told.recv_timeout(LONG).unwrap().unwrap_err(), StoreError::Foreign { .. }));
    let (answer, answers) = channel();
    write(&handle, &answer, 0, forget("a"));
    assert!(matches!(*next(&answers).1.unwrap_err(), StoreError::Foreign { .. }));
    handle.load(id("a"), move |outcome| answer.send((1, outcome.map(drop))).unwrap()).unwrap();
    assert!(matches!(*next(&answers).1.unwrap_err(), StoreError::Foreign { .. }));
    assert!(handle.close(LONG));
}

#[test]
fn closing_answers_what_was_asked_and_gives_the_file_free() {
    let folder = Folder::new();
    let options = FileOptions::new(folder.file());
    let handle = start(|| RedbStore::open(options));
    let (answer, answers) = channel();
    write(&handle, &answer, 0, create("a", 0, None));
    for number in 1..=100 {
        write(&handle, &answer, number, append("a", number - 1, 1));
    }
    assert!(handle.close(LONG));
    assert!((0..=100).all(|number| matches!(answers.try_recv(), Ok((found, Ok(()))) if found == number)));
    assert_eq!(super::load(&mut folder.open().unwrap(), "a").position(), 100);
    let Rejected { error, .. } = handle.write(vec![forget("a")], |_, _| {}).unwrap_err();
    assert!(matches!(error, StoreError::Closed));
    assert!(matches!(handle.flush(|_| {}), Err(StoreError::Closed)));
}

#[test]
fn the_last_handle_closes_the_store_behind_what_was_asked() {
    let folder = Folder::new();
    let options = FileOptions::new(folder.file());
    let handle = start(|| RedbStore::open(options));
    let (answer, answers) = channel();
    write(&handle, &answer, 0, create("a", 0, None));
    drop(handle.clone());
    write(&handle, &answer, 1, append("a", 0, 1));
    handle.flush(move |outcome| answer.send((2, outcome)).unwrap()).unwrap();
    drop(handle);
    assert!((0..=2).all(|number| matches!(next(&answers), (found, Ok(())) if found == number)));
    // Waits for the lock, which is given free behind the last answer.
    let mut store = RedbStore::open(FileOptions::new(folder.file())).unwrap();
    assert_eq!(super::load(&mut store, "a").position(), 1);
}

#[test]
fn behind_an_append_that_failed_no_other_of_its_document_is_stored() {
    let disk = Disk::default();
    let of_thread = disk.clone();
    let handle = start(move || RedbStore::on(Box::new(of_thread), Duration::ZERO));
    let (answer, answers) = channel();
    write(&handle, &answer, 0, create("a", 0, None));
    write(&handle, &answer, 1, create("b", 0, None));
    next(&answers).1.unwrap();
    next(&answers).1.unwrap();
    // The queue fills while a read holds the thread.
    let (go, may_go) = channel::<()>();
    handle.flush(move |_| may_go.recv().unwrap()).unwrap();
    disk.fail_once_after(0, false);
    write(&handle, &answer, 2, append("a", 0, 1));
    // Divides the two commits.
    handle.flush(|_| {}).unwrap();
    write(&handle, &answer, 3, append("a", 1, 1));
    write(&handle, &answer, 4, append("b", 0, 1));
    write(&handle, &answer, 5, append("a", 0, 2));
    go.send(()).unwrap();
    assert!(matches!(*next(&answers).1.unwrap_err(), StoreError::Io { .. }));
    assert!(matches!(*next(&answers).1.unwrap_err(), StoreError::OutOfOrder { position: Some(0), .. }));
    next(&answers).1.unwrap();
    next(&answers).1.unwrap();
    assert!(handle.close(LONG));
    let mut store = RedbStore::on(Box::new(disk), Duration::ZERO).unwrap();
    assert_eq!(super::load(&mut store, "a").position(), 2);
    assert_eq!(super::load(&mut store, "b").position(), 1);
}
