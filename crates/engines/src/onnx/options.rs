//! Options of a model: from the text in its settings to the options of a session builder.
//!
//! Decision: every option is checked before a file is opened, and an unknown one is an error that
//! names the known ones. Keys that start with `session.` are the runtime's own configuration
//! entries and are passed on unchanged; the runtime ignores those that it does not know.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use contract::{Error, Result};
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{
    ArbitrarilyConfigurableExecutionProvider, CPU, CUDA, ExecutionProviderDispatch, OpenVINO,
};
use ort::session::builder::GraphOptimizationLevel;

use super::errors::failed;

/// The providers that settings can name.
pub(super) const PROVIDERS: [&str; 3] = ["cpu", "openvino", "cuda"];

/// The sizes that settings allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum BatchSizes {
    /// Chosen by the cost of a change of size.
    #[default]
    Auto,
    /// The rows that callers send.
    Any,
    /// These sizes, ascending.
    Only(Vec<usize>),
}

impl BatchSizes {
    /// Parses the text in settings: `auto`, `any`, or numbers such as `1, 8, 32`; `None` for
    /// anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => return Some(Self::Auto),
            "any" => return Some(Self::Any),
            _ => {}
        }
        let sizes = text.split(',').map(|size| size.trim().parse::<usize>());
        let mut sizes: Vec<_> = sizes.collect::<Result<_, _>>().ok()?;
        sizes.sort_unstable();
        sizes.dedup();
        (sizes.first()? > &0).then_some(Self::Only(sizes))
    }
}

/// The settings of the sessions of one model.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) provider: Provider,
    pub(super) optimization: GraphOptimizationLevel,
    pub(super) allow_spinning: bool,
    /// Use of an arena, which keeps memory between runs; `None` leaves it to the shapes of the
    /// model.
    pub(super) arena: Option<bool>,
    /// Use of a memory plan per set of shapes; `None` as above.
    pub(super) memory_pattern: Option<bool>,
    pub(super) has_optional_inputs: bool,
    /// The numbers of rows that runs have.
    pub(super) batch_sizes: BatchSizes,
    pub(super) entries: Vec<(String, String)>,
}

/// The execution provider of a model.
#[derive(Clone, Debug)]
pub(super) enum Provider {
    Cpu,
    OpenVino(OpenVinoOptions),
    Cuda(CudaOptions),
}

/// Options of the OpenVINO provider.
#[derive(Clone, Debug)]
pub(super) struct OpenVinoOptions {
    precision: &'static str,
    performance_hint: &'static str,
    n_streams: Option<u8>,
    cache_dir: Option<String>,
}

/// Options of the CUDA provider.
#[derive(Clone, Debug)]
pub(super) struct CudaOptions {
    device_id: i32,
    memory_limit_bytes: Option<usize>,
    conv_algo_search: ConvSearch,
    prefer_nhwc: bool,
    tf32: bool,
}

impl Settings {
    /// Checks the provider, which is the CPU by default, and every option.
    pub(super) fn new(provider: Option<&str>, options: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Options::new(options)?;
        let provider = Provider::new(provider.unwrap_or("cpu"), &mut options)?;
        let settings = Self {
            optimization: options.choice(
                "graph_optimization",
                &[
                    ("all", GraphOptimizationLevel::All),
                    ("layout", GraphOptimizationLevel::Level3),
                    ("extended", GraphOptimizationLevel::Level2),
                    ("basic", GraphOptimizationLevel::Level1),
                    ("off", GraphOptimizationLevel::Disable),
                ],
            )?,
            allow_spinning: options.flag("allow_spinning")?.unwrap_or(false),
            arena: options.flag("arena")?,
            memory_pattern: options.flag("memory_pattern")?,
            has_optional_inputs: options.flag("optional_inputs")?.unwrap_or(true),
            batch_sizes: options.batch_sizes("allowed_batch_sizes")?,
            entries: options.entries(),
            provider,
        };
        options.finish(settings.provider.name())?;
        Ok(settings)
    }
}

impl Provider {
    fn new(name: &str, options: &mut Options<'_>) -> Result<Self> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "openvino" => OpenVinoOptions::new(options).map(Self::OpenVino),
            "cuda" => CudaOptions::new(options).map(Self::Cuda),
            unknown => Err(failed(format!(
                "unknown provider `{unknown}`; known are {}",
                quoted(&PROVIDERS)
            ))),
        }
    }

    /// Returns the name in settings.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino(_) => "openvino",
            Self::Cuda(_) => "cuda",
        }
    }

    /// Returns whether all nodes run in the runtime's own kernels.
    pub(super) fn is_cpu(&self) -> bool {
        match self {
            Self::Cpu => true,
            Self::OpenVino(_) | Self::Cuda(_) => false,
        }
    }

    /// Returns whether a GPU computes.
    pub(super) fn is_cuda(&self) -> bool {
        match self {
            Self::Cuda(_) => true,
            Self::Cpu | Self::OpenVino(_) => false,
        }
    }

    /// Returns the providers of a session in order of preference. The CPU is always present: it
    /// runs the nodes that the first one cannot, and leaving it out would switch its arena on
    /// regardless of the settings.
    pub(super) fn dispatches(&self, threads: usize, arena: bool) -> Vec<ExecutionProviderDispatch> {
        let cpu = CPU::default().with_arena_allocator(arena).build();
        match self {
            Self::Cpu => vec![cpu],
            Self::OpenVino(options) => vec![options.dispatch(threads), cpu],
            Self::Cuda(options) => vec![options.dispatch(), cpu],
        }
    }
}

impl OpenVinoOptions {
    fn new(options: &mut Options<'_>) -> Result<Self> {
        let precision = options.choice("precision", &[("f32", "f32"), ("bf16", "bf16")])?;
        if precision == "bf16" && !processor_has_bf16() {
            tracing::warn!("processor has no bf16 instructions; OpenVINO computes in f32");
        }
        Ok(Self {
            precision,
            performance_hint: options.choice(
                "performance_hint",
                &[("latency", "LATENCY"), ("throughput", "THROUGHPUT")],
            )?,
            n_streams: options.number("num_streams")?,
            cache_dir: options.text("cache_dir").map(str::to_owned),
        })
    }

    fn dispatch(&self, threads: usize) -> ExecutionProviderDispatch {
        let mut provider = OpenVINO::default()
            .with_device_type("CPU")
            .with_num_threads(threads)
            .with_arbitrary_config("load_config", self.load_config());
        if let Some(n_streams) = self.n_streams {
            provider = provider.with_num_streams(n_streams);
        }
        if let Some(folder) = &self.cache_dir {
            provider = provider.with_cache_dir(folder);
        }
        provider.build().error_on_failure()
    }

    /// Returns the configuration that the provider passes to OpenVINO, keyed by device.
    fn load_config(&self) -> String {
        let Self {
            precision,
            performance_hint,
            ..
        } = self;
        serde_json::json!({
            "CPU": {
                "INFERENCE_PRECISION_HINT": precision,
                "PERFORMANCE_HINT": performance_hint,
            }
        })
        .to_string()
    }
}

/// The search of cuDNN for the algorithm of a convolution. The runtime's third mode, `DEFAULT`, is
/// left out: since 1.20 it is a fallback, 5 to 200 times slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConvSearch {
    /// By rules: plans fast, and ran as fast as the other for the networks measured.
    Heuristic,
    /// By a model of the hardware; the runtime's default.
    Exhaustive,
}

impl ConvSearch {
    fn to_runtime(self) -> ConvAlgorithmSearch {
        match self {
            Self::Heuristic => ConvAlgorithmSearch::Heuristic,
            Self::Exhaustive => ConvAlgorithmSearch::Exhaustive,
        }
    }
}

impl CudaOptions {
    fn new(options: &mut Options<'_>) -> Result<Self> {
        Ok(Self {
            device_id: options.number("device_id")?.unwrap_or(0),
            memory_limit_bytes: options.number("memory_limit_bytes")?,
            conv_algo_search: options.choice(
                "conv_algo_search",
                &[
                    ("heuristic", ConvSearch::Heuristic),
                    ("exhaustive", ConvSearch::Exhaustive),
                ],
            )?,
            prefer_nhwc: options.flag("prefer_nhwc")?.unwrap_or(false),
            tf32: options.flag("tf32")?.unwrap_or(true),
        })
    }

    fn dispatch(&self) -> ExecutionProviderDispatch {
        let mut provider = CUDA::default()
            .with_device_id(self.device_id)
            .with_conv_algorithm_search(self.conv_algo_search.to_runtime())
            .with_prefer_nhwc(self.prefer_nhwc)
            .with_tf32(self.tf32);
        if let Some(bytes) = self.memory_limit_bytes {
            provider = provider.with_memory_limit(bytes);
        }
        provider.build().error_on_failure()
    }
}

/// Returns whether the processor computes in bf16. Processors with matrix tiles have the vector
/// instructions too.
#[cfg(target_arch = "x86_64")]
fn processor_has_bf16() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

/// Returns `false`, because OpenVINO is offered for x86-64 only.
#[cfg(not(target_arch = "x86_64"))]
fn processor_has_bf16() -> bool {
    false
}

/// Reads options and records which keys were read.
struct Options<'a> {
    given: &'a BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl<'a> Options<'a> {
    fn new(given: &'a BTreeMap<String, String>) -> Result<Self> {
        let has_nul =
            |(key, value): &(&String, &String)| key.contains('\0') || value.contains('\0');
        match given.iter().find(has_nul) {
            Some((key, _)) => Err(failed(format!("option {key:?} contains a NUL character"))),
            None => Ok(Self {
                given,
                known: Vec::new(),
            }),
        }
    }

    fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.known.push(key);
        self.given.get(key).map(String::as_str)
    }

    fn flag(&mut self, key: &'static str) -> Result<Option<bool>> {
        match self.text(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(value) => Err(refused(key, value, quoted(&["true", "false"]))),
        }
    }

    fn number<T: FromStr>(&mut self, key: &'static str) -> Result<Option<T>> {
        let Some(value) = self.text(key) else {
            return Ok(None);
        };
        let number = value.parse().map_err(|_| refused(key, value, "a number"))?;
        Ok(Some(number))
    }

    fn batch_sizes(&mut self, key: &'static str) -> Result<BatchSizes> {
        let Some(value) = self.text(key) else {
            return Ok(BatchSizes::Auto);
        };
        let expected = "`auto`, `any` or numbers of rows such as `1, 8, 32`";
        BatchSizes::parse(value).ok_or_else(|| refused(key, value, expected))
    }

    /// Reads one of several values; the first is the default.
    fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Result<T> {
        let value = self.text(key);
        let chosen = match value {
            None => choices.first(),
            Some(value) => choices.iter().find(|(word, _)| *word == value),
        };
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            refused(key, value.unwrap_or_default(), quoted(&words))
        })
    }

    fn entries(&self) -> Vec<(String, String)> {
        self.given
            .iter()
            .filter(|(key, _)| is_entry(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn finish(mut self, provider: &str) -> Result<()> {
        let is_unknown = |key: &&String| !self.known.contains(&key.as_str()) && !is_entry(key);
        let Some(unknown) = self.given.keys().find(is_unknown) else {
            return Ok(());
        };
        self.known.sort_unstable();
        Err(failed(format!(
            "unknown option `{unknown}`; with provider `{provider}` these are known: {}, and the \
             runtime's own keys that start with `session.`",
            quoted(&self.known)
        )))
    }
}

fn is_entry(key: &str) -> bool {
    key.starts_with("session.")
}

fn refused(key: &str, value: &str, expected: impl Display) -> Error {
    failed(format!(
        "option `{key}`: expected {expected}, got `{value}`"
    ))
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests;
