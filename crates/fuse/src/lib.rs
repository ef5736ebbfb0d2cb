//! debridfs-fuse.
