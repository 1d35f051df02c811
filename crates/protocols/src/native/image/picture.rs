//! Decoding: from the bytes of a file to 8-bit pixels.
//!
//! Rule: as Pillow's `convert("RGB")`: alpha is dropped and not blended, palettes are looked up,
//! grey is repeated, and of 16 bits the upper 8 are kept. Orientation tags are not applied, as
//! torchvision does not apply them either. A file that is damaged or was cut is refused, also where
//! Pillow would show the rest of it.

use std::error::Error as _;
use std::fmt::Display;
use std::io::Cursor;

use bytes::Bytes;
use contract::{Code, Error, Result};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::container::{is_complete, without_ancillary_chunks};
use super::decode_queue::DecodeWork;

/// Memory of a decoder: 16 bits and four channels per pixel, and as much again for its own work.
const DECODER_BYTES_PER_PIXEL: u64 = 16;

/// Memory of a decoder beside its pixels: tables and buffers.
const DECODER_BYTES: u64 = 1 << 20;

type JpegReader<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

/// Pixels, row by row, channels next to each other.
#[derive(Debug)]
pub(super) struct Picture {
    /// Pixels of a row.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// Bytes of a pixel.
    pub(super) n_channels: usize,
    /// The bytes: `width * height * n_channels`.
    pub(super) bytes: Vec<u8>,
}

/// A complete picture file within the limits, of which only the header has been read.
#[derive(Debug)]
pub(super) struct PictureFile {
    format: ImageFormat,
    size: (u32, u32),
    bytes: Bytes,
}

impl PictureFile {
    /// Checks a file.
    ///
    /// # Errors
    /// `unsupported_media_type`, `payload_too_large`, and `invalid_request` for a file that is
    /// damaged or was cut.
    pub(super) fn read(file: Bytes, max_pixels: usize) -> Result<Self> {
        let format = image::guess_format(&file).ok();
        let is_supported =
            |format: &ImageFormat| *format == ImageFormat::Jpeg || format.reading_enabled();
        let format = format.filter(is_supported).ok_or_else(unknown_format)?;
        if !is_complete(format, &file) {
            return Err(damaged(format, &"unexpected end of file"));
        }
        let bytes = match format == ImageFormat::Png {
            true => without_ancillary_chunks(file),
            false => file,
        };
        let size = match format == ImageFormat::Jpeg {
            true => jpeg_size(&jpeg_decoder(&bytes)?),
            false => decoder(format, &bytes, max_pixels)?.dimensions(),
        };
        check_size(size, max_pixels)?;
        Ok(Self {
            format,
            size,
            bytes,
        })
    }

    /// Returns the size of the work to decode the file.
    pub(super) fn work(&self) -> DecodeWork {
        DecodeWork::new(self.format, self.n_pixels())
    }

    fn n_pixels(&self) -> usize {
        let (width, height) = self.size;
        usize::try_from(u64::from(width) * u64::from(height)).unwrap_or(usize::MAX)
    }

    /// Decodes the file as red, green and blue.
    pub(super) fn decode(&self) -> Result<Picture> {
        if self.format == ImageFormat::Jpeg {
            return self.decode_jpeg();
        }
        let decoder = decoder(self.format, &self.bytes, self.n_pixels())?;
        let image = DynamicImage::from_decoder(decoder);
        let image = image.map_err(|error| refusal(self.format, &error))?;
        Ok(Picture::from_image(image))
    }

    fn decode_jpeg(&self) -> Result<Picture> {
        let mut decoder = jpeg_decoder(&self.bytes)?;
        let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
        if is_grey {
            decoder.set_options(decoder.options().jpeg_set_out_colorspace(ColorSpace::Luma));
        }
        let bytes = decoder.decode().map_err(|error| jpeg_refusal(&error))?;
        let bytes = match is_grey {
            true => bytes.into_iter().flat_map(|grey| [grey; 3]).collect(),
            false => bytes,
        };
        let (width, height) = self.size;
        Ok(Picture {
            width,
            height,
            n_channels: 3,
            bytes,
        })
    }
}

/// Reads the header of a picture that is not a JPEG. The memory of its decoder is bounded by a
/// number of pixels.
fn decoder(format: ImageFormat, file: &[u8], n_pixels: usize) -> Result<impl ImageDecoder> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let n_pixels = u64::try_from(n_pixels).unwrap_or(u64::MAX);
    let mut limits = Limits::default();
    limits.max_alloc = n_pixels
        .saturating_mul(DECODER_BYTES_PER_PIXEL)
        .checked_add(DECODER_BYTES);
    reader.limits(limits);
    reader
        .into_decoder()
        .map_err(|error| refusal(format, &error))
}

/// Reads the header of a JPEG. It is decoded without the `image` crate, which decodes a damaged file
/// as far as it can and calls that a success.
fn jpeg_decoder(file: &[u8]) -> Result<JpegReader<'_>> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder
        .decode_headers()
        .map_err(|error| jpeg_refusal(&error))?;
    Ok(decoder)
}

fn jpeg_size(decoder: &JpegReader<'_>) -> (u32, u32) {
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let side = |n_pixels: usize| u32::try_from(n_pixels).unwrap_or(u32::MAX);
    (side(width), side(height))
}

impl Picture {
    fn from_image(image: DynamicImage) -> Self {
        let (width, height) = (image.width(), image.height());
        let color = image.color();
        let bytes = match color.bytes_per_pixel() > color.channel_count() {
            // `to_be_bytes` puts the upper byte first.
            true => {
                let words = image.into_rgb16().into_raw();
                words
                    .into_iter()
                    .map(|word| word.to_be_bytes()[0])
                    .collect()
            }
            false => image.into_rgb8().into_raw(),
        };
        Self {
            width,
            height,
            n_channels: 3,
            bytes,
        }
    }

    /// Converts to one channel of luminance, with the integer weights of Pillow's mode `L`.
    pub(super) fn into_grey(self) -> Self {
        let (pixels, _) = self.bytes.as_chunks::<3>();
        let luminance = |&[red, green, blue]: &[u8; 3]| {
            let [red, green, blue] = [red, green, blue].map(u32::from);
            let sum = red * 19595 + green * 38470 + blue * 7471 + 0x8000;
            // The weights add up to 2^16, so the third byte is the quotient and the fourth is 0.
            let [_, _, grey, _] = sum.to_le_bytes();
            grey
        };
        Self {
            bytes: pixels.iter().map(luminance).collect(),
            n_channels: 1,
            ..self
        }
    }
}

/// Checks a size that a file claims, or that a resize asks for.
pub(super) fn check_size((width, height): (u32, u32), max_pixels: usize) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::invalid("the image has no pixels"));
    }
    let n_pixels = u64::from(width) * u64::from(height);
    match usize::try_from(n_pixels).is_ok_and(|n_pixels| n_pixels <= max_pixels) {
        true => Ok(()),
        false => Err(Error::new(
            Code::PayloadTooLarge,
            format!(
                "an image of {width}x{height} is over the limit of {max_pixels} pixels \
                 (`max_image_pixels`)"
            ),
        )),
    }
}

fn unknown_format() -> Error {
    Error::new(
        Code::UnsupportedMediaType,
        "the image format is unknown; expected JPEG, PNG, WebP, BMP or GIF",
    )
}

fn unsupported(format: ImageFormat, cause: &dyn Display) -> Error {
    Error::new(
        Code::UnsupportedMediaType,
        format!(
            "this kind of {} image is not supported: {cause}",
            name(format)
        ),
    )
}

fn refusal(format: ImageFormat, error: &ImageError) -> Error {
    match error {
        ImageError::Unsupported(_) => unsupported(format, error),
        ImageError::Limits(_) => Error::new(
            Code::PayloadTooLarge,
            format!(
                "the {} image needs more memory to decode than its pixels take",
                name(format)
            ),
        ),
        // Its own text names the format once more.
        ImageError::Decoding(decoding) => match decoding.source() {
            Some(cause) => damaged(format, &cause),
            None => damaged(format, decoding),
        },
        ImageError::Encoding(_) | ImageError::Parameter(_) | ImageError::IoError(_) => {
            damaged(format, error)
        }
    }
}

fn jpeg_refusal(error: &DecodeErrors) -> Error {
    if let DecodeErrors::Unsupported(_) = error {
        return unsupported(ImageFormat::Jpeg, error);
    }
    // Some texts come in quotes.
    damaged(ImageFormat::Jpeg, &error.to_string().trim_matches('"'))
}

fn damaged(format: ImageFormat, cause: &dyn Display) -> Error {
    Error::invalid(format!("the {} image is damaged: {cause}", name(format)))
}

/// Returns the usual spelling of the name, such as `PNG`.
fn name(format: ImageFormat) -> String {
    match format == ImageFormat::WebP {
        true => "WebP".to_owned(),
        false => format!("{format:?}").to_uppercase(),
    }
}
