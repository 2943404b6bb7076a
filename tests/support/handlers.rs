//! A hub with an endpoint whose handler is the test.

use std::{
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use captify_hub::{
    Config,
    admission::upgrade::Upgrade,
    connection::{
        Connection,
        endpoint::{Endpoint, Handler},
    },
    handlers::{Event, EventQueue, Events, HandlerConnection, HandlerEndpoint, Notifier},
    ids::ConnectionId,
    server::accept::Incoming,
    websocket::close::Close,
};

use super::{Client, PATIENCE, Server, socket_pair, upgrade};

/// Where it is served.
pub const PATH: &str = "/ws/handler";

struct Counter(Arc<AtomicUsize>);

impl Notifier for Counter {
    fn notify(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A handler that takes its events when the test says so.
pub struct Handlers {
    pub server: Server,
    pub queue: Arc<EventQueue>,
    pub notified: Arc<AtomicUsize>,
    /// Events that were taken before the one that the test waited for.
    pub seen: Events,
}

impl Handlers {
    pub fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::of(Server::start(change))
    }

    /// Those of a hub that nothing is served of yet.
    pub fn of(server: Server) -> Self {
        let notified = Arc::new(AtomicUsize::new(0));
        let counter = Box::new(Counter(Arc::clone(&notified)));
        let queue = Arc::new(EventQueue::new(counter, server.hub.config()));
        #[cfg(feature = "redis")]
        server.hub.share_rooms(&queue);
        server.hub.serve(Arc::new(HandlerEndpoint::new(PATH, Arc::clone(&queue))));
        Self { server, queue, notified, seen: Events::new() }
    }

    /// Takes what there is.
    pub fn take(&mut self) {
        let mut events = Events::new();
        self.queue.take(&mut events);
        for (id, event) in events {
            self.queue.seen(id, &event);
            self.seen.push((id, event));
        }
    }

    /// Takes events until `wanted` is among them.
    pub fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> (ConnectionId, Event) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            self.take();
            if let Some(index) = self.seen.iter().position(|(_, event)| wanted(event)) {
                return self.seen.remove(index);
            }
            assert!(std::time::Instant::now() < deadline, "only {:?} came", self.seen);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// A client and its connection, which is ready for messages.
    pub fn connect(&mut self) -> (Client, Arc<HandlerConnection>) {
        let client = self.server.connect(PATH);
        let (id, _) = self.until(|event| *event == Event::Open);
        let connection = self.queue.connection(id).unwrap();
        connection.ready();
        (client, connection)
    }
}

/// Keeps the thread of a connection busy, which it says, until it may go on.
#[derive(Debug)]
struct Busy {
    busy: Sender<()>,
    free: Mutex<Receiver<()>>,
}

impl Endpoint for Busy {
    fn path(&self) -> &'static str {
        "/ws/busy"
    }

    fn open(&self, _: &Arc<Connection>, _: &Upgrade) -> Result<Box<dyn Handler>, Close> {
        self.busy.send(()).unwrap();
        let _ = self.free.lock().unwrap().recv();
        Err(Close::internal())
    }
}

/// A thread that does nothing else until this is gone.
#[derive(Debug)]
pub struct Occupied {
    _free: Sender<()>,
    _client: TcpStream,
}

impl Occupied {
    /// Returns once the one thread of the hub is occupied, so that it takes nothing of what is called from then on.
    pub fn thread_of(server: &Server) -> Self {
        let (busy, is_busy) = channel();
        let (free, is_free) = channel();
        let endpoint = Arc::new(Busy { busy, free: Mutex::new(is_free) });
        server.hub.serve(Arc::clone(&endpoint) as Arc<dyn Endpoint>);
        let (client, stream) = socket_pair();
        let incoming = Incoming { stream, upgrade: upgrade(endpoint.path()), early: Vec::new() };
        server.hub.accept(incoming).unwrap();
        is_busy.recv_timeout(PATIENCE).expect("the thread came to it");
        Self { _free: free, _client: client }
    }
}
