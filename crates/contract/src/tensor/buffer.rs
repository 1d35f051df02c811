//! Buffers that become the bytes of a tensor without a copy.
//!
//! Decision: memory comes in words of 16 bytes, which aligns every element type without `unsafe`.

use bytes::Bytes;

use super::Element;

const WORD_BYTES: usize = size_of::<u128>();

/// Growing tensor bytes that start at an address that suits every element type.
#[derive(Debug, Default)]
pub struct TensorBuffer {
    words: Vec<u128>,
    n_bytes: usize,
}

impl TensorBuffer {
    /// Creates an empty buffer with room for `n_bytes`.
    #[must_use]
    pub fn with_capacity(n_bytes: usize) -> Self {
        Self {
            words: Vec::with_capacity(n_bytes.div_ceil(WORD_BYTES)),
            n_bytes: 0,
        }
    }

    /// Creates a buffer of `n_bytes` zeros.
    #[must_use]
    pub fn zeroed(n_bytes: usize) -> Self {
        Self {
            words: vec![0; n_bytes.div_ceil(WORD_BYTES)],
            n_bytes,
        }
    }

    /// Appends `data`.
    pub fn extend_from_slice(&mut self, data: &[u8]) {
        // Whole words are written once, not zeroed first: outputs of models are many megabytes.
        let (words, rest) = match self.n_bytes.is_multiple_of(WORD_BYTES) {
            true => data.as_chunks::<WORD_BYTES>(),
            false => ([].as_slice(), data),
        };
        let words = words.iter().map(|word| u128::from_ne_bytes(*word));
        self.words.extend(words);
        let start = self.n_bytes + data.len() - rest.len();
        self.n_bytes += data.len();
        self.words.resize(self.n_bytes.div_ceil(WORD_BYTES), 0);
        if let Some(tail) = self.as_mut_slice().get_mut(start..) {
            tail.copy_from_slice(rest);
        }
    }

    /// Returns the bytes so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
            .get(..self.n_bytes)
            .unwrap_or_default()
    }

    /// Returns the bytes so far, for writing.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.words)
            .get_mut(..self.n_bytes)
            .unwrap_or_default()
    }

    /// Returns the bytes, which can be shared from now on.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(Frozen(self))
    }
}

struct Frozen(TensorBuffer);

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Returns the bytes of `values`, moved and not copied.
pub(super) fn bytes_of<T: Element>(values: Vec<T>) -> Bytes {
    struct Values<T>(Vec<T>);
    impl<T: Element> AsRef<[u8]> for Values<T> {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    Bytes::from_owner(Values(values))
}
