//! From bytes to messages: tungstenite, without a socket of its own.
//!
//! A `WebSocketContext` of tungstenite keeps a read buffer, which for an idle connection is memory for nothing. Here
//! all connections of a thread share one: it is given only whole frames, so it holds nothing in between. What is left
//! of a frame waits in the connection's own [`Decoder`], and a message whose fragments are still coming pins a context
//! to its connection until it is complete. An idle connection costs 40 bytes here.

use std::io::{self, Cursor, Read, Write};

use tokio_tungstenite::tungstenite::{
    Error as WsError, Message,
    protocol::{
        Role, WebSocketConfig, WebSocketContext,
        frame::{
            CloseFrame, FrameHeader, Utf8Bytes,
            coding::{Control, Data, OpCode},
        },
    },
};

use crate::{
    websocket::close::{self, Close},
    websocket::frame,
};

/// Read buffer of a shared context. tungstenite clears this much before each read, so larger is slower.
const READ_BUFFER_BYTES: usize = 1 << 10;

/// Frames above this get a context of their own for once, so that the shared one does not keep their memory.
const LARGE_FRAME_BYTES: usize = 64 << 10;

/// Longest payload of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL_BYTES: u64 = 125;

/// What a peer did against RFC 6455 or the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// Against the framing rules. Closes with 1002.
    Protocol,
    /// A text message that is no UTF-8. Closes with 1007.
    Utf8,
    /// A message over the limit. Closes with 1009.
    TooBig,
}

impl From<FrameError> for Close {
    fn from(fault: FrameError) -> Self {
        match fault {
            FrameError::Protocol => Self::new(close::PROTOCOL_ERROR, "Protocol error"),
            FrameError::Utf8 => Self::new(close::INVALID_UTF8, "Text is not UTF-8"),
            FrameError::TooBig => Self::new(close::TOO_BIG, "Message too big"),
        }
    }
}

/// The part of decoding that all connections of a thread share.
#[derive(Debug)]
pub struct Codec {
    context: WebSocketContext,
    /// Whether `context` holds nothing of anybody. Not while it is used: whoever panics then leaves it so.
    is_empty: bool,
    config: WebSocketConfig,
    max_message_bytes: u64,
}

impl Codec {
    /// A codec that refuses messages over `max_message_bytes`.
    pub fn new(max_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_frame_size(Some(max_message_bytes))
            .max_message_size(Some(max_message_bytes));
        Self { context: context(config), is_empty: true, config, max_message_bytes: max_message_bytes as u64 }
    }
}

fn context(config: WebSocketConfig) -> WebSocketContext {
    WebSocketContext::new(Role::Server, Some(config))
}

/// One connection's undecoded bytes and unfinished message.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a frame whose end has not come. Bounded by the largest message and one read.
    partial: Vec<u8>,
    /// Holds the fragments of a message whose last one has not come.
    fragments: Option<Box<WebSocketContext>>,
}

impl Decoder {
    /// Decodes `input`, which follows what earlier calls were given.
    ///
    /// Every whole message goes to `deliver`, in order; what is answered without it (pongs, and the reply to a close
    /// frame) is appended to `replies`. `deliver` gets `replies` too: what is in them answers earlier frames, and
    /// whoever answers a message must send them first. After a [`Message::Close`] nothing more is delivered, ever.
    ///
    /// # Errors
    ///
    /// The first [`FrameError`], after the messages before it were delivered. The decoder is of no use afterwards.
    pub fn decode(
        &mut self,
        codec: &mut Codec,
        input: &[u8],
        replies: &mut Vec<u8>,
        mut deliver: impl FnMut(Message, &mut Vec<u8>),
    ) -> Result<(), FrameError> {
        if self.partial.is_empty() {
            let scan = self.decode_frames(codec, input, replies, &mut deliver)?;
            self.partial = input[scan.whole..].to_vec();
            return scan.end(replies, deliver);
        }
        let mut data = std::mem::take(&mut self.partial);
        data.extend_from_slice(input);
        let scan = self.decode_frames(codec, &data, replies, &mut deliver)?;
        data.drain(..scan.whole);
        if !data.is_empty() {
            self.partial = data;
        }
        scan.end(replies, deliver)
    }

    /// Feeds the whole frames at the start of `data` to a context.
    fn decode_frames(
        &mut self,
        codec: &mut Codec,
        data: &[u8],
        replies: &mut Vec<u8>,
        deliver: &mut impl FnMut(Message, &mut Vec<u8>),
    ) -> Result<Scan, FrameError> {
        let scan = Scan::of(data, codec.max_message_bytes, self.fragments.is_some());
        let mut feed = Feed { input: &data[..scan.whole], replies };
        if scan.fragmented && self.fragments.is_none() {
            self.fragments = Some(Box::new(context(codec.config)));
        }
        if let Some(pinned) = &mut self.fragments {
            drain(pinned, &mut feed, &scan, deliver)?;
            if !scan.fragmented {
                self.fragments = None;
            }
        } else if scan.whole > LARGE_FRAME_BYTES {
            drain(&mut context(codec.config), &mut feed, &scan, deliver)?;
        } else if scan.whole > 0 {
            // What another connection left in it, of frames against the protocol or by a panic, is nobody else's.
            if !std::mem::replace(&mut codec.is_empty, false) {
                codec.context = context(codec.config);
            }
            drain(&mut codec.context, &mut feed, &scan, deliver)?;
            codec.is_empty = codec.context.can_read();
        }
        Ok(scan)
    }
}

/// Takes every message out of `feed`.
fn drain(
    context: &mut WebSocketContext,
    feed: &mut Feed<'_>,
    scan: &Scan,
    deliver: &mut impl FnMut(Message, &mut Vec<u8>),
) -> Result<(), FrameError> {
    for _ in 0..scan.messages {
        let message = context.read(feed).map_err(|error| fault(&error))?;
        deliver(message, feed.replies);
    }
    if scan.fragmented {
        // The fragments after the last whole message yield nothing yet.
        match context.read(feed) {
            Err(WsError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(fault(&error)),
            Ok(_) => debug_assert!(false, "the scan counts every message"),
        }
    }
    if scan.control {
        context.flush(feed).map_err(|error| fault(&error))?;
    }
    Ok(())
}

fn fault(error: &WsError) -> FrameError {
    match error {
        WsError::Capacity(_) => FrameError::TooBig,
        WsError::Utf8(_) => FrameError::Utf8,
        _ => FrameError::Protocol,
    }
}

/// Where the whole frames at the start of some bytes end, and what they are.
#[derive(Debug)]
struct Scan {
    /// Bytes in whole frames.
    whole: usize,
    /// Messages, control frames included, that these frames complete.
    messages: usize,
    /// Whether a control frame is among them, which may want a reply.
    control: bool,
    /// Whether the fragments of a message are incomplete after them.
    fragmented: bool,
    /// What is wrong with the frame after them, as far as its header tells before its payload has come.
    fault: Option<FrameError>,
    /// The close frame after them, the last that is read.
    close: Option<Message>,
}

impl Scan {
    fn of(data: &[u8], max_message_bytes: u64, fragmented: bool) -> Self {
        let mut scan = Self { whole: 0, messages: 0, control: false, fragmented, fault: None, close: None };
        let mut cursor = Cursor::new(data);
        loop {
            let (header, length) = match FrameHeader::parse(&mut cursor) {
                Ok(Some(parsed)) => parsed,
                Ok(None) => return scan,
                Err(error) => {
                    scan.fault = Some(fault(&error));
                    return scan;
                }
            };
            if let Some(fault) = header_fault(&header, length, max_message_bytes) {
                scan.fault = Some(fault);
                return scan;
            }
            let end = cursor.position() + length;
            if end > data.len() as u64 {
                return scan;
            }
            if header.opcode == OpCode::Control(Control::Close) {
                let payload = &data[usize::try_from(cursor.position()).unwrap_or(data.len())..];
                let payload = &payload[..usize::try_from(length).unwrap_or(payload.len())];
                match close_frame(payload, header.mask.unwrap_or_default()) {
                    Ok(frame) => scan.close = Some(Message::Close(frame)),
                    Err(fault) => scan.fault = Some(fault),
                }
                return scan;
            }
            cursor.set_position(end);
            scan.take(&header);
            // `end` is at most `data.len()`.
            scan.whole = usize::try_from(end).unwrap_or(data.len());
        }
    }

    /// Delivers and answers the close frame, if that is what comes next.
    fn end(
        self,
        replies: &mut Vec<u8>,
        mut deliver: impl FnMut(Message, &mut Vec<u8>),
    ) -> Result<(), FrameError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if let Some(message) = self.close {
            let reply = match &message {
                Message::Close(Some(frame)) => Close::new(frame.code.into(), frame.reason.to_string()),
                _ => Close::new(close::NO_STATUS, ""),
            };
            deliver(message, replies);
            replies.extend_from_slice(&frame::close(&reply));
        }
        Ok(())
    }

    fn take(&mut self, header: &FrameHeader) {
        match header.opcode {
            OpCode::Control(_) => {
                self.control = true;
                self.messages += 1;
            }
            OpCode::Data(_) if header.is_final => {
                self.fragmented = false;
                self.messages += 1;
            }
            OpCode::Data(_) => self.fragmented = true,
        }
    }
}

/// Reads a close frame's payload. tungstenite would refuse 1014, and answer a code that nobody may send without saying so.
fn close_frame(masked: &[u8], mask: [u8; 4]) -> Result<Option<CloseFrame>, FrameError> {
    let payload: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    let (code, reason) = match payload.split_first_chunk() {
        Some((code, reason)) => (u16::from_be_bytes(*code), reason),
        None if payload.is_empty() => return Ok(None),
        None => return Err(FrameError::Protocol),
    };
    if !close::is_sendable(code) {
        return Err(FrameError::Protocol);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| FrameError::Utf8)?;
    Ok(Some(CloseFrame { code: code.into(), reason: Utf8Bytes::from(reason) }))
}

/// What a header alone says is wrong, so that nobody waits for the payload of a frame that is refused anyway.
fn header_fault(header: &FrameHeader, length: u64, max_message_bytes: u64) -> Option<FrameError> {
    let reserved = header.rsv1 || header.rsv2 || header.rsv3;
    let wrong = match header.opcode {
        OpCode::Control(_) => !header.is_final || length > MAX_CONTROL_BYTES,
        OpCode::Data(Data::Reserved(_)) => true,
        OpCode::Data(_) => false,
    };
    if reserved || wrong || header.mask.is_none() {
        Some(FrameError::Protocol)
    } else if length > max_message_bytes {
        Some(FrameError::TooBig)
    } else {
        None
    }
}

/// What a context takes for its socket.
struct Feed<'a> {
    input: &'a [u8],
    replies: &'a mut Vec<u8>,
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.replies.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
