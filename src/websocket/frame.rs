//! Server frames, encoded once and sent to many.
//!
//! A frame from a server is not masked (RFC 6455, section 5.1), so its bytes are the same for every member. tungstenite
//! formats a header per connection on its own write path; here its formatter is called once per publication.

use bytes::{BufMut, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::websocket::close::{Close, NO_STATUS};

/// Longest header of an unmasked frame.
pub const MAX_HEADER_BYTES: usize = 10;

/// Appends a text frame whose payload is `pieces` in order. They must be UTF-8 together, which `str` sees to.
pub fn put_text(out: &mut BytesMut, pieces: &[&str]) {
    let length = pieces.iter().map(|piece| piece.len()).sum();
    out.reserve(MAX_HEADER_BYTES + length);
    put_header(out, OpCode::Data(Data::Text), length);
    for piece in pieces {
        out.put_slice(piece.as_bytes());
    }
}

/// A text frame.
pub fn text(payload: &str) -> Bytes {
    let mut out = BytesMut::new();
    put_text(&mut out, &[payload]);
    out.freeze()
}

/// A binary frame.
pub fn binary(payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    put_binary(&mut out, payload);
    out.freeze()
}

/// An empty ping.
pub const PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// Appends a binary frame.
pub fn put_binary(out: &mut BytesMut, payload: &[u8]) {
    out.reserve(MAX_HEADER_BYTES + payload.len());
    put_header(out, OpCode::Data(Data::Binary), payload.len());
    out.put_slice(payload);
}

/// A ping with a payload of at most 125 bytes.
pub fn ping(payload: &[u8]) -> Bytes {
    control(Control::Ping, payload)
}

/// A pong frame; `payload` has at most 125 bytes.
pub fn pong(payload: &[u8]) -> Bytes {
    control(Control::Pong, payload)
}

fn control(kind: Control, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(2 + payload.len());
    put_header(&mut out, OpCode::Control(kind), payload.len());
    out.put_slice(payload);
    out.freeze()
}

/// A close frame.
pub fn close(close: &Close) -> Bytes {
    if close.code == NO_STATUS {
        return Bytes::from_static(&[0x88, 0]);
    }
    let mut out = BytesMut::with_capacity(MAX_HEADER_BYTES + 2 + close.reason.len());
    put_header(&mut out, OpCode::Control(Control::Close), 2 + close.reason.len());
    out.put_u16(close.code);
    out.put_slice(close.reason.as_bytes());
    out.freeze()
}

fn put_header(out: &mut BytesMut, opcode: OpCode, length: usize) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing to memory cannot fail, and the header has no mask to be missing.
    let written = header.format(length as u64, &mut out.writer());
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{close, put_text, text};
    use crate::websocket::close::Close;

    #[test]
    fn a_text_frame_is_final_unmasked_and_whole() {
        let mut out = BytesMut::new();
        put_text(&mut out, &["Hel", "", "lo"]);
        assert_eq!(&out[..], b"\x81\x05Hello");
    }

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        assert_eq!(&text(&"x".repeat(125))[..2], [0x81, 125]);
        assert_eq!(&text(&"x".repeat(126))[..4], [0x81, 126, 0, 126]);
        assert_eq!(&text(&"x".repeat(65_536))[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_close_frame_carries_code_and_reason() {
        assert_eq!(&close(&Close::new(1003, "no"))[..], b"\x88\x04\x03\xebno");
        assert_eq!(&close(&Close::new(1005, ""))[..], b"\x88\x00");
    }
}
