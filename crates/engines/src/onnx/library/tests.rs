//! The order of the search, and its error when no library is found.

use std::fs;

use tempfile::TempDir;

use super::*;

fn no_package(_: &Path) -> Result<PathBuf, String> {
    Err("it has no package `onnxruntime`".to_owned())
}

/// A folder with one empty file per name.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

#[test]
fn the_newest_versioned_library_of_a_folder_is_taken() {
    let cases: [(&[&str], Option<&str>); 7] = [
        (
            &["libonnxruntime.so.1.32.0"],
            Some("libonnxruntime.so.1.32.0"),
        ),
        (
            &[
                "libonnxruntime.so",
                "libonnxruntime.so.1",
                "libonnxruntime.so.1.9.0",
            ],
            Some("libonnxruntime.so.1.9.0"),
        ),
        (
            &["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0"],
            Some("libonnxruntime.so.1.32.0"),
        ),
        (
            &["libonnxruntime.1.32.0.dylib"],
            Some("libonnxruntime.1.32.0.dylib"),
        ),
        (
            &["libonnxruntime_providers_shared.so", "libopenvino.so.2541"],
            None,
        ),
        (&["libonnxruntime.so.1.32.0.bak"], None),
        (&[], None),
    ];
    let mut wrong = Vec::new();
    for (names, expected) in cases {
        let folder = folder(names);
        let found = library_in(folder.path()).ok();
        if found != expected.map(|name| folder.path().join(name)) {
            wrong.push((names, found));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn locations_are_tried_in_their_order() {
    let package = folder(&["capi/libonnxruntime.so.1.22.0"]);
    let full = folder(&[
        "flag/libonnxruntime.so.1.22.0",
        "variable/libonnxruntime.so.1.22.0",
        "configuration/libonnxruntime.so.1.22.0",
        "shared/libonnxruntime.so.1.22.0",
        "lib/onnxruntime/libonnxruntime.so.1.22.0",
        "onnxruntime/current/libonnxruntime.so.1.22.0",
        "bin/lockgate",
    ]);
    let at = |name: &str| Some(full.path().join(name));
    let mut input = SearchInput {
        flag: at("flag"),
        variable: at("variable"),
        configuration: at("configuration"),
        shared_variable: at("shared"),
        executable_folder: at("bin"),
        data_folder: at(""),
        pythons: vec![PathBuf::from("python3")],
    };
    let found = |input: &SearchInput| {
        search(input, &|_| Ok(package.path().to_owned()))
            .unwrap()
            .source
    };
    let all = search_results(&input, &|_| Ok(package.path().to_owned()));
    assert_eq!(all.len(), 8);
    assert!(all.iter().all(|result| result.library.is_ok()), "{all:?}");
    let mut order = vec![found(&input)];
    let removals: [fn(&mut SearchInput); 7] = [
        |input| input.flag = None,
        |input| input.variable = None,
        |input| input.configuration = None,
        |input| input.shared_variable = None,
        |input| input.executable_folder = None,
        |input| input.data_folder = None,
        |input| input.pythons.clear(),
    ];
    for remove in removals {
        remove(&mut input);
        order.push(found(&input));
    }
    let expected: Vec<_> = all.into_iter().map(|result| result.source).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_location_that_the_operator_named_must_be_right() {
    let installed = folder(&["onnxruntime/current/libonnxruntime.so.1.22.0"]);
    let input = SearchInput {
        variable: Some(PathBuf::from("/nowhere/at/all")),
        data_folder: Some(installed.path().to_owned()),
        ..SearchInput::default()
    };
    let error = search(&input, &no_package).unwrap_err();
    let text = error.message();
    assert!(
        text.starts_with("no ONNX Runtime at `LOCKGATE_ONNXRUNTIME`: `/nowhere/at/all`"),
        "{text}"
    );
}

#[test]
fn nothing_found_names_every_location_and_the_remedy() {
    let empty = folder(&[]);
    let input = SearchInput {
        data_folder: Some(empty.path().to_owned()),
        pythons: vec![PathBuf::from("/usr/bin/python3")],
        ..SearchInput::default()
    };
    let text = not_found(&search_results(&input, &no_package)).to_string();
    for part in [
        "lockgate runtime install",
        "onnxruntime/current",
        "packages of `/usr/bin/python3`: it has no package `onnxruntime`",
        "system libraries: `libonnxruntime.so.1` is not known to the loader",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn an_interpreter_that_does_not_run_is_skipped_with_its_reason() {
    let reason = python_package(Path::new("/nowhere/python3")).unwrap_err();
    assert!(reason.contains("/nowhere/python3"), "{reason}");
}
