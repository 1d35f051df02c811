//! Parsing of tensors from JSON: one pass over the text, each number straight into the buffer of
//! the tensor.

use std::ops::ControlFlow;

use contract::{ElementType, Error, Result, Shape, StringBuffer, Tensor};
use half::{bf16, f16};

use super::JsonLimits;
use super::cursor::Cursor;
use super::leaf::read_bool;
use super::nesting::{Nesting, Regularity};

mod numbers;

use numbers::Numbers;

/// A typical number with its comma, to guess how many there are.
const BYTES_PER_NUMBER: usize = 8;

/// Parses a JSON value (number, string, bool, nested arrays) into a tensor of `element_type`, with
/// the shape that the arrays have.
///
/// # Errors
/// `invalid_request` that names the place: malformed JSON, ragged arrays, a value that the element
/// type cannot hold, or more than `limits` allow.
pub(crate) fn read_nested(
    json: &[u8],
    element_type: ElementType,
    limits: &JsonLimits,
) -> Result<Tensor> {
    let reader = Reader {
        json,
        limits,
        shape: None,
    };
    reader.read(element_type)
}

/// Parses a tensor of a given shape: the values come flat or nested in any way, and must be as many
/// as `shape` has.
///
/// # Errors
/// Those of [`read_nested`], and another number of values.
pub(crate) fn read_with_shape(
    json: &[u8],
    element_type: ElementType,
    shape: Shape,
    limits: &JsonLimits,
) -> Result<Tensor> {
    let n_elements = shape.element_count()?;
    if n_elements > limits.elements {
        return Err(too_many(limits));
    }
    let reader = Reader {
        json,
        limits,
        shape: Some((shape, n_elements)),
    };
    reader.read(element_type)
}

/// A buffer for the values of one tensor.
trait Sink {
    /// Returns a buffer with room for about `n_elements`.
    fn with_capacity(n_elements: usize) -> Self;
    /// Takes the next value.
    fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<()>;
    /// Takes the following values of the usual form with commas between them, at most `room`, and
    /// ends after the last value. Returns whether there was one.
    fn take_plain(&mut self, _cursor: &mut Cursor<'_>, _room: usize) -> bool {
        false
    }
    /// Returns the number of values so far.
    fn len(&self) -> usize;
    /// Returns the tensor.
    fn finish(self, shape: Shape) -> Result<Tensor>;
}

struct Reader<'a> {
    json: &'a [u8],
    limits: &'a JsonLimits,
    /// The shape, when it is given, and its number of elements.
    shape: Option<(Shape, usize)>,
}

impl Reader<'_> {
    fn read(self, element_type: ElementType) -> Result<Tensor> {
        match element_type {
            ElementType::Bool => self.read_into::<Booleans>(),
            ElementType::U8 => self.read_into::<Numbers<u8>>(),
            ElementType::U16 => self.read_into::<Numbers<u16>>(),
            ElementType::U32 => self.read_into::<Numbers<u32>>(),
            ElementType::U64 => self.read_into::<Numbers<u64>>(),
            ElementType::I8 => self.read_into::<Numbers<i8>>(),
            ElementType::I16 => self.read_into::<Numbers<i16>>(),
            ElementType::I32 => self.read_into::<Numbers<i32>>(),
            ElementType::I64 => self.read_into::<Numbers<i64>>(),
            ElementType::F16 => self.read_into::<Numbers<f16>>(),
            ElementType::BF16 => self.read_into::<Numbers<bf16>>(),
            ElementType::F32 => self.read_into::<Numbers<f32>>(),
            ElementType::F64 => self.read_into::<Numbers<f64>>(),
            ElementType::Bytes => self.read_into::<StringBuffer>(),
        }
    }

    fn read_into<S: Sink>(self) -> Result<Tensor> {
        let guess = self.json.len() / BYTES_PER_NUMBER + 1;
        let (regularity, capacity) = match &self.shape {
            // The text bounds the memory, whatever the claimed shape.
            Some((_, n_elements)) => (Regularity::Ignored, guess.min(*n_elements)),
            None => (Regularity::Required, guess.min(self.limits.elements)),
        };
        let mut sink = S::with_capacity(capacity);
        let mut nesting = Nesting::new(regularity, self.limits);
        let mut cursor = Cursor::new(self.json);
        self.walk(&mut cursor, &mut sink, &mut nesting)?;
        cursor.finish()?;
        match self.shape {
            None => sink.finish(nesting.shape()),
            Some((shape, n_elements)) if n_elements == sink.len() => sink.finish(shape),
            Some((shape, n_elements)) => Err(wrong_count(&shape, n_elements, sink.len())),
        }
    }

    /// Reads one value of any nesting.
    fn walk<S: Sink>(
        &self,
        cursor: &mut Cursor<'_>,
        sink: &mut S,
        nesting: &mut Nesting,
    ) -> Result<()> {
        loop {
            cursor.skip_whitespace();
            if cursor.eat(b'[') {
                nesting.open(self.limits)?;
                cursor.skip_whitespace();
                if cursor.peek() != Some(b']') {
                    continue;
                }
            } else {
                self.take_row(cursor, sink, nesting)?;
            }
            if close_arrays(cursor, nesting)?.is_break() {
                return Ok(());
            }
        }
    }

    /// Takes values until something else follows.
    fn take_row<S: Sink>(
        &self,
        cursor: &mut Cursor<'_>,
        sink: &mut S,
        nesting: &mut Nesting,
    ) -> Result<()> {
        nesting.values()?;
        let n_before = sink.len();
        loop {
            let room = self.max_elements().saturating_sub(sink.len());
            if room == 0 {
                return Err(self.refuse_more(sink.len()));
            }
            let room = if nesting.is_outside() { 1 } else { room };
            if !sink.take_plain(cursor, room)
                && let Err(error) = sink.take(cursor)
            {
                nesting.advance(sink.len() - n_before);
                return Err(match nesting.is_outside() {
                    true => error,
                    false => error.in_context(format_args!("at {}", nesting.index_path())),
                });
            }
            cursor.skip_whitespace();
            let before_comma = *cursor;
            if nesting.is_outside() || !cursor.eat(b',') {
                break;
            }
            cursor.skip_whitespace();
            if cursor.peek() == Some(b'[') {
                *cursor = before_comma;
                break;
            }
        }
        nesting.advance(sink.len() - n_before);
        Ok(())
    }

    fn max_elements(&self) -> usize {
        match &self.shape {
            Some((_, n_elements)) => *n_elements,
            None => self.limits.elements,
        }
    }

    fn refuse_more(&self, n_taken: usize) -> Error {
        match &self.shape {
            Some((shape, n_elements)) => wrong_count(shape, *n_elements, n_taken.saturating_add(1)),
            None => too_many(self.limits),
        }
    }
}

/// Closes the arrays that end after a value. Breaks when the outermost has ended, continues when a
/// comma announces another value.
fn close_arrays(cursor: &mut Cursor<'_>, nesting: &mut Nesting) -> Result<ControlFlow<()>> {
    while !nesting.is_outside() {
        cursor.skip_whitespace();
        if cursor.eat(b',') {
            return Ok(ControlFlow::Continue(()));
        }
        if !cursor.eat(b']') {
            return Err(cursor.expected("`,` or `]`"));
        }
        nesting.close()?;
    }
    Ok(ControlFlow::Break(()))
}

fn too_many(limits: &JsonLimits) -> Error {
    Error::invalid(format!(
        "the tensor exceeds the limit of {} elements (`max_elements`)",
        limits.elements
    ))
}

fn wrong_count(shape: &Shape, n_elements: usize, n_found: usize) -> Error {
    let at_least = if n_found > n_elements {
        "at least "
    } else {
        ""
    };
    Error::invalid(format!(
        "shape does not match true shape of 'data' field: {shape} has {n_elements} elements, got \
         {at_least}{n_found}"
    ))
}

/// A buffer of booleans, which are bytes in a tensor, yet not numbers.
struct Booleans(Vec<u8>);

impl Sink for Booleans {
    fn with_capacity(n_elements: usize) -> Self {
        Self(Vec::with_capacity(n_elements))
    }

    fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        self.0.push(read_bool(cursor)?);
        Ok(())
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn finish(self, shape: Shape) -> Result<Tensor> {
        Tensor::new(ElementType::Bool, shape, self.0.into())
    }
}

impl Sink for StringBuffer {
    fn with_capacity(_: usize) -> Self {
        Self::default()
    }

    fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        if cursor.peek() != Some(b'"') {
            let got = cursor.excerpt();
            return Err(Error::invalid(format!(
                "expected a string for BYTES, got {got}"
            )));
        }
        self.push(cursor.string()?.as_bytes())
    }

    fn len(&self) -> usize {
        self.n_elements()
    }

    fn finish(self, shape: Shape) -> Result<Tensor> {
        Tensor::new(ElementType::Bytes, shape, self.finish())
    }
}

#[cfg(test)]
mod tests;
