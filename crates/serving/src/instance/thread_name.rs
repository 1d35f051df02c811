//! The names of the threads of a model, as tools of the system show them.

/// Linux keeps this many bytes of the name of a thread.
const MAX_THREAD_NAME_BYTES: usize = 15;

/// `model/version#0`, where the number stays readable when the rest has to be cut.
pub(crate) fn thread_name(variant: &str, index: usize) -> String {
    let number = format!("#{index}");
    let room = MAX_THREAD_NAME_BYTES.saturating_sub(number.len());
    let (head, _) = variant.split_at(variant.floor_char_boundary(room));
    format!("{head}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_named_after_their_variant_and_number() {
        let check = |variant, index, expected: &str| {
            assert_eq!(thread_name(variant, index), expected);
        };
        check("iris/1", 0, "iris/1#0");
        check("sentiment-analysis/1", 12, "sentiment-an#12");
        check("ééééééééé/1", 3, "éééééé#3");
    }
}
