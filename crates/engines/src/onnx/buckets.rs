//! Runs a model at only a few numbers of rows, with a session for each.
//!
//! Inputs: the sizes that settings allow, or the time of a run after one of another size. Rule: a
//! batch is padded with zeros to the next allowed size and its outputs are cut back; a batch beyond
//! the largest size runs in parts. By default settings say `auto`, which allows 1, 4, 16, ... and
//! the largest batch on a GPU where a change of size is expensive, and any size elsewhere. Why: the
//! CUDA provider plans every convolution anew whenever the number of rows differs from that of the
//! run before, and keeps one plan. On an H200 that took 100 ms for `ResNet-50` and 500 ms for
//! `MobileNetV2`, whose runs take 2 ms. A session that sees one size never plans again. Rejected:
//! one session that always pads to the largest batch, which makes a single row five times slower.

use std::iter;
use std::num::NonZeroUsize;
use std::sync::Arc;

use contract::{Error, Result, Session, Signature, Tensor, Terminate};

use super::calibration::{self, ChangeCost};
use super::errors::failed;
use super::options::BatchSizes;
use super::session::OnnxSession;
use super::signature::varies_beyond_rows;

/// The most memory that copies of the model weights on a GPU may take when settings give no number.
const MAX_COPIES_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// The factor from each allowed size to the next.
const STEP: usize = 4;

/// The inputs to the choice of sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeInput<'a> {
    /// The sizes that settings allow.
    pub(super) sizes: &'a BatchSizes,
    /// The most rows of a batch where a change of size may be expensive; `None` where it never is.
    pub(super) max_rows: Option<NonZeroUsize>,
    pub(super) signature: &'a Signature,
    pub(super) n_bytes: u64,
    pub(super) n_sessions: usize,
}

/// The sizes that a model runs at, ascending and at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SizeChoice {
    pub(super) sizes: Vec<usize>,
    /// The reason for the choice, to be appended to a sentence.
    pub(super) reason: String,
}

/// Chooses the sizes; `None` allows any. `cost` measures a change of size, and is called only when
/// that matters.
///
/// # Errors
/// `engine_failed` when settings ask for sizes that the signature does not allow.
pub(super) fn choose(
    input: &SizeInput<'_>,
    cost: impl FnOnce() -> Option<ChangeCost>,
) -> Result<Option<SizeChoice>> {
    let has_rows = input.signature.has_batch_dimension();
    match (input.sizes, input.max_rows) {
        (BatchSizes::Any, _) | (BatchSizes::Auto, None) => Ok(None),
        (BatchSizes::Only(_), _) if !has_rows => Err(failed(
            "option `allowed_batch_sizes` needs a model whose inputs and outputs all start with the \
             same dynamic dimension; leave it out"
                .to_owned(),
        )),
        (BatchSizes::Only(sizes), _) => Ok(Some(SizeChoice {
            sizes: sizes.clone(),
            reason: format!("; batches run at {} rows, as configured", listed(sizes)),
        })),
        (BatchSizes::Auto, Some(_)) if !has_rows || varies_beyond_rows(input.signature) => Ok(None),
        (BatchSizes::Auto, Some(max_rows)) => {
            let cost = cost().filter(ChangeCost::is_expensive);
            Ok(cost.map(|cost| {
                let sizes = affordable(max_rows.get(), input.n_bytes, input.n_sessions);
                let reason = format!(
                    "; batches run at {} rows, because a run of a different size than the last \
                     takes {} ms instead of {}",
                    listed(&sizes),
                    cost.changed.as_millis(),
                    cost.steady.as_millis()
                );
                SizeChoice { sizes, reason }
            }))
        }
    }
}

/// Returns the sizes for batches of at most `max_rows` for which `n_sessions` copies of `n_bytes`
/// fit into memory: all of them, the two that matter most, or single rows.
fn affordable(max_rows: usize, n_bytes: u64, n_sessions: usize) -> Vec<usize> {
    let powers = iter::successors(Some(1), |size: &usize| size.checked_mul(STEP));
    let mut all: Vec<_> = powers.take_while(|size| *size < max_rows).collect();
    all.push(max_rows);
    let fits = |sizes: &Vec<usize>| {
        let n_copies = u64::try_from(sizes.len() * n_sessions).unwrap_or(u64::MAX);
        n_bytes.saturating_mul(n_copies) <= MAX_COPIES_BYTES
    };
    let few = vec![1, max_rows];
    [all, few].into_iter().find(fits).unwrap_or_else(|| vec![1])
}

fn listed(sizes: &[usize]) -> String {
    let words: Vec<_> = sizes.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// One session for each allowed size, ascending.
#[derive(Debug)]
pub(super) struct Buckets(Vec<(usize, OnnxSession)>);

impl Buckets {
    /// Opens a session for each of the ascending sizes and runs it once.
    pub(super) fn open(
        sizes: &[usize],
        signature: &Signature,
        next: &mut impl FnMut() -> Result<OnnxSession>,
    ) -> Result<Self> {
        let mut sessions = Vec::with_capacity(sizes.len());
        for &size in sizes {
            let session = next().map_err(|error| {
                error.in_context(format_args!(
                    "session for batches of {size} rows; fewer `allowed_batch_sizes` take less memory"
                ))
            })?;
            calibration::run_once(&session, signature, size);
            sessions.push((size, session));
        }
        Ok(Self(sessions))
    }

    /// Runs at most as many rows as the largest size has.
    fn run_padded(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        let n_rows = n_rows(inputs);
        let bucket = self.0.iter_mut().find(|(size, _)| *size >= n_rows);
        let Some((size, session)) = bucket else {
            return Err(Error::internal(format!("no session for {n_rows} rows")));
        };
        if *size == n_rows {
            return session.run(inputs, outputs);
        }
        let padded = map_present(inputs, |tensor| tensor.padded_rows(*size))?;
        let tensors = session.run(&padded, outputs)?;
        tensors
            .iter()
            .map(|tensor| tensor.slice_rows(0, n_rows))
            .collect()
    }

    /// Runs more rows than the largest size has, in parts.
    fn run_parts(
        &mut self,
        inputs: &[Option<Tensor>],
        outputs: &[usize],
        largest: usize,
    ) -> Result<Vec<Tensor>> {
        let n_rows = n_rows(inputs);
        let mut parts: Vec<Vec<Tensor>> = Vec::new();
        for start in (0..n_rows).step_by(largest) {
            let n = largest.min(n_rows - start);
            let part = map_present(inputs, |tensor| tensor.slice_rows(start, n))?;
            parts.push(self.run_padded(&part, outputs)?);
        }
        let joined = |output| {
            let tensors: Vec<_> = parts.iter().filter_map(|part| part.get(output)).collect();
            Tensor::concat_rows(&tensors)
        };
        (0..outputs.len()).map(joined).collect()
    }
}

impl Session for Buckets {
    fn run(&mut self, inputs: &[Option<Tensor>], outputs: &[usize]) -> Result<Vec<Tensor>> {
        match self.0.last() {
            Some((largest, _)) if n_rows(inputs) > *largest => {
                let largest = *largest;
                self.run_parts(inputs, outputs, largest)
            }
            Some(_) | None => self.run_padded(inputs, outputs),
        }
    }

    fn terminator(&self) -> Option<Arc<dyn Terminate>> {
        let sessions = self.0.iter();
        let map_present = sessions.filter_map(|(_, session)| session.terminator());
        Some(Arc::new(EachBucket(map_present.collect())))
    }
}

/// Handle that ends the run of every session; one run may use several.
#[derive(Debug)]
struct EachBucket(Vec<Arc<dyn Terminate>>);

impl Terminate for EachBucket {
    fn terminate(&self) {
        self.0.iter().for_each(|session| session.terminate());
    }

    fn reset(&self) {
        self.0.iter().for_each(|session| session.reset());
    }
}

/// Maps the inputs that are present.
fn map_present(
    inputs: &[Option<Tensor>],
    change: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Vec<Option<Tensor>>> {
    let changed = |input: &Option<Tensor>| input.as_ref().map(&change).transpose();
    inputs.iter().map(changed).collect()
}

/// Returns the rows of a batch, which all inputs share.
fn n_rows(inputs: &[Option<Tensor>]) -> usize {
    inputs.iter().flatten().next().map_or(1, Tensor::n_rows)
}

#[cfg(test)]
mod tests;
