//! Who is there: users with their connections, and addresses; the limits on both; the calls that change what they may.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use tokio::time::Instant;

use crate::{
    Hub,
    admission::Access,
    close::Close,
    connection::Connection,
    expiry::Expiries,
    handshake::Upgrade,
    limits::{Limits, is_reached},
    pass::Pass,
    rate::{self, Meter},
    security::Kind,
    sync::lock,
};

/// The longest session there is; what is longer is cut.
const LONGEST_SESSION: Duration = Duration::from_hours(10 * 365 * 24);

/// A user with open connections. The connections without a user share one.
#[derive(Debug)]
pub(crate) struct User {
    /// Empty for those without a user.
    id: Arc<str>,
    passes: Mutex<BTreeMap<u64, Arc<Pass>>>,
    meter: Mutex<Meter>,
    /// Whether it is among the [`Resting`].
    rests: AtomicBool,
}

/// Users without a connection whose rate is not yet what it is for a newcomer, each with the moment when it will be:
/// forgotten at once, they would have a new burst with every reconnection.
type Resting = VecDeque<(u64, Arc<str>)>;

impl User {
    fn new(id: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            id,
            passes: Mutex::default(),
            meter: Mutex::default(),
            rests: AtomicBool::new(false),
        })
    }

    /// `None` for those without a user.
    pub(crate) fn id(&self) -> Option<&str> {
        (!self.id.is_empty()).then_some(&*self.id)
    }

    fn passes(&self) -> Vec<Arc<Pass>> {
        lock(&self.passes).values().cloned().collect()
    }
}

/// Everybody who is there.
#[derive(Debug)]
pub(crate) struct Visitors {
    limits: Limits,
    has_rates: bool,
    users: DashMap<Arc<str>, Arc<User>>,
    /// Connections of each address that counts.
    addresses: DashMap<IpAddr, usize>,
    resting: Mutex<Resting>,
    next_serial: AtomicU64,
    pub(crate) expiries: Expiries,
}

impl Visitors {
    pub(crate) fn new(limits: Limits, session_warning: Duration) -> Arc<Self> {
        Arc::new(Self {
            has_rates: limits.has_rates(),
            limits,
            users: DashMap::new(),
            addresses: DashMap::new(),
            resting: Mutex::default(),
            next_serial: AtomicU64::new(0),
            expiries: Expiries::new(session_warning),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a socket that wants in, also over a limit: only its endpoint knows whether it is one more.
    pub(crate) fn enter(
        self: &Arc<Self>,
        upgrade: &mut Upgrade,
        document: Option<&str>,
    ) -> (Option<Box<Entry>>, Option<Refused>) {
        if let Some(close) = upgrade.admission.refusal.take() {
            return (None, Some(Refused::Decided(close)));
        }
        // Whoever decided has read the query as well, and must have found the same in it.
        let decided = upgrade.admission.document.as_deref();
        if decided.zip(document).is_some_and(|(decided, document)| decided != document) {
            return (None, Some(Refused::Decided(Close::forbidden())));
        }
        let mut entry = Entry { visitors: Arc::clone(self), counted: None, pass: None };
        let over = entry.fill(upgrade, document);
        let counts = entry.counted.is_some() || entry.pass.is_some();
        (counts.then(|| Box::new(entry)), over)
    }

    /// Counts what was read; answers how long to wait before reading more.
    pub(crate) fn charge(&self, meter: &mut Meter, pass: Option<&Pass>, counts: (u64, u64)) -> Duration {
        if !self.has_rates {
            return Duration::ZERO;
        }
        let (limits, now) = (&self.limits, rate::now());
        let own = meter.take((limits.messages, limits.bytes), counts, now);
        match pass.filter(|pass| pass.user.id().is_some()) {
            None => own,
            Some(pass) => {
                let rates = (limits.user_messages, limits.user_bytes);
                own.max(lock(&pass.user.meter).take(rates, counts, now))
            }
        }
    }

    /// Forgets those who have rested for long enough.
    fn wake_rested(&self) {
        let now = rate::now();
        loop {
            let id = {
                let mut resting = lock(&self.resting);
                match resting.front() {
                    Some((rested, _)) if *rested <= now => resting.pop_front(),
                    _ => return,
                }
            };
            let Some((_, id)) = id else { return };
            let mut again = None;
            self.users.remove_if(&id, |_, user| {
                let gone = lock(&user.passes).is_empty();
                let rested = lock(&user.meter).full_at();
                // It came back meanwhile, or came back and left.
                again = (gone && rested > now).then_some(rested);
                user.rests.store(again.is_some(), Ordering::Relaxed);
                gone && rested <= now
            });
            if let Some(rested) = again {
                lock(&self.resting).push_back((rested, id));
            }
        }
    }

    fn user(&self, id: &str) -> Vec<Arc<Pass>> {
        self.users.get(id).map(|user| user.passes()).unwrap_or_default()
    }

    /// Of all passes those that are meant; only they are cloned.
    fn matching(&self, is_meant: impl Fn(&Pass) -> bool) -> Vec<Arc<Pass>> {
        let mut found = Vec::new();
        for user in &self.users {
            found.extend(lock(&user.passes).values().filter(|pass| is_meant(pass)).cloned());
        }
        found
    }
}

/// Why a socket that wants in is turned away.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    /// Somebody decided so.
    Decided(Close),
    /// It would be one too many. Not where it takes the place of a connection that is still there.
    Limit(Kind, &'static str),
}

impl Refused {
    const ADDRESS: Self = Self::Limit(Kind::ConnectionsPerAddress, "Too many connections from this address");
    const USER: Self = Self::Limit(Kind::ConnectionsPerUser, "Too many connections of this user");
    const DOCUMENTS: Self = Self::Limit(Kind::DocumentsPerUser, "Too many documents of this user");
    pub(crate) const CONNECTIONS: Self = Self::Limit(Kind::Connections, "Too many connections");
}

/// Being counted for an address or a user; dropping it ends that. A connection that counts for neither has none.
#[derive(Debug)]
pub(crate) struct Entry {
    visitors: Arc<Visitors>,
    /// The address it counts for.
    counted: Option<IpAddr>,
    pub(crate) pass: Option<Arc<Pass>>,
}

impl Entry {
    /// There is a connection now, which can be told things.
    pub(crate) fn attach(&self, connection: &Arc<Connection>) {
        let Some(pass) = &self.pass else { return };
        pass.attach(connection);
        if let Some(ends) = pass.session_end() {
            self.visitors.expiries.add(pass, ends);
        }
    }

    /// Counts; answers the first limit that it is over.
    fn fill(&mut self, upgrade: &Upgrade, document: Option<&str>) -> Option<Refused> {
        let mut over = None;
        let Visitors { limits, addresses, users, next_serial, .. } = &*self.visitors;
        let admission = &upgrade.admission;
        if let Some(key) =
            admission.address.filter(|address| admission.forwarded || !is_private(*address)).map(shared)
        {
            let mut count = addresses.entry(key).or_default();
            if is_reached(*count, limits.connections_per_address) {
                over = Some(Refused::ADDRESS);
            }
            *count += 1;
            drop(count);
            self.counted = Some(key);
        }
        if upgrade.user.is_none() && admission.expires_in.is_none() && admission.access.is_none() {
            return over;
        }
        let id = upgrade.user.clone().unwrap_or_default();
        // The guard is held to the end, so that the user cannot be forgotten meanwhile.
        let user = users.entry(Arc::clone(&id)).or_insert_with(|| User::new(id));
        let mut passes = lock(&user.passes);
        if user.id().is_some() {
            if is_reached(passes.len(), limits.connections_per_user) {
                over.get_or_insert(Refused::USER);
            }
            if let Some(document) = document
                && limits.documents_per_user > 0
            {
                let open: HashSet<_> = passes.values().filter_map(|pass| pass.document.as_deref()).collect();
                if !open.contains(document) && is_reached(open.len(), limits.documents_per_user) {
                    over.get_or_insert(Refused::DOCUMENTS);
                }
            }
        }
        let serial = next_serial.fetch_add(1, Ordering::Relaxed);
        let ends = admission.expires_in.map(|left| Instant::now() + left.min(LONGEST_SESSION));
        let mut pass = Pass::new(serial, Arc::clone(&user), admission.access, ends);
        pass.session.clone_from(&admission.session);
        pass.document = document.map(Into::into);
        pass.client = upgrade.parameter("clientID").map(Into::into);
        pass.profile.clone_from(&admission.profile);
        pass.address = admission.address;
        let pass = Arc::new(pass);
        passes.insert(serial, Arc::clone(&pass));
        self.pass = Some(pass);
        over
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Visitors { users, addresses, .. } = &*self.visitors;
        if let Some(key) = &self.counted {
            addresses.remove_if_mut(key, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
        if let Some(pass) = &self.pass {
            self.visitors.expiries.remove(pass);
            let (mut rests, now) = (None, rate::now());
            users.remove_if(&pass.user.id, |_, user| {
                let mut passes = lock(&user.passes);
                passes.remove(&pass.serial);
                if !passes.is_empty() {
                    return false;
                }
                let rested = lock(&user.meter).full_at();
                if rested > now && !user.rests.swap(true, Ordering::Relaxed) {
                    rests = Some(rested);
                }
                rested <= now
            });
            if let Some(rested) = rests {
                // In the order of leaving and not of the moments: one behind another waits a little longer.
                lock(&self.visitors.resting).push_back((rested, Arc::clone(&pass.user.id)));
            }
            self.visitors.wake_rested();
        }
    }
}

/// Addresses from which no client comes over the Internet: most likely a proxy's.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let carrier = a == 100 && b & 0xc0 == 64;
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || carrier
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
    }
}

/// What one subscriber has: an address, or a /64 of IPv6.
fn shared(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Whether two addresses count as one.
pub(crate) fn is_same_place(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    one.zip(other).is_some_and(|(one, other)| shared(one) == shared(other))
}

/// A connection whose access can be decided anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
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
    /// Changes what a user may do in a document, on connections there are; `None` closes them with 4403. Answers how
    /// many there were.
    pub fn set_access(&self, user: &str, document: &str, access: Option<Access>) -> usize {
        let passes = self.shared.visitors.user(user);
        let of_document = passes.iter().filter(|pass| pass.document.as_deref() == Some(document));
        of_document.map(|pass| pass.set_access(access)).count()
    }

    /// Changes what one connection may do; see [`Hub::set_access`]. Answers whether it was still there.
    pub fn set_visitor_access(&self, user: &str, serial: u64, access: Option<Access>) -> bool {
        let passes = self.shared.visitors.user(user);
        passes.iter().filter(|pass| pass.serial == serial).map(|pass| pass.set_access(access)).count() > 0
    }

    /// Closes one connection. Answers whether it was still there.
    pub fn disconnect_visitor(&self, user: &str, serial: u64, close: &Close) -> bool {
        let passes = self.shared.visitors.user(user);
        passes.iter().filter(|pass| pass.serial == serial).map(|pass| pass.end(close)).count() > 0
    }

    /// Closes every connection of a user. Answers how many there were.
    pub fn disconnect_user(&self, user: &str, close: &Close) -> usize {
        self.shared.visitors.user(user).iter().map(|pass| pass.end(close)).count()
    }

    /// Lets sessions last `left` from now where they would end sooner. Answers how many connections that are.
    pub fn renew_session(&self, sessions: Sessions<'_>, left: Duration) -> usize {
        let visitors = &self.shared.visitors;
        let passes = match sessions {
            Sessions::User(user) | Sessions::Session(user, _) => visitors.user(user),
            Sessions::Any(session) => visitors.matching(|pass| pass.session.as_deref() == Some(session)),
        };
        let at = Instant::now() + left.min(LONGEST_SESSION);
        let is_meant = |pass: &&Arc<Pass>| match sessions {
            Sessions::User(_) => true,
            Sessions::Session(_, session) | Sessions::Any(session) => {
                pass.session.as_deref() == Some(session)
            }
        };
        passes.iter().filter(is_meant).filter(|pass| pass.renew(at)).count()
    }

    /// The connections of a document about whose access somebody decided.
    pub fn visitors(&self, document: &str) -> Vec<Visitor> {
        let of_document = self.shared.visitors.matching(|pass| pass.document.as_deref() == Some(document));
        of_document
            .iter()
            .map(|pass| Visitor {
                user: pass.user.id.to_string(),
                serial: pass.serial,
                profile: pass.profile.as_deref().map(str::to_owned),
                client: pass.client.as_deref().map(str::to_owned),
            })
            .collect()
    }

    /// Open connections of all endpoints.
    pub fn total_count(&self) -> usize {
        self.shared.connection_count()
    }

    /// Users without one who are remembered until their rate is a newcomer's again.
    pub fn resting_user_count(&self) -> usize {
        lock(&self.shared.visitors.resting).len()
    }

    /// Users with an open connection.
    pub fn user_count(&self) -> usize {
        self.shared
            .visitors
            .users
            .iter()
            .filter(|user| user.id().is_some() && !lock(&user.passes).is_empty())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::{is_private, shared};

    #[test]
    fn addresses_that_are_most_likely_a_proxys_are_told_from_clients() {
        for proxy in [
            "127.0.0.1",
            "::1",
            "10.2.3.4",
            "192.168.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(proxy.parse().unwrap()), "{proxy}");
        }
        for client in ["8.8.8.8", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(client.parse().unwrap()), "{client}");
        }
    }

    #[test]
    fn the_addresses_of_one_ipv6_subscriber_count_as_one() {
        let key = |text: &str| shared(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::"));
        assert_ne!(key("2001:db8:1:2::"), key("2001:db8:1:3::"));
        assert_eq!(key("::ffff:8.8.8.8"), key("8.8.8.8"));
    }
}
