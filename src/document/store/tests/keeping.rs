use crate::ids::ClientSessionId;

use super::{
    super::{LastNumber, MAX_ASIDE, MAX_NUMBERS},
    *,
};

#[test]
fn a_document_is_there_again_when_the_file_is_opened_again() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    let whole = Entry {
        before: 12,
        count: 3,
        client: id("tab \"1\""),
        number: Some(u64::MAX),
        user: Some("Ada".to_owned()),
        change_id: Some("\"c\"".to_owned()),
        body: "[{\"stepType\":\"replace\"},{},{}]".to_owned(),
        offset: 9,
        client_session: Some(ClientSessionId::new(u64::MAX)),
    };
    let bare = Entry {
        before: 15,
        count: 1,
        client: id("tab 2"),
        number: None,
        user: None,
        change_id: None,
        body: String::new(),
        offset: 11,
        client_session: None,
    };
    put(&mut store, vec![create("a", 12, Some("{\"type\":\"doc\"}"))]);
    put(&mut store, vec![Write::Append { document: id("a"), entry: whole.clone() }]);
    put(&mut store, vec![Write::Append { document: id("a"), entry: bare.clone() }]);
    let expected = Stored {
        kind: Kind::Steps,
        epoch: Epoch::new(7),
        base: 12,
        snapshot: Some("{\"type\":\"doc\"}".to_owned()),
        entries: vec![whole, bare],
        numbers: vec![],
        saved: 12,
        saving: None,
        offset: 0,
        passing: None,
    };
    assert_eq!(load(&mut store, "a"), expected);
    drop(store);
    let mut store = folder.open().unwrap();
    assert_eq!(load(&mut store, "a"), expected);
    assert_eq!(expected.position(), 16);
    assert_eq!(store.load(&id("b")).unwrap(), None);
}

#[test]
fn documents_whose_ids_begin_alike_are_kept_apart() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    for document in ["a", "a ", "aa", "aé"] {
        put(&mut store, vec![create(document, 0, None), append(document, 0, 1), append(document, 1, 1)]);
    }
    put(&mut store, vec![snapshot("a", 2)]);
    put(&mut store, vec![forget("aa")]);
    assert_eq!(load(&mut store, "a").entries, vec![]);
    assert_eq!(load(&mut store, "a ").entries.len(), 2);
    assert_eq!(load(&mut store, "aé").entries.len(), 2);
    assert_eq!(store.load(&id("aa")).unwrap(), None);
}

#[test]
fn a_snapshot_takes_the_place_of_the_entries_before_it() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    put(&mut store, vec![create("a", 0, None), append("a", 0, 2), append("a", 2, 1), append("a", 3, 4)]);
    put(&mut store, vec![snapshot("a", 3)]);
    let stored = load(&mut store, "a");
    assert_eq!((stored.base, stored.snapshot.as_deref(), stored.position()), (3, Some("at 3"), 7));
    assert_eq!(stored.entries.iter().map(|entry| entry.before).collect::<Vec<_>>(), [3]);
    put(&mut store, vec![append("a", 7, 1)]);
    drop(store);
    assert_eq!(load(&mut folder.open().unwrap(), "a").position(), 8);
}

#[test]
fn a_snapshot_stands_between_entries() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    put(&mut store, vec![create("a", 0, None), append("a", 0, 2), append("a", 2, 3)]);
    assert_eq!(out_of_order(&mut store, snapshot("a", 1)), Some(5));
    assert_eq!(out_of_order(&mut store, snapshot("a", 6)), Some(5));
    put(&mut store, vec![snapshot("a", 5)]);
    assert_eq!(out_of_order(&mut store, snapshot("a", 2)), Some(5));
    assert_eq!(load(&mut store, "a").base, 5);
}

#[test]
fn the_last_number_of_a_client_outlives_its_entries() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    let by =
        |before, client, number| Write::Append { document: id("a"), entry: entry(before, 1, client, number) };
    put(&mut store, vec![create("a", 0, None), by(0, "x", 1), by(1, "y", 1), by(2, "x", 2)]);
    put(&mut store, vec![snapshot("a", 3)]);
    put(&mut store, vec![by(3, "z", 9), by(4, "y", 2), by(5, "x", 3)]);
    put(&mut store, vec![snapshot("a", 5)]);
    let last = |client, number, after| LastNumber { client: id(client), number, after };
    assert_eq!(load(&mut store, "a").numbers, [last("x", 2, 3), last("z", 9, 4), last("y", 2, 5)]);
}

#[test]
fn numbers_are_kept_of_those_who_were_heard_last() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    let many = MAX_NUMBERS as u64 + 5;
    put(&mut store, vec![create("a", 0, None)]);
    let by = |at| Write::Append { document: id("a"), entry: entry(at, 1, &format!("tab {at}"), at) };
    put(&mut store, (0..many).map(by).collect());
    put(&mut store, vec![snapshot("a", many)]);
    let numbers = load(&mut store, "a").numbers;
    assert_eq!(numbers.len(), MAX_NUMBERS);
    assert_eq!((numbers[0].after, numbers[MAX_NUMBERS - 1].after), (6, many));
}

#[test]
fn what_was_saved_is_noted_and_a_save_that_was_begun_shows() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    put(&mut store, vec![create("a", 0, None), append("a", 0, 2), append("a", 2, 2)]);
    put(&mut store, vec![create("b", 5, None)]);
    assert_eq!(store.unsaved().unwrap(), [id("a")]);
    put(&mut store, vec![saving("a", 2)]);
    drop(store);
    let mut store = folder.open().unwrap();
    assert_eq!((load(&mut store, "a").saved, load(&mut store, "a").saving), (0, Some(2)));
    put(&mut store, vec![saved("a", 2)]);
    assert_eq!((load(&mut store, "a").saved, load(&mut store, "a").saving), (2, None));
    assert_eq!(store.unsaved().unwrap(), [id("a")]);
    put(&mut store, vec![saving("a", 4), saved("a", 4)]);
    assert_eq!(store.unsaved().unwrap(), []);
    put(&mut store, vec![saved("a", 2)]);
    assert_eq!(load(&mut store, "a").saved, 4);
    assert_eq!(out_of_order(&mut store, saved("a", 5)), Some(4));
    assert_eq!(out_of_order(&mut store, saving("a", 5)), Some(4));
}

#[test]
fn an_entry_that_does_not_fit_is_refused_alone() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    let lists = [
        vec![create("a", 0, None), append("a", 0, 1)],
        vec![append("a", 2, 1)],
        vec![append("b", 0, 1)],
        // All of a list or nothing.
        vec![append("a", 1, 1), append("a", 1, 1)],
        vec![append("a", 1, 0)],
        vec![append("a", 1, 1)],
    ];
    let outcomes = store.commit(&lists).unwrap();
    let positions: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(()) => None,
            Err(StoreError::OutOfOrder { position, .. }) => Some(position),
            Err(other) => panic!("{other}"),
        })
        .collect();
    assert_eq!(positions, [None, Some(Some(1)), Some(None), Some(Some(2)), Some(Some(1)), None]);
    assert_eq!(load(&mut store, "a").position(), 2);
    assert_eq!(store.load(&id("b")).unwrap(), None);
}

#[test]
fn a_document_that_is_kept_is_not_created_again_but_may_be_replaced_in_one_go() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    put(&mut store, vec![create("a", 0, None), append("a", 0, 2)]);
    assert_eq!(out_of_order(&mut store, create("a", 0, None)), Some(2));
    let old = Write::SetAside {
        document: id("a"),
        reason: "somebody else wrote".to_owned(),
        body: "the old log".to_owned(),
    };
    put(&mut store, vec![old, forget("a"), create("a", 40, Some("theirs")), append("a", 40, 1)]);
    drop(store);
    let mut store = folder.open().unwrap();
    let stored = load(&mut store, "a");
    assert_eq!((stored.base, stored.snapshot.as_deref(), stored.position()), (40, Some("theirs"), 41));
    let aside = store.set_aside(Some(&id("a"))).unwrap();
    assert_eq!((aside.len(), aside[0].reason.as_str()), (1, "somebody else wrote"));
    assert_eq!(aside[0].body, "the old log");
    assert!(aside[0].at > 1_700_000_000_000);
}

#[test]
fn nothing_is_left_of_a_document_that_is_forgotten_but_what_was_put_aside() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    let aside = Write::SetAside { document: id("a"), reason: "why".to_owned(), body: "what".to_owned() };
    put(&mut store, vec![create("a", 0, None), append("a", 0, 1), append("a", 1, 1), aside]);
    put(&mut store, vec![snapshot("a", 1), forget("a"), forget("never there")]);
    assert_eq!(store.load(&id("a")).unwrap(), None);
    assert_eq!(store.unsaved().unwrap(), []);
    put(&mut store, vec![create("a", 1, None)]);
    let stored = load(&mut store, "a");
    assert_eq!((stored.snapshot, stored.entries, stored.numbers), (None, vec![], vec![]));
    assert_eq!(store.set_aside(None).unwrap().len(), 1);
}

#[test]
fn what_is_put_aside_is_bounded_by_document_and_in_all() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    let aside = |document, reason: usize, bytes: usize| Write::SetAside {
        document: id(document),
        reason: reason.to_string(),
        body: "x".repeat(bytes),
    };
    put(&mut store, vec![aside("b", 0, 1)]);
    for number in 0..MAX_ASIDE + 3 {
        put(&mut store, vec![aside("a", number, 1)]);
    }
    let reasons = |store: &mut RedbStore, document| -> Vec<String> {
        let found = store.set_aside(Some(&id(document))).unwrap();
        found.into_iter().map(|aside| aside.reason).collect()
    };
    assert_eq!(
        reasons(&mut store, "a"),
        (3..MAX_ASIDE + 3).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(reasons(&mut store, "b"), ["0"]);
    put(&mut store, vec![aside("c", 0, super::super::MAX_ASIDE_BYTES)]);
    assert_eq!(store.set_aside(None).unwrap().len(), 1);
    put(&mut store, vec![aside("d", 0, 1)]);
    assert_eq!(reasons(&mut store, "d"), ["0"]);
    assert_eq!(store.set_aside(None).unwrap().len(), 1);
}

#[test]
fn bytes_are_kept_under_a_name() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    assert_eq!(store.meta("key").unwrap(), None);
    put(&mut store, vec![Write::Meta { name: "key".to_owned(), value: vec![1] }]);
    put(&mut store, vec![Write::Meta { name: "key".to_owned(), value: vec![0, 255] }]);
    drop(store);
    assert_eq!(folder.open().unwrap().meta("key").unwrap(), Some(vec![0, 255]));
}

#[test]
fn a_position_never_passes_the_largest_number() {
    let folder = Folder::new();
    let mut store = folder.open().unwrap();
    put(&mut store, vec![create("a", u64::MAX - 1, None), append("a", u64::MAX - 1, 1)]);
    assert_eq!(out_of_order(&mut store, append("a", u64::MAX, 1)), Some(u64::MAX));
}
