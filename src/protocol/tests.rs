use bytes::BytesMut;

use super::recovery::{RecoveryResult, Reload};
use super::{ClientMessage, Id, MessageError, Topic, put_error, put_message, put_outcome, put_publication};

fn document() -> Id {
    Id::new("doc").unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "so that it compares with what parse answers")]
fn publish<'a>(
    topic: Topic,
    payload: &'a str,
    version: &'a str,
) -> Result<ClientMessage<'a>, MessageError<'a>> {
    Ok(ClientMessage::Publish { topic, payload, version, id: None, ack: false })
}

fn parse<'a>(text: &'a str, document: &Id) -> Result<ClientMessage<'a>, MessageError<'a>> {
    super::parse(text, document, usize::MAX / 2)
}

#[test]
fn each_topic_carries_the_value_of_its_own_key() {
    let doc = document();
    let text = |topic: &str| format!(r#"{{"type":"{topic}","documentId":"doc","{topic}":[1],"other":2}}"#);
    for (name, topic) in
        [("update", Topic::Update), ("awareness", Topic::Awareness), ("selection", Topic::Selection)]
    {
        assert_eq!(parse(&text(name), &doc), publish(topic, "[1]", ""));
    }
    let steps = r#"{"type":"steps","documentId":"doc","steps":[{"a":1}],"version":7}"#;
    assert_eq!(parse(steps, &doc), publish(Topic::Steps, r#"[{"a":1}]"#, "7"));
    assert_eq!(parse(r#"{"type":"sync","documentId":"doc","sv":"AA=="}"#, &doc), Ok(ClientMessage::Sync));
}

#[test]
fn a_payload_is_the_very_text_that_came() {
    let doc = document();
    for payload in [
        "123456789012345678901234567890",
        "1e999",
        r#"{"z":1,"a":{"z":2,"a":3},"z":4}"#,
        r#""\u00e9\ud83d\ude00 é 😀""#,
        r#""\ud800 alone""#,
        "null",
        "[ 1 ,\n 2 ]",
    ] {
        let text = format!(r#"{{"type":"update","documentId":"doc","update":{payload}}}"#);
        assert_eq!(parse(&text, &doc), publish(Topic::Update, payload, ""), "{payload}");
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let payload = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let text = format!(r#"{{"type":"update","documentId":"doc","ignored":{payload},"update":{payload}}}"#);
    assert_eq!(parse(&text, &document()), publish(Topic::Update, &payload, ""));
}

#[test]
fn ids_are_compared_by_what_they_mean() {
    let doc = Id::new("dö\"c").unwrap();
    let text = r#"{"type":"sync","documentId":"d\u00f6\"c"}"#;
    assert_eq!(parse(text, &doc), Ok(ClientMessage::Sync));
    let text = r#"{"\u0074ype":"s\u0079nc","documentId":"doc"}"#;
    assert_eq!(parse(text, &document()), Ok(ClientMessage::Sync));
}

#[test]
fn of_a_repeated_key_the_last_counts() {
    let text = r#"{"type":"update","type":"sync","documentId":"other","documentId":"doc"}"#;
    assert_eq!(parse(text, &document()), Ok(ClientMessage::Sync));
}

#[test]
fn what_is_no_json_and_what_is_no_such_object_are_told_apart() {
    let doc = document();
    for text in ["", "{", "hello", r#"{"type":"sync","documentId":"doc"} x"#, r#"{"type":"sync" "a"}"#] {
        assert_eq!(parse(text, &doc), Err(MessageError::BadJson), "{text}");
    }
    for text in [
        "1",
        "null",
        "[]",
        r#""text""#,
        "{}",
        r#"{"type":"sync"}"#,
        r#"{"documentId":"doc"}"#,
        r#"{"type":1,"documentId":"doc"}"#,
        r#"{"type":"sync","documentId":{}}"#,
        r#"{"type":"update","documentId":"doc"}"#,
        r#"{"type":"update","documentId":"doc","steps":[]}"#,
        r#"{"type":"steps","documentId":"doc","steps":[]}"#,
        r#"{"type":"steps","documentId":"doc","steps":[],"version":"1"}"#,
        r#"{"type":"steps","documentId":"doc","steps":[],"version":null}"#,
        r#"{"type":"steps","documentId":"doc","version":1}"#,
    ] {
        assert_eq!(parse(text, &doc), Err(MessageError::BadShape), "{text}");
    }
}

#[test]
fn a_foreign_document_and_an_unknown_type_are_named() {
    let text = r#"{"type":"update","documentId":"other","update":1}"#;
    assert_eq!(parse(text, &document()), Err(MessageError::WrongDocument("other".into())));
    let text = r#"{"type":"dance","documentId":"doc"}"#;
    assert_eq!(parse(text, &document()), Err(MessageError::UnknownType("dance".into())));
}

#[test]
fn an_update_and_steps_may_have_a_number_of_the_clients_own() {
    let doc = document();
    let text = |more: &str| format!(r#"{{"type":"update","documentId":"doc","update":1{more}}}"#);
    let numbered =
        |id, ack| Ok(ClientMessage::Publish { topic: Topic::Update, payload: "1", version: "", id, ack });
    assert_eq!(parse(&text(r#","id":1,"ack":true"#), &doc), numbered(Some(1), true));
    assert_eq!(
        parse(&text(r#","id":9007199254740991,"ack":false"#), &doc),
        numbered(Some((1 << 53) - 1), false)
    );
    assert_eq!(parse(&text(r#","ack":true"#), &doc), numbered(None, true));
    for id in
        ["0", "-1", "1.0", "1e3", "9007199254740992", "99999999999999999999", "null", "true", r#""1""#, "[1]"]
    {
        assert_eq!(parse(&text(&format!(r#","id":{id}"#)), &doc), Err(MessageError::BadShape), "{id}");
    }
    for ack in ["1", "null", r#""true""#, "{}"] {
        assert_eq!(parse(&text(&format!(r#","ack":{ack}"#)), &doc), Err(MessageError::BadShape), "{ack}");
    }
    assert_eq!(parse(r#"{"type":"ack","documentId":"doc"}"#, &doc), Ok(ClientMessage::Ack));
    let shown = r#"{"type":"awareness","documentId":"doc","awareness":1,"id":"of its own"}"#;
    assert_eq!(parse(shown, &doc), publish(Topic::Awareness, "1", ""), "which has no use for one");
}

#[test]
fn a_message_may_be_nested_as_deep_as_allowed_and_no_deeper() {
    let doc = document();
    let deep = |payload: &str| format!(r#"{{"type":"update","documentId":"doc","update":{payload}}}"#);
    let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    // The message itself is the first level.
    assert_eq!(super::parse(&deep(&nested(9)), &doc, 10), publish(Topic::Update, &nested(9), ""));
    assert_eq!(super::parse(&deep(&nested(10)), &doc, 10), Err(MessageError::TooDeep));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(10), "}".repeat(10));
    assert_eq!(super::parse(&deep(&objects), &doc, 10), Err(MessageError::TooDeep));
    let beside = format!("[{}]", vec!["[]"; 100].join(","));
    assert_eq!(super::parse(&deep(&beside), &doc, 10), publish(Topic::Update, &beside, ""), "many, not deep");
    let brackets = format!(r#""\\\"{}""#, "[".repeat(100));
    assert_eq!(
        super::parse(&deep(&brackets), &doc, 10),
        publish(Topic::Update, &brackets, ""),
        "in a string"
    );
    let ignored = format!(r#"{{"type":"sync","documentId":"doc","more":{}}}"#, nested(10));
    assert_eq!(super::parse(&ignored, &doc, 10), Err(MessageError::TooDeep), "also where nobody looks");
}

#[test]
fn every_fault_has_a_code() {
    let faults = [
        MessageError::BadJson,
        MessageError::BadShape,
        MessageError::TooDeep,
        MessageError::UnknownType("".into()),
        MessageError::WrongDocument("".into()),
    ];
    let codes = faults.map(|fault| fault.code());
    assert_eq!(codes, ["BAD_JSON", "BAD_SHAPE", "TOO_DEEP", "UNKNOWN_TYPE", "WRONG_DOCUMENT"]);
}

#[test]
fn an_offset_is_the_last_key_of_what_takes_one() {
    let mut out = BytesMut::new();
    put_message(&mut out, r#"{"type":"x","a":{}}"#, Some(18_446_744_073_709_551_615));
    assert_eq!(&out[2..], br#"{"type":"x","a":{},"offset":18446744073709551615}"#);
    out.clear();
    put_message(&mut out, "{\"a\":{}} \n", Some(10));
    assert_eq!(&out[2..], br#"{"a":{},"offset":10}"#);
    out.clear();
    put_message(&mut out, "no object", None);
    assert_eq!(&out[2..], b"no object");
    for text in ["", "{}", "{ }", "[]", "\"{}\"", "{\"a\":1}x", "no object"] {
        assert!(!super::has_offset(text), "{text}");
    }
    assert!(super::has_offset(r#"{"a":1}"#) && super::has_offset("{\"a\":1} "));
}

#[test]
fn a_client_that_comes_back_is_told_what_it_gets() {
    let mut out = BytesMut::new();
    let missed = vec!["one".into(), "two".into()];
    put_outcome(&mut out, &RecoveryResult::Recovered { from: 1, to: 4, up_to: 2, missed });
    assert_eq!(&out[2..], br#"{"type":"recovered","from":1,"to":4,"upTo":2}"#);
    out.clear();
    put_outcome(&mut out, &RecoveryResult::Reload { reason: Reload::HistoryGone, up_to: Some(3) });
    assert_eq!(&out[2..], br#"{"type":"reload","reason":"HISTORY_GONE","upTo":3}"#);
    out.clear();
    put_outcome(&mut out, &RecoveryResult::Reload { reason: Reload::OtherEpoch, up_to: None });
    assert_eq!(&out[2..], br#"{"type":"reload","reason":"OTHER_EPOCH"}"#);
}

#[test]
fn a_publication_names_the_connections_own_client_and_document() {
    let mut out = BytesMut::new();
    let client = Id::new("a\"b").unwrap();
    put_publication(&mut out, &document(), &client, Topic::Steps, "[1]", "3", None);
    let expected = r#"{"type":"steps","documentId":"doc","steps":[1],"version":3,"clientID":"a\"b"}"#;
    assert_eq!(&out[2..], expected.as_bytes());
    out.clear();
    put_publication(&mut out, &document(), &client, Topic::Update, "1", "", Some(120));
    let expected = r#"{"type":"update","documentId":"doc","update":1,"clientID":"a\"b","offset":120}"#;
    assert_eq!(&out[2..], expected.as_bytes());
}

#[test]
fn an_error_keeps_the_text_that_clients_know_and_adds_a_code() {
    let mut out = BytesMut::new();
    put_error(&mut out, "BAD_JSON");
    assert_eq!(&out[2..], br#"{"type":"error","message":"Invalid message format","code":"BAD_JSON"}"#);
}

#[test]
fn ids_are_bounded_and_without_control_characters() {
    assert!(Id::new("").is_none());
    assert!(Id::new("a\u{0}").is_none());
    assert!(Id::new("a\u{85}").is_none(), "a C1 control character");
    assert!(Id::new(&"x".repeat(513)).is_none());
    assert!(Id::new(&"é".repeat(257)).is_none(), "bytes count, not characters");
    assert_eq!(Id::new(&"x".repeat(512)).unwrap().text().len(), 512);
    assert_eq!(Id::new("\\").unwrap().text(), "\\");
    assert_eq!(Id::new("ü").unwrap().json(), "\"ü\"");
}
