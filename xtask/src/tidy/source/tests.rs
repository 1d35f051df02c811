//! Each rule on a small file that keeps it and on one that breaks it.

use super::*;

/// A file of a workspace that has no other.
fn file(path: &str, text: &str) -> SourceFile {
    SourceFile::parse(path.to_owned(), text.to_owned()).unwrap()
}

fn breaches(path: &str, text: &str) -> Vec<String> {
    file(path, text).breaches()
}

const TESTED: &str = "//! A sum.

pub(crate) fn sum(a: u8, b: u8) -> u8 {
    a + b
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_and_one_is_two() {
        assert_eq!(super::sum(1, 1), 2);
    }
}
";

#[test]
fn a_file_that_keeps_every_rule_has_no_breach() {
    assert_eq!(breaches("crates/a/src/sum.rs", TESTED), [""; 0]);
}

#[test]
fn inline_tests_are_no_own_lines() {
    let file = file("crates/a/src/sum.rs", TESTED);
    let n_lines = TESTED.lines().count();
    assert_eq!(file.n_own_lines + file.n_test_lines, n_lines);
    assert_eq!(file.n_test_lines, 7);
    assert_eq!(file.function_lines, [3], "functions of tests do not count");
}

#[test]
fn a_file_of_tests_is_tests_alone() {
    let paths = [
        "crates/a/src/sum/tests.rs",
        "crates/a/src/tests/sum.rs",
        "crates/a/tests/sum.rs",
    ];
    for path in paths {
        let file = file(path, "//! Sums.\n\nfn f() {}\n");
        assert_eq!((file.n_own_lines, file.n_test_lines), (0, 3), "{path}");
        assert!(file.is_test() && file.function_lines.is_empty(), "{path}");
    }
    let file = file("crates/a/src/contests.rs", "//! Contests.\n");
    assert!(!file.is_test());
}

#[test]
fn a_module_is_of_tests_only_under_exactly_that_condition() {
    let table = [
        ("#[cfg(test)]", 1),
        ("#[cfg(not(test))]", 0),
        ("#[cfg(unix)]", 0),
        ("#[cfg(all(test, unix))]", 0),
        ("#[allow(test)]", 0),
        ("", 0),
    ];
    for (attribute, n_modules) in table {
        let text = format!("//! X.\n{attribute}\nmod inner {{\n    fn f() {{}}\n}}\n");
        let file = file("crates/a/src/x.rs", &text);
        assert_eq!(file.n_test_lines > 0, n_modules > 0, "{attribute}");
        assert_eq!(file.function_lines.len(), 1 - n_modules, "{attribute}");
    }
}

#[test]
fn functions_of_modules_impls_and_traits_are_measured() {
    let text = "//! X.
mod inner {
    fn short() {}
}
struct S;
impl S {
    fn long(&self) {
        self.long();
    }
}
fn outer() {
    fn nested() {}
    nested();
}
";
    let mut lines = file("crates/a/src/x.rs", text).function_lines;
    lines.sort_unstable();
    assert_eq!(lines, [1, 1, 3, 4]);
}

#[test]
fn waivers_are_counted_wherever_they_stand() {
    let text = "//! X.
#![expect(unused, reason = \"x\")]
#[expect(dead_code, reason = \"y\")]
fn f() {
    #[expect(unused, reason = \"z\")]
    let x = 1;
}
";
    assert_eq!(file("crates/a/src/x.rs", text).n_waivers, 3);
}

#[test]
fn a_file_begins_with_what_it_is_for() {
    let table = [
        ("crates/a/src/x.rs", "//! X.\n", false),
        ("crates/a/src/x.rs", "// X.\n", true),
        ("crates/a/src/x.rs", "/// X.\nfn f() {}\n", true),
        ("crates/a/src/x.rs", "\n//! X.\n", true),
        ("crates/a/src/x/tests.rs", "fn f() {}\n", false),
        ("crates/a/tests/x.rs", "fn f() {}\n", true),
    ];
    for (path, text, is_breach) in table {
        let breach = file(path, text).head_breach();
        assert_eq!(breach.is_some(), is_breach, "{path}: {text:?}");
    }
}

#[test]
fn a_file_may_have_400_own_lines_and_any_number_of_tests() {
    let text = |n_lines: usize| "//! X.\n".to_owned() + &"\n".repeat(n_lines - 1);
    let path = "crates/a/src/x.rs";
    assert_eq!(breaches(path, &text(400)), [""; 0]);
    let expected = format!("{path}: 401 own lines, the limit is 400: split it");
    assert_eq!(breaches(path, &text(401)), [expected]);
    assert_eq!(breaches("crates/a/src/x/tests.rs", &text(5000)), [""; 0]);
    let tests = format!("#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(500));
    assert_eq!(breaches(path, &(text(400) + &tests)), [""; 0]);
}

#[test]
fn a_name_says_what_is_inside() {
    let table = [
        ("crates/a/src/shape.rs", false),
        ("crates/a/src/lib.rs", false),
        ("crates/a/src/inner/lib.rs", true),
        ("crates/a/src/utils.rs", true),
        ("crates/a/src/manager.rs", true),
        ("crates/a/src/shape/mod.rs", true),
        ("crates/a/src/model_manager.rs", false),
    ];
    for (path, is_breach) in table {
        let breach = file(path, "//! X.\n").is_well_named();
        assert_eq!(breach.is_some(), is_breach, "{path}: {breach:?}");
    }
}

#[test]
fn imports_go_from_far_to_near() {
    let table = [
        ("use std::fmt;\nuse bytes::Bytes;\nuse crate::x;", None),
        ("use std::fmt;\nuse crate::x;\nuse bytes::Bytes;", Some(4)),
        ("use bytes::Bytes;\nuse std::fmt;", Some(3)),
        ("use super::x;\nuse core::fmt;", Some(3)),
        ("mod inner;\nuse std::fmt;\nuse inner::x;", None),
        ("mod inner;\nuse inner::x;\nuse std::fmt;", Some(4)),
        ("use crate::x;\npub use bytes::Bytes;", None),
        ("use crate::x;\npub(crate) use std::fmt;", None),
        ("use {std::fmt, bytes::Bytes};", None),
        ("fn f() {\n    use crate::x;\n    use std::fmt;\n}", None),
    ];
    for (text, line) in table {
        let file = file("crates/a/src/x.rs", &format!("//! X.\n{text}\n"));
        let expected = line.map(|n| format!("line {n}: imports go std, external, own crate"));
        assert_eq!(file.has_ordered_imports(), expected, "{text}");
    }
}

#[test]
fn work_left_undone_is_found_in_code_comments_and_tests() {
    for word in LEFT_OVERS {
        let text = format!("//! X.\n// {word} later\n");
        for path in ["crates/a/src/x.rs", "crates/a/tests/x.rs"] {
            let expected = format!("{path}: `{word}` belongs into an issue");
            assert_eq!(breaches(path, &text), [expected]);
        }
    }
    let text = format!("//! {}\n", LEFT_OVERS[0].to_lowercase());
    assert_eq!(breaches("crates/a/src/x.rs", &text), [""; 0]);
}

#[test]
fn statuses_are_spelled_in_one_table_and_in_tests() {
    let spelled = format!("fn f() {{ {}OK; }}\n", concat!("Status", "Code::"));
    let text = format!("//! X.\n{spelled}");
    let in_tests = format!("//! X.\n#[cfg(test)]\nmod tests {{ {spelled} }}\n");
    let table = [
        ("crates/a/src/x.rs", &text, 1),
        ("crates/protocols/src/status.rs", &text, 0),
        ("crates/a/tests/x.rs", &text, 0),
        ("crates/a/src/x.rs", &in_tests, 0),
    ];
    for (path, text, n_breaches) in table {
        assert_eq!(breaches(path, text).len(), n_breaches, "{path}: {text}");
    }
}

#[test]
fn metrics_are_named_in_one_list_and_in_tests() {
    let table = [
        ("crates/a/src/x.rs", "lockgate_queue_seconds", true),
        ("crates/a/src/x.rs", "model_predictions_total", true),
        ("crates/a/src/x.rs", "lockgate_queue", false),
        ("crates/a/src/x.rs", "the lockgate_queue_seconds", false),
        ("crates/a/src/x.rs", "lockgate_{x}_seconds", false),
        (
            "crates/monitor/src/metrics/names.rs",
            "model_rows_total",
            false,
        ),
        ("crates/a/tests/x.rs", "model_rows_total", false),
        ("xtask/src/x.rs", "model_rows_total", false),
    ];
    for (path, name, is_breach) in table {
        let text = format!("//! X.\nconst NAME: &str = \"{name}\";\n");
        assert_eq!(
            breaches(path, &text).len(),
            usize::from(is_breach),
            "{path}: {name}"
        );
    }
    let text = "//! X.\n#[cfg(test)]\nmod tests {\n    const X: &str = \"model_rows_total\";\n}\n";
    assert_eq!(breaches("crates/a/src/x.rs", text), [""; 0]);
}

#[test]
fn generated_and_built_files_are_not_read() {
    let root = tempfile::tempdir().unwrap();
    let paths = [
        "crates/a/src/b.rs",
        "crates/a/src/a.rs",
        "crates/a/src/generated/x.rs",
        "crates/a/target/x.rs",
        "crates/a/readme.md",
        "xtask/src/main.rs",
        "other/src/x.rs",
    ];
    for path in paths {
        let full = root.path().join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, "//! X.\n").unwrap();
    }
    let files = SourceFile::read_all(root.path()).unwrap();
    let read: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    let expected = [
        "crates/a/src/a.rs",
        "crates/a/src/b.rs",
        "xtask/src/main.rs",
    ];
    assert_eq!(read, expected);
}

#[test]
fn a_file_that_is_no_rust_is_named() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("broken.rs");
    fs::write(&path, "fn {").unwrap();
    let error = SourceFile::read(root.path(), &path).err().unwrap();
    assert!(error.to_string().contains("broken.rs"), "{error:#}");
}

#[test]
fn lines_of_python_are_counted_below_the_crates() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("crates/a/tests/python");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("test_a.py"), "import a\n\na.b()\n").unwrap();
    fs::write(folder.join("test_b.py"), "x = 1\n").unwrap();
    fs::write(folder.join("list.txt"), "1\n2\n3\n").unwrap();
    assert_eq!(n_python_test_lines(root.path()).unwrap(), 4);
}
