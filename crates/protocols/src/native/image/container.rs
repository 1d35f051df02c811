//! The structure of a picture file: its end, and the parts that are needed to decode it.
//!
//! Rule: a file that stops before the end that its format prescribes was cut on its way. It is
//! refused, because decoders of JPEG and WebP fill the missing part with grey. BMP has no mark of
//! its end; its decoder reads every pixel. A structure that is not understood counts as complete,
//! and the decoder says what is wrong with it.

use bytes::Bytes;
use image::ImageFormat;

/// The signature at the start of a PNG file.
const PNG_SIGNATURE_BYTES: usize = 8;

/// The bytes of a PNG chunk beside its data: length, type and checksum.
const PNG_CHUNK_FRAME_BYTES: usize = 12;

/// Returns whether a file reaches the end that its format prescribes.
pub(super) fn is_complete(format: ImageFormat, file: &[u8]) -> bool {
    if format == ImageFormat::Jpeg {
        jpeg_end(file).is_some()
    } else if format == ImageFormat::Png {
        png_chunks(file).any(|chunk| kind(chunk) == Some(b"IEND"))
    } else if format == ImageFormat::Gif {
        gif_end(file).is_some()
    } else if format == ImageFormat::WebP {
        webp_end(file).is_some()
    } else {
        true
    }
}

/// Returns a PNG file without its ancillary chunks: profiles and texts, which inflate to any size,
/// frames of an animation after the first, and transparency, which is not used.
pub(super) fn without_ancillary_chunks(file: Bytes) -> Bytes {
    // The case of the first letter of the type says whether a decoder needs the chunk.
    let is_critical = |chunk: &&[u8]| chunk.get(4).is_some_and(u8::is_ascii_uppercase);
    if png_chunks(&file).all(|chunk| is_critical(&chunk)) {
        return file;
    }
    let signature = file.get(..PNG_SIGNATURE_BYTES).unwrap_or_default();
    let critical = png_chunks(&file).filter(is_critical);
    let parts: Vec<&[u8]> = std::iter::once(signature).chain(critical).collect();
    Bytes::from(parts.concat())
}

/// Returns the complete chunks of a PNG file, each with its length, type, data and checksum.
fn png_chunks(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file.get(PNG_SIGNATURE_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, _) = rest.split_first_chunk()?;
        let n_data = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let n_bytes = n_data.checked_add(PNG_CHUNK_FRAME_BYTES)?;
        let (chunk, after) = rest.split_at_checked(n_bytes)?;
        rest = after;
        Some(chunk)
    })
}

fn kind(chunk: &[u8]) -> Option<&[u8; 4]> {
    chunk.get(4..)?.first_chunk()
}

/// Follows the segments of a JPEG file to the marker of its end. Thumbnails are inside segments;
/// in the data between segments `0xff` is followed by zero or by a restart marker.
fn jpeg_end(file: &[u8]) -> Option<()> {
    let mut rest = file;
    loop {
        let position = rest.iter().position(|&byte| byte == 0xff)?;
        let (&marker, after) = rest.get(position + 1..)?.split_first()?;
        rest = match marker {
            0xd9 => return Some(()),
            // Several bytes may fill the space before a marker.
            0xff => rest.get(position + 1..)?,
            0x00 | 0x01 | 0xd0..=0xd8 => after,
            _ => {
                let (length, _) = after.split_first_chunk()?;
                after.get(usize::from(u16::from_be_bytes(*length))..)?
            }
        };
    }
}

/// Follows the blocks of a GIF file to its trailer.
fn gif_end(file: &[u8]) -> Option<()> {
    let ([.., flags, _, _], rest) = file.split_first_chunk::<13>()?;
    let mut rest = after_color_table(*flags, rest)?;
    loop {
        let (&kind, after) = rest.split_first()?;
        rest = match kind {
            // An extension: a label, then its data.
            0x21 => after_sub_blocks(after.get(1..)?)?,
            // An image: its place, its colors, the size of its codes, then its data.
            0x2c => {
                let ([.., flags], after) = after.split_first_chunk::<9>()?;
                after_sub_blocks(after_color_table(*flags, after)?.get(1..)?)?
            }
            _ => return Some(()),
        };
    }
}

fn after_color_table(flags: u8, rest: &[u8]) -> Option<&[u8]> {
    match flags & 0x80 == 0 {
        true => Some(rest),
        false => rest.get(3 << ((flags & 0x07) + 1)..),
    }
}

fn after_sub_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (&n_bytes, after) = rest.split_first()?;
        rest = after.get(usize::from(n_bytes)..)?;
        if n_bytes == 0 {
            return Some(rest);
        }
    }
}

/// Checks that a WebP file has as many bytes as its header says.
fn webp_end(file: &[u8]) -> Option<()> {
    let (header, rest) = file.split_first_chunk::<8>()?;
    let size = u32::from_le_bytes(*header.last_chunk()?);
    rest.get(..usize::try_from(size).ok()?).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a PNG chunk with a checksum that is not right, which nothing here reads.
    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length[..], kind, data, &[0; 4]].concat()
    }

    fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
    }

    #[test]
    fn only_critical_chunks_of_a_png_are_kept() {
        let (header, data, end) = (
            chunk(b"IHDR", &[1; 13]),
            chunk(b"IDAT", &[2; 9]),
            chunk(b"IEND", &[]),
        );
        let essential = png(&[header.clone(), data.clone(), end.clone()]);
        let full = png(&[
            header,
            chunk(b"iCCP", &[3; 40]),
            chunk(b"tRNS", &[0]),
            data,
            chunk(b"zTXt", b"IEND"),
            end,
        ]);
        assert_eq!(without_ancillary_chunks(full.into()), essential);
        let same = Bytes::from(essential);
        assert_eq!(
            without_ancillary_chunks(same.clone()).as_ptr(),
            same.as_ptr()
        );
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg() {
        let thumbnail = [0xff, 0xe1, 0x00, 0x06, 0xff, 0xd8, 0xff, 0xd9];
        let scan = [0xff, 0xda, 0x00, 0x02, 0x11, 0xff, 0x00, 0xff, 0xd0, 0x22];
        let cut = [&[0xff, 0xd8][..], &thumbnail, &scan].concat();
        assert!(!is_complete(ImageFormat::Jpeg, &cut));
        // A byte that fills the space before the marker, and what some cameras append.
        let whole = [&cut[..], &[0xff, 0xff, 0xd9, 0x00]].concat();
        assert!(is_complete(ImageFormat::Jpeg, &whole));
    }
}
