//! Sentinels of a test's own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::redis::{call, free_port, program, says};

/// What all of them call the primary.
pub const NAME: &str = "primary";

/// A sentinel that is enough by itself to fail over, until it is dropped.
pub struct Sentinel {
    pub port: u16,
    folder: PathBuf,
    child: Child,
}

impl Sentinel {
    /// One that watches the server on a port, and the replicas that this one has.
    pub fn of(primary: u16) -> Self {
        Self::with(primary, &format!("sentinel config-epoch {NAME} 0"))
    }

    /// The same, with more lines in its configuration.
    pub fn with(primary: u16, lines: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder =
            std::env::temp_dir().join(format!("captify-hub-sentinel-{}-{number}", std::process::id()));
        for _ in 0..10 {
            let port = free_port();
            std::fs::create_dir_all(&folder).unwrap();
            let file = folder.join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {NAME} 127.0.0.1 {primary} 1\n\
                 sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 3000\n{lines}\n",
                folder.display()
            );
            std::fs::write(&file, text).unwrap();
            let child = Command::new(program())
                .arg(&file)
                .arg("--sentinel")
                .stdout(Stdio::piped())
                .spawn()
                .expect("redis-server is needed: sudo apt-get install redis-server");
            let mut sentinel = Self { port, folder: folder.clone(), child };
            if says(&mut sentinel.child, "+monitor master") {
                return sentinel;
            }
        }
        panic!("no sentinel started in {}", folder.display());
    }

    fn client(&self) -> redis::Client {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    /// Sends a command, words apart.
    pub fn command(&self, words: &str) -> redis::Value {
        call(&self.client(), words)
    }

    /// Waits until it knows of a replica to which it can fail over.
    pub fn knows_a_replica(&self) {
        super::eventually("the sentinel knows the replica", || {
            let said = format!("{:?}", self.command(&format!("SENTINEL REPLICAS {NAME}")));
            said.contains("master-link-status") && !said.contains("disconnected")
        });
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
