//! The simple JSON API: `/predict` and its family.
