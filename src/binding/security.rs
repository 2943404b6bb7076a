//! The one log of what looks like an attack: JavaScript reports into it, and takes what all have reported.

use std::{collections::HashMap, net::IpAddr};

use napi_derive::napi;

use super::hub::{NativeHub, Result, invalid};
use crate::admission::security::{self, About, Kind};

/// See [`About`].
#[napi(object)]
#[derive(Debug)]
pub struct NativeSecurityEvent {
    /// See [`About::by`].
    pub by: Option<String>,
    /// See [`About::user`].
    pub user: Option<String>,
    /// See [`About::address`].
    pub address: Option<String>,
    /// See [`About::document`].
    pub document: Option<String>,
    /// See [`About::origin`].
    pub origin: Option<String>,
    /// See [`About::host`].
    pub host: Option<String>,
    /// See [`About::hint`].
    pub hint: Option<String>,
}

/// An address as Node has it, which may name the interface of a link-local one.
fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

#[napi]
impl NativeHub {
    /// Reports one event of a kind, by its code; see [`security::report`].
    #[napi(catch_unwind)]
    pub fn report_security_event(code: String, about: NativeSecurityEvent) -> Result<()> {
        let kind = Kind::named(&code).ok_or_else(|| invalid("a security event of no known kind"))?;
        let about = About {
            by: about.by.as_deref(),
            user: about.user.as_deref(),
            address: about.address.as_deref().and_then(address),
            document: about.document.as_deref(),
            origin: about.origin.as_deref(),
            host: about.host.as_deref(),
            hint: about.hint.as_deref(),
        };
        security::report(kind, about, 1);
        Ok(())
    }

    /// What was reported since this was last called; see [`security::take`].
    #[napi(catch_unwind)]
    pub fn security_events() -> Option<String> {
        security::take()
    }

    /// How often each kind of event happened since the process began, by its code.
    #[napi(catch_unwind)]
    pub fn security_totals() -> HashMap<String, u32> {
        let total =
            |(code, total): (&'static str, u64)| (code.to_owned(), u32::try_from(total).unwrap_or(u32::MAX));
        security::totals().map(total).collect()
    }
}
