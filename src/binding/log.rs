//! The hub's log, on stderr, where PM2 and journald expect it.

use std::io::Write;

use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("captify_hub")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_ascii_lowercase();
            // Nobody is left to be told that stderr is gone.
            let _ = writeln!(std::io::stderr(), "[hub] {level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Writes from now on what is at least as severe as `level`: `off`, `error`, `warn`, `info` or `debug`.
pub(super) fn set_level(level: &str) -> bool {
    let Ok(level) = level.parse::<LevelFilter>() else { return false };
    // The second hub of a process finds the logger there already.
    let _ = log::set_logger(&Stderr);
    log::set_max_level(level);
    true
}
