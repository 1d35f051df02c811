//! ONNX files of a few nodes, for tests.
//!
//! ```
//! use contract::ElementType;
//! use engines::testing::{OnnxModel, dims};
//!
//! let model = OnnxModel::new()
//!     .input("x", ElementType::F32, &dims("batch,4"))
//!     .output("y", ElementType::F32, &dims("batch,4"))
//!     .node("Relu", &["x"], &["y"]);
//! let folder = std::env::temp_dir();
//! let path = folder.join(format!("engines-doc-{}.onnx", std::process::id()));
//! std::fs::write(&path, model.to_bytes())?;
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), std::io::Error>(())
//! ```

use contract::{Dimension, ElementType, Tensor};

use crate::protobuf::Message;

/// Readable by every ONNX Runtime that is accepted.
const IR_VERSION: u64 = 8;
const OPSET: u64 = 18;
const ML_OPSET: u64 = 3;
const ML_DOMAIN: &str = "ai.onnx.ml";

/// A model under construction.
#[derive(Clone, Debug, Default)]
pub struct OnnxModel {
    graph: Message,
    metadata: Vec<(String, String)>,
    has_ml_operators: bool,
}

/// Dimensions from text: a number, the name of a symbol, or `?` for any size; `""` is a scalar, and
/// `...` any number of dimensions.
#[must_use]
pub fn dims(text: &str) -> Vec<Dimension> {
    let one = |word: &str| match (word.trim(), word.trim().parse()) {
        ("?", _) => Dimension::Dynamic,
        ("...", _) => Dimension::Rest,
        (_, Ok(size)) => Dimension::Fixed(size),
        (symbol, Err(_)) => Dimension::Symbol(symbol.to_owned()),
    };
    let words = text.split(',').filter(|word| !word.is_empty());
    words.map(one).collect()
}

impl OnnxModel {
    /// A model without inputs, outputs or nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A model that repeats one input `x` as its output `y`.
    #[must_use]
    pub fn identity(element_type: ElementType, shape: &str) -> Self {
        Self::new()
            .input("x", element_type, &dims(shape))
            .output("y", element_type, &dims(shape))
            .node("Identity", &["x"], &["y"])
    }

    /// A model that adds `constant` to an `FP32` input `x` and outputs `y`, so that tests can
    /// distinguish versions.
    ///
    /// # Panics
    /// Never: one value has the shape of a scalar.
    #[must_use]
    #[expect(clippy::expect_used, reason = "one value has the shape of a scalar")]
    pub fn adding(constant: f32, shape: &str) -> Self {
        let constant = Tensor::from_values([].into(), vec![constant]).expect("a scalar");
        Self::new()
            .input("x", ElementType::F32, &dims(shape))
            .output("y", ElementType::F32, &dims(shape))
            .initializer("constant", &constant)
            .node("Add", &["x", "constant"], &["y"])
    }

    /// Adds an input.
    #[must_use]
    pub fn input(self, name: &str, element_type: ElementType, dims: &[Dimension]) -> Self {
        self.field(
            11,
            &value_info(name, &tensor_type(data_type(element_type), dims)),
        )
    }

    /// Adds an output.
    #[must_use]
    pub fn output(self, name: &str, element_type: ElementType, dims: &[Dimension]) -> Self {
        self.field(
            12,
            &value_info(name, &tensor_type(data_type(element_type), dims)),
        )
    }

    /// Adds an output that is a sequence of `FP32` tensors, which cannot be served.
    #[must_use]
    pub fn sequence_output(self, name: &str) -> Self {
        let element = tensor_type(data_type(ElementType::F32), &[]);
        let sequence = Message::default().message(1, &element);
        self.field(
            12,
            &value_info(name, &Message::default().message(4, &sequence)),
        )
    }

    /// Adds an output that is a sequence of maps from class labels to `FP32` numbers, as converters
    /// of classifiers write it.
    #[must_use]
    pub fn map_sequence_output(self, name: &str) -> Self {
        let number = tensor_type(data_type(ElementType::F32), &[]);
        let map = Message::default()
            .number(1, data_type(ElementType::Bytes))
            .message(2, &number);
        let element = Message::default().message(5, &map);
        let sequence = Message::default().message(1, &element);
        self.field(
            12,
            &value_info(name, &Message::default().message(4, &sequence)),
        )
    }

    /// Adds a `ZipMap`, which turns a row of scores into a map from class labels.
    #[must_use]
    pub fn zip_map(self, input: &str, output: &str, labels: &[&str]) -> Self {
        let mut attribute = Message::default().bytes(1, "classlabels_strings");
        for label in labels {
            attribute = attribute.bytes(9, label);
        }
        self.ml_node("ZipMap", input, output, &attribute.number(20, 8))
    }

    /// Adds a `ZipMap` with whole numbers as class labels.
    #[must_use]
    pub fn zip_map_of_numbers(self, input: &str, output: &str, labels: &[u64]) -> Self {
        let mut attribute = Message::default().bytes(1, "classlabels_int64s");
        for &label in labels {
            attribute = attribute.number(8, label);
        }
        self.ml_node("ZipMap", input, output, &attribute.number(20, 7))
    }

    fn ml_node(mut self, operator: &str, input: &str, output: &str, attribute: &Message) -> Self {
        self.has_ml_operators = true;
        let node = Message::default()
            .bytes(1, input)
            .bytes(2, output)
            .bytes(4, operator)
            .message(5, attribute)
            .bytes(7, ML_DOMAIN);
        self.field(1, &node)
    }

    /// Adds a node of the standard operator set.
    #[must_use]
    pub fn node(self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(operator, inputs, outputs, &[])
    }

    /// Adds a node with whole numbers as attributes.
    #[must_use]
    pub fn node_with(
        self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, u32)],
    ) -> Self {
        let mut node = Message::default();
        for input in inputs {
            node = node.bytes(1, input);
        }
        for output in outputs {
            node = node.bytes(2, output);
        }
        node = node.bytes(4, operator);
        for &(name, value) in attributes {
            let attribute = Message::default()
                .bytes(1, name)
                .number(3, value.into())
                .number(20, 2);
            node = node.message(5, &attribute);
        }
        self.field(1, &node)
    }

    /// Adds a node that exchanges the dimensions of a tensor.
    #[must_use]
    pub fn transpose(self, input: &str, output: &str, permutation: &[u32]) -> Self {
        let mut attribute = Message::default().bytes(1, "perm");
        for &axis in permutation {
            attribute = attribute.number(8, axis.into());
        }
        let node = Message::default()
            .bytes(1, input)
            .bytes(2, output)
            .bytes(4, "Transpose")
            .message(5, &attribute.number(20, 7));
        self.field(1, &node)
    }

    /// Adds a constant. An input of the same name makes it the default of that input, which is
    /// then optional.
    #[must_use]
    pub fn initializer(self, name: &str, value: &Tensor) -> Self {
        let mut tensor = Message::default();
        for dim in value.shape().dims() {
            tensor = tensor.number(1, *dim as u64);
        }
        tensor = tensor
            .number(2, data_type(value.element_type()))
            .bytes(8, name);
        tensor = match value.element_type().size_bytes() {
            Some(_) => tensor.bytes(9, value.data()),
            None => value
                .strings()
                .fold(tensor, |tensor, string| tensor.bytes(6, string)),
        };
        self.field(5, &tensor)
    }

    /// Adds a constant whose bytes are in the file `file` beside the model.
    #[must_use]
    pub fn external_initializer(self, name: &str, value: &Tensor, file: &str) -> Self {
        let mut tensor = Message::default();
        for dim in value.shape().dims() {
            tensor = tensor.number(1, *dim as u64);
        }
        let location = Message::default().bytes(1, "location").bytes(2, file);
        let n_bytes = value.data().len().to_string();
        let length = Message::default().bytes(1, "length").bytes(2, n_bytes);
        tensor = tensor
            .number(2, data_type(value.element_type()))
            .bytes(8, name)
            .message(13, &location)
            .message(13, &length)
            .number(14, 1);
        self.field(5, &tensor)
    }

    /// Adds an entry of the model's own metadata.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Returns the bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let graph = self.graph.clone().bytes(2, "test");
        let opset = Message::default().bytes(1, "").number(2, OPSET);
        let mut model = Message::default()
            .number(1, IR_VERSION)
            .bytes(2, "lockgate")
            .message(7, &graph)
            .message(8, &opset);
        if self.has_ml_operators {
            let opset = Message::default().bytes(1, ML_DOMAIN).number(2, ML_OPSET);
            model = model.message(8, &opset);
        }
        for (key, value) in &self.metadata {
            model = model.message(14, &Message::default().bytes(1, key).bytes(2, value));
        }
        model.finish()
    }

    fn field(mut self, field: u64, value: &Message) -> Self {
        self.graph = std::mem::take(&mut self.graph).message(field, value);
        self
    }
}

fn value_info(name: &str, value_type: &Message) -> Message {
    Message::default().bytes(1, name).message(2, value_type)
}

fn tensor_type(data_type: u64, dims: &[Dimension]) -> Message {
    let mut shape = Message::default();
    for dim in dims {
        let dim = match dim {
            Dimension::Fixed(size) => Message::default().number(1, *size as u64),
            Dimension::Symbol(name) => Message::default().bytes(2, name),
            Dimension::Dynamic | Dimension::Rest => Message::default(),
        };
        shape = shape.message(1, &dim);
    }
    let tensor = Message::default().number(1, data_type);
    let tensor = match dims == [Dimension::Rest] {
        true => tensor,
        false => tensor.message(2, &shape),
    };
    Message::default().message(1, &tensor)
}

/// Returns the number of an element type in ONNX files.
fn data_type(element_type: ElementType) -> u64 {
    match element_type {
        ElementType::F32 => 1,
        ElementType::U8 => 2,
        ElementType::I8 => 3,
        ElementType::U16 => 4,
        ElementType::I16 => 5,
        ElementType::I32 => 6,
        ElementType::I64 => 7,
        ElementType::Bytes => 8,
        ElementType::Bool => 9,
        ElementType::F16 => 10,
        ElementType::F64 => 11,
        ElementType::U32 => 12,
        ElementType::U64 => 13,
        ElementType::BF16 => 16,
    }
}
