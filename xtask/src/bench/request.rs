//! Requests of the cases, with the same bytes for every contender.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use loadtest::Random;
use serde_json::json;

/// A request whose body is in a file.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: PathBuf,
    /// The tensor, when the request goes over gRPC.
    pub(super) grpc: Option<Tensor>,
}

/// The only input of a model, of element type FP32.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) model: &'static str,
    pub(super) input: &'static str,
    pub(super) shape: Vec<usize>,
}

/// Returns the input of the network that reads digits, with one row.
pub(super) fn digits() -> Tensor {
    Tensor {
        model: "digits",
        input: "x",
        shape: vec![1, 64],
    }
}

impl Tensor {
    /// Returns one row of a picture with three channels.
    pub(super) fn picture(model: &'static str, side: usize) -> Self {
        Self {
            model,
            input: "x",
            shape: vec![1, 3, side, side],
        }
    }

    fn n_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns pseudo-random elements between 0 and 1, which neither compress nor cache well.
    pub(super) fn elements(&self) -> Vec<f32> {
        let mut random = Random::new(11);
        (0..self.n_elements()).map(|_| random.coarse()).collect()
    }

    fn path(&self) -> String {
        format!("/v2/models/{}/infer", self.model)
    }
}

impl Request {
    /// Creates a request of the simple JSON API with this body.
    pub(super) fn predict(folder: &Path, name: &str, body: &[u8]) -> Result<Self> {
        Ok(Self {
            path: "/predict".to_owned(),
            headers: vec![json_type()],
            body: write(folder, name, body)?,
            grpc: None,
        })
    }

    /// Creates a JSON request of the Open Inference Protocol.
    pub(super) fn infer_json(folder: &Path, tensor: &Tensor, elements: &[f32]) -> Result<Self> {
        let body = infer(tensor, json!({ "data": elements }), &json!({}));
        Ok(Self {
            path: tensor.path(),
            headers: vec![json_type()],
            body: write(folder, &format!("{}-json", tensor.model), &body)?,
            grpc: None,
        })
    }

    /// Creates a request of the Open Inference Protocol with binary tensors, in and out.
    pub(super) fn infer_binary(folder: &Path, tensor: &Tensor, elements: &[f32]) -> Result<Self> {
        let elements = bytes(elements);
        let size = json!({"parameters": {"binary_data_size": elements.len()}});
        let head = infer(tensor, size, &json!({"binary_data_output": true}));
        let length = head.len().to_string();
        let body = [head, elements].concat();
        Ok(Self {
            path: tensor.path(),
            headers: vec![
                ("Content-Type", "application/octet-stream".to_owned()),
                ("Inference-Header-Content-Length", length),
            ],
            body: write(folder, &format!("{}-binary", tensor.model), &body)?,
            grpc: None,
        })
    }

    /// Creates a gRPC request of raw elements, which the load generator wraps in a message.
    pub(super) fn infer_grpc(folder: &Path, tensor: Tensor, elements: &[f32]) -> Result<Self> {
        let name = format!("{}-raw", tensor.model);
        Ok(Self {
            path: String::new(),
            headers: Vec::new(),
            body: write(folder, &name, &bytes(elements))?,
            grpc: Some(tensor),
        })
    }

    /// Returns the same request with one more header.
    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the headers as `Name: value`.
    pub(super) fn header_lines(&self) -> Vec<String> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }
}

/// Returns the row of the example request.
pub(super) fn example_row(example: &str) -> Result<Vec<f32>> {
    #[derive(serde::Deserialize)]
    struct Example {
        data: Vec<Vec<f32>>,
    }
    let example: Example = serde_json::from_str(example).context("the example request")?;
    example
        .data
        .into_iter()
        .next()
        .context("the example request has no row")
}

fn json_type() -> (&'static str, String) {
    ("Content-Type", "application/json".to_owned())
}

fn bytes(elements: &[f32]) -> Vec<u8> {
    elements.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Returns a request of the Open Inference Protocol, whose input has `more` keys.
fn infer(tensor: &Tensor, more: serde_json::Value, parameters: &serde_json::Value) -> Vec<u8> {
    let mut input = json!({"name": tensor.input, "shape": tensor.shape, "datatype": "FP32"});
    if let (Some(input), serde_json::Value::Object(more)) = (input.as_object_mut(), more) {
        input.extend(more);
    }
    json!({"inputs": [input], "parameters": parameters})
        .to_string()
        .into_bytes()
}

/// Writes a body to a file for the load generator.
fn write(folder: &Path, name: &str, body: &[u8]) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.body"));
    fs::write(&path, body).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predict_sends_the_body_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let request = Request::predict(folder.path(), "x", b"{}").unwrap();
        assert_eq!(request.path, "/predict");
        assert_eq!(fs::read(request.body).unwrap(), b"{}");
    }

    #[test]
    fn infer_names_the_input_and_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let request = Request::infer_json(folder.path(), &digits(), &[0.5; 64]).unwrap();
        assert_eq!(request.path, "/v2/models/digits/infer");
        let body = fs::read(request.body).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let input = &body["inputs"][0];
        assert_eq!(input["shape"], json!([1, 64]));
        assert_eq!(input["data"].as_array().unwrap().len(), 64);
    }

    #[test]
    fn the_header_of_a_binary_request_ends_where_its_tensor_starts() {
        let folder = tempfile::tempdir().unwrap();
        let request = Request::infer_binary(folder.path(), &digits(), &[0.5; 64]).unwrap();
        let body = fs::read(request.body).unwrap();
        let n_json_bytes: usize = request.headers[1].1.parse().unwrap();
        let head: serde_json::Value = serde_json::from_slice(&body[..n_json_bytes]).unwrap();
        assert_eq!(head["inputs"][0]["parameters"]["binary_data_size"], 256);
        assert_eq!(body[n_json_bytes..], 0.5_f32.to_le_bytes().repeat(64));
    }

    #[test]
    fn a_picture_over_grpc_is_its_raw_elements() {
        let folder = tempfile::tempdir().unwrap();
        let tensor = Tensor::picture("net", 4);
        let elements = tensor.elements();
        let request = Request::infer_grpc(folder.path(), tensor, &elements).unwrap();
        assert_eq!(fs::read(request.body).unwrap().len(), 3 * 4 * 4 * 4);
        assert_eq!(request.grpc.unwrap().shape, [1, 3, 4, 4]);
    }

    #[test]
    fn the_example_has_one_row() {
        assert_eq!(example_row(r#"{"data": [[1, 2]]}"#).unwrap(), [1.0, 2.0]);
        assert!(example_row(r#"{"data": []}"#).is_err());
    }
}
