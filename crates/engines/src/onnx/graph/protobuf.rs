//! Reads the wire format of protobuf from a file, field by field, and skips unused fields.
//!
//! Decision: written by hand, because model weights lie between the nodes of a model: a generated
//! decoder would read gigabytes into memory to find a few names. Only what a caller reads is kept.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// The longest text that is read; names of tensors and operators are short.
const MAX_TEXT_BYTES: u64 = 64 * 1024;

/// The most bytes of a varint of 64 bits.
const MAX_VARINT_BYTES: u32 = 10;

/// Error for bytes that are not a message of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<io::Error> for Malformed {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Bytes with a position that is known without a system call.
#[derive(Debug)]
pub(super) struct Source<R> {
    bytes: R,
    position: u64,
}

impl<R: Read + Seek> Source<R> {
    /// Creates a source at the start of `bytes`.
    pub(super) fn new(bytes: R) -> Self {
        Self { bytes, position: 0 }
    }

    /// Returns the message that spans all of the bytes, from their start.
    pub(super) fn message(&mut self) -> Result<Message<'_, R>, Malformed> {
        let end = self.bytes.seek(SeekFrom::End(0))?;
        self.bytes.rewind()?;
        self.position = 0;
        Ok(Message { source: self, end })
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Malformed> {
        self.bytes.read_exact(buffer)?;
        self.position += u64::try_from(buffer.len()).map_err(|_| Malformed)?;
        Ok(())
    }

    fn skip_to(&mut self, position: u64) -> Result<(), Malformed> {
        let distance = position.checked_sub(self.position).ok_or(Malformed)?;
        // A short distance stays inside the buffer of the reader.
        self.bytes
            .seek_relative(i64::try_from(distance).map_err(|_| Malformed)?)?;
        self.position = position;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for index in 0..MAX_VARINT_BYTES {
            let mut byte = [0];
            self.fill(&mut byte)?;
            let [byte] = byte;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

/// A message that is being read.
#[derive(Debug)]
pub(super) struct Message<'a, R> {
    source: &'a mut Source<R>,
    end: u64,
}

/// One field of a message. Unread content is skipped.
#[derive(Debug)]
pub(super) struct Field<'a, R> {
    source: &'a mut Source<R>,
    start: u64,
    number: u64,
    value: FieldValue,
}

/// The value of a field, or the position where it ends.
#[derive(Clone, Copy, Debug)]
enum FieldValue {
    Varint(u64),
    /// Bytes from the position of the source up to this one.
    Bytes(u64),
}

impl<R: Read + Seek> Message<'_, R> {
    /// Passes every field to `visit`, in the order of the bytes.
    pub(super) fn each(
        &mut self,
        mut visit: impl FnMut(&mut Field<'_, R>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let (source, end) = (&mut *self.source, self.end);
        while source.position < end {
            let start = source.position;
            let key = source.varint()?;
            let value = match key & 7 {
                0 => FieldValue::Varint(source.varint()?),
                1 => FieldValue::Bytes(source.position + 8),
                2 => {
                    let length = source.varint()?;
                    FieldValue::Bytes(source.position.checked_add(length).ok_or(Malformed)?)
                }
                5 => FieldValue::Bytes(source.position + 4),
                _ => return Err(Malformed),
            };
            visit(&mut Field {
                source: &mut *source,
                start,
                number: key >> 3,
                value,
            })?;
            match value {
                FieldValue::Varint(_) => {}
                FieldValue::Bytes(next) if next > end => return Err(Malformed),
                FieldValue::Bytes(next) => source.skip_to(next)?,
            }
        }
        match source.position == end {
            true => Ok(()),
            false => Err(Malformed),
        }
    }
}

impl<R: Read + Seek> Field<'_, R> {
    /// Returns the field number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the positions of the field with its number.
    pub(super) fn span(&self) -> Range<u64> {
        let end = match self.value {
            FieldValue::Varint(_) => self.source.position,
            FieldValue::Bytes(end) => end,
        };
        self.start..end
    }

    /// Returns the value as a whole number.
    pub(super) fn varint(&self) -> Result<u64, Malformed> {
        match self.value {
            FieldValue::Varint(value) => Ok(value),
            FieldValue::Bytes(_) => Err(Malformed),
        }
    }

    /// Returns the values of a repeated whole number, of which a field holds one or all.
    pub(super) fn varints(&mut self) -> Result<Vec<u64>, Malformed> {
        match self.value {
            FieldValue::Varint(value) => Ok(vec![value]),
            FieldValue::Bytes(end) => {
                let mut values = Vec::new();
                while self.source.position < end {
                    values.push(self.source.varint()?);
                }
                Ok(values)
            }
        }
    }

    /// Returns the value as text.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let n_bytes = self.end()?.saturating_sub(self.source.position);
        if n_bytes > MAX_TEXT_BYTES {
            return Err(Malformed);
        }
        let mut text = vec![0; usize::try_from(n_bytes).map_err(|_| Malformed)?];
        self.source.fill(&mut text)?;
        String::from_utf8(text).map_err(|_| Malformed)
    }

    /// Returns the value as a message.
    pub(super) fn message(&mut self) -> Result<Message<'_, R>, Malformed> {
        Ok(Message {
            end: self.end()?,
            source: &mut *self.source,
        })
    }

    fn end(&self) -> Result<u64, Malformed> {
        match self.value {
            FieldValue::Bytes(end) => Ok(end),
            FieldValue::Varint(_) => Err(Malformed),
        }
    }
}
