//! Numbers against the standard library, and against exact arithmetic for 16-bit floats.

use proptest::prelude::*;

use super::plain::Plain;
use super::short::Short;
use super::*;

fn scanned(text: &str) -> Option<Decimal<'_>> {
    let mut cursor = Cursor::new(text.as_bytes());
    let decimal = scan(&mut cursor)?;
    cursor.rest().is_empty().then_some(decimal)
}

/// The number at the start of `text` by the quick way, when all of `text` is one.
fn quick(text: &str) -> Option<Plain> {
    let (number, rest) = plain(text.as_bytes())?;
    rest.is_empty().then_some(number)
}

/// The number that `text` is by the quickest way, when a comma and more text follow it.
fn quickest(text: &str) -> Option<Short> {
    let longer = format!("{text}, 1.5, 1.5, 1.5, 1.5");
    let (number, rest) = short(longer.as_bytes())?;
    (longer.len() - rest.len() == text.len()).then_some(number)
}

/// Texts that the grammar of JSON allows, short and long.
fn number_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]\\.[0-9]{1,18}",
        "-?(0|[1-9][0-9]{0,7})(\\.[0-9]{1,7})?",
        (-1e4_f32..1e4).prop_map(|x| f64::from(x).to_string()),
        (0_u32..0x7f00_0000).prop_map(|bits| {
            let single = f32::from_bits(bits);
            let middle = f64::midpoint(f64::from(single), f64::from(single.next_up()));
            format!("{middle:.17}")
        }),
        "-?(0|[1-9][0-9]{0,7})(\\.[0-9]{1,9})?([eE][-+]?[0-9]{1,2})?",
        "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?",
        any::<f32>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(|x| format!("{x:e}")),
        any::<f64>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(|x| format!("{x:e}")),
    ]
}

/// Decimals at and next to the points half-way between two 16-bit values.
fn midpoint_text() -> impl Strategy<Value = String> {
    (any::<u16>(), any::<bool>(), 0..4_usize, 0..3_u8).prop_map(|(bits, is_bf16, n_zeros, side)| {
        let value = |bits: u16| match is_bf16 {
            true => bf16::from_bits(bits & 0x7fff).to_f64(),
            false => f16::from_bits(bits & 0x7fff).to_f64(),
        };
        let middle = (value(bits) + value(bits.wrapping_add(1))) / 2.0;
        if !middle.is_finite() {
            return "1".to_owned();
        }
        let exact = format!("{middle:.120e}");
        let (digits, power) = exact.split_once('e').unwrap();
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        let dot = if digits.contains('.') { "" } else { "." };
        let zeros = "0".repeat(n_zeros * 10);
        match side {
            0 => format!("{digits}{dot}{zeros}0e{power}"),
            1 => format!("{digits}{dot}{zeros}1e{power}"),
            _ => {
                let below = format!("{:.130e}", middle.next_down());
                let (below, power) = below.split_once('e').unwrap();
                format!("{below}e{power}")
            }
        }
    })
}

/// The nearest 16-bit float by comparing the decimal with every candidate around it, exactly.
fn nearest_by_search(text: &str, to_f64: fn(u16) -> f64, max: u16) -> Option<u16> {
    let digits = |value: f64| Digits::of(format!("{value:.160e}").as_bytes());
    let wanted = Digits::of(text.as_bytes());
    let above = (0..=max)
        .collect::<Vec<_>>()
        .partition_point(|&bits| digits(to_f64(bits)) < wanted);
    let above = u16::try_from(above).unwrap();
    let Some(below) = above.checked_sub(1) else {
        return Some(0);
    };
    // The step past the largest value decides about overflow; it is what the next one would be.
    let step = to_f64(max) - to_f64(max - 1);
    let upper = if above > max {
        to_f64(max) + step
    } else {
        to_f64(above)
    };
    let middle = digits((to_f64(below) + upper) / 2.0);
    let bits = match wanted.cmp(&middle) {
        Ordering::Less => below,
        Ordering::Greater => above,
        Ordering::Equal if below % 2 == 0 => below,
        Ordering::Equal => above,
    };
    (bits <= max).then_some(bits)
}

#[test]
fn the_grammar_is_that_of_json() {
    let refused = [
        "", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1.e1", "0x1", "1_0", "--1", "1.5.2",
        "Infinity", "NaN", "e5",
    ];
    let accepted: Vec<_> = refused
        .into_iter()
        .filter(|text| scanned(text).is_some())
        .collect();
    assert!(accepted.is_empty(), "{accepted:?}");
    for text in [
        "0",
        "-0",
        "1",
        "-10.50",
        "1e5",
        "1E+05",
        "0.0e-00",
        "123456789012345678901234",
    ] {
        assert!(scanned(text).is_some(), "{text}");
    }
}

#[test]
fn whole_numbers_are_exact_however_they_are_written() {
    let cases = [
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551615.000", Some(u64::MAX)),
        ("1844674407370955161.5e1", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("9007199254740993", Some(9_007_199_254_740_993)),
        ("1.0", Some(1)),
        ("1e3", Some(1000)),
        ("2500e-2", Some(25)),
        ("0.00e-30", Some(0)),
        ("0e999999999999999999999", Some(0)),
        ("1.5", None),
        ("1e-1", None),
        ("1e20", None),
        ("1e999999999999999999999", None),
        ("1.00000000000000000000000000001", None),
    ];
    let wrong: Vec<_> = cases
        .into_iter()
        .map(|(text, expected)| (text, expected, scanned(text).unwrap().whole()))
        .filter(|(_, expected, got)| expected != got)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn numbers_beyond_the_largest_value_are_refused() {
    let scan = |text| scanned(text).unwrap();
    assert_eq!(scan("65519.99").to_f16().map(f16::to_f32), Some(65504.0));
    assert_eq!(scan("65520").to_f16(), None);
    assert_eq!(scan("3.4e38").to_bf16(), None);
    assert_eq!(scan("3.5e38").to_f32(), None);
    assert_eq!(scan("-1e39").to_f32(), None);
    assert_eq!(scan("1e309").to_f64(), None);
}

#[test]
fn sixteen_bit_floats_have_the_bits_of_the_reference() {
    let f16_cases = [
        ("1.0", 0x3c00),
        ("-2.0", 0xc000),
        ("65504", 0x7bff),
        ("0.1", 0x2e66),
        ("2049", 0x6800),
    ];
    for (text, bits) in f16_cases {
        assert_eq!(
            scanned(text).unwrap().to_f16().unwrap().to_bits(),
            bits,
            "{text}"
        );
    }
    let bf16_cases = [
        ("1.0", 0x3f80),
        ("-2.5", 0xc020),
        ("3.14159274", 0x4049),
        ("1.00390625", 0x3f80),
        ("1.01171875", 0x3f82),
        // Slightly above the midpoint, which has the same nearest double.
        ("1.00390625000000000000000001", 0x3f81),
        ("1.003906250000000001", 0x3f81),
        ("1.003906249999999999", 0x3f80),
    ];
    for (text, bits) in bf16_cases {
        assert_eq!(
            scanned(text).unwrap().to_bf16().unwrap().to_bits(),
            bits,
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn numbers_of_one_form_have_the_bits_of_the_standard_library(
        whole in 0..7_u32, fraction in 0..7_u32, digits in any::<u32>(), is_negative in any::<bool>(),
    ) {
        let n_whole = whole + 1;
        let n_fraction = fraction.min(7 - n_whole);
        let value = digits % 10_u32.pow(n_whole + n_fraction);
        let text = match n_fraction {
            0 => value.to_string(),
            _ => {
                let width = usize::try_from(n_fraction).unwrap() + 1;
                let digits = format!("{value:0width$}");
                let (whole, fraction) = digits.split_at(digits.len() - width + 1);
                format!("{whole}.{fraction}")
            }
        };
        let text = if is_negative { format!("-{text}") } else { text };
        let before = text.replace(|c: char| c.is_ascii_digit(), "1");
        let (number, _) = in_form_of(&before, ",", &text).unwrap();
        let (single, double): (f32, f64) = (text.parse().unwrap(), text.parse().unwrap());
        prop_assert_eq!(number.to_f32().map(f32::to_bits), Some(single.to_bits()));
        prop_assert_eq!(number.to_f64().map(f64::to_bits), Some(double.to_bits()));
        let whole = number.to_whole().map(|value| value.to_string());
        let expected = (n_fraction == 0).then(|| text.parse::<i64>().unwrap().to_string());
        prop_assert_eq!(whole, expected);
    }

    #[test]
    fn singles_and_doubles_have_the_bits_of_the_standard_library(text in number_text()) {
        let decimal = scanned(&text).unwrap();
        let single: f32 = text.parse().unwrap();
        let double: f64 = text.parse().unwrap();
        if let Some(number) = quick(&text) {
            let agree = |ours: Option<f32>| ours.is_none_or(|x| x.to_bits() == single.to_bits());
            prop_assert!(agree(number.to_f32()));
            let agree = |ours: Option<f64>| ours.is_none_or(|x| x.to_bits() == double.to_bits());
            prop_assert!(agree(number.to_f64()));
        }
        if let Some(number) = quickest(&text) {
            prop_assert_eq!(number.to_f32().map(f32::to_bits), Some(single.to_bits()));
            prop_assert_eq!(number.to_f64().map(f64::to_bits), Some(double.to_bits()));
            let whole = number.to_whole().map(|value| u64::try_from(value.abs()).unwrap());
            prop_assert!(whole.is_none_or(|value| decimal.whole() == Some(value)));
        }
        let single = single.is_finite().then(|| single.to_bits());
        let double = double.is_finite().then(|| double.to_bits());
        prop_assert_eq!(decimal.to_f32().map(f32::to_bits), single);
        prop_assert_eq!(decimal.to_f64().map(f64::to_bits), double);
    }

    #[test]
    fn sixteen_bit_floats_are_rounded_once(text in prop_oneof![number_text(), midpoint_text()]) {
        let decimal = scanned(&text).unwrap();
        let magnitude = |bits: Option<u16>| bits.map(|bits| bits & 0x7fff);
        let short = quick(&text);
        let exact = (decimal.to_f16(), decimal.to_bf16());
        let agree = short.and_then(Plain::to_f16).is_none_or(|x| Some(x) == exact.0);
        prop_assert!(agree);
        let agree = short.and_then(Plain::to_bf16).is_none_or(|x| Some(x) == exact.1);
        prop_assert!(agree);
        let half = nearest_by_search(&text, |bits| f16::from_bits(bits).to_f64(), 0x7bff);
        prop_assert_eq!(magnitude(decimal.to_f16().map(f16::to_bits)), half);
        let bfloat = nearest_by_search(&text, |bits| bf16::from_bits(bits).to_f64(), 0x7f7f);
        prop_assert_eq!(magnitude(decimal.to_bf16().map(bf16::to_bits)), bfloat);
    }

    #[test]
    fn whole_numbers_are_those_of_the_standard_library(value in any::<u64>(), n_zeros in 0..4_usize) {
        let text = format!("{value}.{}0e0", "0".repeat(n_zeros));
        prop_assert_eq!(scanned(&text).unwrap().whole(), Some(value));
        prop_assert_eq!(scanned(&value.to_string()).unwrap().whole(), Some(value));
    }

    #[test]
    fn any_text_is_a_number_exactly_when_serde_json_says_so(text in "[-+0-9.eE]{1,8}") {
        let theirs = serde_json::from_str::<f64>(&text).is_ok();
        let ours = scanned(&text).and_then(|decimal| decimal.to_f64()).is_some();
        prop_assert_eq!(ours, theirs);
        prop_assert!(theirs || quick(&text).is_none());
        prop_assert!(theirs || quickest(&text).is_none());
    }
}

#[test]
fn short_numbers_are_those_of_at_most_seven_digits() {
    let short = [
        "0",
        "-0",
        "7",
        "1234567",
        "0.1",
        "-0.123456",
        "9.999999",
        "12.5",
        "-123.4567",
        "123456.7",
    ];
    let others = [
        "",
        "-",
        "00",
        "01",
        "-01.5",
        "12345678",
        "0.1234567",
        "12.345678",
        "1.",
        ".5",
        "1.5e3",
        "1e3",
        "1.2.3",
        "--1",
        "+1",
        "1 ",
        "x",
        "1.x",
        "1x",
    ];
    let slow: Vec<_> = short
        .iter()
        .filter(|text| quickest(text).is_none())
        .collect();
    assert!(slow.is_empty(), "{slow:?}");
    let taken: Vec<_> = others
        .iter()
        .filter(|text| quickest(text).is_some())
        .collect();
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn any_byte_behind_a_number_but_a_comma_or_a_bracket_ends_the_quickest_way() {
    for text in ["5", "0.5", "-12.5", "0.123456", "1234567"] {
        let taken = (0..=u8::MAX).filter(|&byte| {
            let mut longer = text.as_bytes().to_vec();
            longer.push(byte);
            longer.extend_from_slice(&[b'7'; 16]);
            short(&longer).is_some_and(|(_, rest)| longer.len() - rest.len() == text.len())
        });
        assert_eq!(taken.collect::<Vec<_>>(), b",]", "{text}");
    }
}

#[test]
fn usual_numbers_take_the_quick_way() {
    let texts = [
        "0",
        "-1",
        "16",
        "0.25",
        "-0.5",
        "123.456",
        "0.30000001192092896",
        "1.0",
    ];
    let slow: Vec<_> = texts
        .into_iter()
        .filter(|text| quick(text).and_then(Plain::to_f32).is_none())
        .collect();
    assert!(slow.is_empty(), "{slow:?}");
}

/// The number at the start of `text` and the length of it with its separator, by the form of
/// `before`, which must be short.
fn in_form_of(before: &str, separator: &str, text: &str) -> Option<(Short, usize)> {
    let layout = quickest(before).unwrap().layout(separator == ", ");
    let longer = format!("{text}{separator}77777777777777777777");
    let form = Form::new(layout).unwrap();
    let (number, rest) = form.next(longer.as_bytes())?;
    let n_behind = longer.len() - form.behind(longer.as_bytes()).len();
    assert_eq!(n_behind, text.len(), "{before} {text}");
    Some((number, longer.len() - rest.len()))
}

#[test]
fn a_form_takes_what_is_written_like_the_number_that_gave_it() {
    let texts = [
        "0", "-0", "7", "10", "42", "-99", "256", "1234567", "0.1", "-0.5", "9.999999", "0.000000",
        "10.5", "-12.25", "123.4567", "999999.9", "00", "01", "-01.5", "00.5", "12345678", "1.",
        ".5", "1.5e3", "1e3", "1.2.3", "--1", "+1", "-", "", ".", "1-2", "0.12345:", "12:", "1/2",
        "0/5",
    ];
    let separators = [",", ", "];
    for before in texts.iter().filter(|text| quickest(text).is_some()) {
        let shape = |text: &str| {
            text.trim_start_matches('-')
                .bytes()
                .map(|x| x == b'.')
                .collect::<Vec<_>>()
        };
        for (text, separator) in texts.iter().flat_map(|text| separators.map(|s| (*text, s))) {
            let expected = quickest(text).filter(|_| shape(text) == shape(before));
            let got = in_form_of(before, separator, text);
            assert_eq!(
                got.map(|(number, n_bytes)| (format!("{number:?}"), n_bytes)),
                expected.map(|number| (format!("{number:?}"), text.len() + separator.len())),
                "`{text}{separator}` in the form of {before}"
            );
        }
    }
}

#[test]
fn any_wrong_byte_ends_a_form() {
    for text in ["5", "0.5", "-12.5", "0.123456", "1234567"] {
        for index in usize::from(text.starts_with('-'))..=text.len() {
            let taken = (0..=u8::MAX).filter(|&byte| {
                let mut longer = format!("{text},77777777777777777777").into_bytes();
                longer[index] = byte;
                let form = Form::new(quickest(text).unwrap().layout(false)).unwrap();
                form.next(&longer).is_some()
            });
            let taken: Vec<_> = taken.collect();
            let expected: &[u8] = match text.as_bytes().get(index) {
                None => b",",
                Some(b'.') => b".",
                Some(b'1') if !text.starts_with("0.") => b"123456789",
                Some(_) => b"0123456789",
            };
            // A sign in place of the only digit leaves none.
            assert_eq!(taken, expected, "byte {index} of {text}");
        }
    }
}
