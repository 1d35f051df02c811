//! The settings of the user, each of them optional.
//!
//! The doc comment of a field is its help text on the command line; `default.yaml` has the details.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of the server, as flags, as keys of `lockgate.yaml` and as `LOCKGATE_...` variables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
#[group(skip)]
pub(crate) struct RawConfig {
    /// Address to listen on; 0.0.0.0 for every network
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    pub(crate) host: Option<String>,
    /// Port for REST and gRPC; 0 lets the system choose
    #[arg(long, value_name = "PORT", help_heading = "Network")]
    pub(crate) port: Option<u16>,
    /// A second port, for gRPC alone
    #[arg(long, value_name = "PORT", help_heading = "Network")]
    pub(crate) grpc_port: Option<u16>,
    /// A further port, for metrics and health alone
    #[arg(long, value_name = "PORT", help_heading = "Network")]
    pub(crate) metrics_port: Option<u16>,
    /// Origins whose pages may call from a browser, such as `https://app.example`; `*` for all
    #[arg(
        long,
        value_name = "ORIGIN",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub(crate) cors_origins: Option<Vec<String>>,
    /// Folder of models, or one model file; may be given several times
    #[arg(long, value_name = "PATH", help_heading = "Models")]
    pub(crate) repository: Option<Vec<PathBuf>>,
    /// Time between two scans of the folders; file system notifications come sooner
    #[arg(long, value_name = "MS", help_heading = "Models")]
    pub(crate) poll_interval_ms: Option<u64>,
    /// Time after which a load of a model version has failed
    #[arg(long, value_name = "MS", help_heading = "Models")]
    pub(crate) load_timeout_ms: Option<u64>,
    /// `serve` new versions by default as soon as they are ready, or `wait` for a promotion
    #[arg(long, value_name = "WORD", help_heading = "Models")]
    pub(crate) new_versions: Option<String>,
    /// Allow clients to load, unload and change models
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(help_heading = "Models")]
    pub(crate) model_control: Option<bool>,
    /// Redis that shares rollouts between servers
    #[arg(long, value_name = "URL", help_heading = "Models")]
    pub(crate) redis: Option<String>,
    /// File of certificates to trust for `rediss://`, in place of those of the system
    #[arg(long, value_name = "PATH", help_heading = "Models")]
    pub(crate) redis_ca: Option<PathBuf>,
    /// Public address of this server, for links in notifications
    #[arg(long, value_name = "URL", help_heading = "Models")]
    pub(crate) public_url: Option<String>,
    /// File of certificates to trust for HTTPS webhooks, in addition to those of the system
    #[arg(long, value_name = "PATH", help_heading = "Models")]
    pub(crate) webhook_ca: Option<PathBuf>,
    /// The ONNX Runtime library: a file, or the folder that holds it
    #[arg(long, value_name = "PATH", help_heading = "Machine")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Folder for the libraries that Lockgate installs
    #[arg(long, value_name = "PATH", help_heading = "Machine")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Folder for labels, pins, splits, rollouts and their history
    #[arg(long, value_name = "PATH", help_heading = "Machine")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Cores to plan for; the default is the number that the process may use
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub(crate) cores: Option<usize>,
    /// Timeout of a request when neither the caller nor the model sets one
    #[arg(long, value_name = "MS", help_heading = "Limits")]
    pub(crate) default_timeout_ms: Option<u64>,
    /// Rows in the queue of one version of a model
    #[arg(long, value_name = "ROWS", help_heading = "Limits")]
    pub(crate) max_queue_rows: Option<usize>,
    /// Bytes of a request body, before and after decompression
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    pub(crate) max_body_bytes: Option<usize>,
    /// Memory for all request bodies above 64 KiB
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    pub(crate) max_body_memory_bytes: Option<usize>,
    /// Memory for all encoded replies above 64 KiB
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    pub(crate) max_reply_memory_bytes: Option<usize>,
    /// Nesting of JSON
    #[arg(long, value_name = "LEVELS", help_heading = "Limits")]
    pub(crate) max_json_depth: Option<usize>,
    /// Elements of one tensor that is written as JSON
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_elements: Option<usize>,
    /// Requests inside one `POST /predict/batch`
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_batch_requests: Option<usize>,
    /// Pixels of an image
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_image_pixels: Option<usize>,
    /// Open connections
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_connections: Option<usize>,
    /// Headers of a request
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_headers: Option<usize>,
    /// Time in which the head of a request must arrive
    #[arg(long, value_name = "MS", help_heading = "Limits")]
    pub(crate) header_timeout_ms: Option<u64>,
    /// Time in which the body of a request must arrive
    #[arg(long, value_name = "MS", help_heading = "Limits")]
    pub(crate) body_timeout_ms: Option<u64>,
    /// Time from not being ready to closing the ports, at shutdown
    #[arg(long, value_name = "MS", help_heading = "Shutdown")]
    pub(crate) shutdown_delay_ms: Option<u64>,
    /// Longest time for answering accepted requests, at shutdown
    #[arg(long, value_name = "MS", help_heading = "Shutdown")]
    pub(crate) drain_timeout_ms: Option<u64>,
    /// Collect metrics for `GET /metrics`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(help_heading = "Metrics")]
    pub(crate) metrics: Option<bool>,
    /// `human` or `json`
    #[arg(long, value_name = "FORMAT", help_heading = "Log")]
    pub(crate) log_format: Option<String>,
    /// Log level or filter: `info`, `debug`, `info,serving=debug`
    #[arg(long, value_name = "FILTER", help_heading = "Log")]
    pub(crate) log_level: Option<String>,
    /// Log every request
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(help_heading = "Log")]
    pub(crate) access_log: Option<bool>,
    /// Tell callers the sentence of the runtime about a failed run
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(help_heading = "Models")]
    pub(crate) expose_engine_errors: Option<bool>,
    /// Write NaN and infinities as `null`; `false` writes literals that are not JSON
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[arg(help_heading = "Network")]
    pub(crate) strict_json: Option<bool>,
}
