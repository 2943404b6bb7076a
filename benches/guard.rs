//! The hot path for fixed inputs, to be counted by callgrind; `scripts/guard.mjs` runs it and compares.
//!
//!     guard SCENARIO COUNT
//!
//! Everything is in lockstep: the next input is sent when the last one has had all its effects, so the hub's threads do
//! the same work in every run. What COUNT repetitions cost is the difference between two runs. The main thread is the clients, and is not counted; what is counted are the hub's threads
//! and those that this file starts.

#![expect(clippy::unwrap_used, reason = "a benchmark has nobody to pass an error to")]

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use bytes::Bytes;
use captify_hub::{
    Config, Hub,
    accept::Incoming,
    batch::Keep,
    connection::ConnectionId,
    decoder::{Codec, Decoder},
    handshake::Upgrade,
    outbox::Outbox,
    protocol::{self, Id, Topic},
};

/// Bytes of the payload of an update.
const PAYLOAD_BYTES: usize = 150;

fn main() {
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
                protocol::ClientMessage::Sync | protocol::ClientMessage::Ack => {
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
        outbox.push(frame.clone(), sender, Keep::Every);
        outbox.push(frame.clone(), sender, Keep::Newest(Topic::Awareness));
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

/// What the thread that stands for Node is asked to do.
enum Call {
    Accept(TcpStream, String),
    Publish(String),
    Close,
}

struct Server {
    hub: Arc<Hub>,
    listener: TcpListener,
    calls: mpsc::Sender<Call>,
    node: thread::JoinHandle<()>,
}

impl Server {
    fn start() -> Self {
        // No heartbeat, so that the clock has nothing to do, and the figures none of it.
        let config = Config { threads: 1, heartbeat: None, ..Config::default() };
        let hub = Arc::new(Hub::start(config).unwrap());
        let (calls, asked) = mpsc::channel();
        let of_node = Arc::clone(&hub);
        let node = thread::spawn(move || {
            for call in asked {
                match call {
                    Call::Accept(stream, lines) => {
                        let upgrade = Upgrade::from_lines(&lines);
                        of_node.accept(Incoming { stream, upgrade, early: Vec::new() }).unwrap();
                    }
                    Call::Publish(message) => {
                        of_node.publish("document-0", None, &message).unwrap();
                    }
                    Call::Close => {
                        of_node.close(Duration::from_secs(10));
                    }
                }
            }
        });
        Self { hub, listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), calls, node }
    }

    fn node(&self, call: Call) {
        self.calls.send(call).unwrap();
    }

    /// A member that has been told that it is connected.
    fn join(&self, document: usize, member: usize) -> TcpStream {
        let mut client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let lines = format!(
            "GET\n/ws/fabric?documentId=document-{document}&clientID=client-{member}\n1.1\nHost\nlocalhost\n\
             Connection\nUpgrade\nUpgrade\nwebsocket\nSec-WebSocket-Version\n13\nSec-WebSocket-Key\n\
             dGhlIHNhbXBsZSBub25jZQ=="
        );
        self.node(Call::Accept(stream, lines));
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        // The answer to the handshake, and behind it the first message, which ends the only object there is.
        while !heard.ends_with(b"}") {
            let read = client.read(&mut buffer).unwrap();
            assert!(read > 0, "the hub closed the connection");
            heard.extend_from_slice(&buffer[..read]);
        }
        client
    }

    /// Asks on the main thread, where asking is not counted.
    fn wait_for_members(&self, count: usize) {
        while self.hub.connection_count("document-0") != count {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn stop(self) {
        let Self { calls, node, .. } = self;
        calls.send(Call::Close).unwrap();
        drop(calls);
        node.join().unwrap();
    }
}

/// An update as a client sends it, masked.
fn update(document: &str) -> Vec<u8> {
    let payload = "u".repeat(PAYLOAD_BYTES);
    let text = format!(r#"{{"type":"update","documentId":"{document}","update":"{payload}"}}"#);
    let mask = [0x12, 0x34, 0x56, 0x78];
    let length = u16::try_from(text.len()).unwrap();
    assert!((126..).contains(&length));
    let mut frame = vec![0x81, 0xfe];
    frame.extend(length.to_be_bytes());
    frame.extend(mask);
    frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Bytes of the frame that the others get.
fn publication_bytes(document: usize, offset: usize) -> usize {
    let document = Id::new(&format!("document-{document}")).unwrap();
    let mut out = bytes::BytesMut::new();
    let payload = format!(r#""{}""#, "u".repeat(PAYLOAD_BYTES));
    let client = Id::new("client-0").unwrap();
    protocol::put_publication(&mut out, &document, &client, Topic::Update, &payload, "", Some(offset as u64));
    out.len()
}
