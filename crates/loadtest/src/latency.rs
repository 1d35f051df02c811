//! Quantiles of latencies.
//!
//! Decision: exact quantiles of all values, the same for closed and open loops. A histogram would
//! bound the memory of a load test of many hours, at the price of a rounded result.

/// Returns the quantile of this share by nearest rank, always one of the values; zero without
/// values. Sorts them.
pub(crate) fn quantile<T: Copy + Default + Ord>(values: &mut [T], share: f64) -> T {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil();
    let is_below = |index: &usize| (*index as f64) < rank;
    let index = (0..values.len()).filter(is_below).count();
    values
        .get(index.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(quantile(&mut values, 0.99), 99);
        assert_eq!(quantile(&mut values, 0.5), 50);
        assert_eq!(quantile(&mut [7], 0.99), 7);
    }

    #[test]
    fn the_outer_quantiles_are_the_smallest_and_the_largest_value() {
        let mut values = [30, 10, 20];
        assert_eq!(quantile(&mut values, 0.0), 10);
        assert_eq!(quantile(&mut values, 1.0), 30);
        assert_eq!(quantile(&mut [0_u32; 0], 0.5), 0);
    }
}
