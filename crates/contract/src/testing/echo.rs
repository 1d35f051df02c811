//! A server without an engine: every output repeats an input, and every change is only recorded.
//!
//! Rule: output `i` is input `i`, or the first input when there are more outputs than inputs. So a
//! test of a protocol sees its own tensors again, whatever their element type.

mod admin;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::concurrency::SessionLayout;
use crate::error::{Code, Error, Result};
use crate::infer::{AssignmentAttributes, BoxFuture, Infer, Route, Target};
use crate::model::{
    ModelInfo, ModelName, OutputPostprocessing, SharedModelInfo, Signature, Version,
    VersionSelector,
};
use crate::request::{InferRequest, NamedTensor};
use crate::response::{InferResponse, Timings};
use crate::served_by::ServedBy;
use crate::traffic::{HistoryEntry, Routing, UnitSource};

/// Returns the description of a test model: a batching ONNX model without labels or settings.
///
/// # Panics
/// When `model` or `version` is no legal name.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a test double panics on a mistake of the test"
)]
pub fn model_info(model: &str, version: &str, signature: Signature) -> ModelInfo {
    ModelInfo {
        model: ModelName::new(model).expect("a legal model name"),
        version: Version::new(version).expect("a legal version"),
        max_request_rows: signature.has_batch_dimension().then_some(NonZeroUsize::MIN),
        max_batch_rows: signature.has_batch_dimension().then_some(NonZeroUsize::MIN),
        is_batching: signature.has_batch_dimension(),
        batching_reason: "it is a test".to_owned(),
        signature,
        max_batch_delay: Duration::ZERO,
        n_instances: 1,
        session_layout: SessionLayout {
            is_shared: false,
            threads: NonZeroUsize::MIN,
            provider: "cpu".to_owned(),
            reason: "it is a test".to_owned(),
        },
        data_dependent_cost: None,
        platform: "onnxruntime_onnx".to_owned(),
        framework: "onnx".to_owned(),
        description: String::new(),
        metadata: BTreeMap::new(),
        labels: Vec::new(),
        image: None,
        output: OutputPostprocessing::default(),
        default_timeout: None,
        created_at: SystemTime::UNIX_EPOCH,
        file_bytes: Some(1234),
        content_hash: Some("5a".repeat(32)),
    }
}

/// Serves models by repeating their inputs; can be made to fail.
#[derive(Debug, Default)]
pub struct EchoServer {
    versions: Vec<SharedModelInfo>,
    failure: Option<Error>,
    not_ready: Option<String>,
    unit: Option<UnitSource>,
    propensity: Option<Bytes>,
    recorded: Vec<Vec<NamedTensor>>,
    routing: Mutex<Routing>,
    history: Mutex<Vec<HistoryEntry>>,
}

impl EchoServer {
    /// Creates a server of these versions.
    #[must_use]
    pub fn new(versions: impl IntoIterator<Item = ModelInfo>) -> Self {
        Self {
            versions: versions.into_iter().map(Arc::new).collect(),
            ..Self::default()
        }
    }

    /// Returns the same server with this propensity for every arm.
    #[must_use]
    pub fn with_propensity(self, propensity: f64) -> Self {
        Self {
            propensity: Some(propensity.to_string().into()),
            ..self
        }
    }

    /// Returns the same server, failing every inference with `error`.
    #[must_use]
    pub fn failing(self, error: Error) -> Self {
        Self {
            failure: Some(error),
            ..self
        }
    }

    /// Returns the same server, which reads the unit of a request from `source`, and names its arm
    /// after the unit.
    #[must_use]
    pub fn with_unit(self, source: UnitSource) -> Self {
        Self {
            unit: Some(source),
            ..self
        }
    }

    /// Returns the same server, which returns these inputs as a recording.
    #[must_use]
    pub fn with_recorded(self, recorded: Vec<Vec<NamedTensor>>) -> Self {
        Self { recorded, ..self }
    }

    /// Returns the same server, not ready because of `reason`.
    #[must_use]
    pub fn not_ready(self, reason: &str) -> Self {
        Self {
            not_ready: Some(reason.to_owned()),
            ..self
        }
    }

    fn unknown_model(name: &ModelName) -> Error {
        Error::new(
            Code::ModelNotFound,
            format!("Request for unknown model: `{name}` is not found; see `GET /models`"),
        )
    }

    fn only_model(&self) -> Result<&ModelName> {
        let Some(first) = self.versions.first() else {
            return Err(Error::new(Code::ModelNotFound, "no model is served"));
        };
        match self.versions.iter().all(|info| info.model == first.model) {
            true => Ok(&first.model),
            false => Err(Error::invalid(
                "several models are served; name one in `model`",
            )),
        }
    }
}

impl Infer for EchoServer {
    fn route(&self, target: &Target) -> Result<Route> {
        let name = match &target.model {
            Some(name) => name,
            None => self.only_model()?,
        };
        let mut known: Vec<_> = self
            .versions
            .iter()
            .filter(|info| info.model == *name)
            .collect();
        known.sort_by(|a, b| a.version.cmp(&b.version));
        let Some(latest) = known.last() else {
            return Err(Self::unknown_model(name));
        };
        let info = match &target.version {
            VersionSelector::Latest => Some(latest),
            VersionSelector::Named(text) => {
                known.iter().find(|info| info.version.as_str() == &**text)
            }
        };
        let Some(&info) = info else {
            return Err(Error::new(
                Code::VersionNotFound,
                format!(
                    "Request for unknown model: version `{}` of `{name}` is not found",
                    target.version
                ),
            ));
        };
        Ok(Route {
            info: Arc::clone(info),
            served_by: ServedBy {
                model: Bytes::copy_from_slice(info.model.as_str().as_bytes()),
                version: Bytes::copy_from_slice(info.version.as_str().as_bytes()),
                arm: None,
                propensity: None,
            },
            handle: Arc::new(()),
        })
    }

    fn route_for(&self, target: &Target, attributes: &dyn AssignmentAttributes) -> Result<Route> {
        let unit = match &self.unit {
            Some(UnitSource::Field(path)) => attributes.field(path),
            Some(UnitSource::Header(name)) => attributes.header(name),
            Some(UnitSource::Cookie(name)) => attributes.cookie(name),
            Some(UnitSource::Random) | None => None,
        };
        let mut route = self.route(target)?;
        route.served_by.arm = unit.map(|unit| Bytes::copy_from_slice(unit.as_bytes()));
        if route.served_by.arm.is_some() {
            route.served_by.propensity = self.propensity.clone();
        }
        Ok(route)
    }

    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>> {
        Box::pin(async move {
            if let Some(error) = &self.failure {
                return Err(error.clone());
            }
            let signature = &route.info.signature;
            let inputs = signature.bind_inputs(request.inputs)?;
            let mut outputs = Vec::new();
            for index in signature.bind_outputs(&request.outputs)? {
                let tensor = inputs
                    .get(index)
                    .or_else(|| inputs.first())
                    .cloned()
                    .flatten();
                if let (Some(spec), Some(tensor)) = (signature.outputs.get(index), tensor) {
                    outputs.push(NamedTensor {
                        name: spec.name.clone(),
                        tensor,
                    });
                }
            }
            Ok(InferResponse {
                info: route.info,
                outputs,
                timings: Timings::default(),
            })
        })
    }
}
