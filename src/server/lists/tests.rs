//! Lists of more than a test can have sockets for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use super::{Filter, List, Query, Sort};
use crate::{
    Config, Hub,
    connection::{Connection, thread::TICKS_PER_TURN},
    ids::{ClientSessionId, ConnectionId, Id},
    recovery::Remembered,
    room::opening::OpenedBy,
    shard::Work,
};

const CONNECTIONS: u64 = 100_000;
const DOCUMENTS: u64 = 2000;

fn hub_with(connections: u64, documents: u64) -> Hub {
    // A clock that closes and pings nobody while this is looked at.
    let config = Config { threads: 1, heartbeat: None, ..Config::default() };
    let hub = Hub::start(config).unwrap();
    let (told, done) = mpsc::channel();
    let (thread, rooms) = (Arc::clone(hub.shared.shards[0].thread()), Arc::clone(&hub.shared.rooms));
    let fill = move || {
        let documents: Vec<_> =
            (0..documents).map(|number| Id::new(&format!("document-{number}")).unwrap()).collect();
        let mut members = Vec::new();
        for number in 1..=connections {
            let id = ConnectionId::new(number);
            let connection = Arc::new(Connection::new(id, Some(0), b"101".to_vec(), 1 << 20, 0));
            thread.add(Arc::clone(&connection));
            if let Some(document) = documents.get(usize::try_from(number).unwrap() % documents.len().max(1)) {
                let room = rooms.open(document.clone(), OpenedBy::default);
                let client = Id::new(&format!("client-{number}")).unwrap();
                members.push(
                    room.join(connection, client, None, None, Remembered::Here, ClientSessionId::new(number))
                        .0,
                );
            }
        }
        // They are members until the end of the test.
        std::mem::forget(members);
        told.send(()).unwrap();
    };
    hub.shared.shards[0].push(Work::Do("filling a hub", Box::new(fill)));
    done.recv_timeout(Duration::from_mins(1)).unwrap();
    hub
}

/// A list with its pieces in it.
fn whole(List { about, name, pieces }: &List) -> serde_json::Value {
    let mut whole: serde_json::Value = serde_json::from_str(about).unwrap();
    let entries =
        pieces.iter().flat_map(|piece| serde_json::from_str::<Vec<serde_json::Value>>(piece).unwrap());
    whole[name] = entries.collect();
    whole
}

/// How long this thread has worked: what others on the same processors do is no part of it.
#[cfg(target_os = "linux")]
fn working_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the standard library has no such clock")]
    // SAFETY: the pointer is to a value that outlives the call, which only writes it.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(outcome, 0);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// The time, where a system does not say how long a thread has worked.
#[cfg(not(target_os = "linux"))]
fn working_time() -> Duration {
    Duration::from_nanos(crate::admission::rate::now())
}

/// What a list says, how often the others of the thread had their turn meanwhile, and how long the thread has worked at most
/// between two of these.
fn watched(hub: &Hub, ask: impl FnOnce(super::Tell)) -> (serde_json::Value, usize, Duration) {
    let (turns, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (told, longest) = mpsc::channel();
    let (counted, over) = (Arc::clone(&turns), Arc::clone(&is_over));
    hub.shared.shards[0].handle().spawn(async move {
        let (mut longest, mut last) = (Duration::ZERO, working_time());
        while !over.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
            let now = working_time();
            longest = longest.max(now.saturating_sub(std::mem::replace(&mut last, now)));
            counted.fetch_add(1, Ordering::Relaxed);
        }
        told.send(longest).unwrap();
    });
    let (tell, list) = mpsc::channel();
    let before = turns.load(Ordering::Relaxed);
    ask(Box::new(move |list| tell.send(list).unwrap()));
    let list = list.recv_timeout(Duration::from_mins(1)).unwrap();
    let turns = turns.load(Ordering::Relaxed) - before;
    is_over.store(true, Ordering::Release);
    let longest = longest.recv_timeout(Duration::from_secs(10)).unwrap();
    (whole(&list), turns, longest)
}

fn query(limit: usize, sort: Sort) -> Query {
    Query { limit, sort, filter: Filter::default() }
}

#[test]
fn a_list_of_100_000_connections_lets_the_others_have_their_turns() {
    let hub = hub_with(CONNECTIONS, DOCUMENTS);
    for sort in [Sort::Newest, Sort::Waiting, Sort::Idle] {
        let began = Instant::now();
        let (list, turns, longest) =
            watched(&hub, |tell| hub.list_connections(query(1000, sort), tell).unwrap());
        println!(
            "connections by {sort:?}: {:?}, {turns} turns, at most {longest:?} at once",
            began.elapsed()
        );
        assert_eq!(
            (list["total"].as_u64(), list["connections"].as_array().unwrap().len()),
            (Some(CONNECTIONS), 1000)
        );
        assert!(turns >= usize::try_from(CONNECTIONS).unwrap() / TICKS_PER_TURN, "{turns}");
    }
    for sort in [Sort::Members, Sort::Waiting, Sort::Id] {
        let began = Instant::now();
        let (list, turns, longest) =
            watched(&hub, |tell| hub.list_documents(query(1000, sort), tell).unwrap());
        println!("documents by {sort:?}: {:?}, {turns} turns, at most {longest:?} at once", began.elapsed());
        assert_eq!(
            (list["total"].as_u64(), list["documents"].as_array().unwrap().len()),
            (Some(DOCUMENTS), 1000)
        );
        assert_eq!(list["documents"][0]["members"], CONNECTIONS / DOCUMENTS);
    }
    let first = hub.list_connections(query(2, Sort::Oldest), |list| {
        let list = whole(&list);
        assert_eq!(
            (&list["connections"][0]["id"], &list["connections"][1]["id"]),
            (&"1".into(), &"2".into())
        );
    });
    first.unwrap();
}

#[test]
fn a_document_with_20_000_members_is_looked_at_in_slices_and_shows_a_thousand_of_them() {
    let hub = hub_with(20_000, 1);
    let document = Id::new("document-0").unwrap();
    let (inside, turns, longest) =
        watched(&hub, |tell| hub.inspect_document(document, |list| tell(list.unwrap())).unwrap());
    println!("a document of 20,000: {turns} turns, at most {longest:?} at once");
    assert_eq!(
        (inside["members"].as_u64(), inside["memberList"].as_array().unwrap().len()),
        (Some(20_000), 1000)
    );
    assert!(turns > 2, "{turns}");
}

#[test]
fn who_asks_while_the_hub_ends_is_told_that_there_is_no_list() {
    let hub = hub_with(100_000, 0);
    let (tell, list) = mpsc::channel();
    hub.list_connections(query(10, Sort::Newest), move |list| tell.send(list).unwrap()).unwrap();
    drop(hub);
    // Either it was made before the end, or it is known that there will be none; nobody waits for ever.
    let outcome = list.recv_timeout(Duration::from_secs(10));
    assert_ne!(outcome, Err(mpsc::RecvTimeoutError::Timeout));
}
