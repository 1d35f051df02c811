//! The OpenAPI document, and a page that shows it.
//!
//! Decision: the document follows the models that are served, so it is built from the repository on
//! request, and cached until another set of versions is ready.

mod openapi;
mod page;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use bytes::Bytes;
use contract::{Catalog, Error, RequestId, Result, SharedModelInfo, VersionState, VersionStatus};
use http::{HeaderValue, header};

use crate::context::Context;
use crate::rest::{self, Reply};

/// `/openapi.json` and `/docs`.
pub(crate) fn routes(ctx: &Arc<Context>) -> Router {
    let latest = Arc::new(DocumentCache::default());
    let document = rest::handler::<Documentation, _, _>(ctx, move |ctx, _| {
        let latest = Arc::clone(&latest);
        async move { latest.reply(&ctx) }
    });
    let page = rest::handler::<Documentation, _, _>(ctx, |ctx, _| async move {
        Ok(page::index(&ctx.server.version))
    });
    let file =
        rest::handler::<Documentation, _, _>(ctx, |_, call| async move { page::file(&call) });
    Router::new()
        .route("/openapi.json", get(document))
        // Relative, so that it also works behind a proxy that adds a prefix.
        .route("/docs", get(|| async { Redirect::permanent("docs/") }))
        .route("/docs/", get(page))
        .route("/docs/{file}", get(file))
}

/// The dialect of the documentation: errors as in the simple JSON API, metrics of its own.
pub(crate) struct Documentation;

impl rest::Dialect for Documentation {
    const NAME: &'static str = "documentation";

    fn encode_error(error: &Error, id: &RequestId) -> Vec<u8> {
        rest::native_error(error, id)
    }
}

/// The last document that was built.
#[derive(Default)]
struct DocumentCache(ArcSwapOption<CachedDocument>);

/// A document, and the versions that it describes.
struct CachedDocument {
    ready: Vec<ReadyVersion>,
    json: Bytes,
}

/// A version that the document describes.
struct ReadyVersion {
    info: SharedModelInfo,
    /// Set when it answers requests that name no version.
    is_latest: bool,
}

impl DocumentCache {
    fn reply(&self, ctx: &Context) -> Result<Reply> {
        let json = self.json(ready_versions(&*ctx.catalog), &ctx.server.version)?;
        let mut reply = Reply::json(json);
        let fresh = HeaderValue::from_static("no-cache");
        reply.headers.push((header::CACHE_CONTROL, fresh));
        Ok(reply)
    }

    /// Returns the cached document, or builds it. Two callers at once may both build; both
    /// documents are right.
    fn json(&self, ready: Vec<ReadyVersion>, server_version: &str) -> Result<Bytes> {
        if let Some(built) = self
            .0
            .load()
            .as_ref()
            .filter(|built| built.describes(&ready))
        {
            return Ok(built.json.clone());
        }
        let document = openapi::document(&ready, server_version);
        let json = serde_json::to_vec(&document)
            .map_err(|error| Error::internal(format!("openapi document: {error}")))?;
        let json = Bytes::from(json);
        self.0.store(Some(Arc::new(CachedDocument {
            ready,
            json: json.clone(),
        })));
        Ok(json)
    }
}

impl CachedDocument {
    /// Compares identities: a version that was loaded again may have another signature.
    fn describes(&self, ready: &[ReadyVersion]) -> bool {
        self.ready.len() == ready.len()
            && self
                .ready
                .iter()
                .zip(ready)
                .all(|(known, now)| known.is_same(now))
    }
}

impl ReadyVersion {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.info, &other.info) && self.is_latest == other.is_latest
    }
}

/// Returns the ready versions by model, and by version in ascending order.
fn ready_versions(catalog: &dyn Catalog) -> Vec<ReadyVersion> {
    let mut ready = Vec::new();
    for model in catalog.models() {
        let latest = model.latest().map(|status| &status.version);
        let is_ready = |status: &&VersionStatus| status.state == VersionState::Ready;
        ready.extend(model.versions.iter().filter(is_ready).filter_map(|status| {
            Some(ReadyVersion {
                info: Arc::clone(status.info.as_ref()?),
                is_latest: latest == Some(&status.version),
            })
        }));
    }
    ready
}

#[cfg(test)]
mod tests;
