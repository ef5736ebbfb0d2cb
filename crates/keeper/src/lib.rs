//! debridfs-keeper.
