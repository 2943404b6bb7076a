//! A Redis by TLS: whom the hub trusts, and as whom it shows itself.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use captify_hub::{
    Hub,
    cluster::{
        config::ClusterConfig,
        place::{Pem, Tls},
    },
};
use support::{
    certificates::Authority,
    clients::{acknowledged, join, numbered, send, updates},
    redis::{Redis, config, free_port, over, process},
};

/// A Redis that speaks TLS on a second port, which is returned. `client` says whether it wants to see a certificate.
fn redis(authority: &Authority, name: &str, client: &str) -> (Redis, u16) {
    let file = |ending: &str| authority.file(&format!("{name}.{ending}"));
    let port = free_port();
    let files = ["--tls-cert-file", &file("crt"), "--tls-key-file", &file("key"), "--tls-ca-cert-file"];
    let more = [&authority.file("ca.crt"), "--tls-auth-clients", client, "--tls-port", &port.to_string()];
    // Not every build of a valkey-server has TLS.
    (Redis::of("redis-server", &[&["--save", ""], &files[..], &more].concat()), port)
}

fn over_tls(host: &str, port: u16, tls: Tls) -> ClusterConfig {
    let mut config = over(&format!("rediss://{host}:{port}"));
    config.server.tls = Some(tls);
    config
}

fn refusal(over: &ClusterConfig) -> String {
    Hub::start_cluster(config(), over, Box::new(drop)).unwrap_err().to_string()
}

#[test]
fn two_processes_share_a_redis_by_tls() {
    let authority = Authority::new();
    authority.certify("server", "DNS:localhost,IP:127.0.0.1");
    let (_redis, port) = redis(&authority, "server", "no");
    // A certificate as its text does as well as its file.
    let of_file = Tls { ca: Some(Pem::from(authority.file("ca.crt"))), ..Tls::default() };
    let of_text = Tls { ca: Some(Pem::from(authority.text("ca.crt"))), ..Tls::default() };
    let one = process(&over_tls("localhost", port, of_file));
    let two = process(&over_tls("127.0.0.1", port, of_text));
    let ((mut a, _), (mut b, _)) = (join(&one, "doc", "a"), join(&two, "doc", "b"));
    for id in 1..=50 {
        send(&mut a, id);
    }
    acknowledged(&mut a, 50);
    assert_eq!(updates(&mut b, 50), numbered(1..=50));
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.certify("server", "DNS:localhost");
    let (redis, port) = redis(&authority, "server", "no");
    let by_other = Tls { ca: Some(Pem::from(other.file("ca.crt"))), ..Tls::default() };
    let said = refusal(&over_tls("localhost", port, by_other));
    assert!(said.contains("rediss://localhost") && said.contains("TLS: invalid peer certificate"), "{said}");
    // Whom the system trusts does not, either.
    let said = refusal(&over(&format!("rediss://localhost:{port}")));
    assert!(said.contains("invalid peer certificate") || said.contains("trusts nobody"), "{said}");
    // One that speaks no TLS.
    let said = refusal(&over_tls(
        "localhost",
        redis.port,
        Tls { ca: Some(Pem::from(authority.file("ca.crt"))), ..Tls::default() },
    ));
    assert!(said.contains("does it speak TLS?"), "{said}");
}

#[test]
fn the_name_in_the_certificate_must_be_the_hosts_or_the_one_that_is_given() {
    let authority = Authority::new();
    authority.certify("server", "DNS:redis.internal");
    let (_redis, port) = redis(&authority, "server", "no");
    let tls = Tls { ca: Some(Pem::from(authority.file("ca.crt"))), ..Tls::default() };
    let said = refusal(&over_tls("localhost", port, tls.clone()));
    assert!(said.contains("not valid for name"), "{said}");
    let named = Tls { servername: Some("redis.internal".to_owned()), ..tls.clone() };
    drop(process(&over_tls("localhost", port, named)));
    let wrong = Tls { servername: Some("a b".to_owned()), ..tls };
    assert!(refusal(&over_tls("localhost", port, wrong)).contains("tls.servername"));
}

#[test]
fn a_server_that_wants_a_certificate_is_shown_one() {
    let authority = Authority::new();
    authority.certify("server", "DNS:localhost");
    authority.certify("hub", "DNS:hub");
    let (_redis, port) = redis(&authority, "server", "yes");
    let none = Tls { ca: Some(Pem::from(authority.file("ca.crt"))), ..Tls::default() };
    assert!(!refusal(&over_tls("localhost", port, none.clone())).is_empty());
    let with = |cert: String, key: String| Tls {
        cert: Some(Pem::from(cert)),
        key: Some(Pem::from(key)),
        ..none.clone()
    };
    drop(process(&over_tls("localhost", port, with(authority.file("hub.crt"), authority.file("hub.key")))));
    drop(process(&over_tls("localhost", port, with(authority.text("hub.crt"), authority.text("hub.key")))));
    let said =
        refusal(&over_tls("localhost", port, with(authority.file("hub.crt"), authority.file("server.key"))));
    assert!(said.contains("tls.cert and tls.key do not go together"), "{said}");
    let said =
        refusal(&over_tls("localhost", port, with(authority.file("none.crt"), authority.file("hub.key"))));
    assert!(said.contains("tls.cert: ") && said.contains("none.crt"), "{said}");
}
