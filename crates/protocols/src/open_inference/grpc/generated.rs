//! The messages and skeletons that `cargo xtask codegen` writes from `proto/`.
//!
//! Decision: they are included and not declared as modules, because a file is named after its
//! package, dots included, and so that no formatter changes them.

#![expect(
    clippy::allow_attributes_without_reason,
    clippy::enum_variant_names,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "generated code is checked against its source, not for style"
)]

/// Package `inference`.
pub(crate) mod inference {
    include!("generated/inference.rs");

    /// Package `inference.model_repository`.
    pub(crate) mod model_repository {
        include!("generated/inference.model_repository.rs");
    }
}

/// The compiled `.proto` files, for server reflection.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
