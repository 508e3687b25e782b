//! Content negotiation of a scrape: which text format, and whether compressed (RFC 9110 sections 12.4 and 12.5).

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::header;

use crate::exposition::Format;
use crate::http::body;

/// The format that a scraper likes best among those we write; the Prometheus text format when it likes none.
pub(crate) fn format(headers: &HeaderMap) -> Format {
    let mut best = (Format::Text004, 0);
    for choice in choices(headers, &header::ACCEPT) {
        let version = choice.parameter("version");
        let format = match choice.value {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => Format::OpenMetrics100,
            "text/plain" if matches!(version, None | Some("0.0.4")) => Format::Text004,
            "text/*" | "*/*" => Format::Text004,
            _ => continue,
        };
        if choice.quality > best.1 {
            best = (format, choice.quality);
        }
    }
    best.0
}

/// Whether the answer may be compressed with gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for choice in choices(headers, &header::ACCEPT_ENCODING) {
        match choice.value {
            "gzip" | "x-gzip" => return choice.quality > 0,
            "*" => any = choice.quality > 0,
            _ => {}
        }
    }
    any
}

/// Whether an answer is wanted as YAML rather than JSON: by `Accept`, and where that prefers none, by what was sent.
pub(crate) fn prefers_yaml(headers: &HeaderMap) -> bool {
    let (mut yaml, mut json) = (0, 0);
    for choice in choices(headers, &header::ACCEPT) {
        match choice.value {
            value if is_yaml(value) => yaml = yaml.max(choice.quality),
            "application/json" | "text/json" => json = json.max(choice.quality),
            _ => {}
        }
    }
    if yaml == json { is_yaml(&body::media_type(headers)) && yaml == 0 } else { yaml > json }
}

/// Whether this media type is one of those that YAML goes by.
pub(crate) fn is_yaml(media_type: &str) -> bool {
    matches!(media_type, "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml")
}

/// One entry of a header that lists alternatives.
struct Choice<'a> {
    value: &'a str,
    parameters: &'a str,
    /// Thousandths.
    quality: u16,
}

impl<'a> Choice<'a> {
    fn parse(entry: &'a str) -> Self {
        let (value, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let mut choice = Self { value: value.trim(), parameters, quality: 1000 };
        if let Some(quality) = choice.parameter("q") {
            choice.quality = thousandths(quality);
        }
        choice
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    }
}

fn choices<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Choice<'a>> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter(|entry| !entry.trim().is_empty()).map(Choice::parse)
}

/// A quality between 0 and 1; what is no such number counts as 0, so that it is never chosen.
fn thousandths(quality: &str) -> u16 {
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse::<u16>()) {
        ("0", Ok(digits)) if fraction.len() <= 3 => digits,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &'static str, expected: Format) {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        assert_eq!(format(&headers), expected, "{accept}");
    }

    #[test]
    fn formats_as_scrapers_ask() {
        // Prometheus 2.42, Prometheus 3.15, VictoriaMetrics, curl, a browser.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Format::OpenMetrics100,
        );
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3",
            Format::OpenMetrics100,
        );
        check("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Text004);
        check("*/*", Format::Text004);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text004);
        check("", Format::Text004);
        check("application/openmetrics-text", Format::OpenMetrics100);
        check("application/openmetrics-text; version=\"1.0.0\"", Format::OpenMetrics100);
        check("application/openmetrics-text;version=0.0.1", Format::Text004);
        check("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.3", Format::Text004);
        check("application/openmetrics-text;version=1.0.0;q=0", Format::Text004);
        check("application/openmetrics-text;version=1.0.0;q=nonsense,text/plain;q=0.001", Format::Text004);
        check("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", Format::Text004);
        assert_eq!(format(&HeaderMap::new()), Format::Text004);
    }

    #[test]
    fn yaml_is_for_who_asks_or_sends_it() {
        for (accept, sent, expected) in [
            ("", "", false),
            ("*/*", "application/json", false),
            ("*/*", "application/yaml", true),
            ("", "text/yaml; charset=utf-8", true),
            ("application/yaml", "application/json", true),
            ("application/json", "application/yaml", false),
            ("application/yaml;q=0.4, application/json;q=0.5", "", false),
            ("application/x-yaml, application/json;q=0.5", "", true),
            ("application/yaml, application/json", "application/yaml", false),
            ("text/html, */*;q=0.1", "", false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::ACCEPT, accept), (header::CONTENT_TYPE, sent)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(prefers_yaml(&headers), expected, "{accept} {sent}");
        }
    }

    #[test]
    fn gzip_as_scrapers_ask() {
        for (accept, expected) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *;q=1", false),
            ("*;q=0", false),
            ("identity", false),
            ("zstd, br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), expected, "{accept}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
