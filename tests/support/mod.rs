//! A hub with real sockets, and clients to talk to it.

#![allow(dead_code, clippy::allow_attributes, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]
#![allow(unreachable_pub, reason = "shared by several test crates")]

#[cfg(feature = "redis")]
pub mod app;
#[cfg(feature = "redis")]
pub mod certificates;
pub mod clients;
#[cfg(feature = "redis")]
pub mod grid;
pub mod handlers;
pub mod late_log;
pub mod recovery;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "redis")]
pub mod redis_proxy;
#[cfg(feature = "redis")]
pub mod sentinel;
#[cfg(feature = "redis")]
pub mod steps;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use captify_hub::{
    Config, Hub, admission::upgrade::Upgrade, room::opening::Opener, server::accept::Incoming,
    websocket::handshake::Request,
};
use tokio_tungstenite::tungstenite::{
    Error, Message, WebSocket,
    protocol::{CloseFrame, Role},
};

/// Longest wait for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Server {
    pub hub: Hub,
}

/// Both ends of a connection: the client's, and the one that Node hands over.
pub fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    (client, listener.accept().unwrap().0)
}

impl Server {
    pub fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(change, None)
    }

    /// A hub whose documents get their logs from `opener`.
    pub fn start_with(change: impl FnOnce(&mut Config), opener: Option<Arc<dyn Opener>>) -> Self {
        let mut config = Config { threads: 2, ..Config::default() };
        change(&mut config);
        Self { hub: Hub::start_with(config, opener).unwrap() }
    }

    /// A client's socket whose other end the hub has.
    pub fn raw(&self, target: &str, early: &[u8]) -> TcpStream {
        self.raw_as(target, early, None)
    }

    fn raw_as(&self, target: &str, early: &[u8], user: Option<&str>) -> TcpStream {
        let (client, stream) = socket_pair();
        client.set_nodelay(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let upgrade = Upgrade { user: user.map(Into::into), ..upgrade(target) };
        self.hub.accept(Incoming { stream, upgrade, early: early.to_vec() }).unwrap();
        client
    }

    /// A client after its handshake.
    pub fn connect(&self, target: &str) -> Client {
        self.connect_as(target, None)
    }

    /// A client of a user, after its handshake.
    pub fn connect_as(&self, target: &str, user: Option<&str>) -> Client {
        Self::greeted(self.raw_as(target, b"", user))
    }

    /// A client after its handshake, which sent `early` right behind its request.
    pub fn connect_with(&self, target: &str, early: &[u8]) -> Client {
        Self::greeted(self.raw(target, early))
    }

    fn greeted(mut stream: TcpStream) -> Client {
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Client(WebSocket::from_raw_socket(stream, Role::Client, None))
    }

    /// A client that has been told that it is connected.
    pub fn join(&self, document: &str, client: &str) -> Client {
        let mut joined = self.connect(&format!("/ws/fabric?documentId={document}&clientID={client}"));
        let expected = format!(r#"{{"type":"connected","clientID":"{client}","documentId":"{document}","#);
        assert!(joined.text().starts_with(&expected));
        joined
    }
}

pub fn upgrade(target: &str) -> Upgrade {
    Upgrade::from(Request::from_lines(&format!(
        "GET\n{target}\n1.1\nHost\nlocalhost\nConnection\nUpgrade\nUpgrade\nwebsocket\n\
         Sec-WebSocket-Version\n13\nSec-WebSocket-Key\ndGhlIHNhbXBsZSBub25jZQ=="
    )))
}

/// Reads up to the end of an HTTP head, and not a byte more.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        // Not as `read`, this goes on where it is interrupted.
        if stream.read_exact(&mut byte).is_err() {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

pub struct Client(pub WebSocket<TcpStream>);

impl Client {
    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The next message; also of a process that was stopped and went on, which interrupts what waits with a deadline.
    pub fn message(&mut self) -> Message {
        loop {
            match self.0.read() {
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                message => return message.unwrap(),
            }
        }
    }

    /// The next text message.
    pub fn text(&mut self) -> String {
        loop {
            match self.message() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a text message, not {other:?}"),
            }
        }
    }

    /// Reads to the close frame; returns its code and reason, and how many messages came before it.
    pub fn closed(&mut self) -> (u16, String, usize) {
        let mut messages = 0;
        loop {
            match self.message() {
                Message::Close(Some(CloseFrame { code, reason })) => {
                    return (code.into(), reason.to_string(), messages);
                }
                Message::Close(None) => return (1005, String::new(), messages),
                _ => messages += 1,
            }
        }
    }

    /// Shows that nothing came: what is asked for now is answered first.
    pub fn hears_nothing(&mut self, document: &str) {
        self.send(&format!(r#"{{"type":"sync","documentId":"{document}"}}"#));
        assert_eq!(self.text(), format!(r#"{{"type":"synced","documentId":"{document}"}}"#));
    }

    /// As [`Client::hears_nothing`], but for messages of which `expected` holds.
    pub fn hears_nothing_but(&mut self, document: &str, expected: impl Fn(&str) -> bool) {
        self.send(&format!(r#"{{"type":"sync","documentId":"{document}"}}"#));
        let synced = format!(r#"{{"type":"synced","documentId":"{document}"}}"#);
        loop {
            let text = self.text();
            if text == synced {
                return;
            }
            assert!(expected(&text), "{text}");
        }
    }

    pub fn close(mut self) {
        self.0.close(None).unwrap();
        while self.0.read().is_ok() {}
    }

    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }
}

/// A frame as a client sends it; `first` is its first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..=125) => out.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            out.push(0xfe);
            out.extend(length.to_be_bytes());
        }
        Err(_) => {
            out.push(0xff);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
    out
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
