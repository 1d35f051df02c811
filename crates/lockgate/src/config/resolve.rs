//! Resolves settings into checked types.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use client::Uri;
use contract::NewVersions;
use protocols::{Cors, Limits};
use storage::RedisAddress;

use super::log_level::log_level;
use super::{Environment, RawConfig};
use crate::descriptors;
use crate::host::Host;

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text for people.
    Human,
    /// One JSON object on each line.
    Json,
}

/// The memory for bodies, or for replies, when that of the machine is unknown.
const UNKNOWN_SHARE: usize = 1 << 30;

/// Checked settings of a server.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) address: SocketAddr,
    pub(crate) grpc_address: Option<SocketAddr>,
    pub(crate) metrics_address: Option<SocketAddr>,
    pub(crate) cors: Option<Cors>,
    pub(crate) repositories: Vec<PathBuf>,
    pub(crate) poll_interval: Duration,
    pub(crate) load_timeout: Duration,
    pub(crate) new_versions: NewVersions,
    pub(crate) is_model_control_enabled: bool,
    pub(crate) redis: Option<RedisAddress>,
    pub(crate) redis_ca: Option<PathBuf>,
    pub(crate) public_url: Option<String>,
    pub(crate) webhook_ca: Option<PathBuf>,
    pub(crate) onnxruntime: Option<PathBuf>,
    pub(crate) data_dir: PathBuf,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) cores: NonZeroUsize,
    pub(crate) default_timeout: Option<Duration>,
    pub(crate) max_queue_rows: NonZeroUsize,
    pub(crate) limits: Limits,
    pub(crate) shutdown_delay: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) is_metrics_enabled: bool,
    pub(crate) log_format: LogFormat,
    /// A filter of `tracing_subscriber`.
    pub(crate) log_level: String,
    pub(crate) is_access_log_enabled: bool,
    pub(crate) is_strict_json: bool,
    pub(crate) exposes_engine_errors: bool,
    /// Environment variables that look like settings but are not.
    pub(crate) unknown_variables: Vec<String>,
}

/// Checks and converts the merged settings.
///
/// # Errors
/// The name of the invalid setting, and what would be right.
pub(crate) fn resolve(raw: &RawConfig, environment: &Environment) -> Result<Config> {
    let host = required(raw.host.as_deref(), "host")?;
    let host = ip_address(host)?;
    let address = |port| SocketAddr::new(host, port);
    let data_dir = || environment.data_dir();
    Ok(Config {
        address: address(required(raw.port, "port")?),
        grpc_address: raw.grpc_port.map(address),
        metrics_address: raw.metrics_port.map(address),
        cors: cors(raw.cors_origins.as_deref().unwrap_or_default())?,
        repositories: required(raw.repository.clone(), "repository")?,
        poll_interval: positive_millis(raw.poll_interval_ms, "poll_interval_ms")?,
        load_timeout: positive_millis(raw.load_timeout_ms, "load_timeout_ms")?,
        new_versions: new_versions(required(raw.new_versions.as_deref(), "new_versions")?)?,
        is_model_control_enabled: required(raw.model_control, "model_control")?,
        redis: redis(raw.redis.as_deref())?,
        redis_ca: raw.redis_ca.clone(),
        public_url: public_url(raw.public_url.as_deref())?,
        webhook_ca: raw.webhook_ca.clone(),
        onnxruntime: raw.onnxruntime.clone(),
        data_dir: raw.data_dir.clone().unwrap_or_else(data_dir),
        state_dir: raw.state_dir.clone(),
        cores: cores(raw.cores)?,
        default_timeout: match required(raw.default_timeout_ms, "default_timeout_ms")? {
            0 => None,
            millis => Some(Duration::from_millis(millis)),
        },
        max_queue_rows: non_zero(raw.max_queue_rows, "max_queue_rows")?,
        limits: limits(raw)?,
        shutdown_delay: millis(raw.shutdown_delay_ms, "shutdown_delay_ms")?,
        drain_timeout: millis(raw.drain_timeout_ms, "drain_timeout_ms")?,
        is_metrics_enabled: required(raw.metrics, "metrics")?,
        log_format: log_format(required(raw.log_format.as_deref(), "log_format")?)?,
        log_level: log_level(required(raw.log_level.as_deref(), "log_level")?)?,
        is_access_log_enabled: required(raw.access_log, "access_log")?,
        is_strict_json: required(raw.strict_json, "strict_json")?,
        exposes_engine_errors: required(raw.expose_engine_errors, "expose_engine_errors")?,
        unknown_variables: Vec::new(),
    })
}

fn limits(raw: &RawConfig) -> Result<Limits> {
    Ok(Limits {
        body_bytes: positive(raw.max_body_bytes, "max_body_bytes")?,
        body_memory_bytes: memory(raw.max_body_memory_bytes, "max_body_memory_bytes")?,
        reply_memory_bytes: memory(raw.max_reply_memory_bytes, "max_reply_memory_bytes")?,
        json_depth: positive(raw.max_json_depth, "max_json_depth")?,
        elements: positive(raw.max_elements, "max_elements")?,
        batch_requests: positive(raw.max_batch_requests, "max_batch_requests")?,
        image_pixels: positive(raw.max_image_pixels, "max_image_pixels")?,
        connections: connections(raw)?,
        headers: positive(raw.max_headers, "max_headers")?,
        header_timeout: positive_millis(raw.header_timeout_ms, "header_timeout_ms")?,
        body_timeout: positive_millis(raw.body_timeout_ms, "body_timeout_ms")?,
    })
}

/// Returns the connections of a listener: those that the user gave, or those that the limit of open
/// files leaves room for.
fn connections(raw: &RawConfig) -> Result<usize> {
    if raw.max_connections.is_some() {
        return positive(raw.max_connections, "max_connections");
    }
    let more = [raw.grpc_port, raw.metrics_port].into_iter().flatten();
    let n_listeners = more.fold(1, |n, _| n + 1);
    let limit = descriptors::hard_limit();
    Ok(descriptors::connections(limit, n_listeners))
}

/// Returns the memory that the user gave, or an eighth of what the process may use.
fn memory(raw: Option<usize>, name: &str) -> Result<usize> {
    if raw.is_some() {
        return positive(raw, name);
    }
    let memory = Host::detect().memory_bytes;
    let share = memory.and_then(|bytes| usize::try_from(bytes / 8).ok());
    Ok(share.unwrap_or(UNKNOWN_SHARE))
}

/// Returns the cores that the user gave, or those that affinity and quota leave to this process.
fn cores(raw: Option<usize>) -> Result<NonZeroUsize> {
    match raw {
        Some(cores) => non_zero(Some(cores), "cores"),
        None => Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
    }
}

/// Parses an IP address. `localhost` is the only name: others may have several addresses, and
/// change.
fn ip_address(host: &str) -> Result<IpAddr> {
    if host == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    host.parse().with_context(|| {
        format!("`host` must be an IP address such as 127.0.0.1 or 0.0.0.0, got `{host}`")
    })
}

/// Checks the origins of pages that may call; without any, replies do not mention origins.
fn cors(origins: &[String]) -> Result<Option<Cors>> {
    let cors = Cors::new(origins).map_err(|error| anyhow!("`cors_origins`: {error}"))?;
    Ok((!origins.is_empty()).then_some(cors))
}

/// Checks the address of Redis.
fn redis(url: Option<&str>) -> Result<Option<RedisAddress>> {
    let address = url.map(RedisAddress::parse).transpose();
    address.map_err(|error| anyhow!("`redis`: {error}"))
}

/// Checks an address for browsers, to which a path can be appended.
fn public_url(url: Option<&str>) -> Result<Option<String>> {
    let Some(url) = url else { return Ok(None) };
    let uri: Option<Uri> = url.parse().ok();
    let is_one = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    if !is_one {
        bail!("`public_url` must be an address such as https://models.example, got `{url}`");
    }
    Ok(Some(url.trim_end_matches('/').to_owned()))
}

fn log_format(text: &str) -> Result<LogFormat> {
    match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        other => bail!("`log_format` must be `human` or `json`, got `{other}`"),
    }
}

fn new_versions(text: &str) -> Result<NewVersions> {
    let word = NewVersions::ALL
        .into_iter()
        .find(|word| word.as_str() == text);
    word.with_context(|| format!("`new_versions` must be `serve` or `wait`, got `{text}`"))
}

/// Unwraps a setting that has a default, and so a value in the default layer.
fn required<T>(value: Option<T>, name: &str) -> Result<T> {
    value.with_context(|| format!("`{name}` has no value"))
}

fn non_zero(value: Option<usize>, name: &str) -> Result<NonZeroUsize> {
    NonZeroUsize::new(required(value, name)?)
        .with_context(|| format!("`{name}` must be 1 or more, got 0"))
}

fn positive(value: Option<usize>, name: &str) -> Result<usize> {
    non_zero(value, name).map(NonZeroUsize::get)
}

fn millis(value: Option<u64>, name: &str) -> Result<Duration> {
    required(value, name).map(Duration::from_millis)
}

fn positive_millis(value: Option<u64>, name: &str) -> Result<Duration> {
    match millis(value, name)? {
        Duration::ZERO => bail!("`{name}` must be 1 or more, got 0"),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    type Change = fn(&mut RawConfig);

    fn resolved(flags: &RawConfig) -> Result<Config> {
        let environment = Environment::of(&[("HOME", "/home/me")]);
        let file = tempfile::NamedTempFile::new().unwrap();
        let layers = Layers::read(Some(file.path()), &environment, flags).unwrap();
        resolve(&layers.merged().unwrap(), &environment)
    }

    #[test]
    fn the_defaults_listen_on_this_machine_only() {
        let config = resolved(&RawConfig::default()).unwrap();
        assert_eq!(config.address.to_string(), "127.0.0.1:8000");
        assert_eq!((config.grpc_address, config.metrics_address), (None, None));
        assert_eq!(
            config.data_dir,
            PathBuf::from("/home/me/.local/share/lockgate")
        );
        assert_eq!(config.default_timeout, None);
    }

    #[test]
    fn a_host_is_an_address_or_this_machine() {
        let address = |host: &str| {
            let host = Some(host.to_owned());
            resolved(&RawConfig {
                host,
                ..RawConfig::default()
            })
            .map(|config| config.address.to_string())
        };
        assert_eq!(address("localhost").unwrap(), "127.0.0.1:8000");
        assert_eq!(address("::1").unwrap(), "[::1]:8000");
        assert!(address("example.org").is_err());
    }

    #[test]
    fn the_defaults_of_the_limits_are_those_of_the_protocols() {
        let ours = resolved(&RawConfig::default()).unwrap().limits;
        let theirs = Limits {
            // These follow from the machine.
            connections: ours.connections,
            body_memory_bytes: ours.body_memory_bytes,
            reply_memory_bytes: ours.reply_memory_bytes,
            ..Limits::default()
        };
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn new_versions_are_served_unless_the_word_is_wait() {
        let new_versions = |text: &str| {
            let new_versions = Some(text.to_owned());
            resolved(&RawConfig {
                new_versions,
                ..RawConfig::default()
            })
            .map(|config| config.new_versions)
        };
        assert_eq!(new_versions("serve").unwrap(), NewVersions::Serve);
        assert_eq!(new_versions("wait").unwrap(), NewVersions::Wait);
        let error = new_versions("later").unwrap_err().to_string();
        assert!(error.contains("`serve` or `wait`"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_reported_with_the_name_of_its_setting() {
        let cases: [(&str, Change); 8] = [
            ("host", |raw| raw.host = Some("my host".to_owned())),
            ("cores", |raw| raw.cores = Some(0)),
            ("log_format", |raw| raw.log_format = Some("xml".to_owned())),
            ("max_body_bytes", |raw| raw.max_body_bytes = Some(0)),
            ("cors_origins", |raw| {
                raw.cors_origins = Some(vec!["app.example".to_owned()]);
            }),
            ("redis", |raw| raw.redis = Some("ftp://redis".to_owned())),
            ("public_url", |raw| {
                raw.public_url = Some("models.example".to_owned());
            }),
            ("header_timeout_ms", |raw| raw.header_timeout_ms = Some(0)),
        ];
        for (name, set) in cases {
            let mut flags = RawConfig::default();
            set(&mut flags);
            let error = resolved(&flags).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{name}: {error}");
        }
    }
}
