//! All client connections of a run, on one epoll.

use std::{
    cell::Cell,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
};

use crate::{
    Outcome,
    dialect::{Dialect, Joining},
    server::Server,
    wire,
};

/// What one read may bring, shared by all connections.
const READ_BYTES: usize = 256 << 10;
const EVENTS: usize = 1024;
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Who a connection is: which document, and which of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the document.
    pub document: usize,
    /// Number of the member in it.
    pub member: usize,
}

impl Place {
    /// The document's id.
    pub fn document_id(self) -> String {
        format!("bench-{}", self.document)
    }

    fn client_id(self) -> String {
        format!("c-{}-{}", self.document, self.member)
    }
}

/// What happened to a connection.
#[derive(Debug)]
pub enum News<'a> {
    /// It is in its document, this long after it began to connect.
    Joined(Duration),
    /// A message has come.
    Message(&'a [u8]),
    /// It is no more, for this reason.
    Gone(&'a str),
}

/// The connections.
pub struct Pool {
    epoll: OwnedFd,
    hosts: Vec<SocketAddr>,
    dialect: Dialect,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
}

#[derive(Debug)]
struct Client {
    socket: Option<OwnedFd>,
    host: SocketAddr,
    place: Place,
    phase: Phase,
    started: Instant,
    /// What has been read and is not yet a whole frame.
    input: Vec<u8>,
    /// What the socket would not take.
    output: Vec<u8>,
    /// Whether the epoll wakes it when the socket takes more.
    blocked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Upgrading,
    Joining,
    Joined,
}

impl Pool {
    /// No connection yet.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no epoll.
    pub fn new(server: &Server) -> Outcome<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            hosts: server.hosts(),
            dialect: server.dialect,
            clients: Vec::new(),
            buffer: vec![0; READ_BYTES],
            events: Vec::with_capacity(EVENTS),
        })
    }

    /// Begins to connect, and returns the connection's number.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no socket, or refuses at once.
    pub fn begin(&mut self, place: Place) -> Outcome<usize> {
        let started = Instant::now();
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let host = self.hosts[place.member % self.hosts.len()];
        match rustix::net::connect(&socket, &host) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let number = self.clients.len();
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::OUT)?;
        self.clients.push(Client {
            socket: Some(socket),
            host,
            place,
            phase: Phase::Connecting,
            started,
            input: Vec::new(),
            output: Vec::new(),
            blocked: false,
        });
        Ok(number)
    }

    /// Connects all `places`, `per_second` of them a second or as fast as they go, and waits until every one
    /// has joined.
    ///
    /// # Errors
    ///
    /// Where one is refused, or [`JOIN_TIMEOUT`] is not enough.
    pub fn join(&mut self, places: impl IntoIterator<Item = Place>, per_second: Option<f64>) -> Outcome<()> {
        let begun = Instant::now();
        let joined = Cell::new(0);
        let mut count = |_, news: News<'_>, _| match news {
            News::Joined(_) => {
                joined.set(joined.get() + 1);
                Ok(())
            }
            News::Gone(reason) => Err(format!("a connection was lost while others joined: {reason}").into()),
            News::Message(_) => Ok(()),
        };
        let mut wanted = 0;
        for place in places {
            while per_second.is_some_and(|rate| begun.elapsed().as_secs_f64() < f64::from(wanted) / rate) {
                self.poll(Some(Duration::from_millis(1)), &mut count)?;
            }
            self.begin(place)?;
            wanted += 1;
            self.poll(Some(Duration::ZERO), &mut count)?;
        }
        while joined.get() < wanted {
            if begun.elapsed() > JOIN_TIMEOUT {
                return Err(format!("only {} of {wanted} connections joined in time", joined.get()).into());
            }
            self.poll(Some(Duration::from_millis(100)), &mut count)?;
        }
        Ok(())
    }

    /// Sends whole frames on a connection; what its socket does not take now goes out when it does.
    ///
    /// # Errors
    ///
    /// Where the connection is no more.
    pub fn send(&mut self, number: usize, frames: &[u8]) -> Outcome<()> {
        let client = &mut self.clients[number];
        client.output.extend_from_slice(frames);
        if client.blocked { Ok(()) } else { client.flush(&self.epoll, number) }
    }

    /// Waits for at most `timeout` (for ever without one) and tells `on` what has happened since.
    ///
    /// # Errors
    ///
    /// What `on` answers, or where the kernel refuses to wait.
    pub fn poll(
        &mut self,
        timeout: Option<Duration>,
        on: &mut impl FnMut(usize, News<'_>, Instant) -> Outcome<()>,
    ) -> Outcome<usize> {
        let timeout = timeout.map(Timespec::try_from).transpose()?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let Self { epoll, dialect, clients, buffer, events, .. } = self;
        for event in events.iter() {
            let number = event.data.u64() as usize;
            let client = &mut clients[number];
            if let Err(reason) = client.step(number, epoll, *dialect, buffer, on)? {
                // Dropping the socket takes it off the epoll.
                client.socket = None;
                on(number, News::Gone(&reason), Instant::now())?;
            }
        }
        Ok(events.len())
    }
}

/// Why a connection has ended. Not an error of the run by itself: a storm counts them.
type Ended<T> = Result<T, String>;

impl Client {
    fn step(
        &mut self,
        number: usize,
        epoll: &OwnedFd,
        dialect: Dialect,
        buffer: &mut [u8],
        on: &mut impl FnMut(usize, News<'_>, Instant) -> Outcome<()>,
    ) -> Outcome<Ended<()>> {
        if self.phase == Phase::Connecting {
            return Ok(self.request(number, epoll, dialect).map_err(|error| error.to_string()));
        }
        if self.blocked
            && let Err(error) = self.flush(epoll, number)
        {
            return Ok(Err(error.to_string()));
        }
        loop {
            let Some(socket) = &self.socket else { return Ok(Ok(())) };
            let read = match rustix::io::read(socket, &mut *buffer) {
                Ok(0) => return Ok(Err("the server closed the connection".into())),
                Ok(read) => read,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error.to_string())),
            };
            let at = Instant::now();
            let ended = if self.input.is_empty() {
                let used = self.take(number, epoll, dialect, &buffer[..read], at, on)?;
                used.map(|used| self.input.extend_from_slice(&buffer[used..read]))
            } else {
                let mut input = std::mem::take(&mut self.input);
                input.extend_from_slice(&buffer[..read]);
                let used = self.take(number, epoll, dialect, &input, at, on)?;
                used.map(|used| {
                    input.drain(..used);
                    self.input = input;
                })
            };
            if ended.is_err() || read < buffer.len() {
                return Ok(ended);
            }
        }
    }

    /// Connected: asks for the upgrade.
    fn request(&mut self, number: usize, epoll: &OwnedFd, dialect: Dialect) -> Outcome<()> {
        let socket = self.socket.as_ref().ok_or("closed")?;
        sockopt::socket_error(socket)??;
        let target = dialect.target(&self.place.document_id(), &self.place.client_id());
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
            self.host,
            wire::KEY
        );
        self.phase = Phase::Upgrading;
        self.output = request.into_bytes();
        let data = epoll::EventData::new_u64(number as u64);
        epoll::modify(epoll, socket, data, epoll::EventFlags::IN)?;
        self.flush(epoll, number)
    }

    /// Takes whole responses and frames off the front of `bytes`, and returns how many bytes that were.
    fn take(
        &mut self,
        number: usize,
        epoll: &OwnedFd,
        dialect: Dialect,
        bytes: &[u8],
        at: Instant,
        on: &mut impl FnMut(usize, News<'_>, Instant) -> Outcome<()>,
    ) -> Outcome<Ended<usize>> {
        let mut used = 0;
        if self.phase == Phase::Upgrading {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(Ok(0)) };
            let head = String::from_utf8_lossy(&bytes[..end]);
            if !head.starts_with("HTTP/1.1 101") || !head.contains(wire::ACCEPT) {
                return Ok(Err(format!(
                    "the upgrade was answered by {}",
                    head.lines().next().unwrap_or_default()
                )));
            }
            self.phase = Phase::Joining;
            used = end + 4;
        }
        while let Some(frame) = wire::first_frame(&bytes[used..]) {
            used += frame.length;
            match frame.opcode {
                wire::TEXT if self.phase == Phase::Joined => match dialect.reply(frame.payload) {
                    Some(reply) => self.reply(epoll, number, wire::TEXT, reply)?,
                    None => on(number, News::Message(frame.payload), at)?,
                },
                wire::TEXT => match dialect.joining(frame.payload) {
                    Joining::Wait => {}
                    Joining::Reply(reply) => self.reply(epoll, number, wire::TEXT, reply)?,
                    Joining::Joined => {
                        self.phase = Phase::Joined;
                        on(number, News::Joined(at.saturating_duration_since(self.started)), at)?;
                    }
                },
                wire::PING => self.reply(epoll, number, wire::PONG, frame.payload)?,
                wire::CLOSE => {
                    let code = frame.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Ok(Err(format!("the server closed with {code}")));
                }
                opcode => return Ok(Err(format!("the server sent a frame of kind {opcode}"))),
            }
        }
        Ok(Ok(used))
    }

    fn reply(&mut self, epoll: &OwnedFd, number: usize, opcode: u8, payload: &[u8]) -> Outcome<()> {
        self.output.extend(wire::masked(opcode, payload));
        self.flush(epoll, number)
    }

    /// Writes what waits, and asks to be woken where the socket does not take it all.
    fn flush(&mut self, epoll: &OwnedFd, number: usize) -> Outcome<()> {
        let socket = self.socket.as_ref().ok_or("the connection is no more")?;
        let written = match rustix::io::write(socket, &self.output) {
            Ok(written) => written,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        self.output.drain(..written);
        let blocked = !self.output.is_empty();
        if blocked != self.blocked {
            self.blocked = blocked;
            let out = if blocked { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            epoll::modify(
                epoll,
                socket,
                epoll::EventData::new_u64(number as u64),
                epoll::EventFlags::IN | out,
            )?;
        }
        Ok(())
    }
}
