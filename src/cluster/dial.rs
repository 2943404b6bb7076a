//! Connects to one server.

use std::io;

use redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
    aio::MultiplexedConnection,
};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time::{Duration, timeout},
};

use super::{
    place::{Login, Place, Tls},
    tls,
};

/// A connection, until it is dropped: then it ends, whoever still has one of its handles.
pub(super) struct Dialled {
    pub(super) connection: MultiplexedConnection,
    driver: AbortHandle,
}

impl Drop for Dialled {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// As what, and how, a server is spoken to.
#[derive(Clone, Copy)]
pub(super) struct Manner<'a> {
    pub(super) login: &'a Login,
    pub(super) tls: Option<&'a Tls>,
    /// RESP3 for what is pushed. Sentinels of older servers have only RESP2.
    pub(super) protocol: ProtocolVersion,
    /// Longest time until it is connected.
    pub(super) within: Duration,
}

/// Connects, and says who it is.
///
/// The library would do so too, but its TLS reads all the roots of the system for each connection, fails where one of them
/// cannot be read, and knows no name of the server other than its host.
pub(super) async fn dial(
    place: &Place,
    manner: Manner<'_>,
    config: AsyncConnectionConfig,
) -> RedisResult<Dialled> {
    let connect = async {
        let (stream, settings) = (stream(place, manner.tls).await?, settings(manner));
        let (connection, driver) = MultiplexedConnection::new_with_config(&settings, stream, config).await?;
        Ok(Dialled { connection, driver: tokio::spawn(driver).abort_handle() })
    };
    // A Redis without TLS waits for the end of a line in what it takes for a command.
    let speaks_tls = if manner.tls.is_some() { "; does it speak TLS?" } else { "" };
    let too_late =
        |_| io::Error::new(io::ErrorKind::TimedOut, format!("it does not answer in time{speaks_tls}"));
    timeout(manner.within, connect).await.map_err(too_late)?
}

fn settings(manner: Manner<'_>) -> RedisConnectionInfo {
    let Login { username, password, database } = manner.login;
    let mut settings = RedisConnectionInfo::default().set_protocol(manner.protocol).set_db(*database);
    if let Some(username) = username {
        settings = settings.set_username(username);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    settings
}

async fn stream(place: &Place, tls: Option<&Tls>) -> RedisResult<Box<dyn Stream>> {
    let endpoint = match place {
        Place::Tcp(endpoint) => endpoint,
        #[cfg(unix)]
        Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        Place::Unix(_) => {
            return Err(RedisError::from(io::Error::other("there are no unix sockets on this system")));
        }
    };
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    tcp.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Box::new(tcp)) };
    let encrypted = tls::encrypt(tls, &endpoint.host, tcp).await;
    Ok(Box::new(encrypted.map_err(|error| RedisError::from(with_reason(&error)))?))
}

/// A refusal that comes before the handshake was done is told by the other end in a way that says nothing.
fn with_reason(error: &io::Error) -> io::Error {
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            format!("TLS: it hung up, as one does that speaks none ({error})")
        }
        _ => format!("TLS: {error}"),
    };
    io::Error::other(what)
}
