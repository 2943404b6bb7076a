//! Speaks TLS with a Redis.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use super::place::{Pem, Tls};

/// Encrypts a connection to `host`, and looks whether the other end is who it is to be.
pub(super) async fn encrypt(tls: &Tls, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let name = tls.servername.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| io::Error::other(format!("tls.servername: {name:?} is no name of a host")))?;
    TlsConnector::from(Arc::new(config(tls)?)).connect(name, stream).await
}

fn config(tls: &Tls) -> io::Result<ClientConfig> {
    let roots = match &tls.ca {
        Some(ca) => given(ca)?,
        None => of_the_system()?,
    };
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(&read(key, "key")?)
        .map_err(|error| io::Error::other(format!("tls.key is no private key in PEM: {error}")))?;
    builder
        .with_client_auth_cert(certificates(cert, "cert")?, key)
        .map_err(|error| io::Error::other(format!("tls.cert and tls.key do not go together: {error}")))
}

fn read(pem: &Pem, option: &str) -> io::Result<Vec<u8>> {
    match pem {
        Pem::Text(text) => Ok(text.clone().into_bytes()),
        Pem::File(path) => std::fs::read(path)
            .map_err(|error| io::Error::other(format!("tls.{option}: {}: {error}", path.display()))),
    }
}

fn certificates(pem: &Pem, option: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(&read(pem, option)?).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(io::Error::other(format!("tls.{option} has no certificate in PEM"))),
        Err(error) => Err(io::Error::other(format!("tls.{option} is no certificate in PEM: {error}"))),
    }
}

fn given(ca: &Pem) -> io::Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca, "ca")? {
        roots.add(certificate).map_err(|error| io::Error::other(format!("tls.ca: {error}")))?;
    }
    Ok(Arc::new(roots))
}

/// Read once: there are hundreds. One that cannot be read, as there often is, vouches for nobody, and hinders nobody.
fn of_the_system() -> io::Result<Arc<RootCertStore>> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(io::Error::other("this system trusts nobody: set tls.ca, or SSL_CERT_FILE"));
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}

#[cfg(test)]
mod tests {
    use super::{Pem, Tls, config};

    fn refusal(tls: &Tls) -> String {
        config(tls).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_certificate_or_key_is_refused_by_the_name_of_its_option() {
        let text = |text: &str| Some(Pem::from(text.to_owned()));
        let no_file = text("/nowhere/ca.pem");
        assert_eq!(no_file, Some(Pem::File("/nowhere/ca.pem".into())));
        assert!(refusal(&Tls { ca: no_file, ..Tls::default() }).contains("tls.ca: /nowhere/ca.pem: "));
        let broken = text("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
        assert!(refusal(&Tls { ca: broken.clone(), ..Tls::default() }).contains("tls.ca"));
        let key = text("-----BEGIN NOTHING-----\n-----END NOTHING-----\n");
        assert!(
            refusal(&Tls { cert: broken, key: key.clone(), ca: key, ..Tls::default() }).contains("tls.ca")
        );
    }
}
