//! A socket comes in: handshake, endpoint, connection.

use std::{
    io,
    net::{IpAddr, TcpStream},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    hub::Hub,
    shared::{Shared, SocketGuard},
};
use crate::{
    Error,
    admission::{
        addresses::is_same_place,
        grant::Peer,
        limits::is_reached,
        security::{self, About, Kind},
        upgrade::Upgrade,
        users::{CountedConnection, Refused},
    },
    connection::{
        Connection, Driver,
        endpoint::{EndpointEntry, Permit},
    },
    ids::ConnectionId,
    panics::guarded,
    shard::{Shard, Work},
    websocket::{
        close::{self, Close},
        handshake::{self, Refusal},
    },
};

/// How long a refused peer may take to read its refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// A socket whose upgrade request was read by somebody else, with the bytes that were read beyond it.
#[derive(Debug)]
pub struct Incoming {
    /// The socket. Only the hub may use it from now on.
    pub stream: TcpStream,
    /// The request.
    pub upgrade: Upgrade,
    /// What came after the request's head.
    pub early: Vec<u8>,
}

impl Hub {
    /// Takes a socket over; returns its name. Everything that is wrong with the request is answered on the socket.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] where the hub has ended, [`Error::Gone`] where the peer has, [`Error::Socket`] where it is no
    /// TCP socket: then nothing was written.
    pub fn accept(&self, incoming: Incoming) -> Result<ConnectionId, Error> {
        let Incoming { stream, mut upgrade, early } = incoming;
        if self.shared.is_draining() {
            return Err(Error::Closed);
        }
        let peer = stream.peer_addr().map_err(|error| match error.kind() {
            // On Linux, and on macOS.
            io::ErrorKind::NotConnected | io::ErrorKind::InvalidInput => Error::Gone,
            _ => Error::Socket(error),
        })?;
        let admitted = arrive(&self.shared, &mut upgrade, Some(peer.ip()));
        let id = self.shared.next_id();
        accept(&self.shared, id, Incoming { stream, upgrade, early }, admitted)?;
        Ok(id)
    }
}

/// What is known about a socket before its handshake.
#[derive(Debug)]
pub(crate) struct Admitted {
    endpoint: Option<Arc<EndpointEntry>>,
    /// What its endpoint says it belongs to.
    document: Option<String>,
    /// For whom it counts.
    counted: Option<Box<CountedConnection>>,
    /// Why it is turned away all the same.
    refused: Option<Refused>,
}

/// Counts a socket that wants in: a change of access from here on reaches it, whatever its handshake waits for.
pub(crate) fn arrive(shared: &Shared, upgrade: &mut Upgrade, peer: Option<IpAddr>) -> Admitted {
    // From here on it is who the connection counts for and is reported as.
    if !upgrade.admission.forwarded {
        upgrade.admission.address = upgrade.admission.address.or(peer);
    }
    let endpoint = shared.endpoints.serving(upgrade.path());
    let document = endpoint.as_ref().and_then(|entry| entry.endpoint.document(upgrade));
    let (counted, refused) = shared.users.enter(upgrade, document.as_deref());
    Admitted { endpoint, document, counted, refused }
}

pub(crate) fn accept(
    shared: &Arc<Shared>,
    id: ConnectionId,
    incoming: Incoming,
    admitted: Admitted,
) -> Result<(), Error> {
    if shared.is_draining() {
        return Err(Error::Closed);
    }
    incoming.stream.set_nonblocking(true).map_err(Error::Socket)?;
    let home = Arc::clone(shared.rooms.shard_for(admitted.document.as_deref(), id));
    let alive = shared.enter();
    // Boxed, because the task keeps this much memory for as long as the connection lives.
    let pending = Box::new(PendingHandshake {
        id,
        incoming,
        admitted,
        shared: Arc::clone(shared),
        shard: Arc::clone(&home),
    });
    home.handle().spawn(serve(pending, alive));
    Ok(())
}

async fn serve(pending: Box<PendingHandshake>, alive: SocketGuard) {
    begin(*pending).await;
    drop(alive);
}

/// What becomes of a socket. A type of its own and not an `async` block, which would keep room for all of its steps.
enum AcceptTask {
    /// It is served until its end.
    Served(Driver),
    /// It gets a refusal.
    Refused(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The peer is gone already.
    Gone,
}

impl Future for AcceptTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self {
            Self::Served(driver) => Pin::new(driver).poll(cx),
            Self::Refused(refusing) => refusing.as_mut().poll(cx),
            Self::Gone => Poll::Ready(()),
        }
    }
}

struct PendingHandshake {
    id: ConnectionId,
    incoming: Incoming,
    admitted: Admitted,
    shared: Arc<Shared>,
    shard: Arc<Shard>,
}

/// Answers the handshake, and opens the connection.
fn begin(pending: PendingHandshake) -> AcceptTask {
    let PendingHandshake { id, incoming: Incoming { stream, upgrade, early }, admitted, shared, shard } =
        pending;
    let Admitted { endpoint, document, counted, refused } = admitted;
    let response = match handshake::respond(&upgrade.request, upgrade.admission.protocol.as_deref()) {
        Ok(response) => response,
        Err(refusal) => {
            shard.counters().refused.count(refusal.status);
            log::info!("refused an upgrade with {}: {}", refusal.status, refusal.text);
            if let Some(entry) = endpoint {
                entry.endpoint.refused(id);
            }
            return AcceptTask::Refused(Box::pin(refuse(stream, refusal)));
        }
    };
    let number = endpoint.as_ref().map(|entry| entry.number);
    let notices = endpoint.as_ref().and_then(|entry| entry.endpoint.notices());
    let connection = Connection::new(id, number, response, shared.config.max_outbox_bytes, shard.now());
    let grant = counted.as_ref().and_then(|counted| counted.grant.clone());
    let kind = endpoint.as_ref().map(|entry| entry.endpoint.kind()).unwrap_or_default();
    let connection = Arc::new(connection.admitted(grant, upgrade.admission.address, notices, kind));
    let refusal = refusal(&shared, endpoint.as_deref(), &upgrade, refused, document.as_deref());
    let opened = match &endpoint {
        Some(served) if refusal.is_some() => {
            served.endpoint.refused(id);
            Err(refusal.unwrap_or_else(Close::internal))
        }
        None => Err(Close::new(close::UNSUPPORTED, format!("No handler for {}", upgrade.path()))),
        Some(served) => {
            let permit = Permit::of(served);
            guarded("opening a connection", || served.endpoint.open(&connection, &upgrade))
                .unwrap_or_else(|| Err(Close::internal()))
                .map(|handler| (handler, permit))
        }
    };
    let (handler, permit, counted) = match opened {
        Ok((handler, permit)) => {
            if let Some(counted) = &counted {
                counted.attach(&(Arc::clone(&connection) as Arc<dyn Peer>));
            }
            (Some(handler), Some(permit), counted)
        }
        Err(close) => {
            shard.counters().refused.count(close.code);
            log::info!(
                connection = id.number(), document = document.as_deref(), user = upgrade.user.as_deref();
                "closed connection {id} with {}: {}", close.code, close.reason.escape_debug()
            );
            connection.close(&close);
            (None, None, None)
        }
    };
    if connection.attach(stream).is_err() {
        // Its endpoint has been told that it is open, and is told of its end as of any other.
        drop((permit, counted));
        if let Some(handler) = handler {
            drop(handler.leave());
        }
        return AcceptTask::Gone;
    }
    let mut driver = Driver::new(connection, Arc::clone(shard.thread()), handler, permit, counted);
    if shared.is_draining() {
        // The drain may not have seen it. Not closed here: what its room was told before the drain leaves before that.
        let late = Arc::clone(driver.connection());
        shard.push(Work::Close(Box::new(move || late.close(&Close::restart(None)))));
    }
    driver.begin(&early);
    AcceptTask::Served(driver)
}

/// The close for a socket that is turned away, with a report where that is for a limit.
fn refusal(
    shared: &Shared,
    endpoint: Option<&EndpointEntry>,
    upgrade: &Upgrade,
    refused: Option<Refused>,
    document: Option<&str>,
) -> Option<Close> {
    let is_full = || is_reached(shared.endpoints.connection_count(), shared.config.limits.connections);
    let comes_back = || endpoint.is_some_and(|entry| entry.endpoint.comes_back(upgrade));
    let refused = match refused {
        // Whose old connection was in another process, which may have died, is not one more. This process may be full.
        Some(Refused::LimitOfAll(..)) if comes_back() => None,
        refused => refused,
    };
    let (kind, reason) = match refused.or_else(|| is_full().then_some(Refused::CONNECTIONS))? {
        Refused::Decided(close) => return Some(close),
        Refused::Limit(kind, reason) | Refused::LimitOfAll(kind, reason) => (kind, reason),
    };
    // Whose old connection hangs in a network that is gone would otherwise be kept out by it. At another address it is
    // one more.
    let address = upgrade.admission.address;
    let replaced = endpoint.and_then(|entry| entry.endpoint.replaced(upgrade));
    if replaced
        .is_some_and(|old| kind != Kind::ConnectionsPerAddress || is_same_place(old.address(), address))
    {
        return None;
    }
    let about = About { user: upgrade.user.as_deref(), address, document, ..About::default() };
    security::report(kind, about, 1);
    Some(Close::limit(reason))
}

/// Sends a refusal and waits for the peer to have read it: closing with unread bytes would reset the connection, and
/// the answer with it.
async fn refuse(stream: TcpStream, refusal: Refusal) {
    let Ok(mut stream) = tokio::net::TcpStream::from_std(stream) else { return };
    let goodbye = async {
        stream.write_all(&refusal.to_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether it was read is the peer's affair.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, goodbye).await;
}

#[cfg(test)]
mod tests {
    use super::{PendingHandshake, SocketGuard, serve};

    fn future_bytes<F: Future>(_: impl FnOnce(Box<PendingHandshake>, SocketGuard) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_connection_takes_no_more_than_256_bytes() {
        // tokio adds 104 bytes, and rounds up to a multiple of 128.
        assert!(future_bytes(serve) <= 152, "{}", future_bytes(serve));
    }
}
