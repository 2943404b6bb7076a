//! How often a client sent what the hub cannot obey.

/// So many at once are forgiven: a client with a fault is told of it, and not shut out.
const BURST: u8 = 32;

/// Milliseconds after which one is forgotten.
const FORGOTTEN_MS: u32 = 1000;

/// A leaky count of one connection.
#[derive(Debug, Default, Clone, Copy)]
pub struct Offences {
    count: u8,
    /// The shard's clock as of `count`.
    since: u32,
}

impl Offences {
    /// Counts one more; answers whether it is one too many.
    pub fn add(&mut self, now: u32) -> bool {
        let forgotten = now.wrapping_sub(self.since) / FORGOTTEN_MS;
        self.count = self.count.saturating_sub(u8::try_from(forgotten).unwrap_or(u8::MAX));
        self.since = if self.count == 0 { now } else { self.since.wrapping_add(forgotten * FORGOTTEN_MS) };
        self.count += 1;
        self.count > BURST
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, FORGOTTEN_MS, Offences};

    #[test]
    fn a_burst_is_forgiven_and_one_more_is_not() {
        let mut offences = Offences::default();
        assert!((0..BURST).all(|_| !offences.add(5000)));
        assert!(offences.add(5999), "none was forgotten yet");
    }

    #[test]
    fn one_a_second_is_forgiven_for_ever() {
        let mut offences = Offences::default();
        let begin = u32::MAX - 100 * FORGOTTEN_MS;
        assert!((0..1000).all(|second| !offences.add(begin.wrapping_add(second * FORGOTTEN_MS))));
    }

    #[test]
    fn a_little_more_than_one_a_second_is_too_many_in_the_end() {
        let mut offences = Offences::default();
        assert!((0..1000).any(|number| offences.add(number * (FORGOTTEN_MS - 100))));
    }
}
