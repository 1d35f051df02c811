//! The bytes of a connection, whole and in two pieces: requests of HTTP/1.1, or frames of HTTP/2.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else {
        return;
    };
    let (first, second) = data.split_at(usize::from(*cut).min(data.len()));
    let whole = harness::exchange(&[data]);
    let pieces = harness::exchange(&[first, second]);
    // The end of the bytes may overtake the last replies.
    assert!(
        whole.starts_with(&pieces) || pieces.starts_with(&whole),
        "{whole:?} {pieces:?}"
    );
});
