//! Routes over small tables.

use std::borrow::Cow;
use std::sync::Arc;

use contract::{Arm, AssignmentHash, Fallback, Split, Unit, UnitSource};

use super::*;

/// `1 ready` or `2 loading because it is copied`.
fn row(text: &str) -> VersionRow<String> {
    let mut words = text.splitn(3, ' ');
    let version = words.next().unwrap();
    let state = match words.next().unwrap() {
        "ready" => VersionState::Ready,
        "loading" => VersionState::Loading,
        "unloading" => VersionState::Unloading,
        "unavailable" => VersionState::Unavailable,
        other => panic!("{other}"),
    };
    VersionRow {
        version: Version::new(version).unwrap(),
        state,
        reason: words.next().unwrap_or_default().to_owned(),
        handle: (state == VersionState::Ready).then(|| version.to_owned()),
        failed_loads: None,
        is_lost: false,
    }
}

fn table(models: &[(&str, &[&str])]) -> RoutingTable<String> {
    let models = models.iter().map(|(name, rows)| {
        let model = ModelRow {
            reason: String::new(),
            is_required: true,
            versions: rows.iter().map(|text| row(text)).collect(),
            rules: RoutingRules::default(),
        };
        (ModelName::new(name).unwrap(), model)
    });
    RoutingTable {
        models: models.collect(),
    }
}

/// `model/version`, where both may be missing.
fn target(text: &str) -> Target {
    let (model, version) = text.split_once('/').unwrap();
    Target {
        model: (!model.is_empty()).then(|| ModelName::new(model).unwrap()),
        version: VersionSelector::parse(Some(version)),
    }
}

fn show(table: &RoutingTable<String>, text: &str) -> String {
    match table.find(&target(text)) {
        Ok(handle) => handle.clone(),
        Err(error) => {
            let retry = if error.retry_after().is_some() {
                " retry"
            } else {
                ""
            };
            format!("{}{retry}: {error}", error.code())
        }
    }
}

#[test]
fn targets_are_matched_or_rejected_with_a_reason() {
    let several = table(&[
        (
            "digits",
            &[
                "1 ready",
                "2 ready",
                "10 ready",
                "11 loading copied",
                "12 unavailable broken",
            ],
        ),
        ("empty", &[]),
        ("failed", &["1 unavailable bad file"]),
        ("leaving", &["1 unloading a request runs"]),
        ("starting", &["1 loading warming up"]),
    ]);
    let targets = [
        "digits/",
        "digits/latest",
        "digits/2",
        "digits/3",
        "digits/11",
        "digits/12",
        "empty/",
        "failed/",
        "failed/1",
        "leaving/",
        "leaving/1",
        "starting/",
        "starting/1",
        "nobody/",
        "/",
    ];
    let mut shown = String::new();
    for target in targets {
        shown.push_str(&format!("{target}\n    {}\n", show(&several, target)));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_request_without_model_goes_to_the_only_one() {
    assert_eq!(show(&table(&[("digits", &["1 ready"])]), "/"), "1");
    assert_eq!(
        show(&table(&[]), "/"),
        "model_not_found: no model is served"
    );
}

#[test]
fn a_long_list_of_models_is_cut() {
    let names: Vec<_> = (0..20).map(|n| format!("m{n:02}")).collect();
    let models: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let table = table(&models);
    assert!(show(&table, "/").ends_with("`m07`, and more, see `GET /models`"));
    assert!(show(&table, "nobody/").ends_with("see `GET /models`"));
}

/// A caller with a unit in every source at once.
#[derive(Debug, Default)]
struct TestAttributes {
    unit: Option<&'static str>,
    forced: Option<&'static str>,
}

impl AssignmentAttributes for TestAttributes {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "x-lockgate-arm" => self.forced.map(Cow::Borrowed),
            _ => self.unit.map(Cow::Borrowed),
        }
    }

    fn cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        self.unit.map(Cow::Borrowed)
    }

    fn field(&self, _: &str) -> Option<Cow<'_, str>> {
        self.unit.map(Cow::Borrowed)
    }
}

/// Half of the units for each of two versions, by the rule of MD5.
fn halves(first: &str, second: &str, fallback: Fallback) -> Split {
    let arm = |name: &str, version: &str| Arm {
        name: name.to_owned(),
        version: version.to_owned(),
        weight: 0.5,
    };
    Split {
        arms: vec![arm("control", first), arm("treatment", second)],
        unit: Unit {
            source: UnitSource::Field("user_id".to_owned()),
            fallback,
        },
        hash: AssignmentHash::Md5,
        salt: None,
        coverage: 1.0,
        layer: None,
        override_header: Some("x-lockgate-arm".to_owned()),
        bandit: None,
    }
}

/// The model `digits` with these versions, labels and split.
fn split_table(rows: &[&str], labels: &[(&str, &str)], split: Split) -> RoutingTable<String> {
    let mut table = table(&[("digits", rows)]);
    let model = table.models.values_mut().next().unwrap();
    let labels = labels.iter();
    model.rules.labels = labels
        .map(|(label, version)| ((*label).to_owned(), Version::new(version).unwrap()))
        .collect();
    model.rules.split = Some(Arc::new(ActiveSplit::new(split, "").unwrap()));
    table
}

/// `version arm`, or the code of the refusal. The random number is 700 000 of a million.
fn find_for(table: &RoutingTable<String>, text: &str, attributes: &TestAttributes) -> String {
    match table.find_for(&target(text), attributes, || 700_000) {
        Ok(found) => {
            let arm = found
                .arm
                .map_or("-".into(), |arm| String::from_utf8_lossy(arm));
            format!("{} {arm}", found.handle)
        }
        Err(error) => error.code().to_string(),
    }
}

fn unit(unit: &'static str) -> TestAttributes {
    TestAttributes {
        unit: Some(unit),
        forced: None,
    }
}

fn forcing(arm: &'static str) -> TestAttributes {
    TestAttributes {
        unit: Some("user_1"),
        forced: Some(arm),
    }
}

#[test]
fn a_split_answers_callers_that_name_no_version() {
    let table = split_table(
        &["1 ready", "2 ready", "3 ready"],
        &[("canary", "2")],
        halves("1", "canary", Fallback::Random),
    );
    let rows = [
        ("a unit of the first half", "/", unit("user_1"), "1 control"),
        (
            "a unit of the second half",
            "/",
            unit("user_42"),
            "2 treatment",
        ),
        ("a named version", "/1", unit("user_42"), "1 -"),
        ("a label", "/canary", unit("user_1"), "2 -"),
        ("an empty unit is random", "/", unit(""), "2 treatment"),
        (
            "no unit is random",
            "/",
            TestAttributes::default(),
            "2 treatment",
        ),
        ("a forced arm", "/", forcing("treatment"), "2 treatment"),
        (
            "an arm that is none",
            "/",
            forcing("other"),
            "invalid_request",
        ),
    ];
    let wrong: Vec<_> = rows
        .iter()
        .map(|(what, text, attributes, expected)| {
            (what, expected, find_for(&table, text, attributes))
        })
        .filter(|(_, expected, got)| *expected != got)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(table.find(&target("/")).unwrap(), "3", "by name alone");
}

#[test]
fn unambiguous_match_holds_for_every_request() {
    let plain = table(&[
        ("one", &["1 ready"]),
        ("two", &["1 ready", "2 ready"]),
        ("starting", &["1 loading copied"]),
    ]);
    let split = split_table(
        &["1 ready", "2 ready"],
        &[("canary", "2")],
        halves("1", "2", Fallback::Random),
    );
    let rows = [
        (&plain, "one/", Some("1")),
        (&plain, "one/1", Some("1")),
        (&plain, "two/", None),
        (&plain, "two/2", Some("2")),
        (&plain, "two/3", None),
        (&plain, "starting/", None),
        (&plain, "nobody/", None),
        (&plain, "/", None),
        (&split, "digits/", None),
        (&split, "digits/1", Some("1")),
        (&split, "/canary", Some("2")),
    ];
    for (table, text, expected) in rows {
        let target = target(text);
        let certain = table.find_unambiguous(&target).map(String::as_str);
        assert_eq!(certain, expected, "{text}");
        for attributes in [
            TestAttributes::default(),
            unit("user_42"),
            forcing("control"),
        ] {
            let given = find_for(table, text, &attributes);
            assert!(
                expected.is_none_or(|version| given == format!("{version} -")),
                "{text}: {given}"
            );
        }
    }
}

#[test]
fn a_request_without_unit_may_be_answered_as_without_a_split() {
    let rows = ["1 ready", "2 ready", "3 ready"];
    let table = split_table(&rows, &[], halves("1", "2", Fallback::Stable));
    assert_eq!(find_for(&table, "/", &TestAttributes::default()), "3 -");
    assert_eq!(find_for(&table, "/", &unit("user_1")), "1 control");
    let model = table.models.values().next().unwrap();
    assert_eq!(model.rules.routing().n_without_unit, 1);
}

#[test]
fn an_arm_that_is_loading_is_waited_for_and_one_that_failed_is_replaced() {
    let rows = ["1 loading copied", "2 unavailable broken", "3 ready"];
    let table = split_table(&rows, &[], halves("1", "2", Fallback::Random));
    assert_eq!(find_for(&table, "/", &unit("user_1")), "model_not_ready");
    assert_eq!(find_for(&table, "/", &unit("user_42")), "3 treatment");
    assert_eq!(
        find_for(&table, "/", &forcing("treatment")),
        "version_not_found"
    );
    let model = table.models.values().next().unwrap();
    let waiting: Vec<_> = model.loading_arms().map(|arm| arm.name.as_str()).collect();
    assert_eq!(waiting, ["control"]);
}

#[test]
fn an_arm_that_is_unloaded_is_replaced_while_it_still_answers_others() {
    let rows = ["1 unloading a request runs", "2 ready"];
    let table = split_table(&rows, &[], halves("1", "2", Fallback::Random));
    assert_eq!(find_for(&table, "/", &unit("user_1")), "2 control");
    let model = table.models.values().next().unwrap();
    assert_eq!(model.loading_arms().count(), 0);
}

/// The rows of a model in whose rollout version 1 is stable, and the versions that answer the units
/// of stable and of the candidate, and requests outside the split.
#[test]
fn without_one_version_of_a_rollout_the_other_answers_for_the_arm_of_the_request() {
    let cases: [(&[&str], [&str; 3]); 5] = [
        (&["1 ready", "2 ready"], ["1 stable", "2 candidate", "1"]),
        (&["2 ready"], ["2 stable", "2 candidate", "2"]),
        (
            &["1 unavailable cut off", "2 ready"],
            ["2 stable", "2 candidate", "2"],
        ),
        (&["1 ready"], ["1 stable", "1 candidate", "1"]),
        (
            &["1 loading copied", "2 ready"],
            ["model_not_ready", "2 candidate", "model_not_ready retry"],
        ),
    ];
    for (rows, expected) in cases {
        let found = answers_in_rollout(rows, false);
        let is_equal = found.iter().zip(expected).all(|(a, b)| a.starts_with(b));
        assert!(is_equal, "{rows:?}: {found:?}");
    }
}

#[test]
fn a_version_of_a_rollout_that_comes_back_is_replaced_until_it_is_ready() {
    let found = answers_in_rollout(&["1 loading copied", "2 ready"], true);
    assert_eq!(found, ["2 stable", "2 candidate", "2"]);
}

fn answers_in_rollout(rows: &[&str], is_lost: bool) -> [String; 3] {
    let mut split = halves("1", "2", Fallback::Random);
    for (arm, name) in split.arms.iter_mut().zip(["stable", "candidate"]) {
        name.clone_into(&mut arm.name);
    }
    let mut table = split_table(rows, &[], split);
    for model in table.models.values_mut() {
        model.rules.pinned = Some(Version::new("1").unwrap());
        for row in &mut model.versions {
            row.is_lost = is_lost && row.handle.is_none();
        }
    }
    [
        find_for(&table, "/", &unit("user_1")),
        find_for(&table, "/", &unit("user_42")),
        show(&table, "/"),
    ]
}

#[test]
fn pinned_version_answers_and_is_never_replaced() {
    let mut table = table(&[("digits", &["1 ready", "2 loading copied", "3 ready"])]);
    let mut pin = |version| {
        let model = table.models.values_mut().next().unwrap();
        model.rules.pinned = Some(Version::new(version).unwrap());
        (show(&table, "/"), show(&table, "/3"))
    };
    assert_eq!(pin("1"), ("1".to_owned(), "3".to_owned()));
    assert!(pin("2").0.starts_with("model_not_ready retry"));
    assert!(pin("9").0.starts_with("version_not_found"));
}

#[test]
fn an_override_counts_only_where_the_split_allows_it() {
    let mut split = halves("1", "2", Fallback::Random);
    split.override_header = None;
    let table = split_table(&["1 ready", "2 ready"], &[], split);
    assert_eq!(find_for(&table, "/", &forcing("treatment")), "1 control");
}

#[test]
fn a_unit_is_looked_for_where_the_split_says() {
    let sources = [
        (UnitSource::Field("user_id".to_owned()), "1 control"),
        (UnitSource::Header("x-user".to_owned()), "1 control"),
        (UnitSource::Cookie("sid".to_owned()), "1 control"),
        (UnitSource::Random, "2 treatment"),
    ];
    for (source, expected) in sources {
        let mut split = halves("1", "2", Fallback::Random);
        split.unit.source = source.clone();
        let table = split_table(&["1 ready", "2 ready"], &[], split);
        assert_eq!(
            find_for(&table, "/", &unit("user_1")),
            expected,
            "{source:?}"
        );
    }
}
