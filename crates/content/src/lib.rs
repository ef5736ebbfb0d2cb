//! Bytes of files: the life of a link, ranged fetches, read-ahead, one byte budget, and the deadline of every read.
#![forbid(unsafe_code)]
