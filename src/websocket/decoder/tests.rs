use tokio_tungstenite::tungstenite::Message;

use super::{Codec, Decoder, FrameError};

/// A masked client frame; `first` is the first byte: FIN, reserved bits, opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=65_535 => {
            out.push(0xfe);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            out.push(0xff);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
    out
}

struct Peer {
    codec: Codec,
    decoder: Decoder,
    replies: Vec<u8>,
    messages: Vec<Message>,
}

impl Peer {
    fn new() -> Self {
        Self { codec: Codec::new(100_000), decoder: Decoder::default(), replies: vec![], messages: vec![] }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let messages = &mut self.messages;
        self.decoder.decode(&mut self.codec, bytes, &mut self.replies, |message, _| messages.push(message))
    }

    fn is_idle(&self) -> bool {
        self.decoder.partial.capacity() == 0 && self.decoder.fragments.is_none()
    }
}

#[test]
fn frames_read_together_come_out_in_order() {
    let mut peer = Peer::new();
    let bytes = [frame(0x81, b"one"), frame(0x82, b"two"), frame(0x81, b"")].concat();
    peer.send(&bytes).unwrap();
    assert_eq!(peer.messages, [Message::text("one"), Message::binary(b"two".to_vec()), Message::text("")]);
    assert!(peer.is_idle());
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let mut peer = Peer::new();
    for byte in frame(0x81, "größe".as_bytes()) {
        peer.send(&[byte]).unwrap();
    }
    assert_eq!(peer.messages, [Message::text("größe")]);
    assert!(peer.is_idle(), "nothing is kept once the frame is whole");
}

#[test]
fn two_connections_may_interleave_partial_frames_on_one_codec() {
    let mut codec = Codec::new(1000);
    let mut peers = [Decoder::default(), Decoder::default()];
    let mut seen = vec![];
    let frames = [frame(0x81, b"from the first"), frame(0x81, b"from the second")];
    for half in 0..2 {
        for (peer, bytes) in peers.iter_mut().zip(&frames) {
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            let part = if half == 0 { head } else { tail };
            peer.decode(&mut codec, part, &mut vec![], |message, _| seen.push(message)).unwrap();
        }
    }
    assert_eq!(seen, [Message::text("from the first"), Message::text("from the second")]);
}

#[test]
fn fragments_are_joined_and_a_ping_between_them_is_answered_at_once() {
    let mut peer = Peer::new();
    peer.send(&frame(0x01, b"Hel")).unwrap();
    peer.send(&frame(0x89, b"?")).unwrap();
    assert_eq!(peer.replies, b"\x8a\x01?");
    assert!(!peer.is_idle());
    peer.send(&[frame(0x80, b"lo"), frame(0x81, b"next")].concat()).unwrap();
    assert_eq!(peer.messages[1..], [Message::text("Hello"), Message::text("next")]);
    assert!(peer.is_idle());
}

#[test]
fn fragments_of_one_connection_do_not_meet_those_of_another() {
    let mut codec = Codec::new(1000);
    let mut peers = [Decoder::default(), Decoder::default()];
    let mut seen = vec![];
    for (peer, bytes) in
        [(0, frame(0x01, b"a1")), (1, frame(0x01, b"b1")), (0, frame(0x80, b"a2")), (1, frame(0x80, b"b2"))]
    {
        peers[peer].decode(&mut codec, &bytes, &mut vec![], |message, _| seen.push(message)).unwrap();
    }
    assert_eq!(seen, [Message::text("a1a2"), Message::text("b1b2")]);
}

#[test]
fn every_ping_gets_its_pong() {
    let mut peer = Peer::new();
    peer.send(&[frame(0x89, b"1"), frame(0x89, b"2"), frame(0x89, b"3")].concat()).unwrap();
    assert_eq!(peer.replies, b"\x8a\x011\x8a\x012\x8a\x013");
}

#[test]
fn a_pong_is_ready_before_the_message_that_ends_after_its_ping() {
    let mut codec = Codec::new(1000);
    let mut seen = vec![];
    let bytes = [frame(0x01, b"Hel"), frame(0x89, b"?"), frame(0x80, b"lo"), frame(0x89, b"!")].concat();
    let mut replies = vec![];
    Decoder::default()
        .decode(&mut codec, &bytes, &mut replies, |message, replies| {
            if message.is_text() {
                seen = std::mem::take(replies);
            }
        })
        .unwrap();
    assert_eq!(seen, b"\x8a\x01?");
    assert_eq!(replies, b"\x8a\x01!");
}

#[test]
fn a_close_is_answered_and_nothing_after_it_is_delivered() {
    let mut peer = Peer::new();
    peer.send(&[frame(0x88, b"\x03\xe8bye"), frame(0x81, b"late")].concat()).unwrap();
    assert_eq!(peer.messages.len(), 1);
    assert!(peer.messages[0].is_close());
    assert_eq!(peer.replies, b"\x88\x05\x03\xe8bye");

    let mut other = Decoder::default();
    let mut seen = vec![];
    other.decode(&mut peer.codec, &frame(0x81, b"hi"), &mut vec![], |message, _| seen.push(message)).unwrap();
    assert_eq!(seen, [Message::text("hi")], "the codec serves the next connection");
}

#[test]
fn a_close_is_answered_with_its_own_code_or_refused() {
    for code in 0..=u16::MAX {
        let mut peer = Peer::new();
        let payload = [&code.to_be_bytes()[..], b"why"].concat();
        let outcome = peer.send(&frame(0x88, &payload));
        if matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            assert_eq!(outcome, Ok(()), "{code}");
            let Message::Close(Some(close)) = &peer.messages[0] else {
                panic!("{code}: {:?}", peer.messages)
            };
            assert_eq!((u16::from(close.code), close.reason.as_str()), (code, "why"));
            assert_eq!(peer.replies, [b"\x88\x05", &payload[..]].concat());
        } else {
            assert_eq!(outcome, Err(FrameError::Protocol), "{code}");
            assert!(peer.messages.is_empty() && peer.replies.is_empty());
        }
    }
}

#[test]
fn a_close_may_come_between_fragments_after_a_ping_and_byte_by_byte() {
    let bytes = [frame(0x01, b"half"), frame(0x89, b"?"), frame(0x88, b"")].concat();
    let mut whole = Peer::new();
    whole.send(&bytes).unwrap();
    let mut pieces = Peer::new();
    for byte in bytes {
        pieces.send(&[byte]).unwrap();
    }
    for peer in [whole, pieces] {
        assert_eq!(peer.replies, b"\x8a\x01?\x88\x00");
        assert_eq!(peer.messages.last(), Some(&Message::Close(None)));
    }
}

#[test]
fn a_close_with_half_a_code_or_without_utf8_is_a_fault() {
    assert_eq!(Peer::new().send(&frame(0x88, b"\x03")), Err(FrameError::Protocol));
    assert_eq!(Peer::new().send(&frame(0x88, b"\x03\xe8\xff")), Err(FrameError::Utf8));
    assert_eq!(Peer::new().send(&frame(0x88, b"\x03\xe8\xed\xa0\x80")), Err(FrameError::Utf8));
    // What is wrong first is what is said.
    assert_eq!(Peer::new().send(&frame(0x88, b"\x03\xed\xff")), Err(FrameError::Protocol));
}

#[test]
fn messages_before_a_fault_are_delivered() {
    let mut peer = Peer::new();
    let bytes = [frame(0x81, b"good"), frame(0xc1, b"reserved bit")].concat();
    assert_eq!(peer.send(&bytes), Err(FrameError::Protocol));
    assert_eq!(peer.messages, [Message::text("good")]);
}

#[test]
fn a_fault_of_one_connection_leaves_the_codec_to_the_others() {
    let mut peer = Peer::new();
    assert_eq!(peer.send(&frame(0x81, b"\xff")), Err(FrameError::Utf8));
    peer.decoder = Decoder::default();
    peer.send(&frame(0x81, b"fine")).unwrap();
    assert_eq!(peer.messages, [Message::text("fine")]);
}

#[test]
fn framing_faults_are_told_by_the_header_alone() {
    let unmasked = b"\x81\x05Hello".to_vec();
    let reserved_opcode = frame(0x83, b"");
    let reserved_control = frame(0x8b, b"");
    let long_ping = frame(0x89, &[0; 126])[..8].to_vec();
    let fragmented_ping = frame(0x09, b"x");
    for bytes in [unmasked, reserved_opcode, reserved_control, long_ping, fragmented_ping] {
        assert_eq!(Peer::new().send(&bytes), Err(FrameError::Protocol), "{bytes:x?}");
    }
}

#[test]
fn fragments_out_of_order_are_a_protocol_error() {
    assert_eq!(Peer::new().send(&frame(0x80, b"continues nothing")), Err(FrameError::Protocol));
    let mut peer = Peer::new();
    peer.send(&frame(0x01, b"begins")).unwrap();
    assert_eq!(peer.send(&frame(0x81, b"begins again")), Err(FrameError::Protocol));
}

#[test]
fn a_message_over_the_limit_is_refused_before_its_payload_comes() {
    let mut peer = Peer::new();
    assert_eq!(peer.send(&frame(0x82, &vec![0; 100_001])[..14]), Err(FrameError::TooBig));
}

#[test]
fn fragments_are_limited_together() {
    let mut peer = Peer::new();
    peer.send(&frame(0x02, &vec![0; 60_000])).unwrap();
    assert_eq!(peer.send(&frame(0x80, &vec![0; 60_000])), Err(FrameError::TooBig));
}

#[test]
fn a_large_message_leaves_no_memory_behind() {
    let mut peer = Peer::new();
    for part in frame(0x82, &vec![7; 90_000]).chunks(1000) {
        peer.send(part).unwrap();
    }
    assert_eq!(peer.messages, [Message::binary(vec![7; 90_000])]);
    assert!(peer.is_idle());
}
