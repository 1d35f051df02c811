//! Model files that cannot be served where they lie, and what is expected instead.
//!
//! Rule: an engine opens the file `model.<engine>` of a version. A file with the ending of an engine
//! under another name or outside of a version folder is misplaced, and one with the ending of
//! another format must be converted. All other files are nobody's model.

use std::path::Path;

use super::entries::{Entry, list};

/// Endings of files of other formats: the program that writes them, and the way to ONNX.
const FORMATS: [(&[&str], &str, &str); 9] = [
    (
        &["pt", "pth", "torchscript", "ckpt"],
        "PyTorch",
        "`torch.onnx.export(model, (example,), \"model.onnx\")`",
    ),
    (
        &["safetensors"],
        "Safetensors",
        "`optimum-cli export onnx --model <folder> <folder of the version>`",
    ),
    (
        &["pb"],
        "TensorFlow",
        "`python -m tf2onnx.convert --saved-model <folder> --output model.onnx`",
    ),
    (
        &["keras", "h5", "hdf5"],
        "Keras",
        "`model.export(\"model.onnx\", format=\"onnx\")`",
    ),
    (
        &["tflite"],
        "TensorFlow Lite",
        "`python -m tf2onnx.convert --tflite <file> --output model.onnx`",
    ),
    (
        &["pkl", "pickle", "joblib"],
        "Python pickle",
        "`skl2onnx.to_onnx(model, x)` for scikit-learn",
    ),
    (
        &["ubj", "bst"],
        "XGBoost",
        "`onnxmltools.convert_xgboost(model, initial_types=types)`",
    ),
    (
        &["cbm"],
        "CatBoost",
        "`model.save_model(\"model.onnx\", format=\"onnx\")`",
    ),
    (
        &["mar"],
        "TorchServe",
        "`torch.onnx.export` with the model of the archive",
    ),
];

/// The most files that one sentence names.
const MAX_NAMES: usize = 3;

/// Describes a version without a file that an engine opens: what lies there and what is expected.
/// `engines` are the names of the engines that were tried.
pub(crate) fn missing_artifact(path: &Path, engines: &[&str]) -> String {
    let quoted: Vec<_> = engines.iter().map(|name| format!("`{name}`")).collect();
    let start = format!(
        "`{}` has no model file for {}",
        path.display(),
        quoted.join(", ")
    );
    match describe_version(path, engines) {
        Some(what) => format!("{start}: {what}"),
        None => start,
    }
}

/// Describes the misplaced files of a version folder, or a file that is no artifact; `None` where
/// nothing looks like a model.
pub(super) fn describe_version(path: &Path, engines: &[&str]) -> Option<String> {
    if path.is_file() {
        let expected = engines.first().unwrap_or(&"onnx");
        let what = other_format(path)
            .unwrap_or_else(|| format!("its name does not end with `.{expected}`"));
        return Some(what);
    }
    let entries = list(path, &mut Default::default()).unwrap_or_default();
    let engine = engines
        .iter()
        .find(|engine| !with_ending(&entries, engine).is_empty());
    if let Some(engine) = engine {
        let names = names(&with_ending(&entries, engine));
        return Some(format!("it has {names}; the name must be `model.{engine}`"));
    }
    let formats = entries.iter().filter_map(|entry| other_format(&entry.path));
    let first = formats.into_iter().next()?;
    Some(first)
}

/// Describes the misplaced files directly in a folder of models or in a model folder; nothing where
/// there are none. `expected` is the place of a file of this name, without its ending.
pub(super) fn describe_flat(
    entries: &[Entry],
    engines: &[&str],
    expected: impl Fn(&str, &str) -> String,
) -> Vec<String> {
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_folder) {
        let path = entry.path.display();
        let ending = engines
            .iter()
            .find(|engine| has_ending(&entry.path, engine));
        let stem = entry.path.file_stem().unwrap_or_default().to_string_lossy();
        if let Some(engine) = ending {
            let expected = expected(&stem, engine);
            found.push(format!(
                "`{path}` is not served there: move it to `{expected}`, or serve the file alone \
                 with `lockgate serve {path}`"
            ));
        } else if let Some(what) = other_format(&entry.path) {
            found.push(format!("`{path}` is not served: {what}"));
        }
    }
    found
}

/// Describes a file of another format, with the way to ONNX.
fn other_format(path: &Path) -> Option<String> {
    let mut formats = FORMATS.iter();
    let (_, program, way) =
        formats.find(|(endings, _, _)| endings.iter().any(|ending| has_ending(path, ending)))?;
    let name = path.file_name()?.to_string_lossy();
    Some(format!(
        "`{name}` is a file of {program}, and only ONNX models can be served; convert it, with {way}"
    ))
}

fn has_ending(path: &Path, ending: &str) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
}

fn with_ending<'a>(entries: &'a [Entry], ending: &str) -> Vec<&'a str> {
    let found = entries
        .iter()
        .filter(|entry| has_ending(&entry.path, ending));
    found.map(|entry| entry.name.as_str()).collect()
}

fn names(names: &[&str]) -> String {
    let mut list: Vec<_> = names
        .iter()
        .take(MAX_NAMES)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > MAX_NAMES {
        list.push("others".to_owned());
    }
    list.join(", ")
}
