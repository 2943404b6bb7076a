//! Redis servers of a test's own, and hubs over them.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use captify_hub::{
    Config, Hub,
    cluster::{State, config::ClusterConfig},
    config::Secret,
};

use super::{PATIENCE, Server, eventually};

/// A `redis-server` on a port and in a folder of its own, until it is dropped.
pub struct Redis {
    pub port: u16,
    program: String,
    folder: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl Redis {
    /// Starts one that keeps everything in memory alone.
    pub fn start() -> Self {
        Self::with(&["--save", ""])
    }

    pub fn with(arguments: &[&str]) -> Self {
        Self::of(&program(), arguments)
    }

    /// One of a program's.
    pub fn of(program: &str, arguments: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("captify-hub-redis-{}-{number}", std::process::id()));
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        // Another process may take the port between the look and the start.
        for _ in 0..10 {
            let port = free_port();
            std::fs::create_dir_all(&folder).unwrap();
            let mut redis = Self {
                port,
                child: spawn(program, port, &folder, &arguments),
                program: program.to_owned(),
                folder: folder.clone(),
                arguments: arguments.clone(),
            };
            if redis.comes_up() {
                return redis;
            }
        }
        panic!("redis-server did not start in {}", folder.display());
    }

    fn comes_up(&mut self) -> bool {
        says(&mut self.child, "Ready to accept connections")
    }

    fn client(&self) -> redis::Client {
        redis::Client::open(self.url()).unwrap()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a command, words apart.
    pub fn command(&self, words: &str) -> redis::Value {
        call(&self.client(), words)
    }

    /// How often a command was called since the server began, also by scripts.
    pub fn calls(&self, name: &str) -> u64 {
        let redis::Value::BulkString(said) = self.command("INFO commandstats") else { panic!("no text") };
        let (said, of_name) = (String::from_utf8_lossy(&said).into_owned(), format!("cmdstat_{name}:calls="));
        let calls = said
            .lines()
            .find_map(|line| line.strip_prefix(of_name.as_str())?.split(',').next()?.parse().ok());
        calls.unwrap_or(0)
    }

    /// As [`Redis::command`], with the password of the server.
    pub fn command_as(&self, password: &str, words: &str) -> redis::Value {
        self.try_command_as(password, words).unwrap()
    }

    /// The same, of a server that may drop a connection because it becomes a replica.
    pub fn try_command_as(&self, password: &str, words: &str) -> redis::RedisResult<redis::Value> {
        try_call(&redis::Client::open(format!("redis://:{password}@127.0.0.1:{}", self.port)).unwrap(), words)
    }

    /// A connection of a test's own, for what it wants to hear.
    pub fn subscriber(&self) -> redis::Connection {
        self.client().get_connection().unwrap()
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, with what it has on disk.
    pub fn restart(&mut self) {
        self.child = spawn(&self.program, self.port, &self.folder, &self.arguments);
        assert!(self.comes_up(), "redis-server did not come up again");
    }
}

pub fn call(client: &redis::Client, words: &str) -> redis::Value {
    try_call(client, words).unwrap()
}

pub fn try_call(client: &redis::Client, words: &str) -> redis::RedisResult<redis::Value> {
    let mut parts = words.split(' ');
    let mut command = redis::cmd(parts.next().unwrap());
    for part in parts {
        command.arg(part);
    }
    command.query(&mut client.get_connection()?)
}

/// The rights that docs/several-processes.md names one by one, for a user of its own.
pub fn documented_rights() -> String {
    let text = include_str!("../../docs/several-processes.md");
    let list = text.split_once("In single commands it is ").unwrap().1.split_once(". A sentinel").unwrap().0;
    let names = list.split('`').skip(1).step_by(2);
    names.map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ")
}

/// Waits until a server has printed some words; returns whether it did, or has ended. It is not asked over its port, which another
/// test's server may have taken in between.
pub fn says(child: &mut Child, words: &str) -> bool {
    let mut lines = BufReader::new(child.stdout.take().expect("its output is read")).lines();
    let has_said = lines.by_ref().map_while(Result::ok).any(|line| line.contains(words));
    // Nobody may leave it with a full pipe.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    has_said
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The server that is tested with: `HUB_TEST_REDIS`, which may be a `valkey-server`, or `redis-server`.
pub fn program() -> String {
    std::env::var("HUB_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}

fn spawn(program: &str, port: u16, folder: &PathBuf, arguments: &[String]) -> Child {
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is needed: sudo apt-get install redis-server")
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// How a test's hubs reach a Redis: with times in which a test can wait.
pub fn over(url: &str) -> ClusterConfig {
    ClusterConfig {
        connect_timeout: Duration::from_millis(500),
        command_timeout: Duration::from_millis(500),
        probe_interval: Duration::from_millis(200),
        ..ClusterConfig::of_url(url).unwrap()
    }
}

pub fn config() -> Config {
    Config { threads: 2, token_secret: Some(Secret::new([7; 32])), ..Config::default() }
}

/// A hub over a Redis, as another process would have it. On a machine that stands still for a while the first attempt may be
/// too late.
pub fn process(redis: &ClusterConfig) -> Server {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Hub::start_cluster(config(), redis, Box::new(drop)) {
            Err(late) if late.to_string().contains("timed out") && Instant::now() < deadline => {}
            started => return Server { hub: started.unwrap() },
        }
    }
}

/// Waits until a hub can publish.
pub fn ready(server: &Server) {
    eventually("Redis is back", || server.hub.cluster_state() == Some(State::Ready));
}

/// Waits until a hub knows that it cannot; returns why.
pub fn away(server: &Server) -> String {
    eventually("Redis is away", || server.hub.cluster_state() != Some(State::Ready));
    match server.hub.cluster_state() {
        Some(State::Away(reason)) => reason,
        _ => String::new(),
    }
}
