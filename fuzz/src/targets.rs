//! What is fuzzed: what a stranger may send, and what must hold whatever it is.
//!
//! Each target is a plain function, so that `tests/fuzz_seeds.rs` can run it over the seeds without cargo-fuzz, which
//! needs a nightly compiler.

#![allow(dead_code, clippy::allow_attributes, reason = "each fuzz target uses one of them")]
#![allow(clippy::unwrap_used, reason = "a target fails by panicking")]

use std::time::Duration;

use captify_hub::{
    admission::upgrade::Upgrade,
    config::Secret,
    document::{
        batches::{Batch, Batches},
        steps::{self, StepLimits, StepsError},
        store::record,
    },
    ids::{ClientSessionId, Epoch, Id},
    protocol::{
        self, ClientMessage,
        steps::{StepsMessage, parse_steps},
        updates::{UpdatesMessage, parse_updates},
    },
    recovery::RecoveryRequest,
    recovery::saved,
    recovery::state_file::{self, StateKey},
    recovery::token::{Claims, Signer},
    websocket::decoder::{Codec, Decoder, FrameError},
    websocket::handshake::Request,
};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

const MAX_MESSAGE_BYTES: usize = 1 << 10;
const MAX_DEPTH: usize = 32;

/// Bytes of a peer after its handshake: cut into reads wherever, they are the same messages and the same fault.
pub(crate) fn frames(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    let whole = decode(data, data.len().max(1));
    let cut = decode(data, usize::from(size).max(1));
    assert_eq!(whole, cut);
}

fn decode(data: &[u8], read_bytes: usize) -> (Vec<Message>, Vec<u8>, Option<FrameError>) {
    let (mut codec, mut decoder) = (Codec::new(MAX_MESSAGE_BYTES), Decoder::default());
    let (mut messages, mut replies) = (Vec::new(), Vec::new());
    for input in data.chunks(read_bytes) {
        let outcome = decoder.decode(&mut codec, input, &mut replies, |message, _| messages.push(message));
        if messages.last().is_some_and(Message::is_close) {
            // Whatever follows is of no interest.
            break;
        }
        if let Err(fault) = outcome {
            return (messages, replies, Some(fault));
        }
    }
    for message in &messages {
        assert!(message.len() <= MAX_MESSAGE_BYTES);
    }
    (messages, replies, None)
}

/// A text message: what is obeyed is JSON, and what the others get is JSON with the same payload.
pub(crate) fn messages(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (document, client) = (Id::new("doc \"1\"").unwrap(), Id::new("client").unwrap());
    kept_messages(text, &document, &client);
    let parsed = protocol::parse(text, &document, MAX_DEPTH);
    // The other reader knows less: it refuses numbers that are too large for it.
    let value = serde_json::from_str::<Value>(text);
    match parsed {
        Ok(ClientMessage::Publish { topic, payload, version, id, .. }) => {
            let mut out = bytes();
            protocol::put_publication(&mut out, &document, &client, topic, payload, version, id);
            let sent = text_of(&out);
            assert!(sent.contains(payload) && sent.contains(version));
            if let Ok(value) = value {
                let sent: Value = serde_json::from_str(sent).unwrap();
                let kind = sent["type"].as_str().unwrap();
                assert_eq!(sent[kind], value[kind]);
                assert_eq!(sent["documentId"], document.text());
                assert_eq!(sent["clientID"], "client");
                assert_eq!(sent.get("offset").and_then(Value::as_u64), id);
            }
        }
        Ok(ClientMessage::Sync) => assert!(value.is_err() || value.unwrap()["type"] == "sync"),
        Ok(ClientMessage::Ack) => assert!(value.is_err() || value.unwrap()["type"] == "ack"),
        Ok(ClientMessage::Session) => assert!(value.is_err() || value.unwrap()["type"] == "session"),
        Err(protocol::MessageError::BadJson) => assert!(value.is_err(), "JSON was called none: {text}"),
        Err(_) => {}
    }
}

fn bytes() -> ::bytes::BytesMut {
    ::bytes::BytesMut::new()
}

/// The same message for documents that are kept: what is shown to others is JSON again, with the sender's id.
fn kept_messages(text: &str, document: &Id, client: &Id) {
    if let Ok(StepsMessage::Shown { topic, payload }) = parse_steps(text, document, MAX_DEPTH) {
        let mut out = bytes();
        protocol::put_publication(&mut out, document, client, topic, &payload, "", None);
        // Numbers may be too large for this reader.
        if let Ok(sent) = serde_json::from_str::<Value>(text_of(&out)) {
            assert_eq!(sent["clientID"], client.text());
        }
    }
    if let Ok(UpdatesMessage::Update { update, .. }) = parse_updates(text, document, MAX_DEPTH) {
        assert!(text.contains(update));
    }
}

/// The payload of an unmasked frame.
fn text_of(frame: &[u8]) -> &str {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    std::str::from_utf8(&frame[header..]).unwrap()
}

/// A token: only the very one that was signed is good, and only for what it was signed for.
pub(crate) fn token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let signer = Signer::new(&Secret::new([7; 32]));
    let (document, rest) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let epoch = Epoch::new(data.len() as u64);
    let claims = Claims { epoch, document, client: rest, user: None };
    let client_session = ClientSessionId::new(u64::from(data.first().copied().unwrap_or_default()));
    let good = signer.sign(client_session, claims);
    assert_eq!(signer.verify(&good, claims), Some(client_session));
    assert_eq!(
        signer.verify(&good, Claims { document: rest, client: document, ..claims }).is_some(),
        document == rest
    );
    assert_eq!(signer.verify(&good, Claims { user: Some(""), ..claims }), None);
    let fixed = Claims { epoch: Epoch::new(1), document: "doc", client: "client", user: Some("user") };
    if let Some(client_session) = signer.verify(&text, fixed) {
        assert_eq!(text, signer.sign(client_session, fixed), "a token that was not signed is good");
    }
}

/// The query of an upgrade: a client that asks for what it missed gets an answer, whatever it shows.
pub(crate) fn recovery(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let upgrade = Upgrade::from(Request::from_lines(&format!("GET\n/ws/fabric?{text}\n1.1")));
    let Some(ask) = RecoveryRequest::of(&upgrade) else { return };
    if let Some(epoch) = ask.epoch {
        assert_eq!(epoch.to_string().parse(), Ok(epoch));
    }
    if let Some(offset) = ask.offset {
        let shown = upgrade.parameter("offset").unwrap();
        assert_eq!(
            shown.trim_start_matches('0'),
            if offset == 0 { String::new() } else { offset.to_string() }
        );
    }
    let fixed = Claims { epoch: Epoch::new(1), document: "doc", client: "client", user: None };
    let signer = Signer::new(&Secret::new([7; 32]));
    if let Some(client_session) = signer.verify(&ask.token, fixed) {
        assert_eq!(ask.token, signer.sign(client_session, fixed));
    }
}

/// What a process left to the next one, as whatever it may be: rooms are read as they are written, and of a file only what was
/// signed.
pub(crate) fn state(data: &[u8]) {
    let bytes = ::bytes::Bytes::copy_from_slice(data);
    if let Ok(rooms) = saved::decode(bytes.clone()) {
        let encoded = saved::encode(&rooms, usize::MAX);
        assert!(encoded.bytes == data && encoded.left_out == 0);
        let (some, max) = (saved::encode(&rooms, data.len() / 2), data.len() / 2);
        assert!(some.bytes.len() <= max && saved::decode(some.bytes.into()).is_ok());
    }
    let (key, now, window) =
        (StateKey::of(&Secret::new([7; 32])), Duration::from_hours(1), Duration::from_mins(1));
    assert!(state_file::open(&bytes, &key, now, window).is_err(), "what nobody has signed is read");
    let (mut file, end) = state_file::seal(data, &key, now);
    file.extend_from_slice(data);
    file.extend_from_slice(&end);
    let is_read = state_file::open(&file.into(), &key, now, window).is_ok();
    assert_eq!(is_read, saved::decode(bytes).is_ok());
}

/// The steps of a batch: what is let in is an array of steps, as another reader finds it, and is read from each of its steps
/// on as what it was.
pub(crate) fn steps(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limits = StepLimits { steps: 8, bytes: MAX_MESSAGE_BYTES };
    let is_step = |value: &Value| value.get("stepType").is_some_and(Value::is_string);
    // The other reader knows less: it refuses numbers that are too large for it, and what is nested deeply.
    let value = serde_json::from_str::<Value>(text);
    let count = match steps::check(text, limits) {
        Ok(count) => count,
        Err(StepsError::BadShape) => {
            let array = value.as_ref().ok().and_then(Value::as_array);
            let is_good = array.is_some_and(|array| !array.is_empty() && array.iter().all(is_step));
            return assert!(!is_good, "steps were refused: {text}");
        }
        Err(StepsError::TooManySteps { count }) => return assert!(count > limits.steps),
        Err(StepsError::TooLarge { bytes }) => return assert!(bytes == data.len() && bytes > limits.bytes),
    };
    let mut batches = Batches::new(100);
    let client = Id::new("client \"1\"").unwrap();
    batches.push(Batch {
        before: 100,
        count,
        client,
        number: None,
        change_id: None,
        steps: text.into(),
        offset: 0,
        client_session: None,
    });
    for passed in 0..=count {
        let since = batches.steps_since(100 + u64::from(passed)).unwrap();
        let left = (count - passed) as usize;
        let clients: Vec<String> = serde_json::from_str(&since.client_ids.concat()).unwrap();
        assert_eq!(clients, vec!["client \"1\""; left]);
        if let Ok(Value::Array(all)) = &value {
            assert!(all.len() == count as usize && all.iter().all(is_step));
            let read: Vec<Value> = serde_json::from_str(&since.steps.concat()).unwrap();
            assert_eq!(read, all[passed as usize..]);
        }
    }
}

/// A record of the store, as whatever it may be: what is read is written in the very same bytes, and nothing else is read.
/// Heads and entries have an older form, which is read and not written any more.
pub(crate) fn records(data: &[u8]) {
    if let Ok(head) = record::Head::decode(data) {
        assert!(data[0] == 1 || head.encode() == data);
    }
    if let Ok((document, entry)) = record::decode_entry(data) {
        assert!(data[0] == 1 || record::encode_entry(&document, &entry) == data);
        assert!(entry.count > 0 && entry.after() > entry.before);
        assert_eq!(record::decode_place(data), Ok((document, entry.before, entry.count)));
    }
    if let Ok(numbers) = record::decode_numbers(data) {
        assert_eq!(record::encode_numbers(&numbers), data);
    }
    if let Ok(aside) = record::decode_aside(data) {
        assert_eq!(record::encode_aside(&aside), data);
        assert_eq!(record::decode_id(aside.document.text().as_bytes()), Ok(aside.document));
    }
}
