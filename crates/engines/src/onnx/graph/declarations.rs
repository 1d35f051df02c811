//! The declarations of a graph: initializers with their external data, and inputs and outputs.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::protobuf::{Malformed, Message};

/// The sizes in bytes that files of external data need, by their location.
pub(in crate::onnx) type ExternalData = BTreeMap<String, u64>;

/// The place of the data of an initializer that is in another file.
const EXTERNAL: u64 = 1;

/// The field of a type that says that it is a tensor, and that of the tensor with its shape.
const TENSOR: u64 = 1;
const SHAPE: u64 = 2;

/// Reads an initializer: returns its name, and records its external data.
pub(super) fn initializer<R: Read + Seek>(
    tensor: &mut Message<'_, R>,
    external_data: &mut ExternalData,
) -> Result<String, Malformed> {
    let mut name = String::new();
    let (mut location, mut offset, mut length) = (None, 0, 0);
    let mut is_external = false;
    tensor.each(|field| {
        match field.number() {
            8 => name = field.text()?,
            13 => {
                let (mut key, mut value) = (String::new(), String::new());
                field.message()?.each(|field| {
                    match field.number() {
                        1 => key = field.text()?,
                        2 => value = field.text()?,
                        _ => {}
                    }
                    Ok(())
                })?;
                match key.as_str() {
                    "location" => location = Some(value),
                    "offset" => offset = value.parse().unwrap_or(0),
                    "length" => length = value.parse().unwrap_or(0),
                    _ => {}
                }
            }
            14 => is_external = field.varint()? == EXTERNAL,
            _ => {}
        }
        Ok(())
    })?;
    if let Some(location) = location.filter(|_| is_external) {
        let n_bytes = external_data.entry(location).or_default();
        *n_bytes = u64::saturating_add(offset, length).max(*n_bytes);
    }
    Ok(name)
}

/// The declaration of an input or output.
#[derive(Debug)]
pub(super) struct Declaration {
    /// Its name.
    pub(super) name: String,
    /// False for a tensor without a shape.
    pub(super) has_rank: bool,
}

/// Reads the declaration of an input or output.
pub(super) fn declaration<R: Read + Seek>(
    message: &mut Message<'_, R>,
) -> Result<Declaration, Malformed> {
    let mut declaration = Declaration {
        name: String::new(),
        has_rank: true,
    };
    message.each(|field| {
        match field.number() {
            1 => declaration.name = field.text()?,
            2 => field.message()?.each(|field| {
                if field.number() == TENSOR {
                    declaration.has_rank = false;
                    field.message()?.each(|field| {
                        declaration.has_rank |= field.number() == SHAPE;
                        Ok(())
                    })?;
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(declaration)
}
