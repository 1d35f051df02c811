//! Reports about a real library, and about children that print none.

use super::*;
use crate::testing::onnx_runtime;

#[test]
fn a_library_is_reported_with_its_version_and_its_working_providers() {
    let report = probe(&onnx_runtime()).unwrap();
    assert!(report.version.starts_with("1."), "{report:?}");
    assert!(report.build.contains("git-commit-id"), "{report:?}");
    let cpu = report.providers.iter().find(|found| found.name == "cpu");
    assert_eq!(cpu.map(|found| &found.error), Some(&None), "{report:?}");
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<ProbeReport>(&text).unwrap(), report);
}

#[test]
fn a_failed_child_is_reported_with_its_message() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let cases = [
        ("probe-fails", "exit status: 3: no glibc"),
        ("probe-crashes", "signal: 11"),
        ("probe-babbles", "cannot parse the report"),
    ];
    for (script, expected) in cases {
        let error = probe_in_child(&fixtures.join(script), Path::new("lib.so")).unwrap_err();
        let text = error.message();
        assert!(
            text.contains(expected) && text.contains("`lib.so`"),
            "{script}: {text}"
        );
    }
    let error = probe_in_child(Path::new("/nowhere"), Path::new("lib.so")).unwrap_err();
    assert!(error.message().contains("cannot run `/nowhere`"), "{error}");
}
