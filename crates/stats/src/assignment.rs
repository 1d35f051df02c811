//! Assignment of units to the arms of a traffic split.

pub mod hash;
mod split;

pub use split::Assigner;
