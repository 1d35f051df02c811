//! `Lifecycle`: loads and unloads models.

use std::fmt;

use crate::error::Result;
use crate::infer::BoxFuture;
use crate::model::ModelName;

crate::named_enum! {
    /// Treatment of a version that is added to a model which already serves one.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum NewVersions {
        /// The highest version answers by default as soon as it is ready.
        #[default]
        Serve = "serve",
        /// It answers when asked for by version, and by default only once it was pinned or has won
        /// a rollout.
        Wait = "wait",
    }
    /// Returns its name in settings.
    fn as_str
}

/// Loads and unloads models. May be called from many tasks at once.
pub trait Lifecycle: Send + Sync + fmt::Debug {
    /// Reads the folder of a model again and loads the versions that its settings select; returns
    /// when they serve. A model that is unchanged and ready stays as it is.
    ///
    /// # Errors
    /// `model_not_found`, or the reason why a version failed to load; versions that served before
    /// go on.
    fn load<'a>(&'a self, name: &'a ModelName) -> BoxFuture<'a, Result<()>>;

    /// Stops serving a model; accepted requests are answered. Returns at once.
    ///
    /// # Errors
    /// `model_not_found` when it was never served.
    fn unload<'a>(&'a self, name: &'a ModelName) -> BoxFuture<'a, Result<()>>;
}
