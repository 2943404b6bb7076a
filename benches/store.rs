//! What the store of documents costs on a disk, beside what the disk itself can do.
//!
//!   cargo bench --no-default-features --bench store [-- FOLDER]
//!
//! Rounds of four, one after the other, so that a disk that is busy elsewhere is so for all: a bare loop that writes 4 KiB and
//! syncs; appends to 1,000 documents with a commit each; the same with what has come meanwhile in one commit; and one document
//! alone, whose next append is asked for when the last was stored. The figures are medians of the rounds.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark has nobody else to tell"
)]

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::channel,
    },
    time::{Duration, Instant},
};

use captify_hub::{
    document::store::{
        Entry, Kind, Store, Write,
        redb::{FileOptions, RedbStore},
        thread::StoreHandle,
    },
    ids::{Epoch, Id},
};

const DOCUMENTS: u64 = 1000;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// About what a character that somebody types is as a step.
const BODY: &str =
    r#"[{"stepType":"replace","from":1042,"to":1042,"slice":{"content":[{"type":"text","text":"x"}]}}]"#;

const NAMES: [&str; 6] = [
    "write and sync, µs",
    "write and sync p99, µs",
    "a commit each, batches/s",
    "together, batches/s",
    "one document, µs",
    "one document p99, µs",
];

/// Ratios of two of them: taken in each round, since both meet the same disk then.
const RATIOS: [(&str, usize, usize); 2] =
    [("together / a commit each", 3, 2), ("one document p99 / sync p99", 5, 1)];

fn main() {
    let folder = std::env::args().nth(1).filter(|argument| argument != "--bench");
    let folder =
        folder.map_or_else(std::env::temp_dir, PathBuf::from).join(format!("hub-store-{}", Epoch::random()));
    fs::create_dir(&folder).unwrap();
    let mut rounds: Vec<[f64; 6]> = Vec::new();
    for number in 0..ROUNDS {
        let (sync, sync_p99) = bare(&folder.join(format!("bare {number}")));
        let each = one_by_one(&folder.join(format!("each {number}")));
        let together = together(&folder.join(format!("together {number}")));
        let (alone, alone_p99) = alone(&folder.join(format!("alone {number}")));
        rounds.push([sync, sync_p99, each, together, alone, alone_p99]);
        eprintln!("{:?}", rounds[number].map(f64::round));
    }
    let median = |of: &dyn Fn(&[f64; 6]) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let figures = NAMES.iter().enumerate().map(|(at, name)| (*name, median(&|round| round[at])));
    let ratios = RATIOS.iter().map(|(name, of, by)| (*name, median(&|round| round[*of] / round[*by])));
    for (name, value) in figures.chain(ratios) {
        println!("{name}: {value:.3}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// The median and the 99th percentile, in microseconds.
fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
    (at(50), at(99))
}

/// Writes behind the end of a file and syncs, as a log does.
fn bare(path: &Path) -> (f64, f64) {
    let mut file = File::create(path).unwrap();
    let (started, mut times) = (Instant::now(), Vec::new());
    while started.elapsed() < ROUND {
        let begun = Instant::now();
        file.write_all(&[0x55; 4096]).unwrap();
        file.sync_data().unwrap();
        times.push(begun.elapsed());
    }
    percentiles(times)
}

fn document(number: u64) -> Id {
    Id::new(&format!("project/{number}/notes")).unwrap()
}

fn append(document: &Id, before: u64) -> Write {
    let client = Id::new("3f1c0b9e-tab").unwrap();
    let entry = Entry {
        before,
        count: 1,
        client,
        number: Some(before),
        user: Some("ada@example.com".to_owned()),
        change_id: None,
        body: BODY.to_owned(),
        offset: before + 1,
        client_session: None,
    };
    Write::Append { document: document.clone(), entry }
}

fn open(path: &Path) -> RedbStore {
    let mut store = RedbStore::open(FileOptions::new(path)).unwrap();
    let create = |number| Write::Create {
        document: document(number),
        kind: Kind::Steps,
        epoch: Epoch::new(number),
        base: 0,
        snapshot: Some(BODY.repeat(20)),
        saved: 0,
        offset: 0,
    };
    for outcome in store.commit(&[(0..DOCUMENTS).map(create).collect()]).unwrap() {
        outcome.unwrap();
    }
    store
}

fn one_by_one(path: &Path) -> f64 {
    let mut store = open(path);
    let (started, mut stored) = (Instant::now(), 0);
    while started.elapsed() < ROUND {
        let write = append(&document(stored % DOCUMENTS), stored / DOCUMENTS);
        store.commit(&[vec![write]]).unwrap().remove(0).unwrap();
        stored += 1;
    }
    rate(stored, started)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn rate(count: u64, started: Instant) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}

/// One append of each document is under way at any time.
fn together(path: &Path) -> f64 {
    let store = open(path);
    let handle = StoreHandle::start(64 << 20, || Ok(store), |_| {}).unwrap();
    let (stored, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let started = Instant::now();
    for number in 0..DOCUMENTS {
        again(handle.clone(), document(number), 0, Arc::clone(&stored), Arc::clone(&ends));
    }
    std::thread::sleep(ROUND);
    ends.store(true, Relaxed);
    let rate = rate(stored.load(Relaxed), started);
    assert!(handle.close(Duration::from_mins(1)));
    rate
}

fn again(handle: StoreHandle, document: Id, before: u64, stored: Arc<AtomicU64>, ends: Arc<AtomicBool>) {
    let write = append(&document, before);
    let next = handle.clone();
    // Refused only when it is closed.
    drop(handle.write(vec![write], move |_, outcome| {
        outcome.unwrap();
        stored.fetch_add(1, Relaxed);
        if !ends.load(Relaxed) {
            again(next, document, before + 1, stored, ends);
        }
    }));
}

fn alone(path: &Path) -> (f64, f64) {
    let store = open(path);
    let handle = StoreHandle::start(64 << 20, || Ok(store), |_| {}).unwrap();
    let (started, mut times, document) = (Instant::now(), Vec::new(), document(0));
    while started.elapsed() < ROUND {
        let (answer, answers) = channel();
        let begun = Instant::now();
        handle
            .write(vec![append(&document, times.len() as u64)], move |_, outcome| {
                answer.send(outcome).unwrap()
            })
            .unwrap();
        answers.recv().unwrap().unwrap();
        times.push(begun.elapsed());
    }
    percentiles(times)
}
