//! One element of a tensor as text, for people.

use contract::{Element, ElementType, Tensor};
use half::{bf16, f16};

use super::pair::elements;

/// Returns an element by its position in memory; `None` beyond the last one.
#[must_use]
pub fn element_text(tensor: &Tensor, position: usize) -> Option<String> {
    match tensor.element_type() {
        ElementType::Bool => {
            let byte = tensor.data().get(position)?;
            Some((*byte != 0).to_string())
        }
        ElementType::U8 => text::<u8>(tensor, position),
        ElementType::U16 => text::<u16>(tensor, position),
        ElementType::U32 => text::<u32>(tensor, position),
        ElementType::U64 => text::<u64>(tensor, position),
        ElementType::I8 => text::<i8>(tensor, position),
        ElementType::I16 => text::<i16>(tensor, position),
        ElementType::I32 => text::<i32>(tensor, position),
        ElementType::I64 => text::<i64>(tensor, position),
        ElementType::F16 => text::<f16>(tensor, position),
        ElementType::BF16 => text::<bf16>(tensor, position),
        ElementType::F32 => text::<f32>(tensor, position),
        ElementType::F64 => text::<f64>(tensor, position),
        ElementType::Bytes => {
            let string = tensor.strings().nth(position)?;
            Some(String::from_utf8_lossy(string).into_owned())
        }
    }
}

fn text<T: Element + ToString>(tensor: &Tensor, position: usize) -> Option<String> {
    elements::<T>(tensor).get(position).map(ToString::to_string)
}
