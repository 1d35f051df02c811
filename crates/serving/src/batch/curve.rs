//! The batch cost curve: run time by rows, from which batch size, admission and batch delay follow.
//!
//! Input: rows and time of every run. Rule: one point for each doubling of the rows, which holds a
//! moving average of rows and time (a run counts a tenth, the first ones more) and the variance of
//! the time around the curve, a jitter of 5 % at first. Between two points the curve is a straight
//! line, so sizes that never ran have a time too, and a fixed cost per run with a constant cost per
//! row is represented exactly. Cold start: without a point nothing is known; with one point more
//! rows cost in proportion. Recovery: every run counts, and one that was interrupted counts as at
//! most four times the expected time. Rejected: one average per doubling without its own rows,
//! which is wrong by up to a factor of two inside a doubling; a fitted straight line, which does
//! not follow caches and vector units.

use std::time::Duration;

/// Sizes up to 2^15 rows are distinguished; larger runs count as the last size.
const N_POINTS: usize = 16;

/// The share of a run in the average, once there are enough of them.
const WEIGHT: f64 = 0.1;

/// The largest influence of one run, as a multiple of the expected time.
const MAX_SAMPLE_FACTOR: f64 = 4.0;

/// The largest deviation of one run that widens the variance: twice the expected time.
const MAX_DEVIATION: f64 = 1.0;

/// The number of standard deviations that [`Curve::upper`] adds. One keeps late answers below half
/// a percent at a jitter of 5 %; none has ten times as many, and two cost 3 % of the throughput.
const MARGIN_DEVIATIONS: f64 = 1.0;

/// The variance before it is measured: a jitter of 5 %.
const FIRST_VARIANCE: f64 = 0.0025;

/// The share of the best throughput that an efficient batch reaches.
const EFFICIENT_SHARE: f64 = 0.95;

/// Run times by rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curve {
    points: [Option<Point>; N_POINTS],
}

/// The measured runs of about one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// The mean of their rows.
    pub(crate) rows: f64,
    /// The mean of their times, in seconds.
    pub(crate) seconds: f64,
    /// The variance of their time around the curve, as a fraction of it.
    variance: f64,
    /// The number of runs, counted up to where it does not matter any more.
    n_runs: u32,
}

impl Point {
    /// Returns the standard deviation, as a fraction of the time.
    pub(crate) fn deviation(&self) -> f64 {
        self.variance.sqrt()
    }

    fn throughput(&self) -> f64 {
        self.rows / self.seconds
    }
}

impl Curve {
    /// Records a run of `n_rows` rows.
    pub(crate) fn observe(&mut self, n_rows: usize, time: Duration) {
        let rows = float(n_rows.max(1));
        let seconds = time.as_secs_f64().max(1e-9);
        let expected = self.seconds(n_rows);
        let Some(slot) = self.points.get_mut(bucket(n_rows)) else {
            return;
        };
        let (Some(point), Some(expected)) = (slot.as_mut(), expected) else {
            *slot = Some(Point {
                rows,
                seconds,
                variance: FIRST_VARIANCE,
                n_runs: 1,
            });
            return;
        };
        let weight = WEIGHT.max(1.0 / f64::from(point.n_runs + 1));
        let deviation = (seconds / expected - 1.0).min(MAX_DEVIATION);
        point.rows += weight * (rows - point.rows);
        point.seconds += weight * (seconds.min(expected * MAX_SAMPLE_FACTOR) - point.seconds);
        point.variance += WEIGHT * (deviation * deviation - point.variance);
        point.n_runs = point.n_runs.saturating_add(1).min(1000);
    }

    /// Returns the measured points, by rows.
    pub(crate) fn points(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.points.iter().flatten()
    }

    /// Predicts the time of a run; `None` before the first run.
    pub(crate) fn time(&self, n_rows: usize) -> Option<Duration> {
        self.seconds(n_rows).map(Duration::from_secs_f64)
    }

    /// Returns an upper bound on the time of a run that is rarely exceeded.
    pub(crate) fn upper(&self, n_rows: usize) -> Option<Duration> {
        let margin = 1.0 + MARGIN_DEVIATIONS * self.deviation(n_rows);
        Some(Duration::from_secs_f64(self.seconds(n_rows)? * margin))
    }

    /// Returns the smallest batch with nearly the best throughput of at most `max_rows`.
    ///
    /// While the largest size that ran is clearly the best one, a batch of twice the size may be
    /// better still.
    pub(crate) fn efficient_rows(&self, max_rows: usize) -> usize {
        let most = max_rows.max(1);
        let best = self.points().map(Point::throughput).fold(0.0, f64::max);
        let target = best * EFFICIENT_SHARE;
        let is_efficient = |point: &&Point| point.throughput() >= target;
        let Some(efficient) = self.points().find(is_efficient) else {
            return most;
        };
        let smaller = self
            .points()
            .take_while(|point| !is_efficient(point))
            .last();
        let is_largest = self.points().next_back() == Some(efficient);
        match smaller {
            None if is_largest => most,
            None => whole(efficient.rows).min(most),
            Some(_) if is_largest && efficient.rows < float(most) => {
                whole(efficient.rows * 2.0).min(most)
            }
            Some(smaller) => whole(crossing(smaller, efficient, target)).min(most),
        }
    }

    /// Returns the fixed cost of a run, whatever its rows: the curve from 1 to `n_rows`, extended
    /// to 0.
    pub(crate) fn fixed_cost(&self, n_rows: usize) -> Option<Duration> {
        let (one, many) = (self.seconds(1)?, self.seconds(n_rows)?);
        let more_rows = float(n_rows.checked_sub(1).filter(|&more| more > 0)?);
        let fixed = one - (many - one) / more_rows;
        Some(Duration::from_secs_f64(fixed.clamp(0.0, one)))
    }

    fn seconds(&self, n_rows: usize) -> Option<f64> {
        let rows = float(n_rows.max(1));
        Some(match self.neighbours(rows)? {
            Neighbours::Within(low, high) => {
                low.seconds + (high.seconds - low.seconds) * share(low, high, rows)
            }
            Neighbours::Above(low, high) => {
                let slope = (high.seconds - low.seconds) / (high.rows - low.rows);
                high.seconds + slope.max(0.0) * (rows - high.rows)
            }
            // Fewer rows may cost as much as these; more cost in proportion.
            Neighbours::Only(point) => point.seconds * (rows / point.rows).max(1.0),
        })
    }

    fn deviation(&self, n_rows: usize) -> f64 {
        let rows = float(n_rows.max(1));
        match self.neighbours(rows) {
            Some(Neighbours::Within(low, high)) => {
                let (low_deviation, high_deviation) = (low.deviation(), high.deviation());
                low_deviation + (high_deviation - low_deviation) * share(low, high, rows)
            }
            Some(Neighbours::Above(_, point) | Neighbours::Only(point)) => point.deviation(),
            None => 0.0,
        }
    }

    fn neighbours(&self, rows: f64) -> Option<Neighbours<'_>> {
        let mut low: Option<&Point> = None;
        let mut below_low: Option<&Point> = None;
        for point in self.points() {
            match low {
                Some(low) if rows <= point.rows && low.rows < point.rows => {
                    return Some(Neighbours::Within(low, point));
                }
                None if rows <= point.rows => return Some(Neighbours::Only(point)),
                Some(_) | None => {}
            }
            below_low = low;
            low = Some(point);
        }
        match (below_low, low?) {
            (Some(low), high) if low.rows < high.rows => Some(Neighbours::Above(low, high)),
            (_, high) => Some(Neighbours::Only(high)),
        }
    }
}

/// The points that determine the time of a run.
#[derive(Debug)]
enum Neighbours<'a> {
    Within(&'a Point, &'a Point),
    Above(&'a Point, &'a Point),
    Only(&'a Point),
}

fn share(low: &Point, high: &Point, rows: f64) -> f64 {
    ((rows - low.rows) / (high.rows - low.rows)).clamp(0.0, 1.0)
}

/// Returns where the line from `low`, which is below the wanted throughput, to `high` reaches it.
fn crossing(low: &Point, high: &Point, target: f64) -> f64 {
    let slope = (high.seconds - low.seconds) / (high.rows - low.rows);
    let gain = 1.0 - target * slope;
    if gain <= 0.0 {
        return high.rows;
    }
    (target * (low.seconds - slope * low.rows) / gain).clamp(low.rows, high.rows)
}

fn bucket(n_rows: usize) -> usize {
    let doublings = n_rows.max(1).next_power_of_two().trailing_zeros();
    usize::try_from(doublings)
        .unwrap_or(N_POINTS)
        .min(N_POINTS - 1)
}

/// Converts rows to a number to calculate with.
pub(crate) fn float(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}

/// Returns the next whole number of rows; a rounding error does not count as a row.
pub(crate) fn whole(rows: f64) -> usize {
    let rounded = (rows - 1e-6).ceil().clamp(0.0, f64::from(u32::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number was rounded and clamped to the range of `u32` above"
    )]
    let whole = rounded as u32;
    usize::try_from(whole).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
