//! The pages over real HTTP, with a library, a queue and a log that are made up.

mod doors;
mod site;
mod views;
