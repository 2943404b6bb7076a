//! Certificates of a test's own, made by `openssl`.

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// An authority in a folder of its own, until it is dropped.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("captify-hub-ca-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let authority = Self { folder };
        authority.openssl("req -x509 -subj /CN=authority -days 2 -keyout ca.key -out ca.crt", "");
        authority
    }

    /// Certifies `name`.crt and `name`.key for other names, as `DNS:localhost,IP:127.0.0.1`.
    pub fn certify(&self, name: &str, names: &str) {
        self.openssl(&format!("req -subj /CN={name} -keyout {name}.key -out {name}.csr"), "");
        let by = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 2";
        std::fs::write(self.folder.join("names"), format!("subjectAltName={names}")).unwrap();
        self.openssl(&format!("x509 -req -in {name}.csr {by} -out {name}.crt"), "-extfile names");
    }

    fn openssl(&self, words: &str, more: &str) {
        let mut arguments: Vec<_> = words.split(' ').collect();
        if arguments[0] == "req" {
            arguments.extend("-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' '));
        }
        arguments.extend(more.split_whitespace());
        let done = Command::new("openssl")
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .expect("openssl is needed: sudo apt-get install openssl");
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// What one of its files holds.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
