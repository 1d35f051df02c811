//! The model that sessions are opened from: its file, or a rewritten copy of it in memory.
//!
//! Decision: a file that is no model, and one whose external data is missing or too short, are
//! refused before the runtime opens them, because its message names neither what lies there nor
//! what is expected.

mod foreign;

use std::fs;
use std::iter;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::{Error, Result};
use ort::session::Session as RuntimeSession;
use ort::session::builder::SessionBuilder;

use super::errors::failed;
use super::graph::{self, Inspection, WithoutZipMaps};
use super::model_log::ModelLog;

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
    /// The log of the runtime about this model.
    pub(super) log: Arc<ModelLog>,
    /// The state of all files before the first session is opened.
    states: Vec<FileState>,
}

/// The length, time of modification and inode of a file; `None` where it cannot be read.
type FileState = Option<(u64, i64, i64, u64)>;

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
        let what = foreign::describe(&file).map_err(cannot_read)?;
        if let Some(what) = what {
            return Err(failed(format!("`{}` {what}", file.display())));
        }
        let inspection = graph::inspect(&file);
        let states = states(&file, &inspection);
        check_complete(&file, &inspection)?;
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
            log: Arc::default(),
            states,
        })
    }

    /// Checks that no file has changed since the model was read: sessions opened from a file that
    /// is being replaced have parts of both.
    ///
    /// # Errors
    /// `engine_failed` when a file has changed.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        match states(&self.file, &self.inspection) == self.states {
            true => Ok(()),
            false => Err(failed(format!(
                "`{}` or its external data changed while it was opened; it is opened again once \
                 the files stay the same",
                self.file.display()
            ))),
        }
    }

    /// Returns the names of the classes, where one output of the model tells them.
    pub(super) fn labels(&self) -> Vec<String> {
        match self.rewritten.as_ref().map(|model| &*model.outputs) {
            Some([(_, labels)]) => labels.clone(),
            Some(_) | None => Vec::new(),
        }
    }

    /// Opens a session.
    pub(super) fn commit(&self, builder: SessionBuilder) -> ort::Result<RuntimeSession> {
        let (log, file) = (Arc::clone(&self.log), self.file.clone());
        let mut builder = builder.with_logger(Arc::new(
            move |level, category: &str, _: &str, place: &str, message: &str| {
                log.write(&file, level, category, place, message);
            },
        ))?;
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

fn states(file: &Path, inspection: &Inspection) -> Vec<FileState> {
    let external = inspection.external_data.keys();
    let external = external.map(|location| file.with_file_name(location));
    let state = |file: PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        Some((metadata.len(), seconds, nanoseconds, metadata.ino()))
    };
    iter::once(file.to_owned())
        .chain(external)
        .map(state)
        .collect()
}

/// Checks that a model and its external data have as many bytes as the model says.
fn check_complete(file: &Path, inspection: &Inspection) -> Result<()> {
    let is_incomplete = |path: &Path, reason: String| {
        let path = path.display();
        Err(failed(format!(
            "`{path}` {reason}; it was cut off or is still being copied"
        )))
    };
    if inspection.n_missing_bytes > 0 {
        let reason = format!("ends {} bytes too early", inspection.n_missing_bytes);
        return is_incomplete(file, reason);
    }
    for (location, &n_needed) in &inspection.external_data {
        // The runtime refuses a location outside of the folder of the model.
        let path = file.with_file_name(location);
        let read = foreign::describe_pointer(&path)
            .and_then(|pointer| Ok((pointer, fs::metadata(&path)?.len())));
        match read {
            Err(error) => return Err(missing_data(file, location, &error)),
            Ok((Some(pointer), _)) => {
                return Err(failed(format!("`{}` {pointer}", path.display())));
            }
            Ok((None, n_bytes)) if n_bytes < n_needed => {
                let reason = format!("has {n_bytes} bytes, but the model needs {n_needed}");
                return is_incomplete(&path, reason);
            }
            Ok((None, _)) => {}
        }
    }
    Ok(())
}

/// The most files beside a model that an error lists.
const MAX_NEIGHBOURS: usize = 4;

fn missing_data(file: &Path, location: &str, error: &std::io::Error) -> Error {
    let entries = file.parent().and_then(|folder| fs::read_dir(folder).ok());
    let paths = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut neighbours: Vec<_> = paths
        .filter(|path| path != file && path.is_file())
        .filter_map(|path| Some(format!("`{}`", path.file_name()?.to_str()?)))
        .take(MAX_NEIGHBOURS)
        .collect();
    neighbours.sort_unstable();
    let found = match neighbours.is_empty() {
        true => String::new(),
        false => format!(", where there is {}", neighbours.join(", ")),
    };
    failed(format!(
        "`{}` keeps its weights in the file `{location}`, which cannot be read: {error}; put it \
         beside the model under this name{found}",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use contract::{ElementType, Tensor};

    use super::*;
    use crate::testing::{OnnxModel, dims};

    #[test]
    fn a_change_of_any_file_while_sessions_are_opened_is_noticed() {
        let weights = Tensor::from_values([2].into(), vec![1_f32, 2.0]).unwrap();
        let model = OnnxModel::new()
            .input("x", ElementType::F32, &dims("2"))
            .output("y", ElementType::F32, &dims("2"))
            .external_initializer("weights", &weights, "weights.bin")
            .node("Add", &["x", "weights"], &["y"]);
        let folder = tempfile::tempdir().unwrap();
        let paths = [ARTIFACT, "weights.bin"].map(|name| folder.path().join(name));
        for changed in &paths {
            fs::write(&paths[0], model.to_bytes()).unwrap();
            fs::write(&paths[1], weights.data()).unwrap();
            let source = ModelSource::new(&paths[0]).unwrap();
            source.check_unchanged().unwrap();
            let mut longer = fs::read(changed).unwrap();
            longer.push(0);
            fs::write(changed, longer).unwrap();
            let text = source.check_unchanged().unwrap_err().to_string();
            assert!(text.contains("changed while it was opened"), "{text}");
        }
    }
}
