//! Decoding: from the bytes of a file to 8-bit pixels.
//!
//! Rule: as Pillow's `convert("RGB")`: alpha is dropped and not blended, palettes are looked up,
//! grey is repeated, and of 16 bits the upper 8 are kept. Orientation tags are not applied, as
//! torchvision does not apply them either.

use std::error::Error as _;
use std::io::Cursor;

use contract::{Code, Error, Result};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

/// Memory of a decoder: 16 bits and four channels per pixel, and as much again for its own work.
const DECODER_BYTES_PER_PIXEL: u64 = 16;

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

impl Picture {
    /// Decodes a file as red, green and blue.
    pub(super) fn decode(file: &[u8], max_pixels: usize) -> Result<Self> {
        let unreadable = |error: std::io::Error| Error::internal(error.to_string());
        let mut reader = ImageReader::new(Cursor::new(file))
            .with_guessed_format()
            .map_err(unreadable)?;
        let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else {
            return Err(unknown_format());
        };
        let mut limits = Limits::default();
        let max_bytes = u64::try_from(max_pixels).unwrap_or(u64::MAX);
        limits.max_alloc = Some(max_bytes.saturating_mul(DECODER_BYTES_PER_PIXEL));
        reader.limits(limits);
        let refused = |error| refusal(format, &error, max_pixels);
        let decoder = reader.into_decoder().map_err(refused)?;
        check_size(decoder.dimensions(), max_pixels)?;
        let image = DynamicImage::from_decoder(decoder).map_err(refused)?;
        Ok(Self::from_image(image))
    }

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

fn refusal(format: ImageFormat, error: &ImageError, max_pixels: usize) -> Error {
    match error {
        ImageError::Unsupported(_) => Error::new(
            Code::UnsupportedMediaType,
            format!(
                "this kind of {} image is not supported: {error}",
                name(format)
            ),
        ),
        ImageError::Limits(_) => Error::new(
            Code::PayloadTooLarge,
            format!(
                "the image needs more memory than {max_pixels} pixels may take \
                 (`max_image_pixels`)"
            ),
        ),
        // Its own text names the format once more.
        ImageError::Decoding(decoding) => match decoding.source() {
            Some(cause) => damaged(format, cause),
            None => damaged(format, decoding),
        },
        ImageError::Encoding(_) | ImageError::Parameter(_) | ImageError::IoError(_) => {
            damaged(format, error)
        }
    }
}

fn damaged(format: ImageFormat, cause: &dyn std::error::Error) -> Error {
    Error::invalid(format!("the {} image is damaged: {cause}", name(format)))
}

/// Returns the usual spelling of the name, such as `PNG`.
fn name(format: ImageFormat) -> String {
    match format == ImageFormat::WebP {
        true => "WebP".to_owned(),
        false => format!("{format:?}").to_uppercase(),
    }
}
