//! Runs models: the handle of one instance to an open session.
//!
//! Decision: several handles may share one session, and each calls the runtime as if it were alone.
//! The runtime documents its `Run` as safe for that; `ort` forbids it because some providers
//! violate this, so only sessions on the CPU are ever shared (see `layout`). Everything that a call
//! writes to belongs to its handle. A run computes all outputs and copies the requested ones: the
//! runtime would execute every node anyway, and so there is one code path for any number of
//! outputs. An arena and the heap would keep the memory of the largest batch; the runs that release
//! it are chosen in `release`.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::iter;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use contract::{Code, Error, Result, Signature, Tensor, Terminate};
use ort::logging::LogLevel;
use ort::memory::MemoryInfo;
use ort::session::{NoSelectedOutputs, RunOptions, Session as RuntimeSession, SharedSessionInner};
use ort::sys::{OrtSession, OrtValue};
use ort::{AsPointer, Error as RuntimeError, ErrorCode};
use rustix::time::{ClockId, clock_gettime};
use smallvec::{SmallVec, smallvec};

use super::errors::{error_text, failed};
use super::memory::{TrimOnDrop, trim};
use super::release::ReleasePolicy;
use super::value::{Value, is_aligned};

/// Inputs or outputs of one run; more than this are rare and cost an allocation.
type Few<T> = SmallVec<[T; 4]>;

/// The options of the runs of one handle, through which another thread ends its run.
struct Options {
    normal: RunOptions<NoSelectedOutputs>,
    /// For runs that release memory; `None` where no arena keeps any between runs.
    trimming: Option<RunOptions<NoSelectedOutputs>>,
}

impl Options {
    fn each(&self) -> impl Iterator<Item = &RunOptions<NoSelectedOutputs>> {
        iter::once(&self.normal).chain(&self.trimming)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

/// The runtime checks its flag before each node, in the bodies of loops too.
impl Terminate for Options {
    fn terminate(&self) {
        for options in self.each() {
            if let Err(error) = options.terminate() {
                tracing::warn!(%error, "failed to terminate run");
            }
        }
    }

    fn reset(&self) {
        for options in self.each() {
            if let Err(error) = options.unterminate() {
                tracing::warn!(%error, "failed to reset session after terminated run");
            }
        }
    }
}

/// A session of the runtime, which may have several handles.
pub(super) struct OpenSession {
    inner: Arc<SharedSessionInner>,
    has_arena: bool,
    /// Shared by all sessions of a model; dropped after the session, because fields drop in order.
    _memory: Arc<TrimOnDrop>,
}

impl OpenSession {
    /// Shares a session of the runtime.
    pub(super) fn new(
        session: &RuntimeSession,
        has_arena: bool,
        memory: &Arc<TrimOnDrop>,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: session.inner(),
            has_arena,
            _memory: Arc::clone(memory),
        })
    }

    /// Returns whether memory is kept between runs and can be released.
    pub(super) fn has_arena(&self) -> bool {
        self.has_arena
    }

    /// Returns the session as the C interface knows it.
    pub(super) fn pointer(&self) -> *const OrtSession {
        self.inner.ptr()
    }
}

/// A handle to a session: the state that one caller needs to run it.
pub(super) struct OnnxSession {
    session: Arc<OpenSession>,
    input_names: Vec<CString>,
    output_names: Vec<CString>,
    options: Arc<Options>,
    release: ReleasePolicy,
    memory: MemoryInfo<'static>,
}

impl OnnxSession {
    /// Creates a handle to `session`, which has this signature.
    pub(super) fn new(session: Arc<OpenSession>, signature: &Signature) -> Result<Self> {
        let options = |trims| run_options(trims).map_err(|error| failed(error_text(&error)));
        let trimming = session.has_arena().then(|| options(true));
        let options = Options {
            normal: options(false)?,
            trimming: trimming.transpose()?,
        };
        Ok(Self {
            session,
            input_names: names(signature.inputs.iter().map(|spec| spec.name.as_str()))?,
            output_names: names(signature.outputs.iter().map(|spec| spec.name.as_str()))?,
            options: Arc::new(options),
            release: ReleasePolicy::default(),
            memory: MemoryInfo::default(),
        })
    }

    /// Runs inputs whose bytes are aligned.
    pub(super) fn run_aligned(
        &self,
        inputs: &[Option<Tensor>],
        requested: &[usize],
    ) -> ort::Result<Vec<Tensor>> {
        self.run_with(&self.options.normal, inputs, requested)
    }

    /// Like [`Self::run_aligned`], and releases memory when that is due.
    fn run_and_release(
        &mut self,
        inputs: &[Option<Tensor>],
        requested: &[usize],
    ) -> ort::Result<Vec<Tensor>> {
        let n_elements = inputs.iter().flatten().map(Tensor::n_elements).sum();
        let releases = self.release.begin(n_elements);
        let trimming = self.options.trimming.as_ref().filter(|_| releases);
        let options = trimming.unwrap_or(&self.options.normal);
        let started = monotonic();
        let outputs = self.run_with(options, inputs, requested);
        let ended = monotonic();
        self.release.end(ended.saturating_sub(started));
        if releases {
            trim();
            self.release.released(monotonic().saturating_sub(ended));
        }
        outputs
    }

    fn run_with(
        &self,
        options: &RunOptions<NoSelectedOutputs>,
        inputs: &[Option<Tensor>],
        requested: &[usize],
    ) -> ort::Result<Vec<Tensor>> {
        let mut given: Few<(&CStr, Value<'_>)> = Few::new();
        for (name, tensor) in self.input_names.iter().zip(inputs) {
            if let Some(tensor) = tensor {
                given.push((name.as_c_str(), Value::reading(tensor, &self.memory)?));
            }
        }
        let outputs = self.call(options, &given)?;
        let tensor = |&index: &usize| match outputs.get(index) {
            Some(Some(value)) => value.to_tensor(),
            Some(None) | None => Err(RuntimeError::new(format!(
                "the model returned no output {index}"
            ))),
        };
        requested.iter().map(tensor).collect()
    }

    /// Calls the runtime with inputs by name and returns all outputs.
    #[expect(
        unsafe_code,
        reason = "runs a session that other handles may be running"
    )]
    fn call<'a>(
        &self,
        options: &RunOptions<NoSelectedOutputs>,
        given: &[(&CStr, Value<'a>)],
    ) -> ort::Result<Few<Option<Value<'a>>>> {
        let names: Few<*const c_char> = given.iter().map(|(name, _)| name.as_ptr()).collect();
        let inputs: Few<*const OrtValue> = given
            .iter()
            .map(|(_, value)| value.pointer().cast_const())
            .collect();
        let requested: Few<*const c_char> =
            self.output_names.iter().map(|name| name.as_ptr()).collect();
        let mut outputs: Few<*mut OrtValue> = smallvec![ptr::null_mut(); requested.len()];
        // SAFETY: the session lives as long as this handle, and a session of several handles is one
        // on the CPU, which the runtime lets several threads run at once. Names end with NUL,
        // and they and the values are borrowed until the call is over; each array has as many
        // entries as stated; the options and the array of outputs belong to this call alone.
        let status = unsafe {
            (ort::api().Run)(
                self.session.pointer().cast_mut(),
                options.ptr(),
                names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                requested.as_ptr(),
                requested.len(),
                outputs.as_mut_ptr(),
            )
        };
        // Taken over before the status is checked, so that nothing leaks either way. An output may
        // be an input passed through, hence its lifetime.
        let outputs = outputs.into_iter().map(Value::given).collect();
        // SAFETY: the status comes from the call above and is read once.
        unsafe { RuntimeError::result_from_status(status) }?;
        Ok(outputs)
    }
}

fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<CString>> {
    names
        .map(|name| {
            CString::new(name)
                .map_err(|_| failed(format!("the name {name:?} contains a NUL character")))
        })
        .collect()
}

/// Builds the options of runs, which release the memory of an arena at their end if `trims`.
fn run_options(trims: bool) -> ort::Result<RunOptions<NoSelectedOutputs>> {
    let mut options = RunOptions::new()?;
    // A failed run comes back as an error; the runtime need not log it as well.
    options.set_log_level(LogLevel::Fatal)?;
    if trims {
        options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
    }
    Ok(options)
}

impl fmt::Debug for OnnxSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxSession")
            .field("inputs", &self.input_names)
            .finish_non_exhaustive()
    }
}

impl contract::Session for OnnxSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let outcome = match inputs.iter().flatten().all(is_aligned) {
            true => self.run_and_release(inputs, outputs),
            false => {
                let aligned: Vec<_> = inputs
                    .iter()
                    .map(|tensor| tensor.as_ref().map(Tensor::aligned))
                    .collect();
                self.run_and_release(&aligned, outputs)
            }
        };
        outcome.map_err(|error| run_error(&error))
    }

    fn release_memory(&mut self) {
        self.release.reset();
    }

    fn terminator(&self) -> Option<Arc<dyn Terminate>> {
        Some(Arc::<Options>::clone(&self.options))
    }
}

fn run_error(error: &RuntimeError) -> Error {
    let is_lost = error.code() == ErrorCode::DeviceReset;
    let failed = match is_lost {
        true => Error::new(Code::EngineLost, "the device of the model was reset"),
        false => failed("the model failed on these inputs".to_owned()),
    };
    failed.with_diagnostic(error_text(error))
}
