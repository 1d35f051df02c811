//! The dialects of a listener, and the dialect of a path.
//!
//! Decision: a path belongs to one dialect by its first segment, whatever the headers say, so that
//! a caller cannot choose by a header how its call is judged. A test compares this rule with the
//! routes of every dialect.

use std::sync::Arc;

use axum::Router;

use super::metrics;
use crate::context::Context;
use crate::open_inference::{grpc, rest as open_inference};
use crate::{admin, documentation, native};

/// A group of routes that a listener serves or does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialectId {
    /// The simple JSON API: predictions, feedback and models.
    Native,
    /// The Open Inference Protocol over REST, under `/v2`.
    OpenInference,
    /// All gRPC services.
    Grpc,
    /// The routes of operators, under `/api`.
    Admin,
    /// `/openapi.json` and `/docs`.
    Documentation,
    /// `/metrics`.
    Metrics,
    /// The health of the server, and the readiness of its models.
    Health,
}

impl DialectId {
    /// Every dialect.
    pub(super) const ALL: [Self; 7] = [
        Self::Native,
        Self::OpenInference,
        Self::Grpc,
        Self::Admin,
        Self::Documentation,
        Self::Metrics,
        Self::Health,
    ];

    /// Returns the dialect that has the route of `path`, or whose error replies to a path without
    /// one.
    pub(super) fn of_path(path: &str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (first, rest) = match path.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        match (first, rest) {
            ("v2", _) => Self::OpenInference,
            ("api", _) => Self::Admin,
            ("docs" | "openapi.json", _) => Self::Documentation,
            ("metrics", _) => Self::Metrics,
            ("health", _) => Self::Health,
            ("models", Some(rest)) if is_readiness(rest) => Self::Health,
            // `/package.Service/Method`.
            (service, Some(_)) if service.contains('.') => Self::Grpc,
            _ => Self::Native,
        }
    }

    /// Returns the routes of the dialect.
    pub(super) fn routes(self, ctx: &Arc<Context>) -> Router {
        match self {
            Self::Native => native::routes(ctx),
            Self::OpenInference => open_inference::routes(ctx),
            Self::Grpc => grpc::routes(ctx),
            Self::Admin => admin::routes(ctx).merge(native::routes_under_api(ctx)),
            Self::Documentation => documentation::routes(ctx),
            Self::Metrics => metrics::routes(ctx),
            Self::Health => native::checks(ctx),
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Returns whether `/models/` and `rest` is the path `/models/{model}/ready`.
fn is_readiness(rest: &str) -> bool {
    rest.split_once('/')
        .is_some_and(|(_, action)| action == "ready")
}

/// The set of dialects of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialects(u8);

impl Dialects {
    /// Every dialect, REST and gRPC, and the metrics.
    pub const ALL: Self = Self::new(&DialectId::ALL);
    /// gRPC alone.
    pub const GRPC: Self = Self::new(&[DialectId::Grpc]);
    /// The metrics and the health, nothing that accepts work.
    pub const METRICS: Self = Self::new(&[DialectId::Metrics, DialectId::Health]);

    /// Returns the set of these dialects.
    #[must_use]
    pub const fn new(dialects: &[DialectId]) -> Self {
        match dialects {
            [] => Self(0),
            [first, rest @ ..] => Self(Self::new(rest).0 | first.bit()),
        }
    }

    /// Returns whether the set has `dialect`.
    #[must_use]
    pub const fn contains(self, dialect: DialectId) -> bool {
        self.0 & dialect.bit() != 0
    }

    /// Returns the routes of all dialects of the set.
    pub(super) fn routes(self, ctx: &Arc<Context>) -> Router {
        let dialects = DialectId::ALL.into_iter();
        dialects
            .filter(|dialect| self.contains(*dialect))
            .fold(Router::new(), |router, dialect| {
                router.merge(dialect.routes(ctx))
            })
    }
}
