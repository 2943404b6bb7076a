//! What `js/` decided and was told, in the core's terms.

use std::time::Duration;

use napi_derive::napi;

use crate::{
    admission::limits::Limits,
    admission::rate::Rate,
    admission::{Access, Admission, upgrade::Upgrade},
    websocket::close::Close,
    websocket::handshake::Request,
};

/// The limits as `js/hub/limits.js` has checked them: each one given, 0 for none.
#[napi(object)]
#[derive(Debug)]
pub struct NativeLimits {
    /// Of [`Limits::messages`].
    pub messages_per_second: u32,
    /// Of [`Limits::messages`].
    pub message_burst: u32,
    /// Of [`Limits::bytes`].
    pub bytes_per_second: u32,
    /// Of [`Limits::bytes`].
    pub byte_burst: u32,
    /// Of [`Limits::user_messages`].
    pub user_messages_per_second: u32,
    /// Of [`Limits::user_messages`].
    pub user_message_burst: u32,
    /// Of [`Limits::user_bytes`].
    pub user_bytes_per_second: u32,
    /// Of [`Limits::user_bytes`].
    pub user_byte_burst: u32,
    /// Of [`Limits::user_steps`].
    pub user_steps_per_second: u32,
    /// Of [`Limits::user_steps`].
    pub user_step_burst: u32,
    /// See [`Limits::patience`].
    pub patience_ms: u32,
    /// See [`Limits::connections`].
    pub connections: u32,
    /// See [`Limits::connections_per_user`].
    pub connections_per_user: u32,
    /// See [`Limits::connections_per_document`].
    pub connections_per_document: u32,
    /// See [`Limits::connections_per_address`].
    pub connections_per_address: u32,
    /// See [`Limits::documents_per_user`].
    pub documents_per_user: u32,
}

impl From<&NativeLimits> for Limits {
    fn from(given: &NativeLimits) -> Self {
        Self {
            messages: Rate::new(given.messages_per_second, given.message_burst),
            bytes: Rate::new(given.bytes_per_second, given.byte_burst),
            user_messages: Rate::new(given.user_messages_per_second, given.user_message_burst),
            user_bytes: Rate::new(given.user_bytes_per_second, given.user_byte_burst),
            user_steps: Rate::new(given.user_steps_per_second, given.user_step_burst),
            patience: Duration::from_millis(given.patience_ms.into()),
            connections: given.connections as usize,
            connections_per_user: given.connections_per_user as usize,
            connections_per_document: given.connections_per_document as usize,
            connections_per_address: given.connections_per_address as usize,
            documents_per_user: given.documents_per_user as usize,
        }
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
    let mut upgrade = Upgrade::from(Request::from_lines(lines));
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
