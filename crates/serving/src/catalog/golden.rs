//! Golden requests of a version: examples that it must answer right before it is ready.
//!
//! Inputs: the files `tests/*.json` of a version, in the order of their names, and a decoder of the
//! protocols. Rule: each request runs alone on the first session; every expected output must have
//! its element type and shape, numbers with a fraction must be within the tolerance of the file, NaN
//! equals NaN, and everything else must be equal. The first value that differs fails the load. Cold
//! start: a version without files passes. Recovery: that of any failed load, so a version that is
//! served stays, and a change of the files, the tests included, loads again. Rejected: asking every
//! session, since all of them run the same file with the same settings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use contract::{
    Code, Error, GoldenDecoder, GoldenRequest, ModelInfo, NamedTensor, Result, Session, Tensor,
};
use stats::comparison::{OutputDifference, Tolerance, compare, element_text};

use super::layout::is_visible;

/// The folder of golden requests in a version folder.
const FOLDER: &str = "tests";

/// Far more than the tensors of an example take; the files of all versions are read at each load.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Asks a version all golden requests of its folder; returns their number.
///
/// # Errors
/// `invalid_request` with the file and the key that is wrong, or `engine_failed` with the file, the
/// output and the value that differs.
pub(super) fn check(
    version_folder: &Path,
    decoder: Option<&dyn GoldenDecoder>,
    info: &ModelInfo,
    session: &mut dyn Session,
) -> Result<usize> {
    let folder = version_folder.join(FOLDER);
    let files = files(&folder).map_err(|error| {
        let folder = folder.display();
        Error::invalid(format!(
            "golden requests in `{folder}` cannot be read: {error}"
        ))
    })?;
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let checked = read(file).and_then(|json| check_one(&json, decoder, info, session));
        checked
            .map_err(|error| error.in_context(format_args!("golden request `{FOLDER}/{name}`")))?;
    }
    Ok(files.len())
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // A version that is one file has no folder.
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_json && is_visible(&name) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let failed = |error: io::Error| Error::invalid(format!("it cannot be read: {error}"));
    // Reading a pipe would wait for its writer.
    let metadata = fs::metadata(file).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(Error::invalid(format!(
            "expected a regular file of at most {MAX_FILE_BYTES} bytes"
        )));
    }
    fs::read(file).map_err(failed)
}

fn check_one(
    json: &[u8],
    decoder: Option<&dyn GoldenDecoder>,
    info: &ModelInfo,
    session: &mut dyn Session,
) -> Result<()> {
    let decoder = decoder.ok_or_else(|| Error::invalid("this server reads no golden requests"))?;
    let GoldenRequest {
        inputs,
        outputs: expected,
        absolute_tolerance: absolute,
        relative_tolerance: relative,
    } = decoder.decode(json, info)?;
    let names: Vec<_> = expected.iter().map(|output| output.name.as_str()).collect();
    let in_expected = |error: Error| error.in_context("`expected`");
    let positions = info.signature.bind_outputs(&names).map_err(in_expected)?;
    let in_request = |error: Error| error.in_context("`request`");
    let inputs = info.signature.bind_inputs(inputs).map_err(in_request)?;
    let tensors = session.run(&inputs, &positions)?;
    let answered = expected
        .iter()
        .zip(tensors)
        .map(|(output, tensor)| NamedTensor {
            name: output.name.clone(),
            tensor,
        });
    check_outputs(
        &expected,
        &answered.collect::<Vec<_>>(),
        Tolerance { absolute, relative },
    )
}

fn check_outputs(
    expected: &[NamedTensor],
    answered: &[NamedTensor],
    tolerance: Tolerance,
) -> Result<()> {
    let found = compare(expected, answered, tolerance).outputs;
    let mut pairs = found.iter().zip(expected.iter().zip(answered));
    let differing = pairs.find(|(found, _)| found.n_differing > 0);
    let Some((found, (expected, answered))) = differing else {
        return Ok(());
    };
    let name = &expected.name;
    let what = difference(found, &expected.tensor, &answered.tensor);
    Err(Error::new(
        Code::EngineFailed,
        format!("output `{name}`{what}"),
    ))
}

/// Describes the first difference of an output.
fn difference(found: &OutputDifference, expected: &Tensor, answered: &Tensor) -> String {
    let (wanted, got) = (expected.element_type(), answered.element_type());
    if wanted != got {
        return format!(": expected element type `{wanted}`, got `{got}`");
    }
    let (wanted, got) = (expected.shape(), answered.shape());
    if wanted != got {
        return format!(": expected shape `{wanted}`, got `{got}`");
    }
    let index = found.first_differing.unwrap_or_default();
    let text = |tensor| element_text(tensor, index).unwrap_or_default();
    format!(
        " at `{:?}`: expected `{}`, got `{}`; {} of {} values differ",
        place(index, expected.shape().dims()),
        text(expected),
        text(answered),
        found.n_differing,
        found.n_elements
    )
}

/// Returns the indices of an element by its position in memory.
fn place(position: usize, dims: &[usize]) -> Vec<usize> {
    let mut rest = position;
    let mut indices: Vec<_> = dims
        .iter()
        .rev()
        .map(|&size| {
            let index = rest.checked_rem(size).unwrap_or_default();
            rest = rest.checked_div(size).unwrap_or_default();
            index
        })
        .collect();
    indices.reverse();
    indices
}

#[cfg(test)]
mod tests;
