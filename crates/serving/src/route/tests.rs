//! Routes over small tables.

use contract::Version;

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
    }
}

fn table(models: &[(&str, &[&str])]) -> Table<String> {
    let models = models.iter().map(|(name, rows)| {
        let model = ModelRow {
            reason: String::new(),
            is_required: true,
            versions: rows.iter().map(|text| row(text)).collect(),
        };
        (ModelName::new(name).unwrap(), model)
    });
    Table {
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

fn show(table: &Table<String>, text: &str) -> String {
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
fn targets_lead_to_versions_or_say_why_not() {
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
