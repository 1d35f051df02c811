//! Scans of folders made for the test, with an engine that opens `model.fake`.

use std::num::NonZeroUsize;

use contract::{Error, LoadSpec, LoadedModel, Result};
use proptest::prelude::*;

use super::*;

/// The name of folders whose file system hangs.
const HANGS: &str = "hangs";

#[derive(Debug)]
struct FakeEngine;

impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn platform(&self) -> &'static str {
        "fake"
    }

    fn framework(&self) -> &'static str {
        "fake"
    }

    fn find_artifact(&self, folder: &Path) -> Option<PathBuf> {
        while folder.components().any(|part| part.as_os_str() == HANGS) {
            std::thread::park();
        }
        let path = folder.join("model.fake");
        path.is_file().then_some(path)
    }

    fn companions(&self, artifact: &Path) -> Vec<PathBuf> {
        vec![artifact.with_extension("fake.data")]
    }

    fn load(&self, _spec: &LoadSpec) -> Result<LoadedModel> {
        Err(Error::internal("layouts are read, not loaded"))
    }
}

struct Repository(tempfile::TempDir);

impl Repository {
    /// A folder with these files; a path that ends in a slash is an empty folder.
    fn new(files: &[&str]) -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        for file in files {
            repository.write(file, "x");
        }
        repository
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let target = self.path(path);
        if path.ends_with('/') {
            fs::create_dir_all(target).unwrap();
            return;
        }
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, text).unwrap();
    }

    fn scan(&self, roots: &[&str]) -> Scan {
        let scanner = Scanner {
            roots: roots.iter().map(|root| self.path(root)).collect(),
            engines: vec![Arc::new(FakeEngine)],
            defaults: SettingsDefaults {
                cores: NonZeroUsize::MIN,
                max_queue_rows: NonZeroUsize::MIN,
                timeout: None,
                new_versions: contract::NewVersions::Serve,
            },
            read_limiter: ReadLimiter::new(Duration::from_secs(2)),
        };
        scanner.scan(SystemTime::now())
    }

    /// `model: version->artifact` for every model, without the path of the repository.
    fn shown(&self, roots: &[&str]) -> String {
        let scan = self.scan(roots);
        let mut lines = Vec::new();
        for (name, model) in &scan.models {
            let mut line = format!("{name}:");
            for (version, found) in &model.versions {
                let artifact = found
                    .artifacts
                    .first()
                    .map(|artifact| artifact.path.clone());
                let shown = artifact.map_or("-".to_owned(), |path| path.display().to_string());
                line.push_str(&format!(" {version}->{shown}"));
            }
            if let Err(reason) = &model.settings {
                line.push_str(&format!(" ({reason})"));
            }
            lines.push(line);
        }
        let root = format!("{}/", self.0.path().display());
        lines.join("\n").replace(&root, "")
    }
}

type Case = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
);

/// The promise, the files, the roots, and the expected scan.
const LAYOUTS: &[Case] = &[
    (
        "models with versions",
        &[
            "r/a/1/model.fake",
            "r/a/2/model.fake",
            "r/b/v1.0/model.fake",
        ],
        &["r"],
        "a: 1->r/a/1/model.fake 2->r/a/2/model.fake\nb: v1.0->r/b/v1.0/model.fake",
    ),
    (
        "an artefact without version folder is version 1",
        &["r/a/model.fake", "r/a/assets2/x"],
        &["r"],
        "a: 1->r/a/model.fake",
    ),
    (
        "beside another version",
        &["r/a/model.fake", "r/a/2/model.fake"],
        &["r"],
        "a: 1->r/a/model.fake 2->r/a/2/model.fake",
    ),
    (
        "hidden, unfinished and unversioned folders are passed over",
        &[
            "r/a/1/model.fake",
            "r/a/.2/model.fake",
            "r/a/3.tmp/model.fake",
            "r/a/4.part/model.fake",
            "r/a/notes/model.fake",
            "r/.git/1/model.fake",
            "r/docs/readme.md",
            "r/empty/",
            "r/lost+found/1/model.fake",
            "r/my model/1/model.fake",
        ],
        &["r"],
        "a: 1->r/a/1/model.fake",
    ),
    (
        "a version without artefact is one",
        &["r/a/1/", "r/a/2/model.fake.part"],
        &["r"],
        "a: 1->- 2->-",
    ),
    (
        "a single file",
        &["x/net.fake"],
        &["x/net.fake"],
        "net: 1->x/net.fake",
    ),
    (
        "a file that no engine opens",
        &["x/net.txt"],
        &["x/net.txt"],
        "net: 1->-",
    ),
    (
        "a root that is a model by its version numbers",
        &["r/net/1/model.fake", "r/net/2/model.fake"],
        &["r/net"],
        "net: 1->r/net/1/model.fake 2->r/net/2/model.fake",
    ),
    (
        "a root that is a bare artefact",
        &["r/net/model.fake"],
        &["r/net"],
        "net: 1->r/net/model.fake",
    ),
    (
        "two roots",
        &["r/a/1/model.fake", "s/b/1/model.fake"],
        &["r", "s"],
        "a: 1->r/a/1/model.fake\nb: 1->s/b/1/model.fake",
    ),
    (
        "a name in two roots",
        &["r/a/1/model.fake", "s/a/2/model.fake"],
        &["r", "s"],
        "a: 1->r/a/1/model.fake (the model is found twice, in `r/a` and in `s/a`; keep one)",
    ),
];

#[test]
fn repositories_are_read_as_laid_out() {
    let mut failures = Vec::new();
    for (promise, files, roots, expected) in LAYOUTS {
        let shown = Repository::new(files).shown(roots);
        if shown != *expected {
            failures.push(format!("{promise}:\n{shown}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn settings_make_a_root_a_model_and_are_read() {
    let repository = Repository::new(&["net/v1/model.fake"]);
    repository.write("net/model.yaml", "labels_file: labels.txt");
    repository.write("net/labels.txt", "cat\ndog\n");
    let scan = repository.scan(&["net"]);
    let settings = scan
        .models
        .values()
        .next()
        .unwrap()
        .settings
        .clone()
        .unwrap();
    assert_eq!(settings.version_settings.labels, ["cat", "dog"]);
}

#[test]
fn broken_settings_are_a_reason_of_their_model_alone() {
    let repository = Repository::new(&["r/a/1/model.fake", "r/b/1/model.fake"]);
    repository.write("r/a/model.yaml", "oops: 1");
    let scan = repository.scan(&["r"]);
    let broken: Vec<_> = scan
        .models
        .iter()
        .filter_map(|(name, model)| Some((name.as_str(), model.settings.as_ref().err()?)))
        .collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].0, "a");
    assert!(broken[0].1.contains("r/a/model.yaml"), "{}", broken[0].1);
    assert!(scan.without_models.is_empty());
}

#[test]
fn roots_without_models_are_listed_with_the_reason() {
    let repository = Repository::new(&["r/a/1/model.fake", "empty/", "notes/readme.md", "f.fake"]);
    let scan = repository.scan(&["r", "empty", "notes", "gone", "f.fake"]);
    let reasons: Vec<_> = scan.without_models.values().collect();
    assert_eq!(scan.models.len(), 2);
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons[0].starts_with("no model was found in `") && reasons[0].contains("empty"));
    assert!(reasons[1].contains("gone` cannot be read: "), "{reasons:?}");
    assert!(reasons[2].contains("notes"), "{reasons:?}");
}

#[test]
fn entries_ignored_by_mistake_are_warned_about() {
    let repository = Repository::new(&[
        "r/my model/1/model.fake",
        "r/a/1/model.fake",
        "r/b/final/model.fake",
        "r/b/notes/text",
    ]);
    repository.write("r/a/model.yml", "instances: 2");
    let warnings: Vec<_> = repository.scan(&["r"]).warnings.into_iter().collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("model.yml"), "{warnings:?}");
    assert!(warnings[1].contains("b/final"), "{warnings:?}");
    assert!(warnings[2].contains("my model"), "{warnings:?}");
}

type RefusalCase = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

/// The promise, the files, the roots, and the parts of the refusal; none where there is none.
const REFUSALS: &[RefusalCase] = &[
    (
        "another name in a version folder",
        &["r/a/1/net.fake"],
        &["r"],
        &[
            "r/a/1` has no model file",
            "it has `net.fake`; the name must be `model.fake`",
        ],
    ),
    (
        "a model folder as root",
        &["m/1/net.fake"],
        &["m"],
        &["m/1` has no model file", "`model.fake`"],
    ),
    (
        "files directly in the repository",
        &["r/one.fake", "r/two.fake"],
        &["r"],
        &[
            "r/one.fake` is not served there",
            "r/two/1/model.fake`",
            "lockgate serve ",
        ],
    ),
    (
        "a file directly in a model folder",
        &["r/a/net.fake"],
        &["r"],
        &["move it to `", "r/a/1/model.fake`"],
    ),
    (
        "another format",
        &["r/a/1/model.pt"],
        &["r"],
        &["`model.pt` is a file of PyTorch", "`torch.onnx.export"],
    ),
    (
        "another format outside of a version",
        &["r/a/model.PKL"],
        &["r"],
        &["r/a/model.PKL` is not served", "skl2onnx"],
    ),
    (
        "a file of another format as root",
        &["net.h5"],
        &["net.h5"],
        &["net.h5` has no model file for `fake`: `net.h5` is a file of Keras"],
    ),
    (
        "a file of another name as root",
        &["net.bin"],
        &["net.bin"],
        &["its name does not end with `.fake`"],
    ),
    (
        "an empty version folder may be a copy",
        &["r/a/1/"],
        &["r"],
        &[],
    ),
    ("notes are no models", &["r/readme.md"], &["r"], &[]),
    (
        "one model that can be served",
        &["r/a/1/net.fake", "r/b/1/model.fake", "r/c.pt"],
        &["r"],
        &[],
    ),
];

#[test]
fn model_files_of_which_none_can_be_served_are_refused_with_what_is_expected() {
    let mut wrong = Vec::new();
    for (promise, files, roots, parts) in REFUSALS {
        let refusal = Repository::new(files).scan(roots).refusal(&["fake"]);
        let text = refusal.clone().unwrap_or_default();
        if refusal.is_some() == parts.is_empty() || parts.iter().any(|part| !text.contains(part)) {
            wrong.push((promise, refusal));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_pipe_in_place_of_settings_is_a_reason_of_its_model_alone() {
    let repository = Repository::new(&["r/a/1/model.fake", "r/b/1/model.fake"]);
    let pipe = repository.path("r/a/model.yaml");
    let made = std::process::Command::new("mkfifo").arg(pipe).status();
    assert!(made.unwrap().success());
    let scan = repository.scan(&["r"]);
    let reasons: Vec<_> = scan
        .models
        .values()
        .map(|model| model.settings.as_ref().err())
        .collect();
    let reason = reasons[0].unwrap();
    assert!(reason.contains("not a regular file"), "{reason}");
    assert_eq!(reasons[1], None);
}

#[test]
fn the_fingerprint_of_a_single_file_covers_its_companions() {
    let repository = Repository::new(&["net.fake", "net.fake.data"]);
    let fingerprint = || {
        let scan = repository.scan(&["net.fake"]);
        let model = scan.models.into_values().next().unwrap();
        model.versions.into_values().next().unwrap().fingerprint
    };
    let first = fingerprint();
    assert_eq!(first, fingerprint());
    repository.write("net.fake.data", "longer");
    let second = fingerprint();
    assert_ne!(first, second);
    fs::remove_file(repository.path("net.fake.data")).unwrap();
    assert_ne!(second, fingerprint());
}

#[test]
fn the_fingerprint_changes_with_every_file_that_counts() {
    let repository = Repository::new(&["r/a/1/model.fake", "r/a/1/data/weights"]);
    let fingerprint = || {
        let scan = repository.scan(&["r"]);
        let model = scan.models.into_values().next().unwrap();
        model.versions.into_values().next().unwrap().fingerprint
    };
    let first = fingerprint();
    assert_eq!(first, fingerprint());
    repository.write("r/a/1/.model.fake.swp", "editing");
    repository.write("r/a/model.yaml", "instances: 2");
    assert_eq!(
        first,
        fingerprint(),
        "hidden files and settings are no content"
    );
    repository.write("r/a/1/data/weights", "longer");
    let second = fingerprint();
    assert_ne!(first, second, "a nested file grew");
    repository.write("r/a/1/extra/", "");
    let third = fingerprint();
    assert_ne!(second, third, "a folder was added");
    repository.write("r/a/1/model.fake.new", "y");
    fs::rename(
        repository.path("r/a/1/model.fake.new"),
        repository.path("r/a/1/model.fake"),
    )
    .unwrap();
    assert_ne!(
        third,
        fingerprint(),
        "a file of the same size took its place"
    );
}

#[test]
fn a_folder_that_does_not_answer_is_a_reason_of_its_model_or_its_root_alone() {
    let repository = Repository::new(&[
        "r/a/1/model.fake",
        "r/hangs/1/model.fake",
        "r/z/1/model.fake",
        "hangs/v1/model.fake",
    ]);
    let scan = repository.scan(&["hangs", "r"]);
    let served = |name: &str| {
        let model = &scan.models[&ModelName::new(name).unwrap()];
        model.settings.is_ok() && model.versions.len() == 1
    };
    assert!(served("a") && served("z"));
    let hung = &scan.models[&ModelName::new(HANGS).unwrap()];
    let reason = hung.settings.as_ref().unwrap_err();
    assert!(reason.contains("r/hangs` cannot be read"), "{reason}");
    assert!(reason.contains("its file system may hang"), "{reason}");
    let lost = &scan.without_models[&repository.path(HANGS)];
    assert!(lost.contains("does not answer"), "{lost}");
}

#[test]
fn the_age_counts_from_the_last_change() {
    let repository = Repository::new(&["r/a/1/model.fake", "r/b/1/"]);
    let scanner = Scanner {
        roots: vec![repository.path("r")],
        engines: Vec::new(),
        defaults: SettingsDefaults {
            cores: NonZeroUsize::MIN,
            max_queue_rows: NonZeroUsize::MIN,
            timeout: None,
            new_versions: contract::NewVersions::Serve,
        },
        read_limiter: ReadLimiter::default(),
    };
    let ages = |now| -> Vec<_> {
        let models = scanner.scan(now).models.into_values();
        models
            .flat_map(|model| model.versions.into_values())
            .map(|version| version.age.as_secs() / 1000)
            .collect()
    };
    let now = SystemTime::now();
    assert_eq!(ages(now), [0, 0]);
    assert_eq!(ages(now + Duration::from_secs(5500)), [5, 5]);
    assert_eq!(ages(now - Duration::from_secs(5500)), [0, 0]);
}

#[test]
fn a_link_to_a_parent_ends_in_a_reason() {
    let repository = Repository::new(&["r/a/1/model.fake"]);
    std::os::unix::fs::symlink(repository.path("r/a/1"), repository.path("r/a/1/loop")).unwrap();
    let scan = repository.scan(&["r"]);
    let reason = scan
        .models
        .values()
        .next()
        .unwrap()
        .settings
        .clone()
        .unwrap_err();
    assert!(reason.contains("link to a parent"), "{reason}");
}

#[test]
fn a_link_to_a_version_is_followed() {
    let repository = Repository::new(&["store/x/model.fake", "r/a/"]);
    std::os::unix::fs::symlink(repository.path("store/x"), repository.path("r/a/7")).unwrap();
    assert_eq!(repository.shown(&["r"]), "a: 7->r/a/7/model.fake");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn versions_come_in_ascending_order(names in prop::collection::btree_set("v?[0-9]{1,3}(\\.[0-9]{1,2})?", 1..6)) {
        let files: Vec<_> = names.iter().map(|name| format!("r/a/{name}/model.fake")).collect();
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        let scan = Repository::new(&files).scan(&["r"]);
        let found: Vec<_> = scan.models.into_values().next().unwrap().versions.into_keys().collect();
        prop_assert_eq!(found.len(), names.len());
        prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
