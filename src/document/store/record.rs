//! The records of a store as bytes.
//!
//! Each begins with the number of its form, so that a later version can read what an older one wrote. Numbers are LEB128,
//! seven bits a byte, the lowest first; texts are UTF-8 behind their length. Every record has one form only, and whatever
//! else is read is refused.

use crate::ids::{ClientSessionId, Epoch, Id};

use super::{Entry, Kind, LastNumber, Passing, SetAside};

/// The form of records, but for those of which there is a newer one.
const FORM: u8 = 1;

/// The form of heads and entries, which have offsets. In the form before it they have none.
const FORM_WITH_OFFSETS: u8 = 2;

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRecord;

/// What is kept of a document beside its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What its entries are.
    pub kind: Kind,
    /// Its history.
    pub epoch: Epoch,
    /// The position of its snapshot.
    pub base: u64,
    /// The position up to which the app has saved it.
    pub saved: u64,
    /// The position of a save whose end was not noted.
    pub saving: Option<u64>,
    /// The last offset that was given before the first of its entries.
    pub offset: u64,
    /// Offsets of what is not kept.
    pub passing: Option<Passing>,
}

impl Head {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORM_WITH_OFFSETS];
        out.push(match self.kind {
            Kind::Steps => 0,
            Kind::Updates => 1,
        });
        out.extend_from_slice(&self.epoch.number().to_be_bytes());
        put_number(&mut out, self.base);
        put_number(&mut out, self.saved);
        put_option(&mut out, self.saving, put_number);
        put_number(&mut out, self.offset);
        put_option(&mut out, self.passing, |out, Passing { behind, up_to }| {
            put_number(out, behind);
            put_number(out, up_to);
        });
        out
    }

    /// Out of bytes.
    ///
    /// # Errors
    ///
    /// [`NoRecord`]
    pub fn decode(bytes: &[u8]) -> Result<Self, NoRecord> {
        let mut reader = Reader::of_either(bytes)?;
        let head = Self {
            kind: match reader.byte()? {
                0 => Kind::Steps,
                1 => Kind::Updates,
                _ => return Err(NoRecord),
            },
            epoch: Epoch::new(u64::from_be_bytes(reader.array()?)),
            base: reader.number()?,
            saved: reader.number()?,
            saving: reader.option(Reader::number)?,
            offset: if reader.has_offsets { reader.number()? } else { 0 },
            passing: if reader.has_offsets { reader.option(Reader::passing)? } else { None },
        };
        reader.end(head)
    }
}

/// An entry of a document as bytes.
pub fn encode_entry(document: &Id, entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(document.text().len() + entry.body.len() + 64);
    out.push(FORM_WITH_OFFSETS);
    put_text(&mut out, document.text());
    put_number(&mut out, entry.before);
    put_number(&mut out, u64::from(entry.count));
    put_text(&mut out, entry.client.text());
    put_option(&mut out, entry.number, put_number);
    put_option(&mut out, entry.user.as_deref(), put_text);
    put_option(&mut out, entry.change_id.as_deref(), put_text);
    put_text(&mut out, &entry.body);
    put_number(&mut out, entry.offset);
    put_option(&mut out, entry.client_session, |out, client_session| {
        out.extend_from_slice(&client_session.number().to_be_bytes());
    });
    out
}

/// An entry out of bytes, and the document that it is of.
///
/// # Errors
///
/// [`NoRecord`]
pub fn decode_entry(bytes: &[u8]) -> Result<(Id, Entry), NoRecord> {
    let mut reader = Reader::of_either(bytes)?;
    let (document, before, count) = reader.place()?;
    let entry = Entry {
        before,
        count,
        client: reader.id()?,
        number: reader.option(Reader::number)?,
        user: reader.option(Reader::text)?.map(str::to_owned),
        change_id: reader.option(Reader::text)?.map(str::to_owned),
        body: reader.text()?.to_owned(),
        offset: if reader.has_offsets { reader.number()? } else { 0 },
        client_session: if reader.has_offsets { reader.option(Reader::client_session)? } else { None },
    };
    reader.end((document, entry))
}

/// Of an entry the document that it is of, the position before it, and how many it takes.
///
/// # Errors
///
/// [`NoRecord`]
pub fn decode_place(bytes: &[u8]) -> Result<(Id, u64, u32), NoRecord> {
    Reader::of_either(bytes)?.place()
}

/// The last numbers of clients as bytes.
pub fn encode_numbers(numbers: &[LastNumber]) -> Vec<u8> {
    let mut out = vec![FORM];
    for last in numbers {
        put_text(&mut out, last.client.text());
        put_number(&mut out, last.number);
        put_number(&mut out, last.after);
    }
    out
}

/// The last numbers of clients out of bytes.
///
/// # Errors
///
/// [`NoRecord`]
pub fn decode_numbers(bytes: &[u8]) -> Result<Vec<LastNumber>, NoRecord> {
    let mut reader = Reader::of(bytes)?;
    let mut numbers = Vec::new();
    while !reader.rest.is_empty() {
        let last = LastNumber { client: reader.id()?, number: reader.number()?, after: reader.number()? };
        numbers.push(last);
    }
    Ok(numbers)
}

/// Something that was put aside as bytes.
pub fn encode_aside(aside: &SetAside) -> Vec<u8> {
    let mut out = Vec::with_capacity(aside.body.len() + aside.reason.len() + 64);
    out.push(FORM);
    put_text(&mut out, aside.document.text());
    put_number(&mut out, aside.at);
    put_text(&mut out, &aside.reason);
    put_text(&mut out, &aside.body);
    out
}

/// Something that was put aside out of bytes.
///
/// # Errors
///
/// [`NoRecord`]
pub fn decode_aside(bytes: &[u8]) -> Result<SetAside, NoRecord> {
    let mut reader = Reader::of(bytes)?;
    let aside = SetAside {
        document: reader.id()?,
        at: reader.number()?,
        reason: reader.text()?.to_owned(),
        body: reader.text()?.to_owned(),
    };
    reader.end(aside)
}

/// A document's id out of bytes.
///
/// # Errors
///
/// [`NoRecord`]
pub fn decode_id(bytes: &[u8]) -> Result<Id, NoRecord> {
    std::str::from_utf8(bytes).ok().and_then(Id::new).ok_or(NoRecord)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

/// What of a record was not read yet.
struct Reader<'a> {
    rest: &'a [u8],
    /// Whether it is of the form that has offsets.
    has_offsets: bool,
}

impl<'a> Reader<'a> {
    fn of(record: &'a [u8]) -> Result<Self, NoRecord> {
        let mut reader = Self { rest: record, has_offsets: false };
        if reader.byte()? == FORM { Ok(reader) } else { Err(NoRecord) }
    }

    /// Of a record that may have offsets.
    fn of_either(record: &'a [u8]) -> Result<Self, NoRecord> {
        let mut reader = Self { rest: record, has_offsets: false };
        reader.has_offsets = match reader.byte()? {
            FORM => false,
            FORM_WITH_OFFSETS => true,
            _ => return Err(NoRecord),
        };
        Ok(reader)
    }

    /// `value`, if nothing stands behind it.
    fn end<T>(&self, value: T) -> Result<T, NoRecord> {
        if self.rest.is_empty() { Ok(value) } else { Err(NoRecord) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], NoRecord> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(NoRecord)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, NoRecord> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NoRecord> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(NoRecord)?;
        self.rest = rest;
        Ok(*array)
    }

    fn number(&mut self) -> Result<u64, NoRecord> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The last of ten bytes has room for one bit.
            if bits << shift >> shift != bits {
                return Err(NoRecord);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte without bits is the longer form of a shorter number.
                return if bits == 0 && shift > 0 { Err(NoRecord) } else { Ok(number) };
            }
        }
        Err(NoRecord)
    }

    fn text(&mut self) -> Result<&'a str, NoRecord> {
        let length = self.number()?.try_into().map_err(|_| NoRecord)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| NoRecord)
    }

    /// The beginning of an entry.
    fn place(&mut self) -> Result<(Id, u64, u32), NoRecord> {
        let (document, before) = (self.id()?, self.number()?);
        let count = self.number()?.try_into().ok().filter(|&count| count > 0).ok_or(NoRecord)?;
        if before.checked_add(u64::from(count)).is_none() {
            return Err(NoRecord);
        }
        Ok((document, before, count))
    }

    fn passing(&mut self) -> Result<Passing, NoRecord> {
        Ok(Passing { behind: self.number()?, up_to: self.number()? })
    }

    fn client_session(&mut self) -> Result<ClientSessionId, NoRecord> {
        Ok(ClientSessionId::new(u64::from_be_bytes(self.array()?)))
    }

    fn id(&mut self) -> Result<Id, NoRecord> {
        Id::new(self.text()?).ok_or(NoRecord)
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, NoRecord>,
    ) -> Result<Option<T>, NoRecord> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(NoRecord),
        }
    }
}
