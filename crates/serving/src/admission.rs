//! Admission: checks whether a request may run or wait, and counts the requests that do.
//!
//! Decision: everything that can be wrong with one request is found here, before it waits, so that
//! it can never fail the batch that it joins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use contract::{AdmissionLevel, Code, Error, ModelInfo, NamedTensor, Result, Signature, Tensor};
use tokio::sync::Notify;

use crate::batch::join::RowLayout;
use crate::batch::policy::types::{Refusal, Refused};

/// The shortest value of the `Retry-After` header, whose unit is seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A request that fits the version.
#[derive(Debug)]
pub(crate) struct ValidatedRequest {
    /// The inputs in the order of the signature.
    pub(crate) inputs: Vec<Option<Tensor>>,
    /// The positions of the requested outputs.
    pub(crate) outputs: Vec<usize>,
    /// The rows; 1 when the model has no batch dimension.
    pub(crate) n_rows: usize,
    /// The layout that requests of one batch share; `None` runs alone.
    pub(crate) layout: Option<RowLayout>,
}

/// Returns whether batches of this version have rows that all inputs and outputs share.
pub(crate) fn is_batching(info: &ModelInfo) -> bool {
    info.is_batching && info.max_request_rows.is_some()
}

/// Checks a request against its version.
///
/// # Errors
/// `invalid_request` with the expected value.
pub(crate) fn validate(
    info: &ModelInfo,
    inputs: Vec<NamedTensor>,
    outputs: &[String],
) -> Result<ValidatedRequest> {
    let inputs = info.signature.bind_inputs(inputs)?;
    let outputs = info.signature.bind_outputs(outputs)?;
    let mut n_rows = 1;
    if info.max_request_rows.is_some() {
        n_rows = inputs.iter().flatten().next().map_or(1, Tensor::n_rows);
    }
    let mut layout = None;
    if is_batching(info) {
        check_rows(&info.signature, &inputs)?;
        check_limit(info, n_rows)?;
        layout = (n_rows > 0).then(|| RowLayout::of(&inputs));
    }
    Ok(ValidatedRequest {
        inputs,
        outputs,
        n_rows,
        layout,
    })
}

fn check_rows(signature: &Signature, inputs: &[Option<Tensor>]) -> Result<()> {
    let mut present = signature
        .inputs
        .iter()
        .zip(inputs)
        .filter_map(|(spec, input)| Some((&spec.name, input.as_ref()?.n_rows())));
    let Some((first, expected)) = present.next() else {
        return Ok(());
    };
    match present.find(|&(_, n_rows)| n_rows != expected) {
        None => Ok(()),
        Some((other, n_rows)) => Err(Error::invalid(format!(
            "input `{other}` has {n_rows} rows, but {expected} in input `{first}`; the first \
             dimension of all inputs must agree"
        ))),
    }
}

fn check_limit(info: &ModelInfo, n_rows: usize) -> Result<()> {
    match info.max_request_rows {
        Some(limit) if n_rows > limit.get() => Err(Error::invalid(format!(
            "the request has {n_rows} rows, but model `{}` takes at most {limit} \
             (`batching.max_request_rows`); send fewer rows at once",
            info.model
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Returns the deadline of a request: the requested one, but no later than the model allows.
///
/// # Errors
/// `deadline_exceeded` when it has already passed.
pub(crate) fn deadline(
    requested: Option<Instant>,
    default_timeout: Option<Duration>,
    now: Instant,
) -> Result<Option<Instant>> {
    let default = default_timeout.and_then(|timeout| now.checked_add(timeout));
    let deadline = requested.into_iter().chain(default).min();
    match deadline {
        Some(deadline) if deadline <= now => Err(deadline_exceeded()),
        Some(_) | None => Ok(deadline),
    }
}

/// Returns the error of a deadline that passed before there was an answer.
pub(crate) fn deadline_exceeded() -> Error {
    Error::new(
        Code::DeadlineExceeded,
        "Request timeout expired before the model answered",
    )
}

/// Returns the error of a request without deadline that waited in a queue that does not drain.
pub(crate) fn waited_too_long(level: AdmissionLevel) -> Error {
    Error::new(
        Code::Overloaded,
        "the request waited for too long and was refused, because more requests come than the \
         model can answer; try again later",
    )
    .with_retry_after(RETRY_AFTER)
    .with_admission_level(level)
}

/// Returns the error of a refused request.
pub(crate) fn refused(info: &ModelInfo, refused: Refused) -> Error {
    let (model, version) = (&info.model, &info.version);
    let Refused { refusal, level } = refused;
    match refusal {
        Refusal::QueueFull { limit, wait } => {
            queue_full(info, limit, wait).with_admission_level(level)
        }
        Refusal::TooLate { wait, excess } => Error::new(
            Code::Overloaded,
            format!(
                "model `{model}` is overloaded: the answer is predicted in {}, which is {} after \
                 the deadline of the request; try again later or allow more time",
                millis(wait),
                millis(excess)
            ),
        )
        .with_retry_after(excess.max(RETRY_AFTER))
        .with_admission_level(level),
        Refusal::DeadlineTooShort { run, time } => Error::new(
            Code::DeadlineExceeded,
            format!(
                "Request timeout expired: the request has {} to its deadline, but a run of model \
                 `{model}` for its rows is predicted to take {}; allow more time",
                millis(time),
                millis(run)
            ),
        ),
        Refusal::Closing => Error::new(
            Code::ModelNotReady,
            format!("version `{version}` of model `{model}` is being unloaded"),
        ),
        Refusal::NoInstance => no_instance(info),
    }
}

/// Returns the error of a full queue, with the predicted wait where it is known.
pub(crate) fn queue_full(info: &ModelInfo, limit: usize, wait: Option<Duration>) -> Error {
    let predicted = wait.map(|wait| format!(" and are answered in {}", millis(wait)));
    Error::new(
        Code::QueueFull,
        format!(
            "Exceeds maximum queue size: at most {limit} rows may wait for model `{}`{} \
             (`queue.max_rows`); try again later",
            info.model,
            predicted.unwrap_or_default()
        ),
    )
    .with_retry_after(wait.unwrap_or_default().max(RETRY_AFTER))
}

/// Returns the error of a request that a more urgent one displaced from the queue.
pub(crate) fn displaced(info: &ModelInfo, level: Option<AdmissionLevel>) -> Error {
    let error = Error::new(
        Code::QueueFull,
        format!(
            "Exceeds maximum queue size: a more urgent request took the place in the queue of \
             model `{}`; try again later",
            info.model
        ),
    )
    .with_retry_after(RETRY_AFTER);
    match level {
        Some(level) => error.with_admission_level(level),
        None => error,
    }
}

/// Formats milliseconds with the significant digits only.
fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis < 10.0 {
        true => format!("{millis:.1} ms"),
        false => format!("{millis:.0} ms"),
    }
}

/// Returns the error of a version that has lost every instance.
pub(crate) fn no_instance(info: &ModelInfo) -> Error {
    Error::new(
        Code::EngineLost,
        format!(
            "version `{}` of model `{}` has lost its engine; load the model again",
            info.version, info.model
        ),
    )
}

/// Counter of the requests that are admitted and not answered.
#[derive(Debug, Default)]
pub(crate) struct InFlightCounter {
    count: AtomicUsize,
    empty: Notify,
}

impl InFlightCounter {
    /// Counts a request until the guard is dropped.
    pub(crate) fn track(self: &Arc<Self>) -> InFlightGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        InFlightGuard(Arc::clone(self))
    }

    /// Returns the number of requests in flight.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Resolves when no request is in flight.
    pub(crate) async fn drained(&self) {
        loop {
            // Created before the count is read, so that a guard dropped in between is noticed.
            let empty = self.empty.notified();
            if self.count() == 0 {
                return;
            }
            empty.await;
        }
    }
}

/// Guard of one request in flight; dropping it ends the count.
#[derive(Debug)]
pub(crate) struct InFlightGuard(Arc<InFlightCounter>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}
