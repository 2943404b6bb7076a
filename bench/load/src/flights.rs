//! Messages that have been sent and have not reached everyone.

use std::time::{Duration, Instant};

/// More than can be under way at the highest rate before a server counts as overloaded.
const SLOTS: usize = 1 << 16;

/// The table of messages under way. A stamp is an index into it.
#[derive(Debug)]
pub struct Flights {
    slots: Vec<Option<Flight>>,
    next: u32,
    under_way: usize,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    sent: Instant,
    left: u32,
}

/// One delivery of a message.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// Time since the message was sent, or should have been.
    pub latency: Duration,
    /// Whether every member has it now.
    pub last: bool,
}

impl Default for Flights {
    fn default() -> Self {
        Self { slots: vec![None; SLOTS], next: 0, under_way: 0 }
    }
}

impl Flights {
    /// Notes a message that `members` are to get, and returns its stamp.
    ///
    /// # Errors
    ///
    /// Where [`SLOTS`] messages later the same place is still taken: the server lost it, or cannot keep up.
    pub fn send(&mut self, sent: Instant, members: u32) -> Result<u32, String> {
        let stamp = self.next;
        let slot = &mut self.slots[stamp as usize % SLOTS];
        if let Some(flight) = slot {
            return Err(format!(
                "a message is still missing at {} members after {SLOTS} others",
                flight.left
            ));
        }
        *slot = Some(Flight { sent, left: members });
        self.next = self.next.wrapping_add(1);
        self.under_way += 1;
        Ok(stamp)
    }

    /// Notes that one member has got the message with this stamp.
    ///
    /// # Errors
    ///
    /// Where nobody was still waiting for it: the server sent it twice, or to its sender.
    pub fn arrive(&mut self, stamp: u32, at: Instant) -> Result<Delivery, String> {
        let slot = &mut self.slots[stamp as usize % SLOTS];
        let flight = slot.as_mut().ok_or_else(|| format!("message {stamp} arrived once too often"))?;
        let latency = at.saturating_duration_since(flight.sent);
        flight.left -= 1;
        let last = flight.left == 0;
        if last {
            *slot = None;
            self.under_way -= 1;
        }
        Ok(Delivery { latency, last })
    }

    /// Messages that have not reached everyone.
    pub fn under_way(&self) -> usize {
        self.under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_done_with_its_last_member_and_not_delivered_again() {
        let start = Instant::now();
        let mut flights = Flights::default();
        let stamp = flights.send(start, 2).expect("room for one");
        let later = start + Duration::from_millis(3);
        assert!(!flights.arrive(stamp, later).expect("the first").last);
        let last = flights.arrive(stamp, later).expect("the second");
        assert!(last.last);
        assert_eq!(last.latency, Duration::from_millis(3));
        assert_eq!(flights.under_way(), 0);
        assert!(flights.arrive(stamp, later).is_err());
    }
}
