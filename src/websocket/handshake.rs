//! The opening handshake: the checks of RFC 6455, section 4.2.1, and the answer.
//!
//! Node has parsed the request by the time the hub sees it, so there is no HTTP parser here; what is checked is what
//! Node does not check.

use std::borrow::Cow;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The request that asks for an upgrade, as Node parsed it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, where all is well.
    pub method: String,
    /// The request target: `/ws/fabric?documentId=…`.
    pub target: String,
    /// `1.1`, where all is well.
    pub http_version: String,
    /// Names and values in the order they came, names as they were written.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// Reads the lines that the binding passes: method, target, HTTP version, then names and values in turn.
    /// No part can hold a line feed: Node's parser refuses such a request.
    pub fn from_lines(lines: &str) -> Self {
        let mut lines = lines.split('\n').map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        let mut request = Self { method: next(), target: next(), http_version: next(), ..Self::default() };
        request.headers.reserve(16);
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            request.headers.push((name, value));
        }
        request
    }

    /// The path of the target.
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }

    /// The query of the target, without `?`; empty where there is none.
    pub fn query(&self) -> &str {
        let target = self.target.split('#').next().unwrap_or_default();
        target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first value of a query parameter, decoded as `URLSearchParams` does it.
    pub fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        form_urlencoded::parse(self.query().as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The subprotocols that are offered, in the client's order; `None` where what it sent is no list of different tokens.
    fn protocols(&self) -> Option<Vec<&str>> {
        let mut offered = Vec::new();
        for token in self.values("sec-websocket-protocol").flat_map(|value| value.split(',')) {
            let token = token.trim_matches([' ', '\t']);
            if !is_token(token) || offered.contains(&token) {
                return None;
            }
            offered.push(token);
        }
        Some(offered)
    }

    /// Whether a header that is a comma-separated list holds `token`, in any case.
    fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }
}

/// An HTTP answer that refuses the upgrade. The socket is closed after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// Its reason phrase.
    pub phrase: &'static str,
    /// Headers beside those every refusal has, each ending in CRLF.
    pub headers: &'static str,
    /// What was wrong, for whoever reads the answer.
    pub text: &'static str,
}

impl Refusal {
    const fn new(status: u16, phrase: &'static str, text: &'static str) -> Self {
        Self { status, phrase, headers: "", text }
    }

    /// The hub drains or has ended: 503.
    pub const fn draining() -> Self {
        Self::new(503, "Service Unavailable", "The server is restarting.")
    }

    /// The answer's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { status, phrase, headers, text } = self;
        let length = text.len();
        format!(
            "HTTP/1.1 {status} {phrase}\r\n{headers}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n\r\n{text}"
        )
        .into_bytes()
    }
}

/// Checks a request and answers the bytes of the 101 response.
///
/// Of the subprotocols that are offered `protocol` is taken, or else the first, as npm `ws` does it: a client that names
/// some fails without one. Extensions are not negotiated, which RFC 6455 allows.
///
/// # Errors
///
/// The [`Refusal`] to send instead: 405, 505, 400 or 426.
pub fn respond(request: &Request, protocol: Option<&str>) -> Result<Vec<u8>, Refusal> {
    let bad = |text| Err(Refusal::new(400, "Bad Request", text));
    if request.method != "GET" {
        let refusal = Refusal::new(405, "Method Not Allowed", "A WebSocket is opened with GET.");
        return Err(Refusal { headers: "Allow: GET\r\n", ..refusal });
    }
    if matches!(request.http_version.as_str(), "1.0" | "0.9") {
        return Err(Refusal::new(505, "HTTP Version Not Supported", "A WebSocket needs HTTP/1.1."));
    }
    if request.values("transfer-encoding").next().is_some()
        || request.values("content-length").any(|length| length.trim() != "0")
    {
        return bad("A request for a WebSocket has no body.");
    }
    if !request.has_token("upgrade", "websocket") || !request.has_token("connection", "upgrade") {
        return bad("This is a WebSocket endpoint: send Connection: Upgrade and Upgrade: websocket.");
    }
    if request.values("sec-websocket-version").map(str::trim).ne(["13"]) {
        let refusal = Refusal::new(426, "Upgrade Required", "Sec-WebSocket-Version must be 13.");
        return Err(Refusal { headers: "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n", ..refusal });
    }
    let mut keys = request.values("sec-websocket-key").map(str::trim);
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return bad("Send Sec-WebSocket-Key once.");
    };
    if !is_key(key) {
        return bad("Sec-WebSocket-Key must be 16 bytes in base64.");
    }
    let accept = derive_accept_key(key.as_bytes());
    let Some(offered) = request.protocols() else {
        return bad("Sec-WebSocket-Protocol must be a list of different tokens.");
    };
    let chosen = protocol.or(offered.first().copied()).unwrap_or("");
    // One that was not offered would fail the client.
    let chosen =
        if offered.contains(&chosen) { ["Sec-WebSocket-Protocol: ", chosen, "\r\n"] } else { [""; 3] };
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{}\r\n",
        chosen.concat()
    )
    .into_bytes())
}

/// Whether `text` is a token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// Whether `key` is the base64 of 16 bytes: 22 characters, the last of which has four spare bits, and two of padding.
/// The spare bits may be set: clients in use send random text there, and nothing is decoded from it.
fn is_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(is_base64)
}

#[cfg(test)]
mod tests {
    use super::{Request, respond};

    fn request(change: impl FnOnce(&mut Request)) -> Request {
        let mut asked = Request::from_lines(
            "GET\n/ws/fabric?documentId=a%20b&clientID=%C3%A9+&documentId=second\n1.1\nHost\nexample.com\n\
             Connection\nkeep-alive, Upgrade\nUpgrade\nwebsocket\nSec-WebSocket-Version\n13\n\
             Sec-WebSocket-Key\ndGhlIHNhbXBsZSBub25jZQ==",
        );
        change(&mut asked);
        asked
    }

    fn without(name: &'static str) -> impl FnOnce(&mut Request) {
        move |asked| asked.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name))
    }

    fn with(name: &'static str, value: &'static str) -> impl FnOnce(&mut Request) {
        move |asked| asked.headers.push((name.into(), value.into()))
    }

    fn status(asked: &Request) -> u16 {
        respond(asked, None).unwrap_err().status
    }

    #[test]
    fn the_sample_key_of_rfc_6455_gets_its_sample_answer() {
        let answer = String::from_utf8(respond(&request(|_| ()), None).unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"));
    }

    #[test]
    fn parameters_are_decoded_and_the_first_one_counts() {
        let asked = request(|_| ());
        assert_eq!(asked.path(), "/ws/fabric");
        assert_eq!(asked.parameter("documentId").unwrap(), "a b");
        assert_eq!(asked.parameter("clientID").unwrap(), "é ");
        assert_eq!(asked.parameter("other"), None);
    }

    #[test]
    fn a_wrong_version_gets_426_and_the_version_that_is_spoken() {
        let asked = request(|asked| {
            without("sec-websocket-version")(asked);
            with("Sec-WebSocket-Version", "8")(asked);
        });
        let refusal = respond(&asked, None).unwrap_err();
        assert_eq!(refusal.status, 426);
        assert!(String::from_utf8(refusal.to_bytes()).unwrap().contains("\r\nSec-WebSocket-Version: 13\r\n"));
        assert_eq!(status(&request(without("sec-websocket-version"))), 426);
    }

    #[test]
    fn a_key_must_be_there_once_and_be_sixteen_bytes() {
        assert_eq!(status(&request(without("sec-websocket-key"))), 400);
        assert_eq!(status(&request(with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))), 400);
        for key in ["", "short==", "dGhlIHNhbXBsZSBub25jZ?==", "dGhlIHNhbXBsZSBub25jZQAA"] {
            let asked = request(|asked| {
                without("sec-websocket-key")(asked);
                with("Sec-WebSocket-Key", key)(asked);
            });
            assert_eq!(status(&asked), 400, "{key}");
        }
    }

    #[test]
    fn only_a_bodiless_get_over_http_1_1_is_an_upgrade() {
        assert_eq!(status(&request(|asked| asked.method = "POST".into())), 405);
        assert_eq!(status(&request(|asked| asked.http_version = "1.0".into())), 505);
        assert_eq!(status(&request(with("Content-Length", "5"))), 400);
        assert_eq!(status(&request(with("Transfer-Encoding", "chunked"))), 400);
        assert!(respond(&request(with("Content-Length", "0")), None).is_ok());
    }

    #[test]
    fn the_upgrade_headers_must_name_websocket() {
        assert_eq!(status(&request(without("upgrade"))), 400);
        assert_eq!(status(&request(without("connection"))), 400);
    }

    fn protocol(asked: &Request, decided: Option<&str>) -> Option<String> {
        let answer = String::from_utf8(respond(asked, decided).unwrap()).unwrap();
        answer.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: ")).map(str::to_owned)
    }

    #[test]
    fn the_first_subprotocol_that_is_offered_is_taken_unless_another_was_decided() {
        let offers = with("Sec-WebSocket-Protocol", "graphql-ws , chat\t,v1.json");
        let mut asked = request(offers);
        assert_eq!(protocol(&asked, None).unwrap(), "graphql-ws");
        with("sec-websocket-protocol", "last")(&mut asked);
        for (decided, answered) in
            [("chat", Some("chat")), ("last", Some("last")), ("", None), ("not offered", None)]
        {
            assert_eq!(protocol(&asked, Some(decided)).as_deref(), answered, "{decided}");
        }
        assert_eq!(protocol(&request(|_| ()), Some("chat")), None, "nobody asked for it");
    }

    #[test]
    fn an_offer_that_is_no_list_of_different_tokens_gets_400() {
        for offer in ["", " ", ",", "a,", ",a", "a,,b", "a a", "a,a", "a;b", "\"a\"", "ä", "a/b", "a\u{0}"] {
            assert_eq!(status(&request(with("Sec-WebSocket-Protocol", offer))), 400, "{offer:?}");
        }
    }
}
