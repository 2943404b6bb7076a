//! A hub with real sockets, in lockstep with its clients, and the messages they send.

#![allow(dead_code, clippy::allow_attributes, reason = "each benchmark uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a benchmark has nobody to pass an error to")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "shared by several benchmarks")]

use std::{
    io::Read,
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use captify_hub::{
    Config, Hub,
    admission::limits::Limits,
    admission::rate::Rate,
    handlers::{EventQueue, Events, HandlerEndpoint, Notifier},
    ids::{Id, Topic},
    protocol,
    server::accept::Incoming,
    websocket::handshake::Request,
};

/// Bytes of the payload of an update.
pub const PAYLOAD_BYTES: usize = 150;

/// What the thread that stands for Node is asked to do.
pub enum Call {
    Accept(TcpStream, String),
    Publish(String),
    /// Serves the handler whose clients [`Server::watch`] connects.
    Serve,
    /// Makes all of these members of a room.
    Join,
    PublishToRoom(String),
    Close,
}

const HANDLER: &str = "/ws/handler";

/// A handler that looks for its events when it likes.
struct Deaf;

impl Notifier for Deaf {
    fn notify(&self) {}
}

pub struct Server {
    hub: Arc<Hub>,
    listener: TcpListener,
    calls: mpsc::Sender<Call>,
    node: thread::JoinHandle<()>,
}

impl Server {
    pub fn start() -> Self {
        // No heartbeat, so that the clock has nothing to do, and the figures none of it.
        // Limits are looked at, and out of reach.
        let most = Rate::new(1_000_000_000, 1_000_000_000);
        let limits = Limits { messages: most, bytes: most, ..Limits::default() };
        let config = Config { threads: 1, heartbeat: None, limits, ..Config::default() };
        let hub = Arc::new(Hub::start(config).unwrap());
        let (calls, asked) = mpsc::channel();
        let of_node = Arc::clone(&hub);
        let node = thread::spawn(move || {
            let queue = Arc::new(EventQueue::new(Box::new(Deaf), of_node.config()));
            for call in asked {
                match call {
                    Call::Accept(stream, lines) => {
                        let upgrade = Request::from_lines(&lines).into();
                        of_node.accept(Incoming { stream, upgrade, early: Vec::new() }).unwrap();
                    }
                    Call::Publish(message) => {
                        of_node.publish("document-0", None, &message).unwrap();
                    }
                    Call::Serve => of_node.serve(Arc::new(HandlerEndpoint::new(HANDLER, Arc::clone(&queue)))),
                    Call::Join => {
                        let mut events = Events::new();
                        queue.take(&mut events);
                        for (id, _) in events {
                            queue.connection(id).unwrap().join("room", usize::MAX).unwrap();
                        }
                    }
                    Call::PublishToRoom(message) => {
                        queue.publish_text(HANDLER, "room", &message, None).unwrap();
                        queue.flush();
                    }
                    Call::Close => {
                        of_node.close(Duration::from_secs(10));
                    }
                }
            }
        });
        Self { hub, listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), calls, node }
    }

    pub fn node(&self, call: Call) {
        self.calls.send(call).unwrap();
    }

    /// A member that has been told that it is connected.
    pub fn join(&self, document: usize, member: usize) -> TcpStream {
        // The answer to the handshake, and behind it the first message, which ends the only object there is.
        self.connect(&format!("/ws/fabric?documentId=document-{document}&clientID=client-{member}"), b"}")
    }

    /// A connection of the handler.
    pub fn watch(&self) -> TcpStream {
        self.connect(HANDLER, b"\r\n\r\n")
    }

    /// A client that has heard what ends so.
    fn connect(&self, target: &str, end: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let lines = format!(
            "GET\n{target}\n1.1\nHost\nlocalhost\n\
             Connection\nUpgrade\nUpgrade\nwebsocket\nSec-WebSocket-Version\n13\nSec-WebSocket-Key\n\
             dGhlIHNhbXBsZSBub25jZQ=="
        );
        self.node(Call::Accept(stream, lines));
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        while !heard.ends_with(end) {
            let read = client.read(&mut buffer).unwrap();
            assert!(read > 0, "the hub closed the connection");
            heard.extend_from_slice(&buffer[..read]);
        }
        client
    }

    /// Asks on the main thread, where asking is not counted.
    pub fn wait_for_members(&self, count: usize) {
        while self.hub.connection_count("document-0") != count {
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn stop(self) {
        let Self { calls, node, .. } = self;
        calls.send(Call::Close).unwrap();
        drop(calls);
        node.join().unwrap();
    }
}

/// An update as a client sends it, masked.
pub fn update(document: &str) -> Vec<u8> {
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
pub fn publication_bytes(document: usize, offset: usize) -> usize {
    let document = Id::new(&format!("document-{document}")).unwrap();
    let mut out = bytes::BytesMut::new();
    let payload = format!(r#""{}""#, "u".repeat(PAYLOAD_BYTES));
    let client = Id::new("client-0").unwrap();
    protocol::put_publication(&mut out, &document, &client, Topic::Update, &payload, "", Some(offset as u64));
    out.len()
}
