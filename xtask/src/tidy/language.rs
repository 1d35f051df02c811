//! Language: the words that names must not have, and the openings that doc comments should not have.
//!
//! Decision: a list of words, not a judgement. A word stands on it when it has no ordinary technical
//! meaning here and was once used as a private name; what the field says is in `docs/glossary.md`.

use std::iter::Sum;
use std::path::Path;
use std::str::FromStr;

use proc_macro2::{TokenStream, TokenTree};

/// Words of identifiers and file names, each with what to write.
const REFUSED: [(&str, &str); 16] = [
    ("burning", "unhealthy, or alarm"),
    ("census", "seen units"),
    ("company", "arrival gap, or joined requests"),
    ("deed", "action"),
    ("deeds", "actions"),
    ("gatekeeper", "webhooks"),
    ("helm", "traffic control"),
    ("keeper", "controller"),
    ("ledger", "state"),
    ("redeem", "wait"),
    ("seat", "guard"),
    ("told", "notified, or the state of the leader"),
    ("trail", "followed rollout"),
    ("wish", "desired state"),
    ("wishes", "desired state"),
    ("workshop", "limiter"),
];

/// First words of doc comments that make a reader guess.
const RIDDLES: [&str; 10] = [
    "What", "Whether", "Who", "Whom", "Whose", "How", "Where", "Which", "Nobody", "Somebody",
];

/// Returns the refused words of a file, in its name and its identifiers, once each.
pub(crate) fn refused_words(path: &str, text: &str) -> Vec<String> {
    let stem = Path::new(path).file_stem().unwrap_or_default();
    let mut names = vec![stem.to_string_lossy().into_owned()];
    if let Ok(tokens) = TokenStream::from_str(text) {
        identifiers(tokens, &mut names);
    }
    let mut breaches = Vec::new();
    for name in names {
        let words = words(&name);
        let found = REFUSED
            .iter()
            .find(|(refused, _)| words.iter().any(|word| word == refused));
        if let Some((word, instead)) = found {
            let breach = format!("`{name}` has the private word `{word}`; write {instead}");
            if !breaches.contains(&breach) {
                breaches.push(breach);
            }
        }
    }
    breaches
}

fn identifiers(tokens: TokenStream, names: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => identifiers(group.stream(), names),
            TokenTree::Ident(ident) => names.push(ident.to_string()),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Splits `snake_case`, `CamelCase` and `UPPER_CASE` into words of small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for letter in name.chars() {
        let starts = letter == '_' || (letter.is_uppercase() && was_small);
        if starts {
            words.push(String::new());
        }
        if let (Some(word), true) = (words.last_mut(), letter != '_') {
            word.extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase() || letter.is_ascii_digit();
    }
    words
}

/// The number of doc comments of a text, and of those among them that open with a riddle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DocComments {
    pub(crate) n: usize,
    pub(crate) n_riddles: usize,
}

impl DocComments {
    /// Returns the share of riddles in thousandths.
    pub(crate) fn riddles_per_mille(self) -> usize {
        self.n_riddles * 1000 / self.n.max(1)
    }
}

impl Sum for DocComments {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, one| Self {
            n: sum.n + one.n,
            n_riddles: sum.n_riddles + one.n_riddles,
        })
    }
}

/// Counts the doc comments of a file.
pub(crate) fn doc_comments(text: &str) -> DocComments {
    let mut counted = DocComments::default();
    let mut last = None;
    for line in text.lines().map(str::trim_start) {
        let kind = ["///", "//!"]
            .into_iter()
            .find(|kind| line.starts_with(kind));
        if let Some(kind) = kind.filter(|_| kind != last) {
            let first = line.trim_start_matches(kind).split_whitespace().next();
            counted.n += 1;
            counted.n_riddles += usize::from(first.is_some_and(|word| RIDDLES.contains(&word)));
        }
        last = kind;
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_words_are_found_in_names_of_every_case_and_of_files() {
        let text = "struct TheHelm; fn ask_keeper() { let HELM_X = 1; vec![my_deeds] }";
        let found = refused_words("crates/a/src/wishes.rs", text).join("\n");
        for word in [
            "`wishes`",
            "`TheHelm`",
            "`ask_keeper`",
            "`HELM_X`",
            "`my_deeds`",
        ] {
            assert!(found.contains(word), "{word}: {found}");
        }
    }

    #[test]
    fn words_that_only_contain_refused_letters_pass() {
        let text = "// a helm in prose\nfn seated() { overwhelm(\"helm\"); bookkeeper() }";
        assert_eq!(refused_words("crates/a/src/goodwishes.rs", text), [""; 0]);
    }

    #[test]
    fn each_doc_comment_counts_once_by_its_first_word() {
        let text = "//! What it is.\n//! Who cares.\n\n/// Returns x.\n/// What else.\nfn a() {}\n\
                    /// Whether b.\nfn b() {}\n// What no doc is.\nfn c() {}\n";
        let expected = DocComments { n: 3, n_riddles: 2 };
        assert_eq!(doc_comments(text), expected);
    }
}
