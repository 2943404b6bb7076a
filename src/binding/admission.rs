//! What `js/` decided and was told, in the core's terms.

use std::time::Duration;

use napi_derive::napi;

use crate::{
    admission::{Access, Admission},
    close::Close,
    handshake::Upgrade,
    limits::Limits,
    rate::Rate,
};

/// The limits as `js/hub/limits.js` lists them.
pub(super) fn limits(values: Option<&[u32]>) -> Limits {
    let Some(values) = values else { return Limits::none() };
    let value = |index: usize| values.get(index).copied().unwrap_or(0);
    let (size, rate) = (|index| value(index) as usize, |index| Rate::new(value(index), value(index + 1)));
    Limits {
        messages: rate(0),
        bytes: rate(2),
        user_messages: rate(4),
        user_bytes: rate(6),
        patience: Duration::from_millis(value(8).into()),
        connections: size(9),
        connections_per_user: size(10),
        connections_per_document: size(11),
        connections_per_address: size(12),
        documents_per_user: size(13),
    }
}

/// What `js/admission/gate.js` decided about a socket.
#[napi(object)]
#[derive(Debug)]
pub struct NativeAdmission {
    /// See [`Admission::address`].
    pub address: Option<String>,
    /// See [`Admission::forwarded`].
    pub forwarded: Option<bool>,
    /// See [`Upgrade::user`].
    pub user: Option<String>,
    /// See [`Admission::session`].
    pub session: Option<String>,
    /// See [`Admission::expires_in`].
    pub expires_in_ms: Option<f64>,
    /// See [`Admission::access`].
    pub access: Option<String>,
    /// See [`Admission::document`].
    pub document: Option<String>,
    /// See [`Admission::profile`].
    pub profile: Option<String>,
    /// See [`Admission::protocol`].
    pub protocol: Option<String>,
    /// Of [`Admission::refusal`].
    pub close_code: Option<u16>,
    /// Of [`Admission::refusal`].
    pub close_reason: Option<String>,
}

/// A time as JavaScript has it.
pub(super) fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default()
}

/// A request with what was decided about it.
pub(super) fn upgrade(lines: &str, admission: Option<NativeAdmission>) -> Upgrade {
    let mut upgrade = Upgrade::from_lines(lines);
    let Some(given) = admission else { return upgrade };
    upgrade.user = given.user.filter(|user| !user.is_empty()).map(Into::into);
    upgrade.admission = Admission {
        address: given.address.and_then(|address| address.parse().ok()),
        forwarded: given.forwarded.unwrap_or(false),
        session: given.session.map(Into::into),
        expires_in: given.expires_in_ms.map(milliseconds),
        access: given.access.as_deref().and_then(Access::named),
        document: given.document.map(Into::into),
        profile: given.profile.map(Into::into),
        protocol: given.protocol.map(Into::into),
        refusal: given.close_code.map(|code| Close::new(code, given.close_reason.unwrap_or_default())),
    };
    upgrade
}
