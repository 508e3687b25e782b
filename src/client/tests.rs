use super::ClientError;
use super::Token;
use super::events_url;
use super::shown;
use super::wire::error_message;

#[test]
fn urls() {
    #[track_caller]
    fn check(url: &str, organization: &str, expected: Option<&str>) {
        assert_eq!(events_url(url, organization).ok().as_deref(), expected, "{url} {organization}");
    }
    let plain = "http://127.0.0.1:10555/api/v4/organizations/acme/change_events";
    check("http://127.0.0.1:10555", "acme", Some(plain));
    check("http://127.0.0.1:10555/", "acme", Some(plain));
    check("https://h/events/", "a b/c", Some("https://h/events/api/v4/organizations/a%20b%2Fc/change_events"));
    check("https://h", "\u{e9}", Some("https://h/api/v4/organizations/%C3%A9/change_events"));
    check("127.0.0.1:10555", "acme", None);
    check("ftp://h", "acme", None);
    check("http://", "acme", None);
    check("http://h?x=1", "acme", None);
    check("http://h#x", "acme", None);
    check("http://h", "", None);
}

#[test]
fn tokens() {
    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Token::parse(text).ok().map(|token| token.0).as_deref(), expected, "{text:?}");
    }
    check("abc\n", Some("abc"));
    check(" Bearer abc ", Some("abc"));
    check("", None);
    check("\n", None);
    check("a b", None);
    check("a\nb", None);
    check("\u{e9}", None);
    assert_eq!(format!("{:?}", Token::parse("secret").unwrap()), "Token(..)");
}

#[test]
fn messages_of_errors() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(error_message(text), expected);
    }
    check(r#"{"error":"no"}"#, "no");
    check(r#"{"message":"no"}"#, "no");
    check(r#"{"error":"first","message":"second"}"#, "first");
    check("<html>\u{1b}[31m", "<html> [31m");
    check("", "no reason given");
    check("{}", "{}");
}

#[test]
fn foreign_text_is_cut() {
    assert_eq!(shown(&"x".repeat(5000)).len(), 300);
}

#[test]
fn what_may_be_tried_again() {
    #[track_caller]
    fn check(source: ureq::Error, expected: bool) {
        let error = ClientError::Unreachable { url: String::new(), source: Box::new(source) };
        assert_eq!(error.is_transient(), expected, "{error:?}");
    }
    check(ureq::Error::HostNotFound, true);
    check(ureq::Error::ConnectionFailed, true);
    check(ureq::Error::Timeout(ureq::Timeout::Global), true);
    check(ureq::Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset)), true);
    check(ureq::Error::BadUri(String::new()), false);
    check(ureq::Error::Tls("no"), false);
}
