//! Tests of the gRPC services over real sockets, and what they share.

mod answers;
mod errors;
mod health;
mod inference;
mod stream;
mod unary;
mod wire;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use contract::testing::{EchoServer, RecordingObserver, model_info};
use contract::{
    AssignmentAttributes, BoxFuture, Catalog, Code, Dimension, ElementType, Error, Infer,
    InferRequest, InferResponse, ModelInfo, ModelName, ModelStatus, Readiness, Result, Route,
    Shape, Signature, Target, Tensor, TensorSpec, Urgency, VersionStatistics,
};
use half::{bf16, f16};
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};

use super::generated::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use super::generated::inference::model_infer_request::InferInputTensor;
use super::generated::inference::{InferTensorContents, ModelInferRequest};
use crate::context::{Context, Limits, ServerInfo};
use crate::server::{self, Dialects, ListenerHandle};

type Client = GrpcInferenceServiceClient<Channel>;

/// The behaviour of a double on an inference.
#[derive(Debug, Default)]
enum Behaviour {
    #[default]
    Echo,
    /// Panics when the request has a parameter, otherwise echoes.
    Panic,
    /// Refuses early what has this priority.
    Busy(Option<u32>),
    /// Never answers; reports when it started and when it was dropped.
    Hold(Mutex<Option<Signals>>),
}

#[derive(Debug)]
struct Signals {
    started: oneshot::Sender<InferRequest>,
    dropped: oneshot::Sender<()>,
}

/// An echo server with moods.
#[derive(Debug)]
struct Double {
    echo: Arc<EchoServer>,
    behaviour: Behaviour,
    is_ready: AtomicBool,
}

impl Double {
    fn new(echo: EchoServer) -> Self {
        Self {
            echo: Arc::new(echo),
            behaviour: Behaviour::Echo,
            is_ready: AtomicBool::new(true),
        }
    }
}

impl Infer for Double {
    fn route(&self, target: &Target) -> Result<Route> {
        self.echo.route(target)
    }

    fn route_for(&self, target: &Target, attributes: &dyn AssignmentAttributes) -> Result<Route> {
        self.echo.route_for(target, attributes)
    }

    fn refuse_early(&self, _: &Target, urgency: Urgency) -> Result<()> {
        match self.behaviour {
            Behaviour::Busy(priority) if priority == urgency.priority => {
                Err(Error::new(Code::Overloaded, "too busy"))
            }
            Behaviour::Busy(_) | Behaviour::Echo | Behaviour::Panic | Behaviour::Hold(_) => Ok(()),
        }
    }

    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>> {
        match &self.behaviour {
            Behaviour::Echo | Behaviour::Busy(_) => self.echo.infer(route, request),
            Behaviour::Panic => {
                assert!(request.parameters.is_empty(), "as the test wants it");
                self.echo.infer(route, request)
            }
            Behaviour::Hold(signals) => {
                let signals = signals.lock().unwrap().take().unwrap();
                Box::pin(async move {
                    let _dropped = SignalOnDrop(Some(signals.dropped));
                    signals.started.send(request).unwrap();
                    std::future::pending().await
                })
            }
        }
    }
}

struct SignalOnDrop(Option<oneshot::Sender<()>>);

impl Drop for SignalOnDrop {
    fn drop(&mut self) {
        let _ = self.0.take().map(|sender| sender.send(()));
    }
}

impl Catalog for Double {
    fn models(&self) -> Vec<ModelStatus> {
        self.echo.models()
    }

    fn model(&self, name: &ModelName) -> Result<ModelStatus> {
        self.echo.model(name)
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            is_ready: self.is_ready.load(Ordering::SeqCst),
            reason: String::new(),
            warnings: Vec::new(),
        }
    }

    fn statistics(&self, name: Option<&ModelName>) -> Result<Vec<VersionStatistics>> {
        self.echo.statistics(name)
    }
}

/// The whole server on a port of its own, REST and gRPC, for as long as the fixture lives.
struct Fixture {
    ctx: Arc<Context>,
    listener: ListenerHandle,
    double: Arc<Double>,
    observer: Arc<RecordingObserver>,
}

impl Fixture {
    fn start(double: Double) -> Self {
        Self::with_limits(double, Limits::default())
    }

    fn with_limits(double: Double, limits: Limits) -> Self {
        let (double, observer) = (Arc::new(double), Arc::new(RecordingObserver::default()));
        let ctx = Arc::new(Context {
            infer: Arc::clone(&double) as _,
            catalog: Arc::clone(&double) as _,
            observe: Arc::clone(&observer) as _,
            memory: limits.memory_budgets(),
            limits,
            server: ServerInfo {
                version: "1.2.3".to_owned(),
                is_gpu_available: false,
                is_control_enabled: true,
                is_strict_json: false,
            },
            ..Context::of(&double.echo)
        });
        let address = "127.0.0.1:0".parse().unwrap();
        let endpoint = server::endpoint(&ctx, Dialects::ALL, None);
        Self {
            listener: server::serve(address, endpoint, (&ctx.limits).into()).unwrap(),
            ctx,
            double,
            observer,
        }
    }

    /// A server that takes messages of up to `body_bytes`.
    fn with_body_bytes(body_bytes: usize) -> Self {
        let limits = Limits {
            body_bytes,
            ..Limits::default()
        };
        Self::with_limits(Double::new(echo()), limits)
    }

    async fn channel(&self) -> Channel {
        let address = format!("http://{}", self.listener.addr());
        let endpoint = Endpoint::from_shared(address).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn client(&self) -> Client {
        GrpcInferenceServiceClient::new(self.channel().await)
    }

    /// The codes of the calls that were observed, `None` for success.
    fn calls(&self) -> Vec<String> {
        let events = self.observer.events();
        let code = |event: &String| {
            let (_, rest) = event.split_once("dialect: \"grpc\", error: ")?;
            Some(rest.split_once(", latency")?.0.to_owned())
        };
        events.iter().filter_map(code).collect()
    }
}

/// An echo of each element type, a batching model named after the type: `x` comes back as `y`.
fn echo() -> EchoServer {
    EchoServer::new(ElementType::ALL.map(echo_model))
}

fn echo_model(element_type: ElementType) -> ModelInfo {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: vec![Dimension::Dynamic, Dimension::Dynamic],
        is_optional: false,
    };
    let signature = Signature {
        inputs: vec![spec("x")],
        outputs: vec![spec("y")],
    };
    let mut info = model_info(element_type.name(), "3", signature);
    info.max_request_rows = NonZeroUsize::new(8);
    info.max_batch_rows = NonZeroUsize::new(4);
    info
}

/// The smallest and the largest value of each element type, in the shape `[2, 1]`.
pub(super) fn sample(element_type: ElementType) -> Tensor {
    let shape = Shape::from([2, 1]);
    let tensor = match element_type {
        ElementType::Bool => Tensor::new(element_type, shape, Bytes::from_static(&[0, 1])),
        ElementType::U8 => Tensor::from_values(shape, vec![0_u8, u8::MAX]),
        ElementType::U16 => Tensor::from_values(shape, vec![0_u16, u16::MAX]),
        ElementType::U32 => Tensor::from_values(shape, vec![0_u32, u32::MAX]),
        ElementType::U64 => Tensor::from_values(shape, vec![0_u64, u64::MAX]),
        ElementType::I8 => Tensor::from_values(shape, vec![i8::MIN, i8::MAX]),
        ElementType::I16 => Tensor::from_values(shape, vec![i16::MIN, i16::MAX]),
        ElementType::I32 => Tensor::from_values(shape, vec![i32::MIN, i32::MAX]),
        ElementType::I64 => Tensor::from_values(shape, vec![i64::MIN, i64::MAX]),
        ElementType::F16 => Tensor::from_values(shape, vec![f16::ONE, f16::MIN]),
        ElementType::BF16 => Tensor::from_values(shape, vec![bf16::ONE, bf16::MIN]),
        ElementType::F32 => Tensor::from_values(shape, vec![f32::MIN, f32::INFINITY]),
        ElementType::F64 => Tensor::from_values(shape, vec![f64::MIN, f64::INFINITY]),
        ElementType::Bytes => Tensor::from_strings(shape, [&b""[..], b"x\0\xff"]),
    };
    tensor.unwrap()
}

/// A request with one input `x`, raw.
fn raw_request(element_type: ElementType, dims: &[i64], data: Bytes) -> ModelInferRequest {
    ModelInferRequest {
        model_name: element_type.name().to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: element_type.name().to_owned(),
            shape: dims.to_vec(),
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![data],
        ..ModelInferRequest::default()
    }
}

/// A request with one input `x`, typed.
fn typed_request(
    element_type: ElementType,
    dims: &[i64],
    contents: InferTensorContents,
) -> ModelInferRequest {
    let mut request = raw_request(element_type, dims, Bytes::new());
    request.raw_input_contents.clear();
    request.inputs[0].contents = Some(contents);
    request
}

/// A request that every server of [`echo`] answers.
fn good_request() -> ModelInferRequest {
    raw_request(ElementType::U8, &[1, 2], Bytes::from_static(&[1, 2]))
}
