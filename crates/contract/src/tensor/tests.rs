use half::{bf16, f16};
use proptest::prelude::*;

use super::*;

#[test]
fn bytes_must_fit_shape_and_element_type() {
    let cases: &[(ElementType, &[usize], usize, bool)] = &[
        (ElementType::F32, &[2, 2], 16, true),
        (ElementType::F32, &[2, 2], 15, false),
        (ElementType::F16, &[3], 6, true),
        (ElementType::I64, &[], 8, true),
        (ElementType::I64, &[], 0, false),
        (ElementType::U8, &[0, 5], 0, true),
        (ElementType::F32, &[usize::MAX, 2], 8, false),
        (ElementType::F64, &[1 << 61], 8, false),
        (ElementType::Bytes, &[0], 0, true),
        (ElementType::Bytes, &[1], 4, true),
        (ElementType::Bytes, &[1], 5, false),
        (ElementType::Bytes, &[2], 4, false),
    ];
    let failed: Vec<_> = cases
        .iter()
        .filter(|(element_type, dims, n_bytes, fits)| {
            let data = Bytes::from(vec![0; *n_bytes]);
            Tensor::new(*element_type, Shape::new(dims), data).is_ok() != *fits
        })
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_bool_is_the_byte_zero_or_one() {
    assert!(Tensor::new(ElementType::Bool, [2].into(), Bytes::from_static(&[0, 1])).is_ok());
    assert!(Tensor::new(ElementType::Bool, [2].into(), Bytes::from_static(&[0, 2])).is_err());
}

#[test]
fn wire_names_lead_back_to_their_element_type() {
    for element_type in ElementType::ALL {
        assert_eq!(
            ElementType::from_name(element_type.name()),
            Some(element_type)
        );
    }
    assert_eq!(ElementType::from_name("fp32"), None);
}

#[test]
fn half_types_have_the_bytes_of_the_protocol() {
    let tensor = Tensor::from_values([3].into(), [1.0, -2.0, 65504.0].map(f16::from_f32).to_vec());
    assert_eq!(
        tensor.unwrap().data()[..],
        [0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b]
    );
    let tensor = Tensor::from_values([2].into(), [1.0, -2.5].map(bf16::from_f32).to_vec());
    assert_eq!(tensor.unwrap().data()[..], [0x80, 0x3f, 0x20, 0xc0]);
}

#[test]
fn strings_have_the_bytes_of_the_protocol() {
    let values = ["".as_bytes(), b"a", "é".as_bytes(), b"x\0y"];
    let tensor = Tensor::from_strings([4].into(), values).unwrap();
    let expected = b"\0\0\0\0\x01\0\0\0a\x02\0\0\0\xc3\xa9\x03\0\0\0x\0y";
    assert_eq!(tensor.data()[..], expected[..]);
    assert_eq!(tensor.strings().collect::<Vec<_>>(), values);
}

#[test]
fn a_buffer_holds_what_was_appended_whatever_the_lengths() {
    let source: Vec<u8> = (0..=99).collect();
    let mut wrong = Vec::new();
    for (first, second) in (0..40).flat_map(|first| (0..40).map(move |second| (first, second))) {
        let mut buffer = TensorBuffer::default();
        buffer.extend_from_slice(&source[..first]);
        buffer.extend_from_slice(&source[first..first + second]);
        if buffer.freeze() != source[..first + second] {
            wrong.push((first, second));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn unaligned_bytes_are_copied_once_into_place() {
    let mut buffer = TensorBuffer::with_capacity(9);
    buffer.extend_from_slice(&[0; 9]);
    let bytes = buffer.freeze();
    let odd = Tensor::new(ElementType::F32, [2].into(), bytes.slice(1..)).unwrap();
    assert!(odd.as_slice::<f32>().is_none());
    assert_eq!(odd.aligned().as_slice::<f32>(), Some(&[0.0, 0.0][..]));
    let even = Tensor::new(ElementType::F32, [2].into(), bytes.slice(..8)).unwrap();
    assert_eq!(even.aligned().data().as_ptr(), even.data().as_ptr());
}

#[test]
fn a_scalar_has_no_rows_to_slice() {
    let scalar = Tensor::from_values(Shape::default(), vec![1_f32]).unwrap();
    assert!(scalar.slice_rows(0, 1).is_err());
    assert_eq!(scalar.n_rows(), 1);
}

#[test]
fn rows_of_unlike_shapes_do_not_join() {
    let wide = Tensor::from_values([1, 3].into(), vec![0_f32; 3]).unwrap();
    let narrow = Tensor::from_values([1, 2].into(), vec![0_f32; 2]).unwrap();
    let ints = Tensor::from_values([1, 3].into(), vec![0_i32; 3]).unwrap();
    assert!(Tensor::concat_rows(&[&wide, &narrow]).is_err());
    assert!(Tensor::concat_rows(&[&wide, &ints]).is_err());
    assert!(Tensor::concat_rows(&[]).is_err());
}

#[test]
fn rows_are_padded_upwards_only() {
    let three = Tensor::from_values([3].into(), vec![1_u8, 2, 3]).unwrap();
    assert!(three.padded_rows(2).is_err());
    let scalar = Tensor::from_values(Shape::default(), vec![1_f32]).unwrap();
    assert!(scalar.padded_rows(1).is_err());
    let same = three.padded_rows(3).unwrap();
    assert_eq!(same.data().as_ptr(), three.data().as_ptr());
}

fn strings() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..12)
}

proptest! {
    #[test]
    fn joined_rows_split_into_what_they_were(parts in prop::collection::vec(strings(), 1..6)) {
        let tensors: Vec<_> = parts
            .iter()
            .map(|part| Tensor::from_strings([part.len()].into(), part).unwrap())
            .collect();
        let joined = Tensor::concat_rows(&tensors.iter().collect::<Vec<_>>()).unwrap();
        let mut start = 0;
        for tensor in &tensors {
            prop_assert_eq!(&joined.slice_rows(start, tensor.n_rows()).unwrap(), tensor);
            start += tensor.n_rows();
        }
    }

    #[test]
    fn joined_numbers_split_into_what_they_were(sizes in prop::collection::vec(0_usize..5, 1..6)) {
        let tensors: Vec<_> = sizes
            .iter()
            .map(|&n| Tensor::from_values([n, 3].into(), vec![n as f32; n * 3]).unwrap())
            .collect();
        let joined = Tensor::concat_rows(&tensors.iter().collect::<Vec<_>>()).unwrap();
        let mut start = 0;
        for tensor in &tensors {
            prop_assert_eq!(&joined.slice_rows(start, tensor.n_rows()).unwrap(), tensor);
            start += tensor.n_rows();
        }
        prop_assert!(joined.slice_rows(start, 1).is_err());
    }

    #[test]
    fn padded_rows_are_what_they_were_and_then_zeros(rows in strings(), n_more in 0_usize..5) {
        let n_rows = rows.len() + n_more;
        let texts = Tensor::from_strings([rows.len()].into(), &rows).unwrap();
        let numbers = rows.iter().flat_map(|row| [row.len() as f32, -1.0]).collect();
        let numbers = Tensor::from_values([rows.len(), 2].into(), numbers).unwrap();
        for tensor in [texts, numbers] {
            let padded = tensor.padded_rows(n_rows).unwrap();
            prop_assert_eq!(padded.slice_rows(0, rows.len()).unwrap(), tensor.clone());
            let rest = padded.slice_rows(rows.len(), n_more).unwrap();
            let shape = rest.shape().clone();
            prop_assert_eq!(rest, Tensor::zeros(tensor.element_type(), shape).unwrap());
        }
    }

    #[test]
    fn no_bytes_make_a_tensor_panic(
        element in 0_usize..14,
        dims in prop::collection::vec(0_usize..4, 0..4),
        data in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let tensor = Tensor::new(ElementType::ALL[element], Shape::new(&dims), data.into());
        if let Ok(tensor) = tensor {
            let n = tensor.strings().count();
            prop_assert!(n == 0 || n == tensor.n_elements());
        }
    }
}

#[test]
fn zeros_are_a_tensor_of_every_type_and_shape() {
    for element_type in ElementType::ALL {
        for shape in [Shape::default(), [2, 3].into(), [0, 4].into()] {
            let zeros = Tensor::zeros(element_type, shape.clone()).unwrap();
            assert_eq!(zeros.shape(), &shape);
            assert_eq!(zeros.element_type(), element_type);
            assert!(zeros.data().iter().all(|&byte| byte == 0));
        }
    }
    assert!(Tensor::zeros(ElementType::U8, [usize::MAX, 2].into()).is_err());
}
