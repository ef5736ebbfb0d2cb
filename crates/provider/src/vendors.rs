//! One folder per vendor.

pub mod real_debrid;
