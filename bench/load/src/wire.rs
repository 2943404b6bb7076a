//! The WebSocket framing of both ends, as far as the benchmark needs it.

/// The key of the example in RFC 6455, section 1.3. One key for all: nobody here guards against a confused proxy.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server must answer to [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A frame with a whole text message.
pub const TEXT: u8 = 1;
/// A close frame.
pub const CLOSE: u8 = 8;
/// A ping frame.
pub const PING: u8 = 9;
/// A pong frame.
pub const PONG: u8 = 10;

/// Not zero: a server may skip the unmasking of a zero mask, which no browser sends.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The two characters that begin a stamp inside a message.
pub const STAMP_MARK: &[u8] = b"\"@";
const STAMP_DIGITS: usize = 8;

/// A client's message, masked and ready to be sent again and again with another stamp.
#[derive(Debug, Clone)]
pub struct Template {
    frame: Vec<u8>,
    /// Where the stamp's digits begin in `frame`.
    stamp: usize,
    payload: usize,
}

impl Template {
    /// Encodes `text`, which holds `"@00000000` where the stamp goes.
    ///
    /// # Panics
    ///
    /// Where `text` has no stamp.
    pub fn new(text: &str) -> Self {
        let mark = memchr::memmem::find(text.as_bytes(), STAMP_MARK).expect("a message with a stamp");
        let frame = masked(TEXT, text.as_bytes());
        let payload = frame.len() - text.len();
        Self { stamp: payload + mark + STAMP_MARK.len(), frame, payload }
    }

    /// Appends the frame with this stamp to `out`.
    pub fn put(&mut self, stamp: u32, out: &mut Vec<u8>) {
        for digit in 0..STAMP_DIGITS {
            let at = self.stamp + digit;
            let nibble = (stamp >> (4 * (STAMP_DIGITS - 1 - digit))) & 0xf;
            self.frame[at] = b"0123456789abcdef"[nibble as usize] ^ MASK[(at - self.payload) % 4];
        }
        out.extend_from_slice(&self.frame);
    }
}

/// The stamp inside a message, or nothing where it has none.
pub fn stamp(message: &[u8]) -> Option<u32> {
    let at = memchr::memmem::find(message, STAMP_MARK)? + STAMP_MARK.len();
    let digits = message.get(at..at + STAMP_DIGITS)?;
    digits.iter().try_fold(0, |value, digit| Some((value << 4) | char::from(*digit).to_digit(16)?))
}

/// A client's frame.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    put_header(&mut frame, opcode, payload.len());
    frame[1] |= 0x80;
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Appends a server's frame whose payload is `pieces` in order.
pub fn put_unmasked(out: &mut Vec<u8>, opcode: u8, pieces: &[&[u8]]) {
    put_header(out, opcode, pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

fn put_header(out: &mut Vec<u8>, opcode: u8, length: usize) {
    out.push(0x80 | opcode);
    if length < 126 {
        out.push(length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// One frame in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What kind of frame it is.
    pub opcode: u8,
    /// Its mask, where it has one.
    pub mask: Option<[u8; 4]>,
    /// Its payload, masked where there is a mask.
    pub payload: &'a [u8],
    /// Bytes it takes in the buffer.
    pub length: usize,
}

impl Frame<'_> {
    /// Appends its payload without the mask.
    pub fn unmask_to(&self, out: &mut Vec<u8>) {
        let mask = self.mask.unwrap_or_default();
        out.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
}

/// A server's answer to an upgrade with [`KEY`], and its first message behind it.
pub fn accepted(first: &str) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
    .into_bytes();
    put_unmasked(&mut answer, TEXT, &[first.as_bytes()]);
    answer
}

/// The frame `bytes` begins with, or nothing where it is not there as a whole.
pub fn first_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (&[first, second], _) = bytes.split_first_chunk()?;
    let (length, mut header) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*bytes[2..].first_chunk()?)).ok()?, 10),
        length => (usize::from(length), 2),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        mask = Some(*bytes[header..].first_chunk()?);
        header += 4;
    }
    let payload = bytes.get(header..header.checked_add(length)?)?;
    Some(Frame { opcode: first & 0xf, mask, payload, length: header + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmask(frame: Frame<'_>) -> Vec<u8> {
        assert!(frame.mask.is_some(), "a client's frame");
        let mut payload = Vec::new();
        frame.unmask_to(&mut payload);
        payload
    }

    #[test]
    fn a_template_carries_every_stamp_it_is_given() {
        let mut template = Template::new(r#"{"type":"update","update":"@00000000rest"}"#);
        for wanted in [0, 1, 0x1234_abcd, u32::MAX] {
            let mut out = Vec::new();
            template.put(wanted, &mut out);
            let frame = first_frame(&out).expect("a whole frame");
            assert_eq!(frame.length, out.len());
            assert_eq!(stamp(&unmask(frame)), Some(wanted));
        }
    }

    #[test]
    fn a_frame_is_found_only_when_it_is_whole() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            put_unmasked(&mut bytes, TEXT, &[&vec![b'x'; length]]);
            assert_eq!(first_frame(&bytes[..bytes.len() - 1]), None);
            assert_eq!(first_frame(&bytes).map(|frame| frame.payload.len()), Some(length));
        }
    }
}
