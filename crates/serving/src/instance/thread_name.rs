//! The names of the threads of a model, as system tools show them.

/// The bytes of a thread name that Linux keeps.
const MAX_THREAD_NAME_BYTES: usize = 15;

/// Builds `model/version#0`, where the number stays readable when the rest has to be cut.
pub(crate) fn thread_name(loaded_version: &str, index: usize) -> String {
    let number = format!("#{index}");
    let room = MAX_THREAD_NAME_BYTES.saturating_sub(number.len());
    let (head, _) = loaded_version.split_at(loaded_version.floor_char_boundary(room));
    format!("{head}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_named_after_their_variant_and_number() {
        let check = |loaded_version, index, expected: &str| {
            assert_eq!(thread_name(loaded_version, index), expected);
        };
        check("iris/1", 0, "iris/1#0");
        check("sentiment-analysis/1", 12, "sentiment-an#12");
        check("ééééééééé/1", 3, "éééééé#3");
    }
}
