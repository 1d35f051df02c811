//! Hashes from a unit to a bucket.
//!
//! Rule: a unit is hashed as its UTF-8 bytes, unchanged, except that GrowthBook hashes UTF-16 code
//! units. The same unit gets the same bucket in every process and for ever, so nothing here may
//! change. Rejected: crates for FNV-1a and MurmurHash3, which are ten and thirty lines and never
//! change.

use md5::{Digest, Md5};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

/// Number of buckets of the hashes that other tools use as well.
pub const COARSE_BUCKETS: u32 = 10_000;

/// Number of buckets of our own hash, `xxh3`.
pub const FINE_BUCKETS: u32 = 1_000_000;

/// A buffer for salt and unit, without an allocation at usual lengths.
type Text = SmallVec<[u8; 128]>;

/// Returns the whole MD5 digest as one number, modulo ten thousand.
pub fn md5(salt: &str, unit: &str) -> u32 {
    let mut hasher = Md5::new();
    if !salt.is_empty() {
        hasher.update(salt);
        hasher.update(b":");
    }
    hasher.update(unit);
    let digest: [u8; 16] = hasher.finalize().into();
    remainder(u128::from_be_bytes(digest), COARSE_BUCKETS)
}

/// Returns XXH3 with 64 bits of salt, a zero byte and unit, modulo a million.
pub fn xxh3(salt: &str, unit: &str) -> u32 {
    remainder(u128::from(xxh3_number(salt, unit)), FINE_BUCKETS)
}

fn xxh3_number(salt: &str, unit: &str) -> u64 {
    let mut text = Text::from_slice(salt.as_bytes());
    text.push(0);
    text.extend_from_slice(unit.as_bytes());
    xxh3_64(&text)
}

/// Returns the bucket by the second rule of GrowthBook: the hash of the decimal text of the hash of
/// seed and unit.
pub fn growthbook_v2(seed: &str, unit: &str) -> u32 {
    let inner = fnv1a(seed.encode_utf16().chain(unit.encode_utf16()));
    let outer = fnv1a(inner.to_string().encode_utf16());
    outer % COARSE_BUCKETS
}

/// Returns the bucket by the first rule of GrowthBook, in a thousand buckets; it is biased, and
/// kept for its namespaces.
pub fn growthbook_v1(seed: &str, unit: &str) -> u32 {
    fnv1a(unit.encode_utf16().chain(seed.encode_utf16())) % 1000
}

/// Returns the bucket by the rule of Optimizely: the hash of unit and experiment, stretched over
/// ten thousand buckets.
pub fn murmur3(experiment: &str, unit: &str) -> u32 {
    let mut text = Text::from_slice(unit.as_bytes());
    text.extend_from_slice(experiment.as_bytes());
    let scaled = u64::from(murmur3_x86_32(&text, 1)) * u64::from(COARSE_BUCKETS);
    u32::try_from(scaled >> 32).unwrap_or_default()
}

fn remainder(number: u128, n_buckets: u32) -> u32 {
    u32::try_from(number % u128::from(n_buckets)).unwrap_or_default()
}

fn fnv1a(units: impl Iterator<Item = u16>) -> u32 {
    units.fold(0x811c_9dc5, |hash, unit| {
        (hash ^ u32::from(unit)).wrapping_mul(0x0100_0193)
    })
}

fn murmur3_x86_32(text: &[u8], seed: u32) -> u32 {
    let mut hash = seed;
    let (words, tail) = text.as_chunks::<4>();
    for word in words {
        hash ^= scramble(u32::from_le_bytes(*word));
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    let last = tail.iter().rev();
    hash ^= scramble(last.fold(0, |word, &byte| (word << 8) | u32::from(byte)));
    // Texts longer than four gigabytes do not occur.
    hash ^= u32::try_from(text.len()).unwrap_or(u32::MAX);
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn scramble(word: u32) -> u32 {
    let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15);
    word.wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: PartialEq + std::fmt::Debug>(
        hash: impl Fn(&str, &str) -> T,
        rows: &[(&str, &str, T)],
    ) {
        let wrong: Vec<_> = rows
            .iter()
            .map(|(salt, unit, expected)| (salt, unit, expected, hash(salt, unit)))
            .filter(|(_, _, expected, got)| *expected != got)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn md5_gives_the_buckets_of_the_rule_that_many_have() {
        let rows = [
            ("", "user_1", 2753),
            ("", "user_42", 7712),
            ("", "alice", 8300),
            ("", "12345", 7915),
            ("", "é", 2335),
            ("", "user_3318", 5000),
            ("", "user_536", 8000),
            ("", "user_8677", 9000),
            ("", "user_11007", 9999),
        ];
        check(md5, &rows);
        assert_eq!(md5("salt", "user_1"), md5("", "salt:user_1"));
    }

    #[test]
    fn xxh3_gives_the_reference_numbers_and_buckets() {
        let long = "x".repeat(300);
        let churn = "churn/churn-v8";
        let rows = [
            (churn, "user_1", 0x69fe_f8cb_4279_bd1c),
            (churn, "user_42", 0x658a_f31e_40d0_5b88),
            (churn, "alice", 0x7d90_ab5c_1b10_375a),
            (churn, "é", 0x2d3e_82bf_7fc4_5ac2),
            (churn, &long, 0x50a4_3ef7_c8c7_43c1),
            ("fraud/fraud-v2", "user_1", 0x6794_4aa6_3564_41e5),
        ];
        check(xxh3_number, &rows);
        let rows = [
            (churn, "user_1", 263_964),
            (churn, "user_42", 757_256),
            (churn, "alice", 714_970),
            (churn, "é", 756_930),
            (churn, &long, 128_897),
            ("fraud/fraud-v2", "user_1", 543_973),
        ];
        check(xxh3, &rows);
        assert_eq!(xxh3_64(b""), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn growthbook_gives_the_numbers_of_its_clients() {
        let rows = [
            ("seed", "a", 505),
            ("seed", "b", 2696),
            ("foo", "ab", 2575),
            ("foo", "def", 2019),
            ("89123klj", "8952klfjas09ujkasdf", 1240),
            ("90850943850283058242805", "123", 7516),
            ("seed", "é", 8663),
        ];
        check(growthbook_v2, &rows);
        let rows = [
            ("", "a", 220),
            ("", "b", 77),
            ("b", "a", 946),
            ("ef", "d", 652),
        ];
        check(growthbook_v1, &rows);
    }

    #[test]
    fn murmur3_gives_the_buckets_of_optimizely() {
        let rows = [
            ("1886780721", "ppid1", 5254),
            ("1886780721", "ppid2", 4299),
            ("1886780721", "ppid3", 5439),
            ("1886780722", "ppid2", 2434),
        ];
        check(murmur3, &rows);
    }
}
