//! Files that are no ONNX models, recognized by their first bytes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// More than any known start has.
const MAX_START_BYTES: u64 = 64;

/// The first bytes of files that stand for other files, with what is expected.
const POINTERS: [(&[u8], &str); 2] = [
    (
        b"version https://git-lfs.github.com/spec/",
        "is a Git LFS pointer and not the file itself; run `git lfs pull` where it was cloned",
    ),
    (
        b"/annex/objects/",
        "is a git-annex pointer and not the file itself; run `git annex get` where it was cloned",
    ),
];

/// The first bytes of files of other formats, with what is expected. No model starts so.
const FORMATS: [(&[u8], &str); 7] = [
    (
        b"PK\x03\x04",
        "is a ZIP archive, as PyTorch saves models, and not an ONNX model; export the model with \
         `torch.onnx.export`",
    ),
    (
        b"\x80\x02",
        "is a Python pickle and not an ONNX model; export the model to ONNX",
    ),
    (
        b"\x80\x04",
        "is a Python pickle and not an ONNX model; export the model to ONNX",
    ),
    (
        b"\x80\x05",
        "is a Python pickle and not an ONNX model; export the model to ONNX",
    ),
    (
        b"\x89HDF",
        "is an HDF5 file, as Keras saves models, and not an ONNX model; export the model to ONNX",
    ),
    (b"\x1f\x8b", "is compressed with gzip; decompress it"),
    (
        b"<",
        "is a web page or XML and not an ONNX model; was an error page downloaded in its place?",
    ),
];

/// Returns what is in a file that is no model; `None` where it may be one.
///
/// # Errors
/// The error of the system when the file cannot be read.
pub(super) fn describe(file: &Path) -> io::Result<Option<&'static str>> {
    let start = start(file)?;
    if start.is_empty() {
        return Ok(Some("is empty; expected an ONNX model"));
    }
    let known = POINTERS.iter().chain(&FORMATS);
    Ok(find(known, &start))
}

/// Returns what is in a file that only points to another one.
///
/// # Errors
/// The error of the system when the file cannot be read.
pub(super) fn describe_pointer(file: &Path) -> io::Result<Option<&'static str>> {
    Ok(find(POINTERS.iter(), &start(file)?))
}

fn start(file: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut start = Vec::new();
    File::open(file)?
        .take(MAX_START_BYTES)
        .read_to_end(&mut start)?;
    Ok(start)
}

fn find<'a>(
    mut known: impl Iterator<Item = &'a (&'a [u8], &'static str)>,
    start: &[u8],
) -> Option<&'static str> {
    let (_, what) = known.find(|(first, _)| start.starts_with(first))?;
    Some(what)
}
