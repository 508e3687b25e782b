//! The text of samples, in the Prometheus text format 0.0.4 and in OpenMetrics 1.0. The only place that escapes.
//!
//! Label names are legal since they came in; values are any text. Not for which samples are on a page.

use super::entry::Entry;
use crate::labels::EVENT_STATE;
use crate::labels::mended;
use crate::time::Timestamp;

/// A text format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format, version 0.0.4.
    Text004,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics100,
}

/// A metric family that carries events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Since when each label set is open.
    Open,
    /// The edges.
    Edges,
    /// Their times as values.
    Times,
}

impl Format {
    /// The exact content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics100 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What a page ends with.
    pub(super) const fn end(self) -> &'static str {
        match self {
            Self::Text004 => "",
            Self::OpenMetrics100 => "# EOF\n",
        }
    }

    /// The time of a sample, as it stands at the end of a line.
    fn push_time(self, text: &mut Vec<u8>, at: Timestamp) {
        match self {
            Self::Text004 => text.extend_from_slice(itoa::Buffer::new().format(at.millis()).as_bytes()),
            Self::OpenMetrics100 => push_seconds(text, at),
        }
    }
}

impl Family {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Open => "last9_change_events_open_timestamp_seconds",
            Self::Edges => "last9_change_events",
            Self::Times => "last9_change_events_timestamp_seconds",
        }
    }

    /// Its comment lines, the same in both formats.
    pub(super) const fn head(self) -> &'static str {
        match self {
            Self::Open => {
                "# HELP last9_change_events_open_timestamp_seconds Since when the event is open, as Unix time.\n\
                 # TYPE last9_change_events_open_timestamp_seconds gauge\n"
            }
            Self::Edges => {
                "# HELP last9_change_events Start or stop of a change, at its own time.\n\
                 # TYPE last9_change_events gauge\n"
            }
            Self::Times => {
                "# HELP last9_change_events_timestamp_seconds When the start or stop of a change was, as Unix time.\n\
                 # TYPE last9_change_events_timestamp_seconds gauge\n"
            }
        }
    }

    /// Whether samples of the family carry this label of their series.
    pub(super) fn has_label(self, name: &str) -> bool {
        self != Self::Open || name != EVENT_STATE
    }

    const fn line_start(self) -> &'static [u8] {
        match self {
            Self::Open => b"last9_change_events_open_timestamp_seconds{",
            Self::Edges => b"last9_change_events{",
            Self::Times => b"last9_change_events_timestamp_seconds{",
        }
    }

    /// How many bytes a line has beside its labels.
    pub(super) fn line_overhead(self, entry: &Entry, format: Format) -> usize {
        let time = || {
            1 + match format {
                Format::Text004 => itoa::Buffer::new().format(entry.at.millis()).len(),
                Format::OpenMetrics100 => seconds_len(entry.at),
            }
        };
        let value = match self {
            Self::Open => seconds_len(entry.at),
            Self::Times => seconds_len(entry.at) + time(),
            Self::Edges => number(entry.value, &mut ryu::Buffer::new()).len() + time(),
        };
        self.line_start().len() + "} \n".len() + value
    }

    /// Appends a line; `labels` are as [`push_label`] wrote them.
    pub(super) fn push_line(self, text: &mut Vec<u8>, labels: &str, entry: &Entry, format: Format) {
        text.extend_from_slice(self.line_start());
        text.extend_from_slice(labels.as_bytes());
        text.extend_from_slice(b"} ");
        match self {
            Self::Open => push_seconds(text, entry.at),
            Self::Times => {
                push_seconds(text, entry.at);
                text.push(b' ');
                format.push_time(text, entry.at);
            }
            Self::Edges => {
                push_number(text, entry.value);
                text.push(b' ');
                format.push_time(text, entry.at);
            }
        }
        text.push(b'\n');
    }
}

/// Appends `name="value"`, after a comma unless it is the first label of the line that begins at `line`.
pub(super) fn push_label(text: &mut String, line: usize, name: &str, value: &str) {
    if text.len() > line {
        text.push(',');
    }
    text.push_str(name);
    text.push_str("=\"");
    push_escaped(text, value);
    text.push('"');
}

/// What earlier builds let into labels may hold other line boundaries, which some scrapers split a page at.
fn push_escaped(text: &mut String, value: &str) {
    let mended = mended(value);
    let mut value = mended.as_deref().unwrap_or(value);
    while let Some(position) = value.bytes().position(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        let (plain, rest) = value.split_at(position);
        text.push_str(plain);
        text.push_str(match rest.as_bytes().first() {
            Some(b'\n') => "\\n",
            Some(b'"') => "\\\"",
            _ => "\\\\",
        });
        value = rest.get(1..).unwrap_or_default();
    }
    text.push_str(value);
}

/// Appends the shortest text that reads back as `value`, which is finite.
fn push_number(text: &mut Vec<u8>, value: f64) {
    text.extend_from_slice(number(value, &mut ryu::Buffer::new()).as_bytes());
}

fn number(value: f64, buffer: &mut ryu::Buffer) -> &str {
    let shortest = buffer.format(value);
    shortest.strip_suffix(".0").unwrap_or(shortest)
}

/// How long the text of [`push_seconds`] is.
fn seconds_len(at: Timestamp) -> usize {
    let millis = at.millis().unsigned_abs();
    usize::from(at.millis() < 0) + itoa::Buffer::new().format(millis / 1000).len() + ".000".len()
}

/// Appends seconds with three decimals: exact, and never in exponent form.
fn push_seconds(text: &mut Vec<u8>, at: Timestamp) {
    let millis = at.millis().unsigned_abs();
    if at.millis() < 0 {
        text.push(b'-');
    }
    text.extend_from_slice(itoa::Buffer::new().format(millis / 1000).as_bytes());
    text.push(b'.');
    for digit in [millis / 100 % 10, millis / 10 % 10, millis % 10] {
        text.push(b"0123456789".get(usize::try_from(digit).unwrap_or(0)).copied().unwrap_or(b'0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SeriesId;
    use proptest::prelude::*;

    fn line(family: Family, labels: &[(&str, &str)], at: i64, value: f64, format: Format) -> String {
        let mut escaped = String::new();
        for (name, value) in labels {
            push_label(&mut escaped, 0, name, value);
        }
        let (mut text, series) = (Vec::new(), SeriesId { number: 0, generation: 0 });
        family.push_line(&mut text, &escaped, &Entry { series, exposed: Timestamp::MIN, at: Timestamp::from_millis(at), value }, format);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn writes_lines() {
        let labels = [("event_name", "deploy"), ("path", "C:\\a \"b\"\nc")];
        for (family, at, value, format, expected) in [
            (Family::Edges, 1_700_000_000_123, 1.0, Format::Text004, "last9_change_events{LABELS} 1 1700000000123"),
            (Family::Edges, 1_700_000_000_120, -0.5, Format::OpenMetrics100, "last9_change_events{LABELS} -0.5 1700000000.120"),
            (Family::Edges, 0, 1e300, Format::Text004, "last9_change_events{LABELS} 1e300 0"),
            (
                Family::Times,
                1_700_000_000_007,
                9.0,
                Format::Text004,
                "last9_change_events_timestamp_seconds{LABELS} 1700000000.007 1700000000007",
            ),
            (
                Family::Times,
                1_700_000_000_000,
                9.0,
                Format::OpenMetrics100,
                "last9_change_events_timestamp_seconds{LABELS} 1700000000.000 1700000000.000",
            ),
            (Family::Times, 0, 9.0, Format::OpenMetrics100, "last9_change_events_timestamp_seconds{LABELS} 0.000 0.000"),
            (Family::Open, -1, 9.0, Format::OpenMetrics100, "last9_change_events_open_timestamp_seconds{LABELS} -0.001"),
        ] {
            let expected = expected.replace("LABELS", r#"event_name="deploy",path="C:\\a \"b\"\nc""#) + "\n";
            assert_eq!(line(family, &labels, at, value, format), expected);
        }
        assert_eq!(line(Family::Open, &[], 1, 1.0, Format::Text004), "last9_change_events_open_timestamp_seconds{} 0.001\n");
    }

    /// The value that a parser reads from between quotes; `None` when the text would end there or is no escape.
    fn unescape(text: &str) -> Option<String> {
        let mut value = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            value.push(match char {
                '\\' => match chars.next()? {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    _ => return None,
                },
                '"' | '\n' => return None,
                plain => plain,
            });
        }
        Some(value)
    }

    proptest! {
        #[test]
        fn escaping_is_total_and_reads_back(value in prop_oneof![any::<String>(), "[\\\\\"\nna{},= ]{0,12}", "[a\r\n\u{b}\u{1c}\u{85}\u{2028}]{0,6}"]) {
            let mut text = String::new();
            push_escaped(&mut text, &value);
            prop_assert_eq!(unescape(&text), Some(mended(&value).unwrap_or(value)));
        }

        #[test]
        fn how_long_a_line_is_is_known_before_it_is_written(
            value in prop_oneof![Just(f64::MIN), Just(1.0), any::<f64>()],
            at in prop_oneof![Just(i64::MIN), -2000..2000_i64, any::<i64>()],
        ) {
            let (series, at_millis) = (SeriesId { number: 0, generation: 0 }, Timestamp::from_millis(at));
            let entry = Entry { series, exposed: Timestamp::MIN, at: at_millis, value };
            for family in [Family::Open, Family::Edges, Family::Times] {
                for format in [Format::Text004, Format::OpenMetrics100] {
                    prop_assert_eq!(line(family, &[], at, value, format).len(), family.line_overhead(&entry, format));
                }
            }
        }

        #[test]
        fn numbers_read_back(value in any::<f64>().prop_filter("finite", |value| value.is_finite()), at in any::<i64>()) {
            let mut text = Vec::new();
            push_number(&mut text, value);
            prop_assert_eq!(String::from_utf8(text).unwrap().parse::<f64>().unwrap().to_bits(), value.to_bits());
            let mut text = Vec::new();
            push_seconds(&mut text, Timestamp::from_millis(at));
            prop_assert_eq!(String::from_utf8(text).unwrap().replace('.', "").parse::<i64>().unwrap(), at);
        }
    }
}
