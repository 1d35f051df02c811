//! Commands whose standard output is closed or full.

use std::fs::File;
use std::io;
use std::process::{Output, Stdio};

use crate::process::lockgate;

/// Commands that print without a server, more than a pipe holds or less.
const COMMANDS: [&[&str]; 6] = [
    &["completions", "bash"],
    &["config", "--defaults"],
    &["config"],
    &["--help"],
    &["serve", "--help"],
    &["traffic", "assign", "--arms", "1=0.5,2=0.5", "user_1"],
];

fn run(arguments: &[&str], stdout: Stdio) -> Output {
    let folder = tempfile::tempdir().unwrap();
    lockgate(folder.path())
        .args(arguments)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
}

#[test]
fn a_command_whose_reader_has_gone_ends_quietly_with_success() {
    for arguments in COMMANDS {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = run(arguments, writer.into());
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaint}");
        assert_eq!(complaint, "", "{arguments:?}");
    }
}

#[test]
fn a_command_whose_output_does_not_fit_fails_and_says_so() {
    for arguments in COMMANDS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = run(arguments, full.into());
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {complaint}");
        assert!(
            complaint.contains("cannot write to standard output"),
            "{arguments:?}: {complaint}"
        );
    }
}

#[test]
fn wrong_flags_are_2_and_wrong_levels_name_the_right_ones() {
    let wrong = run(&["serve", "--bogus"], Stdio::null());
    assert_eq!(wrong.status.code(), Some(2));
    for level in ["verbose", "bogus"] {
        let refused = run(&["serve", "--log-level", level], Stdio::null());
        let complaint = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{complaint}");
        for part in [level, "`log_level`", "`warn`", "`info,serving=debug`"] {
            assert!(complaint.contains(part), "{complaint}");
        }
    }
}
