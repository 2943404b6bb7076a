//! A hub: its start, the calls for route handlers, its end.

use std::{sync::Arc, time::Duration};

use super::{keeper::Keeper, shared::Shared};
use crate::{
    Config, Error,
    admission::{elsewhere::Elsewhere, expiry, users::Users},
    connection::endpoint::Endpoint,
    document::{
        self,
        documents::Documents,
        hooks::{Content, HookError, Hooks},
        store::thread::StoreHandle,
    },
    fabric::Fabric,
    ids::Id,
    panics::guarded,
    room::{
        Room, Rooms,
        opening::{OpenedBy, Opener},
        publication::{Draft, Publication},
    },
    shard::{Shard, Work},
};
#[cfg(feature = "redis")]
use crate::{
    cluster::{self, Cluster, config::ClusterConfig},
    document::over::Over,
    room::publication::{Answer, Refusal},
};

/// The room of all connections of an endpoint, as other processes are told of it: handlers have none without a name.
#[cfg(feature = "redis")]
pub(super) const EVERYBODY: &str = "";

/// A hub with its threads. Dropping it ends them and every connection without a word; [`Hub::close`] says goodbye.
#[derive(Debug)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
    /// Where its documents are ordered together with those of other processes.
    #[cfg(feature = "redis")]
    pub(super) cluster: Option<Cluster>,
}

impl Hub {
    /// Starts a hub that serves the fabric endpoint. Where [`Config::state_dir`] has what an earlier process left, and no other
    /// process uses it, rooms go on from there.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`], [`Error::Start`].
    pub fn start(config: Config) -> Result<Self, Error> {
        Self::start_with(config, None)
    }

    /// Starts a hub whose documents get their logs from `opener`; `None` has them in memory.
    ///
    /// # Errors
    ///
    /// As [`Hub::start`].
    pub fn start_with(config: Config, opener: Option<Arc<dyn Opener>>) -> Result<Self, Error> {
        Self::begin(config, None, |_, _| (opener, None))
    }

    /// Starts a hub some of whose documents have an authority: `hooks` say which, load and save them, and `store` keeps
    /// their steps.
    ///
    /// # Errors
    ///
    /// As [`Hub::start`].
    pub fn start_documents(
        config: Config,
        hooks: Arc<dyn Hooks>,
        store: StoreHandle,
        options: document::Options,
    ) -> Result<Self, Error> {
        let has_offsets = config.recovery_window.is_some();
        let hub = Self::begin(config, None, |handle, tokens_last| {
            let handle = handle.clone();
            let documents = Documents::new(hooks, store, options, handle, has_offsets, tokens_last);
            (Some(Arc::new(documents.clone())), Some(documents))
        })?;
        hub.begin_saving();
        Ok(hub)
    }

    /// Starts a hub whose documents are ordered by a Redis, together with those of other processes. Waits until that was
    /// reached, for some seconds at most. `hear` is given what other processes say by [`Hub::say`].
    ///
    /// # Errors
    ///
    /// As [`Hub::start`], and [`Error::Redis`].
    #[cfg(feature = "redis")]
    pub fn start_cluster(config: Config, redis: &ClusterConfig, hear: cluster::Do) -> Result<Self, Error> {
        config.check()?;
        // Redis remembers for the next process, and for all others that run meanwhile.
        let config = Config { state_dir: None, ..config };
        let cluster =
            Cluster::start(redis, &config, hear).map_err(|error| Error::Redis(error.to_string()))?;
        let opener = cluster.opener();
        let mut hub = Self::begin(config, Some(cluster.elsewhere()), |_, _| (Some(opener), None))?;
        hub.be_one_of(cluster);
        Ok(hub)
    }

    /// What other processes broadcast to an endpoint reaches its connections here.
    #[cfg(feature = "redis")]
    fn hear_broadcasts(&self, path: &str) {
        if let Some(cluster) = &self.cluster {
            cluster.rooms().enter(path, EVERYBODY);
        }
    }

    /// Publishes for a route handler as [`Hub::submit_opening`], and calls `tell` with how many connections got it, of all
    /// processes: once it is known, or a second after it has its place with what is known by then.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    #[cfg(feature = "redis")]
    pub fn publish_everywhere(
        &self,
        document: Id,
        to: Option<Id>,
        message: String,
        tell: impl FnOnce(Result<usize, Refusal>) + Send + 'static,
    ) -> Result<(), Error> {
        let counter = self.cluster.as_ref().map(Cluster::counter);
        let of_answer = document.clone();
        let answer = Answer::new(move |outcome| match (outcome, counter) {
            (Ok(offset), Some(counter)) => counter.tell(&of_answer, offset, |count| tell(Ok(count))),
            (Ok(_), None) => tell(Ok(0)),
            (Err(refusal), _) => tell(Err(refusal)),
        });
        let publication = Publication { answer: Some(answer), ..Publication::of_route_handler(to, message) };
        self.submit_opening(document, publication)
    }

    /// Starts a hub whose documents are ordered by a Redis, some of which have an authority: `hooks` say which, load and save
    /// them, each in one process at a time. Otherwise as [`Hub::start_cluster`].
    ///
    /// # Errors
    ///
    /// As [`Hub::start_cluster`].
    #[cfg(feature = "redis")]
    pub fn start_cluster_documents(
        config: Config,
        redis: &ClusterConfig,
        hear: cluster::Do,
        hooks: Arc<dyn Hooks>,
        options: document::Options,
    ) -> Result<Self, Error> {
        config.check()?;
        let config = Config { state_dir: None, ..config };
        let cluster =
            Cluster::start(redis, &config, hear).map_err(|error| Error::Redis(error.to_string()))?;
        let over = Over { kept: cluster.kept_documents(), relays: cluster.opener() };
        let mut failed = None;
        let mut hub = Self::begin(config, Some(cluster.elsewhere()), |handle, _| {
            match Documents::over(hooks, options, handle.clone(), over) {
                Ok(documents) => (Some(Arc::new(documents.clone())), Some(documents)),
                Err(error) => {
                    failed = Some(error);
                    (None, None)
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(Error::Start(error));
        }
        hub.be_one_of(cluster);
        hub.begin_saving();
        Ok(hub)
    }

    #[cfg(feature = "redis")]
    fn be_one_of(&mut self, cluster: Cluster) {
        let shared = Arc::downgrade(&self.shared);
        cluster.count_by(move || Some(shared.upgrade()?.census()));
        self.cluster = Some(cluster);
        for path in self.paths() {
            self.hear_broadcasts(&path);
        }
    }

    fn begin_saving(&self) {
        if let Some(documents) = &self.shared.documents {
            documents.tell_through(&self.shared.rooms);
            documents.save_what_was_left();
        }
    }

    /// See [`Cluster::say`]; nothing where there are no other processes.
    #[cfg(feature = "redis")]
    pub fn say(&self, call: String) {
        if let Some(cluster) = &self.cluster {
            cluster.say(call);
        }
    }

    /// Whether what is published can be ordered; `None` where this process does that itself.
    #[cfg(feature = "redis")]
    pub fn cluster_state(&self) -> Option<cluster::State> {
        self.cluster.as_ref().map(Cluster::state)
    }

    fn begin(
        config: Config,
        elsewhere: Option<Arc<dyn Elsewhere>>,
        open: impl FnOnce(&tokio::runtime::Handle, bool) -> (Option<Arc<dyn Opener>>, Option<Documents>),
    ) -> Result<Self, Error> {
        config.check()?;
        let users = Users::new(config.limits.clone(), config.session_warning, elsewhere);
        let shards = start_shards(&config, &users)?;
        let keeper = Keeper::open(&config);
        let secret = keeper.as_ref().map(Keeper::secret).or(config.token_secret.as_ref());
        let (opener, documents) = open(shards[0].handle(), secret.is_some());
        let rooms = Rooms::new(&shards, &config, secret, opener).inspect_err(|_| stop(&shards))?;
        if let Some(keeper) = &keeper {
            keeper.take(&rooms);
        }
        shards[0].handle().spawn(expiry::watch(Arc::clone(users.expiries())));
        let fabric = Fabric::new(Arc::clone(&rooms), documents.clone(), &config);
        let hub = Self {
            shared: Shared::new(config, shards, users, rooms, documents, keeper),
            #[cfg(feature = "redis")]
            cluster: None,
        };
        hub.serve(Arc::new(fabric));
        Ok(hub)
    }

    /// Puts what a route handler publishes into the order of a document, which is opened for that where nobody has it open.
    /// What became of it its answer is told.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    pub fn submit_opening(&self, document: Id, mut publication: Publication) -> Result<(), Error> {
        if self.shared.is_sealed() {
            return Err(Error::Closed);
        }
        let rooms = Arc::clone(&self.shared.rooms);
        let shard = Arc::clone(rooms.shard_of(&document));
        let submit = move || {
            let room = rooms.open(document, OpenedBy::default);
            let answer = publication.answer.take();
            // Where it is refused at once the answer is told so.
            let _ = room.publish(&publication.draft(), answer);
        };
        shard.push(Work::Do("submitting steps", Box::new(submit)));
        Ok(())
    }

    /// Calls `tell`, from any thread, with a document as it is now, which is loaded for that where nobody has it open; with
    /// `None` where it is a relay, or why that failed.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    pub fn read(
        &self,
        document: Id,
        tell: impl FnOnce(Result<Option<Content>, HookError>) + Send + 'static,
    ) -> Result<(), Error> {
        if self.shared.is_sealed() {
            return Err(Error::Closed);
        }
        let Some(documents) = self.shared.documents.clone() else {
            tell(Ok(None));
            return Ok(());
        };
        self.shared.shards[0].handle().spawn(async move { tell(documents.content(document).await) });
        Ok(())
    }

    /// Waits until no other process uses [`Config::state_dir`], or for as long as `patience`, and takes what that has left:
    /// for a process that is started while the one before still serves. Until it returns no client should be let in: rooms
    /// that are open by then begin anew. Returns whether what this hub remembers will be left to the next process. Blocks.
    pub fn wait_for_state(&self, patience: Duration) -> bool {
        let Some(keeper) = &self.shared.keeper else { return false };
        let is_owner = keeper.wait(&self.shared.rooms, patience, || self.shared.is_draining());
        if !is_owner && !self.shared.is_draining() {
            log::warn!("a restart will have clients reload: another process uses {}", keeper.path());
        }
        is_owner
    }

    /// Adds an endpoint. Where there is one with the same path already, that one goes on serving it.
    pub fn serve(&self, endpoint: Arc<dyn Endpoint>) {
        #[cfg(feature = "redis")]
        self.hear_broadcasts(endpoint.path());
        self.shared.endpoints.add(endpoint);
    }

    /// Paths that are served.
    pub fn paths(&self) -> Vec<String> {
        self.shared.endpoints.paths()
    }

    /// The options it was started with.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Sends a text message to every member of a document, or to those of one client. From any thread; it returns
    /// before the message is written. Returns how many connections it was queued for.
    ///
    /// A message that is a JSON object takes the document's next offset and carries it as the key `offset`, and clients
    /// that are away get it when they come back. Anything else is sent as it is, to those who are there. Of a document that
    /// nobody has open in this process nothing is sent: over a Redis others may have, for which there is
    /// [`Hub::submit_opening`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Overloaded`]
    pub fn publish(&self, document: &str, client: Option<&str>, message: &str) -> Result<usize, Error> {
        if self.shared.is_sealed() {
            return Err(Error::Closed);
        }
        // What cannot be an id is the id of nobody.
        let to = match client.map(Id::new) {
            None => None,
            Some(Some(client)) => Some(client),
            Some(None) => return Ok(0),
        };
        let Some(room) = self.remembered(document) else { return Ok(0) };
        Ok(room.publish(&Draft::of_route_handler(to.as_ref(), message), None)?)
    }

    /// Publishes with a condition or an answer; otherwise as [`Hub::publish`]. Where the log of the document refuses it at
    /// once, its answer has been told so.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Overloaded`]
    pub fn submit(&self, document: &str, mut publication: Publication) -> Result<usize, Error> {
        if self.shared.is_sealed() {
            return Err(Error::Closed);
        }
        let Some(room) = self.remembered(document) else { return Ok(0) };
        let answer = publication.answer.take();
        Ok(room.publish(&publication.draft(), answer)?)
    }

    /// Open connections of an endpoint, named by its path or the last part of it, or else of a document.
    pub fn connection_count(&self, name: &str) -> usize {
        match self.shared.endpoints.named(name) {
            Some(entry) => entry.count(),
            None => self.room(name).map_or(0, |room| room.count()),
        }
    }

    /// Open connections of the endpoint at a path.
    pub fn endpoint_count(&self, path: &str) -> usize {
        self.shared.endpoints.at(path).map_or(0, |entry| entry.count())
    }

    /// Ids of the documents with an open connection.
    pub fn documents(&self) -> Vec<String> {
        let rooms = self.shared.rooms.all().into_iter();
        rooms.filter(|room| room.count() > 0).map(|room| room.document().text().to_owned()).collect()
    }

    /// Documents with an open connection.
    pub fn document_count(&self) -> usize {
        self.shared.rooms.open_count()
    }

    pub(crate) fn room(&self, document: &str) -> Option<Arc<Room>> {
        self.shared.rooms.get(&Id::new(document)?)
    }

    /// Whether it takes nothing new any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.is_draining()
    }

    /// Saves a document that is in memory now, and calls `tell` once it is: with `false` where there was nothing to save. From
    /// any thread.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]
    pub fn save_document(
        &self,
        document: &Id,
        tell: impl FnOnce(Result<bool, HookError>) + Send + 'static,
    ) -> Result<(), Error> {
        if self.shared.is_sealed() {
            return Err(Error::Closed);
        }
        match &self.shared.documents {
            Some(documents) => documents.save(document, tell),
            None => tell(Ok(false)),
        }
        Ok(())
    }

    /// Calls `work` on a thread of the hub again and again, until that answers `false` or the hub ends.
    pub fn every(&self, interval: Duration, mut work: impl FnMut() -> bool + Send + 'static) {
        self.shared.shards[0].handle().spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                if guarded("doing what is done again and again", &mut work) != Some(true) {
                    return;
                }
            }
        });
    }

    /// The room of a document, also where only an earlier process had it.
    fn remembered(&self, document: &str) -> Option<Arc<Room>> {
        self.shared.rooms.remembered(&Id::new(document)?)
    }

    /// Whether it takes no calls any more.
    #[cfg_attr(not(feature = "binding"), expect(dead_code, reason = "what calls go by it are the binding's"))]
    pub(crate) fn is_sealed(&self) -> bool {
        self.shared.is_sealed()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.drain();
        self.shared.seal();
        stop(&self.shared.shards);
    }
}

fn start_shards(config: &Config, users: &Arc<Users>) -> Result<Box<[Arc<Shard>]>, Error> {
    let mut shards = Vec::with_capacity(config.threads);
    for index in 0..config.threads {
        // Nobody else would end the threads of those before.
        shards.push(Shard::start(index, config, Arc::clone(users)).inspect_err(|_| stop(&shards))?);
    }
    Ok(shards.into())
}

fn stop(shards: &[Arc<Shard>]) {
    for shard in shards {
        shard.stop();
    }
}
