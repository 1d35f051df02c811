//! `Engine` and `Session`: things that run models.
//!
//! An engine opens an artefact and hands out sessions. A session belongs to one thread at a time
//! (`&mut self`), which holds for every runtime; what instances share stays inside the engine.

mod concurrency;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use concurrency::{Concurrency, SessionLayout, SessionMode};

use crate::error::Result;
use crate::model::Signature;
use crate::tensor::Tensor;

/// What to open, and how.
#[derive(Clone, Debug)]
pub struct LoadSpec {
    /// The artefact: a file, or a folder for engines that read folders.
    pub path: PathBuf,
    /// How many sessions to open, and how.
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
    /// Inputs and outputs, from the artefact itself.
    pub signature: Signature,
    /// What the artefact says about itself.
    pub metadata: BTreeMap<String, String>,
    /// How the sessions were made, and why.
    pub layout: SessionLayout,
    /// Why the cost of a run depends on the values of its inputs and not on their shapes alone, such
    /// as "operator `Loop`"; `None` where it follows from the shapes.
    pub data_dependent_cost: Option<String>,
    /// Whether the sessions add rows to a run or cut it into parts, which only models with
    /// independent rows allow.
    pub pads_rows: bool,
    /// The sessions, at least one, and as many as asked for when a number was given.
    pub sessions: Vec<Box<dyn Session>>,
}

/// Opens models of one kind. Called by the repository, off the request path.
pub trait Engine: Send + Sync + fmt::Debug {
    /// Its name in settings, such as `onnx`.
    fn name(&self) -> &'static str;

    /// Its name in the Open Inference Protocol, such as `onnxruntime_onnx`.
    fn platform(&self) -> &'static str;

    /// The framework of its models in plain words, such as `onnx`.
    fn framework(&self) -> &'static str;

    /// The artefact in a version folder that this engine opens, if there is one.
    fn find_artifact(&self, folder: &Path) -> Option<PathBuf>;

    /// Opens an artefact. Blocks; the caller uses a thread that may.
    ///
    /// # Errors
    /// `engine_failed` with what is wrong with the artefact or the options.
    fn load(&self, spec: &LoadSpec) -> Result<LoadedModel>;
}

/// Runs one model on one thread at a time. Called by the instance that owns it.
///
/// What must hold: the same inputs give the same outputs, whatever ran before, failures included;
/// memory of the session goes back when it is dropped.
pub trait Session: Send + fmt::Debug {
    /// Runs `inputs`, one entry per input of the signature and `None` for an optional input that is
    /// left out, and gives the outputs with the positions `outputs`, in that order.
    ///
    /// Inputs have been checked against the signature. Blocks until the model has run.
    ///
    /// # Errors
    /// `engine_failed` when this run failed and the session can go on; `engine_lost` when it cannot.
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>>;

    /// A handle that ends the run in progress; `None` where the engine cannot end one. Asked for
    /// once, before the first run that is watched.
    fn terminator(&self) -> Option<Arc<dyn Terminate>> {
        None
    }
}

/// Ends the run of one session from another thread. Called by the watchdog of runs.
///
/// What must hold: neither method blocks. The caller sees to it that [`Terminate::reset`] follows
/// [`Terminate::terminate`] before the session runs again, and never overlaps with it.
pub trait Terminate: Send + Sync + fmt::Debug {
    /// Asks the run in progress to end as soon as it can. It then fails with any error.
    fn terminate(&self);

    /// Lets the session run again after it was asked to end a run.
    fn reset(&self);
}
