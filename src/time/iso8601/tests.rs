use super::*;
use chrono::DateTime;
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    match Timestamp::parse(text) {
        Ok(at) => assert_eq!(at.to_string(), expected, "{text}"),
        Err(error) => assert_eq!(error.to_string(), expected, "{text}"),
    }
}

#[test]
fn reads_every_form() {
    for (text, expected) in FORMS {
        check(text, expected);
    }
}

const FORMS: &[(&str, &str)] = &[
    // calendar dates
    ("2026-02-20T10:00:00Z", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20T10:00:00.123Z", "2026-02-20T10:00:00.123Z"),
    ("20260220T100000Z", "2026-02-20T10:00:00.000Z"),
    ("20260220T100000.5Z", "2026-02-20T10:00:00.500Z"),
    ("20260220T10:00:00Z", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20T100000Z", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20t10:00:00z", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20 10:00:00Z", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20", "2026-02-20T00:00:00.000Z"),
    ("20260220", "2026-02-20T00:00:00.000Z"),
    ("2026-02", "2026-02-01T00:00:00.000Z"),
    ("2026", "2026-01-01T00:00:00.000Z"),
    ("2024-02-29", "2024-02-29T00:00:00.000Z"),
    ("2000-02-29", "2000-02-29T00:00:00.000Z"),
    // week dates
    ("2026-W08-5", "2026-02-20T00:00:00.000Z"),
    ("2026W085", "2026-02-20T00:00:00.000Z"),
    ("2026-w08-5T10:00Z", "2026-02-20T10:00:00.000Z"),
    ("2026W085T1000Z", "2026-02-20T10:00:00.000Z"),
    ("2026-W08", "2026-02-16T00:00:00.000Z"),
    ("2026W08", "2026-02-16T00:00:00.000Z"),
    ("2020-W53-7", "2021-01-03T00:00:00.000Z"),
    ("2026-W01-1", "2025-12-29T00:00:00.000Z"),
    // ordinal dates
    ("2026-051", "2026-02-20T00:00:00.000Z"),
    ("2026051", "2026-02-20T00:00:00.000Z"),
    ("2026-051T10Z", "2026-02-20T10:00:00.000Z"),
    ("2024-366", "2024-12-31T00:00:00.000Z"),
    ("2026-365", "2026-12-31T00:00:00.000Z"),
    // reduced precision and fractions
    ("2026-02-20T10", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20T10:30", "2026-02-20T10:30:00.000Z"),
    ("2026-02-20T1030", "2026-02-20T10:30:00.000Z"),
    ("2026-02-20T10.5Z", "2026-02-20T10:30:00.000Z"),
    ("2026-02-20T10,25+01", "2026-02-20T09:15:00.000Z"),
    ("2026-02-20T10:30.25Z", "2026-02-20T10:30:15.000Z"),
    ("2026-02-20T1030,5Z", "2026-02-20T10:30:30.000Z"),
    ("2026-02-20T10:00:00,1Z", "2026-02-20T10:00:00.100Z"),
    ("2026-02-20T10:00:00.123999999999999999999999Z", "2026-02-20T10:00:00.123Z"),
    ("2026-02-20T10:00:00.0009Z", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20T10.33333333333333333333333333333333Z", "2026-02-20T10:19:59.999Z"),
    ("2026-02-20T10.00000027777777777777777Z", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20T10.00000027777777777777778Z", "2026-02-20T10:00:00.001Z"),
    ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
    // offsets
    ("2026-02-20T10:00:00+00:00", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20T10:00:00-00:00", "2026-02-20T10:00:00.000Z"),
    ("2026-02-20T10:00:00+05:30", "2026-02-20T04:30:00.000Z"),
    ("2026-02-20T10:00:00+0530", "2026-02-20T04:30:00.000Z"),
    ("2026-02-20T10:00:00-08", "2026-02-20T18:00:00.000Z"),
    ("2026-02-20T23:00:00-0330", "2026-02-21T02:30:00.000Z"),
    ("2026-01-01T00:00:00+14:00", "2025-12-31T10:00:00.000Z"),
    ("20260220T10+01:00", "2026-02-20T09:00:00.000Z"),
    // as `git log`, Go and Ruby write them
    ("2026-11-01 10:00:00 +0200", "2026-11-01T08:00:00.000Z"),
    ("2026-11-01 10:00:00.123 -03:30", "2026-11-01T13:30:00.123Z"),
    ("2026-11-01T10:00:00 Z", "2026-11-01T10:00:00.000Z"),
    ("2026-11-01 10:00:00 UTC", "2026-11-01T10:00:00.000Z"),
    ("2026-11-01T10:00:00UTC", "2026-11-01T10:00:00.000Z"),
    ("2026-11-01 10:00 GMT", "2026-11-01T10:00:00.000Z"),
    ("2009-11-10 23:00:00 +0000 UTC", "2009-11-10T23:00:00.000Z"),
    ("2009-11-10 23:00:00 +0000 UTC m=+0.000012345", "2009-11-10T23:00:00.000Z"),
    ("2009-11-10 23:00:00.5 +0000 +0000 m=-1.5", "2009-11-10T23:00:00.500Z"),
    ("2026-07-01 10:00:00 +0200 CEST", "2026-07-01T08:00:00.000Z"),
    ("2026-07-01 10:00:00 +0530 +0530", "2026-07-01T04:30:00.000Z"),
    ("2026-07-01 10:00:00 -0300 -03", "2026-07-01T13:00:00.000Z"),
    // the ends of days and minutes
    ("2026-02-20T24:00", "2026-02-21T00:00:00.000Z"),
    ("2026-12-31T24:00:00.000Z", "2027-01-01T00:00:00.000Z"),
    ("20260220T24", "2026-02-21T00:00:00.000Z"),
    ("2026-02-20T24:00:00+02:00", "2026-02-20T22:00:00.000Z"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"),
    ("2016-12-31T235960", "2017-01-01T00:00:00.000Z"),
    ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00.000Z"),
    ("2016-12-31T18:59:60-05", "2017-01-01T00:00:00.000Z"),
    // any age
    ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
    ("1969-07-20T20:17:40Z", "1969-07-20T20:17:40.000Z"),
    ("1582-10-15", "1582-10-15T00:00:00.000Z"),
    ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
    ("0000-02-29", "0000-02-29T00:00:00.000Z"),
    ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ("9999-12-31T24:00", "+010000-01-01T00:00:00.000Z"),
    ("+002026-02-20T10:00:00Z", "2026-02-20T10:00:00.000Z"),
    ("+0020260220T100000Z", "2026-02-20T10:00:00.000Z"),
    ("-000001-12-31", "-000001-12-31T00:00:00.000Z"),
    ("+012026-W01-1", "+012025-12-29T00:00:00.000Z"),
    ("-262143-01-01", "-262143-01-01T00:00:00.000Z"),
];

#[test]
fn names_the_part_at_fault() {
    for (text, expected) in FAULTS {
        check(text, expected);
    }
}

const YEAR: &str = "year: must be four digits, or a sign and six digits";
const MONTH: &str = "month: must be 01 to 12";
const DAY: &str = "day: must be 01 to 31";
const NO_SUCH_DAY: &str = "day: no such day in that month and year";
const UNIX: &str = "date: must be YYYY-MM-DD or YYYYMMDD (or a week or ordinal date); a Unix time is not ISO 8601";
const AFTER_YEAR: &str = "date: after the year, must go on with MM-DD, DDD or Www-D";
const AFTER_DATE: &str = "date: must be followed by T and a time, or by nothing";
const NO_DAY: &str = "date: must name a day when a time follows";
const HOUR: &str = "hour: must be 00 to 24";
const MINUTE: &str = "minute: must be 00 to 59";
const SECOND: &str = "second: must be 00 to 59, or 60 for a leap second";
const OFFSET: &str = "offset: must be Z, UTC, +hh, +hhmm or +hh:mm, or - instead of +";
const OTHER_ZONE: &str = "offset: the zone behind it is another one";

const FAULTS: &[(&str, &str)] = &[
    ("", YEAR),
    (" ", YEAR),
    ("now", YEAR),
    ("26-02-20", YEAR),
    ("+2026-02-20", YEAR),
    ("-2026-02-20", YEAR),
    ("20", YEAR),
    ("\u{0662}026-02-20", YEAR),
    ("+999999-01-01", "year: must be within -262143 and 262142"),
    ("1770650000", UNIX),
    ("1770650000123", UNIX),
    ("1770650000.5", UNIX),
    ("202602", UNIX),
    ("2026-", AFTER_YEAR),
    ("2026-2-20", AFTER_YEAR),
    ("2026-0220", AFTER_YEAR),
    ("2026/02/20", AFTER_DATE),
    ("2026-13-01", MONTH),
    ("2026-00-01", MONTH),
    ("20261301", MONTH),
    ("2026-02-", DAY),
    ("2026-02-00", DAY),
    ("2026-02-32", DAY),
    ("2026-02-2", DAY),
    ("2026-02-30", NO_SUCH_DAY),
    ("2026-02-29", NO_SUCH_DAY),
    ("1900-02-29", NO_SUCH_DAY),
    ("2026-04-31T10:00:00Z", NO_SUCH_DAY),
    ("2026-02-201", AFTER_DATE),
    ("2026-02-20Z", AFTER_DATE),
    ("2026-02-20+01:00", AFTER_DATE),
    ("2026-02-20\n", AFTER_DATE),
    ("2026-02-20_10:00", AFTER_DATE),
    ("2026-02T10:00Z", NO_DAY),
    ("2026T10:00Z", NO_DAY),
    ("2026-W08T10:00Z", NO_DAY),
    ("2026-W00-1", "week: must be 01 to 53"),
    ("2026-W54-1", "week: must be 01 to 53"),
    ("2026-W8-1", "week: must be 01 to 53"),
    ("2021-W53-1", "week: 53 is not in that year"),
    ("2026-W08-0", "day of the week: must be 1 (Monday) to 7"),
    ("2026-W08-8", "day of the week: must be 1 (Monday) to 7"),
    ("2026-W08-", "day of the week: must be 1 (Monday) to 7"),
    ("2026-000", "day of the year: must be 001 to 366"),
    ("2026-367", "day of the year: must be 001 to 366"),
    ("2026-366", "day of the year: 366 is only in a leap year"),
    ("2026-02-20T", HOUR),
    ("2026-02-20T25:00", HOUR),
    ("2026-02-20T1:00", HOUR),
    ("2026-02-20T-1:00", HOUR),
    ("2026-02-20T24:01", "hour: 24 is only in 24:00, the end of the day"),
    ("2026-02-20T24:00:00.001", "hour: 24 is only in 24:00, the end of the day"),
    ("2026-02-20T24.5", "hour: 24 is only in 24:00, the end of the day"),
    ("2026-02-20T10:", MINUTE),
    ("2026-02-20T10:60", MINUTE),
    ("2026-02-20T10:5", MINUTE),
    ("2026-02-20T105", MINUTE),
    ("2026-02-20T10:00:", SECOND),
    ("2026-02-20T10:00:61Z", SECOND),
    ("2026-02-20T10:00:5Z", SECOND),
    ("2026-02-20T10:00:60Z", "second: 60 is a leap second: only at 23:59:60 UTC"),
    ("2016-12-31T23:59:60-05:00", "second: 60 is a leap second: only at 23:59:60 UTC"),
    ("2026-02-20T10:00:00.", "fraction: must have a digit after its point"),
    ("2026-02-20T10:00:00.Z", "fraction: must have a digit after its point"),
    ("2026-02-20T10:00:00 ", OFFSET),
    ("2026-02-20T10:00:00  Z", OFFSET),
    ("2026-02-20T10:00:00 02:00", OFFSET),
    ("2026-02-20T10:00:00 CET", OFFSET),
    ("2026-02-20T10:00:00 UTC+2", OFFSET),
    ("2026-02-20 10:00:00 +0200 UTC", OTHER_ZONE),
    ("2026-02-20 10:00:00 +0100 GMT", OTHER_ZONE),
    ("2026-02-20 10:00:00 +0200 +0100", OTHER_ZONE),
    ("2026-02-20 10:00:00 +0200 ", "offset: must be the end"),
    ("2026-02-20 10:00:00 +0200 Central", "offset: must be the end"),
    ("2026-02-20 10:00:00 +0200 EUROPE", "offset: must be the end"),
    ("2026-02-20 10:00:00 +0000 UTC m=", "offset: must be the end"),
    ("2026-02-20 10:00:00 +0000 UTC m=+1x", "offset: must be the end"),
    ("2026-02-20T10:00:00ZZ", OFFSET),
    ("2026-02-20T10:00:00Z\0", OFFSET),
    ("2026-02-20T10:3015Z", OFFSET),
    ("2026-02-20T10:00:00[Europe/Berlin]", OFFSET),
    ("2026-02-20T10:00:00+", "offset: its hours must be 00 to 23"),
    ("2026-02-20T10:00:00+24:00", "offset: its hours must be 00 to 23"),
    ("2026-02-20T10:00:00+1", "offset: its hours must be 00 to 23"),
    ("2026-02-20T10:00:00+01:", "offset: its minutes must be 00 to 59"),
    ("2026-02-20T10:00:00+01:60", "offset: its minutes must be 00 to 59"),
    ("2026-02-20T10:00:00+01:00:00", "offset: must be the end"),
    ("2026-02-20T10:00:00+01:00[Europe/Berlin]", "offset: must be the end"),
];

#[test]
fn writes_what_no_calendar_holds() {
    assert_eq!(Timestamp::MIN.to_string(), "-9223372036854775808ms");
    assert_eq!(Timestamp::MAX.to_string(), "9223372036854775807ms");
}

/// Milliseconds of every day that both chrono and the display form know.
fn calendar() -> impl Strategy<Value = i64> {
    let wide = NaiveDate::MIN.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_millis()
        ..=NaiveDate::MAX.and_hms_opt(23, 59, 59).unwrap().and_utc().timestamp_millis();
    prop_oneof![wide, -63_000_000_000_000..=253_402_300_799_999i64, 0..=4_102_444_800_000i64]
}

/// Texts near to timestamps.
fn almost() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,40}", "[-+0-9TWZ:., ]{0,30}", "[0-9]{4}-?[0-9W]{1,3}-?[0-9]{0,2}T?[0-9:]{0,9}[.,]?[0-9]{0,4}[-+Z]?[0-9:]{0,5}"]
}

proptest! {
    #[test]
    fn reads_what_it_writes(millis in calendar()) {
        let at = Timestamp::from_millis(millis);
        prop_assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        let moment = DateTime::from_timestamp_millis(millis).unwrap();
        prop_assert_eq!(NaiveDate::from_epoch_days((millis.div_euclid(MILLIS_PER_DAY)).try_into().unwrap()), Some(moment.date_naive()));
        if (0..=9999).contains(&moment.date_naive().year()) {
            prop_assert_eq!(at.to_string(), moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        }
    }

    #[test]
    fn agrees_with_chrono_on_rfc_3339(
        (year, month, day) in (0..=9999, 0..=13, 0..=32), (hour, minute, second) in (0..=23, 0..=60, 0..=59),
        fraction in "(\\.[0-9]{1,12})?", offset in "Z|z|[-+][01][0-9]:[0-6][0-9]", separator in "[Tt ]",
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
        let ours = Timestamp::parse(&text).ok().map(Timestamp::millis);
        prop_assert_eq!(ours, DateTime::parse_from_rfc3339(&text).ok().map(|at| at.timestamp_millis()), "{}", text);
    }

    #[test]
    fn any_text_is_a_time_or_an_error(text in almost()) {
        if let Ok(at) = Timestamp::parse(&text) {
            prop_assert_eq!(Timestamp::parse(&at.to_string()), Ok(at), "{}", text);
        }
    }

    #[test]
    fn every_form_of_a_day_is_the_same_day(millis in calendar()) {
        let day = DateTime::from_timestamp_millis(millis).unwrap().date_naive();
        prop_assume!((1..=9998).contains(&day.year()));
        let expected = Timestamp::parse(&day.format("%Y-%m-%d").to_string());
        prop_assert!(expected.is_ok());
        for form in ["%Y%m%d", "%Y-%j", "%Y%j", "%G-W%V-%u", "%GW%V%u"] {
            let text = day.format(form).to_string();
            prop_assert_eq!(&Timestamp::parse(&text), &expected, "{}", text);
        }
    }
}

#[test]
fn a_zero_time_is_no_time_of_an_event() {
    for (text, is_taken) in [
        ("0001-01-01", false),
        ("00010101T000000Z", false),
        ("0001-W01-1", false),
        ("0001-01-01T23:59:59.999Z", false),
        ("0000-12-31T12:00:00Z", false),
        ("0000-00-00 00:00:00", false),
        ("0001-01-02T00:00:00Z", false),
        ("0000-01-01T00:00:00Z", false),
        ("0001-01-03T00:00:00Z", true),
        ("-000001-12-31T23:59:59Z", true),
        (" 2026-02-20T10:00:00Z\r\n", true),
        ("1970-01-01T00:00:00Z", true),
    ] {
        let read = Timestamp::parse_event(text);
        assert_eq!(read.is_ok(), is_taken, "{text}: {read:?}");
        assert!(is_taken || read == Err(EventTimeError::Zero), "{text}: {read:?}");
    }
    assert_eq!([Timestamp::MIN, Timestamp::MAX].map(Timestamp::is_zero_time), [false; 2]);
}
