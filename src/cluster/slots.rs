//! Which server of a cluster has what. No I/O.

use redis::Value;

use super::{place::Endpoint, wire::text};

/// What a cluster is divided into.
pub(super) const SLOTS: u16 = 16384;

/// The slot of a key, or of a channel: that of what stands between its first braces, where something does.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| Some(rest.split_once('}')?.0));
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, as the specification of Redis Cluster wants it.
fn crc16(bytes: &[u8]) -> u16 {
    let step = |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
    bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ (u16::from(*byte) << 8), step))
}

/// Which server has which slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// In order.
    ranges: Vec<Range>,
}

/// Slots that one server has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: u16,
    last: u16,
    owner: Endpoint,
    /// Whether another is there that would take over.
    has_replica: bool,
}

impl Layout {
    /// Takes the answer to `CLUSTER SLOTS` apart, which was asked of `asked`. A server that does not know its own name is the
    /// one that was asked.
    pub(super) fn parse(answer: &Value, asked: &Endpoint) -> Option<Self> {
        let Value::Array(entries) = answer else { return None };
        let mut ranges = entries.iter().map(|entry| range(entry, asked)).collect::<Option<Vec<_>>>()?;
        ranges.sort_unstable();
        Some(Self { ranges })
    }

    /// Expects a replica of a server that had one before: one that is just away, or is not named as long as it begins, may take
    /// over all the same.
    pub(super) fn expects_as(&mut self, before: &Self) {
        for range in &mut self.ranges {
            let had_one = |old: &Range| old.has_replica && old.owner == range.owner;
            range.has_replica |= before.ranges.iter().any(had_one);
        }
    }

    /// Who has a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&Endpoint> {
        self.range(slot).map(|range| &range.owner)
    }

    /// Whether another server would take over a slot from who has it.
    pub(super) fn has_replica(&self, slot: u16) -> bool {
        self.range(slot).is_some_and(|range| range.has_replica)
    }

    fn range(&self, slot: u16) -> Option<&Range> {
        let behind = self.ranges.partition_point(|range| range.first <= slot);
        self.ranges.get(behind.checked_sub(1)?).filter(|range| slot <= range.last)
    }

    /// All that have slots, each once.
    pub(super) fn owners(&self) -> Vec<&Endpoint> {
        let mut owners: Vec<_> = self.ranges.iter().map(|range| &range.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// A slot that nobody has.
    pub(super) fn missing(&self) -> Option<u16> {
        let mut next = 0;
        for range in &self.ranges {
            if range.first > next {
                break;
            }
            next = range.last + 1;
        }
        (next < SLOTS).then_some(next)
    }
}

fn range(entry: &Value, asked: &Endpoint) -> Option<Range> {
    let Value::Array(parts) = entry else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(primary), replicas @ ..] = &parts[..] else {
        return None;
    };
    let [host, Value::Int(port), ..] = &primary[..] else { return None };
    let host = text(host).filter(|host| !host.is_empty() && *host != "?").unwrap_or(&asked.host);
    let owner = Endpoint { host: host.to_owned(), port: u16::try_from(*port).ok()? };
    let last = u16::try_from(*last).ok().filter(|last| *last < SLOTS)?;
    Some(Range { first: u16::try_from(*first).ok()?, last, owner, has_replica: !replicas.is_empty() })
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{Endpoint, Layout, SLOTS, slot_of};

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of("123456789"), 0x31C3);
        assert_eq!(slot_of("foo{bar}zap"), slot_of("bar"));
        assert_eq!(slot_of("foo{{bar}}zap"), slot_of("{bar"));
        assert_eq!(slot_of("hub:{doc}:meta"), slot_of("doc"));
        assert_ne!(slot_of("foo{}{bar}"), slot_of("bar"));
        assert!(slot_of("a") < SLOTS && slot_of("") == 0);
    }

    fn server(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::SimpleString("id".to_owned())])
    }

    fn named(host: &str) -> Value {
        Value::BulkString(host.as_bytes().to_vec())
    }

    fn entry(first: i64, last: i64, server: Value) -> Value {
        Value::Array(vec![Value::Int(first), Value::Int(last), server])
    }

    #[test]
    fn a_layout_says_who_has_a_slot_and_which_nobody_has() {
        let asked = Endpoint { host: "me".to_owned(), port: 1 };
        let parse = |entries| Layout::parse(&Value::Array(entries), &asked);
        let layout = parse(vec![
            entry(8000, 16383, server(Value::Nil, 7001)),
            entry(0, 5000, server(named("a"), 7000)),
            entry(5001, 7999, server(named(""), 7001)),
        ])
        .unwrap();
        let owner = |slot| layout.owner(slot).map(ToString::to_string);
        assert_eq!(owner(0).as_deref(), Some("a:7000"));
        assert_eq!(owner(5000).as_deref(), Some("a:7000"));
        assert_eq!(owner(5001).as_deref(), Some("me:7001"));
        assert_eq!(owner(16383).as_deref(), Some("me:7001"));
        assert_eq!((layout.owners().len(), layout.missing()), (2, None));
        assert!(!layout.has_replica(5000));

        let gap =
            parse(vec![entry(1, 5, server(named("a"), 1)), entry(7, 16383, server(named("a"), 1))]).unwrap();
        assert_eq!((gap.missing(), gap.owner(0), gap.owner(6)), (Some(0), None, None));
        let tail = parse(vec![entry(0, 5, server(named("a"), 1))]).unwrap();
        assert_eq!((tail.missing(), tail.owner(6)), (Some(6), None));
        assert_eq!(parse(Vec::new()).unwrap().missing(), Some(0));
        assert_eq!(parse(vec![entry(0, 20_000, server(named("a"), 1))]), None);
        assert_eq!(parse(vec![Value::Nil]), None);

        let servers = vec![Value::Int(0), Value::Int(5), server(named("a"), 1), server(named("b"), 2)];
        let with_replica =
            parse(vec![Value::Array(servers), entry(6, 16383, server(named("b"), 2))]).unwrap();
        assert_eq!(with_replica.owner(5).unwrap().to_string(), "a:1");
        assert_eq!([5, 6].map(|slot| with_replica.has_replica(slot)), [true, false]);
        let mut without =
            parse(vec![entry(0, 9, server(named("a"), 1)), entry(10, 16383, server(named("b"), 2))]).unwrap();
        without.expects_as(&with_replica);
        assert_eq!([0, 10].map(|slot| without.has_replica(slot)), [true, false]);
    }
}
