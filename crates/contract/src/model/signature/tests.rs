use super::*;

fn spec(name: &str, dims: &[Dimension]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: dims.to_vec(),
        is_optional: false,
    }
}

fn symbol(name: &str) -> Dimension {
    Dimension::Symbol(name.to_owned())
}

fn tensor(name: &str, shape: &[usize]) -> NamedTensor {
    let shape = Shape::new(shape);
    let values = vec![0_f32; shape.element_count().unwrap()];
    NamedTensor {
        name: name.to_owned(),
        tensor: Tensor::from_values(shape, values).unwrap(),
    }
}

fn two_inputs() -> Signature {
    Signature {
        inputs: vec![
            spec("x", &[symbol("N"), Dimension::Fixed(64)]),
            TensorSpec {
                is_optional: true,
                ..spec("mask", &[symbol("N")])
            },
        ],
        outputs: vec![spec("y", &[symbol("N")]), spec("z", &[symbol("N")])],
    }
}

#[test]
fn inputs_are_put_into_the_order_of_the_model() {
    let bound = two_inputs().bind_inputs(vec![tensor("mask", &[2]), tensor("x", &[2, 64])]);
    let shapes: Vec<_> = bound
        .unwrap()
        .into_iter()
        .map(|t| t.unwrap().shape().dims().to_vec())
        .collect();
    assert_eq!(shapes, [vec![2, 64], vec![2]]);
}

#[test]
fn an_optional_input_may_be_left_out() {
    let bound = two_inputs()
        .bind_inputs(vec![tensor("x", &[1, 64])])
        .unwrap();
    assert!(bound[0].is_some() && bound[1].is_none());
}

#[test]
fn invalid_request_error_names_the_expected_input() {
    let ints = Tensor::from_values([1, 64].into(), vec![0_i64; 64]).unwrap();
    let cases = [
        (
            vec![tensor("x", &[1, 63])],
            "unexpected shape for input `x`: expected shape [-1, 64], got [1, 63]",
        ),
        (
            vec![tensor("x", &[64])],
            "unexpected shape for input `x`: expected shape [-1, 64], got [64]",
        ),
        (
            vec![],
            "expected 2 inputs but got 0 inputs: input `x` is missing; expected FP32 of shape [-1, 64]",
        ),
        (
            vec![tensor("w", &[1])],
            "unexpected inference input `w`; the model has `x`, `mask`",
        ),
        (
            vec![tensor("x", &[1, 64]), tensor("x", &[1, 64])],
            "input `x` already exists in request; send it once",
        ),
        (
            vec![NamedTensor {
                name: "x".to_owned(),
                tensor: ints,
            }],
            "inference input `x` data-type is INT64, but the model expects FP32",
        ),
        (
            vec![tensor("x", &[2, 64]), tensor("mask", &[3])],
            "input `mask`: dimension `N` is 3, but 2 in input `x`; both must agree",
        ),
    ];
    for (inputs, expected) in cases {
        assert_eq!(
            two_inputs().bind_inputs(inputs).unwrap_err().message(),
            expected
        );
    }
}

#[test]
fn outputs_follow_the_order_of_the_request() {
    let signature = two_inputs();
    assert_eq!(signature.bind_outputs::<&str>(&[]).unwrap(), [0, 1]);
    assert_eq!(signature.bind_outputs(&["z", "y"]).unwrap(), [1, 0]);
    assert!(signature.bind_outputs(&["z", "z"]).is_err());
    assert!(signature.bind_outputs(&["w"]).is_err());
}

#[test]
fn a_batch_dimension_needs_one_dynamic_axis_everywhere() {
    let with = |input: Dimension, output: Dimension| Signature {
        inputs: vec![spec("x", &[input, Dimension::Fixed(3)])],
        outputs: vec![spec("y", &[output])],
    };
    assert!(with(symbol("N"), symbol("N")).has_batch_dimension());
    assert!(with(symbol("N"), Dimension::Dynamic).has_batch_dimension());
    assert!(!with(symbol("N"), symbol("M")).has_batch_dimension());
    assert!(!with(Dimension::Fixed(1), symbol("N")).has_batch_dimension());
    assert!(!with(symbol("N"), Dimension::Fixed(1)).has_batch_dimension());
    assert!(!Signature::default().has_batch_dimension());
}

#[test]
fn a_symbol_that_also_stands_elsewhere_is_no_batch_dimension() {
    let with = |second: Dimension| Signature {
        inputs: vec![spec("x", &[symbol("N"), Dimension::Fixed(3)])],
        outputs: vec![spec("similarity", &[symbol("N"), second])],
    };
    assert!(!with(symbol("N")).has_batch_dimension());
    assert!(with(symbol("M")).has_batch_dimension());
}

#[test]
fn an_input_of_unknown_rank_takes_any_shape_and_is_never_joined() {
    let spec = || spec("x", &[Dimension::Rest]);
    let signature = Signature {
        inputs: vec![spec()],
        outputs: vec![spec()],
    };
    for shape in [
        Shape::from([]),
        [0].into(),
        [2, 3].into(),
        [1, 2, 3, 4].into(),
    ] {
        let tensor = Tensor::zeros(signature.inputs[0].element_type, shape.clone()).unwrap();
        let input = NamedTensor {
            name: "x".to_owned(),
            tensor,
        };
        let bound = signature.bind_inputs(vec![input]).unwrap();
        assert_eq!(bound[0].as_ref().unwrap().shape(), &shape);
    }
    assert!(!signature.has_batch_dimension());
    assert!(!signature.starts_dynamically());
}

#[test]
fn a_list_of_one_element_is_taken_for_a_scalar_and_nothing_else_is() {
    let signature = Signature {
        inputs: vec![spec("x", &[])],
        outputs: Vec::new(),
    };
    let bound = |shape: Shape| {
        let tensor = Tensor::zeros(signature.inputs[0].element_type, shape).unwrap();
        let name = "x".to_owned();
        let bound = signature.bind_inputs(vec![NamedTensor { name, tensor }])?;
        Ok::<_, Error>(bound[0].as_ref().unwrap().shape().rank())
    };
    assert_eq!(bound([].into()).unwrap(), 0);
    assert_eq!(bound([1].into()).unwrap(), 0);
    assert!(bound([2].into()).is_err());
    assert!(bound([1, 1].into()).is_err());
}
