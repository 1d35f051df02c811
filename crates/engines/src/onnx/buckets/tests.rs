//! The choice of allowed sizes.

use std::time::Duration;

use contract::{Dimension, ElementType, TensorSpec};

use super::*;

const MEGABYTE: u64 = 1_000_000;

fn signature(dims: &[Dimension]) -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims: dims.to_vec(),
        is_optional: false,
    };
    Signature {
        inputs: vec![spec("x")],
        outputs: vec![spec("y")],
    }
}

fn cost(steady_ms: u64, changed_ms: u64) -> ChangeCost {
    ChangeCost {
        steady: Duration::from_millis(steady_ms),
        changed: Duration::from_millis(changed_ms),
    }
}

/// The sizes chosen for a model with these dimensions, on a GPU when `max_rows` is given.
fn chosen(
    sizes: &BatchSizes,
    max_rows: Option<usize>,
    dims: &[Dimension],
    cost: Option<ChangeCost>,
) -> Result<Option<SizeChoice>> {
    let input = SizeInput {
        sizes,
        max_rows: max_rows.and_then(NonZeroUsize::new),
        signature: &signature(dims),
        n_bytes: 100 * MEGABYTE,
        n_sessions: 2,
    };
    choose(&input, || cost)
}

#[test]
fn sizes_are_words_or_numbers() {
    let only = |sizes: &[usize]| Some(BatchSizes::Only(sizes.to_vec()));
    let table = [
        ("auto", Some(BatchSizes::Auto)),
        ("any", Some(BatchSizes::Any)),
        ("8", only(&[8])),
        ("32, 1,8,8", only(&[1, 8, 32])),
        ("0,4", None),
        ("", None),
        ("1,,2", None),
        ("1;2", None),
        ("-1", None),
        ("all", None),
    ];
    let wrong: Vec<_> = table
        .into_iter()
        .filter(|(text, expected)| BatchSizes::parse(text) != *expected)
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn a_gpu_that_plans_anew_gets_sizes_up_to_the_largest_batch() {
    let rows = [Dimension::Dynamic, Dimension::Fixed(3)];
    let choice = chosen(&BatchSizes::Auto, Some(32), &rows, Some(cost(2, 100)));
    let choice = choice.unwrap().unwrap();
    assert_eq!(choice.sizes, [1, 4, 16, 32]);
    assert_eq!(
        choice.reason,
        "; batches run at 1, 4, 16, 32 rows, because a run of a different size than the last \
         takes 100 ms instead of 2"
    );
}

#[test]
fn any_size_runs_where_a_change_is_cheap_or_more_than_rows_vary() {
    let rows = [Dimension::Dynamic, Dimension::Fixed(3)];
    let text = [Dimension::Dynamic, Dimension::Dynamic];
    let fixed = [Dimension::Fixed(1), Dimension::Fixed(3)];
    let dear = Some(cost(2, 100));
    let auto = BatchSizes::Auto;
    let table = [
        (&auto, Some(32), &rows, Some(cost(2, 6))),
        (&auto, Some(32), &rows, Some(cost(0, 1))),
        (&auto, Some(32), &rows, None),
        (&auto, Some(32), &text, dear),
        (&auto, Some(32), &fixed, dear),
        (&auto, None, &rows, dear),
        (&BatchSizes::Any, Some(32), &rows, dear),
    ];
    for (index, (sizes, max_rows, dims, cost)) in table.into_iter().enumerate() {
        let choice = chosen(sizes, max_rows, dims, cost).unwrap();
        assert_eq!(choice, None, "row {index}");
    }
}

#[test]
fn sizes_that_were_asked_for_hold_anywhere_but_without_a_batch_dimension() {
    let input = BatchSizes::Only(vec![2, 5]);
    let rows = [Dimension::Dynamic];
    let choice = chosen(&input, None, &rows, None).unwrap().unwrap();
    assert_eq!(choice.sizes, [2, 5]);
    let error = chosen(&input, None, &[Dimension::Fixed(3)], None).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the same dynamic dimension"), "{text}");
}

#[test]
fn a_large_model_gets_fewer_sizes_and_then_single_rows() {
    let table = [
        (32, 100 * MEGABYTE, 2, vec![1, 4, 16, 32]),
        (16, 100 * MEGABYTE, 2, vec![1, 4, 16]),
        (2, 100 * MEGABYTE, 2, vec![1, 2]),
        (32, 900 * MEGABYTE, 2, vec![1, 32]),
        (32, 900 * MEGABYTE, 1, vec![1, 4, 16, 32]),
        (32, 9_000 * MEGABYTE, 2, vec![1]),
        (usize::MAX, 10 * MEGABYTE, 100, vec![1, usize::MAX]),
    ];
    let wrong: Vec<_> = table
        .into_iter()
        .filter(|(max_rows, n_bytes, n_sessions, expected)| {
            affordable(*max_rows, *n_bytes, *n_sessions) != *expected
        })
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn a_session_that_does_not_open_says_for_which_size_and_what_takes_less() {
    let mut next = || Err(failed("out of memory".to_owned()));
    let rows = signature(&[Dimension::Dynamic]);
    let text = Buckets::open(&[4, 16], &rows, &mut next)
        .unwrap_err()
        .to_string();
    assert!(text.contains("batches of 4 rows"), "{text}");
    assert!(text.contains("fewer `allowed_batch_sizes`"), "{text}");
    assert!(text.ends_with(": out of memory"), "{text}");
}
