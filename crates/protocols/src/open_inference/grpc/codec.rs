//! Messages on the wire: protobuf, with a bound on the number of fields.
//!
//! Decision: an empty tensor takes 2 bytes on the wire and hundreds in memory, so the limit of a
//! message's bytes does not bound the memory of its decoded form. Fields at the top level, which
//! are these tensors, are counted before anything is decoded.

use std::marker::PhantomData;

use bytes::Buf;
use contract::{Code, Error, Result};
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

use super::status::status;

/// More tensors than any model has, and few megabytes when decoded.
const MAX_FIELDS: usize = 16_384;

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
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstDecoder::default())
    }
}

/// A decoder that counts the fields of a message first.
#[derive(Debug)]
pub(super) struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> std::result::Result<Option<U>, Status> {
        // A message lies in one piece, because its frame is received as a whole.
        check_fields(buf.chunk()).map_err(|error| status(&error))?;
        self.0.decode(buf)
    }
}

/// Counts the fields at the top level; the decoder reports malformed ones.
pub(super) fn check_fields(mut message: &[u8]) -> Result<()> {
    let mut n_fields = 0_usize;
    while next_field(&mut message).is_some() {
        n_fields += 1;
        if n_fields > MAX_FIELDS {
            return Err(Error::new(
                Code::PayloadTooLarge,
                format!("the message has more than {MAX_FIELDS} tensors and parameters"),
            ));
        }
    }
    Ok(())
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

    #[test]
    fn messages_with_too_many_fields_are_refused_and_others_left_alone() {
        let empty_input = [0x2a, 0x00];
        let cases = [
            (empty_input.repeat(MAX_FIELDS), true),
            (empty_input.repeat(MAX_FIELDS + 1), false),
            ([0x08, 0x96, 0x01].repeat(MAX_FIELDS + 1), false),
            ([0x0d, 0, 0, 0, 0].repeat(MAX_FIELDS + 1), false),
            ([0x0b, 0x0c].repeat(MAX_FIELDS), false),
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
