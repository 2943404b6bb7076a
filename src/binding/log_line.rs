//! A line of the log, for people or for machines.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use log::Level;
use serde_json::{Map, Value};

use crate::json::quoted;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `[hub] warn: …`
    Text,
    /// `{"hub":"log","time":"…","level":"warn",…,"message":"…"}`
    Json,
}

/// One line, with its end. `about` says in JSON what it is about.
pub(super) fn line(format: Format, level: Level, about: Map<String, Value>, message: &str) -> String {
    let level = level.as_str().to_ascii_lowercase();
    match format {
        Format::Text => format!("[hub] {level}: {message}\n"),
        Format::Json => {
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let mut object = format!(r#"{{"hub":"log","time":"{}","level":"{level}""#, time(since_1970));
            // Writing to a string does not fail.
            for (key, value) in about {
                let _ = write!(object, ",{}:{value}", quoted(&key));
            }
            let _ = write!(object, ",\"message\":{}}}", quoted(message));
            let mut line = escaped(&object);
            line.push('\n');
            line
        }
    }
}

/// JSON in which everything is escaped that a terminal or a reader of logs obeys, as in `js/shared/log.js`.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

/// A time as RFC 3339 has it, in UTC and milliseconds.
fn time(since_1970: Duration) -> String {
    let (seconds, millis) = (since_1970.as_secs(), since_1970.subsec_millis());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's `civil_from_days`: years that begin in March have their odd day at the end.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use log::Level;
    use serde_json::{Map, Value};

    use super::{Format, line, time};

    #[test]
    fn a_line_for_machines_is_one_object_whatever_it_says() {
        let mut about = Map::new();
        about.insert("document".to_owned(), "a\u{2028}b\n".into());
        about.insert("connection".to_owned(), 7.into());
        let text = line(Format::Json, Level::Warn, about, "says \"\u{202e}\u{9b}\"");
        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1, "{text}");
        assert!(!text.contains(['\u{2028}', '\u{202e}', '\u{9b}']), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&read["hub"], &read["level"], &read["connection"]),
            (&"log".into(), &"warn".into(), &7.into())
        );
        assert_eq!(
            (&read["document"], &read["message"]),
            (&"a\u{2028}b\n".into(), &"says \"\u{202e}\u{9b}\"".into())
        );
        assert_eq!(line(Format::Text, Level::Error, Map::new(), "no"), "[hub] error: no\n");
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_200_001, "2024-03-01T00:00:00.001Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }
}
