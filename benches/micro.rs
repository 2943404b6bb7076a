//! What the parts of the hot path take, in time: `cargo bench --no-default-features`. To compare two states of the code
//! use `npm run guard`, which a busy machine does not disturb.

#![expect(clippy::unwrap_used, reason = "a benchmark has nobody to pass an error to")]

mod support;

use std::{
    hint::black_box,
    io::{Read, Write},
};

use bytes::{Bytes, BytesMut};
use captify_hub::{
    connection::{batch::QueuePolicy, outbox::Outbox},
    ids::{ConnectionId, Id, Topic},
    protocol,
    websocket::decoder::{Codec, Decoder},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::{PAYLOAD_BYTES, Server, publication_bytes, update};

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for count in [1, 8, 64] {
        let input = update("document-0").repeat(count);
        let (mut codec, mut decoder) = (Codec::new(1 << 20), Decoder::default());
        let mut replies = Vec::new();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("frames read at once", count), |bencher| {
            bencher.iter(|| {
                decoder.decode(&mut codec, black_box(&input), &mut replies, |message, _| {
                    black_box(message);
                })
            });
        });
    }
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let document = Id::new("document-0").unwrap();
    let mut group = criterion.benchmark_group("parse");
    for length in [150, 1500, 15_000] {
        let payload = "u".repeat(length);
        let text = format!(r#"{{"type":"update","documentId":"document-0","update":"{payload}"}}"#);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("update of bytes", length), |bencher| {
            bencher.iter(|| black_box(protocol::parse(black_box(&text), &document, 1000)).is_ok());
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let (document, client) = (Id::new("document-0").unwrap(), Id::new("client-0").unwrap());
    let payload = format!(r#""{}""#, "u".repeat(PAYLOAD_BYTES));
    let mut out = BytesMut::with_capacity(4096);
    criterion.bench_function("encode a publication", |bencher| {
        bencher.iter(|| {
            out.clear();
            protocol::put_publication(
                &mut out,
                &document,
                &client,
                Topic::Update,
                black_box(&payload),
                "",
                Some(1000),
            );
        });
    });
}

fn outbox(criterion: &mut Criterion) {
    let frame = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let mut outbox = Outbox::default();
    let mut number = 0;
    criterion.bench_function("outbox, an update and a cursor", |bencher| {
        bencher.iter(|| {
            number += 1;
            let sender = Some(ConnectionId::new(number % 8));
            outbox.push(frame.clone(), sender, QueuePolicy::Reliable);
            outbox.push(frame.clone(), sender, QueuePolicy::Latest(Topic::Awareness));
            if outbox.bytes() > 64 << 10 {
                outbox.advance(32 << 10);
            }
        });
    });
}

/// From the sender's write until the last member has read it, clients and kernel included.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("room fan-out");
    for members in [2, 10, 100] {
        let server = Server::start();
        let mut room: Vec<_> = (0..members).map(|member| server.join(0, member)).collect();
        let input = update("document-0");
        let mut buffer = Vec::new();
        let mut offset = 0;
        group.throughput(Throughput::Elements(members as u64 - 1));
        group.bench_function(BenchmarkId::new("members", members), |bencher| {
            bencher.iter(|| {
                offset += 1;
                buffer.resize(publication_bytes(0, offset), 0);
                let (sender, others) = room.split_first_mut().unwrap();
                sender.write_all(&input).unwrap();
                for member in others {
                    member.read_exact(&mut buffer).unwrap();
                }
            });
        });
        drop(room);
        server.stop();
    }
    group.finish();
}

criterion_group!(benches, decode, parse, encode, outbox, fan_out);
criterion_main!(benches);
