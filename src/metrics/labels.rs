//! The labels of counts: each of them one of a few that are known beforehand.

use super::counter::Counter;

/// Who serves a connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    /// The hub itself.
    Fabric,
    /// A handler of the app.
    #[default]
    Handler,
}

impl EndpointKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Fabric, Self::Handler];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fabric => "fabric",
            Self::Handler => "handler",
        }
    }
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// The hub passes on what its clients say.
    Relay,
    /// The hub orders its steps.
    Steps,
    /// The hub keeps its updates.
    Updates,
}

impl DocumentKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Relay, Self::Steps, Self::Updates];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Steps => "steps",
            Self::Updates => "updates",
        }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The close code; 1006 where there was no close frame, 1005 where it had none.
    pub code: u16,
    /// Whether the hub has ended it, and not the client.
    pub by_hub: bool,
    /// Whether that was because the client read too slowly.
    pub is_slow: bool,
}

impl Ended {
    /// The client has gone without a close frame.
    pub const GONE: Self = Self { code: 1006, by_hub: false, is_slow: false };
}

/// Codes that are counted apart: those of a close frame, and the HTTP statuses of refusals. The last is for all others.
pub const CODES: [&str; 24] = [
    "1000", "1001", "1002", "1003", "1005", "1006", "1007", "1008", "1009", "1011", "1012", "1013", "4401",
    "4403", "4409", "400", "403", "404", "405", "426", "431", "503", "505", "other",
];

const NUMBERS: [u16; 23] = [
    1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 4401, 4403, 4409, 400, 403, 404,
    405, 426, 431, 503, 505,
];

/// How often there was each of the [`CODES`]. It has one writer.
#[derive(Debug, Default)]
pub struct ByCode([Counter; CODES.len()]);

impl ByCode {
    /// There was this code. By its one writer.
    pub fn count(&self, code: u16) {
        self.add(code, 1);
    }

    /// There was this code so often. By its one writer.
    pub fn add(&self, code: u16, times: u64) {
        let index = NUMBERS.iter().position(|known| *known == code).unwrap_or(NUMBERS.len());
        self.0[index].add(times);
    }

    /// How often there was each so far.
    pub fn all(&self) -> [u64; CODES.len()] {
        std::array::from_fn(|index| self.0[index].get())
    }
}

#[cfg(test)]
mod tests {
    use super::{ByCode, CODES, DocumentKind, EndpointKind, NUMBERS};

    #[test]
    fn every_code_has_its_number_and_every_kind_its_place() {
        for (number, code) in NUMBERS.iter().zip(CODES) {
            assert_eq!(number.to_string(), code);
        }
        for (index, kind) in EndpointKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
        }
        for (index, kind) in DocumentKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
        }
    }

    #[test]
    fn a_code_that_an_app_has_made_up_is_another() {
        let by_code = ByCode::default();
        by_code.count(4409);
        by_code.count(4999);
        by_code.add(3000, 2);
        let all = by_code.all();
        assert_eq!((all[14], all[23], all.iter().sum::<u64>()), (1, 3, 4));
    }
}
