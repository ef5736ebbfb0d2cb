//! Who reads through a handle. Each reader has a share of the numbers, so that one never takes or
//! gives back another's memory and connections.

/// Bits of a handle that are its owner's to choose.
const NUMBER: u64 = (1 << 62) - 1;

/// Whose a handle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum HandleOwner {
    /// A file that a program opened through a front.
    Open = 0,
    /// A download that is probed or copied.
    Download = 1,
    /// A file that is read into the cache on demand.
    Warming = 2,
    /// An archive whose headers are read.
    Archive = 3,
}

impl HandleOwner {
    /// The owner's handle of this number, of which the lowest 62 bits count; never 0, which means no
    /// handle.
    pub const fn handle(self, number: u64) -> u64 {
        let handle = (self as u64) << 62 | number & NUMBER;
        if handle == 0 { 1 } else { handle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_never_share_a_handle() {
        use HandleOwner::{Archive, Download, Open, Warming};
        let owners = [Open, Download, Warming, Archive];
        for number in [0, 1, 7, NUMBER, NUMBER + 1, u64::MAX] {
            let mut handles = owners.map(|owner| owner.handle(number));
            assert!(handles.iter().all(|handle| *handle != 0));
            assert!(handles.is_sorted_by(|a, b| a < b), "{handles:?}");
            handles.reverse();
            assert!(handles[3] >> 62 == 0 && handles[0] >> 62 == 3);
        }
        assert_eq!(Open.handle(7), 7);
        assert_eq!(Warming.handle(7), (1 << 63) + 7);
    }
}
