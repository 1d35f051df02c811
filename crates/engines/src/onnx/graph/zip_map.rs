//! Removes `ZipMap` from the end of a model, so that its scores are served as a tensor.
//!
//! Converters of scikit-learn and LightGBM end a classifier with a `ZipMap`, which turns a matrix
//! of scores into a sequence of maps. Input: the bytes of the model. Rule: a `ZipMap` whose output
//! is an output of the model that no other node reads becomes an `Identity`, and the output a
//! tensor with one column for each class; its name stays. Rejected: exposing the tensor before the
//! node, whose name is an accident of the converter.

use std::collections::HashSet;
use std::io::{Cursor, Read, Seek};
use std::ops::Range;

use super::protobuf::{Field, Malformed, Source};
use super::{GRAPH, OUTPUT, name};
use crate::protobuf::Message;

/// The operator, and the operator set that has it.
pub(super) const ZIP_MAP: &str = "ZipMap";
const DOMAIN: &str = "ai.onnx.ml";

/// The version of the standard operator set for a model that imports none. Every accepted runtime
/// has it.
const STANDARD_OPSET: u64 = 13;

/// The number of `FP32` among element types.
const FLOAT: u64 = 1;

/// A model without its trailing `ZipMap` nodes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::onnx) struct WithoutZipMaps {
    /// The bytes of the model.
    pub(in crate::onnx) bytes: Vec<u8>,
    /// The outputs that are tensors now, each with its class labels.
    pub(in crate::onnx) outputs: Vec<(String, Vec<String>)>,
}

/// Returns a model without its trailing `ZipMap` nodes; `None` where it has none, or cannot be
/// read.
pub(in crate::onnx) fn without_zip_maps(bytes: &[u8]) -> Option<WithoutZipMaps> {
    let parts = Parts::read(bytes).ok()?;
    let zip_maps = parts.trailing();
    if zip_maps.is_empty() {
        return None;
    }
    let mut graph = Message::default();
    for (span, part) in &parts.graph {
        let zip_map = |output: &str| zip_maps.iter().find(|zip_map| zip_map.output == output);
        graph = match part {
            Part::ZipMap(this) if zip_map(&this.output).is_some() => {
                graph.message(GRAPH.node, &this.identity())
            }
            Part::Output(output) if let Some(zip_map) = zip_map(output) => {
                graph.message(OUTPUT, &zip_map.tensor()?)
            }
            Part::ZipMap(_) | Part::Output(_) | Part::Other => graph.raw(bytes.get(span.clone())?),
        };
    }
    let mut model = Message::default()
        .raw(bytes.get(..parts.span.start)?)
        .message(7, &graph)
        .raw(bytes.get(parts.span.end..)?);
    if !parts.has_standard_opset {
        model = model.message(
            8,
            &Message::default().bytes(1, "").number(2, STANDARD_OPSET),
        );
    }
    let outputs = zip_maps.into_iter();
    Some(WithoutZipMaps {
        bytes: model.finish(),
        outputs: outputs
            .map(|zip_map| (zip_map.output.clone(), zip_map.labels.clone()))
            .collect(),
    })
}

/// The parts of a model.
#[derive(Debug, Default)]
struct Parts {
    /// The position of the graph.
    span: Range<usize>,
    /// The fields of the graph with their positions.
    graph: Vec<(Range<usize>, Part)>,
    /// The names that nodes read.
    read: HashSet<String>,
    has_standard_opset: bool,
}

/// One field of the graph.
#[derive(Debug)]
enum Part {
    ZipMap(ZipMap),
    /// An output of the model, with its name.
    Output(String),
    Other,
}

impl Parts {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut parts = Self::default();
        Source::new(Cursor::new(bytes)).message()?.each(|field| {
            match field.number() {
                7 if !parts.graph.is_empty() => return Err(Malformed),
                7 => {
                    parts.span = positions(field)?;
                    field
                        .message()?
                        .each(|field| parts.read_graph_field(field))?;
                }
                8 => {
                    let domain = name(&mut field.message()?, 1)?;
                    parts.has_standard_opset |= matches!(domain.as_str(), "" | "ai.onnx");
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(parts)
    }

    fn read_graph_field<R: Read + Seek>(
        &mut self,
        field: &mut Field<'_, R>,
    ) -> Result<(), Malformed> {
        let span = positions(field)?;
        let part = match field.number() {
            number if number == GRAPH.node => {
                let node = ZipMap::read(field)?;
                self.read.extend(node.inputs.iter().cloned());
                match node.is_zip_map() {
                    true => Part::ZipMap(node),
                    false => Part::Other,
                }
            }
            OUTPUT => Part::Output(name(&mut field.message()?, 1)?),
            _ => Part::Other,
        };
        self.graph.push((span, part));
        Ok(())
    }

    fn trailing(&self) -> Vec<&ZipMap> {
        let is_output = |name: &str| {
            let mut parts = self.graph.iter();
            parts.any(|(_, part)| matches!(part, Part::Output(output) if output == name))
        };
        let zip_maps = self.graph.iter().filter_map(|(_, part)| match part {
            Part::ZipMap(zip_map) => Some(zip_map),
            Part::Output(_) | Part::Other => None,
        });
        let is_trailing =
            |zip_map: &&ZipMap| is_output(&zip_map.output) && !self.read.contains(&zip_map.output);
        zip_maps.filter(is_trailing).collect()
    }
}

/// A node, of which no more is read than a `ZipMap` has.
#[derive(Debug, Default)]
struct ZipMap {
    operator: String,
    domain: String,
    inputs: Vec<String>,
    output: String,
    labels: Vec<String>,
}

impl ZipMap {
    fn read<R: Read + Seek>(field: &mut Field<'_, R>) -> Result<Self, Malformed> {
        let mut node = Self::default();
        field.message()?.each(|field| {
            match field.number() {
                1 => node.inputs.push(field.text()?),
                2 => node.output = field.text()?,
                4 => node.operator = field.text()?,
                5 => node.read_labels(field)?,
                7 => node.domain = field.text()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(node)
    }

    /// Reads an attribute. The operator precedes its attributes in every file; where it does not,
    /// there are no labels and the node stays.
    fn read_labels<R: Read + Seek>(&mut self, field: &mut Field<'_, R>) -> Result<(), Malformed> {
        if self.operator != ZIP_MAP {
            return Ok(());
        }
        field.message()?.each(|field| {
            match field.number() {
                8 => {
                    let numbers = field.varints()?.into_iter();
                    self.labels
                        .extend(numbers.map(|label| label.cast_signed().to_string()));
                }
                9 => self.labels.push(field.text()?),
                _ => {}
            }
            Ok(())
        })
    }

    fn is_zip_map(&self) -> bool {
        self.operator == ZIP_MAP
            && self.domain == DOMAIN
            && self.inputs.len() == 1
            && !self.labels.is_empty()
    }

    /// Returns the node that copies the scores.
    fn identity(&self) -> Message {
        let inputs = self.inputs.iter();
        inputs
            .fold(Message::default(), |node, input| node.bytes(1, input))
            .bytes(2, &self.output)
            .bytes(4, "Identity")
    }

    /// Returns the declaration of the output: any number of rows, one column for each class.
    fn tensor(&self) -> Option<Message> {
        let columns = Message::default().number(1, u64::try_from(self.labels.len()).ok()?);
        let shape = Message::default()
            .message(1, &Message::default())
            .message(1, &columns);
        let tensor = Message::default().number(1, FLOAT).message(2, &shape);
        let value_type = Message::default().message(1, &tensor);
        Some(
            Message::default()
                .bytes(1, &self.output)
                .message(2, &value_type),
        )
    }
}

fn positions<R: Read + Seek>(field: &Field<'_, R>) -> Result<Range<usize>, Malformed> {
    let span = field.span();
    let position = |position: u64| usize::try_from(position).map_err(|_| Malformed);
    Ok(position(span.start)?..position(span.end)?)
}

#[cfg(test)]
mod tests;
