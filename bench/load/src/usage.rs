//! What a process has used, from `/proc`.

use std::{fs, io, time::Duration};

use serde::Serialize;

/// Processor time since the process began.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    total: Duration,
    first_thread: Duration,
    user_ticks: u64,
    system_ticks: u64,
}

/// Processor time between two readings, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spent {
    /// All of it, from the scheduler's own clock.
    pub total_ns: u64,
    /// Of its first thread: Node's event loop.
    pub first_thread_ns: u64,
    /// In user space. Many kernels only sample the split at every clock tick, so it takes long runs to be exact.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
}

impl std::ops::Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            total_ns: self.total_ns + other.total_ns,
            first_thread_ns: self.first_thread_ns + other.first_thread_ns,
            user_ns: self.user_ns + other.user_ns,
            system_ns: self.system_ns + other.system_ns,
        }
    }
}

impl Usage {
    /// Reads the usage of a process.
    ///
    /// # Errors
    ///
    /// Where `/proc` does not have it.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is the program's name in parentheses, which may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |field: usize| fields.get(field - 3).and_then(|text| text.parse().ok()).ok_or_else(malformed);
        let (total, first_thread) = run_time(pid)?;
        Ok(Self { total, first_thread, user_ticks: ticks(14)?, system_ticks: ticks(15)? })
    }

    /// What has been used since `earlier`.
    pub fn since(self, earlier: Self) -> Spent {
        let total_ns = (self.total.saturating_sub(earlier.total)).as_nanos() as u64;
        let first_thread_ns = (self.first_thread.saturating_sub(earlier.first_thread)).as_nanos() as u64;
        let user = self.user_ticks.saturating_sub(earlier.user_ticks) as f64;
        let system = self.system_ticks.saturating_sub(earlier.system_ticks) as f64;
        let share = if user + system > 0.0 { user / (user + system) } else { 0.0 };
        let user_ns = (total_ns as f64 * share) as u64;
        Spent { total_ns, first_thread_ns, user_ns, system_ns: total_ns - user_ns }
    }
}

/// How long all threads have run, and the first of them. `/proc/PID/stat` has hundredths of a second only.
fn run_time(pid: u32) -> io::Result<(Duration, Duration)> {
    let (mut total, mut first) = (0, 0);
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        // A thread may end between the two readings.
        let Ok(schedstat) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        let ran =
            schedstat.split(' ').next().and_then(|text| text.parse::<u64>().ok()).ok_or_else(malformed)?;
        total += ran;
        if task.file_name().to_str() == Some(&pid.to_string()) {
            first = ran;
        }
    }
    Ok((Duration::from_nanos(total), Duration::from_nanos(first)))
}

/// Memory of a process in user space, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// Resident pages that no file backs: heap and stacks.
    pub anonymous: u64,
    /// All resident pages.
    pub resident: u64,
}

impl Memory {
    /// Reads the memory of a process.
    ///
    /// # Errors
    ///
    /// Where `/proc` does not have it.
    pub fn of(pid: u32) -> io::Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kilobytes = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let bytes = |name| kilobytes(name).map(|value| value * 1024).ok_or_else(malformed);
        Ok(Self { anonymous: bytes("Anonymous:")?, resident: bytes("Rss:")? })
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "/proc does not look as expected")
}
