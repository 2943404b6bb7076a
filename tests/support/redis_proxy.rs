//! A proxy between hubs and a Redis, which can fall silent without a word.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

#[derive(Default)]
struct State {
    /// What hubs send is swallowed, or what Redis sends.
    swallows_commands: AtomicBool,
    swallows_answers: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// Passes on bytes until it is told not to. Connections that were made in silence stay silent.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

impl Proxy {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let state = Arc::<State>::default();
        let (ours, of_thread) = (listener.local_addr().unwrap().port(), Arc::clone(&state));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                    let _ = client.shutdown(Shutdown::Both);
                    continue;
                };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                    of_thread.open.lock().unwrap().push(stream.try_clone().unwrap());
                }
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), &of_thread, true);
                pass(server, client, &of_thread, false);
            }
        });
        Self { port: ours, state }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on nothing of what hubs send arrives, nothing of what Redis sends, or neither.
    pub fn swallow(&self, commands: bool, answers: bool) {
        self.state.swallows_commands.store(commands, Ordering::SeqCst);
        self.state.swallows_answers.store(answers, Ordering::SeqCst);
    }

    /// Everything arrives again that is sent from now on, over new connections.
    pub fn heal(&self) {
        self.swallow(false, false);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &Arc<State>, is_commands: bool) {
    let state = Arc::clone(state);
    // What was swallowed leaves a hole in the stream: nothing of it is passed on after that.
    let mut has_hole = false;
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let flag = if is_commands { &state.swallows_commands } else { &state.swallows_answers };
            has_hole |= flag.load(Ordering::SeqCst);
            if !has_hole && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        if !has_hole {
            let _ = to.shutdown(Shutdown::Both);
        }
    });
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
