use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Message, SILENCE, Table, Teller};
use crate::{
    admission::elsewhere::{About, Census},
    ids::Id,
};

fn about() -> About {
    About { host: "høst".to_owned(), pid: 7, since: 1_700_000_000_000, version: "0.1.0".to_owned() }
}

fn census(documents: &[(&str, usize)], users: &[(&str, usize)]) -> Census {
    Census {
        connections: documents.iter().map(|(_, count)| count).sum(),
        documents: documents.iter().map(|(id, count)| (Id::new(id).unwrap(), *count)).collect(),
        users: users.iter().map(|(user, count)| ((*user).into(), *count)).collect(),
    }
}

/// Tells a table what a process says, over the wire; returns whether that has missed something.
fn hear(table: &mut Table, messages: &[Message]) -> bool {
    let mut misses = false;
    for message in messages {
        match Message::parse(&message.encode()).unwrap() {
            Message::Tells(tells) => misses |= table.hear(tells),
            Message::Leaves { process } => table.leave(process),
            Message::Asks { .. } => {}
        }
    }
    misses
}

fn documents(table: &Table) -> HashMap<Arc<str>, usize> {
    let mut documents = HashMap::new();
    table.add_documents(&mut documents);
    documents
}

#[test]
fn only_what_has_changed_is_told_and_what_is_0_is_forgotten() {
    let (mut teller, mut table) = (Teller::default(), Table::default());
    let first = census(&[("a", 2), ("b", 1)], &[("anna", 3)]);
    assert!(!hear(&mut table, &teller.tell(1, &about(), &first, true, false)));
    assert_eq!((table.of_document("a"), table.of_document("c"), table.of_user("anna")), (2, 0, 3));
    assert_eq!(teller.tell(1, &about(), &first, false, false), []);
    let messages = teller.tell(1, &about(), &census(&[("a", 5)], &[("anna", 3)]), false, false);
    let [Message::Tells(tells)] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((tells.changed.documents.len(), tells.changed.users.len()), (2, 0));
    assert!(!hear(&mut table, &messages));
    assert_eq!(documents(&table), HashMap::from([("a".into(), 5)]));
    let [process] = &table.processes()[..] else { panic!("one process") };
    assert_eq!((process.id, process.connections, process.documents), (1, 5, 1));
    assert_eq!(process.about, about());
}

#[test]
fn who_has_missed_something_asks_and_is_told_everything() {
    let (mut teller, mut table) = (Teller::default(), Table::default());
    let lost = teller.tell(1, &about(), &census(&[("a", 1)], &[]), true, false);
    let next = teller.tell(1, &about(), &census(&[("a", 1), ("b", 1)], &[]), false, false);
    assert!(hear(&mut table, &next), "it was never told what was there before");
    drop(lost);
    let anew = teller.tell(1, &about(), &census(&[("a", 1), ("b", 1)], &[]), true, false);
    assert!(!hear(&mut table, &anew));
    assert_eq!(documents(&table).len(), 2);
    drop(teller.tell(1, &about(), &census(&[("a", 1)], &[]), false, false));
    let alive = teller.tell(1, &about(), &census(&[("a", 1)], &[]), false, true);
    assert!(hear(&mut table, &alive), "what says only that it is there shows it, too");
}

#[test]
fn ten_thousand_documents_are_told_in_messages_of_bounded_size() {
    let (mut teller, mut table) = (Teller::default(), Table::default());
    let all = Census {
        connections: 10_000,
        documents: (0..10_000).map(|n| (Id::new(&format!("document number {n}")).unwrap(), 1)).collect(),
        users: Vec::new(),
    };
    let messages = teller.tell(1, &about(), &all, true, false);
    assert!(messages.len() > 2);
    assert!(messages.iter().all(|message| message.encode().len() < 66 << 10));
    assert!(!hear(&mut table, &messages));
    assert_eq!(documents(&table).len(), 10_000);
}

#[test]
fn a_process_that_is_silent_or_leaves_counts_no_more() {
    let mut table = Table::default();
    for process in [1, 2] {
        hear(&mut table, &Teller::default().tell(process, &about(), &census(&[("a", 1)], &[]), true, false));
    }
    assert_eq!(table.of_document("a"), 2);
    hear(&mut table, &[Message::Leaves { process: 2 }]);
    assert_eq!(table.of_document("a"), 1);
    table.0.values_mut().for_each(|of| of.heard -= SILENCE + Duration::from_secs(1));
    assert_eq!((table.of_document("a"), table.processes().len()), (0, 0));
    table.forget_silent();
    assert_eq!(table.0.len(), 0);
}

#[test]
fn what_is_cut_or_of_another_version_is_not_read() {
    let messages = Teller::default().tell(1, &about(), &census(&[("a", 1)], &[("u", 1)]), true, false);
    let whole = messages[0].encode();
    let parsed = Message::parse(&whole).unwrap();
    for length in 0..whole.len() {
        assert_ne!(Message::parse(&whole[..length]), Some(parsed.clone()), "{length}");
    }
    assert_eq!(Message::parse(&[&[2], &whole[1..]].concat()), None);
    for message in [Message::Asks { of: 0, by: 4 }, Message::Leaves { process: 3 }] {
        assert_eq!(Message::parse(&message.encode()), Some(message));
    }
}
