//! ISO 8601 text to a [`Timestamp`] and back.
//!
//! Reads every form of a date (calendar, week, ordinal; extended, basic; months, weeks and years alone mean their first
//! day) with every form of a time (hours, minutes or seconds, the last with a fraction), UTC where no offset is given.
//! Beside that the forms of `git log` (a blank before the offset) and of Go (the name of the zone behind it).
//! What is finer than a millisecond is cut off. No intervals, durations or centuries.

use super::Timestamp;
use chrono::Datelike;
use chrono::NaiveDate;
use chrono::Weekday;
use std::fmt;

const MILLIS_PER_SECOND: i64 = 1000;
const MILLIS_PER_MINUTE: i64 = 60 * MILLIS_PER_SECOND;
const MILLIS_PER_HOUR: i64 = 60 * MILLIS_PER_MINUTE;
const MILLIS_PER_DAY: i64 = 24 * MILLIS_PER_HOUR;

/// Text that is no ISO 8601 timestamp: which part breaks which rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {rule}")]
pub struct TimeError {
    /// The part at fault, such as `month`.
    pub part: &'static str,
    /// What the part must be.
    pub rule: &'static str,
}

/// How far a local zone can move the zero time, and a day.
const ZERO_TIME_AROUND: i64 = 2 * MILLIS_PER_DAY;
/// The year before it, which has 366 days.
const YEAR_ZERO: i64 = 366 * MILLIS_PER_DAY;

/// Text that is not the time of an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventTimeError {
    /// It is no timestamp.
    #[error("must be ISO 8601; {0}")]
    Form(#[from] TimeError),
    /// It is what programs write for a time that they do not have.
    #[error("is a zero time, which programs write for a time that was never set; leave it out where there is none")]
    Zero,
}

/// Whether it is what `MySQL` writes for a time that was never set; there is no such day.
pub fn is_zero_text(text: &str) -> bool {
    text.starts_with("0000-00-00")
}

impl Timestamp {
    /// Reads the time of an event: an ISO 8601 timestamp of any age, but no zero time. Blanks and line ends around it do not count.
    pub fn parse_event(text: &str) -> Result<Self, EventTimeError> {
        let text = text.trim();
        if is_zero_text(text) {
            return Err(EventTimeError::Zero);
        }
        Self::parse(text)?.of_event()
    }

    /// The same moment as the time of an event, which no zero time is.
    pub fn of_event(self) -> Result<Self, EventTimeError> {
        if self.is_zero_time() { Err(EventTimeError::Zero) } else { Ok(self) }
    }

    /// Whether it is `0001-01-01T00:00:00` somewhere, which Go and .NET write for a time that was never set, or in the year 0.
    pub const fn is_zero_time(self) -> bool {
        let after = self.0.saturating_sub(Self::ZERO_TIME.0);
        -YEAR_ZERO <= after && after < ZERO_TIME_AROUND
    }

    /// Reads an ISO 8601 timestamp of any age.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let mut input = Input(text.as_bytes());
        let (day, complete) = date(&mut input)?;
        let midnight = i64::from(day.to_epoch_days()) * MILLIS_PER_DAY;
        if input.0.is_empty() {
            return Ok(Self::from_millis(midnight));
        }
        if !input.skip(b"Tt ") {
            return Err(wrong("date", "must be followed by T and a time, or by nothing"));
        }
        if !complete {
            return Err(wrong("date", "must name a day when a time follows"));
        }
        let (millis, leap_second) = time_of_day(&mut input)?;
        let offset = offset(&mut input)?;
        if leap_second && (millis - offset).rem_euclid(MILLIS_PER_DAY) >= MILLIS_PER_SECOND {
            return Err(wrong("second", "60 is a leap second: only at 23:59:60 UTC"));
        }
        Ok(Self::from_millis(midnight + millis - offset))
    }
}

/// The form in every answer: `2026-02-20T10:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(*self, f)
    }
}

/// Writes `2026-02-20T10:00:00.000Z`, years outside 0000 to 9999 as `+012026`; outside the calendar, the milliseconds.
fn write(at: Timestamp, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let days = at.millis().div_euclid(MILLIS_PER_DAY);
    let Some(date) = i32::try_from(days).ok().and_then(NaiveDate::from_epoch_days) else {
        return write!(f, "{}ms", at.millis());
    };
    let time = at.millis().rem_euclid(MILLIS_PER_DAY);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text, 5, i64::from(date.month()), 2);
    put(&mut text, 8, i64::from(date.day()), 2);
    put(&mut text, 11, time / MILLIS_PER_HOUR, 2);
    put(&mut text, 14, time / MILLIS_PER_MINUTE % 60, 2);
    put(&mut text, 17, time / MILLIS_PER_SECOND % 60, 2);
    put(&mut text, 20, time % MILLIS_PER_SECOND, 3);
    let skipped = if let year @ 0..=9999 = date.year() {
        put(&mut text, 0, i64::from(year), 4);
        0
    } else {
        write!(f, "{:+07}", date.year())?;
        4
    };
    f.write_str(text.get(skipped..).and_then(|text| std::str::from_utf8(text).ok()).ok_or(fmt::Error)?)
}

/// Writes the last `digits` digits of `number` at `start`.
fn put(text: &mut [u8], start: usize, mut number: i64, digits: usize) {
    for digit in text.iter_mut().skip(start).take(digits).rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

fn wrong(part: &'static str, rule: &'static str) -> TimeError {
    TimeError { part, rule }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn skip(&mut self, any_of: &[u8]) -> bool {
        match self.0 {
            [first, rest @ ..] if any_of.contains(first) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn skip_text(&mut self, text: &[u8]) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// How many digits come next.
    fn digits(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// A number of exactly `count` digits; more may follow it.
    fn number(&mut self, count: usize) -> Option<u32> {
        let (head, rest) = self.0.split_at_checked(count)?;
        let number = head.iter().try_fold(0u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))?;
        self.0 = rest;
        Some(number)
    }

    fn within(
        &mut self,
        part: &'static str,
        count: usize,
        range: std::ops::RangeInclusive<u32>,
        rule: &'static str,
    ) -> Result<u32, TimeError> {
        self.number(count).filter(|number| range.contains(number)).ok_or(wrong(part, rule))
    }
}

/// The day, and whether the text named it and not just its month, week or year.
fn date(input: &mut Input<'_>) -> Result<(NaiveDate, bool), TimeError> {
    let year = year(input)?;
    let extended = input.skip(b"-");
    if input.skip(b"Ww") {
        return week_date(input, year);
    }
    let bad_day = wrong("day", "no such day in that month and year");
    match (extended, input.digits()) {
        (false, 0) => NaiveDate::from_ymd_opt(year, 1, 1).map(|day| (day, false)),
        (_, 3) => {
            let day = input.within("day of the year", 3, 1..=366, "must be 001 to 366")?;
            let date = NaiveDate::from_yo_opt(year, day).ok_or(wrong("day of the year", "366 is only in a leap year"))?;
            return Ok((date, true));
        }
        (true, 2) => {
            let month = month(input)?;
            if !input.skip(b"-") {
                return NaiveDate::from_ymd_opt(year, month, 1).map(|day| (day, false)).ok_or(bad_day);
            }
            let day = day(input)?;
            NaiveDate::from_ymd_opt(year, month, day).map(|day| (day, true))
        }
        (false, 4) => {
            let (month, day) = (month(input)?, day(input)?);
            NaiveDate::from_ymd_opt(year, month, day).map(|day| (day, true))
        }
        (true, _) => return Err(wrong("date", "after the year, must go on with MM-DD, DDD or Www-D")),
        (false, _) => return Err(wrong("date", "must be YYYY-MM-DD or YYYYMMDD (or a week or ordinal date); a Unix time is not ISO 8601")),
    }
    .ok_or(bad_day)
}

fn year(input: &mut Input<'_>) -> Result<i32, TimeError> {
    let negative = input.0.starts_with(b"-");
    let digits = if input.skip(b"+-") { 6 } else { 4 };
    let number = input.number(digits).and_then(|year| i32::try_from(year).ok());
    let year = number.ok_or(wrong("year", "must be four digits, or a sign and six digits"))?;
    let year = if negative { -year } else { year };
    NaiveDate::from_ymd_opt(year, 1, 1).map(|_| year).ok_or(wrong("year", "must be within -262143 and 262142"))
}

fn month(input: &mut Input<'_>) -> Result<u32, TimeError> {
    input.within("month", 2, 1..=12, "must be 01 to 12")
}

fn day(input: &mut Input<'_>) -> Result<u32, TimeError> {
    input.within("day", 2, 1..=31, "must be 01 to 31")
}

fn week_date(input: &mut Input<'_>, year: i32) -> Result<(NaiveDate, bool), TimeError> {
    let week = input.within("week", 2, 1..=53, "must be 01 to 53")?;
    let complete = input.skip(b"-") || input.digits() > 0;
    let day = if complete { input.within("day of the week", 1, 1..=7, "must be 1 (Monday) to 7")? } else { 1 };
    let weekday = u8::try_from(day - 1).ok().and_then(|day| Weekday::try_from(day).ok()).unwrap_or(Weekday::Mon);
    let date = NaiveDate::from_isoywd_opt(year, week, weekday).ok_or(wrong("week", "53 is not in that year"))?;
    Ok((date, complete))
}

/// Milliseconds since midnight, and whether they are a leap second.
fn time_of_day(input: &mut Input<'_>) -> Result<(i64, bool), TimeError> {
    let mut millis = MILLIS_PER_HOUR * i64::from(input.within("hour", 2, 0..=24, "must be 00 to 24")?);
    let mut unit = MILLIS_PER_HOUR;
    let mut leap_second = false;
    let extended = input.skip(b":");
    if extended || input.digits() > 0 {
        millis += MILLIS_PER_MINUTE * i64::from(input.within("minute", 2, 0..=59, "must be 00 to 59")?);
        unit = MILLIS_PER_MINUTE;
        if input.skip(b":") || (!extended && input.digits() > 0) {
            let second = input.within("second", 2, 0..=60, "must be 00 to 59, or 60 for a leap second")?;
            millis += MILLIS_PER_SECOND * i64::from(second);
            unit = MILLIS_PER_SECOND;
            leap_second = second == 60;
        }
    }
    if input.skip(b".,") {
        millis += fraction(input, unit)?;
    }
    if millis > MILLIS_PER_DAY && !leap_second {
        return Err(wrong("hour", "24 is only in 24:00, the end of the day"));
    }
    Ok((millis, leap_second))
}

/// The whole milliseconds in a decimal fraction of `unit`, exact for any number of digits.
fn fraction(input: &mut Input<'_>, unit: i64) -> Result<i64, TimeError> {
    let (digits, rest) = input.0.split_at_checked(input.digits()).unwrap_or_default();
    if digits.is_empty() {
        return Err(wrong("fraction", "must have a digit after its point"));
    }
    input.0 = rest;
    Ok(digits.iter().rev().fold(0, |carry, digit| (i64::from(digit - b'0') * unit + carry) / 10))
}

/// How far local time is ahead of UTC, in milliseconds. A blank may stand before it.
fn offset(input: &mut Input<'_>) -> Result<i64, TimeError> {
    if input.0.is_empty() {
        return Ok(0);
    }
    input.skip(b" ");
    if input.skip(b"Zz") || input.skip_text(b"UTC") || input.skip_text(b"GMT") {
        return if input.0.is_empty() { Ok(0) } else { Err(wrong("offset", OFFSET_FORM)) };
    }
    let span = numeric_offset(input)?;
    zone_name(input, span)?;
    monotonic(input);
    if input.0.is_empty() { Ok(span) } else { Err(wrong("offset", "must be the end")) }
}

const OFFSET_FORM: &str = "must be Z, UTC, +hh, +hhmm or +hh:mm, or - instead of +";

fn numeric_offset(input: &mut Input<'_>) -> Result<i64, TimeError> {
    let ahead = input.0.starts_with(b"+");
    if !input.skip(b"+-") {
        return Err(wrong("offset", OFFSET_FORM));
    }
    let hour = input.within("offset", 2, 0..=23, "its hours must be 00 to 23")?;
    let minute =
        if input.skip(b":") || input.digits() > 0 { input.within("offset", 2, 0..=59, "its minutes must be 00 to 59")? } else { 0 };
    let span = i64::from(hour) * MILLIS_PER_HOUR + i64::from(minute) * MILLIS_PER_MINUTE;
    Ok(if ahead { span } else { -span })
}

/// What Go writes behind an offset: the name of the zone, or the offset once more where it has none. The offset is what counts.
fn zone_name(input: &mut Input<'_>, span: i64) -> Result<(), TimeError> {
    const LETTERS: std::ops::RangeInclusive<usize> = 1..=5;
    let Some(rest) = input.0.strip_prefix(b" ") else { return Ok(()) };
    let same = if rest.starts_with(b"+") || rest.starts_with(b"-") {
        input.0 = rest;
        numeric_offset(input)? == span
    } else {
        let letters = rest.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        let (name, rest) = rest.split_at_checked(letters).unwrap_or_default();
        if !LETTERS.contains(&letters) {
            return Ok(());
        }
        input.0 = rest;
        !matches!(name, b"UTC" | b"GMT") || span == 0
    };
    if same { Ok(()) } else { Err(wrong("offset", "the zone behind it is another one")) }
}

/// What Go writes at the end of a time that it has just measured: ` m=+0.000012`.
fn monotonic(input: &mut Input<'_>) {
    let Some(rest) = input.0.strip_prefix(b" m=") else { return };
    let digits = rest.strip_prefix(b"+").or_else(|| rest.strip_prefix(b"-")).unwrap_or_default();
    let number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    if !digits.is_empty() && digits.iter().all(number) {
        input.0 = &[];
    }
}

/// Whether digits are a date rather than Unix seconds: `2026` and `20260220` are dates in ISO 8601; as Unix seconds they would be moments in 1970.
pub fn looks_like_a_date(text: &str) -> bool {
    matches!(text.len(), 4 | 7 | 8) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
