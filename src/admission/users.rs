//! Who is there: users with their connections, and addresses; the limits on both; the calls that change what they may.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use tokio::time::Instant;

use super::{
    addresses::{is_private, subscriber},
    elsewhere::Elsewhere,
    expiry::Expiries,
    grant::{Grant, Peer},
    limits::{Limits, is_reached},
    rate::{self, Bucket, Meter},
    security::Kind,
    upgrade::Upgrade,
    user::User,
};
use crate::{sync::lock, websocket::close::Close};

/// The longest session there is; what is longer is cut.
const LONGEST_SESSION: Duration = Duration::from_hours(10 * 365 * 24);

/// A user with the grants of its connections.
#[derive(Debug)]
struct UserEntry {
    user: Arc<User>,
    grants: Mutex<BTreeMap<u64, Arc<Grant>>>,
    /// Whether it is among the [`Resting`].
    rests: AtomicBool,
}

/// Users without a connection whose rate is not yet what it is for a newcomer, each with the moment when it will be:
/// forgotten at once, they would have a new burst with every reconnection.
type Resting = VecDeque<(u64, Arc<str>)>;

impl UserEntry {
    fn new(id: Arc<str>) -> Arc<Self> {
        Arc::new(Self { user: User::new(id), grants: Mutex::default(), rests: AtomicBool::new(false) })
    }
}

/// Everybody who is there.
#[derive(Debug)]
pub(crate) struct Users {
    limits: Limits,
    has_rates: bool,
    by_id: DashMap<Arc<str>, Arc<UserEntry>>,
    /// Connections of each address that counts.
    addresses: DashMap<IpAddr, usize>,
    resting: Mutex<Resting>,
    next_serial: AtomicU64,
    expiries: Arc<Expiries>,
    /// Who is in other processes; `None` where there are none.
    elsewhere: Option<Arc<dyn Elsewhere>>,
}

impl Users {
    pub(crate) fn new(
        limits: Limits,
        session_warning: Duration,
        elsewhere: Option<Arc<dyn Elsewhere>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            has_rates: limits.has_rates(),
            limits,
            by_id: DashMap::new(),
            addresses: DashMap::new(),
            resting: Mutex::default(),
            next_serial: AtomicU64::new(0),
            expiries: Arc::new(Expiries::new(session_warning)),
            elsewhere,
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The ends of their sessions.
    pub(crate) fn expiries(&self) -> &Arc<Expiries> {
        &self.expiries
    }

    /// Counts a socket that wants in, also over a limit: only its endpoint knows whether it is one more.
    pub(crate) fn enter(
        self: &Arc<Self>,
        upgrade: &mut Upgrade,
        document: Option<&str>,
    ) -> (Option<Box<CountedConnection>>, Option<Refused>) {
        if let Some(close) = upgrade.admission.refusal.take() {
            return (None, Some(Refused::Decided(close)));
        }
        // Whoever decided has read the query as well, and must have found the same in it.
        let decided = upgrade.admission.document.as_deref();
        if decided.zip(document).is_some_and(|(decided, document)| decided != document) {
            return (None, Some(Refused::Decided(Close::forbidden())));
        }
        let mut counted = CountedConnection { registry: Arc::clone(self), address: None, grant: None };
        let over = counted.fill(upgrade, document);
        let counts = counted.address.is_some() || counted.grant.is_some();
        (counts.then(|| Box::new(counted)), over)
    }

    /// Counts what was read; returns how long to wait before reading more.
    pub(crate) fn charge(&self, meter: &mut Meter, grant: Option<&Grant>, counts: (u64, u64)) -> Duration {
        if !self.has_rates {
            return Duration::ZERO;
        }
        let (limits, now) = (&self.limits, rate::now());
        let own = meter.take((limits.messages, limits.bytes), counts, now);
        match grant.filter(|grant| grant.user.id().is_some()) {
            None => own,
            Some(grant) => {
                let rates = (limits.user_messages, limits.user_bytes);
                own.max(lock(&grant.user.meter).take(rates, counts, now))
            }
        }
    }

    /// Counts steps that were sent, of whoever has no user in `own`; returns how long to wait before reading more.
    pub(crate) fn charge_steps(&self, own: &mut Bucket, grant: Option<&Grant>, count: u64) -> Duration {
        let (rate, now) = (self.limits.user_steps, rate::now());
        let wait = match grant.filter(|grant| grant.user.id().is_some()) {
            None => own.take(rate, count, now),
            Some(grant) => lock(&grant.user.steps).take(rate, count, now),
        };
        Duration::from_nanos(wait)
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
            self.by_id.remove_if(&id, |_, user| {
                let gone = lock(&user.grants).is_empty();
                let rested = user.user.full_at();
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

    /// The grants of a user's connections.
    pub(crate) fn of_user(&self, id: &str) -> Vec<Arc<Grant>> {
        self.by_id.get(id).map(|user| lock(&user.grants).values().cloned().collect()).unwrap_or_default()
    }

    /// Of the grants of all connections those that are meant; only they are cloned.
    pub(crate) fn matching(&self, is_meant: impl Fn(&Grant) -> bool) -> Vec<Arc<Grant>> {
        let mut found = Vec::new();
        for user in &self.by_id {
            found.extend(lock(&user.grants).values().filter(|grant| is_meant(grant)).cloned());
        }
        found
    }

    /// Users with an open connection.
    pub(crate) fn count(&self) -> usize {
        self.by_id.iter().filter(|user| user.user.id().is_some() && !lock(&user.grants).is_empty()).count()
    }

    /// Users with an open connection, and how many each has.
    pub(crate) fn counts(&self) -> Vec<(Arc<str>, usize)> {
        let of_user = |user: &UserEntry| {
            let count = lock(&user.grants).len();
            (count > 0).then(|| user.user.id().map(|_| (Arc::clone(&user.user.id), count)))?
        };
        self.by_id.iter().filter_map(|user| of_user(&user)).collect()
    }

    /// Users without a connection who are remembered until their rate is a newcomer's again.
    pub(crate) fn resting_count(&self) -> usize {
        lock(&self.resting).len()
    }
}

/// When a session ends of which so much is left.
pub(crate) fn session_end(left: Duration) -> Instant {
    Instant::now() + left.min(LONGEST_SESSION)
}

/// Why a socket that wants in is turned away.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    /// Somebody decided so.
    Decided(Close),
    /// It would be one too many. Not where it takes the place of a connection that is still there.
    Limit(Kind, &'static str),
    /// The same, counted over all processes: not where it takes the place of one that may be in another.
    LimitOfAll(Kind, &'static str),
}

impl Refused {
    const ADDRESS: Self = Self::Limit(Kind::ConnectionsPerAddress, "Too many connections from this address");
    const USER: Self = Self::Limit(Kind::ConnectionsPerUser, "Too many connections of this user");
    const USER_ELSEWHERE: Self =
        Self::LimitOfAll(Kind::ConnectionsPerUser, "Too many connections of this user");
    const DOCUMENTS: Self = Self::Limit(Kind::DocumentsPerUser, "Too many documents of this user");
    pub(crate) const CONNECTIONS: Self = Self::Limit(Kind::Connections, "Too many connections");
}

/// Being counted for an address or a user; dropping it ends that. A connection that counts for neither has none.
#[derive(Debug)]
pub(crate) struct CountedConnection {
    registry: Arc<Users>,
    /// The address it counts for.
    address: Option<IpAddr>,
    pub(crate) grant: Option<Arc<Grant>>,
}

impl CountedConnection {
    /// There is a connection now, which can be told things.
    pub(crate) fn attach(&self, peer: &Arc<dyn Peer>) {
        let Some(grant) = &self.grant else { return };
        grant.attach(peer);
        if let Some(ends) = grant.session_end() {
            self.registry.expiries.add(grant, ends);
        }
    }

    /// Counts; returns the first limit that it is over.
    fn fill(&mut self, upgrade: &Upgrade, document: Option<&str>) -> Option<Refused> {
        let mut over = None;
        let Users { limits, addresses, by_id, next_serial, elsewhere, .. } = &*self.registry;
        let admission = &upgrade.admission;
        if let Some(key) =
            admission.address.filter(|address| admission.forwarded || !is_private(*address)).map(subscriber)
        {
            let mut count = addresses.entry(key).or_default();
            if is_reached(*count, limits.connections_per_address) {
                over = Some(Refused::ADDRESS);
            }
            *count += 1;
            drop(count);
            self.address = Some(key);
        }
        if upgrade.user.is_none() && admission.expires_in.is_none() && admission.access.is_none() {
            return over;
        }
        let id = upgrade.user.clone().unwrap_or_default();
        // The guard is held to the end, so that the user cannot be forgotten meanwhile.
        let user = by_id.entry(Arc::clone(&id)).or_insert_with(|| UserEntry::new(Arc::clone(&id)));
        let mut grants = lock(&user.grants);
        if user.user.id().is_some() {
            if is_reached(grants.len(), limits.connections_per_user) {
                over.get_or_insert(Refused::USER);
            }
            if let Some(document) = document
                && limits.documents_per_user > 0
            {
                let open: HashSet<_> =
                    grants.values().filter_map(|grant| grant.document.as_deref()).collect();
                if !open.contains(document) && is_reached(open.len(), limits.documents_per_user) {
                    over.get_or_insert(Refused::DOCUMENTS);
                }
            }
            // Behind the others: it does not hold for who comes back.
            if let Some(elsewhere) = elsewhere
                && is_reached(grants.len() + elsewhere.of_user(&id), limits.connections_per_user)
            {
                over.get_or_insert(Refused::USER_ELSEWHERE);
            }
        }
        let serial = next_serial.fetch_add(1, Ordering::Relaxed);
        let ends = admission.expires_in.map(session_end);
        let mut grant = Grant::new(serial, Arc::clone(&user.user), admission.access, ends);
        grant.session.clone_from(&admission.session);
        grant.document = document.map(Into::into);
        grant.client = upgrade.parameter("clientID").map(Into::into);
        grant.profile.clone_from(&admission.profile);
        grant.address = admission.address;
        let grant = Arc::new(grant);
        grants.insert(serial, Arc::clone(&grant));
        self.grant = Some(grant);
        over
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let Users { by_id, addresses, .. } = &*self.registry;
        if let Some(key) = &self.address {
            addresses.remove_if_mut(key, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
        if let Some(grant) = &self.grant {
            self.registry.expiries.remove(grant);
            let (mut rests, now) = (None, rate::now());
            by_id.remove_if(&grant.user.id, |_, user| {
                let mut grants = lock(&user.grants);
                grants.remove(&grant.serial);
                if !grants.is_empty() {
                    return false;
                }
                let rested = user.user.full_at();
                if rested > now && !user.rests.swap(true, Ordering::Relaxed) {
                    rests = Some(rested);
                }
                rested <= now
            });
            if let Some(rested) = rests {
                // In the order of leaving and not of the moments: one behind another waits a little longer.
                lock(&self.registry.resting).push_back((rested, Arc::clone(&grant.user.id)));
            }
            self.registry.wake_rested();
        }
    }
}
