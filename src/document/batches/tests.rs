use super::{Batch, Batches};
use crate::ids::Id;

fn batch(before: u64, client: &str, number: Option<u64>, types: &[&str]) -> Batch {
    let steps: Vec<_> = types.iter().map(|each| format!(r#"{{"stepType":"{each}"}}"#)).collect();
    Batch {
        offset: 0,
        client_session: None,
        before,
        count: u32::try_from(types.len()).unwrap(),
        client: Id::new(client).unwrap(),
        number,
        change_id: None,
        steps: format!("[{}]", steps.join(",")).into(),
    }
}

/// Versions 10 to 15: a two, b two, a one.
fn batches() -> Batches {
    let mut batches = Batches::new(10);
    batches.push(batch(10, "a", Some(1), &["r", "s"]));
    batches.push(batch(12, "b \"2\"", None, &["t", "u"]));
    batches.push(batch(14, "a", Some(2), &["v"]));
    batches
}

fn read(batches: &Batches, version: u64) -> Option<(String, String)> {
    let since = batches.steps_since(version)?;
    Some((since.steps.concat().replace(r#"{"stepType":"#, "").replace('}', ""), since.client_ids.concat()))
}

#[test]
fn steps_are_read_from_every_version_on_with_one_client_each() {
    let batches = batches();
    for (version, steps, clients) in [
        (10, r#"["r","s","t","u","v"]"#, r#"["a","a","b \"2\"","b \"2\"","a"]"#),
        (11, r#"["s","t","u","v"]"#, r#"["a","b \"2\"","b \"2\"","a"]"#),
        (12, r#"["t","u","v"]"#, r#"["b \"2\"","b \"2\"","a"]"#),
        (13, r#"["u","v"]"#, r#"["b \"2\"","a"]"#),
        (14, r#"["v"]"#, r#"["a"]"#),
        (15, "[]", "[]"),
    ] {
        assert_eq!(read(&batches, version), Some((steps.to_owned(), clients.to_owned())), "{version}");
    }
    assert_eq!((read(&batches, 9), read(&batches, 16)), (None, None));
}

#[test]
fn the_batches_behind_a_version_begin_with_the_one_that_it_is_in() {
    let batches = batches();
    let since = |version| Some(batches.since(version)?.map(|batch| batch.before).collect::<Vec<_>>());
    assert_eq!(since(11), Some(vec![10, 12, 14]));
    assert_eq!(since(12), Some(vec![12, 14]));
    assert_eq!(since(15), Some(vec![]));
    assert_eq!(since(16), None);
}

#[test]
fn what_is_trimmed_is_gone_but_no_part_of_a_batch() {
    let mut batches = batches();
    let bytes = batches.bytes();
    batches.trim(11);
    assert_eq!((batches.start(), batches.bytes()), (10, bytes));
    batches.trim(13);
    assert_eq!((batches.start(), batches.len()), (12, 2));
    assert!(batches.bytes() < bytes);
    assert!(read(&batches, 11).is_none() && read(&batches, 12).is_some());
    batches.trim(u64::MAX);
    assert_eq!((batches.start(), batches.version(), batches.bytes()), (15, 15, 0));
    assert!(batches.is_empty() && read(&batches, 15).is_some() && read(&batches, 14).is_none());
}

#[test]
fn a_duplicate_has_the_same_client_number_and_version() {
    let mut batches = batches();
    let [a, b] = ["a", "b \"2\""].map(|id| Id::new(id).unwrap());
    assert!(batches.is_duplicate(10, &a, 1) && batches.is_duplicate(14, &a, 2));
    for (version, client, number) in
        [(10, &a, 2), (11, &a, 1), (14, &a, 1), (12, &b, 1), (15, &a, 2), (0, &a, 1)]
    {
        assert!(!batches.is_duplicate(version, client, number), "{version} {client:?} {number}");
    }
    batches.trim(12);
    assert!(!batches.is_duplicate(10, &a, 1));
}

#[test]
fn bytes_are_those_of_the_batches_that_are_there() {
    let mut batches = Batches::new(10);
    assert_eq!(batches.bytes(), 0);
    let (first, second) = (batch(10, "a", None, &["r"]), batch(11, "a", None, &["r", "s"]));
    let (one, two) = (first.bytes(), second.bytes());
    batches.push(first);
    batches.push(second);
    assert_eq!(batches.bytes(), one + two);
    batches.trim(11);
    assert_eq!(batches.bytes(), two);
}

#[test]
#[should_panic(expected = "batches follow each other")]
fn a_gap_is_not_taken() {
    batches().push(batch(16, "a", None, &["r"]));
}
