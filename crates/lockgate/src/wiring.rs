//! Builds and connects all parts, and runs them until a signal arrives.
//!
//! Decision: two functions define the order of starting and stopping. Starting: monitor, engines,
//! repository, shared rollouts, listeners. Stopping on a signal: stop being ready, go
//! on accepting for the delay, close the listeners while they answer accepted requests, drain the
//! models, end the remaining runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use contract::{Catalog, Engine, Observe, SharedRollouts, VersionState};
use engines::OnnxEngine;
use engines::onnx::Runtime;
use monitor::{Monitor, NoopObserver};
use protocols::{Context, Dialects, GoldenJson, ListenerHandle, ServeOptions, ServerInfo};
use serving::{Server, ServerOptions};
use storage::RedisRollouts;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::config::Config;
use crate::descriptors;
use crate::host::Host;
use crate::output::ServerOutput;
use crate::store;
use crate::webhooks::WebhookClient;

/// The running parts.
#[derive(Debug)]
pub(crate) struct Running {
    server: Arc<Server>,
    /// The listeners, each with the names of its services.
    listeners: Vec<(&'static str, ListenerHandle)>,
}

/// Starts all parts; models load in the background.
///
/// # Errors
/// When a port is taken, or when rollouts are shared but this server has a running one of its own.
pub(crate) async fn start(
    config: &Config,
    runtime: Runtime,
    output: &ServerOutput,
) -> Result<Running> {
    let observe = observe(config, output);
    let engine: Arc<dyn Engine> = Arc::new(OnnxEngine::new(runtime));
    let options = ServerOptions::new(
        config.repositories.clone(),
        vec![engine],
        Arc::clone(&observe),
        config.cores,
    );
    let (store, warnings) = match store::open(config)? {
        Ok(store) => (store, Vec::new()),
        Err(warning) => (options.store, vec![warning]),
    };
    let server = Server::start(ServerOptions {
        poll_interval: config.poll_interval,
        load_timeout: config.load_timeout,
        default_timeout: config.default_timeout,
        max_queue_rows: config.max_queue_rows,
        new_versions: config.new_versions,
        store,
        warnings,
        webhooks: Arc::new(WebhookClient::new(config.webhook_ca.clone())?),
        public_url: config.public_url.clone(),
        golden_decoder: Some(Arc::new(GoldenJson::new(&config.limits))),
        shared_rollouts: shared_rollouts(config)?,
        exposes_engine_errors: config.exposes_engine_errors,
        ..options
    })?;
    // A new server routes like the others from the start; a store that is away does not stop it.
    drop(tokio::time::timeout(FIRST_EXCHANGE, server.exchange_rollouts()).await);
    raise_descriptor_limit(config);
    let ctx = Arc::new(context(config, &server, observe));
    let (all, grpc, metrics) = ("REST, gRPC and metrics", "gRPC", "metrics and health");
    let addresses = [
        (all, Dialects::ALL, Some(config.address)),
        (grpc, Dialects::GRPC, config.grpc_address),
        (metrics, Dialects::METRICS, config.metrics_address),
    ];
    let mut listeners = Vec::new();
    for (services, dialects, address) in addresses {
        if let Some(address) = address {
            let endpoint = protocols::endpoint(&ctx, dialects, None).with_cors(config.cors.clone());
            let options = ServeOptions::from(&config.limits);
            let listener = protocols::serve(address, endpoint, options)
                .context("another process may use the port; choose another one with `--port`")?;
            listeners.push((services, listener));
        }
    }
    Ok(Running { server, listeners })
}

/// Raises the limit of open files, and logs the connections that it leaves room for.
fn raise_descriptor_limit(config: &Config) {
    let open_files = descriptors::raise_limit();
    let max_connections = config.limits.connections;
    tracing::info!(open_files, max_connections, "limited connections");
    if descriptors::connections(open_files, 1) < max_connections {
        tracing::warn!(
            open_files,
            max_connections,
            "limit of open files leaves no room for so many connections; raise it, or lower \
             `max_connections`"
        );
    }
}

/// Returns the context of the listeners: one server behind every trait.
fn context(config: &Config, server: &Arc<Server>, observe: Arc<dyn Observe>) -> Context {
    let info = ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        is_gpu_available: Host::detect().has_gpu,
        is_control_enabled: config.is_model_control_enabled,
        is_strict_json: config.is_strict_json,
    };
    Context::new(server, observe, config.limits.clone(), info)
        .with_rollouts(Arc::clone(server) as _)
}

/// Returns the rollouts that are shared through Redis, when it is set.
fn shared_rollouts(config: &Config) -> Result<Option<Arc<dyn SharedRollouts>>> {
    let Some(address) = &config.redis else {
        return Ok(None);
    };
    let rollouts = RedisRollouts::new(address.clone(), config.redis_ca.as_deref());
    Ok(Some(Arc::new(rollouts.context("`redis_ca`")?)))
}

/// Returns the monitor, unless metrics are off.
fn observe(config: &Config, output: &ServerOutput) -> Arc<dyn Observe> {
    match config.is_metrics_enabled {
        true => Monitor::with_log_counter(env!("CARGO_PKG_VERSION"), output.dropped_log_lines()),
        false => Arc::new(NoopObserver),
    }
}

impl Running {
    /// Announces the addresses, then `greeting` once the models are loaded; runs until a signal.
    ///
    /// # Errors
    /// When signal handlers cannot be installed, nothing can be served, or a second signal ends the
    /// drain.
    pub(crate) async fn run(
        self,
        config: &Config,
        output: &ServerOutput,
        greeting: impl FnOnce(SocketAddr) -> String,
    ) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        self.announce_addresses(output);
        let server = Arc::clone(&self.server);
        let address = self.listeners.first().map(|(_, listener)| listener.addr());
        let announce = async {
            wait_until_loaded(&server).await;
            announce_models(&server, output);
            if let Some(reason) = refusal(config, &server) {
                return reason;
            }
            if let Some(address) = address {
                output.announce(greeting(address));
            }
            std::future::pending::<String>().await
        };
        let mut refused = None;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("received SIGTERM; draining"),
            _ = interrupt.recv() => tracing::info!("received SIGINT; draining"),
            reason = announce => refused = Some(reason),
        }
        tokio::select! {
            () = self.stop(config) => {
                return refused.map_or(Ok(()), |reason| bail!("nothing can be served: {reason}"));
            }
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        bail!("received a second signal; ended before every request was answered")
    }

    async fn stop(self, config: &Config) {
        self.server.begin_shutdown();
        for (_, listener) in &self.listeners {
            listener.begin_drain();
        }
        tokio::time::sleep(config.shutdown_delay).await;
        let closing = self
            .listeners
            .into_iter()
            .map(|(_, listener)| tokio::spawn(listener.close(config.drain_timeout)));
        let mut n_aborted = 0;
        // I/O threads that are all blocked by runs cannot close their connections.
        let latest = Instant::now() + config.drain_timeout + END_OF_RUNS;
        for close in closing.collect::<Vec<_>>() {
            let closed = tokio::time::timeout_at(latest, close).await;
            n_aborted += closed
                .map_or(Ok(0), |n_aborted| n_aborted)
                .unwrap_or_default();
        }
        let drained = tokio::time::timeout(config.drain_timeout, self.server.drain()).await;
        drop(tokio::time::timeout(END_OF_RUNS, self.server.leave_rollouts()).await);
        self.server.end_runs();
        if drained.is_err() {
            // Terminated runs free their threads now; stuck ones are abandoned.
            drop(tokio::time::timeout(END_OF_RUNS, self.server.drain()).await);
        }
        match (n_aborted, drained) {
            (0, Ok(())) => tracing::info!("drained; answered every accepted request"),
            (n_aborted, _) => {
                tracing::warn!(
                    n_aborted,
                    "drain timed out before every request was answered"
                )
            }
        }
    }

    fn announce_addresses(&self, output: &ServerOutput) {
        for (services, listener) in &self.listeners {
            let address = listener.addr();
            output.announce(format_args!("listening on http://{address} ({services})"));
        }
    }
}

/// The time that the first exchange with other servers has before this one accepts requests.
const FIRST_EXCHANGE: Duration = Duration::from_secs(5);

/// The time that terminated runs have to end; the exit does not wait for stuck runs.
const END_OF_RUNS: Duration = Duration::from_millis(500);

/// The interval between two checks whether new files have settled.
const RESCAN_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until no version is loading.
async fn wait_until_loaded(server: &Server) {
    let is_loading = |server: &Server| {
        let mut versions = server.models().into_iter().flat_map(|model| model.versions);
        versions.any(|version| version.state == VersionState::Loading)
    };
    loop {
        if let Err(error) = server.rescan().await {
            tracing::error!(diagnostic = error.diagnostic(), "{error}");
            return;
        }
        if !is_loading(server) {
            return;
        }
        tokio::time::sleep(RESCAN_INTERVAL).await;
    }
}

/// Returns why none of the model files given to the server can be served; `None` where one can. A
/// folder may get models that can be served at any time, a file was meant to be served itself.
fn refusal(config: &Config, server: &Server) -> Option<String> {
    let has_folder = config.repositories.iter().any(|root| !root.is_file());
    let reasons: Vec<_> = server
        .models()
        .iter()
        .map(|model| model.not_ready_reason())
        .collect();
    match has_folder || reasons.iter().any(Option::is_none) {
        true => None,
        false => reasons.into_iter().flatten().next(),
    }
}

/// Prints one line for each model: its ready versions, or the reason why it has none.
fn announce_models(server: &Server, output: &ServerOutput) {
    let models = server.models();
    if models.is_empty() {
        let reason = server.readiness().reason;
        let hint = "add <repository>/<model>/1/model.onnx";
        output.announce(format_args!("not ready: {reason}; {hint}"));
    }
    for model in models {
        let versions: Vec<_> = model
            .versions
            .iter()
            .filter(|version| version.state == VersionState::Ready)
            .map(|version| version.version.to_string())
            .collect();
        let (name, versions) = (&model.name, versions_text(&versions));
        match (model.not_ready_reason(), model.problem()) {
            (Some(reason), _) => output.announce(format_args!("not ready: {name}: {reason}")),
            (None, None) => output.announce(format_args!("ready: {name} ({versions})")),
            (None, Some(problem)) => {
                output.announce(format_args!("ready: {name} ({versions}), but {problem}"));
            }
        }
    }
}

fn versions_text(versions: &[String]) -> String {
    match versions {
        [version] => format!("version {version}"),
        versions => format!("versions {}", versions.join(", ")),
    }
}
