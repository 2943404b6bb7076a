//! The calls that change what users may do who are there.

use std::{sync::Arc, time::Duration};

use super::hub::Hub;
use crate::{
    admission::{Access, grant::Grant, users::session_end},
    websocket::close::Close,
};

/// A connection whose access can be decided anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The user's id; empty where there is none.
    pub user: String,
    /// Names the connection among those of the user.
    pub serial: u64,
    /// The user as JSON.
    pub profile: Option<String>,
    /// The id the client gave itself.
    pub client: Option<String>,
}

/// Which connections a call is about.
#[derive(Debug, Clone, Copy)]
pub enum Sessions<'a> {
    /// Every connection of a user.
    User(&'a str),
    /// Those of one session of a user.
    Session(&'a str, &'a str),
    /// Those of a session, whoever's it is.
    Any(&'a str),
}

impl Hub {
    /// Changes what a user may do in a document, on connections there are; `None` closes them with 4403. Returns how
    /// many there were.
    pub fn set_access(&self, user: &str, document: &str, access: Option<Access>) -> usize {
        let grants = self.shared.users.of_user(user);
        let of_document = grants.iter().filter(|grant| grant.document.as_deref() == Some(document));
        of_document.map(|grant| grant.set_access(access)).count()
    }

    /// Changes what one connection may do; see [`Hub::set_access`]. Returns whether it was still there.
    pub fn set_connection_access(&self, user: &str, serial: u64, access: Option<Access>) -> bool {
        let grants = self.shared.users.of_user(user);
        grants.iter().filter(|grant| grant.serial == serial).map(|grant| grant.set_access(access)).count() > 0
    }

    /// Closes one connection. Returns whether it was still there.
    pub fn disconnect_connection(&self, user: &str, serial: u64, close: &Close) -> bool {
        let grants = self.shared.users.of_user(user);
        grants.iter().filter(|grant| grant.serial == serial).map(|grant| grant.end(close)).count() > 0
    }

    /// Closes every connection of a user. Returns how many there were.
    pub fn disconnect_user(&self, user: &str, close: &Close) -> usize {
        self.shared.users.of_user(user).iter().map(|grant| grant.end(close)).count()
    }

    /// Lets sessions last `left` from now where they would end sooner. Returns how many connections that are.
    pub fn renew_session(&self, sessions: Sessions<'_>, left: Duration) -> usize {
        let users = &self.shared.users;
        let grants = match sessions {
            Sessions::User(user) | Sessions::Session(user, _) => users.of_user(user),
            Sessions::Any(session) => users.matching(|grant| grant.session.as_deref() == Some(session)),
        };
        let at = session_end(left);
        let is_meant = |grant: &&Arc<Grant>| match sessions {
            Sessions::User(_) => true,
            Sessions::Session(_, session) | Sessions::Any(session) => {
                grant.session.as_deref() == Some(session)
            }
        };
        grants.iter().filter(is_meant).filter(|grant| grant.renew(at)).count()
    }

    /// The connections of a document about whose access somebody decided.
    pub fn connections_of(&self, document: &str) -> Vec<ConnectionInfo> {
        let of_document = self.shared.users.matching(|grant| grant.document.as_deref() == Some(document));
        of_document
            .iter()
            .map(|grant| ConnectionInfo {
                user: grant.user.id().unwrap_or_default().to_owned(),
                serial: grant.serial,
                profile: grant.profile.as_deref().map(str::to_owned),
                client: grant.client.as_deref().map(str::to_owned),
            })
            .collect()
    }

    /// Open connections of all endpoints.
    pub fn total_count(&self) -> usize {
        self.shared.endpoints.connection_count()
    }

    /// Users with an open connection.
    pub fn user_count(&self) -> usize {
        self.shared.users.count()
    }

    /// Users without a connection who are remembered until their rate is a newcomer's again.
    pub fn resting_user_count(&self) -> usize {
        self.shared.users.resting_count()
    }
}
