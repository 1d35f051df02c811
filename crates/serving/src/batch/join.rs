//! Joining: the layout that requests must share, and the inputs and outputs of their batch.
//!
//! Decision: requests for different outputs share a batch. It computes the union, and each request
//! receives its own outputs, so only the inputs decide which requests may be joined.

use std::borrow::Cow;

use contract::{ElementType, Error, Result, Shape, Tensor};
use smallvec::SmallVec;

/// The layout of one row of a request: for each input that is present its element type and the
/// dimensions after the first. Requests with equal layouts can be joined row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowLayout(SmallVec<[Option<(ElementType, Shape)>; 1]>);

impl RowLayout {
    /// Returns the layout of a request, from its inputs in the order of the signature.
    pub(crate) fn of(inputs: &[Option<Tensor>]) -> Self {
        let row = |tensor: &Tensor| (tensor.element_type(), Shape::new(tensor.shape().row_dims()));
        Self(inputs.iter().map(|input| input.as_ref().map(row)).collect())
    }
}

/// Joins the inputs of these requests. One request is borrowed, several are copied together.
///
/// # Errors
/// `internal` when the requests have different layouts.
pub(crate) fn join_inputs<'a>(
    requests: &[&'a [Option<Tensor>]],
) -> Result<Cow<'a, [Option<Tensor>]>> {
    let &[first, _, ..] = requests else {
        return Ok(Cow::Borrowed(requests.first().copied().unwrap_or_default()));
    };
    let mut joined = Vec::with_capacity(first.len());
    for index in 0..first.len() {
        joined.push(join_input(requests, index)?);
    }
    Ok(Cow::Owned(joined))
}

fn join_input(requests: &[&[Option<Tensor>]], index: usize) -> Result<Option<Tensor>> {
    let present = |inputs: &&'_ [Option<Tensor>]| inputs.get(index).is_some_and(Option::is_some);
    let n_present = requests.iter().filter(|inputs| present(inputs)).count();
    if n_present == 0 {
        return Ok(None);
    }
    if n_present != requests.len() {
        return Err(Error::internal(format!(
            "input {index} is present in {n_present} of {} joined requests",
            requests.len()
        )));
    }
    let tensors: Vec<_> = requests
        .iter()
        .filter_map(|inputs| inputs.get(index)?.as_ref())
        .collect();
    Tensor::concat_rows(&tensors).map(Some)
}

/// Returns the positions of all outputs that any of these requests asks for, each once.
pub(crate) fn join_outputs<'a>(requests: &[&'a [usize]]) -> Cow<'a, [usize]> {
    let Some((&first, rest)) = requests.split_first() else {
        return Cow::Borrowed(&[]);
    };
    if rest.iter().all(|&outputs| outputs == first) {
        return Cow::Borrowed(first);
    }
    let mut union: Vec<_> = requests.iter().copied().flatten().copied().collect();
    union.sort_unstable();
    union.dedup();
    Cow::Owned(union)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[f32]) -> Option<Tensor> {
        Some(Tensor::from_values([values.len(), 1].into(), values.to_vec()).unwrap())
    }

    #[test]
    fn only_the_first_dimension_may_differ_within_a_batch() {
        let of = |shape: &[usize]| {
            let shape = Shape::new(shape);
            let values = vec![0_f32; shape.element_count().unwrap()];
            RowLayout::of(&[Some(Tensor::from_values(shape, values).unwrap())])
        };
        assert_eq!(of(&[1, 3]), of(&[7, 3]));
        assert_ne!(of(&[1, 3]), of(&[1, 4]));
        assert_ne!(of(&[1, 3]), of(&[1, 3, 1]));
    }

    #[test]
    fn element_types_and_present_inputs_belong_to_the_layout() {
        let float = Tensor::from_values([1].into(), vec![1_f32]).unwrap();
        let int = Tensor::from_values([1].into(), vec![1_i32]).unwrap();
        let both = RowLayout::of(&[Some(float.clone()), Some(float.clone())]);
        assert_ne!(
            RowLayout::of(&[Some(float.clone())]),
            RowLayout::of(&[Some(int)])
        );
        assert_ne!(RowLayout::of(&[Some(float), None]), both);
    }

    #[test]
    fn a_single_request_is_not_copied() {
        let inputs = [column(&[1.0, 2.0]), None];
        let joined = join_inputs(&[&inputs]).unwrap();
        assert!(matches!(joined, Cow::Borrowed(same) if same == inputs));
    }

    #[test]
    fn rows_follow_each_other_in_the_order_of_the_requests() {
        let (first, second) = ([column(&[1.0, 2.0]), None], [column(&[3.0]), None]);
        let joined = join_inputs(&[&first, &second]).unwrap();
        assert_eq!(*joined, [column(&[1.0, 2.0, 3.0]), None]);
    }

    #[test]
    fn requests_with_different_inputs_are_never_joined() {
        let (first, second) = ([column(&[1.0])], [None]);
        assert!(join_inputs(&[&first, &second]).is_err());
    }

    #[test]
    fn the_outputs_of_a_batch_are_the_union() {
        let check = |requests: &[&[usize]], expected: &[usize]| {
            assert_eq!(*join_outputs(requests), *expected, "{requests:?}");
        };
        check(&[], &[]);
        check(&[&[1, 0]], &[1, 0]);
        check(&[&[1, 0], &[1, 0]], &[1, 0]);
        check(&[&[2], &[0, 2], &[1]], &[0, 1, 2]);
    }
}
