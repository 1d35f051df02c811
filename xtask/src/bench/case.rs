//! The cases, who takes part in each, and their requests.
//!
//! Decision: every contender of a case gets the very same bytes, made from the example request of
//! the repository: one row of the 64-128-64-10 network that reads digits.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::build::Built;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Case {
    /// One row as simple JSON.
    Predict,
    /// One row as JSON of the Open Inference Protocol.
    InferJson,
    /// One row as a binary tensor of the Open Inference Protocol, in and out.
    InferBinary,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Contender {
    /// Hyper alone: reads the body and answers 250 fixed bytes.
    Echo,
    /// FastAPI, pydantic and ONNX Runtime, one uvicorn worker per core.
    Fastapi,
    /// The release build with default settings, but without the access log.
    Lockgate,
}

impl Case {
    pub(super) const ALL: [Self; 3] = [Self::Predict, Self::InferJson, Self::InferBinary];

    /// Those that speak the protocol of the case; the echo speaks all.
    pub(super) fn contenders(self) -> &'static [Contender] {
        match self {
            Self::Predict => &[Contender::Echo, Contender::Fastapi, Contender::Lockgate],
            Self::InferJson | Self::InferBinary => &[Contender::Echo, Contender::Lockgate],
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Predict => "/predict",
            Self::InferJson | Self::InferBinary => "/v2/models/digits/infer",
        }
    }

    /// What a reader of the table sees.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Predict => "one row of 64 numbers as JSON, `POST /predict`",
            Self::InferJson => "the same as JSON, `POST /v2/models/digits/infer`",
            Self::InferBinary => "the same as binary tensors, `POST /v2/models/digits/infer`",
        }
    }

    /// The headers that belong to the body at this path.
    pub(super) fn headers(self, body: &Path) -> Result<Vec<(&'static str, String)>> {
        match self {
            Self::Predict | Self::InferJson => {
                Ok(vec![("Content-Type", "application/json".to_owned())])
            }
            Self::InferBinary => {
                let n_bytes = fs::metadata(body).context("the body")?.len();
                let n_tensor_bytes = (N_NUMBERS * size_of::<f32>()) as u64;
                Ok(vec![
                    ("Content-Type", "application/octet-stream".to_owned()),
                    (
                        "Inference-Header-Content-Length",
                        (n_bytes - n_tensor_bytes).to_string(),
                    ),
                ])
            }
        }
    }

    /// Writes the body where the load generator finds it.
    pub(super) fn write_body(self, built: &Built) -> Result<PathBuf> {
        let example = fs::read_to_string(&built.example).context("the example request")?;
        let path = built.folder.join(format!("{self}.body"));
        fs::write(&path, self.body(&example)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn body(self, example: &str) -> Result<Vec<u8>> {
        match self {
            Self::Predict => Ok(example.trim_end().as_bytes().to_vec()),
            Self::InferJson => Ok(infer(json!({"data": row(example)?}), &json!({}))),
            Self::InferBinary => {
                let tensor: Vec<u8> = row(example)?
                    .into_iter()
                    .flat_map(f32::to_le_bytes)
                    .collect();
                let size = json!({"parameters": {"binary_data_size": tensor.len()}});
                let binary_output = json!({"binary_data_output": true});
                Ok([infer(size, &binary_output), tensor].concat())
            }
        }
    }
}

/// Numbers of one row.
const N_NUMBERS: usize = 64;

/// The row of the example request.
fn row(example: &str) -> Result<Vec<f32>> {
    #[derive(serde::Deserialize)]
    struct Example {
        data: Vec<Vec<f32>>,
    }
    let example: Example = serde_json::from_str(example).context("the example request")?;
    example.data.into_iter().next().context("a row")
}

/// A request of the Open Inference Protocol, whose input has `more` keys.
fn infer(more: serde_json::Value, parameters: &serde_json::Value) -> Vec<u8> {
    let mut input = json!({"name": "x", "shape": [1, N_NUMBERS], "datatype": "FP32"});
    if let (Some(input), serde_json::Value::Object(more)) = (input.as_object_mut(), more) {
        input.extend(more);
    }
    json!({"inputs": [input], "parameters": parameters})
        .to_string()
        .into_bytes()
}

impl Contender {
    /// As in the flag `--only`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Fastapi => "fastapi",
            Self::Lockgate => "lockgate",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Predict => "predict",
            Self::InferJson => "infer-json",
            Self::InferBinary => "infer-binary",
        })
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Echo => "raw hyper echo",
            Self::Fastapi => "FastAPI + ONNX Runtime",
            Self::Lockgate => "Lockgate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> String {
        json!({"data": [vec![0.5; N_NUMBERS]], "model": "digits"}).to_string()
    }

    #[test]
    fn predict_sends_the_example_as_it_is() {
        let body = Case::Predict.body(&example()).unwrap();
        assert_eq!(body, example().into_bytes());
    }

    #[test]
    fn infer_names_the_input_and_its_shape() {
        let body = Case::InferJson.body(&example()).unwrap();
        let request: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let input = &request["inputs"][0];
        assert_eq!(input["shape"], json!([1, 64]));
        assert_eq!(input["data"].as_array().unwrap().len(), 64);
    }

    #[test]
    fn the_header_of_a_binary_request_ends_where_its_tensor_starts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        let body = Case::InferBinary.body(&example()).unwrap();
        fs::write(&path, &body).unwrap();
        let headers = Case::InferBinary.headers(&path).unwrap();
        let n_json_bytes: usize = headers[1].1.parse().unwrap();
        let head: serde_json::Value = serde_json::from_slice(&body[..n_json_bytes]).unwrap();
        assert_eq!(head["inputs"][0]["parameters"]["binary_data_size"], 256);
        assert_eq!(body[n_json_bytes..], 0.5_f32.to_le_bytes().repeat(64));
    }
}
