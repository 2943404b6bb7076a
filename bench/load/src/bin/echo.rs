//! `echo one|two`: the kernel's price of an echo. Either one thread reads and sends, as where Node has the sockets; or one
//! reads and wakes another, which sends, as where JavaScript serves what another thread has read. It answers every text
//! message and does nothing else, on a port it prints.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
};

use hub_bench_load::{Outcome, wire};
use rustix::{
    buffer::spare_capacity,
    event::{EventfdFlags, epoll, eventfd},
    io::Errno,
};

const LISTENER: u64 = u64::MAX;

/// Echoes on their way to the thread that sends them.
struct Crossing {
    waiting: Mutex<Vec<(Arc<TcpStream>, Vec<u8>)>>,
    wake: OwnedFd,
}

impl Crossing {
    fn start() -> Outcome<Arc<Self>> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let crossing = Arc::new(Self { waiting: Mutex::default(), wake });
        let sender = Arc::clone(&crossing);
        std::thread::spawn(move || sender.send().expect("the sending thread goes on"));
        Ok(crossing)
    }

    fn leave(&self, socket: &Arc<TcpStream>, echo: Vec<u8>) -> Outcome<()> {
        let mut waiting = self.waiting.lock().map_err(|_| "the sending thread has ended")?;
        let first = waiting.is_empty();
        waiting.push((Arc::clone(socket), echo));
        drop(waiting);
        if first {
            rustix::io::write(&self.wake, &1u64.to_ne_bytes())?;
        }
        Ok(())
    }

    /// Sleeps in epoll, as libuv does, and not in the eventfd itself.
    fn send(&self) -> Outcome<()> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &self.wake, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        loop {
            wait(&epoll, &mut Vec::with_capacity(1))?;
            rustix::io::read(&self.wake, &mut [0; 8])?;
            let waiting =
                std::mem::take(&mut *self.waiting.lock().map_err(|_| "the reading thread has ended")?);
            for (socket, echo) in waiting {
                (&*socket).write_all(&echo)?;
            }
        }
    }
}

fn main() -> Outcome<()> {
    let crossing = match std::env::args().nth(1).as_deref() {
        Some("one") => None,
        Some("two") => Some(Crossing::start()?),
        _ => return Err("usage: echo one|two".into()),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut connections = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut events = Vec::with_capacity(64);
    loop {
        wait(&epoll, &mut events)?;
        for event in &events {
            let number = event.data.u64();
            if number == LISTENER {
                let data = epoll::EventData::new_u64(connections.len() as u64);
                let socket = accept(&listener)?;
                epoll::add(&epoll, &socket, data, epoll::EventFlags::IN)?;
                connections.push(Arc::new(socket));
                continue;
            }
            let socket = &connections[number as usize];
            let read = (&**socket).read(&mut buffer).unwrap_or(0);
            if read == 0 {
                epoll::delete(&epoll, &**socket)?;
                continue;
            }
            let echo = echo(&buffer[..read])?;
            match &crossing {
                None => (&**socket).write_all(&echo)?,
                Some(crossing) => crossing.leave(socket, echo)?,
            }
        }
    }
}

fn wait(epoll: &OwnedFd, events: &mut Vec<epoll::Event>) -> Outcome<()> {
    events.clear();
    match epoll::wait(epoll, spare_capacity(events), None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes a connection and answers its handshake, which the load generator sends in one piece.
fn accept(listener: &TcpListener) -> Outcome<TcpStream> {
    let (mut socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    socket.write_all(&wire::accepted(r#"{"type":"connected"}"#))?;
    Ok(socket)
}

/// The frames that answer those of one read. One message is under way at a time, so none is cut in two.
fn echo(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let (mut echo, mut payload, mut used) = (Vec::new(), Vec::new(), 0);
    while let Some(frame) = wire::first_frame(&bytes[used..]) {
        used += frame.length;
        payload.clear();
        frame.unmask_to(&mut payload);
        if frame.opcode == wire::TEXT {
            wire::put_unmasked(&mut echo, wire::TEXT, &[&payload]);
        }
    }
    if used == bytes.len() { Ok(echo) } else { Err("a message came in two pieces".into()) }
}
