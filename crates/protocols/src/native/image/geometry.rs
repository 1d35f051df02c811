//! Resize and centre crop, as in torchvision on PIL images.
//!
//! Rule: `Resize` cuts the longer side down to a whole number; `CenterCrop` rounds an offset of a
//! half to the even number, and puts black around a picture that is too small.

use contract::{Error, ImageResize, Result};
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::picture::{Picture, check_size};

/// Resizes the picture to the size of `resize`.
pub(super) fn resized(picture: Picture, resize: ImageResize, max_pixels: usize) -> Result<Picture> {
    let (width, height) = resized_size(picture.width, picture.height, resize)?;
    if (width, height) == (picture.width, picture.height) {
        return Ok(picture);
    }
    check_size((width, height), max_pixels)?;
    let pixel_type = match picture.n_channels {
        1 => PixelType::U8,
        _ => PixelType::U8x3,
    };
    let failed = |error: String| Error::internal(format!("resizing an image: {error}"));
    let source = Image::from_vec_u8(picture.width, picture.height, picture.bytes, pixel_type)
        .map_err(|error| failed(error.to_string()))?;
    let mut target = Image::new(width, height, pixel_type);
    let bilinear = ResizeAlg::Convolution(FilterType::Bilinear);
    Resizer::new()
        .resize(
            &source,
            &mut target,
            &ResizeOptions::new().resize_alg(bilinear),
        )
        .map_err(|error| failed(error.to_string()))?;
    Ok(Picture {
        width,
        height,
        n_channels: picture.n_channels,
        bytes: target.into_vec(),
    })
}

/// Returns width and height after the resize.
fn resized_size(width: u32, height: u32, resize: ImageResize) -> Result<(u32, u32)> {
    let size = match resize {
        ImageResize::None => return Ok((width, height)),
        ImageResize::Exact(height, width) => return Ok((width, height)),
        ImageResize::ShorterSide(size) => size,
    };
    let (short, long) = (width.min(height), width.max(height));
    let new_long = u64::from(size) * u64::from(long) / u64::from(short.max(1));
    let new_long = u32::try_from(new_long).map_err(|_| {
        Error::invalid(format!(
            "an image of {width}x{height} is too narrow to be resized"
        ))
    })?;
    Ok(if width <= height {
        (size, new_long)
    } else {
        (new_long, size)
    })
}

/// Returns the middle of the picture, with black around it where it is too small.
pub(super) fn center_cropped(picture: Picture, (height, width): (u32, u32)) -> Picture {
    if (height, width) == (picture.height, picture.width) {
        return picture;
    }
    let rows = Window::new(picture.height, height);
    let columns = Window::new(picture.width, width);
    let pixel = picture.n_channels;
    let row_bytes = as_index(width) * pixel;
    let mut bytes = vec![0; row_bytes * as_index(height)];
    let targets = bytes.chunks_exact_mut(row_bytes.max(1)).skip(rows.target);
    let sources = picture
        .bytes
        .chunks_exact((as_index(picture.width) * pixel).max(1));
    for (target, source) in targets.zip(sources.skip(rows.source)).take(rows.length) {
        let target = target.iter_mut().skip(columns.target * pixel);
        let source = source
            .iter()
            .skip(columns.source * pixel)
            .take(columns.length * pixel);
        for (target, source) in target.zip(source) {
            *target = *source;
        }
    }
    Picture {
        width,
        height,
        n_channels: pixel,
        bytes,
    }
}

/// The pixels to copy along one side: `length` of them from `source` to `target`.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    source: usize,
    target: usize,
    length: usize,
}

impl Window {
    fn new(size: u32, crop: u32) -> Self {
        Self {
            source: as_index(half_to_even(size.saturating_sub(crop))),
            target: as_index(crop.saturating_sub(size) / 2),
            length: as_index(size.min(crop)),
        }
    }
}

/// Halves a number; a half between two numbers becomes the even one.
fn half_to_even(number: u32) -> u32 {
    let half = number / 2;
    half + (number % 2) * (half % 2)
}

fn as_index(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_is_cut_down() {
        let size =
            |width, height| resized_size(width, height, ImageResize::ShorterSide(256)).unwrap();
        assert_eq!(size(640, 427), (383, 256));
        assert_eq!(size(211, 333), (256, 404));
        assert_eq!(size(256, 256), (256, 256));
        assert_eq!(
            resized_size(5, 7, ImageResize::Exact(2, 3)).unwrap(),
            (3, 2)
        );
        assert!(resized_size(1, u32::MAX, ImageResize::ShorterSide(256)).is_err());
    }

    #[test]
    fn an_offset_of_a_half_becomes_even() {
        let offsets: Vec<_> = (0..8).map(half_to_even).collect();
        assert_eq!(offsets, [0, 0, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn a_small_picture_gets_black_around_it() {
        let picture = Picture {
            width: 2,
            height: 1,
            n_channels: 1,
            bytes: vec![7, 8],
        };
        let cropped = center_cropped(picture, (2, 5));
        assert_eq!(cropped.bytes, [0, 7, 8, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn the_middle_of_a_large_picture_is_kept() {
        let picture = Picture {
            width: 5,
            height: 3,
            n_channels: 1,
            bytes: (0..15).collect(),
        };
        assert_eq!(center_cropped(picture, (1, 3)).bytes, [6, 7, 8]);
    }
}
