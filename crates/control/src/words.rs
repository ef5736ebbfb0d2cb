//! What an instance answers, as commands print it for people. What others named in it has to be plain already: no word may be one
//! that a terminal obeys.

mod providers;
mod status;
mod why;

pub use providers::{providers, steps};
pub use status::status;
pub use why::why;
