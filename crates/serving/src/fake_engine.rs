//! Engine for tests: the text in `model.fake` describes the behavior of the model.
//!
//! One word per line: `add 3` (the output is the input plus 3), `fixed` (no batch dimension),
//! `wide` (a second dynamic dimension), `fail` (cannot be opened), `panic` (opening panics),
//! `refuse 2` (every run with 2 rows fails), `lose` (every run loses the session), `peak` (the
//! output is divided by the largest number of all rows), `pads` (sessions pad runs unless batching
//! is off), `gate` (runs wait until the gate opens). Golden requests are lines such as `1 2 = 4 5`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use contract::{
    Code, Dimension, ElementType, Engine, Error, GoldenDecoder, GoldenRequest, InferRequest,
    LoadSpec, LoadedModel, ModelInfo, NamedTensor, RequestId, Result, Session, SessionLayout,
    Shape, Signature, Tensor, TensorSpec,
};

/// The name of the input and of the output.
pub(crate) const INPUT: &str = "x";

/// Engine that counts the sessions it opens and those still open.
#[derive(Debug, Default)]
pub(crate) struct FakeEngine {
    /// The sessions that exist.
    pub(crate) n_open: Arc<AtomicUsize>,
    /// The most sessions that ever existed at once.
    pub(crate) n_most_open: AtomicUsize,
    /// The artifacts that were opened, or failed to open.
    pub(crate) n_loads: AtomicUsize,
    /// The runs of all sessions.
    pub(crate) n_runs: Arc<AtomicUsize>,
    /// The gate that runs with `gate` wait for.
    pub(crate) gate: Arc<Gate>,
}

/// A gate for runs, closed at first.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// Lets every run pass from now on.
    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(
            self.opened
                .wait_while(is_open, |is_open| !*is_open)
                .unwrap(),
        );
    }
}

#[derive(Debug, Default)]
struct FakeSession {
    addend: f32,
    refused_rows: Option<usize>,
    is_lost: bool,
    has_peak: bool,
    gate: Option<Arc<Gate>>,
    n_open: Arc<AtomicUsize>,
    n_runs: Arc<AtomicUsize>,
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        self.n_open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Session for FakeSession {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        self.n_runs.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        if self.is_lost {
            return Err(Error::new(Code::EngineLost, "the device is gone"));
        }
        let input = inputs[0].as_ref().unwrap();
        if self.refused_rows == Some(input.n_rows()) {
            return Err(Error::new(Code::EngineFailed, "node `Reshape` refuses"));
        }
        let values = input.to_vec::<f32>().unwrap();
        let peak = match self.has_peak {
            true => values
                .iter()
                .fold(0.0, |peak: f32, value| peak.max(value.abs())),
            false => 1.0,
        };
        let values = values
            .iter()
            .map(|value| value / peak + self.addend)
            .collect();
        let output = Tensor::from_values(input.shape().clone(), values)?;
        Ok(outputs.iter().map(|_| output.clone()).collect())
    }
}

fn signature(words: &BTreeMap<String, String>) -> Signature {
    let rows = match words.contains_key("fixed") {
        true => Dimension::Fixed(1),
        false => Dimension::Symbol("batch".to_owned()),
    };
    let columns = match words.contains_key("wide") {
        true => Dimension::Symbol("width".to_owned()),
        false => Dimension::Fixed(2),
    };
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: vec![rows.clone(), columns.clone()],
        is_optional: false,
    };
    Signature {
        inputs: vec![spec(INPUT)],
        outputs: vec![spec("y")],
    }
}

impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn platform(&self) -> &'static str {
        "fake_platform"
    }

    fn framework(&self) -> &'static str {
        "fake"
    }

    fn find_artifact(&self, folder: &Path) -> Option<PathBuf> {
        let path = folder.join("model.fake");
        path.is_file().then_some(path)
    }

    fn load(&self, spec: &LoadSpec) -> Result<LoadedModel> {
        self.n_loads.fetch_add(1, Ordering::SeqCst);
        let text = fs::read_to_string(&spec.path).unwrap();
        let pairs = text
            .lines()
            .map(|line| line.split_once(' ').unwrap_or((line, "")));
        let words: BTreeMap<_, _> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert!(!words.contains_key("panic"), "the model panics when opened");
        if words.contains_key("fail") {
            return Err(Error::new(Code::EngineFailed, "the file is not a model"));
        }
        let session = || -> Box<dyn Session> {
            let n_open = self.n_open.fetch_add(1, Ordering::SeqCst) + 1;
            self.n_most_open.fetch_max(n_open, Ordering::SeqCst);
            Box::new(FakeSession {
                addend: words.get("add").map_or(0.0, |word| word.parse().unwrap()),
                refused_rows: words.get("refuse").map(|word| word.parse().unwrap()),
                is_lost: words.contains_key("lose"),
                has_peak: words.contains_key("peak"),
                gate: words.contains_key("gate").then(|| Arc::clone(&self.gate)),
                n_open: Arc::clone(&self.n_open),
                n_runs: Arc::clone(&self.n_runs),
            })
        };
        let (n_sessions, threads) = spec.concurrency.or_one_per_core();
        Ok(LoadedModel {
            signature: signature(&words),
            metadata: BTreeMap::new(),
            data_dependent_cost: None,
            labels: Vec::new(),
            layout: SessionLayout {
                is_shared: false,
                threads,
                provider: "cpu".to_owned(),
                reason: "the fake engine shares nothing".to_owned(),
            },
            pads_rows: words.contains_key("pads") && spec.max_batch_rows.is_some(),
            sessions: (0..n_sessions.get()).map(|_| session()).collect(),
        })
    }
}

/// Builds a request of one row of two zeros.
pub(crate) fn request() -> InferRequest {
    let tensor = Tensor::from_values(Shape::new(&[1, 2]), vec![0.0_f32, 0.0]).unwrap();
    let input = NamedTensor {
        name: INPUT.to_owned(),
        tensor,
    };
    InferRequest::new(RequestId::new("test"), vec![input])
}

/// Decoder of golden requests of one row: `1 2 = 4 5` is the request `[[1, 2]]` with the expected
/// output `[[4, 5]]`.
#[derive(Debug)]
pub(crate) struct FakeGoldenDecoder;

impl GoldenDecoder for FakeGoldenDecoder {
    fn decode(&self, text: &[u8], _: &ModelInfo) -> Result<GoldenRequest> {
        let text = String::from_utf8_lossy(text);
        let (inputs, outputs) = text
            .split_once('=')
            .ok_or_else(|| Error::invalid("expected `INPUTS = OUTPUTS`"))?;
        let row = |name: &str, text: &str| {
            let numbers = text.split_whitespace().map(|number| number.parse());
            let numbers: Vec<f32> = numbers.collect::<Result<_, _>>().unwrap();
            vec![NamedTensor {
                name: name.to_owned(),
                tensor: Tensor::from_values([1, numbers.len()].into(), numbers).unwrap(),
            }]
        };
        Ok(GoldenRequest {
            inputs: row(INPUT, inputs),
            outputs: row("y", outputs),
            absolute_tolerance: 1e-5,
            relative_tolerance: 1e-3,
        })
    }
}
