//! Reproducible pseudo-random numbers and the vendor's 13-character ids.

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit changes every output bit.
#[inline(always)]
pub(crate) const fn mix(value: u64) -> u64 {
    let mut z = value;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 2^64 divided by the golden ratio: SplitMix64's step.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A 64-bit hash of several byte strings, each closed so that their borders matter.
pub(crate) fn hash_parts(parts: &[&[u8]]) -> u64 {
    let mut state = STEP;
    for part in parts {
        for chunk in part.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            state = mix(state.wrapping_add(STEP) ^ u64::from_le_bytes(word));
        }
        state = mix(state.wrapping_add(part.len() as u64 + 1));
    }
    state
}

/// A stream of numbers from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// The vendor's ids of torrents, links and downloads: 13 capitals and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id13([u8; 13]);

impl Id13 {
    pub(crate) fn from_number(number: u64) -> Self {
        const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let mut random = Random(number);
        Self(std::array::from_fn(|_| *random.pick(LETTERS)))
    }

    /// The first 13 characters of `text`, if there are so many and all are letters or digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let first: &[u8; 13] = text.as_bytes().first_chunk()?;
        first
            .iter()
            .all(u8::is_ascii_alphanumeric)
            .then_some(Self(*first))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII letters and digits are ever stored")
    }
}

impl std::fmt::Display for Id13 {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

impl std::fmt::Debug for Id13 {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

impl serde::Serialize for Id13 {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}
