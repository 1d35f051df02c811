//! The model that sessions are opened from: its file, or a rewritten copy of it in memory.

use std::fs;
use std::path::{Path, PathBuf};

use contract::Result;
use ort::session::Session as RuntimeSession;
use ort::session::builder::SessionBuilder;

use super::errors::failed;
use super::graph::{self, Inspection, WithoutZipMaps};

/// The file name of a model, also inside a folder of that name that holds external data.
pub(super) const ARTIFACT: &str = "model.onnx";

/// The folder of the external data of a model in memory.
const EXTERNAL_DATA_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// A model to open.
#[derive(Debug)]
pub(super) struct ModelSource {
    /// The file of the model.
    pub(super) file: PathBuf,
    /// Facts about the model in the file.
    pub(super) inspection: Inspection,
    /// The model to open instead of the file.
    rewritten: Option<WithoutZipMaps>,
}

impl ModelSource {
    /// Reads the model at `path`: a file, or a folder with the file and its external data.
    ///
    /// # Errors
    /// `engine_failed` when the file cannot be read.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let file = match path.is_dir() {
            true => path.join(ARTIFACT),
            false => path.to_owned(),
        };
        let cannot_read = |error| {
            let file = file.display();
            failed(format!("cannot read the model file `{file}`: {error}"))
        };
        fs::File::open(&file).map_err(cannot_read)?;
        let inspection = graph::inspect(&file);
        let rewritten = match inspection.has_zip_map {
            true => graph::without_zip_maps(&fs::read(&file).map_err(cannot_read)?),
            false => None,
        };
        let outputs = rewritten.iter().flat_map(|model| &model.outputs);
        for (output, labels) in outputs {
            tracing::info!(
                file = %file.display(),
                output,
                n_classes = labels.len(),
                "removed ZipMap from model; its output is a tensor with one column for each class"
            );
        }
        Ok(Self {
            file,
            inspection,
            rewritten,
        })
    }

    /// Returns the names of the classes, where one output of the model tells them.
    pub(super) fn labels(&self) -> Vec<String> {
        match self.rewritten.as_ref().map(|model| &*model.outputs) {
            Some([(_, labels)]) => labels.clone(),
            Some(_) | None => Vec::new(),
        }
    }

    /// Opens a session.
    pub(super) fn commit(&self, mut builder: SessionBuilder) -> ort::Result<RuntimeSession> {
        let Some(model) = &self.rewritten else {
            return builder.commit_from_file(&self.file);
        };
        let folder = match self.file.parent().and_then(Path::to_str) {
            Some("") | None => ".",
            Some(folder) => folder,
        };
        let mut builder = builder.with_config_entry(EXTERNAL_DATA_FOLDER, folder)?;
        builder.commit_from_memory(&model.bytes)
    }
}
