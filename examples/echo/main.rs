//! A bare echo server on the hub's core: what the Autobahn suite is run against.
//!
//! Prints `listening on 127.0.0.1:PORT` and runs until it is ended. It parses requests only as far as a test needs; in
//! production Node has parsed them.

mod endpoint;

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
};

use captify_hub::{Config, Hub, server::accept::Incoming, websocket::handshake::Request};
use endpoint::Echo;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config { max_message_bytes: 32 << 20, max_outbox_bytes: 64 << 20, ..Config::default() };
    let hub = Hub::start(config)?;
    hub.serve(Arc::new(Echo::new("/ws/echo")));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        if let Some((request, early)) = read_request(&stream)? {
            hub.accept(Incoming { stream, upgrade: request.into(), early })?;
        }
    }
    Ok(())
}

/// Reads a request's head, and what came with it. `None` where the peer left before its end.
fn read_request(mut stream: &TcpStream) -> io::Result<Option<(Request, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let early = bytes.split_off(end + 4);
            return Ok(Some((parse(&String::from_utf8_lossy(&bytes)), early)));
        }
        if count == 0 {
            return Ok(None);
        }
    }
}

fn parse(head: &str) -> Request {
    let mut lines = head.lines();
    let mut request_line = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let mut next = || request_line.next().unwrap_or_default();
    let (method, _target, version) = (next(), next(), next());
    let headers = lines.filter_map(|line| line.split_once(':'));
    Request {
        method,
        // Whatever path the suite asks for, it gets the echo.
        target: "/ws/echo".to_owned(),
        http_version: version.trim_start_matches("HTTP/").to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect(),
    }
}
