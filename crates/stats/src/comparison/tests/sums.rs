//! Sums of a report: any items, in any order, seen from either side.

use super::*;

/// The answer of one version to one item of one row, as plain data.
#[derive(Clone, Debug)]
enum Word {
    Fails,
    Class(i64),
    Scores(f64, f64),
    Number(f64),
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        1 => Just(Word::Fails),
        3 => (0..3_i64).prop_map(Word::Class),
        2 => (0.0..1.0_f64, 0.0..1.0_f64).prop_map(|(a, b)| Word::Scores(a, b)),
        2 => (-8..8_i8).prop_map(|number| Word::Number(number.into())),
    ]
}

fn words() -> impl Strategy<Value = Vec<[Word; 2]>> {
    proptest::collection::vec([word(), word()], 0..30)
}

fn outputs(word: &Word) -> Result<Vec<NamedTensor>> {
    match word {
        Word::Fails => Err(Error::invalid("it is broken")),
        Word::Class(class) => Ok(label(*class)),
        Word::Scores(a, b) => {
            let tensor = Tensor::from_values([1, 2].into(), vec![*a, *b]).unwrap();
            Ok(vec![named("scores", tensor)])
        }
        Word::Number(number) => Ok(values(&[1], vec![*number])),
    }
}

/// Exact, so that a difference does not depend on which of the two is the reference.
const EXACT: Tolerance = Tolerance {
    absolute: 0.5,
    relative: 0.0,
};

fn report<'a>(items: impl IntoIterator<Item = &'a [Word; 2]>) -> Report {
    let mut report_builder = ReportBuilder::new(vec![vec![], vec![]], EXACT);
    for (item, millis) in items.into_iter().zip(1..) {
        let answers = item.each_ref().map(|word| Answer {
            outputs: outputs(word),
            latency: Duration::from_millis(millis),
        });
        report_builder.add(&Item {
            answers: &answers,
            n_rows: 1,
            labels: &["1".to_owned()],
        });
    }
    report_builder.finish()
}

/// The counts of a pair, without what depends on the order of the items.
fn counts(report: &Report) -> [u64; 9] {
    let pair = &report.pairs[0];
    let classes = pair.classes.clone().unwrap_or_default();
    let labels = pair.labels.unwrap_or_default();
    [
        pair.n_pairs,
        pair.n_agreeing,
        pair.n_same_shape,
        pair.n_only_reference_failed,
        pair.n_only_other_failed,
        classes.n_rows,
        classes.n_same,
        labels.n_both,
        labels.n_neither,
    ]
}

proptest! {
    #[test]
    fn the_order_of_the_items_changes_no_count(items in words()) {
        let (forth, back) = (report(&items), report(items.iter().rev()));
        prop_assert_eq!(counts(&forth), counts(&back));
        prop_assert_eq!(forth.pairs[0].differing_items.len(), back.pairs[0].differing_items.len());
        for (forth, back) in forth.versions.iter().zip(&back.versions) {
            prop_assert_eq!(forth.n_answers, back.n_answers);
            prop_assert_eq!(forth.n_errors, back.n_errors);
            prop_assert_eq!(forth.accuracy, back.accuracy);
        }
        let confusion = |report: &Report| {
            let classes = report.pairs[0].classes.clone();
            classes.map(|classes| classes.confusion)
        };
        prop_assert_eq!(confusion(&forth), confusion(&back));
    }

    #[test]
    fn agreement_is_the_same_from_either_side(items in words()) {
        let turned: Vec<_> = items.iter().map(|[a, b]| [b.clone(), a.clone()]).collect();
        let (straight, turned) = (report(&items), report(&turned));
        let (one, other) = (&straight.pairs[0], &turned.pairs[0]);
        prop_assert_eq!(one.agreement(), other.agreement());
        prop_assert_eq!(one.n_only_reference_failed, other.n_only_other_failed);
        prop_assert_eq!(&one.differing_items, &other.differing_items);
        let shares = |pair: &PairReport| pair.classes.as_ref().map(ClassReport::agreement);
        prop_assert_eq!(shares(one), shares(other));
        let labels = |pair: &PairReport| pair.labels.unwrap_or_default();
        prop_assert_eq!(labels(one).n_only_reference, labels(other).n_only_other);
        prop_assert_eq!(labels(one).n_both, labels(other).n_both);
        prop_assert_eq!(straight.versions[0].accuracy, turned.versions[1].accuracy);
    }

    #[test]
    fn every_item_is_counted_in_exactly_one_place(items in words()) {
        let report = report(&items);
        prop_assert_eq!(report.n_items, items.len() as u64);
        for version in &report.versions {
            prop_assert_eq!(version.n_answers + version.n_errors, report.n_items);
            prop_assert_eq!(version.first_error.is_some(), version.n_errors > 0);
            prop_assert_eq!(version.latency.is_some(), version.n_answers > 0);
        }
        let pair = &report.pairs[0];
        let is_silent = |[a, b]: &&[Word; 2]| matches!((a, b), (Word::Fails, Word::Fails));
        let n_both_failed = items.iter().filter(is_silent).count() as u64;
        let n_alone = pair.n_only_reference_failed + pair.n_only_other_failed;
        prop_assert_eq!(pair.n_pairs + n_alone + n_both_failed, report.n_items);
        prop_assert!(pair.n_agreeing <= pair.n_same_shape && pair.n_same_shape <= pair.n_pairs);
        prop_assert!((0.0..=1.0).contains(&pair.agreement()));
        if let Some(classes) = &pair.classes {
            let n_rows: u64 = classes.confusion.iter().map(|cell| cell.n_rows).sum();
            prop_assert_eq!(n_rows, classes.n_rows);
            let on_diagonal = classes.confusion.iter().filter(|cell| cell.reference == cell.other);
            prop_assert!(on_diagonal.map(|cell| cell.n_rows).sum::<u64>() <= classes.n_same);
        }
    }

    #[test]
    fn a_version_beside_itself_agrees_on_everything_it_answers(
        items in proptest::collection::vec(word(), 0..30),
    ) {
        let items: Vec<_> = items.into_iter().map(|word| [word.clone(), word]).collect();
        let report = report(&items);
        let pair = &report.pairs[0];
        prop_assert_eq!(pair.n_agreeing, pair.n_pairs);
        prop_assert_eq!(pair.n_pairs, report.versions[0].n_answers);
        prop_assert!(pair.differing_items.is_empty());
        prop_assert!(pair.outputs.iter().all(|output| output.largest_absolute == 0.0));
        let labels = pair.labels.unwrap_or_default();
        prop_assert_eq!((labels.n_only_reference, labels.n_only_other), (0, 0));
    }

    #[test]
    fn quantiles_ascend_within_the_latencies(
        millis in proptest::collection::vec(0..10_000_u64, 1..60),
    ) {
        let items: Vec<_> = millis
            .iter()
            .map(|millis| [(Ok(label(0)), *millis), (Ok(label(0)), 1)])
            .collect();
        let report = report_builder(&items, &vec![""; items.len()]);
        let latency = report.versions[0].latency.clone().unwrap();
        let measured = |time: &Duration| millis.contains(&u64::try_from(time.as_millis()).unwrap());
        prop_assert!(latency.curve.is_sorted() && latency.curve.iter().all(measured));
        prop_assert!([latency.p50, latency.p95, latency.p99, latency.max].is_sorted());
        prop_assert_eq!(latency.max.as_millis(), u128::from(*millis.iter().max().unwrap()));
        prop_assert_eq!(latency.p50, latency.curve[10]);
        // At least half of all took at most the median, and at least half took that long.
        let p50 = u64::try_from(latency.p50.as_millis()).unwrap();
        let n_within = millis.iter().filter(|millis| **millis <= p50).count();
        let n_beyond = millis.iter().filter(|millis| **millis >= p50).count();
        prop_assert!(2 * n_within >= millis.len() && 2 * n_beyond >= millis.len());
    }
}

#[test]
fn a_third_version_is_compared_with_the_first_and_not_with_the_second() {
    let mut report_builder = ReportBuilder::new(vec![vec![]; 3], Tolerance::default());
    let answers = [1, 2, 1].map(|class| Answer {
        outputs: Ok(label(class)),
        latency: Duration::from_millis(1),
    });
    report_builder.add(&Item {
        answers: &answers,
        n_rows: 1,
        labels: &[],
    });
    let report = report_builder.finish();
    let agreements: Vec<_> = report.pairs.iter().map(PairReport::agreement).collect();
    assert_eq!(agreements, [0.0, 1.0]);
    assert!(
        report
            .versions
            .iter()
            .all(|version| version.accuracy.is_none())
    );
}

#[test]
fn one_version_alone_has_no_pair() {
    let mut report_builder = ReportBuilder::new(vec![vec![]], Tolerance::default());
    let answers = [Answer {
        outputs: Ok(values(&[2], vec![4_i64, 5])),
        latency: Duration::from_millis(4),
    }];
    report_builder.add(&Item {
        answers: &answers,
        n_rows: 2,
        labels: &["4".to_owned(), "6".to_owned()],
    });
    let report = report_builder.finish();
    assert!(report.pairs.is_empty());
    let version = &report.versions[0];
    assert_eq!(version.accuracy.unwrap().ratio(), 0.5);
    assert_eq!(version.rows_per_second, Some(500.0));
}

#[test]
fn no_versions_make_no_report_of_any() {
    let report = ReportBuilder::new(vec![], Tolerance::default()).finish();
    assert!(report.versions.is_empty() && report.pairs.is_empty());
    assert_eq!((report.n_items, report.n_rows), (0, 0));
}

#[test]
fn a_row_without_a_label_counts_for_no_accuracy() {
    let mut report_builder = ReportBuilder::new(vec![vec![]; 2], Tolerance::default());
    let answers = [[1_i64, 2, 3], [1, 0, 0]].map(|classes| Answer {
        outputs: Ok(values(&[3], classes.to_vec())),
        latency: Duration::from_millis(1),
    });
    report_builder.add(&Item {
        answers: &answers,
        n_rows: 3,
        labels: &["1".to_owned(), "2".to_owned()],
    });
    let report = report_builder.finish();
    let labelled = report
        .versions
        .iter()
        .map(|version| version.accuracy.unwrap());
    let labelled: Vec<_> = labelled.map(|a| (a.n_correct, a.n_labelled)).collect();
    assert_eq!(labelled, [(2, 2), (1, 2)]);
    let expected = LabelReport {
        n_both: 1,
        n_only_reference: 1,
        ..LabelReport::default()
    };
    assert_eq!(report.pairs[0].labels, Some(expected));
    assert_eq!(
        report.pairs[0].classes.as_ref().unwrap().agreement(),
        1.0 / 3.0
    );
}

#[test]
fn an_output_that_comes_later_is_reported_beside_the_others() {
    let item = |name: &str, left: f64, right: f64| {
        [left, right].map(|value| {
            let tensor = Tensor::from_values([1].into(), vec![value]).unwrap();
            (Ok(vec![named(name, tensor)]), 1)
        })
    };
    let items = [
        item("a", 1.0, 2.0),
        item("b", 1.0, 5.0),
        item("a", 1.0, 1.0),
    ];
    let report = report_builder(&items, &[""; 3]);
    let outputs = report.pairs[0].outputs.iter();
    let outputs: Vec<_> = outputs
        .map(|o| {
            (
                o.name.as_str(),
                o.n_elements,
                o.n_differing,
                o.mean_absolute,
            )
        })
        .collect();
    assert_eq!(outputs, [("a", 2, 1, 0.5), ("b", 1, 1, 4.0)]);
}
