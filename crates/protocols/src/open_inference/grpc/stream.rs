//! `ModelStreamInfer`: many inferences over one call, answered as they finish.
//!
//! Rule: up to [`MAX_RUNNING`] requests run at once, then reading waits. A request that fails gets
//! its error as an answer and the stream goes on, unless the caller wants real statuses. When the
//! caller has sent everything, or a message that cannot be decoded, running requests are answered
//! and then the stream ends. So it does when the listener closes, for an idle stream would hold the
//! drain of the server. Nothing is spawned, so dropping the stream cancels all of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use contract::{Code, Error};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, FuturesUnordered, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};

use super::frame::{CallRecord, library_error, now, panic_error};
use super::generated::inference::infer_parameter::ParameterChoice;
use super::generated::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use super::infer::{InferenceResult, infer, tensor_bytes};
use super::status::{code_of, failure};
use crate::attributes::served_by_fields;
use crate::context::Context;
use crate::offload::{offload, output_bytes};
use crate::open_inference::inference::CallInfo;
use crate::phase::ListenerPhase;

/// The metadata key that enables real statuses by the value `true`.
pub(super) const STATUS_KEY: &str = "triton_grpc_error";
/// The parameter that marks the last answer to a request, which here is the only one.
const FINAL_RESPONSE: &str = "triton_final_response";
/// The parameter with the arm of the split that answered.
const ARM: &str = "arm";
/// The probability that the arm had, when the split is a bandit.
const PROPENSITY: &str = "propensity";
/// Enough to fill the batches of one model, few enough that a stream cannot flood the server.
const MAX_RUNNING: usize = 64;

/// The answers of a stream, in the order in which they are ready.
pub(super) type ResponseStream = BoxStream<'static, Result<ModelStreamInferResponse, Status>>;

/// The requests of the stream, until it ends or fails.
pub(super) struct Requests {
    pub(super) messages: Streaming<ModelInferRequest>,
    pub(super) call_info: CallInfo,
    pub(super) metadata: Arc<MetadataMap>,
    pub(super) is_status_wanted: bool,
    /// The phase of the listener; `None` for a stream without one.
    pub(super) phase: Option<ListenerPhase>,
}

/// Runs `requests` and returns their answers.
pub(super) fn infer_stream(ctx: Arc<Context>, requests: Requests) -> ResponseStream {
    let session = Session {
        ctx,
        requests,
        running: FuturesUnordered::new(),
        state: State::Reading,
    };
    stream::unfold(session, Session::next).boxed()
}

struct Session {
    ctx: Arc<Context>,
    requests: Requests,
    running: FuturesUnordered<BoxFuture<'static, Outcome>>,
    state: State,
}

enum State {
    /// More requests may come.
    Reading,
    /// No more requests will come; the stream ends after the running ones, with the status if any.
    Draining(Option<Status>),
    /// A status was sent, after which nothing may follow.
    Ended,
}

/// The result of one request.
struct Outcome {
    id: String,
    call_info: CallInfo,
    result: Result<ModelInferResponse, Error>,
}

/// Runs one inference, whose request and answer count in their budgets.
async fn infer_counted(
    ctx: &Context,
    metadata: &MetadataMap,
    call_info: CallInfo,
    request: ModelInferRequest,
) -> Result<ModelInferResponse, Error> {
    let _reservation = ctx.memory.bodies.reserve(tensor_bytes(&request))?;
    let result = infer(ctx, metadata.as_ref(), call_info, request).await?;
    let n_bytes = output_bytes(&result.response);
    ctx.memory.replies.check(n_bytes)?;
    let mut response = offload(n_bytes, || with_arm_parameters(result));
    for raw in &mut response.raw_output_contents {
        *raw = ctx.memory.replies.count(std::mem::take(raw))?;
    }
    Ok(response)
}

/// Adds the arm and the propensity to the parameters of an answer, because metadata belongs to the
/// whole stream; the version is in each answer already.
fn with_arm_parameters(mut inference_result: InferenceResult) -> ModelInferResponse {
    let served_by = std::mem::take(&mut inference_result.served_by);
    let mut response = inference_result.into_message();
    // Names of arms and numbers are ASCII, so the conversion cannot fail.
    let text = |bytes: Option<Bytes>| String::from_utf8(bytes?.into()).ok();
    let arm = text(served_by.arm).map(ParameterChoice::StringParam);
    let propensity = text(served_by.propensity).and_then(|text| text.parse().ok());
    let propensity = propensity.map(ParameterChoice::DoubleParam);
    for (key, choice) in [(ARM, arm), (PROPENSITY, propensity)] {
        if choice.is_some() {
            let parameter = InferParameter {
                parameter_choice: choice,
            };
            response.parameters.insert(key.to_owned(), parameter);
        }
    }
    response
}

impl Session {
    async fn next(mut self) -> Option<(Result<ModelStreamInferResponse, Status>, Self)> {
        loop {
            let is_reading =
                matches!(self.state, State::Reading) && self.running.len() < MAX_RUNNING;
            tokio::select! {
                Some(outcome) = self.running.next() => {
                    let response = self.stream_response(outcome);
                    return Some((response, self));
                }
                message = self.requests.messages.message(), if is_reading => self.handle_message(message),
                () = closing(&mut self.requests.phase), if matches!(self.state, State::Reading) => {
                    let error = Error::new(Code::Unavailable, "the server is shutting down");
                    let status = failure(&self.requests.call_info, &error);
                    self.state = State::Draining(Some(status));
                }
                else => {
                    let state = std::mem::replace(&mut self.state, State::Ended);
                    return match state {
                        State::Draining(Some(status)) => Some((Err(status), self)),
                        State::Draining(None) | State::Ended | State::Reading => None,
                    };
                }
            }
        }
    }

    fn handle_message(&mut self, message: Result<Option<ModelInferRequest>, Status>) {
        match message {
            Ok(Some(request)) => self.running.push(self.start(request)),
            Ok(None) => self.state = State::Draining(None),
            Err(status) => {
                let error = match code_of(status.metadata().as_ref()) {
                    Some(code) => Error::new(code, status.message().to_owned()),
                    None => library_error(&self.ctx.limits, &status),
                };
                CallRecord::begin(&self.ctx, now()).finish(Some(error.code()));
                let status = failure(&self.requests.call_info, &error);
                self.state = State::Draining(Some(status));
            }
        }
    }

    fn start(&self, request: ModelInferRequest) -> BoxFuture<'static, Outcome> {
        let ctx = Arc::clone(&self.ctx);
        let call_info = CallInfo {
            received: now(),
            ..self.requests.call_info.clone()
        };
        let metadata = Arc::clone(&self.requests.metadata);
        let id = request.id.clone();
        Box::pin(async move {
            let mut record = CallRecord::begin(&ctx, call_info.received);
            let run = infer_counted(&ctx, &metadata, call_info.clone(), request);
            let run = AssertUnwindSafe(run);
            let result = run.catch_unwind().await;
            let result = result.unwrap_or_else(|_| Err(panic_error()));
            record.finish(result.as_ref().err().map(Error::code));
            Outcome {
                id,
                call_info,
                result,
            }
        })
    }

    fn stream_response(&mut self, outcome: Outcome) -> Result<ModelStreamInferResponse, Status> {
        let (error_message, mut response) = match outcome.result {
            Ok(response) => (String::new(), response),
            Err(error) => {
                let status = failure(&outcome.call_info, &error);
                if self.requests.is_status_wanted {
                    self.end();
                    return Err(status);
                }
                (
                    error.message().to_owned(),
                    failed_response(outcome.id, &error),
                )
            }
        };
        response
            .parameters
            .insert(FINAL_RESPONSE.to_owned(), true_parameter());
        Ok(ModelStreamInferResponse {
            error_message,
            infer_response: Some(response),
        })
    }

    /// Ends the stream and cancels running requests, because nothing follows a status.
    fn end(&mut self) {
        self.state = State::Ended;
        self.running.clear();
    }
}

/// Returns once the listener of the stream closes.
async fn closing(phase: &mut Option<ListenerPhase>) {
    match phase {
        Some(phase) => phase.closing().await,
        None => std::future::pending().await,
    }
}

/// Returns the answer beside the text of an error: it names the version that failed.
fn failed_response(id: String, error: &Error) -> ModelInferResponse {
    let [model, version, _] = served_by_fields(error.served_by());
    ModelInferResponse {
        id,
        model_name: model.unwrap_or_default().to_owned(),
        model_version: version.unwrap_or_default().to_owned(),
        ..ModelInferResponse::default()
    }
}

fn true_parameter() -> InferParameter {
    InferParameter {
        parameter_choice: Some(ParameterChoice::BoolParam(true)),
    }
}
