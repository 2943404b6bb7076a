//! The hub's log, on stderr, where PM2 and journald expect it.
//!
//! Lines are written by a thread of their own: whoever logs may hold the lock of a room or connection, and a pipe that nobody
//! reads would stop it, and with it everybody on its thread. What strangers can cause is bounded, in lines that wait and in
//! lines a second; how many were left out is said.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Write},
    sync::{
        Condvar, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use log::{
    Level, LevelFilter, Log, Metadata, Record,
    kv::{self, VisitSource},
};
use napi_derive::napi;
use serde_json::{Map, Value};

use super::{
    hub::NativeHub,
    log_line::{self, Format},
};
use crate::sync::lock;

/// Lines that wait for stderr; the ones after them are left out.
const MAX_WAITING: usize = 4096;

/// Lines below `error` in one second; the ones after them are left out. Where somebody asked for `debug`, all are written.
const MAX_A_SECOND: u32 = 200;

/// How long the end of a hub waits for what was logged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long one waits for a stderr that is full.
const FULL: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<String>,
    left_out: u64,
    /// The second that is being counted, and its lines.
    second: Option<Instant>,
    lines: u32,
    /// The thread is writing what it has taken.
    writing: bool,
}

impl Queue {
    fn push(&mut self, level: Level, line: String, now: Instant) {
        if self.second.is_none_or(|second| now - second >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.lines = 0;
        }
        let counts = level > Level::Error && log::max_level() < LevelFilter::Debug;
        self.lines += u32::from(counts);
        if (counts && self.lines > MAX_A_SECOND) || self.waiting.len() >= MAX_WAITING {
            self.left_out += 1;
        } else {
            self.waiting.push_back(line);
        }
    }

    /// Everything to be written now.
    fn drain(&mut self, format: Format) -> String {
        let mut text: String = self.waiting.drain(..).collect();
        if self.left_out > 0 {
            let left_out = std::mem::take(&mut self.left_out);
            let message = format!("{left_out} more lines were left out");
            text.push_str(&log_line::line(format, Level::Warn, Map::new(), &message));
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.left_out == 0
    }
}

#[derive(Debug, Default)]
struct Stderr {
    queue: Mutex<Queue>,
    /// Something waits.
    filled: Condvar,
    /// Nothing waits any more.
    emptied: Condvar,
}

static STDERR: LazyLock<Stderr> = LazyLock::new(Stderr::default);

impl Stderr {
    fn write_all(&self) {
        let mut queue = lock(&self.queue);
        loop {
            queue.writing = false;
            if queue.is_empty() {
                self.emptied.notify_all();
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.writing = true;
            let text = queue.drain(format());
            drop(queue);
            write_to(&mut std::io::stderr(), text.as_bytes());
            queue = lock(&self.queue);
        }
    }
}

/// Writes all of it, as Node may have made what stderr is answer that it is full instead of waiting.
fn write_to(stderr: &mut impl Write, mut text: &[u8]) {
    while !text.is_empty() {
        match stderr.write(text) {
            Ok(written) if written > 0 => text = &text[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL),
            // Nobody is left to be told that stderr is gone.
            _ => return,
        }
    }
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("captify_hub")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut about = About(Map::new());
            if format() == Format::Json {
                // It fails only where a visitor does.
                let _ = record.key_values().visit(&mut about);
            }
            let line = log_line::line(format(), record.level(), about.0, &record.args().to_string());
            lock(&self.queue).push(record.level(), line, Instant::now());
            self.filled.notify_one();
        }
    }

    /// Waits until what was logged is written, or for as long as that may take.
    fn flush(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let mut queue = lock(&self.queue);
        while queue.writing || !queue.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.emptied.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Writes a line of JavaScript's among the hub's own, and as bounded as those; one that is `urgent` as an error is.
fn write(line: String, urgent: bool) {
    let level = if urgent { Level::Error } else { Level::Warn };
    lock(&STDERR.queue).push(level, line + "\n", Instant::now());
    STDERR.filled.notify_one();
}

/// What a line is about: those of its pairs that say something.
struct About(Map<String, Value>);

impl<'kvs> VisitSource<'kvs> for About {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let value = match value.to_u64() {
            Some(number) => number.into(),
            None => match value.to_borrowed_str() {
                Some(text) => text.into(),
                None => return Ok(()),
            },
        };
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}

/// Whether lines are JSON.
static IS_JSON: AtomicBool = AtomicBool::new(false);

fn format() -> Format {
    if IS_JSON.load(Ordering::Relaxed) { Format::Json } else { Format::Text }
}

/// Writes from now on what is at least as severe as `level`: `off`, `error`, `warn`, `info` or `debug`; as JSON, or as text.
pub(super) fn set_level(level: &str, format: Format) -> bool {
    let Ok(level) = level.parse::<LevelFilter>() else { return false };
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
    // The second hub of a process finds the logger there already.
    if log::set_logger(&*STDERR).is_ok() {
        let writing = thread::Builder::new().name("hub-log".to_owned()).spawn(|| STDERR.write_all());
        if writing.is_err() {
            // Without its thread there is no log; the hub's own threads will not start either, which says so.
            log::set_max_level(LevelFilter::Off);
            return true;
        }
    }
    log::set_max_level(level);
    true
}

#[napi]
impl NativeHub {
    /// Writes a line of JavaScript's, which has no end of its own, into the hub's log; one that is `urgent` is left out only
    /// where errors are.
    #[napi(catch_unwind)]
    pub fn write_log(line: String, urgent: bool) {
        write(line, urgent);
    }

    /// Waits until what was logged is written, for a second at most: the process ends.
    #[napi(catch_unwind)]
    pub fn flush_log() {
        STDERR.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, ErrorKind, Write},
        time::{Duration, Instant},
    };

    use log::{Level, LevelFilter};

    use super::{Format, MAX_A_SECOND, MAX_WAITING, Queue, write_to};

    /// Takes three bytes at a time, and none every other time.
    #[derive(Default)]
    struct Slow(Vec<u8>, bool);

    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let taken = text.len().min(3);
            self.0.extend_from_slice(&text[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stderr_that_is_full_for_a_while_gets_all_of_it() {
        let mut slow = Slow::default();
        write_to(&mut slow, b"what was said\n");
        assert_eq!(slow.0, b"what was said\n");
    }

    #[test]
    fn what_strangers_cause_is_bounded_and_says_what_was_left_out() {
        log::set_max_level(LevelFilter::Warn);
        let (mut queue, begin) = (Queue::default(), Instant::now());
        for _ in 0..MAX_A_SECOND + 50 {
            queue.push(Level::Warn, "stranger\n".to_owned(), begin);
        }
        queue.push(Level::Error, "fault\n".to_owned(), begin);
        let text = queue.drain(Format::Text);
        assert_eq!(text.matches("stranger").count(), MAX_A_SECOND as usize);
        assert!(text.contains("fault") && text.ends_with("[hub] warn: 50 more lines were left out\n"));
        queue.push(Level::Warn, "stranger\n".to_owned(), begin + Duration::from_secs(1));
        assert_eq!(queue.drain(Format::Text), "stranger\n", "the next second begins anew");

        for _ in 0..MAX_WAITING + 7 {
            queue.push(Level::Error, "fault\n".to_owned(), begin);
        }
        assert!(queue.drain(Format::Text).ends_with("[hub] warn: 7 more lines were left out\n"));
        assert!(queue.is_empty());
    }
}
