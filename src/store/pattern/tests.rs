//! What expressions cost, against what they come to.

use super::*;
use crate::store::STEPS_MAX;
use proptest::prelude::*;

fn compiled(pattern: &str) -> Regex {
    Regex::new(Arc::new(Priced::of(pattern, usize::MAX).unwrap().compile().unwrap()))
}

/// What an expression is expected to come to is about what it does, so that the bound on it bounds the time too.
#[test]
fn what_is_expected_is_about_what_is_compiled() {
    for pattern in [
        "abc",
        "a.*b",
        "\\w",
        "\\w{20}",
        "\\d+-\\d+",
        "\\pL+",
        "(?i)abcdefgh",
        "[^a]{9}",
        ".{0,100}",
        "a{500}",
        "[a-z0-9_]{40}",
        "(foo|bar|baz)-.*",
        "(a?){100}",
        "((a{3}){4}b){5}",
        "(a*)*b*",
        "(){1000}x",
        "",
    ] {
        let Priced { hir, bytes } = Priced::of(pattern, usize::MAX).unwrap();
        let config = thompson::Config::new().which_captures(WhichCaptures::None);
        let compiled = thompson::Compiler::new().configure(config).build_from_hir(&hir).unwrap().memory_usage();
        // What every automaton has, however small.
        let compiled = compiled.saturating_sub(540);
        assert!(bytes >= compiled * 3 / 4, "{pattern}: {bytes} expected, {compiled} came of it");
        assert!(bytes <= 4 * compiled + 3 * CLASS_BYTES, "{pattern}: {bytes} expected, only {compiled} came of it");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_compiled() {
    for pattern in [
        "\\w{30}".to_owned(),
        "(((((a{100}){100}){100}){100}){100})".to_owned(),
        "\\pL".repeat(300),
        format!("(?i){}", "[!-\u{10ffff}]".repeat(100)),
        format!("(?i){}", "[\\W]".repeat(200)),
        format!("(?i){}a{}", "[^b".repeat(90), "]".repeat(90)),
        format!("a(?:b(?i:c))|{}", "[\\PL--x]".repeat(100)),
        ".{0,900}.{0,900}.{0,900}".to_owned(),
    ] {
        assert!(matches!(Priced::of(&pattern, COMPILED_BYTES_MAX), Err(PatternError::Large)), "{pattern}");
    }
    for pattern in ["(?i)[^a]*", "(?i)[\\w.-]+@[\\w.-]+", "\\d{1,3}(\\.\\d{1,3}){3}", "\\w{20}", "(?i)\u{e9}t\u{e9}.*"] {
        assert!(Priced::of(pattern, COMPILED_BYTES_MAX).is_ok(), "{pattern}");
    }
}

/// An automaton that is too large to be made as it is needed: what the other one takes is counted, and the question ends.
#[test]
fn what_matches_slowly_is_counted() {
    let steps = |pattern: &str, value: &str, times: usize| {
        let (regex, effort) = (compiled(pattern), Effort::new(STEPS_MAX));
        let matched = (0..times).filter(|_| regex.is_match(value, &effort)).count();
        assert!(matched == 0 || matched == times);
        STEPS_MAX - effort.left()
    };
    let value = "ab".repeat(500);
    let (quick, slow) = (steps("a.*", &value, 100), steps(".*a.{300}[ab]{100}.*b{2}.*", &value, 100));
    assert!(quick < 3000, "{quick}");
    assert!(slow > 1000 * quick, "{slow} where another takes {quick}");
}

#[test]
fn what_is_kept_is_bounded_and_the_latest() {
    let patterns = Patterns::default();
    for number in 0..3000 {
        let text = format!("{number}-x{{200}}");
        let pattern = Arc::new(Priced::of(&text, usize::MAX).unwrap().compile().unwrap());
        patterns.keep(&text, &pattern);
        patterns.keep(&text, &pattern);
        assert!(patterns.find("0-x{200}").is_some(), "it is asked for all the time");
    }
    let kept = patterns.0.lock();
    let bytes: usize = kept.by_text.iter().map(|(text, (pattern, _))| text.len() + pattern.bytes + KEPT_BESIDE_BYTES).sum();
    assert_eq!(kept.bytes, bytes);
    assert!((KEPT_BYTES_MAX / 2..=KEPT_BYTES_MAX).contains(&bytes), "{bytes}");
    drop(kept);
    assert!(patterns.find("2999-x{200}").is_some() && patterns.find("1-x{200}").is_none());
}

proptest! {
    /// As the crate for whole expressions has it.
    #[test]
    fn matches_as_between_anchors(pattern in r"(\(\?i\))?[a-c.|?*+()\\bw\[\]^$-]{0,8}", value in "[a-cA-C\u{e9} _-]{0,6}") {
        let expected = regex::RegexBuilder::new(&format!("^(?:{pattern})$")).dot_matches_new_line(true).build();
        if let Ok(priced) = Priced::of(&pattern, usize::MAX) {
            let regex = Regex::new(Arc::new(priced.compile().unwrap()));
            prop_assert_eq!(Ok(regex.is_match(&value, &Effort::boundless())), expected.map(|expected| expected.is_match(&value)));
        }
    }
}
