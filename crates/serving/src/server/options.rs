//! Options of a server.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use contract::{
    Engine, Error, GoldenDecoder, MemoryStore, NewVersions, Observe, Result, SharedRollouts, Store,
    Webhooks,
};
use rollout::driver::{Dependencies, NoWebhooks, Records, TrafficControl};

use crate::catalog::layout::{ReadLimiter, Scanner};
use crate::catalog::settings::SettingsDefaults;
use crate::catalog::version::VersionLoader;
use crate::instance::watchdog::Watchdog;

/// The default interval of scans: a scan of a hundred models takes a few milliseconds, and models
/// on a drive without file events are found soon enough.
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The default debounce time, several times the pause between two files of one copy.
const DEFAULT_DEBOUNCE: Duration = Duration::from_secs(1);

/// Long enough for tens of gigabytes over a network, with the trial and the warm-up.
const DEFAULT_LOAD_TIMEOUT: Duration = Duration::from_secs(600);

/// Some seconds of work for a small model, and little memory for a large one.
const DEFAULT_MAX_QUEUE_ROWS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Short enough to see a failing version within seconds, long enough to cost nothing.
const DEFAULT_ROLLOUT_BLOCK: Duration = Duration::from_secs(1);

/// The options of a server. Every value is valid.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The folders of models; a root may also be one model, as its folder or its file.
    pub roots: Vec<PathBuf>,
    /// The engines in order of preference.
    pub engines: Vec<Arc<dyn Engine>>,
    /// The receiver of telemetry events.
    pub observe: Arc<dyn Observe>,
    /// The cores that the process may use, for the default number of instances.
    pub cores: NonZeroUsize,
    /// The time from one scan of the roots to the next; file events usually report changes earlier.
    pub poll_interval: Duration,
    /// The time for which a version must stay unchanged before it is loaded, so that no half copy
    /// is.
    pub debounce: Duration,
    /// The time after which a load has failed. Its thread is abandoned when the engine does not end
    /// it.
    pub load_timeout: Duration,
    /// The time limit of a request, for models and callers that set none.
    pub default_timeout: Option<Duration>,
    /// The most rows that wait, for models that do not set it.
    pub max_queue_rows: NonZeroUsize,
    /// The treatment of versions that are added, for models that do not set it.
    pub new_versions: NewVersions,
    /// The store of labels, pins, splits, rollouts and their history; by default in memory.
    pub store: Arc<dyn Store>,
    /// Conditions at the start that an operator should know of; `GET /health` shows them.
    pub warnings: Vec<String>,
    /// The client of webhooks for gates and notifications; by default there is none, and rollouts
    /// with webhooks are refused.
    pub webhooks: Arc<dyn Webhooks>,
    /// The decoder of golden requests; without one, a version that has any is refused.
    pub golden_decoder: Option<Arc<dyn GoldenDecoder>>,
    /// The store through which servers share their rollouts; by default rollouts are those of this
    /// server alone.
    pub shared_rollouts: Option<Arc<dyn SharedRollouts>>,
    /// The address under which others reach this server, for links; by default there is none.
    pub public_url: Option<String>,
    /// True if callers may read the sentence of the runtime about a failed run.
    pub exposes_engine_errors: bool,
    /// The time from one sample of the counters of a rollout to the next.
    pub rollout_block: Duration,
}

impl ServerOptions {
    /// Creates options with defaults for everything that is not named.
    #[must_use]
    pub fn new(
        roots: Vec<PathBuf>,
        engines: Vec<Arc<dyn Engine>>,
        observe: Arc<dyn Observe>,
        cores: NonZeroUsize,
    ) -> Self {
        Self {
            roots,
            engines,
            observe,
            cores,
            poll_interval: DEFAULT_POLL_INTERVAL,
            debounce: DEFAULT_DEBOUNCE,
            load_timeout: DEFAULT_LOAD_TIMEOUT,
            default_timeout: None,
            max_queue_rows: DEFAULT_MAX_QUEUE_ROWS,
            new_versions: NewVersions::Serve,
            store: Arc::new(MemoryStore::default()),
            warnings: Vec::new(),
            webhooks: Arc::new(NoWebhooks),
            golden_decoder: None,
            shared_rollouts: None,
            public_url: None,
            exposes_engine_errors: true,
            rollout_block: DEFAULT_ROLLOUT_BLOCK,
        }
    }

    /// Returns the scanner of the roots.
    pub(super) fn scanner(&self) -> Scanner {
        Scanner {
            roots: self.roots.clone(),
            engines: self.engines.clone(),
            defaults: SettingsDefaults {
                cores: self.cores,
                max_queue_rows: self.max_queue_rows,
                timeout: self.default_timeout,
                new_versions: self.new_versions,
            },
            read_limiter: ReadLimiter::default(),
        }
    }

    /// Returns the loader of versions, with its watchdog started.
    ///
    /// # Errors
    /// `internal` when no thread can be started.
    pub(super) fn version_loader(&self) -> Result<VersionLoader> {
        let watchdog = Watchdog::start()
            .map_err(|error| Error::internal(format!("cannot start watchdog thread: {error}")))?;
        Ok(VersionLoader {
            engines: self.engines.clone(),
            observe: Arc::clone(&self.observe),
            watchdog: Arc::new(watchdog),
            golden_decoder: self.golden_decoder.clone(),
            exposes_engine_errors: self.exposes_engine_errors,
        })
    }

    /// Returns the dependencies of rollouts.
    pub(super) fn rollout_dependencies(
        &self,
        traffic_control: Arc<dyn TrafficControl>,
        records: Records,
    ) -> Dependencies {
        Dependencies {
            traffic_control,
            records,
            webhooks: Arc::clone(&self.webhooks),
            observe: Arc::clone(&self.observe),
            block: self.rollout_block,
            public_url: self.public_url.clone(),
        }
    }

    /// Checks that every root can be read.
    pub(super) fn check_roots(&self) -> Result<()> {
        self.roots.iter().try_for_each(|root| check_root(root))
    }
}

fn check_root(root: &Path) -> Result<()> {
    let readable = match std::fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => std::fs::read_dir(root).map(|_| ()),
        Ok(_) => std::fs::File::open(root).map(|_| ()),
        Err(error) => Err(error),
    };
    readable.map_err(|error| {
        Error::invalid(format!(
            "the model repository `{}` cannot be read: {error}",
            root.display()
        ))
    })
}
