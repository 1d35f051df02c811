//! Golden requests of the fake engine, whose model adds a number to two numbers.

use std::num::NonZeroUsize;

use contract::{Concurrency, Engine, LoadSpec, Shape};

use super::*;
use crate::fake_engine::{FakeEngine, FakeGoldenDecoder};

/// A version folder with a model and these golden requests.
struct Fixture {
    folder: tempfile::TempDir,
    session: Box<dyn Session>,
    info: ModelInfo,
}

impl Fixture {
    fn new(artifact: &str, golden: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.fake");
        fs::write(&path, artifact).unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        for (name, text) in golden {
            fs::write(folder.path().join(FOLDER).join(name), text).unwrap();
        }
        let spec = LoadSpec {
            path,
            concurrency: Concurrency::of(NonZeroUsize::MIN),
            max_batch_rows: None,
            provider: None,
            options: [].into(),
        };
        let mut loaded = FakeEngine::default().load(&spec).unwrap();
        Self {
            folder,
            session: loaded.sessions.remove(0),
            info: contract::testing::model_info("m", "1", loaded.signature),
        }
    }

    fn check(&mut self) -> Result<usize> {
        let decoder: Option<&dyn GoldenDecoder> = Some(&FakeGoldenDecoder);
        check(
            self.folder.path(),
            decoder,
            &self.info,
            self.session.as_mut(),
        )
    }
}

/// Returns the result of golden requests to a model that adds 1, as text.
fn checked(golden: &[(&str, &str)]) -> String {
    match Fixture::new("add 1", golden).check() {
        Ok(n_files) => format!("{n_files} passed"),
        Err(error) => format!("{}: {error}", error.code()),
    }
}

#[test]
fn a_version_passes_when_all_its_golden_requests_are_answered_right() {
    assert_eq!(checked(&[]), "0 passed");
    let golden = [
        ("exact.json", "1 2 = 2 3"),
        ("near.json", "1 2 = 2.0005 3"),
        ("nan.json", "NaN 2 = NaN 3"),
        (".draft.json", "1 2 = 9 9"),
        ("README.md", "about the tests"),
    ];
    assert_eq!(checked(&golden), "3 passed");
}

#[test]
fn the_first_value_that_differs_is_named_with_its_file_and_index() {
    let cases = [
        (
            ("a.json", "1 2 = 2 4"),
            "engine_failed: golden request `tests/a.json`: output `y` at `[0, 1]`: expected `4`, \
             got `3`; 1 of 2 values differ",
        ),
        (
            ("a.json", "1 2 = 2"),
            "engine_failed: golden request `tests/a.json`: output `y`: expected shape `[1, 1]`, \
             got `[1, 2]`",
        ),
        (
            ("a.json", "1 = 2"),
            "invalid_request: golden request `tests/a.json`: `request`: ",
        ),
        (
            ("a.json", "?"),
            "invalid_request: golden request `tests/a.json`: expected `INPUTS = OUTPUTS`",
        ),
    ];
    for (golden, expected) in cases {
        let found = checked(&[golden]);
        assert!(found.starts_with(expected), "{found}, not {expected}");
    }
}

#[test]
fn a_failing_golden_request_behind_others_is_found() {
    let golden = [
        ("a.json", "1 2 = 2 3"),
        ("b.json", "1 2 = 1 2"),
        ("c.json", "?"),
    ];
    assert!(
        checked(&golden).contains("`tests/b.json`"),
        "{}",
        checked(&golden)
    );
}

#[test]
fn a_failed_run_is_reported_with_its_golden_request() {
    let mut fixture = Fixture::new("refuse 1", &[("a.json", "1 2 = 1 2")]);
    let error = fixture.check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "golden request `tests/a.json`: node `Reshape` refuses"
    );
}

#[test]
fn a_server_without_a_decoder_ignores_no_golden_request() {
    let mut fixture = Fixture::new("add 1", &[("a.json", "1 2 = 2 3")]);
    let checked = check(
        fixture.folder.path(),
        None,
        &fixture.info,
        fixture.session.as_mut(),
    );
    assert!(checked.is_err());
}

#[test]
fn a_version_that_is_one_file_has_no_golden_requests() {
    let mut fixture = Fixture::new("add 1", &[("a.json", "?")]);
    let file = fixture.folder.path().join("model.fake");
    assert_eq!(
        check(&file, None, &fixture.info, fixture.session.as_mut()).unwrap(),
        0
    );
}

#[test]
fn places_are_counted_in_every_dimension() {
    let dims = Shape::new(&[2, 3, 4]);
    let places = [0, 3, 4, 23].map(|position| place(position, dims.dims()));
    assert_eq!(
        places,
        [[0, 0, 0], [0, 0, 3], [0, 1, 0], [1, 2, 3]].map(|place| place.to_vec())
    );
    assert_eq!(place(0, &[]), Vec::<usize>::new());
}
