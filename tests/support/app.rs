//! An app with a database, of which several processes have hooks.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use captify_hub::{
    Config, Hub,
    cluster::config::ClusterConfig,
    document::{
        Options,
        hooks::{
            Answer, AppCopy, Conflict, HookError, Hooks, Loaded, Resolution, Save, SaveOutcome, Snapshot,
        },
        store::Kind,
    },
    ids::Id,
    room::opening::OpenedBy,
};

use super::{Server, redis::config};

/// What all processes of an app share. Its documents are the text of all steps, one behind the other.
pub struct App {
    kind: Kind,
    pub rows: Mutex<HashMap<String, Snapshot>>,
    /// Which processes have loaded, and which have saved which version, and why.
    pub loads: Mutex<Vec<&'static str>>,
    pub saves: Mutex<Vec<(&'static str, u64, &'static str)>>,
    pub does_not_load: AtomicBool,
    pub does_not_save: AtomicBool,
    /// It has no hook for that: documents stay in Redis.
    pub has_no_save: AtomicBool,
    /// Saves that were refused: the version that the process took for the app's, and the one that it was.
    pub refused: Mutex<Vec<(u64, u64)>>,
    /// Done once, when a document is saved and before the process hears that.
    pub before_answer: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Steps with this word do not fit.
    pub unfit: &'static str,
    load_takes_ms: AtomicU32,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl App {
    pub fn of(kind: Kind) -> Arc<Self> {
        Arc::new(Self {
            kind,
            rows: Mutex::default(),
            loads: Mutex::default(),
            saves: Mutex::default(),
            does_not_load: AtomicBool::new(false),
            does_not_save: AtomicBool::new(false),
            has_no_save: AtomicBool::new(false),
            refused: Mutex::default(),
            before_answer: Mutex::default(),
            unfit: "unfit",
            load_takes_ms: AtomicU32::new(0),
        })
    }

    pub fn load_takes(&self, ms: u32) {
        self.load_takes_ms.store(ms, SeqCst);
    }

    /// A hub of this app over a Redis, as another process would have it.
    pub fn process(self: &Arc<Self>, name: &'static str, redis: &ClusterConfig) -> Server {
        self.process_with(config(), name, redis)
    }

    /// The same with other options.
    pub fn process_with(
        self: &Arc<Self>,
        config: Config,
        name: &'static str,
        redis: &ClusterConfig,
    ) -> Server {
        let hooks = Arc::new(OfProcess { name, app: Arc::clone(self) });
        let options = Options {
            saves: !self.has_no_save.load(SeqCst),
            save_after: Duration::from_millis(100),
            save_within: Duration::from_millis(400),
            ..Options::default()
        };
        let hub = Hub::start_cluster_documents(config, redis, Box::new(drop), hooks, options).unwrap();
        Server { hub }
    }

    /// What the app has of a document.
    pub fn row(&self, document: &str) -> Option<Snapshot> {
        self.rows.lock().unwrap().get(document).cloned()
    }
}

#[derive(Debug)]
struct OfProcess {
    name: &'static str,
    app: Arc<App>,
}

impl Hooks for OfProcess {
    fn kind(&self, document: &Id) -> Answer<Loaded> {
        let is_relay = document.text().starts_with("relay");
        let kind = self.app.kind;
        let loaded = if is_relay { Loaded::Relay } else { Loaded::Kept(kind, AppCopy::Nowhere) };
        Box::pin(async move { Ok(loaded) })
    }

    fn load(&self, document: &Id, _: OpenedBy) -> Answer<Loaded> {
        self.app.loads.lock().unwrap().push(self.name);
        let takes = Duration::from_millis(self.app.load_takes_ms.load(SeqCst).into());
        let copy = self.app.row(document.text()).map_or(AppCopy::None, AppCopy::Some);
        let loaded = if self.app.does_not_load.load(SeqCst) {
            Err(HookError("the database is away".to_owned()))
        } else {
            Ok(Loaded::Kept(self.app.kind, copy))
        };
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            loaded
        })
    }

    fn save(&self, save: Save) -> Answer<SaveOutcome> {
        let app = Arc::clone(&self.app);
        let (name, version) = (self.name, save.content.version);
        Box::pin(async move {
            if app.does_not_save.load(SeqCst) {
                return Err(HookError("the database is away".to_owned()));
            }
            let mut doc: String = serde_json::from_str(&save.content.snapshot.doc).unwrap_or_default();
            for steps in &save.content.steps {
                if steps.steps.contains(app.unfit) {
                    let good =
                        Snapshot { version: steps.version, doc: serde_json::to_string(&doc).unwrap().into() };
                    return Ok(SaveOutcome::BadSteps { good, reason: "it does not fit".to_owned() });
                }
                doc.push_str(&steps.steps);
            }
            let doc: Box<str> = serde_json::to_string(&doc).unwrap().into();
            let row = Snapshot { version, doc: doc.clone() };
            {
                let mut rows = app.rows.lock().unwrap();
                let there = rows.get(save.document.text()).map_or(0, |row| row.version);
                if there != save.previous {
                    app.refused.lock().unwrap().push((save.previous, there));
                    return Err(HookError(format!("the row is at version {there}, not {}", save.previous)));
                }
                // Whoever sees the row sees by whom it was saved.
                app.saves.lock().unwrap().push((name, version, save.reason.name()));
                rows.insert(save.document.text().to_owned(), row);
            }
            let before_answer = app.before_answer.lock().unwrap().take();
            if let Some(deed) = before_answer {
                deed();
            }
            Ok(SaveOutcome::Saved(Some(doc)))
        })
    }

    fn resolve(&self, _: Conflict) -> Answer<Resolution> {
        Box::pin(async { Ok(Resolution::Loaded) })
    }
}
