//! Pre-processing against the tensors that torchvision made of the same pictures.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use contract::{Dimension, ImageChannels, ImageInput, ImageLayout, ImageResize, Tensor};
use half::f16;
use serde::Deserialize;

use super::*;

/// One step of an 8-bit pixel, divided by the smallest deviation, and the half precision in which
/// the references are stored. Pillow weighs pixels with more bits, so its last step may differ.
const ONE_STEP: f32 = 0.0175 + 0.002;

#[derive(Deserialize)]
struct Reference {
    image: String,
    tensor: String,
    shape: Vec<usize>,
    settings: Settings,
}

#[derive(Deserialize)]
struct Settings {
    resize: Size,
    crop: Option<u32>,
    channels: String,
    mean: Vec<f32>,
    std: Vec<f32>,
    layout: String,
    scale: f32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    ShorterSide(u32),
    HeightAndWidth(u32, u32),
}

impl Settings {
    fn image_input(&self) -> ImageInput {
        assert_eq!(self.layout, "nchw");
        ImageInput {
            resize: match self.resize {
                Size::ShorterSide(size) => ImageResize::ShorterSide(size),
                Size::HeightAndWidth(height, width) => ImageResize::Exact(height, width),
            },
            crop: self.crop.map(|size| (size, size)),
            channels: match self.channels.as_str() {
                "grey" => ImageChannels::Grey,
                _ => ImageChannels::Rgb,
            },
            layout: ImageLayout::Nchw,
            scale: self.scale,
            mean: self.mean.clone(),
            std: self.std.clone(),
        }
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images")
}

fn read(name: &str) -> Vec<u8> {
    let path = fixtures().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn input(element_type: ElementType, rank: usize) -> TensorSpec {
    TensorSpec {
        name: "image".to_owned(),
        element_type,
        dims: vec![Dimension::Dynamic; rank],
        is_optional: false,
    }
}

/// Reads a file and converts it to a tensor.
fn decoded(
    file: &[u8],
    settings: &ImageInput,
    spec: &TensorSpec,
    max_pixels: usize,
) -> Result<Tensor> {
    let file = PictureFile::read(Bytes::copy_from_slice(file), max_pixels)?;
    to_tensor(file.decode()?, settings, spec, max_pixels)
}

/// The mean and the largest difference between our tensor and the reference.
fn difference(reference: &Reference) -> (f32, f32) {
    let settings = reference.settings.image_input();
    let file = read(&reference.image);
    let tensor = decoded(&file, &settings, &input(ElementType::F32, 4), 1 << 24).unwrap();
    assert_eq!(
        tensor.shape().dims(),
        reference.shape,
        "{}",
        reference.tensor
    );
    let ours = tensor.to_vec::<f32>().unwrap();
    let theirs: Vec<f16> = bytemuck::pod_collect_to_vec(&read(&reference.tensor));
    let differences = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| (a - b.to_f32()).abs());
    let largest = differences.clone().fold(0.0, f32::max);
    let n_values = u16::try_from(ours.len() / 64).unwrap();
    (
        differences.sum::<f32>() / (f32::from(n_values) * 64.0),
        largest,
    )
}

#[test]
fn tensors_are_those_of_torchvision() {
    let references: Vec<Reference> = serde_json::from_slice(&read("references.json")).unwrap();
    assert!(!references.is_empty());
    let wrong: Vec<_> = references
        .iter()
        .map(|reference| (reference, difference(reference)))
        .filter(|(reference, (mean, largest))| {
            // Decoders of JPEG may differ in single pixels, those of PNG may not.
            let limit = if reference.image.ends_with(".png") {
                ONE_STEP
            } else {
                0.2
            };
            *mean >= 0.01 || *largest >= limit
        })
        .map(|(reference, difference)| format!("{}: {difference:?}", reference.tensor))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn png(image: impl Into<::image::DynamicImage>) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image
        .into()
        .write_to(&mut file, ::image::ImageFormat::Png)
        .unwrap();
    file.into_inner()
}

fn plain(channels: ImageChannels, layout: ImageLayout) -> ImageInput {
    ImageInput {
        resize: ImageResize::None,
        crop: None,
        channels,
        layout,
        scale: 1.0,
        mean: vec![0.0],
        std: vec![1.0],
    }
}

fn pixels(file: &[u8], channels: ImageChannels, layout: ImageLayout) -> Vec<f32> {
    let settings = plain(channels, layout);
    let tensor = decoded(file, &settings, &input(ElementType::F32, 4), 100).unwrap();
    tensor.to_vec::<f32>().unwrap()
}

#[test]
fn channels_and_layout_are_those_of_the_settings() {
    use ImageChannels::{Bgr, Grey, Rgb};
    use ImageLayout::{Nchw, Nhwc};
    let image = ::image::RgbImage::from_raw(2, 1, vec![10, 20, 30, 40, 50, 60]).unwrap();
    let file = png(image);
    assert_eq!(
        pixels(&file, Rgb, Nchw),
        [10.0, 40.0, 20.0, 50.0, 30.0, 60.0]
    );
    assert_eq!(
        pixels(&file, Rgb, Nhwc),
        [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    );
    assert_eq!(
        pixels(&file, Bgr, Nchw),
        [30.0, 60.0, 20.0, 50.0, 10.0, 40.0]
    );
    assert_eq!(
        pixels(&file, Bgr, Nhwc),
        [30.0, 20.0, 10.0, 60.0, 50.0, 40.0]
    );
    assert_eq!(pixels(&file, Grey, Nchw), [18.0, 48.0]);
}

#[test]
fn mean_and_deviation_follow_the_order_of_the_tensor() {
    let file = png(::image::RgbImage::from_raw(1, 1, vec![10, 20, 30]).unwrap());
    let settings = ImageInput {
        mean: vec![0.0, 10.0, 20.0],
        std: vec![1.0, 2.0, 4.0],
        ..plain(ImageChannels::Bgr, ImageLayout::Nchw)
    };
    let tensor = decoded(&file, &settings, &input(ElementType::F32, 4), 100).unwrap();
    assert_eq!(tensor.to_vec::<f32>().unwrap(), [30.0, 5.0, -2.5]);
}

#[test]
fn every_kind_of_pixel_becomes_eight_bits_of_red_green_and_blue() {
    let rgb = |file: &[u8]| pixels(file, ImageChannels::Rgb, ImageLayout::Nhwc);
    let grey = png(::image::GrayImage::from_raw(1, 1, vec![7]).unwrap());
    assert_eq!(rgb(&grey), [7.0, 7.0, 7.0]);
    let transparent = png(::image::RgbaImage::from_raw(1, 1, vec![10, 20, 30, 0]).unwrap());
    assert_eq!(rgb(&transparent), [10.0, 20.0, 30.0]);
    let deep =
        ::image::ImageBuffer::<::image::Rgb<u16>, _>::from_raw(1, 1, vec![0x12ff, 0x8000, 0xffff]);
    assert_eq!(rgb(&png(deep.unwrap())), [18.0, 128.0, 255.0]);
}

#[test]
fn the_tensor_has_the_element_type_and_rank_of_the_input() {
    let file = png(::image::GrayImage::from_raw(2, 1, vec![7, 200]).unwrap());
    let settings = plain(ImageChannels::Grey, ImageLayout::Nhwc);
    let tensor = |element_type, rank| decoded(&file, &settings, &input(element_type, rank), 100);
    let bytes = tensor(ElementType::U8, 3).unwrap();
    assert_eq!(bytes.shape().dims(), [1, 2, 1]);
    assert_eq!(bytes.to_vec::<u8>().unwrap(), [7, 200]);
    let halves = tensor(ElementType::F16, 4).unwrap();
    assert_eq!(
        halves.to_vec::<f16>().unwrap(),
        [7.0, 200.0].map(f16::from_f32)
    );
    assert!(tensor(ElementType::I64, 4).is_err());
    assert!(tensor(ElementType::F32, 2).is_err());
}

#[test]
fn a_resize_beyond_the_limit_is_refused() {
    let file = png(::image::GrayImage::new(100, 1));
    let settings = ImageInput {
        resize: ImageResize::ShorterSide(256),
        ..plain(ImageChannels::Rgb, ImageLayout::Nchw)
    };
    let error = decoded(&file, &settings, &input(ElementType::F32, 4), 1000).unwrap_err();
    assert_eq!(
        error.message(),
        "an image of 25600x256 is over the limit of 1000 pixels (`max_image_pixels`)"
    );
}

/// The names of the small pictures, at least one in every format.
const FORMATS: [&str; 11] = [
    "baseline.jpg",
    "progressive.jpg",
    "restarts.jpg",
    "cmyk.jpg",
    "grey.jpg",
    "plain.png",
    "lossy.webp",
    "lossless.webp",
    "animated.webp",
    "animated.gif",
    "plain.bmp",
];

#[test]
fn pictures_of_every_format_are_decoded_only_when_they_are_complete() {
    for name in FORMATS {
        let whole = read(&format!("formats/{name}"));
        let rgb = |file: &[u8]| {
            let settings = plain(ImageChannels::Rgb, ImageLayout::Nhwc);
            decoded(file, &settings, &input(ElementType::F32, 4), 1000)
        };
        let shape = rgb(&whole).unwrap().shape().clone();
        assert_eq!(shape.dims(), [1, 16, 24, 3], "{name}");
        let accepted: Vec<_> = (0..whole.len())
            .filter(|&n_bytes| rgb(&whole[..n_bytes]).is_ok())
            .collect();
        assert!(accepted.is_empty(), "{name}: {accepted:?}");
    }
}

#[test]
fn a_jpeg_cut_in_a_file_of_the_full_size_is_refused() {
    for name in FORMATS.iter().filter(|name| name.ends_with(".jpg")) {
        let mut file = read(&format!("formats/{name}"));
        let middle = file.len() / 2;
        file[middle..].fill(0);
        assert!(PictureFile::read(file.into(), 1000).is_err(), "{name}");
    }
}

#[test]
fn a_jpeg_with_damaged_data_is_refused() {
    let mut file = read("formats/baseline.jpg");
    let middle = file.len() - 40;
    // No code of the usual tables has this many ones.
    file[middle..middle + 8].copy_from_slice(&[0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0]);
    let error = PictureFile::read(file.into(), 1000)
        .unwrap()
        .decode()
        .unwrap_err();
    assert!(
        error.message().starts_with("the JPEG image is damaged: "),
        "{error}"
    );
}
