//! Batch invariance: a request gets the same answer in a batch as alone.
//!
//! Shapes cannot show it. A dynamic first dimension may be a length, as in attention over a
//! sequence, or rows may be combined in a sum, a maximum or a scale of quantisation.
//!
//! Input: a session, its signature and made-up inputs. Rule: a trial makes requests of different
//! magnitude and numbers of rows, runs each alone twice, and then joins them three times: in one
//! order, with the neighbours of one request exchanged for others of the same size, and in another
//! order. Every output must have the rows of the input. An answer that differs from its own
//! repetition is random, and not judged. Other neighbours may not change a request beyond the
//! rounding of equal instructions; another batch size or position may not change it beyond that of
//! other kernels; `batch/agreement.rs` has the tolerances. A trial counts when some output depends
//! on the inputs. A model is proven when all trials that could be run agree, and at least one
//! counts.
//! Cold start: sizes and ranges of values that the model accepts are found by trying.
//! Cost: trials start within [`BUDGET`]; a slow model gets one trial of 15 rows in 7 runs.
//! Rejected: reading the graph, which shows little about custom operators and functions, and
//! nothing about the optimizations of a runtime.

mod made_up;

use std::num::NonZeroUsize;
use std::time::Duration;

use contract::{Code, Error, Result, Session, Signature, Tensor};
use tokio::time::Instant;
use tracing::dispatcher::{self, Dispatch};

use super::settings::Warmup;
use crate::batch::agreement::{Difference, Flips, OTHER_SIZE, SAME_SIZE, Tolerance, difference};
use crate::batch::join::join_inputs;
use made_up::{Family, Maker, families, sizes};

/// The time within which trials start: callers do not wait for a version that replaces another.
const BUDGET: Duration = Duration::from_secs(1);

/// Rows of the requests of a trial, and those for models whose runs are long.
const FULL_TRIAL: [usize; 3] = [1, 2, 3];
const SHORT_TRIAL: [usize; 2] = [1, 2];

/// Rows that a full trial runs in all, by which its time is predicted.
const FULL_TRIAL_ROWS: u32 = 30;

/// Result of the trials of a model whose requests are to be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invariance {
    /// Requests got the same answers joined as alone.
    Proven,
    /// A request got another answer.
    Disproved {
        /// The name of the output.
        output: String,
        /// The position and the values, or the shape.
        detail: String,
    },
    /// A request got another answer when it was repeated alone.
    Nondeterministic {
        /// The name of the output.
        output: String,
    },
    /// Made-up inputs show nothing.
    Unprovable {
        /// The message of the runtime, or the cause.
        reason: String,
    },
}

/// The early end of a trial.
#[derive(Debug)]
enum Stop {
    /// The session is lost.
    Lost(Error),
    /// A run failed, as it may with made-up inputs.
    Failed(Error),
    /// The trial decided the question.
    Decided(Invariance),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error.code() == Code::EngineLost {
            true => Self::Lost(error),
            false => Self::Failed(error),
        }
    }
}

/// Tests whether requests of a model may be joined. `max_rows` are the most rows of a batch.
///
/// # Errors
/// `engine_lost` when the session is lost.
pub(crate) fn prove(
    signature: &Signature,
    warmup: &Warmup,
    max_rows: NonZeroUsize,
    session: &mut dyn Session,
) -> Result<Invariance> {
    let mut prover = Prover {
        signature,
        max_rows: max_rows.get(),
        outputs: (0..signature.outputs.len()).collect(),
        session,
        flips: Flips::default(),
    };
    // Failures are expected here, and the runtime would log an error for each of them.
    dispatcher::with_default(&Dispatch::none(), || prover.search(warmup))
}

struct Prover<'a> {
    signature: &'a Signature,
    max_rows: usize,
    outputs: Vec<usize>,
    session: &'a mut dyn Session,
    flips: Flips,
}

/// A request of a trial and its answer alone.
struct Alone {
    inputs: Vec<Option<Tensor>>,
    n_rows: usize,
    outputs: Vec<Tensor>,
}

impl Prover<'_> {
    fn search(&mut self, warmup: &Warmup) -> Result<Invariance> {
        let started = Instant::now();
        let (mut is_telling, mut n_trials, mut first_error) = (false, 0, None);
        for &size in sizes(self.signature, warmup) {
            for family in families() {
                if n_trials > 0 && started.elapsed() >= BUDGET {
                    return Ok(verdict(is_telling, first_error));
                }
                n_trials += 1;
                match self.trial(warmup, size, family, n_trials) {
                    Ok(depends_on_inputs) => is_telling |= depends_on_inputs,
                    Err(Stop::Decided(invariance)) => return Ok(invariance),
                    Err(Stop::Lost(error)) => return Err(error),
                    Err(Stop::Failed(error)) => first_error = first_error.or(Some(error)),
                }
            }
            if is_telling {
                break;
            }
        }
        Ok(verdict(is_telling, first_error))
    }

    /// Runs one trial; returns whether any output depends on the inputs.
    fn trial(
        &mut self,
        warmup: &Warmup,
        size: usize,
        family: Family,
        trial: usize,
    ) -> Result<bool, Stop> {
        let maker = Maker {
            signature: self.signature,
            warmup,
            size,
            family,
            trial,
        };
        if !maker.fits(FULL_TRIAL.iter().sum()) {
            return Err(Error::invalid("its inputs are too large for a trial").into());
        }
        let (mut alone, mut is_steady) = (Vec::new(), true);
        let started = Instant::now();
        let mut rows = self.affordable(&FULL_TRIAL);
        for request in 0..rows.len() {
            let Some(&n_rows) = rows.get(request) else {
                break;
            };
            let (answer, repeats) = self.alone(maker.request(request, n_rows)?, n_rows)?;
            is_steady &= repeats;
            alone.push(answer);
            if request == 0 && started.elapsed() / 2 * FULL_TRIAL_ROWS > BUDGET {
                rows = self.affordable(&SHORT_TRIAL);
            }
        }
        self.compare(&maker, &alone, is_steady)?;
        Ok(alone
            .iter()
            .any(|first| alone.iter().any(|other| depends(first, other))))
    }

    /// Returns the rows of the requests of a trial that fit into one batch.
    fn affordable(&self, rows: &[usize]) -> Vec<usize> {
        match (rows.iter().sum::<usize>() <= self.max_rows, self.max_rows) {
            (true, _) => rows.to_vec(),
            (false, 0..3) => vec![1, 1],
            (false, _) => SHORT_TRIAL.to_vec(),
        }
    }

    /// Runs a request alone, twice; returns whether both answers are the same to the last digit.
    fn alone(&mut self, inputs: Vec<Option<Tensor>>, n_rows: usize) -> Result<(Alone, bool), Stop> {
        let outputs = self.run(&inputs, n_rows)?;
        let repeated = self.run(&inputs, n_rows)?;
        if let Some(Difference { output, .. }) = difference(&outputs, &repeated, OTHER_SIZE, None) {
            let output = self.name(output);
            return Err(Stop::Decided(Invariance::Nondeterministic { output }));
        }
        let repeats = difference(&outputs, &repeated, SAME_SIZE, None).is_none();
        let alone = Alone {
            inputs,
            n_rows,
            outputs,
        };
        Ok((alone, repeats))
    }

    /// Joins the requests with different neighbours and positions, and compares the answers.
    fn compare(&mut self, maker: &Maker<'_>, alone: &[Alone], is_steady: bool) -> Result<(), Stop> {
        let in_order: Vec<_> = (0..alone.len()).collect();
        let joined = self.join(alone, &in_order).map_err(fails_together)?;
        self.check_joined(alone, &in_order, &joined)?;

        // The neighbours of the second request are exchanged, and nothing else.
        let mut others = Vec::new();
        for (place, request) in alone.iter().enumerate() {
            let inputs = match place == 1 {
                true => request.inputs.clone(),
                false => maker.request(place + alone.len(), request.n_rows)?,
            };
            let (n_rows, outputs) = (request.n_rows, Vec::new());
            others.push(Alone {
                inputs,
                n_rows,
                outputs,
            });
        }
        let exchanged = self.join(&others, &in_order)?;
        if let (Some(before), Some(after)) = (joined.get(1), exchanged.get(1)) {
            let tolerance = if is_steady { SAME_SIZE } else { OTHER_SIZE };
            self.check(before, after, tolerance, is_steady)?;
        }

        let mut rotated = in_order;
        rotated.rotate_right(1);
        let joined = self.join(alone, &rotated).map_err(fails_together)?;
        self.check_joined(alone, &rotated, &joined)?;
        match self.flips.excess().cloned() {
            Some(found) => Err(self.disproved(found)),
            None => Ok(()),
        }
    }

    fn check_joined(
        &mut self,
        alone: &[Alone],
        order: &[usize],
        joined: &[Vec<Tensor>],
    ) -> Result<(), Stop> {
        for (&request, joined) in order.iter().zip(joined) {
            if let Some(request) = alone.get(request) {
                self.check(&request.outputs, joined, OTHER_SIZE, false)?;
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        alone: &[Tensor],
        joined: &[Tensor],
        tolerance: Tolerance,
        is_exact: bool,
    ) -> Result<(), Stop> {
        let flips = (!is_exact).then_some(&mut self.flips);
        match difference(alone, joined, tolerance, flips) {
            Some(found) => Err(self.disproved(found)),
            None => Ok(()),
        }
    }

    /// Runs the requests as one, in this order; returns the rows of each.
    fn join(&mut self, requests: &[Alone], order: &[usize]) -> Result<Vec<Vec<Tensor>>, Stop> {
        let requests: Vec<_> = order
            .iter()
            .filter_map(|&place| requests.get(place))
            .collect();
        let inputs: Vec<&[Option<Tensor>]> =
            requests.iter().map(|request| &*request.inputs).collect();
        let inputs = join_inputs(&inputs)?;
        let n_rows = requests.iter().map(|request| request.n_rows).sum();
        let outputs = self.run(&inputs, n_rows)?;
        let mut start = 0;
        let mut split = Vec::with_capacity(requests.len());
        for request in requests {
            let rows = outputs
                .iter()
                .map(|output| output.slice_rows(start, request.n_rows));
            split.push(rows.collect::<Result<Vec<_>>>()?);
            start += request.n_rows;
        }
        Ok(split)
    }

    /// Runs inputs, and checks that every output has their rows.
    fn run(&mut self, inputs: &[Option<Tensor>], n_rows: usize) -> Result<Vec<Tensor>, Stop> {
        let outputs = self.session.run(inputs, &self.outputs)?;
        for (place, output) in outputs.iter().enumerate() {
            if output.shape().dims().first() != Some(&n_rows) {
                let shape = output.shape();
                let detail = format!("its shape is {shape} for {n_rows} rows of input");
                let output = place;
                return Err(self.disproved(Difference { output, detail }));
            }
        }
        Ok(outputs)
    }

    fn disproved(&self, found: Difference) -> Stop {
        Stop::Decided(Invariance::Disproved {
            output: self.name(found.output),
            detail: found.detail,
        })
    }

    fn name(&self, output: usize) -> String {
        let spec = self.signature.outputs.get(output);
        spec.map(|spec| spec.name.clone()).unwrap_or_default()
    }
}

fn verdict(is_telling: bool, first_error: Option<Error>) -> Invariance {
    if is_telling {
        return Invariance::Proven;
    }
    let reason = match first_error {
        Some(error) => format!("the model cannot run made-up inputs: {}", sentence(&error)),
        None => "its outputs are the same for all made-up inputs".to_owned(),
    };
    Invariance::Unprovable { reason }
}

/// Converts the failure of a batch whose requests run alone into a result.
fn fails_together(stop: Stop) -> Stop {
    match stop {
        Stop::Failed(error) => {
            let reason = format!(
                "requests that run alone fail together: {}",
                sentence(&error)
            );
            Stop::Decided(Invariance::Unprovable { reason })
        }
        Stop::Lost(_) | Stop::Decided(_) => stop,
    }
}

/// Returns the message of the runtime, which names the node, or else that of the engine.
fn sentence(error: &Error) -> &str {
    error.diagnostic().unwrap_or_else(|| error.message())
}

/// Returns whether an output has different finite rows in two answers.
fn depends(one: &Alone, other: &Alone) -> bool {
    let row = |tensor: &Tensor| {
        let row = tensor.slice_rows(tensor.n_rows().checked_sub(1)?, 1).ok()?;
        let numbers = row.to_f64_vec();
        let is_finite = numbers.is_none_or(|row| row.iter().any(|number| number.is_finite()));
        is_finite.then(|| row.data().clone())
    };
    let mut pairs = one.outputs.iter().zip(&other.outputs);
    pairs.any(|(one, other)| {
        row(one)
            .zip(row(other))
            .is_some_and(|(one, other)| one != other)
    })
}

#[cfg(test)]
mod tests;
