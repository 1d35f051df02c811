//! Runs at allowed sizes: the answers are those of runs of any size.

use super::*;

/// A session that runs at these sizes.
fn bucketed(model: &OnnxModel, sizes: &str) -> Box<dyn Session> {
    let mut file = ModelFile::new(&model.to_bytes());
    let option = ("allowed_batch_sizes".to_owned(), sizes.to_owned());
    file.spec.options = [option].into();
    file.load().unwrap().sessions.remove(0)
}

/// Two outputs of rows, of which the second needs no more than its input.
fn two_outputs() -> OnnxModel {
    OnnxModel::new()
        .input("x", ElementType::F32, &dims("n,2"))
        .output("doubled", ElementType::F32, &dims("n,2"))
        .output("same", ElementType::F32, &dims("n,2"))
        .node("Add", &["x", "x"], &["doubled"])
        .node("Identity", &["x"], &["same"])
}

fn numbered(n_rows: usize) -> Option<Tensor> {
    let values = (0..n_rows * 2).map(|i| i as f32 - 3.0).collect();
    Some(Tensor::from_values([n_rows, 2].into(), values).unwrap())
}

#[test]
fn every_number_of_rows_is_answered_as_in_runs_of_any_size() {
    let (mut buckets, mut any) = (
        bucketed(&two_outputs(), "2,5"),
        bucketed(&two_outputs(), "any"),
    );
    // Shuffled, so that sizes come after others: none, within a size, exact, and beyond the largest.
    for n_rows in [1, 5, 0, 12, 2, 10, 3, 7, 4, 11, 6, 5] {
        let input = [numbered(n_rows)];
        for outputs in [&[0, 1][..], &[1, 0], &[1], &[]] {
            let expected = any.run(&input, outputs).unwrap();
            assert_eq!(
                buckets.run(&input, outputs).unwrap(),
                expected,
                "{n_rows} {outputs:?}"
            );
        }
    }
}

#[test]
fn strings_are_padded_as_numbers_are() {
    let mut buckets = bucketed(&OnnxModel::identity(ElementType::Bytes, "n"), "4");
    for n_rows in [1, 3, 4, 9] {
        let words: Vec<_> = (0..n_rows).map(|row| format!("word {row}")).collect();
        let tensor = Tensor::from_strings([n_rows].into(), &words).unwrap();
        let given = buckets.run(&[Some(tensor.clone())], &[0]).unwrap();
        assert_eq!(given, [tensor]);
    }
}

#[test]
fn a_run_that_fails_leaves_all_sizes_as_they_were() {
    let model = shared::looked_up();
    let (mut buckets, mut any) = (bucketed(&model, "2,6"), bucketed(&model, "any"));
    let at = |positions: &[i64]| {
        let tensor = Tensor::from_values([positions.len()].into(), positions.to_vec());
        [Some(tensor.unwrap())]
    };
    for n_rows in [1, 6, 3, 2] {
        let mut outside = vec![1; n_rows];
        outside[n_rows - 1] = 50;
        assert!(buckets.run(&at(&outside), &[0]).is_err());
        let inside = vec![7; n_rows];
        let given = buckets.run(&at(&inside), &[0]).unwrap();
        assert_eq!(given[0].shape(), &Shape::from([n_rows, 9]));
        let expected = any.run(&at(&inside), &[0]).unwrap();
        let numbers = |tensors: &[Tensor]| tensors[0].to_vec::<f32>().unwrap();
        for (given, expected) in numbers(&given).into_iter().zip(numbers(&expected)) {
            assert!((given - expected).abs() < 1e-5, "{given} {expected}");
        }
    }
}

#[test]
fn sizes_are_reported_with_the_layout_and_refused_without_rows() {
    let load = |model: &OnnxModel| {
        let mut file = ModelFile::new(&model.to_bytes());
        file.spec.options = [("allowed_batch_sizes".to_owned(), "1,8".to_owned())].into();
        file.load()
    };
    let reason = load(&two_outputs()).unwrap().layout.reason;
    assert!(
        reason.ends_with("; batches run at 1, 8 rows, as configured"),
        "{reason}"
    );
    let error = load(&OnnxModel::identity(ElementType::F32, "3")).unwrap_err();
    assert!(error.to_string().contains("leave it out"), "{error}");
}
