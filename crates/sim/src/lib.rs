#![forbid(unsafe_code)]
//! Placeholder of debridfs-sim.
