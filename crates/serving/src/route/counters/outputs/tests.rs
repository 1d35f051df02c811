//! Small outputs of every kind.

use contract::Shape;

use super::*;

fn named(tensor: Tensor) -> NamedTensor {
    NamedTensor {
        name: "y".to_owned(),
        tensor,
    }
}

fn floats(shape: &[usize], values: &[f32]) -> NamedTensor {
    named(Tensor::from_values(Shape::new(shape), values.to_vec()).unwrap())
}

fn integers(shape: &[usize], values: &[i64]) -> NamedTensor {
    named(Tensor::from_values(Shape::new(shape), values.to_vec()).unwrap())
}

fn strings(values: &[&str]) -> NamedTensor {
    named(Tensor::from_strings(Shape::new(&[values.len()]), values).unwrap())
}

/// The kind, the bins in order, and the class.
fn summary(outputs: &[NamedTensor]) -> (OutputKind, Vec<usize>, Option<Class>) {
    let mut bins = Vec::new();
    let seen = summarize(outputs, |bin| bins.push(bin));
    (seen.kind, bins, seen.class)
}

type Row = (
    &'static str,
    Vec<NamedTensor>,
    OutputKind,
    Vec<usize>,
    Option<Class>,
);

fn check(rows: impl IntoIterator<Item = Row>) {
    let wrong: Vec<_> = rows
        .into_iter()
        .map(|(what, outputs, kind, bins, class)| (what, (kind, bins, class), summary(&outputs)))
        .filter(|(_, expected, got)| expected != got)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn each_row_is_counted_by_its_class_or_score() {
    use OutputKind::{Classes, Scores};
    let (seven, one) = (Some(Class::of_integer(7)), Some(Class::of_integer(1)));
    let far = f32::NEG_INFINITY;
    let scores = [-0.1, 0.0, 0.099, 0.5, 1.0, 1.1, f32::NAN];
    let modulo = integers(&[2, 1], &[39, -1]);
    let ties = floats(&[2, 2], &[0.5, 0.5, far, -3.0]);
    let bins = vec![0, 1, 1, 6, 10, 11, 11];
    check([
        (
            "a label",
            vec![integers(&[1], &[7])],
            Classes,
            vec![7],
            seven,
        ),
        ("modulo", vec![modulo], Classes, vec![7, 31], None),
        (
            "a number as text",
            vec![strings(&["7"])],
            Classes,
            vec![7],
            seven,
        ),
        (
            "highest",
            vec![floats(&[1, 3], &[0.2, 0.5, 0.3])],
            Classes,
            vec![1],
            one,
        ),
        ("the first of equals", vec![ties], Classes, vec![0, 1], None),
        ("scores", vec![floats(&[7], &scores)], Scores, bins, None),
    ]);
}

#[test]
fn the_first_suitable_output_is_counted_unless_it_is_large() {
    use OutputKind::{Classes, Unknown};
    let seven = Some(Class::of_integer(7));
    let label = || integers(&[1], &[7]);
    let cube = floats(&[1, 2, 2], &[0.0; 4]);
    let matrix = integers(&[1, 2], &[1, 2]);
    let large = integers(&[5000], &[1; 5000]);
    let scores = floats(&[1, 2], &[0.0, 1.0]);
    check([
        (
            "after what is not",
            vec![cube, label()],
            Classes,
            vec![7],
            seven,
        ),
        (
            "only the first",
            vec![label(), scores],
            Classes,
            vec![7],
            seven,
        ),
        (
            "not integers of a matrix",
            vec![matrix],
            Unknown,
            vec![],
            None,
        ),
        ("too large", vec![large, label()], Unknown, vec![], None),
        ("no rows", vec![integers(&[0], &[])], Unknown, vec![], None),
        ("nothing", vec![], Unknown, vec![], None),
    ]);
}

#[test]
fn every_element_type_is_read_wherever_it_starts() {
    let labels = [
        (ElementType::Bool, vec![1]),
        (ElementType::U8, vec![1]),
        (ElementType::I8, vec![1]),
        (ElementType::U16, vec![1, 0]),
        (ElementType::I16, vec![1, 0]),
        (ElementType::U32, vec![1, 0, 0, 0]),
        (ElementType::I32, vec![1, 0, 0, 0]),
        (ElementType::U64, vec![1, 0, 0, 0, 0, 0, 0, 0]),
        (ElementType::I64, vec![1, 0, 0, 0, 0, 0, 0, 0]),
    ];
    // 0.25 and 0.75.
    let scores = [
        (ElementType::F16, vec![0x00, 0x34, 0x00, 0x3a]),
        (ElementType::BF16, vec![0x80, 0x3e, 0x40, 0x3f]),
        (
            ElementType::F32,
            [0.25_f32, 0.75].map(f32::to_le_bytes).concat(),
        ),
        (
            ElementType::F64,
            [0.25_f64, 0.75].map(f64::to_le_bytes).concat(),
        ),
    ];
    let read = |element_type, shape: &[usize], bytes: &[u8]| {
        let data = bytes::Bytes::from([&[0], bytes].concat()).slice(1..);
        let tensor = Tensor::new(element_type, Shape::new(shape), data).unwrap();
        assert!(!is_not_finite(&tensor), "{element_type}");
        summary(&[named(tensor)]).1
    };
    for (element_type, bytes) in labels {
        assert_eq!(read(element_type, &[1], &bytes), [1], "{element_type}");
    }
    for (element_type, bytes) in scores {
        assert_eq!(read(element_type, &[1, 2], &bytes), [1], "{element_type}");
        assert_eq!(read(element_type, &[2], &bytes), [3, 8], "{element_type}");
    }
}

#[test]
fn halves_are_exact_down_to_the_smallest() {
    let rows = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x0001, 2.0_f32.powi(-24)),
        (0x7bff, 65504.0),
    ];
    for (bits, expected) in rows {
        assert_eq!(half(bits), expected, "{bits:x}");
    }
}

#[test]
fn non_finite_numbers_are_found_in_every_float_type() {
    let mut many = vec![0.0; 1000];
    many.push(f32::INFINITY);
    assert!(has_non_finite(&[
        integers(&[1], &[-1]),
        floats(&[1001], &many)
    ]));
    assert!(has_non_finite(&[floats(&[1], &[f32::NAN])]));
    assert!(!has_non_finite(&[floats(
        &[2],
        &[f32::MAX, f32::MIN_POSITIVE]
    )]));
    let others = [
        (ElementType::F16, vec![0x00, 0xfc]),
        (ElementType::BF16, vec![0xc0, 0x7f]),
        (ElementType::F64, f64::NAN.to_le_bytes().to_vec()),
    ];
    for (element_type, bytes) in others {
        let tensor = Tensor::new(element_type, Shape::new(&[1]), bytes.into()).unwrap();
        assert!(is_not_finite(&tensor), "{element_type}");
    }
    let too_many = floats(
        &[MAX_SCANNED_ELEMENTS + 1],
        &vec![f32::NAN; MAX_SCANNED_ELEMENTS + 1],
    );
    assert!(!has_non_finite(&[too_many]));
}

#[test]
fn a_class_survives_sixteen_bits() {
    let classes = [
        Class::of_integer(0),
        Class::of_integer(-1),
        Class::of_integer(i64::MAX),
        Class::of_text(b"cat"),
    ];
    for class in classes {
        assert_eq!(Class::from_number(class.number()), Some(class));
    }
    assert_eq!(Class::from_number(0), None);
    assert_ne!(Class::of_text(b"cat"), Class::of_text(b"dog"));
}
