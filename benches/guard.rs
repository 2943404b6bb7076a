//! The hot path for fixed inputs, to be counted by callgrind; `scripts/guard.mjs` runs it and compares.
//!
//!     guard SCENARIO COUNT
//!
//! Everything is in lockstep: the next input is sent when the last one has had all its effects, so the hub's threads do
//! the same work in every run. What COUNT repetitions cost is the difference between two runs. The main thread is the clients, and is not counted; what is counted are the hub's threads
//! and those that this file starts.

#![expect(clippy::unwrap_used, reason = "a benchmark has nobody to pass an error to")]

mod support;

use std::{
    hint::black_box,
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use bytes::Bytes;
use captify_hub::{
    connection::{batch::QueuePolicy, outbox::Outbox},
    ids::{ConnectionId, Id, Topic},
    protocol,
    websocket::decoder::{Codec, Decoder},
};
use support::{Call, PAYLOAD_BYTES, Server, publication_bytes, update};

fn main() {
    // The first is the program's own name.
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [scenario, count] = arguments.as_slice() else { return };
    let count = count.parse().unwrap();
    match scenario.as_str() {
        "decode" => apart(move || decode(count)),
        "outbox" => apart(move || outbox(count)),
        "fanout" => fan_out(1, 100, 1, count),
        "batch" => fan_out(1, 100, 8, count),
        "documents" => fan_out(20, 10, 1, count),
        "many-documents" => fan_out(200, 10, 1, count),
        "publish" => publish(count),
        "room" => room(count),
        "connect" => connect(count),
        other => panic!("no scenario {other}"),
    }
}

/// Runs `work` on a thread that is counted.
fn apart(work: impl FnOnce() + Send + 'static) {
    thread::spawn(work).join().unwrap();
}

/// Bytes to messages to the frame for the others.
fn decode(count: usize) {
    let (document, client) = (Id::new("document-0").unwrap(), Id::new("client-0").unwrap());
    let input = update("document-0");
    let (mut codec, mut decoder) = (Codec::new(1 << 20), Decoder::default());
    let mut replies = Vec::new();
    let mut out = bytes::BytesMut::with_capacity(4096);
    for _ in 0..count {
        out.clear();
        let decoded = decoder.decode(&mut codec, black_box(&input), &mut replies, |message, _| {
            let text = message.to_text().unwrap();
            match protocol::parse(text, &document, 1000).unwrap() {
                protocol::ClientMessage::Publish { topic, payload, version, .. } => {
                    let offset = Some(1000);
                    protocol::put_publication(&mut out, &document, &client, topic, payload, version, offset);
                }
                protocol::ClientMessage::Sync
                | protocol::ClientMessage::Session
                | protocol::ClientMessage::Ack => {
                    unreachable!("an update was sent")
                }
            }
        });
        decoded.unwrap();
        black_box(&out);
    }
}

/// What waits for a slow member: an update, and cursors of which only the newest stays.
fn outbox(count: usize) {
    let frame = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let mut outbox = Outbox::default();
    for number in 0..count as u64 {
        let sender = Some(ConnectionId::new(number % 8));
        outbox.push(frame.clone(), sender, QueuePolicy::Reliable);
        outbox.push(frame.clone(), sender, QueuePolicy::Latest(Topic::Awareness));
        if outbox.bytes() > 64 << 10 {
            outbox.advance(black_box(32 << 10));
        }
    }
}

/// Every document's first member sends `together` updates in one write, `count` times; documents take turns.
fn fan_out(documents: usize, members: usize, together: usize, count: usize) {
    let server = Server::start();
    let mut rooms: Vec<Vec<TcpStream>> = (0..documents)
        .map(|document| (0..members).map(|member| server.join(document, member)).collect())
        .collect();
    let input: Vec<_> =
        (0..documents).map(|number| update(&format!("document-{number}")).repeat(together)).collect();
    let mut buffer = Vec::new();
    for number in 0..count {
        let document = number % documents;
        let before = number / documents * together;
        let offsets = before + 1..=before + together;
        buffer.resize(offsets.map(|offset| publication_bytes(document, offset)).sum(), 0);
        let (sender, others) = rooms[document].split_first_mut().unwrap();
        sender.write_all(&input[document]).unwrap();
        for member in others {
            member.read_exact(&mut buffer).unwrap();
        }
    }
    drop(rooms);
    server.stop();
}

/// A route handler's message to the 100 members of a document.
fn publish(count: usize) {
    let server = Server::start();
    let mut members: Vec<_> = (0..100).map(|member| server.join(0, member)).collect();
    let message = format!(r#"{{"type":"steps","steps":["{}"]}}"#, "s".repeat(PAYLOAD_BYTES));
    let mut buffer = Vec::new();
    for offset in 1..=count {
        server.node(Call::Publish(message.clone()));
        buffer.resize(4 + message.len() + format!(r#","offset":{offset}"#).len(), 0);
        for member in &mut members {
            member.read_exact(&mut buffer).unwrap();
        }
    }
    drop(members);
    server.stop();
}

/// A handler's message to the 100 members of a room.
fn room(count: usize) {
    let server = Server::start();
    server.node(Call::Serve);
    let mut members: Vec<_> = (0..100).map(|_| server.watch()).collect();
    server.node(Call::Join);
    let message = "c".repeat(PAYLOAD_BYTES);
    let mut buffer = vec![0; 4 + message.len()];
    for _ in 0..count {
        server.node(Call::PublishToRoom(message.clone()));
        for member in &mut members {
            member.read_exact(&mut buffer).unwrap();
        }
    }
    drop(members);
    server.stop();
}

/// A client comes, is told that it is connected, and goes.
fn connect(count: usize) {
    let server = Server::start();
    let _stays = server.join(0, 0);
    for _ in 0..count {
        drop(server.join(0, 1));
        server.wait_for_members(1);
    }
    server.stop();
}
