//! Configuration: what the user wrote, and what we will do.
//!
//! Decision: one struct of optional values, [`Written`], is the file, the flags and the environment
//! at once, so a setting has one name in all three. Layers are merged key by key, with a note of
//! where each value came from; [`resolve()`] turns the result into a [`Config`] of checked types.

mod environment;
mod layers;
mod log_level;
mod resolve;
mod written;

pub(crate) use environment::Environment;
pub(crate) use layers::Layers;
pub(crate) use resolve::{Config, LogFormat, resolve};
pub(crate) use written::Written;

/// The commented default file: the reference manual of all settings.
pub(crate) const DEFAULT_FILE: &str = include_str!("config/default.yaml");
