//! What an instance answers, as commands print it for people. What others named in it has to be plain already: no word may be one
//! that a terminal obeys.

mod backends;
mod cache;
mod moves;
mod providers;
mod repair;
mod status;
mod why;

pub use backends::{backends, difference};
pub use cache::cache;
pub use moves::moved;
pub use providers::{providers, steps};
pub use repair::repair;
pub use status::status;
pub use why::why;
