//! The documents of the product: files that people write, and the reading of them.

pub mod yaml;
