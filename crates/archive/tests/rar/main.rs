//! The reader of RAR headers: archives of other programs, archives made byte by byte, and arbitrary bytes.

mod archive;
mod damage;
mod foreign;
mod fuzz;
mod made;
