//! Configuration: reads the settings of the user and resolves them.
//!
//! Decision: one struct of optional values, [`RawConfig`], describes the file, the flags and the
//! environment at once, so a setting has one name in all three. Layers are merged key by key, with
//! the source of each value; [`resolve()`] turns the result into a [`Config`] of checked types.

mod environment;
mod layers;
mod log_level;
mod raw;
mod resolve;

pub(crate) use environment::Environment;
pub(crate) use layers::Layers;
pub(crate) use raw::RawConfig;
pub(crate) use resolve::{Config, LogFormat, resolve};

/// The commented default file, which is the reference of all settings.
pub(crate) const DEFAULT_FILE: &str = include_str!("config/default.yaml");
