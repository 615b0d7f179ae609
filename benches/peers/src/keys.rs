//! Distinct pseudorandom keys.

use crate::table::Table;
use std::fmt::Display;
use std::hash::Hash;
use tollgate::Key;

/// A kind of keys: numbers or texts.
pub trait KeyKind: Clone + Display + Eq + Hash + Send + Sync + 'static {
    /// The name in reports and in the arguments of child processes.
    const NAME: &'static str;

    /// A number of keys in words, such as `1,000 number keys`.
    fn many(count: usize) -> String {
        let name = if count == 1 { Self::NAME.replace("keys", "key") } else { Self::NAME.into() };
        format!("{} {name}", Table::number(Some(count as f64), 0))
    }

    /// The key with this index. Different indices have different keys.
    fn of(index: u64) -> Self;

    /// The key as an argument of this project's limiter.
    fn borrowed(&self) -> Key<'_>;

    /// The key as bytes.
    fn bytes(&self) -> impl AsRef<[u8]>;
}

/// The fastest keys: eight bytes, stored inside the maps.
impl KeyKind for u64 {
    const NAME: &'static str = "number keys";

    fn of(index: u64) -> Self {
        key(index)
    }

    #[inline]
    fn borrowed(&self) -> Key<'_> {
        (*self).into()
    }

    #[inline]
    fn bytes(&self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

/// Texts of sixteen hexadecimal digits, like tokens. governor takes a reference to the existing `String`,
/// so that no call copies it.
impl KeyKind for String {
    const NAME: &'static str = "text keys of 16 letters";

    fn of(index: u64) -> Self {
        format!("{:016x}", key(index))
    }

    #[inline]
    fn borrowed(&self) -> Key<'_> {
        self.as_str().into()
    }

    #[inline]
    fn bytes(&self) -> impl AsRef<[u8]> {
        self.as_bytes()
    }
}

/// The number key with this index: a number of the SplitMix64 sequence. Different indices have different
/// keys.
#[inline]
pub fn key(index: u64) -> u64 {
    let mut bits = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_of_keys_are_in_words() {
        assert_eq!(u64::many(1), "1 number key");
        assert_eq!(String::many(1_000_000), "1,000,000 text keys of 16 letters");
        assert_eq!(String::of(7).len(), 16);
    }

    #[test]
    fn keys_are_distinct() {
        let keys: HashSet<u64> = (0..100_000).map(key).collect();
        assert_eq!(keys.len(), 100_000);
    }
}
