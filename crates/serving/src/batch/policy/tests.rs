//! The scheduler in virtual time: scenario files, and the published table of the delay.

mod callers;
mod closed_loop;
mod forecast;
mod player;
mod random;
mod scenario;
mod table;

use std::fs;
use std::path::Path;

/// Every scenario has its events above a line of dashes, and the expected outcomes below.
#[test]
fn every_scenario_file_plays_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/batch/policy/scenarios");
    let mut n_played = 0;
    let mut failures = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let (script, expected) = text.split_once("---\n").expect("a line of dashes");
        let trace = scenario::play(script);
        if trace != expected {
            failures.push(format!("{}: got\n{trace}", path.display()));
        }
        n_played += 1;
    }
    assert!(
        n_played >= 10,
        "only {n_played} scenarios in {}",
        folder.display()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
