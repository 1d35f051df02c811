//! Result of a case: the figures, or the reason why there are none.

use super::case::Case;
use super::figures::{Figures, Round};
use super::goal::Verdict;
use super::measure::Skip;

/// A case with its result.
#[derive(Debug)]
pub(super) struct CaseResult {
    pub(super) case: &'static Case,
    pub(super) rounds: Vec<Round>,
    pub(super) figures: Result<Figures, String>,
}

impl CaseResult {
    /// Combines the rounds. A failed round is noted and left out, as long as another one succeeded.
    pub(super) fn new(case: &'static Case, rounds: Vec<anyhow::Result<Round>>) -> Self {
        let mut good = Vec::new();
        let mut reasons = Vec::new();
        for round in rounds {
            match round {
                Ok(round) => good.push(round),
                Err(error) if error.is::<Skip>() => reasons.push(error.to_string()),
                Err(error) => reasons.push(format!("it failed, {error:#}")),
            }
        }
        let mut figures = Figures::of(case.name, &good);
        let failed = reasons.iter().map(|reason| format!("one round: {reason}"));
        figures.notes.extend(failed);
        Self {
            case,
            figures: match (good.is_empty(), reasons.first()) {
                (true, Some(reason)) => Err(one_line(reason)),
                (true, None) => Err("there was no round".to_owned()),
                (false, _) => Ok(figures),
            },
            rounds: good,
        }
    }

    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let figures = self.figures.as_ref().map_err(String::as_str);
        let goals = self.case.goals.iter();
        goals
            .map(|goal| goal.evaluate(self.case.name, figures))
            .collect()
    }
}

/// Returns the first line, shortened to fit a table.
fn one_line(text: &str) -> String {
    const MAX_CHARACTERS: usize = 300;
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::bench::case::CASES;
    use crate::bench::goal::Outcome;

    #[test]
    fn one_good_round_is_enough() {
        let rounds = vec![Err(anyhow!("no port")), Ok(Round::default())];
        let measured = CaseResult::new(&CASES[0], rounds);
        let notes = measured.figures.unwrap().notes;
        assert_eq!(
            notes.into_iter().collect::<Vec<_>>(),
            ["one round: it failed, no port"]
        );
    }

    #[test]
    fn without_a_good_round_no_goal_is_reached() {
        let table = [
            (Err(anyhow!("no port\nmore")), "it failed, no port"),
            (Err(Skip("no AMX".to_owned()).into()), "no AMX"),
        ];
        for (round, reason) in table {
            let measured = CaseResult::new(&CASES[0], vec![round]);
            let expected = Outcome::NotMeasured(reason.to_owned());
            let verdicts = measured.verdicts();
            assert_eq!(verdicts.len(), CASES[0].goals.len());
            assert!(verdicts.iter().all(|verdict| verdict.outcome == expected));
        }
    }
}
