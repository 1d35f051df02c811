//! The gate numbers of the conventions, chosen from measurements of good code.

use std::fmt;

use super::language::DocComments;
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
    n_headless: usize,
    n_with_left_overs: usize,
    n_waivers: usize,
    doc_comments: DocComments,
}

impl Numbers {
    /// Measures all files, and the tests in Python beside them.
    pub(crate) fn of(files: &[SourceFile], n_python_test_lines: usize) -> Self {
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
        let n_test_lines = n_test_lines + n_python_test_lines;
        Self {
            n_files: file_lines.len(),
            n_own_lines,
            file_p90: quantile(&file_lines, 90),
            file_max: quantile(&file_lines, 100),
            function_median: quantile(&functions, 50),
            function_p99: quantile(&functions, 99),
            function_max: quantile(&functions, 100),
            test_share: n_test_lines * 100 / (n_own_lines + n_test_lines).max(1),
            n_headless: files
                .iter()
                .filter(|file| file.head_breach().is_some())
                .count(),
            n_with_left_overs: files
                .iter()
                .filter(|file| file.left_over_breach().is_some())
                .count(),
            n_waivers: files.iter().map(|file| file.n_waivers).sum(),
            doc_comments: files.iter().map(|file| file.doc_comments).sum(),
        }
    }

    /// Returns the gates that do not hold.
    pub(crate) fn breaches(&self) -> Vec<String> {
        let gates = [
            ("p90 of own lines per file", self.file_p90, 400),
            ("own lines of the longest file", self.file_max, 600),
            ("median lines per function", self.function_median, 8),
            ("p99 of lines per function", self.function_p99, 70),
            ("lines of the longest function", self.function_max, 100),
            (
                "doc comments that open with What, Whether, Who, How or Where, in 1000",
                self.doc_comments.riddles_per_mille(),
                50,
            ),
        ];
        let share = self.test_share;
        let share = (!(35..=45).contains(&share))
            .then(|| format!("share of tests: {share} %, the gate is 35 to 45 %"));
        let over = gates.iter().filter(|(_, measured, limit)| measured > limit);
        over.map(|(what, measured, limit)| format!("{what}: {measured}, the gate is {limit}"))
            .chain(share)
            .collect()
    }
}

/// Returns the value that `percent` of the sorted values do not exceed; 0 without values.
fn quantile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = format!("{} / {}", self.file_p90, self.file_max);
        let functions = format!(
            "{} / {} / {}",
            self.function_median, self.function_p99, self.function_max
        );
        let rows = [
            ("own lines per file, p90 / max", files, "<= 400 / 600"),
            (
                "lines per function, median / p99 / max",
                functions,
                "<= 8 / 70 / 100",
            ),
            (
                "share of tests",
                format!("{} %", self.test_share),
                "35-45 %",
            ),
            ("files without a head", self.n_headless.to_string(), "0"),
            (
                "files with left-overs",
                self.n_with_left_overs.to_string(),
                "0",
            ),
            (
                "doc comments that open as riddles",
                format!("{} of {}", self.doc_comments.n_riddles, self.doc_comments.n),
                "<= 5 %",
            ),
            (
                "waivers of lints",
                self.n_waivers.to_string(),
                "each with its reason",
            ),
            ("files", self.n_files.to_string(), ""),
            ("own lines", self.n_own_lines.to_string(), ""),
        ];
        for (what, measured, gate) in rows {
            writeln!(f, "{what:<40} {measured:>12}   {gate}")?;
        }
        Ok(())
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

    type Worsen = fn(&mut Numbers);

    /// Returns numbers within every gate.
    fn good() -> Numbers {
        Numbers {
            n_files: 10,
            n_own_lines: 1000,
            file_p90: 400,
            file_max: 600,
            function_median: 8,
            function_p99: 70,
            function_max: 100,
            test_share: 40,
            n_headless: 0,
            n_with_left_overs: 0,
            n_waivers: 3,
            doc_comments: DocComments {
                n: 1000,
                n_riddles: 50,
            },
        }
    }

    #[test]
    fn a_gate_itself_lets_through_and_one_more_does_not() {
        let worse: [(&str, Worsen); 6] = [
            ("p90 of own lines", |numbers| numbers.file_p90 += 1),
            ("the longest file", |numbers| numbers.file_max += 1),
            ("median lines", |numbers| numbers.function_median += 1),
            ("p99 of lines", |numbers| numbers.function_p99 += 1),
            ("the longest function", |numbers| numbers.function_max += 1),
            ("doc comments", |numbers| {
                numbers.doc_comments.n_riddles += 1
            }),
        ];
        assert_eq!(good().breaches(), [""; 0]);
        for (what, worsen) in worse {
            let mut numbers = good();
            worsen(&mut numbers);
            let breaches = numbers.breaches();
            assert_eq!(breaches.len(), 1, "{what}: {breaches:?}");
            assert!(breaches[0].contains(what), "{what}: {breaches:?}");
        }
    }

    #[test]
    fn tests_are_neither_too_few_nor_too_many() {
        for (test_share, n_breaches) in [(34, 1), (35, 0), (45, 0), (46, 1)] {
            let numbers = Numbers {
                test_share,
                ..good()
            };
            assert_eq!(numbers.breaches().len(), n_breaches, "{test_share} %");
        }
    }

    #[test]
    fn no_files_have_no_sizes_and_no_tests() {
        let numbers = Numbers::of(&[], 0);
        assert_eq!((numbers.n_files, numbers.file_max), (0, 0));
        assert_eq!((numbers.function_max, numbers.test_share), (0, 0));
        assert_eq!(Numbers::of(&[], 10).test_share, 100);
    }

    #[test]
    fn the_report_has_a_line_for_each_number_with_its_gate() {
        let text = good().to_string();
        for line in [
            "own lines per file, p90 / max               400 / 600   <= 400 / 600",
            "lines per function, median / p99 / max   8 / 70 / 100   <= 8 / 70 / 100",
            "share of tests                                   40 %   35-45 %",
            "files without a head                                0   0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }
}
