//! Element types of tensors.
//!
//! The names are those of the Open Inference Protocol, because all dialects and messages use them.

use std::fmt;

use half::{bf16, f16};

crate::named_enum! {
    /// The type of one element.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum ElementType {
        /// One byte, 0 or 1.
        Bool = "BOOL",
        /// Unsigned, 8 bits.
        U8 = "UINT8",
        /// Unsigned, 16 bits.
        U16 = "UINT16",
        /// Unsigned, 32 bits.
        U32 = "UINT32",
        /// Unsigned, 64 bits.
        U64 = "UINT64",
        /// Signed, 8 bits.
        I8 = "INT8",
        /// Signed, 16 bits.
        I16 = "INT16",
        /// Signed, 32 bits.
        I32 = "INT32",
        /// Signed, 64 bits.
        I64 = "INT64",
        /// IEEE binary16.
        F16 = "FP16",
        /// The upper half of an IEEE binary32.
        BF16 = "BF16",
        /// IEEE binary32.
        F32 = "FP32",
        /// IEEE binary64.
        F64 = "FP64",
        /// A string of bytes of any length below 4 GiB.
        Bytes = "BYTES",
    }
    /// Returns the name on the wire, such as `FP32`.
    fn name
}

impl ElementType {
    /// Returns whether the elements are floating point numbers.
    #[must_use]
    pub const fn is_float(self) -> bool {
        match self {
            Self::F16 | Self::BF16 | Self::F32 | Self::F64 => true,
            Self::Bool
            | Self::U8
            | Self::U16
            | Self::U32
            | Self::U64
            | Self::I8
            | Self::I16
            | Self::I32
            | Self::I64
            | Self::Bytes => false,
        }
    }

    /// Returns the element type of a wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|element_type| element_type.name() == name)
    }

    /// Returns the size of one element in bytes; `None` where elements differ in size.
    #[must_use]
    pub const fn size_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::U8 | Self::I8 => Some(1),
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type that is the element of a tensor.
///
/// `BOOL` has no Rust type here: an untrusted byte is no `bool` until it is checked, so booleans
/// are read from [`Tensor::data`](super::Tensor::data) directly.
pub trait Element: bytemuck::Pod + Copy + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The element type that values of this Rust type have.
    const TYPE: ElementType;
}

macro_rules! elements {
    ($($rust:ty => $element:ident),* $(,)?) => {
        $(impl Element for $rust {
            const TYPE: ElementType = ElementType::$element;
        })*
    };
}

elements! {
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    f16 => F16, bf16 => BF16, f32 => F32, f64 => F64,
}
