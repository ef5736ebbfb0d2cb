//! The cache on disk: what was fetched once is read from there, after a restart and on another
//! machine as well.
//!
//! Each media file has one sparse file of data, and a side file that says which of its blocks are
//! there and what their sums are. The page cache of the kernel is the tier in memory: bytes in it
//! are answered on the thread that asks, without waiting. Nothing here can fail a read: whatever
//! goes wrong, the bytes come from the network.
//!
//! | question | where |
//! |---|---|
//! | what may be asked of the cache | `cache.rs`, by hand `by_hand.rs` |
//! | which files it knows, which parts of them, why | `file.rs`, `store.rs`, `entry/` |
//! | what a side file looks like | `map.rs` |
//! | who holds the directory, where files lie | `disk.rs` |
//! | how bodies become blocks, and what waits for the disk | `intake.rs` |
//! | who writes, who evicts, in which order | `writer.rs`, `order.rs` |
//! | when is it safe from a crash | `syncer.rs` |
//! | who reads when the page cache has it not | `readers.rs`, `pool.rs` |
//! | when is a disk passed by | `shared.rs` |
//! | which numbers decide, and whence they are | `tuning.rs` |
#![forbid(unsafe_code)]

mod by_hand;
mod cache;
mod config;
mod disk;
mod entry;
mod error;
mod file;
mod intake;
mod map;
mod order;
mod pool;
mod readers;
mod shared;
mod stats;
mod store;
mod syncer;
mod tuning;
mod writer;

pub use by_hand::Purged;
pub use cache::Cache;
pub use config::{CacheConfig, KeepFree};
pub use error::CacheError;
pub use file::{CacheClass, CachedFile, FileId, Supply};
pub use stats::CacheStats;
