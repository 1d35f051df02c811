//! The server, which implements `Infer` here, and the traits of operators in its modules.
//!
//! Decision: the server itself only reads. It reads the published snapshot and sends commands to
//! the repository controller, so a request never waits for a load.

mod catalog;
mod counted_route;
mod lifecycle;
mod options;
mod readiness;
mod rng;
mod rollout_files;
mod rollouts;
mod traffic;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::Bytes;
use contract::{
    AssignmentAttributes, BoxFuture, Code, Error, Infer, InferRequest, InferResponse, Result,
    Route, ServedBy, Target, Urgency,
};
use notify::RecommendedWatcher;
use rollout::driver::{Records, Registry, Restored};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

pub use options::ServerOptions;

use crate::catalog::watch::watch;
use crate::control::controller::{
    Command, ControllerDependencies, Intervals, RepositoryController, RestoredState,
};
use crate::control::persistence::DesiredStateStore;
use crate::control::snapshot::{ServedVersion, Snapshot};
use crate::route::RequestFingerprint;
use crate::tap::Tap;
use crate::traffic_control::{RepositoryHandle, RepositoryTrafficControl, routings_of};
use counted_route::{CountedArm, CountedRoute};
use rng::RequestRng;
use rollout_files::{RolloutFiles, follow};

/// The most commands that wait; calls that change what is served are rare, and more wait at the
/// caller.
const MAX_COMMANDS: usize = 16;

/// Server of the models of a repository.
///
/// It loads the models that it finds in the background and follows the files until it is dropped;
/// then running requests are answered, and all resources are released.
///
/// ```
/// # fn main() -> contract::Result<()> {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # let _entered = runtime.enter();
/// # let folder = tempfile::tempdir().unwrap();
/// # let root = folder.path().to_owned();
/// # let observe = std::sync::Arc::new(contract::testing::RecordingObserver::default());
/// use contract::Catalog;
///
/// let engines = vec![];
/// let cores = std::num::NonZeroUsize::MIN;
/// let options = serving::ServerOptions::new(vec![root], engines, observe, cores);
/// let server = serving::Server::start(options)?;
/// assert!(!server.readiness().is_ready, "the repository is empty");
/// # Ok(())
/// # }
/// ```
pub struct Server {
    published: Arc<ArcSwap<Snapshot>>,
    persistence: DesiredStateStore,
    rng: RequestRng,
    tap: Tap,
    commands: mpsc::Sender<Command>,
    rollouts: Registry,
    rollout_files: RolloutFiles,
    /// Conditions at the start that an operator should know of.
    warnings: Vec<String>,
    is_shutting_down: AtomicBool,
    is_closed: AtomicBool,
    /// Kept for its `Drop`, which ends the watch.
    _watcher: Option<RecommendedWatcher>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Reads the repository once and starts to load it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `invalid_request` when a root cannot be read, or has model files of which none can be served,
    /// `internal` when the store cannot be read, or `conflict` when a rollout of this server alone is
    /// running and rollouts are to be shared.
    pub fn start(options: ServerOptions) -> Result<Arc<Self>> {
        options.check_roots()?;
        let shared = options.shared_rollouts.clone();
        let records = Records::new(Arc::clone(&options.store));
        let past_rollouts = Restored::read(&records, shared.is_some())?;
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let published = Arc::new(ArcSwap::default());
        let repository_handle = RepositoryHandle {
            commands: commands.clone(),
            published: Arc::clone(&published),
        };
        let rollout_routings = routings_of(&past_rollouts)?;
        let traffic_control = RepositoryTrafficControl::new(repository_handle, &rollout_routings);
        let driver = options.rollout_dependencies(Arc::new(traffic_control), records);
        let scanner = options.scanner();
        let version_loader = options.version_loader()?;
        let intervals = Intervals {
            poll: options.poll_interval,
            debounce: options.debounce,
            load_timeout: options.load_timeout,
        };
        let changes = Arc::new(Notify::new());
        // The watch comes first: a change during the first scan is found by the next one.
        let watcher = watch(&scanner.read_limiter, &scanner.roots, Arc::clone(&changes));
        let scan = scanner.scan(SystemTime::now());
        if let Some(reason) = scan.refusal(&scanner.engine_names()) {
            return Err(Error::invalid(format!("nothing can be served: {reason}")));
        }
        let rollout_files = RolloutFiles::new(Arc::clone(&options.store));
        let started_files = rollout_files.started()?;
        let persistence = DesiredStateStore::new(options.store);
        let restored = RestoredState {
            desired: persistence.desired()?,
            rollout_routings,
        };
        let dependencies = ControllerDependencies {
            scanner,
            version_loader,
            published: Arc::clone(&published),
            intervals,
            persistence: persistence.clone(),
        };
        let controller = RepositoryController::new(dependencies, scan, restored);
        tokio::spawn(controller.run(receiver, changes));
        let is_sharing = shared.is_some();
        let server = Arc::new(Self {
            published,
            persistence,
            rng: RequestRng::default(),
            tap: Tap::default(),
            commands,
            rollouts: Registry::new(driver, past_rollouts, shared)?,
            rollout_files,
            warnings: options.warnings,
            is_shutting_down: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            _watcher: watcher,
        });
        // A new server of several would start again what has ended at the others.
        if !is_sharing {
            tokio::spawn(follow(Arc::downgrade(&server), started_files));
        }
        Ok(server)
    }

    /// Scans the repository now; returns when every version that can be loaded has been. A version
    /// whose files have just changed is loaded by a later scan.
    ///
    /// # Errors
    /// `internal` when the repository controller has stopped.
    pub async fn rescan(&self) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(Command::Rescan { done }).await?;
        answer.await.map_err(|_| controller_is_gone())
    }

    /// Begins the shutdown: the server is not ready from now on, and continues to serve.
    pub fn begin_shutdown(&self) {
        self.is_shutting_down.store(true, Ordering::Release);
    }

    /// Applies the rollouts that servers share, so that this one routes like the others.
    pub async fn exchange_rollouts(&self) {
        self.rollouts.exchange().await;
    }

    /// Adds the last counts of this server to shared rollouts, and lets another server decide.
    pub async fn leave_rollouts(&self) {
        self.rollouts.leave().await;
    }

    /// Refuses every new request and resolves when all accepted ones are answered.
    pub async fn drain(&self) {
        self.begin_shutdown();
        self.is_closed.store(true, Ordering::Release);
        for loaded_version in self.published.load_full().loaded_versions() {
            loaded_version.drained().await;
        }
    }

    /// Ends the runs that continue although no caller waits for them any more. Returns at once.
    pub fn end_runs(&self) {
        for loaded_version in self.published.load_full().loaded_versions() {
            loaded_version.end_runs();
        }
    }

    fn check_open(&self) -> Result<()> {
        match self.is_closed.load(Ordering::Acquire) {
            true => Err(Error::new(Code::Unavailable, "the server is shutting down")),
            false => Ok(()),
        }
    }

    async fn send(&self, command: Command) -> Result<()> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| controller_is_gone())
    }
}

fn route(served: &Arc<ServedVersion>, arm: Option<&Bytes>, propensity: Option<&Bytes>) -> Route {
    Route {
        info: Arc::clone(served.loaded_version.info()),
        served_by: ServedBy {
            model: served.model.clone(),
            version: served.version.clone(),
            arm: arm.cloned(),
            propensity: propensity.cloned(),
        },
        handle: Arc::clone(served) as Arc<dyn std::any::Any + Send + Sync>,
    }
}

fn controller_is_gone() -> Error {
    Error::internal("the repository controller has stopped")
}

impl Infer for Server {
    fn route(&self, target: &Target) -> Result<Route> {
        self.check_open()?;
        let snapshot = self.published.load();
        Ok(route(snapshot.table.find(target)?, None, None))
    }

    fn route_for(&self, target: &Target, attributes: &dyn AssignmentAttributes) -> Result<Route> {
        self.check_open()?;
        let snapshot = self.published.load();
        let rng = || self.rng.next();
        let found = snapshot.table.find_for(target, attributes, rng)?;
        let mut route = route(found.handle, found.arm, found.propensity);
        if found.counted_arm.is_some() || found.mirror.is_some() {
            route.handle = Arc::new(CountedRoute {
                served: Arc::clone(found.handle),
                arm: found
                    .counted_arm
                    .map(|arm| CountedArm::new(Arc::clone(arm), found.unit)),
                mirror: found.mirror.cloned(),
            });
        }
        Ok(route)
    }

    fn refuse_early(&self, target: &Target, urgency: Urgency) -> Result<()> {
        let snapshot = self.published.load();
        match snapshot.table.find_unambiguous(target) {
            Some(found) if self.check_open().is_ok() => found.loaded_version.refuse_early(urgency),
            Some(_) | None => Ok(()),
        }
    }

    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>> {
        self.tap.offer(&route.info.model, &request);
        Box::pin(async move {
            let handle = match route.handle.downcast::<ServedVersion>() {
                Ok(served) => return served.loaded_version.infer(request).await,
                Err(handle) => handle,
            };
            let counted = handle.downcast::<CountedRoute>();
            let counted =
                counted.map_err(|_| Error::internal("route belongs to another server"))?;
            let mirror = counted.mirror.as_ref();
            let mirror = mirror.filter(|_| counted.is_first_of_its_unit());
            let copy = mirror.and_then(|mirror| mirror.copy(&request, self.rng.next()));
            let (start, request_id) =
                (Instant::now(), RequestFingerprint::new(request.id.as_str()));
            let result = counted.served.loaded_version.infer(request).await;
            counted.record(request_id, &result, start.elapsed());
            if let (Some(mirror), Some(copy)) = (mirror, copy) {
                mirror.send(copy, &result);
            }
            result
        })
    }
}

#[cfg(test)]
mod tests;
