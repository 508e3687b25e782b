//! What selectors mean, and which are refused.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(selector: &str, value: &str, expected: bool) {
    let matchers = parse(selector).unwrap();
    assert_eq!(
        matchers.iter().filter(|matcher| &*matcher.name == "a").all(|matcher| matcher.matches(value)),
        expected,
        "{selector} on {value:?}"
    );
}

#[test]
fn matches_as_prometheus_does() {
    check(r#"{a="x"}"#, "x", true);
    check(r#"{a="x"}"#, "xy", false);
    check(r#"{a=~"x"}"#, "xy", false);
    check(r#"{a=~"x.*"}"#, "xy\nz", true);
    check(r#"{a!~"x|y"}"#, "y", false);
    check(r#"{a!="x"}"#, "", true);
    check(r#"{a=~"(?i)X"}"#, "x", true);
    check(r#"{a="q\"\\\n"}"#, "q\"\\\n", true);
}

#[test]
fn refuses_what_is_no_selector() {
    for selector in [
        "",
        "up + 1",
        "{a=\"x\"}[5m]",
        "{a=~\"(\"}",
        "{a=~\"_)*(a*\"}",
        "{",
        "rate(x[5m])",
        "x offset 5m",
        "x @ 5",
        "{a=\"b\" or c=\"d\"}",
        "{a=~\"(((((a{100}){100}){100}){100}){100})\"}",
    ] {
        assert!(parse(selector).is_err(), "{selector}");
    }
}

#[test]
fn limits_bite_exactly() {
    let of_bytes = |bytes: usize| parse(&format!("{{a=\"{}\"}}", "x".repeat(bytes - 6))).map(|matchers| matchers.len());
    assert_eq!(of_bytes(SELECTOR_BYTES_MAX), Ok(1));
    assert_eq!(of_bytes(SELECTOR_BYTES_MAX + 1), Err(SelectorError::Long { bytes: SELECTOR_BYTES_MAX + 1 }));
    let of_matchers = |count: usize| parse(&format!("up{{{}}}", vec!["a!=\"x\""; count].join(","))).map(|matchers| matchers.len());
    assert_eq!(of_matchers(MATCHERS_MAX), Ok(MATCHERS_MAX + 1), "the family is none of them");
    assert_eq!(of_matchers(MATCHERS_MAX + 1), Err(SelectorError::Matchers { count: MATCHERS_MAX + 1 }));
    for op in ["=~", "!~"] {
        let of_regex = |bytes: usize| parse(&format!("up{{a{op}\"{}\"}}", "x".repeat(bytes))).map(|matchers| matchers.len());
        assert_eq!(of_regex(REGEX_BYTES_MAX), Ok(2));
        assert_eq!(of_regex(REGEX_BYTES_MAX + 1), Err(SelectorError::LongRegex { bytes: REGEX_BYTES_MAX + 1 }));
    }
}

#[test]
fn what_is_refused_says_why() {
    for (selector, error) in [
        ("x offset 5m", SelectorError::Modified),
        ("x @ 5", SelectorError::Modified),
        ("{a=\"b\" or c=\"d\"}", SelectorError::Modified),
        ("x or y", SelectorError::Expression),
        ("rate(x[5m])", SelectorError::Expression),
        ("-x", SelectorError::Expression),
        ("x{a=\"b\"} # and why", SelectorError::Expression),
    ] {
        assert_eq!(parse(selector).unwrap_err(), error, "{selector}");
    }
}

#[test]
fn what_stands_in_quotes_is_a_value() {
    for value in ["(((", "-#-", "}{", "it's", "a`b", "[5m]"] {
        check(&format!("{{a=\"{value}\"}}"), value, true);
        check(&format!("x{{a=\"{value}\",b!='c('}}"), value, true);
    }
    check("{a=\"\\\"(\"}", "\"(", true);
}

#[test]
fn words_outside_braces_are_few() {
    let words = |count: usize| vec!["word"; count].join(" ");
    let is_flat = |text: &str| Flat::of(text, 0).is_ok();
    assert!(is_flat(&words(WORDS_MAX)) && !is_flat(&words(WORDS_MAX + 1)));
    assert!(is_flat(&format!("{} {{{}}}", words(WORDS_MAX), words(100))));
}

/// Of each shape so much as a selector can have: the parser would end the process, or take long.
#[test]
fn no_selector_is_too_deep_or_too_long() {
    for (begin, open, inner, close, end) in [
        ("", "(", "x", ")", ""),
        ("", "(", "{a=\"b\"}", ")", ""),
        ("", "(x+", "x", ")", ""),
        ("", "abs(", "x", ")", ""),
        ("", "-", "x", "", ""),
        ("", "", "x", "[5m:]", ""),
        ("", "", "x", "^x", ""),
        ("sum(", "-", "x", "", ")"),
        ("topk(1,", "-", "x", "", ")"),
        ("{a=\"b\"} + sum(", "-", "x", "", ")"),
        ("{a='\\'\"'} + sum(", "-", "x", "", ")"),
        ("{a=`\\`,b=`} + sum(", "-", "x", "", ") + y{c=`z`}"),
        ("{a=\"b\"} #\"\n + sum(", "-", "x", "", ")"),
        ("{a=\"b\" #\"\n} + sum(", "-", "x", "", ")"),
        ("sum(", "-x^", "x", "", ")"),
        ("", "sum(-----", "x", ")", ""),
        ("", "x or ", "x", "", ""),
        ("", "{} or ", "x", "", ""),
        ("", "{", "", "", ""),
        ("", "{(", "x", "", ""),
        ("", "{a=(", "x", "", ""),
    ] {
        let left = SELECTOR_BYTES_MAX - begin.len() - inner.len() - end.len();
        let depth = left / (open.len() + close.len());
        let selector = [begin, &*open.repeat(depth), inner, &*close.repeat(depth), end].concat();
        let refused = parse(&selector);
        assert!(matches!(refused, Err(SelectorError::Expression | SelectorError::Syntax(_))), "{begin}{open}..{close}: {refused:?}");
    }
}

proptest! {
    #[test]
    fn every_match_begins_with_the_literal_prefix(pattern in r"[a-c.|?*+()_-]{0,8}", value in "[a-c_-]{0,6}") {
        let Ok(priced) = Priced::of(&pattern, COMPILED_BYTES_MAX) else { return Ok(()) };
        let regex = Regex::new(Arc::new(priced.compile().unwrap()));
        let matcher = Matcher { name: "a".into(), kind: MatchKind::Regex(regex), value: pattern.into() };
        let (prefix, free) = matcher.literal_prefix();
        if matcher.matches(&value) {
            prop_assert!(value.starts_with(&prefix));
        }
        prop_assert_eq!(free && value.starts_with(&prefix), free && matcher.matches(&value));
    }

    #[test]
    fn no_text_panics(text in r#"[a-z{}="~!\[\]() ,0-9\\.]{0,40}"#) {
        drop(parse(&text));
    }
}
