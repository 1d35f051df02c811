//! Messages on the wire: protobuf, with a bound on the number of fields.
//!
//! Decision: an empty tensor takes 2 bytes on the wire and hundreds in memory, a string 2 and 36, so
//! the limit of a message's bytes does not bound the memory of its decoded form. Tensors, strings and
//! parameters are counted before anything is decoded; numbers need no count, since they take at most
//! 8 times their bytes.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use contract::{Code, Error, Result};
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

use super::generated::inference::ModelInferRequest;
use super::status::status;
use crate::offload::{INLINE_BYTES, offload};

/// More tensors than any model has, and few megabytes when decoded.
const MAX_FIELDS: usize = 16_384;

/// Strings whose handles take 64 MiB when decoded, the default limit of a message.
const MAX_STRINGS: usize = 2 << 20;

/// The numbers of the tensors in a request for an inference.
const INPUT: u32 = 5;
const OUTPUT: u32 = 6;
/// The number of the raw contents in a request.
const RAW_CONTENTS: u32 = 7;
/// The number of the elements in an input.
const CONTENTS: u32 = 5;
/// The number of the strings among the contents.
const BYTES_CONTENTS: u32 = 8;

/// Protobuf, with bounded messages from the other side.
#[derive(Debug)]
pub(super) struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = BoundedEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        BoundedEncoder(ProstEncoder::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstDecoder::default())
    }
}

/// An encoder that hands large messages over.
#[derive(Debug)]
pub(super) struct BoundedEncoder<T>(ProstEncoder<T>);

impl<T: Message> Encoder for BoundedEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buf: &mut EncodeBuf<'_>) -> std::result::Result<(), Status> {
        offload(message.encoded_len(), || self.0.encode(message, buf))
    }
}

/// A decoder that counts the fields of a message first.
#[derive(Debug)]
pub(super) struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> std::result::Result<Option<U>, Status> {
        offload(buf.remaining(), || {
            // A message lies in one piece, because its frame is received as a whole.
            check_fields(buf.chunk()).map_err(|error| status(&error))?;
            self.0.decode(buf)
        })
    }
}

/// Decodes a request for an inference.
///
/// # Errors
/// `invalid_request` when it is malformed, and `payload_too_large`.
pub(super) fn decode(message: Bytes) -> Result<ModelInferRequest> {
    check_fields(&message)?;
    // The text is that of the library.
    ModelInferRequest::decode(message).map_err(|error| Error::invalid(error.to_string()))
}

/// Returns the size of what the decoder converts: raw contents stay as they are.
pub(super) fn decoded_bytes(mut message: &[u8]) -> usize {
    let mut n_bytes = message.len();
    while n_bytes > INLINE_BYTES
        && let Some((number, value)) = next_field(&mut message)
    {
        if let (RAW_CONTENTS, Some(raw)) = (number, value) {
            n_bytes -= raw.len();
        }
    }
    n_bytes
}

/// Counts the fields; the decoder reports malformed ones.
fn check_fields(mut message: &[u8]) -> Result<()> {
    let mut count = Count::default();
    while let Some((number, value)) = next_field(&mut message) {
        count.field()?;
        // Only the tensors of inferences have these numbers.
        if let (INPUT | OUTPUT, Some(tensor)) = (number, value) {
            count.tensor(number, tensor)?;
        }
    }
    Ok(())
}

/// The parts of a message so far.
#[derive(Debug, Default)]
struct Count {
    n_fields: usize,
    n_strings: usize,
}

impl Count {
    fn field(&mut self) -> Result<()> {
        self.n_fields += 1;
        match self.n_fields > MAX_FIELDS {
            true => Err(Error::new(
                Code::PayloadTooLarge,
                format!("the message has more than {MAX_FIELDS} tensors and parameters"),
            )),
            false => Ok(()),
        }
    }

    fn tensor(&mut self, kind: u32, mut tensor: &[u8]) -> Result<()> {
        while let Some((number, value)) = next_field(&mut tensor) {
            self.field()?;
            if let (INPUT, CONTENTS, Some(contents)) = (kind, number, value) {
                self.contents(contents)?;
            }
        }
        Ok(())
    }

    fn contents(&mut self, mut contents: &[u8]) -> Result<()> {
        while let Some((number, _)) = next_field(&mut contents) {
            self.n_strings += usize::from(number == BYTES_CONTENTS);
            if self.n_strings > MAX_STRINGS {
                return Err(Error::new(
                    Code::PayloadTooLarge,
                    format!(
                        "the message has more than {MAX_STRINGS} strings in `bytes_contents`; send \
                         them in `raw_input_contents`"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Takes the next field at the top level: its number, and its bytes when its length varies.
pub(super) fn next_field<'a>(message: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let (number, wire_type) = decode_key(message).ok()?;
    let n_bytes = match wire_type {
        WireType::Varint => {
            decode_varint(message).ok()?;
            0
        }
        WireType::SixtyFourBit => 8,
        WireType::LengthDelimited => usize::try_from(decode_varint(message).ok()?).ok()?,
        WireType::ThirtyTwoBit => 4,
        // No message here has groups, so their content counts as fields.
        WireType::StartGroup | WireType::EndGroup => 0,
    };
    let (value, rest) = message.split_at_checked(n_bytes)?;
    *message = rest;
    let is_of_any_length = wire_type == WireType::LengthDelimited;
    Some((number, is_of_any_length.then_some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with a key of one byte.
    fn nested(key: u8, value: &[u8]) -> Vec<u8> {
        let mut field = vec![key];
        prost::encoding::encode_varint(value.len() as u64, &mut field);
        [field, value.to_vec()].concat()
    }

    #[test]
    fn messages_with_too_many_fields_are_refused_and_others_left_alone() {
        let empty_input = [0x2a, 0x00];
        let cases = [
            (empty_input.repeat(MAX_FIELDS), true),
            (empty_input.repeat(MAX_FIELDS + 1), false),
            ([0x08, 0x96, 0x01].repeat(MAX_FIELDS + 1), false),
            ([0x0d, 0, 0, 0, 0].repeat(MAX_FIELDS + 1), false),
            ([0x0b, 0x0c].repeat(MAX_FIELDS), false),
            // An input and an output with parameters, and an input with strings.
            (nested(0x2a, &[0x22, 0x00].repeat(MAX_FIELDS - 1)), true),
            (nested(0x2a, &[0x22, 0x00].repeat(MAX_FIELDS)), false),
            (nested(0x32, &[0x12, 0x00].repeat(MAX_FIELDS)), false),
            (
                nested(0x2a, &nested(0x2a, &[0x42, 0].repeat(MAX_STRINGS))),
                true,
            ),
            (
                nested(0x2a, &nested(0x2a, &[0x42, 0].repeat(MAX_STRINGS + 1))),
                false,
            ),
            // One field that is long, one that claims more than there is, and no message at all.
            (
                [vec![0x3a, 0x80, 0x80, 0x04], vec![0x2a; 65_536]].concat(),
                true,
            ),
            (
                [vec![0x3a, 0xff, 0xff, 0x7f], vec![0x2a; 65_536]].concat(),
                true,
            ),
            (vec![0xff; 65_536], true),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .enumerate()
            .filter(|(_, (message, expected))| check_fields(message).is_ok() != *expected)
            .map(|(index, _)| index)
            .collect();
        assert!(wrong.is_empty(), "cases {wrong:?}");
    }
}
