//! Documents of the product: reading of the files that users write.

pub mod yaml;
