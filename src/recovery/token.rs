//! Tokens: what a client shows when it comes back.
//!
//! A token names a client session: a connection and those that took its place one after the other. It is signed together with
//! everything it is good for, so it holds no more than that name: shown for another document, by another client or user,
//! or to another epoch, its signature is simply wrong. It has no date in it. A connection may be open for days, and its
//! token must be good when it drops; so the room counts the time from the end of the connection, and forgets the
//! client session when the window is over. See `client session`.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    config::Secret,
    ids::{ClientSessionId, Epoch},
};

/// Bytes of a token before it is written in base64: the client session and the signature.
const TOKEN_BYTES: usize = 8 + 32;

/// Characters of a token.
pub const TOKEN_CHARACTERS: usize = (TOKEN_BYTES * 8).div_ceil(6);

/// The client session that a token names, whoever has signed it.
pub fn named(token: &str) -> Option<ClientSessionId> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let number = bytes.first_chunk().filter(|_| bytes.len() == TOKEN_BYTES)?;
    Some(ClientSessionId::new(u64::from_be_bytes(*number)))
}

/// What a token is good for.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// The history it was given with.
    pub epoch: Epoch,
    /// The document's id.
    pub document: &'a str,
    /// The client's id.
    pub client: &'a str,
    /// Who a session says the client is.
    pub user: Option<&'a str>,
}

/// Signs tokens and knows its own.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// Signs with `secret`.
    pub fn new(secret: &Secret) -> Self {
        // HMAC takes a key of any length.
        Self(Hmac::new_from_slice(secret.bytes()).unwrap_or_else(|_| unreachable!("a key of any length")))
    }

    /// Signs with a key that nobody else has.
    ///
    /// # Errors
    ///
    /// Where the operating system gives no random bytes.
    pub fn random() -> std::io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self::new(&Secret::new(key)))
    }

    /// The token of a client session. The same arguments always make the same one.
    pub fn sign(&self, client_session: ClientSessionId, claims: Claims<'_>) -> String {
        let mut token = [0; TOKEN_BYTES];
        token[..8].copy_from_slice(&client_session.number().to_be_bytes());
        token[8..].copy_from_slice(&self.mac(client_session, claims).finalize().into_bytes());
        BASE64URL_NOPAD.encode(&token)
    }

    /// The client session that a token names, if it is one of this signer's for `claims`.
    pub fn verify(&self, token: &str, claims: Claims<'_>) -> Option<ClientSessionId> {
        let mut bytes = [0; TOKEN_BYTES];
        if token.len() != TOKEN_CHARACTERS {
            return None;
        }
        BASE64URL_NOPAD.decode_mut(token.as_bytes(), &mut bytes).ok()?;
        let (number, signature) = bytes.split_first_chunk()?;
        let client_session = ClientSessionId::new(u64::from_be_bytes(*number));
        // Compares in constant time.
        self.mac(client_session, claims).verify_slice(signature).ok()?;
        Some(client_session)
    }

    fn mac(&self, client_session: ClientSessionId, claims: Claims<'_>) -> Hmac<Sha256> {
        let Claims { epoch, document, client, user } = claims;
        let mut mac = self.0.clone();
        mac.update(b"captify-hub token 1\0");
        mac.update(&client_session.number().to_be_bytes());
        mac.update(&epoch.number().to_be_bytes());
        // Each with its length, so that no two sets of claims are the same bytes.
        for text in [Some(document), Some(client), user] {
            mac.update(&[u8::from(text.is_some())]);
            let text = text.unwrap_or_default();
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        mac
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, Signer, TOKEN_CHARACTERS};
    use crate::{
        config::Secret,
        ids::{ClientSessionId, Epoch},
    };

    const CLAIMS: Claims<'_> =
        Claims { epoch: Epoch::new(7), document: "doc", client: "client", user: Some("user") };
    const CLIENT_SESSION: ClientSessionId = ClientSessionId::new(12);

    fn signer() -> Signer {
        Signer::new(&Secret::new([1; 32]))
    }

    #[test]
    fn a_token_names_its_client_session_for_what_it_was_signed_for() {
        let token = signer().sign(CLIENT_SESSION, CLAIMS);
        assert_eq!(token.len(), TOKEN_CHARACTERS);
        assert_eq!(signer().verify(&token, CLAIMS), Some(CLIENT_SESSION));
    }

    #[test]
    fn it_is_of_no_use_for_anything_else() {
        let token = signer().sign(CLIENT_SESSION, CLAIMS);
        for other in [
            Claims { epoch: Epoch::new(8), ..CLAIMS },
            Claims { document: "other", ..CLAIMS },
            Claims { client: "other", ..CLAIMS },
            Claims { user: Some("other"), ..CLAIMS },
            Claims { user: Some(""), ..CLAIMS },
            Claims { user: None, ..CLAIMS },
            // The same bytes one behind the other, cut elsewhere.
            Claims { document: "docc", client: "lient", ..CLAIMS },
        ] {
            assert_eq!(signer().verify(&token, other), None, "{other:?}");
        }
        assert_eq!(Signer::new(&Secret::new([2; 32])).verify(&token, CLAIMS), None);
        assert_eq!(Signer::random().unwrap().verify(&token, CLAIMS), None);
    }

    #[test]
    fn a_token_with_any_character_changed_is_none() {
        let token = signer().sign(CLIENT_SESSION, CLAIMS);
        for index in 0..token.len() {
            for replacement in ["A", "_", "=", "é", ""] {
                let mut forged = token.clone();
                forged.replace_range(index..=index, replacement);
                if forged != token {
                    assert_eq!(signer().verify(&forged, CLAIMS), None, "{forged}");
                }
            }
        }
        for forged in ["", "A", &token[1..], &format!("{token}A"), &"A".repeat(TOKEN_CHARACTERS)] {
            assert_eq!(signer().verify(forged, CLAIMS), None, "{forged}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let printed = format!("{:?} {:?}", signer(), Secret::new("hunter2".as_bytes()));
        assert_eq!(printed, "Signer(…) Secret(…)");
    }
}
