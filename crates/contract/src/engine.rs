//! `Engine` and `Session`: the interface to libraries that run models.
//!
//! An engine opens an artifact and hands out sessions. A session belongs to one thread at a time
//! (`&mut self`), which holds for every runtime; what instances share stays inside the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::concurrency::{Concurrency, SessionLayout};
use crate::error::Result;
use crate::model::Signature;
use crate::tensor::Tensor;

/// The artifact to open, and the options for opening it.
#[derive(Clone, Debug)]
pub struct LoadSpec {
    /// The artifact: a file, or a folder for engines that read folders.
    pub path: PathBuf,
    /// The number of sessions to open, and their threads and mode.
    pub concurrency: Concurrency,
    /// The most rows that waiting requests are joined to, where the signature allows it; `None`
    /// where each request runs as it is.
    pub max_batch_rows: Option<NonZeroUsize>,
    /// The execution provider, such as `cpu` or `openvino`; `None` for the engine's own choice.
    pub provider: Option<String>,
    /// Options of the provider and of the session, as the engine names them.
    pub options: BTreeMap<String, String>,
}

/// An opened model.
#[derive(Debug)]
pub struct LoadedModel {
    /// Inputs and outputs, from the artifact itself.
    pub signature: Signature,
    /// Metadata from the artifact itself.
    pub metadata: BTreeMap<String, String>,
    /// The layout that the engine chose for the sessions, with its reason.
    pub layout: SessionLayout,
    /// The reason why the cost of a run depends on the values of its inputs and not on their shapes
    /// alone, such as "operator `Loop`"; `None` where it follows from the shapes.
    pub data_dependent_cost: Option<String>,
    /// The names of the classes, where the artifact tells them.
    pub labels: Vec<String>,
    /// True when the sessions add rows to a run or cut it into parts, which only models with
    /// independent rows allow.
    pub pads_rows: bool,
    /// The sessions, at least one, and as many as requested when a number was given.
    pub sessions: Vec<Box<dyn Session>>,
}

/// Opens models of one kind. Called by the repository, off the request path.
pub trait Engine: Send + Sync + fmt::Debug {
    /// Returns its name in settings, such as `onnx`.
    fn name(&self) -> &'static str;

    /// Returns its name in the Open Inference Protocol, such as `onnxruntime_onnx`.
    fn platform(&self) -> &'static str;

    /// Returns the framework of its models, such as `onnx`.
    fn framework(&self) -> &'static str;

    /// Returns the artifact in a version folder that this engine opens, if there is one.
    fn find_artifact(&self, folder: &Path) -> Option<PathBuf>;

    /// Returns the files that belong to an artifact that is a single file, such as external data.
    /// Called at every scan, so it reads little.
    fn companions(&self, artifact: &Path) -> Vec<PathBuf> {
        let _ = artifact;
        Vec::new()
    }

    /// Opens an artifact. Blocks, so the caller uses a thread that may block.
    ///
    /// # Errors
    /// `engine_failed` with what is wrong with the artifact or the options.
    fn load(&self, spec: &LoadSpec) -> Result<LoadedModel>;
}

/// Runs one model on one thread at a time. Called by the instance that owns it.
///
/// Contract: the same inputs give the same outputs, whatever ran before, failures included;
/// dropping the session frees its memory.
pub trait Session: Send + fmt::Debug {
    /// Runs `inputs`, one entry per input of the signature and `None` for an optional input that is
    /// left out, and returns the outputs at the positions `outputs`, in that order.
    ///
    /// Inputs have been checked against the signature. Blocks until the model has run.
    ///
    /// # Errors
    /// `engine_failed` when this run failed and the session can go on, `engine_lost` when it cannot
    /// go on.
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>>;

    /// Has the next run release the memory that the runs before have left, and forgets their sizes.
    /// Called after the runs of a load, whose batches may be larger than those of callers.
    fn release_memory(&mut self) {}

    /// Returns a handle that ends the run in progress; `None` where the engine cannot end one.
    /// Called before the first run that may be ended.
    fn terminator(&self) -> Option<Arc<dyn Terminate>> {
        None
    }
}

/// Ends the run of one session from another thread. Called by the watchdog of runs.
///
/// Contract: neither method blocks. The caller calls [`Terminate::reset`] after
/// [`Terminate::terminate`], before the session runs again, and never at the same time.
pub trait Terminate: Send + Sync + fmt::Debug {
    /// Asks the run in progress to end as soon as it can. It then fails with any error.
    fn terminate(&self);

    /// Lets the session run again after [`Terminate::terminate`].
    fn reset(&self);
}
