//! `bare each|batch`: the kernel's price of the fabric's fan-out. One thread, one epoll, one `send()` a member: for every
//! message by itself (`each`), or for all messages that one read brought (`batch`). No session, no limits, no queue, no
//! check of what it reads; it speaks just enough for the load generator, on a port it prints.

use std::{collections::HashMap, io, net::TcpListener, os::fd::OwnedFd};

use hub_bench_load::{Outcome, limits, wire};
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, epoll, poll},
    io::Errno,
    net::{SendFlags, send, sockopt},
};

const LISTENER: u64 = u64::MAX;
const READ_BYTES: usize = 64 << 10;

struct Bare {
    epoll: OwnedFd,
    listener: TcpListener,
    batch: bool,
    connections: Vec<Option<Connection>>,
    documents: HashMap<String, Vec<usize>>,
    /// Frames on their way to a document.
    out: Vec<u8>,
    unmasked: Vec<u8>,
}

struct Connection {
    socket: OwnedFd,
    input: Vec<u8>,
    /// Document and client, once the upgrade is done.
    joined: Option<(String, String)>,
}

fn main() -> Outcome<()> {
    let batch = match std::env::args().nth(1).as_deref() {
        Some("each") => false,
        Some("batch") => true,
        _ => return Err("usage: bare each|batch".into()),
    };
    limits::allow_descriptors(12_000)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    // std listens with a backlog of 128; a storm needs more.
    rustix::net::listen(&listener, 4096)?;
    println!("listening on {}", listener.local_addr()?);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut bare = Bare {
        epoll,
        listener,
        batch,
        connections: Vec::new(),
        documents: HashMap::new(),
        out: Vec::new(),
        unmasked: Vec::new(),
    };
    let mut buffer = vec![0; READ_BYTES];
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&bare.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => bare.accept()?,
                number => bare.read(number as usize, &mut buffer)?,
            }
        }
    }
}

impl Bare {
    fn accept(&mut self) -> Outcome<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((stream, _)) => OwnedFd::from(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            rustix::io::ioctl_fionbio(&socket, true)?;
            sockopt::set_tcp_nodelay(&socket, true)?;
            let data = epoll::EventData::new_u64(self.connections.len() as u64);
            epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
            self.connections.push(Some(Connection { socket, input: Vec::new(), joined: None }));
        }
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) -> Outcome<()> {
        let Some(mut connection) = self.connections[number].take() else { return Ok(()) };
        let read = match rustix::io::read(&connection.socket, &mut *buffer) {
            Ok(0) | Err(Errno::CONNRESET) => {
                self.leave(number, &connection);
                return Ok(());
            }
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        if connection.joined.is_none() {
            connection.input.extend_from_slice(&buffer[..read]);
            self.request(number, &mut connection)?;
        } else if connection.input.is_empty() {
            let used = self.messages(number, &connection, &buffer[..read])?;
            connection.input.extend_from_slice(&buffer[used..read]);
        } else {
            connection.input.extend_from_slice(&buffer[..read]);
            let input = std::mem::take(&mut connection.input);
            let used = self.messages(number, &connection, &input)?;
            connection.input.extend_from_slice(&input[used..]);
        }
        self.connections[number] = Some(connection);
        Ok(())
    }

    fn leave(&mut self, number: usize, connection: &Connection) {
        if let Some((document, _)) = &connection.joined
            && let Some(members) = self.documents.get_mut(document)
        {
            members.retain(|member| *member != number);
        }
    }

    /// An upgrade, or `GET /broadcast`.
    fn request(&mut self, number: usize, connection: &mut Connection) -> Outcome<()> {
        let Some(end) = memchr::memmem::find(&connection.input, b"\r\n\r\n") else { return Ok(()) };
        let head = String::from_utf8(connection.input.drain(..end + 4).collect())?;
        let target = head.split(' ').nth(1).unwrap_or_default();
        let document = parameter(target, "documentId").to_owned();
        if target.starts_with("/broadcast") {
            let bytes: usize = parameter(target, "bytes").parse()?;
            self.broadcast(&document, bytes, parameter(target, "changeId"))?;
            return write_all(&connection.socket, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
        if !head.contains(wire::KEY) {
            return write_all(&connection.socket, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
        let client = parameter(target, "clientID").to_owned();
        let connected = format!(r#"{{"type":"connected","clientID":"{client}","documentId":"{document}"}}"#);
        write_all(&connection.socket, &wire::accepted(&connected))?;
        self.documents.entry(document.clone()).or_default().push(number);
        connection.joined = Some((document, client));
        Ok(())
    }

    /// Passes whole messages on, and returns how many bytes they took.
    fn messages(&mut self, number: usize, connection: &Connection, bytes: &[u8]) -> Outcome<usize> {
        let Some((document, client)) = &connection.joined else { return Ok(0) };
        let mut used = 0;
        while let Some(frame) = wire::first_frame(&bytes[used..]) {
            used += frame.length;
            if frame.opcode != wire::TEXT {
                continue;
            }
            self.unmasked.clear();
            frame.unmask_to(&mut self.unmasked);
            let open = self.unmasked.strip_suffix(b"}").ok_or("not a JSON object")?;
            wire::put_unmasked(
                &mut self.out,
                wire::TEXT,
                &[open, b",\"clientID\":\"", client.as_bytes(), b"\"}"],
            );
            if !self.batch {
                self.send_to_document(document, Some(number))?;
            }
        }
        self.send_to_document(document, Some(number))?;
        Ok(used)
    }

    fn broadcast(&mut self, document: &str, bytes: usize, change: &str) -> Outcome<()> {
        let steps = "s".repeat(bytes);
        let message =
            format!(r#"{{"type":"steps","steps":["{steps}"],"clientIDs":["agent"],"changeId":"{change}"}}"#);
        wire::put_unmasked(&mut self.out, wire::TEXT, &[message.as_bytes()]);
        self.send_to_document(document, None)
    }

    /// Sends what is in `out` to every member but the sender, and empties it.
    fn send_to_document(&mut self, document: &str, sender: Option<usize>) -> Outcome<()> {
        if !self.out.is_empty() {
            for &member in self.documents.get(document).into_iter().flatten() {
                if Some(member) == sender {
                    continue;
                }
                if let Some(connection) = &self.connections[member] {
                    write_all(&connection.socket, &self.out)?;
                }
            }
        }
        self.out.clear();
        Ok(())
    }
}

/// Waits where the socket is full, which a reader that never sleeps does not let happen often.
fn write_all(socket: &OwnedFd, mut bytes: &[u8]) -> Outcome<()> {
    while !bytes.is_empty() {
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(socket, PollFlags::OUT)], None)?;
            }
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn parameter<'a>(target: &'a str, name: &str) -> &'a str {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}
