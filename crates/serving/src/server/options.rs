//! What a server is started with.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use contract::{Engine, Error, Observe, Result, Store, Webhooks};

use crate::rollout_driver::NoWebhooks;
use crate::store::MemoryStore;

/// A scan of a hundred models takes a few milliseconds, and nobody waits longer for a model that
/// lies on a drive without events.
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Between two files of one copy pass fractions of this.
const DEFAULT_DEBOUNCE: Duration = Duration::from_secs(1);

/// Some seconds of work for a small model, and little memory for a large one.
const DEFAULT_MAX_QUEUE_ROWS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Short enough to see a failing version within seconds, long enough to cost nothing.
const DEFAULT_ROLLOUT_BLOCK: Duration = Duration::from_secs(1);

/// What a server is started with. Every value is valid.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The folders of models; a root may also be one model, as its folder or its file.
    pub roots: Vec<PathBuf>,
    /// The engines in order of preference.
    pub engines: Vec<Arc<dyn Engine>>,
    /// Where events go.
    pub observe: Arc<dyn Observe>,
    /// The cores that the process may use, for the default number of instances.
    pub cores: NonZeroUsize,
    /// From one scan of the roots to the next; changes are mostly noticed earlier.
    pub poll_interval: Duration,
    /// How long a version must stay the same before it is loaded, so that no half copy is.
    pub debounce: Duration,
    /// The time of a request, for models and callers that give none.
    pub default_timeout: Option<Duration>,
    /// The most rows that wait, for models that do not say.
    pub max_queue_rows: NonZeroUsize,
    /// Where labels, pins, splits, rollouts and their history are kept; by default in memory.
    pub store: Arc<dyn Store>,
    /// Asks the gates of rollouts, and notifies; by default nobody does, and such rollouts are
    /// refused.
    pub webhooks: Arc<dyn Webhooks>,
    /// The address of the server that decides about rollouts, when it is another one.
    pub rollout_leader: Option<String>,
    /// Where others reach this server, for links; by default there are none.
    pub public_url: Option<String>,
    /// From one look of a rollout at its counts to the next.
    pub rollout_block: Duration,
}

impl ServerOptions {
    /// Options with the defaults for everything that is not named.
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
            default_timeout: None,
            max_queue_rows: DEFAULT_MAX_QUEUE_ROWS,
            store: Arc::new(MemoryStore::default()),
            webhooks: Arc::new(NoWebhooks),
            rollout_leader: None,
            public_url: None,
            rollout_block: DEFAULT_ROLLOUT_BLOCK,
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
