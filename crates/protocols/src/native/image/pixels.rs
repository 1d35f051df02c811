//! Conversion of a picture to the tensor that a model takes.

use contract::{
    Element, ElementType, Error, ImageChannels, ImageInput, ImageLayout, Result, Shape, Tensor,
    TensorSpec,
};
use half::{bf16, f16};

use super::geometry::{center_cropped, resized};
use super::picture::Picture;

/// Resizes, crops, converts and normalises a picture.
pub(super) fn to_tensor(
    mut picture: Picture,
    settings: &ImageInput,
    spec: &TensorSpec,
    max_pixels: usize,
) -> Result<Tensor> {
    if settings.channels == ImageChannels::Grey {
        picture = picture.into_grey();
    }
    picture = resized(picture, settings.resize, max_pixels)?;
    if let Some(crop) = settings.crop {
        picture = center_cropped(picture, crop);
    }
    match spec.element_type {
        ElementType::F32 => tensor_of(&picture, settings, spec, |value| value),
        ElementType::F64 => tensor_of(&picture, settings, spec, f64::from),
        ElementType::F16 => tensor_of(&picture, settings, spec, f16::from_f32),
        ElementType::BF16 => tensor_of(&picture, settings, spec, bf16::from_f32),
        ElementType::U8 => tensor_of(&picture, settings, spec, to_byte),
        ElementType::Bool
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::I8
        | ElementType::I16
        | ElementType::I32
        | ElementType::I64
        | ElementType::Bytes => Err(Error::invalid(format!(
            "input `{}` is of {}, which does not fit an image; expected a float or UINT8",
            spec.name, spec.element_type
        ))),
    }
}

/// Returns the nearest byte; values outside become 0 or 255.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float to integer saturates, as intended"
)]
fn to_byte(value: f32) -> u8 {
    value.round_ties_even() as u8
}

fn tensor_of<T: Element>(
    picture: &Picture,
    settings: &ImageInput,
    spec: &TensorSpec,
    convert: fn(f32) -> T,
) -> Result<Tensor> {
    let n_channels = picture.n_channels;
    // The channels of the picture in the order of the tensor.
    let mut order: Vec<usize> = (0..n_channels).collect();
    if settings.channels == ImageChannels::Bgr {
        order.reverse();
    }
    let tables: Vec<Vec<T>> = (0..n_channels)
        .map(|channel| normalised(settings, channel).map(convert).collect())
        .collect();
    let lookup = |table: &[T], byte: u8| table.get(usize::from(byte)).copied();
    let mut values = Vec::with_capacity(picture.bytes.len());
    match settings.layout {
        ImageLayout::Nchw => {
            for (&channel, table) in order.iter().zip(&tables) {
                let plane = picture.bytes.iter().skip(channel).step_by(n_channels);
                values.extend(plane.filter_map(|&byte| lookup(table, byte)));
            }
        }
        ImageLayout::Nhwc => {
            for pixel in picture.bytes.chunks_exact(n_channels) {
                let bytes = order.iter().filter_map(|&channel| pixel.get(channel));
                let pixel = bytes.zip(&tables);
                values.extend(pixel.filter_map(|(&byte, table)| lookup(table, byte)));
            }
        }
    }
    Tensor::from_values(shape(picture, settings.layout, spec)?, values)
}

/// Returns all 256 values of one channel of the tensor.
fn normalised(settings: &ImageInput, channel: usize) -> impl Iterator<Item = f32> {
    let of_channel = |values: &[f32], default: f32| {
        let value = values.get(channel).or_else(|| values.first());
        value.copied().unwrap_or(default)
    };
    let (mean, std) = (
        of_channel(&settings.mean, 0.0),
        of_channel(&settings.std, 1.0),
    );
    let scale = settings.scale;
    (0..=u8::MAX).map(move |byte| (f32::from(byte) * scale - mean) / std)
}

/// Returns the shape for the rank of the input: with a batch of one, or without a batch dimension.
fn shape(picture: &Picture, layout: ImageLayout, spec: &TensorSpec) -> Result<Shape> {
    let size = |size: u32| usize::try_from(size).unwrap_or(usize::MAX);
    let (height, width) = (size(picture.height), size(picture.width));
    let image = match layout {
        ImageLayout::Nchw => [picture.n_channels, height, width],
        ImageLayout::Nhwc => [height, width, picture.n_channels],
    };
    match spec.dims.len() {
        4 => Ok(std::iter::once(1).chain(image).collect()),
        3 => Ok(Shape::from(image)),
        _ => Err(Error::invalid(format!(
            "input `{}` of shape {:?} does not fit an image; expected 3 or 4 dimensions",
            spec.name,
            spec.wire_shape()
        ))),
    }
}
