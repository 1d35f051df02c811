//! `POST /api/compare`: runs the same inputs on several versions and reports the differences.
//!
//! Decision: the inputs are those of `/predict`, or recorded from the next requests. They take the
//! same path as every request, at the lowest priority, so that the measurement shows what callers
//! get and callers go first. It is refused unless model control is on, since it costs computing
//! time.

mod body;
mod reply;
mod run;

use std::sync::Arc;
use std::time::SystemTime;

use contract::{Code, Error, ModelName, NamedTensor, Result, Route, Target, VersionSelector};
use stats::comparison::ReportBuilder;

use self::body::{CompareBody, Recorded, Source};
use self::run::ComparisonRun;
use crate::context::Context;
use crate::native::PredictBody;
use crate::offload::offload;
use crate::rest::{Call, Reply};
use crate::tensor_json::JsonLimits;

/// The inputs of one item for one version, and their number of rows.
#[derive(Clone, Debug)]
struct Inputs {
    tensors: Vec<NamedTensor>,
    n_rows: usize,
}

/// Handles `POST /api/compare`.
pub(super) async fn compare(ctx: Arc<Context>, call: Call) -> Result<Reply> {
    ctx.check_control()?;
    let body = CompareBody::read(&call)?;
    let routes = routes(&ctx, &body)?;
    let items = match &body.source {
        Source::Items(items) => offload(call.body.len(), || decode_items(items, &routes, &ctx))?,
        Source::Recorded(recording_limits) => same_inputs(
            &record_items(&ctx, &body.model, recording_limits).await?,
            &routes,
        ),
    };
    check_labels(&body.labels, &items)?;
    let class_names = routes.iter().map(|route| route.info.labels.clone());
    let run = ComparisonRun {
        ctx: &ctx,
        routes: &routes,
        items: &items,
        labels: &body.labels,
        seed: body.seed,
        deadline: call.deadline,
    };
    let mut tally = ReportBuilder::new(class_names.collect(), body.tolerance);
    run.run_sequentially(&mut tally).await?;
    let throughput = run.run_concurrently(body.concurrency).await?;
    let now = SystemTime::now();
    let report = reply::build(&body, &routes, &tally.finish(), &throughput, now);
    Reply::serialized(&report)
}

/// Returns routes to the versions, which keep them loaded until the end.
fn routes(ctx: &Context, body: &CompareBody<'_>) -> Result<Vec<Route>> {
    let route = |version: &String| {
        ctx.infer.route(&Target {
            model: Some(body.model.clone()),
            version: VersionSelector::parse(Some(version)),
        })
    };
    let routes = body.versions.iter().map(route);
    routes.collect()
}

/// Decodes every item for every version, since their signatures may differ.
fn decode_items(items: &[&[u8]], routes: &[Route], ctx: &Context) -> Result<Vec<Vec<Inputs>>> {
    let mut limits = JsonLimits::from(&ctx.limits);
    let mut read = Vec::with_capacity(items.len());
    for (index, json) in items.iter().enumerate() {
        let mut versions = Vec::with_capacity(routes.len());
        for route in routes {
            let tensors = PredictBody::read(json, &limits)
                .and_then(|body| body.into_inputs(&route.info, &limits))
                .map_err(|error| error.in_context(format_args!("`items[{index}]`")))?;
            versions.push(inputs(tensors, route));
        }
        let n_elements = versions.iter().flat_map(|version| &version.tensors);
        let n_elements: usize = n_elements.map(|input| input.tensor.n_elements()).sum();
        // Each version has elements of its own, and all of them are in memory at once.
        limits.elements = limits
            .elements
            .saturating_sub(n_elements / routes.len().max(1));
        read.push(versions);
    }
    Ok(read)
}

/// Records the inputs of the next requests.
async fn record_items(
    ctx: &Context,
    model: &ModelName,
    recording_limits: &Recorded,
) -> Result<Vec<Vec<NamedTensor>>> {
    let recording =
        ctx.recorder
            .record(model, recording_limits.n_requests, recording_limits.timeout);
    let recorded = recording.await?;
    match recorded.is_empty() {
        false => Ok(recorded),
        true => Err(Error::new(
            Code::DeadlineExceeded,
            format!(
                "no request for `{model}` came within {} s; raise `timeout_s`, or send \
                 `items`",
                recording_limits.timeout.as_secs_f64()
            ),
        )),
    }
}

/// Gives every version the same inputs.
fn same_inputs(items: &[Vec<NamedTensor>], routes: &[Route]) -> Vec<Vec<Inputs>> {
    let versions = |tensors: &Vec<NamedTensor>| {
        let versions = routes.iter().map(|route| inputs(tensors.clone(), route));
        versions.collect()
    };
    items.iter().map(versions).collect()
}

fn inputs(tensors: Vec<NamedTensor>, route: &Route) -> Inputs {
    let first = tensors
        .first()
        .filter(|_| route.info.max_request_rows.is_some());
    Inputs {
        n_rows: first.map_or(1, |input| input.tensor.n_rows()),
        tensors,
    }
}

/// Checks that labels are given for every row, or not at all.
fn check_labels(labels: &[Vec<String>], items: &[Vec<Inputs>]) -> Result<()> {
    if !labels.is_empty() && labels.len() != items.len() {
        return Err(Error::invalid(format!(
            "`labels`: expected one entry for each of the {} items, got {}",
            items.len(),
            labels.len()
        )));
    }
    for (index, (labels, item)) in labels.iter().zip(items).enumerate() {
        let n_rows = item.first().map_or(1, |inputs| inputs.n_rows);
        if labels.len() != n_rows {
            return Err(Error::invalid(format!(
                "`labels[{index}]`: expected one label for each of the {n_rows} rows of the item, \
                 got {}",
                labels.len()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
