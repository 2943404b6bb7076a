//! What comes together is sent to Redis together, and what stands there keeps its bounds.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use captify_hub::{Hub, config::HistoryLimits};
use support::{
    Server,
    clients::{acknowledged, join, numbered, send, updates},
    recovery::back,
    redis::{Redis, config, over, process},
};
use tokio_tungstenite::tungstenite::Message;

fn number(value: &redis::Value) -> u64 {
    let redis::Value::Int(number) = value else { panic!("{value:?}") };
    u64::try_from(*number).unwrap()
}

/// Calls of the scripts since the server began.
fn calls(redis: &Redis) -> u64 {
    let redis::Value::BulkString(said) = redis.command("INFO commandstats") else { panic!("no text") };
    let said = String::from_utf8(said).unwrap();
    let calls = said.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    calls.unwrap().split(',').next().unwrap().parse().unwrap()
}

#[test]
fn what_a_client_writes_at_once_is_one_call_of_redis() {
    let redis = Redis::start();
    let (one, two) = (process(&over(&redis.url())), process(&over(&redis.url())));
    let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    send(&mut a, 1);
    acknowledged(&mut a, 1);
    let before = calls(&redis);
    for id in 2..=9 {
        let text =
            format!(r#"{{"type":"update","documentId":"doc","update":"of {id}","id":{id},"ack":true}}"#);
        a.0.write(Message::text(text)).unwrap();
    }
    a.0.flush().unwrap();
    acknowledged(&mut a, 9);
    assert_eq!(updates(&mut b, 9), numbered(1..=9));
    assert_eq!(calls(&redis) - before, 1);
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
