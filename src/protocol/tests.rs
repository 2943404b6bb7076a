use bytes::BytesMut;

use super::{ClientMessage, Fault, Id, Topic, parse, put_error, put_publication};

fn document() -> Id {
    Id::new("doc").unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "so that it compares with what parse answers")]
fn publish<'a>(topic: Topic, payload: &'a str, version: &'a str) -> Result<ClientMessage<'a>, Fault<'a>> {
    Ok(ClientMessage::Publish { topic, payload, version })
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
        assert_eq!(parse(text, &doc), Err(Fault::BadJson), "{text}");
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
    ] {
        assert_eq!(parse(text, &doc), Err(Fault::BadShape), "{text}");
    }
}

#[test]
fn a_foreign_document_and_an_unknown_type_are_named() {
    let text = r#"{"type":"update","documentId":"other","update":1}"#;
    assert_eq!(parse(text, &document()), Err(Fault::WrongDocument("other".into())));
    let text = r#"{"type":"dance","documentId":"doc"}"#;
    assert_eq!(parse(text, &document()), Err(Fault::UnknownType("dance".into())));
}

#[test]
fn a_publication_names_the_connections_own_client_and_document() {
    let mut out = BytesMut::new();
    let client = Id::new("a\"b").unwrap();
    put_publication(&mut out, &document(), &client, Topic::Steps, "[1]", "3");
    let expected = r#"{"type":"steps","documentId":"doc","steps":[1],"version":3,"clientID":"a\"b"}"#;
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
