//! A server with models of every element type, behind a listener with every dialect.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contract::testing::MemoryRollouts;
use contract::{
    Catalog, ElementType, Event, ExpositionFormat, MemoryStore, Observe, Rollouts, SharedRollouts, Store,
};
use engines::EchoEngine;
use protocols::{Context, Dialects, Limits, ListenerHandle, ServeOptions, ServerInfo};
use serving::{Server, ServerOptions};
use tempfile::TempDir;

/// The id of a rollout that runs from the start.
pub(super) const ROLLOUT: &str = "running";

/// The rollout that runs from the start. Its first step never ends by itself.
const ROLLOUT_FILE: &str = "rollout: {id: running, model: rollout, stable: 1, candidate: 2, \
    steps: [50], metrics: [{name: errors, event: error, not_worse_than: {ratio: 2.0, abs: 0.005}}]}";

/// An input with rows of two numbers.
pub const ROW: &str = r#"{"name": "x", "datatype": "FP32", "shape": [-1, 2]}"#;

/// Settings of a model that takes pictures.
const IMAGE: &str = "image: {resize: 8, crop: 8, mean: 0.5, std: 0.5}";

/// Settings of a model with a split, for each place of the unit.
const UNITS: [(&str, &str); 3] = [
    (
        "by-header",
        "{from: header, name: x-user, fallback: random}",
    ),
    ("by-cookie", "{from: cookie, name: user, fallback: stable}"),
    ("by-json", "{from: json, name: user.id, fallback: random}"),
];

/// Discards every event, so that growing memory is a finding.
#[derive(Debug)]
struct DiscardingObserver;

impl Observe for DiscardingObserver {
    fn observe(&self, _: &Event<'_>) {}

    fn exposition(&self, _: ExpositionFormat) -> String {
        String::new()
    }
}

/// Starts a server of the models in a folder, on a store, and waits until everything is loaded.
///
/// # Errors
/// Those of the start.
pub async fn start(
    folder: &Path,
    store: Arc<dyn Store>,
    shared_rollouts: Option<Arc<dyn SharedRollouts>>,
) -> contract::Result<Arc<Server>> {
    let engines = vec![Arc::new(EchoEngine::default()) as _];
    let roots = vec![folder.to_owned()];
    let observe = Arc::new(DiscardingObserver);
    let server = Server::start(ServerOptions {
        debounce: Duration::ZERO,
        poll_interval: Duration::from_secs(3600),
        store,
        shared_rollouts,
        ..ServerOptions::new(roots, engines, observe, NonZeroUsize::MIN)
    })?;
    server.rescan().await?;
    Ok(server)
}

/// Returns shared rollouts in memory.
pub fn shared_rollouts() -> Arc<MemoryRollouts> {
    Arc::new(MemoryRollouts::new(|| tokio::time::Instant::now().into_std()))
}

/// Returns a folder with the models that every target may call.
fn models() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for element_type in ElementType::ALL {
        let name = element_type.name();
        add_model(root, name, &["1"], &tensor("x", name, "-1, -1"), "");
    }
    add_model(
        root,
        "image",
        &["1"],
        &tensor("x", "FP32", "-1, 3, 8, 8"),
        IMAGE,
    );
    let columns = [("age", "INT64"), ("weight", "FP32"), ("city", "BYTES")];
    let columns = columns.map(|(name, datatype)| tensor(name, datatype, "-1, 1"));
    add_model(root, "table", &["1"], &columns.join(", "), "");
    for name in ["pair", "rollout"] {
        add_model(root, name, &["1", "2"], ROW, "");
    }
    for (name, unit) in UNITS {
        let split = "[{name: b, version: '2', weight: 0.5}, {name: a, version: '1', weight: 0.5}]";
        let settings = format!("traffic: {{unit: {unit}, split: {split}}}");
        add_model(root, name, &["1", "2"], ROW, &settings);
    }
    folder
}

fn tensor(name: &str, datatype: &str, shape: &str) -> String {
    format!(r#"{{"name": "{name}", "datatype": "{datatype}", "shape": [{shape}]}}"#)
}

/// Adds versions of a model with these inputs to a folder.
pub fn add_model(root: &Path, name: &str, versions: &[&str], inputs: &str, settings: &str) {
    for version in versions {
        let folder = root.join(name).join(version);
        fs::create_dir_all(&folder).expect("a folder");
        let signature = format!(r#"{{"inputs": [{inputs}]}}"#);
        fs::write(folder.join("model.echo"), signature).expect("a file");
    }
    fs::write(root.join(name).join("model.yaml"), settings).expect("a file");
}

/// A server behind a listener.
#[derive(Debug)]
pub(super) struct Listening {
    listener: ListenerHandle,
    _folder: TempDir,
}

impl Listening {
    pub(super) async fn start() -> Self {
        let folder = models();
        let store = Arc::new(MemoryStore::default());
        let server = start(folder.path(), store, None).await.expect("a server");
        assert!(server.readiness().is_ready, "{:?}", server.models());
        let rollout = Rollouts::start(&*server, ROLLOUT_FILE, "harness").await;
        rollout.expect("a rollout");
        let context = context(&server);
        let options = ServeOptions::from(&context.limits);
        let endpoint = protocols::endpoint(&Arc::new(context), Dialects::ALL, None);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = protocols::serve(address, endpoint, options).expect("a port");
        Self {
            listener,
            _folder: folder,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.addr()
    }
}

fn context(server: &Arc<Server>) -> Context {
    let limits = Limits {
        body_bytes: 1 << 20,
        image_pixels: 1 << 16,
        ..Limits::default()
    };
    let info = ServerInfo {
        version: "0".to_owned(),
        is_gpu_available: false,
        is_control_enabled: true,
        is_strict_json: true,
    };
    Context::new(server, Arc::new(DiscardingObserver), limits, info)
        .with_rollouts(Arc::clone(server) as _)
}
