//! The rules of the protobuf wire format that are needed to write parts of an ONNX file.
//!
//! Decision: messages are written by hand, because a generated ONNX module would be a hundred times
//! larger than the part that is needed.

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// Writes a number in field `field`.
    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// Writes bytes or text in field `field`.
    pub(crate) fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Writes a message in field `field`.
    pub(crate) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// Adds fields that are written already.
    pub(crate) fn raw(mut self, fields: &[u8]) -> Self {
        self.0.extend_from_slice(fields);
        self
    }

    /// Returns the bytes so far.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_bytes_of_the_wire_format() {
        let inner = Message::default().number(1, 300);
        let bytes = Message::default()
            .message(2, &inner)
            .bytes(3, "hi")
            .finish();
        let expected = b"\x12\x03\x08\xac\x02\x1a\x02hi";
        assert_eq!(bytes, expected);
    }
}
