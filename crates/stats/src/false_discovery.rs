//! False discovery rate: the rejected hypotheses among several comparisons of one report.
//!
//! Rule (e-BH): of K e-values reject the k* largest, k* = max{k : e_(k) >= K / (k alpha)}. The
//! expected share of false ones among the rejected is at most alpha, under any dependence. Source:
//! Wang and Ramdas, "False discovery rate control with e-values".

/// Returns the indices of the e-values that are rejected at `alpha`, given as logarithms.
#[must_use]
pub fn rejected(ln_e_values: &[f64], alpha: f64) -> Vec<usize> {
    let n = ln_e_values.len() as f64;
    let mut order: Vec<_> = ln_e_values.iter().copied().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let mut n_rejected = 0;
    for (index, (_, ln_e)) in order.iter().enumerate() {
        let k = (index + 1) as f64;
        if *ln_e >= (n / (k * alpha)).ln() {
            n_rejected = index + 1;
        }
    }
    order.truncate(n_rejected);
    order.into_iter().map(|(index, _)| index).collect()
}
