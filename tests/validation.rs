//! What a client sends that cannot be obeyed is answered with a code, and too much of it ends the connection.

mod support;

use std::time::Duration;

use support::{Server, frame};

fn error(code: &str) -> String {
    format!(r#"{{"type":"error","message":"Invalid message format","code":"{code}"}}"#)
}

#[test]
fn each_fault_is_answered_with_its_code_and_reaches_nobody() {
    let server = Server::start(|config| config.max_depth = 8);
    let (mut attacker, mut beside) = (server.join("doc", "attacker"), server.join("doc", "beside"));
    let deep = format!("{}{}", "[".repeat(8), "]".repeat(8));
    for (text, code) in [
        ("hello", "BAD_JSON"),
        (r#"{"type":"update","documentId":"doc","update":1"#, "BAD_JSON"),
        ("[]", "BAD_SHAPE"),
        (r#"{"type":"update","documentId":"doc"}"#, "BAD_SHAPE"),
        (r#"{"type":"steps","documentId":"doc","steps":[],"version":"7"}"#, "BAD_SHAPE"),
        (r#"{"type":"update","documentId":"doc","update":1,"id":-1}"#, "BAD_SHAPE"),
        (r#"{"type":"dance","documentId":"doc"}"#, "UNKNOWN_TYPE"),
        (r#"{"type":"update","documentId":"other","update":1}"#, "WRONG_DOCUMENT"),
        (&format!(r#"{{"type":"update","documentId":"doc","update":{deep}}}"#), "TOO_DEEP"),
    ] {
        attacker.send(text);
        assert_eq!(attacker.text(), error(code), "{text}");
    }
    attacker.hears_nothing("doc");
    beside.hears_nothing("doc");
}

#[test]
fn who_goes_on_is_closed_with_1008_behind_the_answers() {
    let server = Server::start(|_| ());
    let (mut attacker, mut beside) = (server.join("doc", "attacker"), server.join("doc", "beside"));
    let flood: Vec<u8> = (0..200).flat_map(|_| frame(0x81, b"x")).collect();
    let update = frame(0x81, br#"{"type":"update","documentId":"doc","update":1}"#);
    attacker.write_raw(&[flood, update].concat());
    let (code, reason, answers) = attacker.closed();
    assert_eq!((code, reason.as_str()), (1008, "Too many messages that cannot be obeyed"));
    assert_eq!(answers, 33, "each was answered, up to the one too many");
    beside.hears_nothing("doc");
}

#[test]
fn a_client_that_errs_now_and_then_stays() {
    let server = Server::start(|_| ());
    let mut client = server.join("doc", "a");
    for _ in 0..2 {
        for _ in 0..16 {
            client.send("x");
            assert_eq!(client.text(), error("BAD_JSON"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    client.hears_nothing("doc");
}
