//! Clusters of a test's own.

use redis::Value;

use super::{
    eventually,
    redis::{Redis, free_port},
};

/// Servers that share the slots evenly.
pub struct Grid {
    pub primaries: Vec<Redis>,
    /// Where there are any, one of each primary, in the same order.
    pub replicas: Vec<Redis>,
}

fn words(value: Value) -> String {
    match value {
        Value::BulkString(text) => String::from_utf8(text).unwrap(),
        Value::SimpleString(text) => text,
        other => format!("{other:?}"),
    }
}

fn node(bus: u16) -> Redis {
    let bus = bus.to_string();
    // Documents of other nodes go on while one is away; a node is taken for dead after a second.
    let common = ["--save", "", "--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    let more = ["--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0"];
    Redis::with(&[&common[..], &more, &["--cluster-port", &bus, "--repl-diskless-sync-delay", "0"]].concat())
}

impl Grid {
    /// Starts three servers, each with a replica or without.
    pub fn start(with_replicas: bool) -> Self {
        let count = if with_replicas { 6 } else { 3 };
        let mut nodes: Vec<_> = (0..count).map(|_| free_port()).map(|bus| (bus, node(bus))).collect();
        for (index, (_, node)) in nodes.iter().enumerate() {
            node.command(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1));
        }
        for ((_, node), slots) in nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
            node.command(&format!("CLUSTER ADDSLOTSRANGE {slots}"));
        }
        for (bus, node) in &nodes[1..] {
            nodes[0].1.command(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port));
        }
        let replicas: Vec<_> = nodes.split_off(3).into_iter().map(|(_, node)| node).collect();
        let grid = Self { primaries: nodes.into_iter().map(|(_, node)| node).collect(), replicas };
        eventually("all nodes know each other", || {
            grid.all()
                .all(|node| words(node.command("CLUSTER INFO")).contains(&format!("known_nodes:{count}")))
        });
        for (primary, replica) in grid.primaries.iter().zip(&grid.replicas) {
            replica.command(&format!("CLUSTER REPLICATE {}", id(primary)));
        }
        eventually("all nodes know who has which slots", || {
            grid.all().all(|node| {
                let info = words(node.command("CLUSTER INFO"));
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            })
        });
        for replica in &grid.replicas {
            eventually("a replica follows", || {
                words(replica.command("INFO replication")).contains("link_status:up")
            });
        }
        eventually("all know the replicas", || {
            let slots = |node: &Redis| format!("{:?}", node.command("CLUSTER SLOTS"));
            grid.all().all(|node| {
                grid.replicas.iter().all(|each| slots(node).contains(&format!("int({})", each.port)))
            })
        });
        grid
    }

    fn all(&self) -> impl Iterator<Item = &Redis> {
        self.primaries.iter().chain(&self.replicas)
    }

    /// By one of its servers.
    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.primaries[0].port)
    }

    /// Which of the primaries has the slot of a document at the beginning.
    pub fn of(&self, document: &str) -> usize {
        match self.slot(document) {
            ..=5460 => 0,
            5461..=10922 => 1,
            _ => 2,
        }
    }

    pub fn slot(&self, document: &str) -> u16 {
        let mut connection = self.primaries[0].subscriber();
        redis::cmd("CLUSTER").arg("KEYSLOT").arg(document).query(&mut connection).unwrap()
    }

    /// Moves the slot of a document from one primary to another, as `redis-cli --cluster reshard` does. `between` is called when
    /// the slot is half there.
    pub fn migrate(&self, document: &str, from: usize, to: usize, between: impl FnOnce()) {
        let slot = self.slot(document);
        let (from, to) = (&self.primaries[from], &self.primaries[to]);
        to.command(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(from)));
        from.command(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(to)));
        let mut between = Some(between);
        loop {
            let Value::Array(keys) = from.command(&format!("CLUSTER GETKEYSINSLOT {slot} 1")) else {
                panic!()
            };
            let Some(key) = keys.into_iter().next() else { break };
            let key = words(key);
            from.command(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", to.port));
            if let Some(between) = between.take() {
                between();
            }
        }
        for node in [to, from].into_iter().chain(&self.primaries) {
            node.command(&format!("CLUSTER SETSLOT {slot} NODE {}", id(to)));
        }
    }
}

fn id(node: &Redis) -> String {
    words(node.command("CLUSTER MYID"))
}
