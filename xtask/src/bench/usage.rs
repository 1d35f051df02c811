//! CPU time and memory of a process and its children, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Linux counts CPU time for user space in hundredths of a second, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// CPU time so far, and memory at this moment.
#[derive(Debug, Default)]
pub(super) struct Usage {
    cpu: Duration,
    pub(super) resident_bytes: u64,
}

impl Usage {
    /// Reads the usage of a process and all its descendants.
    pub(super) fn of_tree(root: u32) -> Result<Self> {
        let mut usage = Self::default();
        for pid in tree(root)? {
            let stat = read(pid, "stat")?;
            let status = read(pid, "status")?;
            usage.cpu += Stat::parse(&stat)
                .context("cannot parse `/proc/<pid>/stat`")?
                .cpu;
            usage.resident_bytes +=
                resident_bytes(&status).context("cannot parse `/proc/<pid>/status`")?;
        }
        Ok(usage)
    }

    pub(super) fn cpu_since(&self, before: &Self) -> Duration {
        self.cpu.saturating_sub(before.cpu)
    }
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).context(path)
}

/// Returns a process and all its descendants.
pub(super) fn tree(root: u32) -> Result<Vec<u32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that has just ended has no parent.
        if let Some(stat) = read(pid, "stat").ok().as_deref().and_then(Stat::parse) {
            parents.insert(pid, stat.parent);
        }
    }
    Ok(below(root, &parents))
}

/// Returns `root` and every process whose chain of parents leads to it.
fn below(root: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![root];
    let mut n_seen = 0;
    while let Some(&parent) = found.get(n_seen) {
        n_seen += 1;
        let children = parents.iter().filter(|(_, of)| **of == parent);
        found.extend(children.map(|(child, _)| *child));
    }
    found
}

/// Parsed contents of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// The CPU time in user space and in the kernel.
    cpu: Duration,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program may contain spaces and parentheses; the last parenthesis ends it.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
        Some(Self {
            parent: number(1)?,
            cpu: TICK * (number(11)? + number(12)?),
        })
    }
}

/// Parses the resident memory from the text of `/proc/<pid>/status`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let n_kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(n_kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    #[test]
    fn a_program_name_with_brackets_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 4 0 1 2 3";
        let expected = Stat {
            parent: 3,
            cpu: Duration::from_secs(3),
        };
        assert_eq!(Stat::parse(text), Some(expected));
    }

    #[test]
    fn a_broken_stat_is_nothing() {
        for text in ["", "7 (a", "7 (a) S 1", "7 (a) S x 7 7 0 -1 4 1 0 0 0 2 5"] {
            assert_eq!(Stat::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn memory_is_reported_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t   12 kB\n";
        assert_eq!(resident_bytes(status), Some(12 * 1024));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn a_tree_has_descendants_and_no_other_process() {
        let parents = BTreeMap::from([(2, 1), (10, 2), (11, 10), (12, 11), (13, 1)]);
        assert_eq!(below(10, &parents), [10, 11, 12]);
    }

    /// Starts a process that waits forever.
    fn waiting() -> Child {
        let mut command = Command::new("tail");
        command.args(["-f", "/dev/null"]).spawn().unwrap()
    }

    #[test]
    fn a_process_uses_memory_while_it_runs() {
        // Not this process itself: other tests start processes in it that end meanwhile.
        let mut child = waiting();
        let usage = Usage::of_tree(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(usage.unwrap().resident_bytes > 0);
        assert!(Usage::of_tree(child.id()).is_err(), "it has ended");
    }

    #[test]
    fn time_that_was_used_is_a_difference_and_never_below_nothing() {
        let usage = |seconds| Usage {
            cpu: Duration::from_secs(seconds),
            resident_bytes: 0,
        };
        assert_eq!(usage(5).cpu_since(&usage(3)), Duration::from_secs(2));
        // A worker that has ended takes its time with it.
        assert_eq!(usage(3).cpu_since(&usage(5)), Duration::ZERO);
    }

    #[test]
    fn memory_in_another_form_is_not_guessed() {
        for status in [
            "",
            "VmRSS:",
            "VmRSS: 12",
            "VmRSS: x kB",
            "VmRSS: 12 MB",
            "VmHWM: 1 kB",
        ] {
            assert_eq!(resident_bytes(status), None, "{status:?}");
        }
    }

    #[test]
    fn a_child_is_below_this_process() {
        let mut child = waiting();
        let found = tree(std::process::id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found[0], std::process::id());
        assert!(found.contains(&child.id()), "{found:?}");
    }
}
