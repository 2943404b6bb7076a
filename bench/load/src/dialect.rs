//! What a server calls the same acts: joining a document, sending an update.

use serde::Deserialize;

/// Bytes of a fabric `update` message, as the target table asks.
const MESSAGE_BYTES: usize = 200;

/// The protocol on top of the WebSocket frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// The fabric protocol: a JSON object a frame.
    #[default]
    Fabric,
    /// The fabric's messages to a handler that sends them back.
    Echo,
    /// An agent endpoint: the document is a thread.
    Agent,
    /// Socket.IO 4 over Engine.IO 4, websocket transport only: a packet a frame.
    SocketIo,
}

/// What a message from the server asks of a connection that has not joined yet.
#[derive(Debug, PartialEq, Eq)]
pub enum Joining {
    /// Wait for the next message.
    Wait,
    /// Send this text.
    Reply(&'static [u8]),
    /// The server has taken the connection into its document.
    Joined,
}

impl Dialect {
    /// The request target that joins `document`.
    pub fn target(self, document: &str, client: &str) -> String {
        match self {
            Self::Fabric => format!("/ws/fabric?documentId={document}&clientID={client}"),
            Self::Echo => "/ws/echo".to_owned(),
            Self::Agent => format!("/ws/agent?threadId={document}"),
            Self::SocketIo => {
                format!("/socket.io/?EIO=4&transport=websocket&documentId={document}&clientID={client}")
            }
        }
    }

    /// An update of [`MESSAGE_BYTES`] with an empty stamp. The update itself is as long in every dialect.
    pub fn update(self, document: &str) -> String {
        let fabric =
            |update: &str| format!(r#"{{"type":"update","documentId":"{document}","update":"{update}"}}"#);
        let filling = MESSAGE_BYTES.saturating_sub(fabric("@00000000").len());
        let update = format!("@00000000{}", "u".repeat(filling));
        match self {
            Self::Fabric | Self::Echo | Self::Agent => fabric(&update),
            Self::SocketIo => format!(r#"42["update",{{"documentId":"{document}","update":"{update}"}}]"#),
        }
    }

    /// What the messages before `connected` ask for.
    pub fn joining(self, message: &[u8]) -> Joining {
        if memchr::memmem::find(message, b"\"connected\"").is_some() {
            Joining::Joined
        } else if self == Self::SocketIo && message.starts_with(b"0{") {
            // Engine.IO has opened: ask for the default namespace.
            Joining::Reply(b"40")
        } else {
            Joining::Wait
        }
    }

    /// The answer to a message that asks for one whenever it comes: Engine.IO pings inside text frames.
    pub fn reply(self, message: &[u8]) -> Option<&'static [u8]> {
        (self == Self::SocketIo && message == b"2").then_some(b"3")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_has_the_length_that_the_table_asks_for() {
        assert_eq!(Dialect::Fabric.update("document-7").len(), MESSAGE_BYTES);
    }

    #[test]
    fn a_connection_has_joined_when_the_server_says_connected() {
        assert_eq!(Dialect::Fabric.joining(br#"{"type":"connected","clientID":"c"}"#), Joining::Joined);
        assert_eq!(Dialect::SocketIo.joining(br#"0{"sid":"x"}"#), Joining::Reply(b"40"));
        assert_eq!(Dialect::SocketIo.joining(br#"40{"sid":"y"}"#), Joining::Wait);
        assert_eq!(Dialect::SocketIo.joining(br#"42["connected",{}]"#), Joining::Joined);
    }
}
