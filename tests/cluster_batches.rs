//! What comes together is sent to Redis together, and what stands there keeps its bounds.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::sync::{atomic::Ordering::SeqCst, mpsc};

use captify_hub::{
    Hub,
    config::HistoryLimits,
    document::store::Kind,
    ids::Id,
    room::publication::{Answer, Publication, Refusal},
};
use support::{
    PATIENCE, Server,
    app::App,
    clients::{acknowledged, join, numbered, send, updates},
    recovery::back,
    redis::{Redis, config, over, process},
};
use tokio_tungstenite::tungstenite::Message;

fn number(value: &redis::Value) -> u64 {
    let redis::Value::Int(number) = value else { panic!("{value:?}") };
    u64::try_from(*number).unwrap()
}

#[test]
fn what_a_client_writes_at_once_is_one_call_of_redis() {
    let redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    let before = redis.calls("evalsha");
    for id in 2..=9 {
        let text =
            format!(r#"{{"type":"update","documentId":"doc","update":"of {id}","id":{id},"ack":true}}"#);
        a.0.write(Message::text(text)).unwrap();
    }
    a.0.flush().unwrap();
    acknowledged(&mut a, 9);
    assert_eq!(updates(&mut b, 9), numbered(1..=9));
    assert_eq!(redis.calls("evalsha") - before, 1);
}

/// A process that keeps so much of a document.
fn keeping(redis: &Redis, history: HistoryLimits) -> Server {
    let config = captify_hub::Config { history, ..config() };
    Server { hub: Hub::start_cluster(config, &over(&redis.url()), Box::new(drop)).unwrap() }
}

#[test]
fn a_stream_keeps_its_bound_of_entries_and_most_of_what_may_stand_there() {
    let redis = Redis::start();
    let history = HistoryLimits { messages: 64, ..config().history };
    let (one, two) = (keeping(&redis, history), keeping(&redis, history));
    let ((mut a, _), (mut b, position)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    for id in 1..=200 {
        send(&mut a, id);
        acknowledged(&mut a, id);
        let length = number(&redis.command("XLEN hub:{doc}:log"));
        assert!(length <= 64 && length >= id.min(60), "{length} after {id}");
    }
    assert_eq!(updates(&mut b, 200), numbered(1..=200));
    drop(b);
    // A process that has not seen any of it has no gap.
    let three = keeping(&redis, history);
    let (mut again, _, word) = back(&three, "b", &position.at(140));
    assert_eq!(word["type"], "recovered", "{word}");
    assert_eq!(updates(&mut again, 60), numbered(141..=200));
}

#[test]
fn a_stream_keeps_its_bound_of_bytes_whatever_the_sizes_are() {
    const BYTES: usize = 8192;
    let redis = Redis::start();
    let history = HistoryLimits { bytes: BYTES, ..config().history };
    let one = keeping(&redis, history);
    let (mut a, _) = join(&one, "doc", "a");
    for id in 1..=120_u64 {
        let size = if id % 7 == 0 { 2000 } else { 20 };
        let text = "x".repeat(size);
        a.send(&format!(r#"{{"type":"update","documentId":"doc","update":"{text}","id":{id},"ack":true}}"#));
        acknowledged(&mut a, id);
        let redis::Value::Array(entries) = redis.command("XRANGE hub:{doc}:log - +") else {
            panic!("no list")
        };
        let sizes: Vec<_> = entries.iter().map(size_of_entry).collect();
        let bytes: usize = sizes.iter().sum();
        assert!(bytes <= BYTES, "{bytes} after {id}");
        // The one that went last did not fit.
        assert!(id < 60 || bytes > BYTES / 2, "{bytes} of {} after {id}", sizes.len());
        assert_eq!(number(&redis.command("XLEN hub:{doc}:log")), sizes.len() as u64);
        assert_eq!(counted(&redis), [sizes.len(), bytes]);
    }
}

#[test]
fn a_stream_that_has_expired_is_counted_anew() {
    let redis = Redis::start();
    let history = HistoryLimits { messages: 32, ..config().history };
    let one = keeping(&redis, history);
    let (mut a, _) = join(&one, "doc", "a");
    let mut publish = |ids: std::ops::RangeInclusive<u64>| {
        for id in ids {
            send(&mut a, id);
            acknowledged(&mut a, id);
        }
    };
    publish(1..=40);
    // As it is when it was said last that both stay, and that was long ago.
    redis.command("HSET hub:{doc}:meta x 1");
    redis.command("DEL hub:{doc}:log");
    publish(41..=60);
    assert_eq!(number(&redis.command("XLEN hub:{doc}:log")), 20);
    assert_eq!(counted(&redis)[0], 20);
    assert!(number(&redis.command("PTTL hub:{doc}:log")) > 0);
    publish(61..=100);
    let length = number(&redis.command("XLEN hub:{doc}:log"));
    assert!((30..=32).contains(&length), "{length}");
}

/// What the log of a document takes itself to have: entries, and bytes of them.
fn counted(redis: &Redis) -> [usize; 2] {
    ["l", "b"].map(|field| {
        let counted = redis.command(&format!("HGET hub:{{doc}}:meta {field}"));
        let redis::Value::BulkString(counted) = counted else { panic!("{counted:?}") };
        String::from_utf8(counted).unwrap().parse().unwrap()
    })
}

fn size_of_entry(entry: &redis::Value) -> usize {
    let redis::Value::Array(parts) = entry else { panic!("{entry:?}") };
    let redis::Value::Array(fields) = &parts[1] else { panic!("{entry:?}") };
    let redis::Value::BulkString(value) = &fields[1] else { panic!("{entry:?}") };
    value.len()
}

/// What the script answers that appends, to one publication that was published at a time, in milliseconds.
fn answer(redis: &Redis, published: u64, ttl: u64) -> String {
    let mut connection = redis.subscriber();
    let mut call = redis::cmd("EVAL");
    call.arg(include_str!("../src/cluster/append.lua")).arg(4);
    call.arg(&["hub:{doc}:meta", "hub:{doc}:log", "hub:{doc}:did:p", "hub:{doc}:kept"]);
    // Channel, process, batch, run, epoch, what was seen, nonce, leap, bounds and times.
    call.arg(&["hub:{doc}:said", "p", "1", "run", "e", "0", "n", "m", "100", "64", "8192"]);
    call.arg(ttl).arg(2 * ttl).arg(published).arg(1).arg(&["0", "", "", "x"]);
    let answered: Vec<redis::Value> = call.query(&mut connection).unwrap();
    redis::from_redis_value(answered[0].clone()).unwrap()
}

#[test]
fn what_was_published_before_anything_that_is_remembered_is_not_taken() {
    const TTL: u64 = 60_000;
    let redis = Redis::start();
    redis.command("HSET hub:{doc}:meta e e o 0 n n r run b 0");
    let now = u64::try_from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis(),
    )
    .unwrap();
    assert_eq!(answer(&redis, now - TTL - 1000, TTL), "old");
    assert_eq!(number(&redis.command("XLEN hub:{doc}:log")), 0);
    assert_eq!(answer(&redis, now - TTL + 30_000, TTL), "done");
    assert_eq!(number(&redis.command("XLEN hub:{doc}:log")), 1);
}

#[test]
fn messages_do_not_grow_the_stream_of_a_document_that_is_not_saved_without_a_bound() {
    const BYTES: usize = 8192;
    let (redis, app) = (Redis::start(), App::of(Kind::Steps));
    let history = HistoryLimits { bytes: BYTES, ..config().history };
    let one = app.process_with(captify_hub::Config { history, ..config() }, "one", &over(&redis.url()));
    let mut a = one.join("doc", "a");
    app.does_not_save.store(true, SeqCst);
    a.send(r#"{"type":"steps","version":0,"steps":[{"stepType":"w"}]}"#);
    let publish = || {
        let (tell, told) = mpsc::channel();
        let publication = Publication {
            answer: Some(Answer::new(move |outcome| tell.send(outcome).unwrap())),
            ..Publication::of_route_handler(
                None,
                format!(r#"{{"type":"notice","pad":"{}"}}"#, "x".repeat(1000)),
            )
        };
        one.hub.submit_opening(Id::new("doc").unwrap(), publication).unwrap();
        told.recv_timeout(PATIENCE).unwrap()
    };
    support::eventually("the step stands there", || number(&redis.command("XLEN hub:{doc}:log")) == 1);
    let refused = (0..100).find_map(|count| Some((count, publish().err()?)));
    assert_eq!(refused.map(|(_, refusal)| refusal), Some(Refusal::Full), "{refused:?}");
    let length = number(&redis.command("XLEN hub:{doc}:log"));
    assert!((5..=9).contains(&length), "{length}");
    // Once it is saved nothing needs what was said beside its steps.
    app.does_not_save.store(false, SeqCst);
    support::eventually("it takes messages again", || publish().is_ok());
    for _ in 0..100 {
        publish().unwrap();
    }
    assert!(number(&redis.command("XLEN hub:{doc}:log")) <= 9);
}
