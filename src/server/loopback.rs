//! The second way in: Node pipes a socket to a private listener.
//!
//! For sockets without a plain descriptor: TLS that ends in Node, Windows, other runtimes. Node announces the upgrade
//! with a ticket nobody can guess, connects, sends the ticket, and from then on pipes bytes both ways.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use dashmap::DashMap;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use super::{
    accept::{self, Admitted, Incoming},
    hub::Hub,
    shared::Shared,
};
use crate::{Error, admission::upgrade::Upgrade, ids::ConnectionId};

/// Bytes of a ticket.
pub const TICKET_BYTES: usize = 32;

/// How long a ticket is good for, and how long a connection may take to show it.
const TICKET_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that may be showing their tickets at once; more wait in the kernel's queue.
const SHOWING: usize = 256;

type Tickets = Arc<DashMap<[u8; TICKET_BYTES], Expected>>;

/// An upgrade whose socket is to come.
#[derive(Debug)]
struct Expected {
    id: ConnectionId,
    upgrade: Upgrade,
    admitted: Admitted,
}

/// The private listener.
#[derive(Debug)]
pub struct Loopback {
    port: u16,
    tickets: Tickets,
    shared: Arc<Shared>,
}

impl Loopback {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`Error::Start`]
    pub fn start(hub: &Hub) -> Result<Self, Error> {
        let shared = Arc::clone(&hub.shared);
        let handle = shared.shards[0].handle().clone();
        let entered = handle.enter();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .and_then(TcpListener::from_std)
            .map_err(Error::Start)?;
        drop(entered);
        let port = listener.local_addr().map_err(Error::Start)?.port();
        let tickets = Tickets::default();
        handle.spawn(listen(listener, Arc::clone(&tickets), Arc::clone(&shared)));
        Ok(Self { port, tickets, shared })
    }

    /// Announces an upgrade; returns the port to connect to and the name of the connection to be.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    pub fn expect(
        &self,
        ticket: [u8; TICKET_BYTES],
        mut upgrade: Upgrade,
    ) -> Result<(u16, ConnectionId), Error> {
        if self.shared.is_draining() {
            return Err(Error::Closed);
        }
        // The tunnel's own address says nothing.
        let admitted = accept::arrive(&self.shared, &mut upgrade, None);
        let id = self.shared.next_id();
        self.tickets.insert(ticket, Expected { id, upgrade, admitted });
        let tickets = Arc::downgrade(&self.tickets);
        let shared = Arc::downgrade(&self.shared);
        self.shared.shards[0].handle().spawn(async move {
            tokio::time::sleep(TICKET_TIMEOUT).await;
            let late = tickets.upgrade().and_then(|tickets| tickets.remove(&ticket));
            if let (Some((_, Expected { id, upgrade, .. })), Some(shared)) = (late, shared.upgrade()) {
                shared.endpoints.refused(id, upgrade.path());
            }
        });
        Ok((self.port, id))
    }
}

async fn listen(listener: TcpListener, tickets: Tickets, shared: Arc<Shared>) {
    let showing = Arc::new(Semaphore::new(SHOWING));
    loop {
        let Ok(permit) = Arc::clone(&showing).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (tickets, shared) = (Arc::clone(&tickets), Arc::clone(&shared));
                tokio::spawn(async move {
                    admit(stream, &tickets, &shared).await;
                    drop(permit);
                });
            }
            Err(error) => {
                log::warn!("the loopback listener could not accept: {error}");
                // EMFILE stays until somebody closes something.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn admit(mut stream: TcpStream, tickets: &Tickets, shared: &Arc<Shared>) {
    let mut ticket = [0; TICKET_BYTES];
    if !matches!(timeout(TICKET_TIMEOUT, stream.read_exact(&mut ticket)).await, Ok(Ok(_))) {
        return;
    }
    let Some((_, Expected { id, upgrade, admitted })) = tickets.remove(&ticket) else {
        log::warn!("the loopback listener was shown a ticket it does not know");
        return;
    };
    let _ = stream.set_nodelay(true);
    let path = upgrade.path().to_owned();
    let accepted = stream.into_std().map_err(Error::Socket).and_then(|stream| {
        accept::accept(shared, id, Incoming { stream, upgrade, early: Vec::new() }, admitted)
    });
    if let Err(error) = accepted {
        log::info!("an upgrade came too late: {error}");
        shared.endpoints.refused(id, &path);
    }
}
