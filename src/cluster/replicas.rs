//! Whether what was written would outlive its server: the replica that takes over must have it.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

/// How often the server is asked how far its replicas are: each tells it once a second.
const ROUND: Duration = Duration::from_millis(100);

/// How long they may be behind.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the server of a link said last of its replicas. Many who want to know at once ask once.
#[derive(Debug, Default)]
pub(super) struct Replicas(Mutex<Option<(Instant, Replication)>>);

/// How far replicas are, in bytes of everything that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Replication {
    written: u64,
    /// What each is known to have; nothing where it is still being given what was there before.
    have: Vec<Option<u64>>,
}

impl Replicas {
    /// Whether all replicas of a server have what was written to it by now; at least one where `needs_one`. Waits for them,
    /// though not for long. `ask` asks the server about its replication; `None` where it cannot be asked.
    pub(super) async fn have_all<Asking: Future<Output = Option<String>>>(
        &self,
        needs_one: bool,
        ask: impl Fn() -> Asking,
    ) -> Option<bool> {
        let begun = Instant::now();
        let (mut since, mut wanted) = (begun, None);
        loop {
            let Replication { written, have } = self.look(since, &ask).await?;
            if have.is_empty() {
                return Some(!needs_one);
            }
            let wanted = *wanted.get_or_insert(written);
            if have.iter().all(|has| has.is_some_and(|has| has >= wanted)) {
                return Some(true);
            }
            if begun.elapsed() > PATIENCE {
                return Some(false);
            }
            sleep(ROUND).await;
            since = Instant::now() - ROUND / 2;
        }
    }

    /// What the server says that was asked at `since` or later.
    async fn look<Asking: Future<Output = Option<String>>>(
        &self,
        since: Instant,
        ask: impl Fn() -> Asking,
    ) -> Option<Replication> {
        let mut last = self.0.lock().await;
        if let Some((asked, said)) = &*last
            && *asked >= since
        {
            return Some(said.clone());
        }
        let asked = Instant::now();
        let said = parse(&ask().await?);
        *last = Some((asked, said.clone()));
        Some(said)
    }
}

fn parse(info: &str) -> Replication {
    let written = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:")?.trim().parse().ok());
    let of_replica = |line: &str| {
        let (number, fields) = line.strip_prefix("slave")?.split_once(':')?;
        let _: u32 = number.parse().ok()?;
        let field = |name: &str| fields.trim().split(',').find_map(|field| field.strip_prefix(name));
        let is_online = field("state=") == Some("online");
        Some(field("offset=").filter(|_| is_online).and_then(|offset| offset.parse().ok()))
    };
    Replication { written: written.unwrap_or(u64::MAX), have: info.lines().filter_map(of_replica).collect() }
}

#[cfg(test)]
mod tests {
    use super::{Replication, parse};

    #[test]
    fn a_replica_that_is_being_given_what_was_there_has_nothing() {
        let info = "# Replication\r\nrole:master\r\nconnected_slaves:3\r\n\
            slave0:ip=127.0.0.1,port=6380,state=online,offset=1540,lag=1\r\n\
            slave1:ip=::1,port=6381,state=wait_bgsave,offset=9,lag=0,type=rdb-channel\r\n\
            slave12:ip=10.0.0.1,port=6382,state=online,offset=1554,lag=0\r\n\
            slave_priority:100\r\nmaster_failover_state:no-failover\r\nmaster_repl_offset:1554\r\n";
        assert_eq!(parse(info), Replication { written: 1554, have: vec![Some(1540), None, Some(1554)] });
    }

    #[test]
    fn a_server_may_have_none() {
        let info = "role:master\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n";
        assert_eq!(parse(info), Replication { written: 0, have: Vec::new() });
    }
}
