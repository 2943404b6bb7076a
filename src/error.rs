//! Errors of the hub's calls, by cause.

use std::{fmt, io};

/// Why a call of the hub was refused. What a peer does wrong is no error of a call; see [`close`](crate::websocket::close).
#[derive(Debug)]
pub enum Error {
    /// An option is outside its range. Fix the option.
    InvalidOption {
        /// The option as JavaScript writes it.
        name: &'static str,
        /// What it must be.
        reason: &'static str,
    },
    /// The hub was closed, or drains. Nothing of the call was done.
    Closed,
    /// More than [`Config::max_pending_bytes`](crate::Config::max_pending_bytes) waits for this document, endpoint or room.
    /// Nothing of the message was sent; try again later.
    Overloaded,
    /// The connection is in as many rooms as it may be, [`MAX_ROOMS`](crate::handlers::MAX_ROOMS). It did not join; have it
    /// leave others first.
    TooManyRooms,
    /// A socket could not be taken over: its descriptor could not be duplicated (`EMFILE`) or is no TCP socket.
    Socket(io::Error),
    /// The peer of a socket has reset it before it could be taken over.
    Gone,
    /// The operating system gave no thread, timer or listener.
    Start(io::Error),
    /// The hub was to work over a Redis and cannot: what is wrong with it, or with what it was told.
    Redis(String),
}

impl Error {
    /// The stable code that JavaScript sees as `error.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidOption { .. } => "HUB_INVALID_ARGUMENT",
            Self::Closed => "HUB_CLOSED",
            Self::Overloaded => "HUB_OVERLOADED",
            Self::TooManyRooms => "HUB_TOO_MANY_ROOMS",
            Self::Gone | Self::Socket(_) => "HUB_SOCKET",
            Self::Start(_) => "HUB_START_FAILED",
            Self::Redis(_) => "HUB_REDIS",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidOption { name, reason } => write!(f, "option {name} {reason}"),
            Self::Closed => f.write_str("the hub is closed"),
            Self::Overloaded => f.write_str("too much waits to be sent; try again later"),
            Self::TooManyRooms => f.write_str("the connection is in 1000 rooms already"),
            Self::Socket(error) => write!(f, "the socket could not be taken over: {error}"),
            Self::Gone => f.write_str("the peer has reset the socket"),
            Self::Start(error) => write!(f, "the hub could not start: {error}"),
            Self::Redis(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket(error) | Self::Start(error) => Some(error),
            Self::InvalidOption { .. }
            | Self::Closed
            | Self::Overloaded
            | Self::TooManyRooms
            | Self::Redis(_)
            | Self::Gone => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn an_error_stays_small_enough_to_return_by_value() {
        assert!(size_of::<Error>() <= 40, "{}", size_of::<Error>());
    }
}
