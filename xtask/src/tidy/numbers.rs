//! The gate numbers of the conventions: what good code measured like when they were chosen.

use std::fmt;

use super::source::SourceFile;

/// Sizes over the whole workspace. Lines are own lines, without tests.
pub(crate) struct Numbers {
    n_files: usize,
    n_own_lines: usize,
    file_p90: usize,
    file_max: usize,
    function_median: usize,
    function_p99: usize,
    function_max: usize,
    test_share: usize,
    n_waivers: usize,
}

impl Numbers {
    /// Measures all files.
    pub(crate) fn of(files: &[SourceFile]) -> Self {
        let mut file_lines: Vec<_> = files
            .iter()
            .map(|file| file.n_own_lines)
            .filter(|&lines| lines > 0)
            .collect();
        let mut functions: Vec<_> = files
            .iter()
            .flat_map(|file| file.function_lines.iter().copied())
            .collect();
        file_lines.sort_unstable();
        functions.sort_unstable();
        let n_own_lines: usize = file_lines.iter().sum();
        let n_test_lines: usize = files.iter().map(|file| file.n_test_lines).sum();
        Self {
            n_files: file_lines.len(),
            n_own_lines,
            file_p90: quantile(&file_lines, 90),
            file_max: quantile(&file_lines, 100),
            function_median: quantile(&functions, 50),
            function_p99: quantile(&functions, 99),
            function_max: quantile(&functions, 100),
            test_share: n_test_lines * 100 / (n_own_lines + n_test_lines).max(1),
            n_waivers: files.iter().map(|file| file.n_waivers).sum(),
        }
    }

    /// The gates that do not hold.
    pub(crate) fn breaches(&self) -> Vec<String> {
        let gates = [
            ("p90 of own lines per file", self.file_p90, 400),
            ("own lines of the longest file", self.file_max, 600),
            ("median lines per function", self.function_median, 8),
            ("p99 of lines per function", self.function_p99, 70),
            ("lines of the longest function", self.function_max, 100),
        ];
        let over = gates.iter().filter(|(_, measured, limit)| measured > limit);
        over.map(|(what, measured, limit)| format!("{what}: {measured}, the gate is {limit}"))
            .collect()
    }
}

/// The value that `percent` of the sorted values do not exceed; 0 of none.
fn quantile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "files                 {:>6}", self.n_files)?;
        writeln!(f, "own lines             {:>6}", self.n_own_lines)?;
        writeln!(
            f,
            "file p90 / max        {:>6} / {}",
            self.file_p90, self.file_max
        )?;
        let (median, p99, max) = (self.function_median, self.function_p99, self.function_max);
        writeln!(f, "function median / p99 / max  {median} / {p99} / {max}")?;
        writeln!(f, "share of tests        {:>5} %", self.test_share)?;
        write!(f, "waivers of lints      {:>6}", self.n_waivers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_list() {
        let values: Vec<_> = (1..=100).collect();
        assert_eq!(
            [50, 90, 99, 100].map(|p| quantile(&values, p)),
            [50, 90, 99, 100]
        );
        assert_eq!(quantile(&[7], 50), 7);
        assert_eq!(quantile(&[], 50), 0);
    }
}
