//! The words and promises that every part of Lockgate shares.
