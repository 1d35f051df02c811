//! Configuration: what the user wrote, and what we will do.
//!
//! Decision: one struct of optional values, [`RawConfig`], is the file, the flags and the environment
//! at once, so a setting has one name in all three. Layers are merged key by key, with a note of
//! where each value came from; [`resolve()`] turns the result into a [`Config`] of checked types.

mod environment;
mod layers;
mod log_level;
mod raw;
mod resolve;

pub(crate) use environment::Environment;
pub(crate) use layers::Layers;
pub(crate) use raw::RawConfig;
pub(crate) use resolve::{Config, LogFormat, resolve};

/// The commented default file: the reference manual of all settings.
pub(crate) const DEFAULT_FILE: &str = include_str!("config/default.yaml");
