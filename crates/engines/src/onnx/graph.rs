//! Inspects the graph of a model before it is opened: its external data, a `ZipMap` at its end, and
//! whether the cost of a run depends on the values of its inputs.
//!
//! Input: the file of the model. Rule: the cost depends on values when a node has a subgraph
//! (`Loop`, `If`, `Scan`, `SequenceMap`, generation), when a size of a tensor is computed from the
//! values of an input (the shape of a `Reshape`, the limit of a `Range`, the count of a `NonZero`),
//! and when the file cannot be read. Values of `Shape` and `Size` follow from shapes, so a size
//! computed from them does not count. Functions of the model are analyzed as if each of their
//! inputs were data. Rejected: measuring alone, because one request then decides about the next,
//! and a list of operators alone, which flags every export with a computed `Reshape`.

mod declarations;
mod protobuf;
mod zip_map;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::iter;
use std::mem;
use std::ops::ControlFlow;
use std::path::Path;

use protobuf::{Malformed, Message, Source};
use zip_map::ZIP_MAP;

pub(super) use declarations::ExternalData;
pub(super) use zip_map::{WithoutZipMaps, without_zip_maps};

/// The most nodes of one model; the largest known ones have some tens of thousands.
const MAX_NODES: usize = 1_000_000;

/// The most rounds in which data spreads to nodes listed before those that they read from. The
/// format requires a sorted list, which takes two.
const MAX_ROUNDS: usize = 64;

/// The first version of the format in which callers may replace an initializer that is also an
/// input; before, every initializer had to be listed as an input.
const FIRST_WITH_OVERRIDES: u64 = 4;

/// The highest number of a field of a model.
const MAX_FIELD_OF_MODEL: u64 = 30;

/// Operators whose outputs follow from shapes, whatever the values.
const OF_SHAPES: [&str; 2] = ["Shape", "Size"];

/// Operators whose output size depends on the values of their input.
const COUNTING: [&str; 4] = ["NonZero", "Unique", "Compress", "NonMaxSuppression"];

/// Operators that generate until a condition holds.
const GENERATING: [&str; 4] = [
    "BeamSearch",
    "GreedySearch",
    "Sampling",
    "WhisperBeamSearch",
];

/// Operators with inputs that are sizes, and the positions of these from `first` to `last`.
const SIZED: [(&str, usize, usize); 20] = [
    ("Reshape", 1, 1),
    ("Expand", 1, 1),
    ("ConstantOfShape", 0, 0),
    ("Range", 0, 2),
    ("Tile", 1, 2),
    ("Resize", 1, 3),
    ("Upsample", 1, 1),
    ("Pad", 1, 3),
    ("TopK", 1, 1),
    ("OneHot", 1, 1),
    ("Slice", 1, 4),
    ("Split", 1, 1),
    ("CenterCropPad", 1, 1),
    ("AffineGrid", 1, 1),
    ("MaxUnpool", 2, 2),
    ("Col2Im", 1, 2),
    ("DFT", 1, 1),
    ("STFT", 1, 3),
    ("MelWeightMatrix", 0, 4),
    ("SplitToSequence", 1, 1),
];

/// Windows whose length is their only input.
const WINDOWS: [&str; 3] = ["HannWindow", "HammingWindow", "BlackmanWindow"];

/// Facts about a model that its graph tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inspection {
    /// The reason why the cost of a run depends on the values of its inputs; `None` where it
    /// follows from shapes.
    pub(super) data_dependent_cost: Option<String>,
    /// True if a node is a `ZipMap`.
    pub(super) has_zip_map: bool,
    /// The external data of its initializers.
    pub(super) external_data: ExternalData,
    /// The bytes by which the file is too short for the fields that it starts.
    pub(super) n_missing_bytes: u64,
    /// The inputs and outputs whose declaration has no shape.
    pub(super) unranked: HashSet<String>,
}

/// Inspects the model in a file.
pub(super) fn inspect(file: &Path) -> Inspection {
    let model = File::open(file)
        .map_err(Malformed::from)
        .and_then(|file| Model::read(BufReader::new(file)));
    match model {
        Ok(mut model) => Inspection {
            has_zip_map: model.has_zip_map(),
            external_data: mem::take(&mut model.graph.external_data),
            n_missing_bytes: 0,
            unranked: mem::take(&mut model.graph.unranked),
            data_dependent_cost: model.data_dependent_cost(),
        },
        Err(_) => Inspection {
            has_zip_map: false,
            external_data: ExternalData::new(),
            n_missing_bytes: n_missing_bytes(file).unwrap_or(0),
            unranked: HashSet::new(),
            data_dependent_cost: Some(
                "the operators of the model, which cannot be read".to_owned(),
            ),
        },
    }
}

/// Returns by how many bytes a file is too short for the fields of a model that it starts.
fn n_missing_bytes(file: &Path) -> Result<u64, Malformed> {
    let file = File::open(file)?;
    let n_bytes = file.metadata()?.len();
    let mut end = 0;
    let fields = Source::new(BufReader::new(file)).message()?.each(|field| {
        end = field.span().end;
        match field.number() {
            1..=MAX_FIELD_OF_MODEL => Ok(()),
            _ => Err(Malformed),
        }
    });
    match fields {
        Err(_) if end > n_bytes => Ok(end - n_bytes),
        Ok(()) | Err(_) => Ok(0),
    }
}

/// The relevant part of a model file.
#[derive(Debug, Default)]
struct Model {
    format: u64,
    graph: Graph,
    functions: Vec<Graph>,
}

/// The relevant part of a graph or a function.
#[derive(Debug, Default)]
struct Graph {
    nodes: Vec<Node>,
    inputs: Vec<String>,
    initializers: HashSet<String>,
    external_data: ExternalData,
    /// The inputs and outputs whose declaration has no shape.
    unranked: HashSet<String>,
}

/// The relevant part of a node.
#[derive(Debug, Default)]
struct Node {
    operator: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    has_subgraph: bool,
}

impl Model {
    fn read(source: impl Read + Seek) -> Result<Self, Malformed> {
        let mut model = Self::default();
        let mut n_nodes = 0;
        Source::new(source).message()?.each(|field| {
            match field.number() {
                1 => model.format = field.varint()?,
                7 => model
                    .graph
                    .read(&mut field.message()?, &GRAPH, &mut n_nodes)?,
                25 => {
                    let mut function = Graph::default();
                    function.read(&mut field.message()?, &FUNCTION, &mut n_nodes)?;
                    model.functions.push(function);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(model)
    }

    fn has_zip_map(&self) -> bool {
        self.graph.nodes.iter().any(|node| node.operator == ZIP_MAP)
    }

    fn data_dependent_cost(mut self) -> Option<String> {
        if self.format < FIRST_WITH_OVERRIDES {
            let initializers = &self.graph.initializers;
            self.graph
                .inputs
                .retain(|name| !initializers.contains(name));
        }
        let graphs = iter::once(&self.graph).chain(&self.functions);
        graphs.filter_map(Graph::data_dependent_cost).next()
    }
}

/// The numbers of the fields of a message that holds nodes.
struct Numbers {
    node: u64,
    input: u64,
    /// True if inputs are messages with a name, and not names.
    has_typed_inputs: bool,
    initializer: Option<u64>,
}

const GRAPH: Numbers = Numbers {
    node: 1,
    input: 11,
    has_typed_inputs: true,
    initializer: Some(5),
};

const FUNCTION: Numbers = Numbers {
    node: 7,
    input: 4,
    has_typed_inputs: false,
    initializer: None,
};

/// The number of the outputs of a graph.
const OUTPUT: u64 = 12;

impl Graph {
    fn read<R: Read + Seek>(
        &mut self,
        message: &mut Message<'_, R>,
        numbers: &Numbers,
        n_nodes: &mut usize,
    ) -> Result<(), Malformed> {
        message.each(|field| {
            let number = field.number();
            if number == numbers.node {
                *n_nodes += 1;
                if *n_nodes > MAX_NODES {
                    return Err(Malformed);
                }
                self.nodes.push(Node::read(&mut field.message()?)?);
            } else if number == numbers.input {
                let name = match numbers.has_typed_inputs {
                    true => self.read_declaration(&mut field.message()?)?,
                    false => field.text()?,
                };
                self.inputs.push(name);
            } else if numbers.has_typed_inputs && number == OUTPUT {
                self.read_declaration(&mut field.message()?)?;
            } else if Some(number) == numbers.initializer {
                let mut tensor = field.message()?;
                let name = declarations::initializer(&mut tensor, &mut self.external_data)?;
                self.initializers.insert(name);
            }
            Ok(())
        })
    }

    /// Reads the declaration of an input or output and returns its name.
    fn read_declaration<R: Read + Seek>(
        &mut self,
        message: &mut Message<'_, R>,
    ) -> Result<String, Malformed> {
        let declaration = declarations::declaration(message)?;
        if !declaration.has_rank {
            self.unranked.insert(declaration.name.clone());
        }
        Ok(declaration.name)
    }

    fn data_dependent_cost(&self) -> Option<String> {
        if let Some(node) = self.nodes.iter().find(|node| node.has_own_control()) {
            return Some(format!("operator `{}`", node.operator));
        }
        let mut data: HashSet<&str> = self.inputs.iter().map(String::as_str).collect();
        for _ in 0..MAX_ROUNDS {
            let n_before = data.len();
            for node in &self.nodes {
                if let ControlFlow::Break(input) = node.spread(&mut data) {
                    let operator = &node.operator;
                    return Some(format!(
                        "the size `{input}` of operator `{operator}`, which is computed from values"
                    ));
                }
            }
            if data.len() == n_before {
                return None;
            }
        }
        Some("the order of the operators of the model".to_owned())
    }
}

impl Node {
    fn read<R: Read + Seek>(message: &mut Message<'_, R>) -> Result<Self, Malformed> {
        let mut node = Self::default();
        message.each(|field| {
            match field.number() {
                1 => node.inputs.push(field.text()?),
                2 => node.outputs.push(field.text()?),
                4 => node.operator = field.text()?,
                5 => node.has_subgraph |= has_subgraph(&mut field.message()?)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(node)
    }

    fn has_own_control(&self) -> bool {
        self.has_subgraph || GENERATING.contains(&self.operator.as_str())
    }

    /// Marks the outputs as data where an input is. Breaks with a size that is data.
    fn spread<'a>(&'a self, data: &mut HashSet<&'a str>) -> ControlFlow<&'a str> {
        let inputs = self.inputs.iter().enumerate();
        let mut data_inputs = inputs.filter(|(_, name)| data.contains(name.as_str()));
        let Some((first, name)) = data_inputs.next() else {
            return ControlFlow::Continue(());
        };
        let mut data_inputs = iter::once((first, name)).chain(data_inputs);
        if let Some((_, name)) = data_inputs.find(|(index, _)| self.is_size(*index)) {
            return ControlFlow::Break(name);
        }
        if !OF_SHAPES.contains(&self.operator.as_str()) {
            // An omitted output has no name, like an omitted input.
            let outputs = self.outputs.iter().map(String::as_str);
            data.extend(outputs.filter(|name| !name.is_empty()));
        }
        ControlFlow::Continue(())
    }

    /// Returns whether the values of input `index` decide how large an output is.
    fn is_size(&self, index: usize) -> bool {
        let operator = self.operator.as_str();
        let sized = |&(name, first, last): &(&str, usize, usize)| {
            name == operator && (first..=last).contains(&index)
        };
        let by_all = COUNTING.contains(&operator) || WINDOWS.contains(&operator);
        by_all || SIZED.iter().any(sized)
    }
}

/// Returns the name in field `number` of a message; empty where it has none.
fn name<R: Read + Seek>(message: &mut Message<'_, R>, number: u64) -> Result<String, Malformed> {
    let mut name = String::new();
    message.each(|field| {
        if field.number() == number {
            name = field.text()?;
        }
        Ok(())
    })?;
    Ok(name)
}

/// Returns whether an attribute is a graph or a list of graphs.
fn has_subgraph<R: Read + Seek>(attribute: &mut Message<'_, R>) -> Result<bool, Malformed> {
    let mut has_subgraph = false;
    attribute.each(|field| {
        has_subgraph |= matches!(field.number(), 6 | 11);
        Ok(())
    })?;
    Ok(has_subgraph)
}

#[cfg(test)]
mod tests;
