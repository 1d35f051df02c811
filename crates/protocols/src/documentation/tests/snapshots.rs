//! Every stored reply of this crate's snapshots fits the document.

use std::fs;
use std::path::{Path, PathBuf};

use api::testing::{Reply, check_reply};
use serde_json::json;

use super::*;

/// Snapshots of replies to one operation, which they do not name.
const OPERATIONS: [(&str, &str, &str); 4] = [
    ("native__feedback", "POST", "/v1/feedback"),
    ("an_image_over_the_limit", "POST", "/predict/image"),
    ("a_report_has_every_part", "POST", "/api/compare"),
    ("counters_keep_their_meaning", "GET", "/v2/models/stats"),
];

/// A reply in the text of a snapshot.
struct StoredReply {
    method: String,
    path: String,
    status: u16,
    json: Value,
}

fn snapshot_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            None => snapshot_files(&path, files),
            Some(extension) if extension == "snap" => files.push(path),
            Some(_) => {}
        }
    }
}

/// Parses a line such as `> GET /v2`, or `>>> /predict {}`, where only a `POST` has a body.
fn request(line: &str) -> Option<(String, String)> {
    if let Some(call) = line.strip_prefix(">>> ") {
        let (path, body) = call.split_once(' ')?;
        let method = if body.is_empty() { "GET" } else { "POST" };
        return Some((method.to_owned(), path.to_owned()));
    }
    let (method, rest) = line.strip_prefix("> ")?.split_once(' ')?;
    let path = rest.split(' ').next()?;
    let is_request = path.starts_with('/') && method.chars().all(|c| c.is_ascii_uppercase());
    is_request.then(|| (method.to_owned(), path.to_owned()))
}

/// Parses a line such as `< 200`, `200 OK`, `HTTP/1.1 200 OK` or `    200 {}`.
fn status(line: &str) -> Option<u16> {
    let line = line
        .trim_start_matches("< ")
        .trim_start_matches("HTTP/1.1 ");
    let word = line.split_whitespace().next()?;
    word.parse().ok().filter(|_| word.len() == 3)
}

/// Returns the JSON object or array that begins in the line of the status, which is the first, or
/// starts a later line before the next request.
fn body(lines: &[&str]) -> Option<Value> {
    let lines = lines.iter().take_while(|line| !line.starts_with('>'));
    let lines: Vec<_> = lines.map(|line| line.trim_start_matches("< ")).collect();
    let (first, later) = lines.split_first()?;
    let text = match first.find(['{', '[']).and_then(|at| first.get(at..)) {
        Some(text) => text.to_owned(),
        None => {
            let mut later = later.iter().copied();
            let start = later.by_ref().find(|line| line.starts_with(['{', '[']))?;
            std::iter::once(start).chain(later).collect()
        }
    };
    let mut values = serde_json::Deserializer::from_str(&text).into_iter();
    values.next()?.ok()
}

/// Undoes the placeholders of what differs from run to run.
fn restore(value: &mut Value) {
    match value.as_str() {
        Some("[milliseconds]") => *value = json!(0.5),
        Some("measured") => *value = Value::Null,
        _ => {}
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(restore),
        Value::Array(items) => items.iter_mut().for_each(restore),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn stored_replies(name: &str, text: &str) -> Vec<StoredReply> {
    let known = OPERATIONS.iter().find(|(part, ..)| name.contains(part));
    let mut call = known.map(|(_, method, path)| ((*method).to_owned(), (*path).to_owned()));
    let lines: Vec<_> = text.lines().collect();
    let mut replies = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        call = request(line).or(call);
        let (Some((method, path)), Some(status)) = (&call, status(line)) else {
            continue;
        };
        if let Some(mut json) = body(&lines[number..]) {
            restore(&mut json);
            replies.push(StoredReply {
                method: method.clone(),
                path: path.clone(),
                status,
                json,
            });
        }
    }
    replies
}

/// Returns whether a reply is described elsewhere.
fn is_foreign(name: &str, reply: &StoredReply) -> bool {
    // Documents of a double, which the routes pass on as they are; an end-to-end test has real ones.
    let is_of_double = name.contains("admin__rollouts") && reply.status < 400;
    // Shared memory of Triton is not offered, so its routes are not documented.
    is_of_double || reply.path.contains("sharedmemory")
}

#[tokio::test]
async fn every_stored_reply_fits_the_document() {
    let document = document(Vec::new()).await;
    let mut files = Vec::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    snapshot_files(&source, &mut files);
    let (mut wrong, mut n_replies) = (Vec::new(), 0);
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(file).unwrap();
        let text = text.splitn(3, "---\n").nth(2).unwrap();
        for stored in stored_replies(name, text) {
            n_replies += 1;
            // Other paths of the same operations.
            let path = stored.path.replace("/repository/any/", "/repository/");
            let path = if path == "/v2/" { "/v2" } else { &path };
            let reply = Reply {
                method: &stored.method,
                path,
                status: stored.status,
                media_type: "application/json",
                json: Some(&stored.json),
            };
            match check_reply(&document, reply) {
                Err(error) if !is_foreign(name, &stored) => {
                    wrong.push(format!("{name}: {} {path}: {error}", stored.method));
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(n_replies > 250, "{n_replies}");
}
