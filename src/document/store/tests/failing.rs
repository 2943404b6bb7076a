use std::time::Duration;

use super::{
    super::{Store, StoreError, redb::RedbStore},
    append, create,
    disk::{Disk, Random},
    load,
    model::Model,
    out_of_order, put,
};

fn on(disk: &Disk) -> RedbStore {
    RedbStore::on(Box::new(disk.clone()), Duration::ZERO).unwrap()
}

#[test]
fn of_a_commit_that_failed_nothing_is_stored_whatever_the_disk_did() {
    let mut failures = 0;
    for seed in 1..=60 {
        let mut random = Random(seed);
        let disk = Disk::default();
        let mut store = on(&disk);
        let mut model = Model::default();
        for _ in 0..30 {
            if !disk.will_fail() {
                disk.fail_once_after(random.below(60), random.below(2) == 0);
            }
            let (lists, after) = model.lists(&mut random);
            match store.commit(&lists) {
                Ok(outcomes) => {
                    outcomes.into_iter().collect::<Result<(), _>>().unwrap();
                    model = after;
                    assert_eq!(Model::of_store(&mut store), model, "seed {seed}");
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::Io { .. }), "{error}");
                    failures += 1;
                    // Now and then the next open fails, too.
                    if random.below(2) == 0 {
                        disk.fail_once_after(random.below(20), random.below(2) == 0);
                    }
                    (0..3).find_map(|_| store.unsaved().ok()).unwrap();
                    let found = Model::of_store(&mut store);
                    assert!(
                        found.may_follow(&model, &after),
                        "seed {seed}: {found:#?}\nafter {model:#?}\nand {after:#?}"
                    );
                    model = found;
                }
            }
        }
        drop(store);
        disk.works_from_now_on();
        assert_eq!(Model::of_store(&mut on(&disk)), model, "seed {seed}");
    }
    assert!(failures > 300, "{failures}");
}

#[test]
fn a_full_disk_is_named_and_the_store_goes_on_when_there_is_room() {
    let disk = Disk::default();
    let mut store = on(&disk);
    put(&mut store, vec![create("a", 0, None)]);
    disk.has_room_for(Some(disk.len()));
    let mut position = 0;
    let error = loop {
        match store.commit(&[vec![append("a", position, 1)]]) {
            Ok(outcomes) => outcomes.into_iter().collect::<Result<(), _>>().unwrap(),
            Err(error) => break error,
        }
        position += 1;
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("a disk of a test"), "{error}");
    assert!(position > 10, "{position}");
    // What is there can be read.
    assert_eq!(load(&mut store, "a").position(), position);
    let again = store.commit(&[vec![append("a", position, 1), super::snapshot("a", position)]]);
    assert!(matches!(again, Err(StoreError::Full { .. })), "{again:?}");
    disk.has_room_for(None);
    assert_eq!(load(&mut store, "a").position(), position);
    assert_eq!(out_of_order(&mut store, append("a", position + 1, 1)), Some(position));
    put(&mut store, vec![append("a", position, 1)]);
    drop(store);
    assert_eq!(load(&mut on(&disk), "a").position(), position + 1);
}

#[test]
fn a_commit_is_one_sync_however_many_documents_it_has() {
    let disk = Disk::default();
    let mut store = on(&disk);
    let names: Vec<_> = (0..100).map(|number| format!("document {number}")).collect();
    for name in &names {
        put(&mut store, vec![create(name, 0, None)]);
    }
    let lists = |position| -> Vec<_> { names.iter().map(|name| vec![append(name, position, 1)]).collect() };
    // Until the file has grown to what it needs.
    for position in 0..10 {
        store.commit(&lists(position)).unwrap();
    }
    let before = disk.syncs();
    store.commit(&lists(10)).unwrap();
    assert_eq!(disk.syncs() - before, 1);
}

#[test]
fn what_another_process_has_built_on_a_failed_commit_stays() {
    let disk = Disk::default();
    let mut store = on(&disk);
    put(&mut store, vec![create("a", 0, None)]);
    // It is on the disk, but the disk says that it failed.
    let mut steps = 0;
    loop {
        disk.fail_once_after(steps, true);
        let outcome = store.commit(&[vec![append("a", 0, 1)]]);
        assert!(outcome.is_err(), "the last step of a commit is its sync, which was not found");
        let mut other = on(&disk);
        if load(&mut other, "a").position() == 1 {
            put(&mut other, vec![append("a", 1, 1)]);
            break;
        }
        drop(other);
        steps += 1;
    }
    assert_eq!(load(&mut store, "a").position(), 2);
    assert_eq!(out_of_order(&mut store, append("a", 0, 1)), Some(2));
}

#[test]
fn a_file_that_was_emptied_is_no_new_store_when_it_is_opened_again() {
    let disk = Disk::default();
    let mut store = on(&disk);
    put(&mut store, vec![create("a", 0, None)]);
    disk.fail_once_after(0, false);
    assert!(store.commit(&[vec![append("a", 0, 1)]]).is_err());
    disk.is_emptied();
    let error = store.load(&super::id("a")).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}
