//! Sizes as Prometheus writes them: `512MB`, `10GB`; units are powers of 1024.

use crate::shown::cut;

const UNITS: [(&str, u32); 7] = [("EB", 60), ("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10), ("B", 0)];

/// A text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size such as 512MB or 10GB: a whole number and one of B, KB, MB, GB, TB, PB, EB, together less than 8EB")]
pub(super) struct SizeError(String);

/// Reads a whole number with a unit. A bare `0` is no size at all.
pub(super) fn parse(text: &str) -> Result<u64, SizeError> {
    if text == "0" {
        return Ok(0);
    }
    let wrong = || SizeError(cut(text).into());
    let (number, shift) = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift))).ok_or_else(wrong)?;
    let digits = Some(number).filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    let bytes = digits.and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(1 << shift));
    // What a gauge can say.
    bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        #[track_caller]
        fn check(text: &str, bytes: Option<u64>) {
            assert_eq!(parse(text).ok(), bytes, "{text:?}");
        }
        check("0", Some(0));
        check("0B", Some(0));
        check("1B", Some(1));
        check("512MB", Some(512 << 20));
        check("10GB", Some(10 << 30));
        check("7EB", Some(7 << 60));
        for wrong in ["", "5", "B", "GB", "-1GB", "+1GB", "1.5GB", "1 GB", "1gb", "1GiB", "1K", "8EB", "99999999999999999999B"] {
            check(wrong, None);
        }
    }
}
