//! Answers of the library of any kind, to be given again.

use debridfs_vfs::{Attr, DirEntry, ReadOut, Result, StatFs};

/// An answer of the library.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    Attr(Result<Attr>),
    Handle(Result<u64>),
    Read(Result<ReadOut>),
    Lines(Result<Vec<DirEntry>>),
    Value(Result<Vec<u8>>),
    Names(Result<Vec<String>>),
    StatFs(StatFs),
    Root(Attr),
    /// To a release there is none.
    Nothing,
}

/// A kind of answer that can fail.
pub(crate) trait Kind: Sized + Clone + Send + 'static {
    fn give(answer: Result<Self>) -> Given;
    /// `None`: it is an answer of another kind.
    fn of(given: &Given) -> Option<&Result<Self>>;
}

macro_rules! kinds {
    ($($kind:ty => $variant:ident),* $(,)?) => {$(
        impl Kind for $kind {
            fn give(answer: Result<Self>) -> Given {
                Given::$variant(answer)
            }

            fn of(given: &Given) -> Option<&Result<Self>> {
                match given {
                    Given::$variant(answer) => Some(answer),
                    _ => None,
                }
            }
        }
    )*};
}

kinds! {
    Attr => Attr,
    u64 => Handle,
    ReadOut => Read,
    Vec<DirEntry> => Lines,
    Vec<u8> => Value,
    Vec<String> => Names,
}
